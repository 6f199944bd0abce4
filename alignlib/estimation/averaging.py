"""From a table of rewards to its averaged curve: every prompt's log-partition function, one λ for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.counted import jackknife_of_counts
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.halves import (
    MANY_PROMPTS,
    canonical_class,
    canonical_rank,
    either_way,
    part_weight,
    parts_of,
    sort_keys,
)
from alignlib.estimation.in_groups import in_groups
from alignlib.estimation.jackknife import LogPartitionEstimate, doubling_grid, jackknife_log_partition
from alignlib.estimation.small_tilts import MANY_BLOCKS, narrow_to_wide
from alignlib.estimation.support import known_kl, strain
from alignlib.estimation.tails import TailShape
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["averaged_curve"]

_BLOCK = 1 << 17  # samples in work at a time
_LOW, _HIGH = 1e-2, 1e4  # the grid of λ, in units of 1 over a typical spread of reward
_FIRST, _LEAST, _MOST = 35, 5, 15  # so many λ at once: seven octaves, then what the support seems to need
_BEYOND = 6  # so many λ past the end of the support: more than an octave, for replicates of the bootstrap
_LEAST_ESS = 2.0  # past it the curve is not followed
_EVERY = 3  # parts are evaluated at every third λ
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
    first = _first_pass(table, column, unit, cells)
    known, scale = largest is not None, tail.bearing if unit is None else tail.even_bearing
    grid = doubling_grid(_LOW, _HIGH) / first.scale
    sums, of_cells = np.empty((7, 0)), np.empty((6, cells.n_fixed or len(cells.size), 0))
    size = _FIRST
    while True:
        start = sums.shape[1]
        lam = grid[start : start + size]
        more = _tabulate(table, column, first, lam, start, cells, parts=bias_correction and not known, largest=largest)
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
    limit = first.limit
    if largest is not None:
        most = largest - first.base
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
    chosen = second if bias_correction else plug_in
    bounds = (plug_in, further) if known else (nearest, further) if bias_correction else (chosen,)
    in_bins = bool(open_below.any() or open_above.any())
    if in_bins:
        if cells.fixed_prompts:
            open_below, open_above = open_below.mean(axis=0), open_above.mean(axis=0)
        bounds = (bounds[0] - open_below, bounds[-1] + open_above)
    return AveragedCurve(
        lam=grid[:used],
        ess=sums[0, :used] / table.n_prompts,
        largest_weight=sums[1, :used] / table.n_prompts,
        cells=cells,
        cell_curve=chosen,
        cell_bounds=bounds,
        hard_bounds=known or in_bins,
        cell_plug_in=plug_in,
        cell_limit=limit,
        strain=0.0 * strained if known else strained,
        within=np.sqrt(sums[6, :used]) / table.n_prompts,
        base_reward=float(first.base.mean()),
        saturated=bool(flat[used - 1]) and not known,
        common_ceiling=first.common_ceiling,
        log_samples=float(np.log(table.n_samples).mean()),
    )


@dataclass(frozen=True, eq=False)
class _FirstPass(SameFields):
    """What the samples tell before any λ: ``base`` is the mean of each prompt, ``limit`` the largest gain of each cell.

    ``scale``, the spread of reward within a prompt, is in the ``unit`` of each prompt. ``kl_at_limit`` is the KL of
    λ = ∞ summed over prompts, ``rank`` the place of each prompt in an order that the rewards define, or its class.
    """

    base: FloatArray
    unit: FloatArray
    limit: FloatArray
    scale: float
    kl_at_limit: float
    common_ceiling: bool
    rank: npt.NDArray[Any]


def _sorted(rewards: FloatArray) -> FloatArray:
    """Return the rewards of each prompt from the top down."""
    return np.sort(rewards, axis=1)[:, ::-1]


def _first_pass(table: RewardTable, column: str, given: FloatArray | None, cells: Cells) -> _FirstPass:
    n_prompts = table.n_prompts
    many = n_prompts > MANY_PROMPTS  # nothing is kept of each but its mean and a byte
    base, keys = np.empty(n_prompts), np.empty((0 if many else 4, n_prompts))
    classes, limit = np.zeros(n_prompts if many else 0, dtype=np.uint8), np.zeros(len(cells.size))
    squares = kl_at_limit = 0.0
    lowest, ceiling = table.extremes(column)
    unit = np.broadcast_to(1.0, n_prompts) if given is None else given
    span = ceiling - lowest if given is None else 1.0
    reached = True
    top = ceiling - 1e-9 * abs(ceiling)

    def add_limit(where: IntArray, most: FloatArray) -> None:
        if cells.fixed_prompts:
            limit[:] += most.sum() / n_prompts
        else:
            limit[:] += np.bincount(cells.index[where], most, len(limit)) / cells.size

    work = partial(_first_of_block, top=top, span=span, many=many)
    for where, found in table.each(work, [column], _BLOCK, unit):
        base[where], most, told, some, spent, reach = found
        (classes if many else keys)[..., where] = told
        add_limit(where, most)
        squares, kl_at_limit, reached = squares + some, kl_at_limit + spent, reached and reach
    for one, its in table.each_counted(partial(_first_of_counted, top=top, span=span), column, unit):
        base[one], most, some, spent, reach = its
        add_limit(np.array([one]), np.array([most]))
        if not many:
            keys[:, one] = 0.0
        squares, kl_at_limit, reached = squares + some, kl_at_limit + spent, reached and reach
    scale = span * float(np.sqrt(squares / n_prompts))
    rank: npt.NDArray[Any] = classes if many else canonical_rank(keys, scale)
    return _FirstPass(base, unit, limit, scale, kl_at_limit, reached, rank)


def _first_of_block(
    rewards: FloatArray, unit: FloatArray, *, top: float, span: float, many: bool
) -> tuple[FloatArray, FloatArray, npt.NDArray[Any], float, float, bool]:
    """Return of a block base, limit, keys, and its part of the spread, of the KL at λ = ∞, and of what is reached."""
    rows = _sorted(rewards)
    reached = bool((rows[:, 0] >= top).all())
    kl_at_limit = float(np.log(rows.shape[1] / (rows == rows[:, :1]).sum(axis=1)).sum())
    base = rows.mean(axis=1)
    rows = (rows - base[:, None]) / unit[:, None]
    squares = float(np.square(rows / span).mean(axis=1).sum())
    told = canonical_class(rows) if many else sort_keys(rows)
    return base, rows[:, 0] * unit, told, squares, kl_at_limit, reached


def _first_of_counted(
    samples: CountedSamples, unit: float, *, top: float, span: float
) -> tuple[float, float, float, float, bool]:
    """Return the same of one prompt whose samples are in bins, which has no keys."""
    base, n = samples.mean, samples.size
    centred = (samples.value - base) / unit
    kl_at_limit = float(np.log(n / samples.count[samples.value == samples.value[0]].sum()))
    squares = float(samples.count @ np.square(centred / span)) / n
    return base, float(centred[0]) * unit, squares, kl_at_limit, bool(samples.value[0] >= top)


def _tabulate(
    table: RewardTable,
    column: str,
    first: _FirstPass,
    lam: FloatArray,
    start: int,
    cells: Cells,
    *,
    parts: bool,
    largest: float | None,
) -> tuple[FloatArray, FloatArray]:
    """Return sums over prompts at each λ, shape (7, L), and means over cells, (6, cells, L); ``start`` λ came before.

    The sums are of effective sample size, largest weight, KL, its square, its square over `known_kl`, the KL's
    distance, from 0, to that of λ = ∞, and, by the delta method, the variance of Λ that a prompt's samples leave. The
    means are of plug-in and second order, and, at every third λ, of the way that the bias may still have to go, or,
    with a ``largest`` reward, of the curve above, of how far below and above bins leave the curve open, and of the
    first order; where prompts are fixed each is a cell here.
    """
    work = _Tabulation(lam, start, cells.n_fixed or len(cells.size), table.n_prompts, parts, largest)
    of_cells, sums = np.zeros((6, work.n_cells, lam.size)), np.zeros((7, lam.size))
    index = np.arange(table.n_prompts) if cells.fixed_prompts else cells.index
    known = (first.base, first.unit, first.rank, index)
    for _, (some, of_some) in table.each(work, [column], MANY_BLOCKS, *known, add=True):
        sums += some
        of_cells += of_some
    for where, its in table.each_counted(partial(_of_counted, lam=lam), column, first.base, first.unit):
        one = np.array([where])
        work.add_counted(sums, of_cells, its, first.base[one], first.unit[one], index[one])
    return sums, of_cells if cells.fixed_prompts else of_cells / cells.size[:, None]


@dataclass(frozen=True, eq=False)
class _Tabulation(SameFields):
    """What `_tabulate` does with a block of prompts."""

    lam: FloatArray
    start: int
    n_cells: int
    n_prompts: int
    parts: bool
    largest: float | None

    def __call__(
        self, rewards: FloatArray, base: FloatArray, unit: FloatArray, rank: IntArray, index: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        sums, of_cells = np.zeros((7, self.lam.size)), np.zeros((6, self.n_cells, self.lam.size))
        rows = (_sorted(rewards) - base[:, None]) / unit[:, None]
        for some in narrow_to_wide(rows, _BLOCK):
            self._add_block(sums, of_cells, rows[some], base[some], unit[some], rank[some], index[some])
        return sums, of_cells

    def _add_block(
        self,
        sums: FloatArray,
        of_cells: FloatArray,
        rows: FloatArray,
        base: FloatArray,
        unit: FloatArray,
        rank: IntArray,
        index: IntArray,
    ) -> None:
        """Add what is known of prompts whose samples lie about as far apart, in their units and sorted."""
        lam, n = self.lam, rows.shape[1]
        thirds = np.flatnonzero((self.start + np.arange(lam.size)) % _EVERY == 0)
        found = jackknife_log_partition(rows, lam)
        self._add(sums, of_cells, found, n, np.square(rows).mean(axis=1), rows[:, 0], base, unit, index)
        if self.parts and thirds.size:
            whole = found.second_order[thirds]
            step = whole - found.first_order[thirds]  # of three samples there are no parts
            if n > 3:
                some = parts_of(rows, rank, self.n_prompts)
                in_parts = jackknife_log_partition(some.reshape(-1, some.shape[2]), lam[thirds]).second_order
                step = whole - in_parts.reshape(thirds.size, *some.shape[:2]).mean(axis=1)
            ahead = np.zeros((lam.size, len(rows)))
            ahead[thirds] = step * unit * (part_weight(n) if n > 3 else 2.0)
            _add(of_cells[2], index, ahead)

    def add_counted(
        self,
        sums: FloatArray,
        of_cells: FloatArray,
        its: _Counted,
        base: FloatArray,
        unit: FloatArray,
        index: IntArray,
    ) -> None:
        """Add a prompt whose samples are in bins; how far its bias may go is the step from first to second order."""
        found, of_one = its.found, (np.array([its.square]), np.array([its.top]))
        self._add(sums, of_cells, found, its.size, *of_one, base, unit, index)
        _add(of_cells[3], index, unit * its.open_below)
        _add(of_cells[4], index, unit * its.open_above)
        if self.parts:
            step = unit * np.abs(found.second_order - found.first_order)
            thirds = np.flatnonzero((self.start + np.arange(self.lam.size)) % _EVERY == 0)
            ahead = np.zeros((self.lam.size, 1))
            ahead[thirds] = 2.0 * step[thirds]
            _add(of_cells[2], index, ahead)

    def _add(
        self,
        sums: FloatArray,
        of_cells: FloatArray,
        found: LogPartitionEstimate,
        n: int,
        square: FloatArray,
        top: FloatArray,
        base: FloatArray,
        unit: FloatArray,
        index: IntArray,
    ) -> None:
        """Add what is known of prompts with n samples each, ``square`` the mean of their squares, ``top`` the first."""
        lam = self.lam
        squared = np.square(found.kl)
        total = squared.sum(axis=1)
        sums[:5] += (
            found.ess.sum(axis=1), found.largest_weight.sum(axis=1), found.kl.sum(axis=1), total, total / known_kl(n)
        )  # fmt: skip
        sums[5] += (lam[:, None] * top - found.plug_in).sum(axis=1)
        spread = n / found.ess - 1.0 - 2.0 * (found.kl + found.plug_in) + lam[:, None] ** 2 * square
        sums[6] += (np.square(unit) * np.maximum(spread, 0.0)).sum(axis=1) / n
        _add(of_cells[0], index, unit * found.plug_in)
        _add(of_cells[1], index, unit * found.second_order)
        _add(of_cells[5], index, unit * found.first_order)
        if self.largest is not None:
            one_more = np.logaddexp(np.log(n) + found.plug_in, lam[:, None] * (self.largest - base))
            _add(of_cells[2], index, one_more - np.log(n + 1.0))


@dataclass(frozen=True, eq=False)
class _Counted(SameFields):
    """Estimates of one prompt in bins, how far bins leave them open, (L, 1), and of its samples number, square, top."""

    found: LogPartitionEstimate
    open_below: FloatArray
    open_above: FloatArray
    size: int
    square: float
    top: float


def _of_counted(samples: CountedSamples, base: float, unit: float, *, lam: FloatArray) -> _Counted:
    """Estimate what `_Tabulation.add_counted` adds."""
    value = (samples.value - base) / unit
    found = jackknife_of_counts(value, samples.count, lam)
    low, high = ((one - lam * base / unit)[:, None] for one in samples.log_partition_bounds(lam / unit))
    # The jackknife's step is made of sums of the same kind, which bins leave open in the same proportion.
    own = np.abs(found.second_order - found.plug_in)
    own *= np.minimum(np.square(2.0 * lam * samples.widest / unit), 1.0)[:, None]
    return _Counted(
        found,
        np.maximum(found.plug_in - low, 0.0) + own,
        np.maximum(high - found.plug_in, 0.0) + own,
        samples.size,
        float(samples.count @ np.square(value) / samples.count.sum()),
        float(value[0]),
    )


def _add(total: FloatArray, index: IntArray, values: FloatArray) -> None:
    """Add ``values`` (L, prompts) to the cells (cells, L) of their prompts."""
    place = index.astype(np.int64) * total.shape[1] + np.arange(total.shape[1])[:, None]
    total += np.bincount(place.reshape(-1), values.reshape(-1), total.size).reshape(total.shape)


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
    known = ahead[:, ::_EVERY] / growth[::_EVERY]
    place = np.minimum(np.arange(lam.size) / _EVERY, known.shape[1] - 1.0)
    below = np.minimum(place.astype(np.int64), max(known.shape[1] - 2, 0))
    above = np.minimum(below + 1, known.shape[1] - 1)
    return np.asarray((known[:, below] + (place - below) * (known[:, above] - known[:, below])) * growth)


def _over_groups(
    table: RewardTable, column: str, first: _FirstPass, lam: FloatArray, cells: Cells
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
