"""From a table of rewards to its averaged curve: every prompt's log-partition function, one λ for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.jackknife import doubling_grid, jackknife_log_partition, jackknife_maximum
from alignlib.estimation.support import remaining_bias
from alignlib.estimation.tails import TailTest
from alignlib.tables import RewardTable

__all__ = ["averaged_curve"]

_BLOCK = 1 << 17  # samples in work at a time
_LOW, _HIGH = 1e-2, 1e4  # the grid of λ, in units of 1 over a typical spread of reward
_FIRST, _LEAST, _MOST = 35, 5, 15  # so many λ at once: seven octaves, then what the support seems to need
_BEYOND = 6  # so many λ past the end of the support: more than an octave, for replicates of the bootstrap
_LEAST_ESS = 2.0  # past it the curve is not followed
_LEAST_PART = 8
_MOST_PARTS = 4
_EVERY = 3  # parts are evaluated at every third λ


def averaged_curve(
    table: RewardTable,
    column: str,
    cells: Cells,
    rng: np.random.Generator,
    tail: TailTest,
    *,
    bias_correction: bool,
) -> AveragedCurve:
    """Tabulate the averaged curve from λ ≈ 0 to past its support, to where nothing changes, or to one sample's weight.

    The bias that remains is judged from random parts of each prompt's samples, quarters (halves below 32): there
    it is larger, is seen with less noise, and does not go up and down with the error of the estimate. From a
    q-th of the samples to all it falls at least by q.
    Rewards with atoms at the top have no such bias to speak of in all samples, but in a part may miss the atom;
    for them all samples are used.
    """
    first = _first_pass(table, column, rng, whole=tail.discrete, bias_correction=bias_correction)
    grid = doubling_grid(_LOW / first.scale, _HIGH / first.scale)
    sums, of_cells = np.empty((9, 0)), np.empty((len(cells.size), 0))
    size = _FIRST
    while True:
        start = sums.shape[1]
        lam = grid[start : start + size]
        more = _tabulate(table, column, first, lam, start, cells, bias_correction)
        sums, of_cells = (np.concatenate(pair, axis=1) for pair in zip((sums, of_cells), more, strict=True))
        flat = np.abs(first.kl_at_limit - sums[8]) < 1e-12 * first.kl_at_limit
        last = flat | (sums[3] < _LEAST_ESS * table.n_prompts)
        used = int(np.argmax(last)) + 1 if last.any() else last.size
        means = sums[:8, :used] / table.n_prompts
        cell_curve = of_cells[:, :used]
        if cells.one_prompt:
            estimate = means[2 if bias_correction else 0]
            cell_curve = _over_groups(table.column(column) - first.base[0], grid[:used], estimate, cells)
        curve = AveragedCurve(
            lam=grid[:used],
            plug_in=means[0],
            first_order=means[1],
            second_order=means[2],
            bias=_between(remaining_bias(*means[5:, ::_EVERY]) / first.samples_per_part, used),
            ess=means[3],
            largest_weight=means[4],
            cells=cells,
            cell_curve=cell_curve,
            cell_limit=np.full(len(cells.size), first.limit[0]) if cells.one_prompt else cells.mean(first.limit),
            base_reward=float(first.base.mean()),
            saturated=bool(flat[used - 1]),
            common_ceiling=first.common_ceiling,
            log_samples=float(np.log(table.n_samples).mean()),
        )
        if last.any() or last.size == grid.size:
            return curve
        strained = curve.strain(table.n_prompts, tail)
        if bias_correction and (strained[:-_BEYOND] > 1.0).any():
            return curve
        size = _to_the_end(strained) if bias_correction else _MOST


@dataclass(frozen=True)
class _FirstPass:
    """What the samples tell before any λ: ``base`` is the mean of each prompt and ``limit`` its largest gain.

    ``scale`` is the spread of reward within a prompt, ``kl_at_limit`` the KL of λ = ∞ summed over prompts. ``parts``
    says for each block into how many parts its samples go and which sample into which.
    """

    base: FloatArray
    limit: FloatArray
    scale: float
    kl_at_limit: float
    common_ceiling: bool
    parts: list[tuple[int, npt.NDArray[np.uint8]]]
    samples_per_part: float


def _sorted_blocks(table: RewardTable, column: str) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield prompts of one number of samples, so many as fit the cache: positions, and rewards from the top down."""
    for where, rewards in table.blocks(column, _BLOCK):
        yield where, np.sort(rewards, axis=1)[:, ::-1]


