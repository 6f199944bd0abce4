"""The averaged curve at some λ: sums over prompts and means over cells, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.curve_in_bins import CurveInBins, curve_in_bins
from alignlib.estimation.first_pass import FirstPass, from_the_top
from alignlib.estimation.halves import (
    part_weight,
    parts_of,
)
from alignlib.estimation.jackknife import LogPartitionEstimate, jackknife_log_partition, of_numbers
from alignlib.estimation.second_order_in_bins import bounds_of_correction
from alignlib.estimation.small_tilts import MANY_BLOCKS, narrow_to_wide
from alignlib.estimation.support import known_kl
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["EVERY", "tabulate"]

_BLOCK = 1 << 17  # samples in work at a time
EVERY = 3  # parts are evaluated at every third λ


def tabulate(
    table: RewardTable,
    column: str,
    first: FirstPass,
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

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    first : FirstPass
        What they tell before any λ.
    lam : array (L,)
        λ > 0.
    start : int
        How many λ came before.
    cells : Cells
        The units that are resampled.
    parts : bool
        Whether the way that the bias may still have to go is wanted.
    largest : float, optional
        The largest reward there can be, where it is known.

    Returns
    -------
    sums : array (7, L)
        Over prompts.
    means : array (6, cells, L)
        Over the prompts of each cell.
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
    """What `tabulate` does with a block of prompts."""

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
        rows = (from_the_top(rewards) - base[:, None]) / unit[:, None]
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
        thirds = np.flatnonzero((self.start + np.arange(lam.size)) % EVERY == 0)
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
            thirds = np.flatnonzero((self.start + np.arange(self.lam.size)) % EVERY == 0)
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
    its = curve_in_bins(samples, lam, base, unit)
    below, above = _of_correction(samples, its, lam, lam * (float(samples.bins.most[0]) - base) / unit, unit)
    below, above = (its.open_below + below)[:, None], (its.open_above + above)[:, None]
    return _Counted(its.found, below, above, samples.size, its.square, float(samples.bins.most[0] - base) / unit)


def _of_correction(
    samples: CountedSamples, its: CurveInBins, lam: FloatArray, of_top: FloatArray, unit: float
) -> tuple[FloatArray, FloatArray]:
    """Return how far below and above what the jackknife adds bins leave it; ``of_top`` is λ times the largest."""
    below, above = its.correction_off.copy(), its.correction_off.copy()
    far = np.flatnonzero(np.isinf(below))
    if far.size:
        plug_in, second = its.found.plug_in[far, 0], its.found.second_order[far, 0]
        known = plug_in - of_top[far] - its.open_below[far], plug_in - of_top[far] + its.open_above[far]
        low, high = bounds_of_correction(samples, lam[far] / unit, known)
        added = second - plug_in - of_numbers(samples.size)[1]
        within = np.clip(added, low, high)  # a mean of a bin has no spread, which adds to the correction
        its.found.second_order[far, 0] = second + (within - added)
        below[far], above[far] = np.maximum(within - low, 0.0), np.maximum(high - within, 0.0)
    return below, above


def _add(total: FloatArray, index: IntArray, values: FloatArray) -> None:
    """Add ``values`` (L, prompts) to the cells (cells, L) of their prompts."""
    if len(index) == 1:
        total[index[0]] += values[:, 0]
        return
    place = index.astype(np.int64) * total.shape[1] + np.arange(total.shape[1])[:, None]
    total += np.bincount(place.reshape(-1), values.reshape(-1), total.size).reshape(total.shape)
