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

from alignlib._core.checks import FloatArray, IntArray
from alignlib.scale.bins import STEPS, Bins, check_index, steps_of
from alignlib.scale.further import Further

__all__ = ["bins_of_one"]

_PIECE = 1 << 16  # samples at once: the sum of so many squares of steps is below 2^64
_COUNT = 19  # bits of a count, beside that of the sum of so many steps: both share one whole number
_LOW = (1 << (STEPS + _COUNT)) - 1  # the bits of the sum
_MOST_WAITING = (1 << _COUNT) - _PIECE  # so many, and a piece more, are counted in these bits
_MASK = (1 << STEPS) - 1
_FEW_BINS = 1 << 13  # more of them are not taken for granted
_MOST_SPAN = 1 << 16  # bins from the first to the last
_ENOUGH = 8  # rewards of a bin near each end, as a guess, that there is one
_GUESSED, _GROUPS = 1 << 12, 64  # rewards, and groups of bins, that guess
_NEXT = 8  # rewards next to each other, which are loaded together
_SHIFT = 2.0**52  # added to a whole number below it, leaves that number in the last bits
_BITS = int(np.float64(_SHIFT).view(np.int64))
_PADDED = _PIECE // 8  # in the end of a mask: NumPy looks for few among many by branches, which cost more than none


def bins_of_one(
    columns: Sequence[FloatArray], widths: Sequence[float], within: tuple[float, float] | None = None
) -> Bins:
    """Put the rewards of one prompt, whose ``row`` is 0, into bins by the first column.

    Parameters
    ----------
    columns : sequence of array (samples,)
        The rewards.
    widths : sequence of float
        Width of the bins of each, powers of two.
    within : (float, float), optional
        What the first of them are known to lie between, which saves a look at all of them.

    Examples
    --------
    >>> rewards = np.random.default_rng(0).standard_normal(50_000)
    >>> bins_of_one([rewards], [2.0**-6]) == Bins.of(np.zeros(50_000, dtype=np.int64), [rewards], [2.0**-6])
    True
    """
    values, width = columns[0], widths[0]
    begin, end = _first_and_last(within, width) if within else (0.0, math.inf)
    if not end - begin < _FEW_BINS:
        outer = float(values.min()), float(values.max())
        begin, end = _first_and_last(outer, width)
        check_index(max(-begin, end), width, max(map(abs, outer)))
    if end - begin >= _MOST_SPAN:  # few samples to a bin
        return Bins.of(np.zeros(len(values), dtype=np.int64), columns, widths)
    first, span = int(begin), int(end - begin) + 1
    sums, ends = _Sums(span), _Ends(values, span, first, width)
    others = [Further.none(span) for _ in columns[1:]]
    size = min(_PIECE, len(values))
    scaled, whole_numbers = np.empty(size), np.empty((2, size), dtype=np.int64)
    for start in range(0, len(values), _PIECE):
        some = values[start : start + _PIECE]
        index, room = whole_numbers[:, : len(some)]
        step = _steps_from(first, some, width, scaled[: len(some)])
        np.right_shift(step, STEPS, out=index)
        step &= _MASK
        ends.add(index, step, some, room)
        for one, column, its in zip(others, columns[1:], widths[1:], strict=True):
            one.add(index, step, steps_of(column[start : start + len(some)], its), column[start : start + len(some)])
        sums.add(index, step, room)
    sums.settle()
    held = np.flatnonzero(sums.count)
    least, most = ends.found(sums.count, values)
    found = Bins(
        np.zeros(len(held), dtype=np.int64),
        held + first,
        sums.count[held],
        sums.total[held],
        sums.square_high[held],
        sums.square_low[held],
        least[held] + 0.0,  # no negative zeros
        most[held] + 0.0,
        tuple(one.take(held) for one in others),
    )
    return found.carried()


def _first_and_last(ends: tuple[float, float], width: float) -> tuple[float, float]:
    """Return the bins of the least and the largest reward."""
    return float(np.floor(ends[0] / width)), float(np.floor(ends[1] / width))


