"""Per-prompt log-partition functions on a grid of λ, summed over cells of prompts as the interval needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alignlib._checks import FloatArray, IntArray
from alignlib.dual import lam_grid
from alignlib.jackknife import jackknife_log_partition, jackknife_maximum
from alignlib.rewards import RewardTable

__all__ = ["AveragedCurves", "averaged_curves", "descending_blocks"]

_BLOCK = 1 << 15  # samples in work at a time: fits the cache
_MAX_CELLS = 2000  # prompts beyond this many are pooled at random before they are resampled
_LEAST_ESS = 2.0


@dataclass(frozen=True)
class AveragedCurves:
    """Centred log-partition functions averaged over prompts.

    Arrays over ``lam`` have shape (L,); ``cell_sum`` and ``cell_limit`` hold the sums over the prompts of
    each cell, shapes (cells, L) and (cells,); ``cell_size`` counts them.
    """

    lam: FloatArray
    plug_in: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    ess: FloatArray
    largest_weight: FloatArray
    limit: float
    base_reward: float
    cell_sum: FloatArray
    cell_limit: FloatArray
    cell_size: FloatArray
    saturated: bool  # at the last λ every prompt has all its weight on its best samples
    log_samples: float  # mean over prompts of log n, past which no sample estimate reaches


def descending_blocks(table: RewardTable, column: str) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield (prompt positions, rewards sorted from the top) in blocks that fit the cache."""
    for where, rewards in table.blocks(column):
        step = max(1, _BLOCK // rewards.shape[1])
        for start in range(0, len(where), step):
            yield where[start : start + step], -np.sort(-rewards[start : start + step], axis=1)


def averaged_curves(
    table: RewardTable, column: str, *, bias_correction: bool, rng: np.random.Generator
) -> AveragedCurves:
    """Tabulate the averaged curve from λ ≈ 0 to where one sample carries the weight, or nothing changes."""
    table.check_varies(column)
    blocks = []
    base = np.empty(table.n_prompts)
    for where, rows in descending_blocks(table, column):
        base[where] = rows.mean(axis=1)
        blocks.append((where, rows - base[where][:, None]))
    spread = np.sqrt(sum(float(np.square(rows).mean(axis=1).sum()) for _, rows in blocks) / table.n_prompts)
    n_cells = min(table.n_prompts, _MAX_CELLS)
    cell = np.arange(table.n_prompts) % n_cells
    if n_cells < table.n_prompts:
        cell = rng.permutation(cell)

    lam = lam_grid(spread)
    means = np.zeros((5, len(lam)))
    cell_sum = np.zeros((n_cells, len(lam)))
    cell_limit = np.zeros(n_cells)
    d_limit = 0.0
    for where, rows in blocks:
        top = jackknife_maximum(rows) if bias_correction else rows[:, 0]
        cell_limit += np.bincount(cell[where], top, n_cells)
        d_limit += float(np.log(rows.shape[1] / (rows == rows[:, :1]).sum(axis=1)).sum())
    used, saturated = len(lam), False
    for index, value in enumerate(lam):
        missing = d_limit
        for where, rows in blocks:
            one = jackknife_log_partition(rows, float(value))
            chosen = one.second_order if bias_correction else one.plug_in
            cell_sum[:, index] += np.bincount(cell[where], chosen, n_cells)
            means[:, index] += [
                part.sum() for part in (one.plug_in, one.first_order, one.second_order, one.ess, one.largest_weight)
            ]
            missing -= float((value * rows[:, 0] - one.plug_in).sum())
        saturated = abs(missing) < 1e-12 * d_limit
        if saturated or means[3, index] < _LEAST_ESS * table.n_prompts:
            used = index + 1
            break
    means /= table.n_prompts
    return AveragedCurves(
        lam=lam[:used],
        plug_in=means[0, :used],
        first_order=means[1, :used],
        second_order=means[2, :used],
        ess=means[3, :used],
        largest_weight=means[4, :used],
        limit=float(cell_limit.sum() / table.n_prompts),
        base_reward=float(base.mean()),
        cell_sum=cell_sum[:, :used],
        cell_limit=cell_limit,
        cell_size=np.bincount(cell, minlength=n_cells).astype(np.float64),
        saturated=saturated,
        log_samples=float(np.log(table.n_samples).mean()),
    )
