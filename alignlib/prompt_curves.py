"""Log-partition functions of every prompt on a grid of λ, averaged as the frontier needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alignlib._checks import FloatArray, IntArray
from alignlib.bootstrap import Cells
from alignlib.dual import lam_grid, minimise_dual
from alignlib.jackknife import jackknife_log_partition, jackknife_maximum
from alignlib.rewards import RewardTable
from alignlib.support import excess_bias

__all__ = ["AveragedCurves", "averaged_curves", "descending_blocks"]

_BLOCK = 1 << 15  # samples in work at a time: fits the cache
_LEAST_ESS = 2.0


@dataclass(frozen=True)
class AveragedCurves:
    """Centred log-partition functions ``Λ(λ) - λ r̄``, averaged over prompts.

    ``lam`` and the averages have shape (L,); ``cell_curve`` holds the mean of the estimate over each cell of
    prompts, shape (cells, L), and ``cell_limit`` that of the largest gain, at λ = ∞. ``saturated`` says that
    from the last λ on nothing changes; ``log_samples`` is the mean of log n, the KL no sample estimate exceeds.
    """

    lam: FloatArray
    plug_in: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    ess: FloatArray
    largest_weight: FloatArray
    cells: Cells
    cell_curve: FloatArray
    cell_limit: FloatArray
    base_reward: float
    saturated: bool
    log_samples: float

    def gains(self, weights: FloatArray, kl: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return gain, its standard error and the λ that attains it, each of shape (len(weights), k).

        ``weights`` are the rows of `Cells.resample`; ``kl`` has shape (k,), or (len(weights), k) for budgets that
        are resampled themselves.
        """
        curve = weights @ self.cell_curve
        # Where one sample carries the weight before the curve is flat, the largest reward seen is no limit.
        limit = weights @ self.cell_limit if self.saturated else np.full(len(weights), np.inf)
        errors = self.cells.standard_error(weights, np.column_stack([self.cell_curve, self.cell_limit]))
        parts = []
        for column in np.atleast_2d(kl).T:
            gain, lam = minimise_dual(self.lam, curve, limit, column.reshape(-1, 1))
            with np.errstate(divide="ignore"):
                place = np.log(lam / self.lam[0]) / np.log(self.lam[1] / self.lam[0])
            nearest = np.clip(np.rint(place), 0, len(self.lam) - 1).astype(np.int64)
            error = np.take_along_axis(errors, nearest, axis=1) / self.lam[nearest]
            parts.append((gain, np.where(np.isinf(lam), errors[:, -1:], error) * (column.reshape(-1, 1) > 0), lam))
        gain, error, lam = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        return gain, error, lam

    def excess_bias(self, weights: FloatArray, lam: FloatArray) -> FloatArray:
        """By how much the interval of the gain at each λ is to be widened for bias; ``weights`` is one row."""
        error = self.cells.standard_error(weights, self.cell_curve)[0]
        excess = excess_bias(self.plug_in, self.first_order, self.second_order, error)
        finite = np.where(np.isfinite(lam), np.maximum(lam, self.lam[0]), self.lam[-1])
        return np.asarray(np.where(np.isfinite(lam), np.interp(np.log(finite), np.log(self.lam), excess) / finite, 0.0))

    @property
    def kl(self) -> FloatArray:
        """The average KL at each λ, shape (L,)."""
        whole = self.cells.size / self.cells.size.sum()
        below = whole @ self.cell_curve - self.lam * (whole @ self.cell_limit)  # D is the same for Λ - λ max r
        return np.asarray(np.gradient(below, np.log(self.lam)) - below)


def descending_blocks(table: RewardTable, column: str) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield (prompt positions, rewards sorted from the top) in blocks that fit the cache."""
    for where, rewards in table.blocks(column):
        step = max(1, _BLOCK // rewards.shape[1])
        for start in range(0, len(where), step):
            yield where[start : start + step], -np.sort(-rewards[start : start + step], axis=1)


def averaged_curves(table: RewardTable, column: str, cells: Cells, *, bias_correction: bool) -> AveragedCurves:
    """Tabulate the averaged curve from λ ≈ 0 to where one sample carries the weight, or nothing changes."""
    table.check_varies(column)
    n_prompts, n_cells = table.n_prompts, len(cells.size)
    blocks, base, squares, d_limit = [], np.empty(n_prompts), 0.0, 0.0
    limit = np.empty(n_prompts)
    for where, rows in descending_blocks(table, column):
        base[where] = rows.mean(axis=1)
        rows -= base[where][:, None]
        blocks.append((where, rows))
        squares += float(np.square(rows).mean(axis=1).sum())
        limit[where] = jackknife_maximum(rows) if bias_correction else rows[:, 0]
        d_limit += float(np.log(rows.shape[1] / (rows == rows[:, :1]).sum(axis=1)).sum())

    lam = lam_grid(np.sqrt(squares / n_prompts))
    means = np.zeros((5, len(lam)))
    cell_curve = np.zeros((n_cells, len(lam)))
    chosen = np.empty(n_prompts)
    used, saturated = len(lam), False
    for index, value in enumerate(lam):
        missing = d_limit
        for where, rows in blocks:
            one = jackknife_log_partition(rows, float(value))
            chosen[where] = one.second_order if bias_correction else one.plug_in
            parts = (one.plug_in, one.first_order, one.second_order, one.ess, one.largest_weight)
            means[:, index] += [part.sum() for part in parts]
            missing -= float((value * rows[:, 0] - one.plug_in).sum())
        cell_curve[:, index] = chosen if cells.one_prompt else cells.mean(chosen)
        saturated = abs(missing) < 1e-12 * d_limit
        if saturated or means[3, index] < _LEAST_ESS * n_prompts:
            used = index + 1
            break
    means, cell_curve = means[:, :used] / n_prompts, cell_curve[:, :used]
    if cells.one_prompt:
        cell_curve = _over_groups(table.column(column) - base[0], lam[:used], cell_curve[0], cells)
    cell_limit = np.full(n_cells, limit[0]) if cells.one_prompt else cells.mean(limit)
    return AveragedCurves(
        lam=lam[:used],
        plug_in=means[0],
        first_order=means[1],
        second_order=means[2],
        ess=means[3],
        largest_weight=means[4],
        cells=cells,
        cell_curve=cell_curve,
        cell_limit=cell_limit,
        base_reward=float(base.mean()),
        saturated=saturated,
        log_samples=float(np.log(table.n_samples).mean()),
    )


def _over_groups(rewards: FloatArray, lam: FloatArray, estimate: FloatArray, cells: Cells) -> FloatArray:
    """Return the pseudo-values of the curve of one prompt over the groups of its samples, shape (groups, L)."""
    counts = np.bincount(cells.index)
    kept = counts.sum() - counts
    mean_kept = (rewards.sum() - np.bincount(cells.index, rewards)) / kept
    top = rewards.max()
    curve = np.empty((len(counts), len(lam)))
    for index, value in enumerate(lam):
        group = np.bincount(cells.index, np.exp(value * (rewards - top)))
        rest = np.maximum(group.sum() - group, np.finfo(np.float64).tiny)
        curve[:, index] = np.log(rest / kept) + value * (top - mean_kept)
    pseudo = -(len(counts) - 1) * curve
    return np.asarray(pseudo + (estimate - pseudo.mean(axis=0)))
