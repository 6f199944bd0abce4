"""Whether rewards can make bins: whole numbers of which the least and the largest are known have few sums.

Of n whole numbers from a to b, both of which occur, the excess over a adds up to ``b - a`` at least and to
``(n - 1)(b - a)`` at most, and its squares lie between those of equal numbers and those of numbers at both ends.
Another program may have written bins, or changed them since; one number that cannot be shows that it has.

Of three numbers or fewer, and of equal ones, the ends and the sum tell each, and so the squares; of any, squares add up
to an odd number where they do. A change beyond that which leaves all sums of some rewards cannot be found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib.scale.bins import STEPS, Bins, steps_of
from alignlib.scale.further import Further
from alignlib.scale.heads import measured
from alignlib.scale.summary import Summary
from alignlib.scale.summary_checks import damaged
from alignlib.tables import LARGEST_REWARD

__all__ = ["check_bins", "check_ends", "check_turned", "seen"]

_MASK = (1 << STEPS) - 1
_MOST_COUNT, _MOST_INDEX = 1 << 32, 1 << 30
_ROUNDED = 4e-15  # of sums that are computed as floats, whole numbers below 2⁵³ exactly


def check_ends(
    name: str, least: FloatArray, most: FloatArray, width: float, path: str, *, unknown: bool = False
) -> None:
    """Refuse the least and the largest values of bins where no reward may be.

    Parameters
    ----------
    name : str
        The reward.
    least, most : array (bins,)
        The ends.
    width : float
        Of the bins of this reward.
    path : str
        What messages call the file.
    unknown : bool
        Whether both of a bin may be infinite, as where a summary of an earlier version was merged.

    Raises
    ------
    InputError
        With the first of them.
    """
    told = ~((least == -np.inf) & (most == np.inf)) if unknown else np.ones(len(least), dtype=bool)
    for values in (least, most):
        bad = told & ~_has_place(values, width)
        if bad.any():
            raise damaged(path, f"its bins hold {values[int(np.argmax(bad))]:g} as a value of {name!r}")


def check_bins(bins: Bins, widths: Sequence[float], path: str) -> None:
    """Refuse bins that no rewards fall into.

    Parameters
    ----------
    bins : Bins
        As they were read.
    widths : sequence of float
        Of the bins of each reward.
    path : str
        What messages call the file.

    Raises
    ------
    InputError
        With the first of them.
    """
    if not len(bins.row):
        return
    if not widths:
        raise damaged(path, "it has bins and no width")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of numbers that are refused
        first, ok = _first(bins, widths[0])
        for its, width in zip(bins.others, widths[1:] or widths, strict=False):
            ok &= _of_further(bins, first, its, width)
    if not ok.all():
        k = int(np.argmin(ok))
        raise damaged(path, f"no rewards make its bin {bins.index[k]} with count {bins.count[k]}")
    if ((np.diff(bins.row) == 0) & (np.diff(bins.index) <= 0)).any():
        raise damaged(path, "its bins are out of order")


def check_turned(bins: Bins, turned: Bins, path: str) -> None:
    """Refuse bins by gold of other samples than those by the reward.

    Parameters
    ----------
    bins : Bins
        By the reward; the first of its further columns is gold.
    turned : Bins
        By gold; the first of its further columns is the reward, in the same steps.
    path : str
        What messages call the file.

    Raises
    ------
    InputError
        Where a prompt has another sum of rewards, or other ends.
    """
    if not len(bins.row):
        return
    starts, places = (np.flatnonzero(np.diff(one.row, prepend=-1)) for one in (bins, turned))
    steps = ((bins.index * bins.count) << STEPS) + bins.total
    its = turned.others[0]
    same = [np.add.reduceat(steps, starts) == np.add.reduceat((its.high << STEPS) + its.low, places)]
    gold = bins.others[0]
    for mine, other in ((bins, its), (gold, turned)):
        if np.isfinite(mine.least).all() and np.isfinite(other.least).all():  # else of an earlier version
            same.append(np.minimum.reduceat(mine.least, starts) == np.minimum.reduceat(other.least, places))
            same.append(np.maximum.reduceat(mine.most, starts) == np.maximum.reduceat(other.most, places))
    if not np.all(same):
        raise damaged(path, "its bins by gold are of other samples than the others")


def seen(summary: Summary, column: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return what is the same of a column wherever it stands beside others.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.
    column : int
        Its place.

    Returns
    -------
    steps : array of int (prompts,)
        The sum of its rewards in steps of its bins, rounded down, modulo 2⁶⁴.
    least, most : array (prompts,)
        Its ends.
    """
    steps = np.zeros(len(summary.sizes), dtype=np.int64)
    _, least, most = measured(summary)[column]
    exact, bins = ~summary.binned, summary.bins
    sizes = summary.sizes[exact]
    if len(sizes):
        places = steps_of(summary.values[column], summary.widths[column])
        steps[exact] = np.add.reduceat(places, np.cumsum(sizes) - sizes)
    if len(bins.row):
        if column:
            its = bins.others[column - 1]
            of_bins = (its.high << STEPS) + its.low
        else:
            of_bins = ((bins.index * bins.count) << STEPS) + bins.total
        np.add.at(steps, bins.row, of_bins)
    return steps, least, most


