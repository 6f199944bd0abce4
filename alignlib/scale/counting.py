"""Bins of one prompt that has many samples: counted in place, in pieces that fit into a processor's cache.

The same whole numbers as `Bins.of` gives for any rows, at a fifth of its cost: what the two share is `Bins`. A reward's
place in steps is one whole number, whose upper bits are the bin and whose lower ones the step within it. Two additions
in place do for count, sum and sum of squares. Least and largest rewards are looked for among those near the ends of
their bins, where these have many, and among all in the tails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib.scale.bins import STEPS, Bins, check_index, steps_of
from alignlib.scale.further import Further

__all__ = ["bins_of_one"]

_PIECE = 1 << 15  # samples at once
_COUNT = 19  # bits of a count, beside that of the sum of so many steps: both share one whole number
_LOW = (1 << (STEPS + _COUNT)) - 1  # the bits of the sum
_SQUARES = 1 << (63 - 2 * STEPS)  # squares of steps whose sum is below 2^63
_MASK = (1 << STEPS) - 1
_MOST_SPAN = 1 << 16  # bins from the first to the last
_ENOUGH = 12  # rewards of a bin near each end, as a guess, that there is one
_GUESSED, _GROUPS = 1 << 12, 64  # rewards, and groups of bins, that guess
_SHIFT = 2.0**52  # added to a whole number below it, leaves that number in the last bits
_BITS = int(np.float64(_SHIFT).view(np.int64))


def bins_of_one(columns: Sequence[FloatArray], widths: Sequence[float]) -> Bins:
    """Put the rewards of one prompt, whose ``row`` is 0, into bins by the first column.

    Parameters
    ----------
    columns : sequence of array (samples,)
        The rewards.
    widths : sequence of float
        Width of the bins of each, powers of two.

    Examples
    --------
    >>> rewards = np.random.default_rng(0).standard_normal(50_000)
    >>> bins_of_one([rewards], [2.0**-6]) == Bins.of(np.zeros(50_000, dtype=np.int64), [rewards], [2.0**-6])
    True
    """
    values, width = columns[0], widths[0]
    outer = (float(values.min()), float(values.max()))
    places = [float(np.floor(one / width)) for one in outer]
    check_index(max(map(abs, places)), width, max(map(abs, outer)))
    first, last = map(int, places)
    span = last - first + 1
    if span > _MOST_SPAN:  # few samples to a bin
        return Bins.of(np.zeros(len(values), dtype=np.int64), columns, widths)
    count, total, high, low, packed, squares = (np.zeros(span, dtype=np.int64) for _ in range(6))
    ends = _Ends(values, span, first, width)
    others = [Further.none(span) for _ in columns[1:]]
    size = min(_PIECE, len(values))
    scaled, whole_numbers = np.empty(size), np.empty((3, size), dtype=np.int64)
    for start in range(0, len(values), _PIECE):
        some = values[start : start + _PIECE]
        step, index, room = whole_numbers[:, : len(some)]
        _steps_from(first, some, width, scaled[: len(some)], step)
        np.right_shift(step, STEPS, out=index)
        step &= _MASK
        ends.add(index, step, some, room)
        np.multiply(step, step, out=room)
        np.add.at(squares, index, room)
        for one, column, its in zip(others, columns[1:], widths[1:], strict=True):
            one.add(index, step, steps_of(column[start : start + len(some)], its), column[start : start + len(some)])
        step += _LOW + 1
        np.add.at(packed, index, step)
        end = start + len(some)
        if end % _SQUARES == 0 or end == len(values):
            high += squares >> STEPS
            low += squares & _MASK
            squares[:] = 0
        if end % (1 << _COUNT) == 0 or end == len(values):
            count += packed >> (STEPS + _COUNT)
            total += packed & _LOW
            packed[:] = 0
    held = np.flatnonzero(count)
    least, most = ends.found(count, values)
    found = Bins(
        np.zeros(len(held), dtype=np.int64),
        held + first,
        count[held],
        total[held],
        high[held],
        low[held],
        least[held] + 0.0,  # no negative zeros
        most[held] + 0.0,
        tuple(one.take(held) for one in others),
    )
    return found.carried()


def _steps_from(first: int, values: FloatArray, width: float, scaled: FloatArray, found: IntArray) -> None:
    """Fill in `steps_of` from the lower end of the bin ``first``, by the bits of floats while these hold them."""
    if max(abs(first), abs(first + _MOST_SPAN)) << STEPS >= int(_SHIFT) or width < 2.0**-980:
        steps_of(values, width, scaled, found)
        np.subtract(found, first << STEPS, out=found)
        return
    np.multiply(values, math.ldexp(1.0 / width, STEPS), out=scaled)  # exact: a power of two
    np.floor(scaled, out=scaled)
    np.add(scaled, _SHIFT - float(first << STEPS), out=scaled)  # exact: whole numbers below 2^53
    np.subtract(scaled.view(np.int64), _BITS, out=found)


class _Ends:
    """The least and the largest reward of each bin.

    Of bins with many rewards, from ``low`` to below ``high``, those near an end of their bin are looked at, and all
    others. A bin that has none near an end after all is found out, and a second look then finds its ends.
    """

    def __init__(self, values: FloatArray, span: int, first: int, width: float) -> None:
        self._least, self._most = np.full(span, np.inf), np.full(span, -np.inf)
        self._first, self._width = first, width
        self._mask = np.empty((2, min(_PIECE, len(values))), dtype=bool)
        bits, low, high = _worth_looking_at(values, span, first, width)
        self._near = 1 << (STEPS - bits) if bits else 0  # steps; all are looked at for 0
        self._low, self._high = (first + low) * width, (first + high) * width

    def add(self, index: IntArray, step: IntArray, values: FloatArray, room: IntArray) -> None:
        """Look at what may be an end: the bins of rewards, their steps within them, and themselves."""
        if self._near:
            some = self._outside(values, self._low, self._high)
            np.add(step, self._near, out=room)
            room &= _MASK  # beyond the upper end it begins anew
            some |= np.less(room, 2 * self._near, out=self._mask[1, : len(values)])
            places = some.nonzero()[0]
            index, values = index[places], values[places]
        self._look_at(index, values)

    def _outside(self, values: FloatArray, low: float, high: float) -> BoolArray:
        below: BoolArray = self._mask[0, : len(values)]
        above = self._mask[1, : len(values)]
        np.less(values, low, out=below)
        below |= np.greater_equal(values, high, out=above)
        return below

    def _look_at(self, index: IntArray, values: FloatArray) -> None:
        np.minimum.at(self._least, index, values)
        np.maximum.at(self._most, index, values)

    def found(self, count: IntArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the ends, after a second look where it is needed."""
        if self._near:
            place = self._first + np.arange(len(count))
            inverse, near = 1.0 / self._width, math.ldexp(self._near, -STEPS)
            far = (self._least * inverse - place >= near) | ((place + 1.0) - self._most * inverse > near)
            low, high = place * self._width, (place + 1.0) * self._width
            unknown = np.flatnonzero(far & (count > 0) & (high > self._low) & (low < self._high))
            if unknown.size:  # all but the rewards between two of these are looked at
                edges = np.concatenate([[-1], unknown, [len(count)]])
                upto = np.concatenate([[0], np.cumsum(count)])
                widest = int(np.argmax(upto[edges[1:]] - upto[edges[:-1] + 1]))
                self._look_again(values, *((self._first + edges[widest : widest + 2] + [1, 0]) * self._width))
        return self._least, self._most

    def _look_again(self, values: FloatArray, low: float, high: float) -> None:
        """Look at every reward below ``low`` or from ``high`` on."""
        for start in range(0, len(values), _PIECE):
            some = values[start : start + _PIECE]
            some = some[self._outside(some, low, high).nonzero()[0]]
            self._look_at((np.floor(some / self._width) - self._first).astype(np.int64), some)


def _worth_looking_at(values: FloatArray, span: int, first: int, width: float) -> tuple[int, int, int]:
    """Guess from some rewards what part of a bin, as a power of one half, is near an end, and in which run of bins.

    There are rewards near both ends of these bins then, and few of all rewards have to be looked at; 0 for no such run.
    """
    some = values[:: max(1, len(values) // _GUESSED)]
    groups = min(_GROUPS, span)
    held = np.bincount(((np.floor(some / width) - first) * (groups / span)).astype(np.int64), minlength=groups)
    of_bin = held * (len(values) / len(some) * groups / span)
    best, found = 0.5, (0, 0, 0)
    for bits in range(2, 9):
        enough = np.flatnonzero(np.ldexp(of_bin, -bits) >= _ENOUGH)
        if enough.size:
            low, high = int(enough[0]), int(enough[-1]) + 1
            looked_at = 2.0 ** (1 - bits) + 1.0 - held[low:high].sum() / len(some)
            if looked_at < best:
                best, found = looked_at, (bits, -(-low * span // groups), high * span // groups)
    return found
