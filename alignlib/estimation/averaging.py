"""From a table of rewards to the averaged curve, and to what its jackknife may leave of bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.dual import lam_grid
from alignlib.estimation.jackknife import jackknife_log_partition, jackknife_maximum
from alignlib.estimation.prompt_curves import AveragedCurves
from alignlib.estimation.support import remaining_bias
from alignlib.estimation.tails import TailTest
from alignlib.tables import RewardTable

__all__ = ["averaged_curves"]

_BLOCK = 1 << 15  # samples in work at a time: fits the cache
_LEAST_ESS = 2.0  # past it the curve is not followed
_LEAST_PART = 8
_MOST_PARTS = 4
_EVERY = 3  # parts are evaluated at every third λ


@dataclass(frozen=True)
class _Block:
    """Prompts of one number of samples: rewards from the top down, centred, and the same in random parts."""

    where: IntArray
    rows: FloatArray
    parts: FloatArray  # (parts · prompts, n // parts)
    n_parts: int


def averaged_curves(
    table: RewardTable,
    column: str,
    cells: Cells,
    rng: np.random.Generator,
    tail: TailTest,
    *,
    bias_correction: bool,
) -> AveragedCurves:
    """Tabulate the averaged curve from λ ≈ 0 to where one sample carries the weight, or nothing changes.

    The bias that remains is judged from random parts of each prompt's samples, quarters (halves below 32): there
    it is larger, is seen with less noise, and does not go up and down with the error of the estimate. From a
    q-th of the samples to all it falls at least by q.
    Rewards with atoms at the top have no such bias to speak of in all samples, but in a part may miss the atom;
    for them all samples are used.
    """
    n_prompts, n_cells = table.n_prompts, len(cells.size)
    base, limit = np.empty(n_prompts), np.empty(n_prompts)
    squares = d_limit = scale = 0.0
    blocks = []
    ceiling = table.column(column).max()
    reached = True
    for block in _blocks(table, column, base, rng, whole=tail.discrete):
        rows = block.rows
        blocks.append(block)
        squares += float(np.square(rows).mean(axis=1).sum())
        reached &= bool((rows[:, 0] + base[block.where] >= ceiling - 1e-9 * abs(ceiling)).all())
        limit[block.where] = jackknife_maximum(rows) if bias_correction else rows[:, 0]
        d_limit += float(np.log(rows.shape[1] / (rows == rows[:, :1]).sum(axis=1)).sum())
        scale += len(rows) * block.n_parts / n_prompts

    lam = lam_grid(np.sqrt(squares / n_prompts))
    means = np.zeros((8, len(lam)))
    cell_curve = np.zeros((n_cells, len(lam)))
    chosen = np.empty(n_prompts)
    used, saturated = len(lam), False
    for index, value in enumerate(lam):
        missing = d_limit
        for block in blocks:
            one = jackknife_log_partition(block.rows, float(value))
            chosen[block.where] = one.second_order if bias_correction else one.plug_in
            means[:5, index] += [
                values.sum() for values in (one.plug_in, one.first_order, one.second_order, one.ess, one.largest_weight)
            ]
            if index % _EVERY == 0:
                part = one if block.n_parts == 1 else jackknife_log_partition(block.parts, float(value))
                orders = (part.plug_in, part.first_order, part.second_order)
                means[5:, index] += [values.sum() / block.n_parts for values in orders]
            missing -= float((value * block.rows[:, 0] - one.plug_in).sum())
        cell_curve[:, index] = chosen if cells.one_prompt else cells.mean(chosen)
        saturated = abs(missing) < 1e-12 * d_limit
        if saturated or means[3, index] < _LEAST_ESS * n_prompts:
            used = index + 1
            break
    means, cell_curve = means[:, :used] / n_prompts, cell_curve[:, :used]
    if cells.one_prompt:
        cell_curve = _over_groups(table.column(column) - base[0], lam[:used], cell_curve[0], cells)
    return AveragedCurves(
        lam=lam[:used],
        plug_in=means[0],
        first_order=means[1],
        second_order=means[2],
        bias=_between(lam[:used], remaining_bias(*means[5:, ::_EVERY]) / scale),
        ess=means[3],
        largest_weight=means[4],
        cells=cells,
        cell_curve=cell_curve,
        cell_limit=np.full(n_cells, limit[0]) if cells.one_prompt else cells.mean(limit),
        base_reward=float(base.mean()),
        saturated=saturated,
        common_ceiling=reached,
        log_samples=float(np.log(table.n_samples).mean()),
    )


def _between(lam: FloatArray, bias: FloatArray) -> FloatArray:
    """Fill in the bias between every third λ on a logarithmic scale."""
    known = np.log(np.maximum(bias, np.finfo(np.float64).tiny))
    place = np.arange(len(lam)) / _EVERY
    below = np.minimum(place.astype(np.int64), len(known) - 1)
    above = np.minimum(below + 1, len(known) - 1)
    part = place - below
    with np.errstate(invalid="ignore"):  # an infinite bound reaches down to the last finite one
        value = np.where(part > 0.0, known[below] + part * (known[above] - known[below]), known[below])
    return np.asarray(np.exp(np.where(np.isnan(value), np.inf, value)))


def _blocks(
    table: RewardTable, column: str, base: FloatArray, rng: np.random.Generator, *, whole: bool
) -> list[_Block]:
    """Sort, centre and part the samples of all prompts, in blocks that fit the cache; fills in ``base``."""
    blocks = []
    for positions, rewards in table.blocks(column):
        n = rewards.shape[1]
        n_parts = 1 if whole else max(1, min(_MOST_PARTS, n // _LEAST_PART))
        size = n // n_parts
        step = max(1, _BLOCK // n)
        for start in range(0, len(positions), step):
            where = positions[start : start + step]
            rows = -np.sort(-rewards[start : start + step], axis=1)
            base[where] = rows.mean(axis=1)
            rows -= base[where][:, None]
            parts = rows
            if n_parts > 1:
                label = rng.permuted(np.broadcast_to(np.arange(n) // size, rows.shape), axis=1)
                parts = np.concatenate([rows[label == k].reshape(len(rows), size) for k in range(n_parts)])
            blocks.append(_Block(where, rows, parts, n_parts))
    return blocks


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