class _Excess(NamedTuple):
    """Whole numbers less the least of them: the largest, their sum and the sum of their squares, with its rounding."""

    span: FloatArray
    total: FloatArray
    squares: FloatArray
    off: FloatArray

    @classmethod
    def of(cls, n: FloatArray, low: IntArray, high: IntArray, total: IntArray, squares: FloatArray) -> _Excess:
        """Return that of n numbers from ``low`` to ``high``."""
        least, crossed = low.astype(np.float64), 2.0 * low * total.astype(np.float64)
        off = _ROUNDED * (squares + np.abs(crossed) + n * np.square(least))
        excess = (total - low * n.astype(np.int64)).astype(np.float64)
        return cls((high - low).astype(np.float64), excess, squares - crossed + n * np.square(least), off)

    def possible(self, n: FloatArray, rounded_up: FloatArray | None = None) -> BoolArray:
        """Whether numbers can have these sums; where squares are not known they are the most, rounded up by so much."""
        others, rest = np.maximum(n - 2.0, 0.0), self.total - self.span
        about = self.squares - np.square(self.span)
        ok = _total_possible(n, self.span, self.total, 0.0)
        ok &= np.square(rest) / np.maximum(others, 1.0) <= about + self.off
        if rounded_up is None:
            most = np.where(others == 1.0, np.square(rest), self.span * rest)
        else:
            most = self.span * rest + rounded_up
        return np.asarray(ok & (about <= most + self.off))

    def spread(self, n: FloatArray) -> FloatArray:
        """Return the sum of squares about the mean, at most."""
        return np.asarray(np.maximum(self.squares - np.square(self.total) / n, 0.0) + self.off)


def _total_possible(n: FloatArray, span: FloatArray, total: FloatArray, off: FloatArray | float) -> BoolArray:
    return np.asarray((span >= 0.0) & (span <= total + off) & (total <= (n - 1.0) * span + off))


def _squares(count: IntArray, low: IntArray, high: IntArray, total: IntArray) -> tuple[BoolArray, IntArray, IntArray]:
    """Return where the squares of whole numbers follow from their ends and sum, and these sums in two parts.

    >>> _squares(*np.array([[1, 3, 5, 4], [7, 1, 2, 0], [7, 4, 2, 3], [7, 7, 10, 5]]))[::2]
    (array([ True,  True,  True, False]), array([49, 21, 20,  0]))
    """
    few = np.square(low) + np.where(count > 1, np.square(high), 0)
    few += np.where(count == 3, np.square(total - low - high), 0)
    upper, lower = np.square(low) >> STEPS, np.square(low) & _MASK
    fits = count.astype(np.float64) * upper < 2.0**62
    upper, lower = count * upper + ((count * lower) >> STEPS), (count * lower) & _MASK
    known = (count <= 3) | ((low == high) & fits)
    equal = (low == high) & (count > 3)
    upper, lower = np.where(equal, upper, few >> STEPS), np.where(equal, lower, few & _MASK)
    return np.asarray(known), np.where(known, upper, 0), np.where(known, lower, 0)