def _first_pass(
    table: RewardTable, column: str, rng: np.random.Generator, *, whole: bool, bias_correction: bool
) -> _FirstPass:
    n_prompts = table.n_prompts
    base, limit = np.empty(n_prompts), np.empty(n_prompts)
    squares = kl_at_limit = samples_per_part = 0.0
    ceiling = table.column(column).max()
    reached = True
    parts = []
    for where, rows in _sorted_blocks(table, column):
        n = rows.shape[1]
        reached &= bool((rows[:, 0] >= ceiling - 1e-9 * abs(ceiling)).all())
        kl_at_limit += float(np.log(n / (rows == rows[:, :1]).sum(axis=1)).sum())
        base[where] = rows.mean(axis=1)
        rows = rows - base[where][:, None]
        squares += float(np.square(rows).mean(axis=1).sum())
        limit[where] = jackknife_maximum(rows) if bias_correction else rows[:, 0]
        n_parts = 1 if whole else max(1, min(_MOST_PARTS, n // _LEAST_PART))
        samples_per_part += len(rows) * n_parts / n_prompts
        label = np.empty((0, n), dtype=np.int64)
        if n_parts > 1:
            label = rng.permuted(np.broadcast_to(np.arange(n) // (n // n_parts), rows.shape), axis=1)
        parts.append((n_parts, label.astype(np.uint8)))
    scale = float(np.sqrt(squares / n_prompts))
    return _FirstPass(base, limit, scale, kl_at_limit, reached, parts, samples_per_part)


def _tabulate(
    table: RewardTable, column: str, first: _FirstPass, lam: FloatArray, start: int, cells: Cells, correct: bool
) -> tuple[FloatArray, FloatArray]:
    """Return sums over prompts at each λ, shape (9, L), and means over cells, (cells, L); ``start`` λ came before.

    The sums are of plug-in, first and second order, effective sample size and largest weight; at every third λ of the
    three orders in parts of the samples; and of the KL's distance, from 0, to that of λ = ∞.
    """
    sums, of_cells = np.zeros((9, lam.size)), np.zeros(len(cells.size) * lam.size)
    thirds = np.flatnonzero((start + np.arange(lam.size)) % _EVERY == 0)
    for (where, rows), (n_parts, label) in zip(_sorted_blocks(table, column), first.parts, strict=True):
        rows = rows - first.base[where][:, None]
        found = jackknife_log_partition(rows, lam)
        orders = (found.plug_in, found.first_order, found.second_order)
        sums[:5] += [values.sum(axis=1) for values in (*orders, found.ess, found.largest_weight)]
        sums[8] += (lam[:, None] * rows[:, 0] - found.plug_in).sum(axis=1)
        if n_parts > 1:
            size = rows.shape[1] // n_parts
            in_parts = [rows[label == k].reshape(len(rows), size) for k in range(n_parts)]
            parts = jackknife_log_partition(np.concatenate(in_parts), lam[thirds])
            sums[5:8, thirds] += [
                v.sum(axis=1) / n_parts for v in (parts.plug_in, parts.first_order, parts.second_order)
            ]
        else:
            sums[5:8, thirds] += [values[thirds].sum(axis=1) for values in orders]
        if not cells.one_prompt:
            place = cells.index[where] * lam.size + np.arange(lam.size)[:, None]
            chosen = found.second_order if correct else found.plug_in
            of_cells += np.bincount(place.reshape(-1), chosen.reshape(-1), of_cells.size)
    return sums, of_cells.reshape(-1, lam.size) / cells.size[:, None]


def _to_the_end(strained: FloatArray) -> int:
    """Return how many λ more the end of the support is guessed to take, from how fast the strain grows."""
    over = np.flatnonzero(strained > 1.0)
    if over.size:
        return int(np.clip(over[0] + _BEYOND + 1 - strained.size, _LEAST, _MOST))
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.log(strained[-1] / strained[-6]) / 5.0
        steps = -np.log(strained[-1]) / growth if growth > 0.0 else np.inf
    return int(np.clip(np.nan_to_num(np.ceil(steps), nan=_MOST, posinf=_MOST) + _BEYOND + 1, _LEAST, _MOST))


def _between(bias: FloatArray, size: int) -> FloatArray:
    """Fill in the bias between every third λ on a logarithmic scale."""
    known = np.log(np.maximum(bias, np.finfo(np.float64).tiny))
    place = np.arange(size) / _EVERY
    below = np.minimum(place.astype(np.int64), len(known) - 1)
    above = np.minimum(below + 1, len(known) - 1)
    part = place - below
    with np.errstate(invalid="ignore"):  # an infinite bound reaches down to the last finite one
        value = np.where(part > 0.0, known[below] + part * (known[above] - known[below]), known[below])
    return np.asarray(np.exp(np.where(np.isnan(value), np.inf, value)))


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
