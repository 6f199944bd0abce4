"""From a table of rewards to its averaged curve: every prompt's log-partition function, one λ for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.first_pass import FirstPass, first_pass
from alignlib.estimation.halves import (
    either_way,
)
from alignlib.estimation.in_groups import in_groups
from alignlib.estimation.jackknife import doubling_grid
from alignlib.estimation.support import strain
from alignlib.estimation.tabulation import EVERY, tabulate
from alignlib.estimation.tails import TailShape
from alignlib.tables import RewardTable

__all__ = ["averaged_curve"]

_LOW, _HIGH = 1e-2, 1e4  # the grid of λ, in units of 1 over a typical spread of reward
_FIRST, _LEAST, _MOST = 35, 5, 15  # so many λ at once: seven octaves, then what the support seems to need
_BEYOND = 6  # so many λ past the end of the support: more than an octave, for replicates of the bootstrap
_LEAST_ESS = 2.0  # past it the curve is not followed
_OF_LAST = 0.5  # of the step from first to second order, which may go too far: by simulation, of two modes at n = 4
_STEEPNESS = 3.0  # about the power of λ with which the bias grows: between every third λ the rest is interpolated


def averaged_curve(
    table: RewardTable,
    column: str,
    cells: Cells,
    tail: TailShape,
    *,
    bias_correction: bool,
    largest: float | None = None,
    unit: FloatArray | None = None,
) -> AveragedCurve:
    """Tabulate the averaged curve from λ ≈ 0 to past its support, to where nothing changes, or to one sample's weight.

    How far the bias may still go is judged from halves of each prompt's samples: twice the step from halves to all.
    Where no reward exceeds a known ``largest``, one more sample of that size makes a curve whose mean lies above
    instead, ``E log((Σ e^{λr} + e^{λM})/(n+1)) ≥ Λ`` (exchangeability and Jensen), and the plug-in's lies below.
    With a ``unit`` for each prompt, λ is in that unit and a prompt counts in proportion to it: cells then hold the
    means of ``unit Λ(λ/unit)``.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    cells : Cells
        The units that are resampled.
    tail : TailShape
        What the largest rewards say about the tail.
    bias_correction : bool
        Whether the bias of few samples is taken off.
    largest : float, optional
        The largest reward there can be, where it is known.
    unit : array (prompts,), optional
        A unit of reward for each prompt.
    """
    first = first_pass(table, column, unit, cells)
    known, scale = largest is not None, tail.bearing if unit is None else tail.even_bearing
    grid = doubling_grid(_LOW, _HIGH) / first.scale
    sums, of_cells = np.empty((7, 0)), np.empty((6, cells.n_fixed or len(cells.size), 0))
    size = _FIRST
    while True:
        start = sums.shape[1]
        lam = grid[start : start + size]
        more = tabulate(table, column, first, lam, start, cells, parts=bias_correction and not known, largest=largest)
        sums, of_cells = (np.concatenate(pair, axis=-1) for pair in zip((sums, of_cells), more, strict=True))
        flat = np.abs(first.kl_at_limit - sums[5]) < 1e-12 * first.kl_at_limit
        last = flat | ((sums[0] < _LEAST_ESS * table.n_prompts) & (not known))
        used = int(np.argmax(last)) + 1 if last.any() else last.size
        kl, squared, of_known = sums[2:5, :used]
        strained = strain(grid[:used], kl, squared, of_known, scale, 1 if cells.fixed_prompts else table.n_prompts)
        over = bool((strained[:-_BEYOND] > 1.0).any()) and bias_correction and not known
        if last.any() or last.size == grid.size or over:
            break
        size = _to_the_end(strained) if bias_correction and not known else _MOST
    plug_in, second, further, open_below, open_above, first_order = of_cells[..., :used]
    limit, reached = first.limit, None
    if largest is not None:
        most, reached = largest - first.base, first.limit
        limit = np.full(len(cells.size), most.mean()) if cells.fixed_prompts else cells.mean(most)
    nearest = second
    if not known:
        share = np.full(cells.n_fixed, 1.0 / cells.n_fixed) if cells.fixed_prompts else cells.whole[0]
        last, ahead = _OF_LAST * (second - first_order), _between(further, grid[:used])
        nearest, further = (second + part for part in either_way(ahead, last, share))
    if cells.fixed_prompts:
        about, of_limit = _over_groups(table, column, first, grid[:used], cells)
        plug_in, second, nearest, further = (about + part.mean(axis=0) for part in (plug_in, second, nearest, further))
        limit = limit + of_limit
        reached = None if reached is None else reached + of_limit
    chosen = second if bias_correction else plug_in
    bounds = (plug_in, further) if known else (nearest, further) if bias_correction else (chosen,)
    opened = None
    if open_below.any() or open_above.any():
        if cells.fixed_prompts:
            open_below, open_above = open_below.mean(axis=0), open_above.mean(axis=0)
        bounds = (bounds[0] - open_below, bounds[-1] + open_above)
        opened = np.broadcast_to(open_below, bounds[0].shape), np.broadcast_to(open_above, bounds[0].shape)
    return AveragedCurve(
        lam=grid[:used],
        ess=sums[0, :used] / table.n_prompts,
        largest_weight=sums[1, :used] / table.n_prompts,
        cells=cells,
        cell_curve=chosen,
        cell_bounds=bounds,
        hard_bounds=known or opened is not None,
        cell_plug_in=plug_in,
        cell_limit=limit,
        strain=0.0 * strained if known else strained,
        within=np.sqrt(sums[6, :used]) / table.n_prompts,
        base_reward=float(first.base.mean()),
        saturated=bool(flat[used - 1]) and not known,
        common_ceiling=first.common_ceiling,
        log_samples=float(np.log(table.n_samples).mean()),
        cell_reached=reached,
        opened=opened,
    )


def _to_the_end(strained: FloatArray) -> int:
    """Return how many λ more the end of the support is guessed to take, from how fast the strain grows."""
    over = np.flatnonzero(strained > 1.0)
    if over.size:
        return int(np.clip(over[0] + _BEYOND + 1 - strained.size, _LEAST, _MOST))
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.log(strained[-1] / strained[-6]) / 5.0
        steps = -np.log(strained[-1]) / growth if growth > 0.0 else np.inf
    return int(np.clip(np.nan_to_num(np.ceil(steps), nan=_MOST, posinf=_MOST) + _BEYOND + 1, _LEAST, _MOST))


def _between(ahead: FloatArray, lam: FloatArray) -> FloatArray:
    """Fill in, between every third λ, how far the bias may still go; ``ahead`` has shape (cells, L)."""
    growth = (lam / lam[0]) ** _STEEPNESS
    known = ahead[:, ::EVERY] / growth[::EVERY]
    place = np.minimum(np.arange(lam.size) / EVERY, known.shape[1] - 1.0)
    below = np.minimum(place.astype(np.int64), max(known.shape[1] - 2, 0))
    above = np.minimum(below + 1, known.shape[1] - 1)
    return np.asarray((known[:, below] + (place - below) * (known[:, above] - known[:, below])) * growth)


def _over_groups(
    table: RewardTable, column: str, first: FirstPass, lam: FloatArray, cells: Cells
) -> tuple[FloatArray, FloatArray]:
    """Return pseudo-values, about 0, of fixed prompts over groups of their samples: curve (cells, L), limit (cells,).

    The largest gain varies with the mean reward that it is counted from.
    """
    dealt: Iterator[tuple[FloatArray, Callable[[FloatArray], FloatArray]]]
    if table.all_held:
        rewards = table.column(column)
        dealt = ((rewards[where], _adding(own)) for where, own in cells.of_each)
    else:
        known = in_groups(table, column, len(cells.size) // cells.n_fixed)
        dealt = ((one.value, one.counts.__matmul__) for one in known)
    curves, limits = [], []
    for (value, sums), base, unit in zip(dealt, first.base.tolist(), first.unit.tolist(), strict=True):
        curve, limit = _over_groups_of((value - base) / unit, lam, sums)
        curves.append(unit * curve)
        limits.append(unit * limit)
    return cells.joined(curves), cells.joined(limits)


def _adding(cells: Cells) -> Callable[[FloatArray], FloatArray]:
    """Return what adds up samples over their groups."""

    def add(values: FloatArray) -> FloatArray:
        return np.bincount(cells.index, values).astype(np.float64)

    return add


def _over_groups_of(
    rewards: FloatArray, lam: FloatArray, sums: Callable[[FloatArray], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return those of one prompt; ``sums`` adds up over each group what it is given for each reward."""
    counts, of_rewards = sums(np.ones(len(rewards))), sums(rewards)
    kept = counts.sum() - counts
    mean_kept = (of_rewards.sum() - of_rewards) / kept
    top = rewards.max()
    curve = np.empty((len(counts), len(lam)))
    for place, value in enumerate(lam):
        group = sums(np.exp(value * (rewards - top)))
        rest = np.maximum(group.sum() - group, np.finfo(np.float64).tiny)
        curve[:, place] = np.log(rest / kept) + value * (top - mean_kept)
    pseudo = -(len(counts) - 1) * curve
    of_limit = (len(counts) - 1) * mean_kept
    return pseudo - pseudo.mean(axis=0), of_limit - of_limit.mean()