def _has_place(values: FloatArray, width: float) -> BoolArray:
    """Whether a value may be a reward, whose bin has a number."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray((np.abs(values) <= LARGEST_REWARD) & (np.abs(np.floor(values / width)) < _MOST_INDEX))


def _in_two(high: IntArray, low: IntArray) -> FloatArray:
    """Return sums that are kept in two parts."""
    return np.asarray(np.ldexp(high.astype(np.float64), STEPS) + low.astype(np.float64))


def _rests(n: FloatArray, values: IntArray) -> BoolArray:
    return np.asarray((values >= 0) & (values <= n * float(_MASK)))


def _ends(n: FloatArray, least: FloatArray, most: FloatArray) -> BoolArray:
    return np.asarray((least <= most) & ((n > 1.0) | (least == most)))


def _first(bins: Bins, width: float) -> tuple[_Excess, BoolArray]:
    """Return the steps of the rewards within each bin, and which bins can be."""
    n = bins.count.astype(np.float64)
    low, high = (steps_of(one, width) for one in (bins.least, bins.most))
    squares = _in_two(bins.square_high, bins.square_low)
    steps = _Excess.of(n, low & _MASK, high & _MASK, bins.total, squares)
    ok = (bins.count >= 1) & (bins.count < _MOST_COUNT) & (np.abs(bins.index) < _MOST_INDEX)
    ok &= _has_place(bins.least, width) & _has_place(bins.most, width) & _ends(n, bins.least, bins.most)
    ok &= (low >> STEPS == bins.index) & (high >> STEPS == bins.index)
    ok &= _rests(n, bins.total) & _rests(n, bins.square_low) & (bins.square_high >= 0)
    ok &= (bins.square_low ^ bins.total) & 1 == 0  # a number is odd where its square is
    known, upper, lower = _squares(bins.count, low & _MASK, high & _MASK, bins.total)
    upper, lower = upper - bins.square_high - (bins.square_low >> STEPS), lower - (bins.square_low & _MASK)
    ok &= ~known | ((upper == 0) & (lower == 0))
    return steps, ok & steps.possible(n)


def _of_further(bins: Bins, first: _Excess, its: Further, width: float) -> BoolArray:
    """Whether values of a further column can make what bins hold of it."""
    n = bins.count.astype(np.float64)
    ok = (np.abs(its.high) <= n * float(_MOST_INDEX)) & (np.abs(its.cross_high) <= n * float(_MOST_INDEX))
    ok &= _rests(n, its.low) & _rests(n, its.cross_low) & _rests(n, its.square_low) & (its.square_high >= 0)
    unknown = (its.least == -np.inf) & (its.most == np.inf)  # of an earlier version, which has sums alone
    low, high = (steps_of(one, width) for one in (its.least, its.most))
    squares = _in_two(its.square_high, its.square_low)
    whole = _Excess.of(n, low >> STEPS, high >> STEPS, its.high, squares)
    upper = np.ldexp(whole.total, STEPS)  # of the excess in steps
    lower = (its.low - (low & _MASK) * bins.count).astype(np.float64)
    off = _ROUNDED * (np.abs(upper) + np.abs(lower))
    known = _has_place(its.least, width) & _has_place(its.most, width) & _ends(n, its.least, its.most)
    known &= _total_possible(n, (high - low).astype(np.float64), upper + lower, np.where(off < 0.5, 0.0, off))
    rest = (low & _MASK) + np.where(bins.count > 1, high & _MASK, 0)  # steps of the two ends; others have any
    known &= (its.low >= rest) & (its.low <= rest + np.maximum(bins.count - 2, 0) * _MASK)
    known &= whole.possible(n, 2.0 * (1 << STEPS) * n)  # as Further.without_squares rounds up the most that they may be
    known &= _squares_at_least(bins.count, low >> STEPS, high >> STEPS, its)
    product = _in_two(its.cross_high, its.cross_low)
    count = np.maximum(bins.count, 1)
    equal = (first.span == 0.0) | (whole.span == 0.0)  # u or h, and the products add up to one times the other's sum
    exact = np.where(first.span == 0.0, bins.total // count * its.high, its.high // count * bins.total)
    fits = np.abs(product) < 2.0**62
    known &= ~(equal & fits) | (exact == (its.cross_high << STEPS) + its.cross_low)
    apart = bins.total.astype(np.float64) * its.high / n
    off = _ROUNDED * (np.abs(product) + np.abs(apart))
    together = np.sqrt(first.spread(n) * whole.spread(n))
    known &= np.abs(product - apart) <= together * (1.0 + _ROUNDED) + off  # Cauchy and Schwarz
    of_two = 0.5 * first.span * whole.span  # which go up together, or one up and one down
    known &= (n != 2.0) | (np.abs(np.abs(product - apart) - of_two) <= off + _ROUNDED * of_two)
    return np.asarray(ok & (unknown | known))


def _squares_at_least(count: IntArray, low: IntArray, high: IntArray, its: Further) -> BoolArray:
    """Whether squares that follow from ends and sum are those kept, or less than what stands where they are unknown.

    A summary merged with one of an earlier version, without squares, holds more; of a single sample just so much.
    """
    known, upper, lower = _squares(count, low, high, its.high)
    upper, lower = its.square_high + (its.square_low >> STEPS) - upper, (its.square_low & _MASK) - lower
    as_kept = (upper == 0) & (lower == 0)
    some = (upper > 0) | ((upper == 0) & (lower >= 0))
    square = np.square(low)
    rounded = (its.square_low == 0) & (its.square_high == -(-square >> STEPS) + 1)
    exact = np.abs(low) < 1 << 26  # whose squares are whole in floats, which the rounding is done in
    return np.asarray(~known | as_kept | (some & ~((count == 1) & exact)) | ((count == 1) & rounded))