def _steps_from(first: int, values: FloatArray, width: float, scaled: FloatArray) -> IntArray:
    """Return `steps_of` from the lower end of the bin ``first``, in the room of ``scaled``."""
    found = scaled.view(np.int64)
    if max(abs(first), abs(first + _MOST_SPAN)) << STEPS >= int(_SHIFT) or width < 2.0**-980:
        return np.subtract(steps_of(values, width), first << STEPS, out=found)
    np.multiply(values, math.ldexp(1.0 / width, STEPS), out=scaled)  # exact: a power of two
    np.floor(scaled, out=scaled)
    np.add(scaled, _SHIFT - float(first << STEPS), out=scaled)  # exact: whole numbers below 2^53
    return np.subtract(found, _BITS, out=found)  # the bits of floats hold them


class _Sums:
    """How many rewards each bin has, and the sums of their steps and of the squares of these."""

    def __init__(self, span: int) -> None:
        self.count, self.total, self.square_high, self.square_low = np.zeros((4, span), dtype=np.int64)
        self._packed, self._squares = np.zeros((2, span), dtype=np.int64)
        self._waiting = 0

    def add(self, index: IntArray, step: IntArray, room: IntArray) -> None:
        """Add at most `_PIECE` rewards, by their bins and steps, which are overwritten."""
        np.multiply(step, step, out=room)
        np.add.at(self._squares, index, room)
        self.square_high += (self._squares.view(np.uint64) >> np.uint64(STEPS)).view(np.int64)
        self.square_low += self._squares & _MASK
        self._squares[:] = 0
        step += _LOW + 1
        np.add.at(self._packed, index, step)
        self._waiting += len(step)
        if self._waiting > _MOST_WAITING:
            self.settle()

    def settle(self) -> None:
        """Take apart what shares a number."""
        self.count += self._packed >> (STEPS + _COUNT)
        self.total += self._packed & _LOW
        self._packed[:] = 0
        self._waiting = 0


class _Ends:
    """The least and the largest reward of each bin.

    Of bins with many rewards, from ``low`` to below ``high``, those near an end of their bin are looked at, and all
    others. A bin that has none near an end after all is found out, and a second look then finds its ends.
    """

    def __init__(self, values: FloatArray, span: int, first: int, width: float) -> None:
        self._least, self._most = np.full(span, np.inf), np.full(span, -np.inf)
        self._first, self._width = first, width
        self._mask = np.empty((2, min(_PIECE, len(values)) + _PADDED), dtype=bool)
        bits, low, high = _worth_looking_at(values, span, first, width)
        self._near = 1 << (STEPS - bits) if bits else 0  # steps; all are looked at for 0
        self._low, self._high = (first + low) * width, (first + high) * width

    def add(self, index: IntArray, step: IntArray, values: FloatArray, room: IntArray) -> None:
        """Look at what may be an end: the bins of rewards, their steps within them, and themselves."""
        if self._near:
            padded = self._mask[0, : len(values) + _PADDED]
            some, beyond = padded[:-_PADDED], self._mask[1, : len(values)]
            np.subtract(step, self._near, out=room)  # below the lower end it is a large number without sign
            np.greater_equal(room.view(np.uint64), np.uint64((1 << STEPS) - 2 * self._near), out=some)
            some |= np.less(values, self._low, out=beyond)
            some |= np.greater_equal(values, self._high, out=beyond)
            padded[len(values) :] = True
            places = padded.nonzero()[0][:-_PADDED]
            index, values = index[places], values[places]
        self._look_at(index, values)

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
            some = some[(some < low) | (some >= high)]
            self._look_at((np.floor(some / self._width) - self._first).astype(np.int64), some)


def _worth_looking_at(values: FloatArray, span: int, first: int, width: float) -> tuple[int, int, int]:
    """Guess from some rewards what part of a bin, as a power of one half, is near an end, and in which run of bins.

    There are rewards near both ends of these bins then, and few of all rewards have to be looked at; 0 for no such run.
    """
    stride = max(_NEXT, len(values) * _NEXT // _GUESSED)
    some = values[: len(values) // stride * stride].reshape(-1, stride)[:, :_NEXT].reshape(-1)
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
