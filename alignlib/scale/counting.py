"""Bins of one prompt that has many samples: counted in place, in pieces that fit into a processor's cache.

The same whole numbers as `Bins.of` gives for any rows, at a fifth of its cost: what the two share is `Bins`. A reward's
place in steps is one whole number, whose upper bits are the bin and whose lower ones the step within it. Two additions
in place do for count, sum and sum of squares. Least and largest rewards are looked for among the few that can be one:
once most bins have samples near both ends, those near the ends of their bins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib.scale.bins import STEPS, Bins, check_index, steps_of

__all__ = ["bins_of_one"]

_PIECE = 1 << 14  # samples at once
_COUNT = 19  # bits of a count, beside that of the sum of so many steps: both share one whole number
_LOW = (1 << (STEPS + _COUNT)) - 1  # the bits of the sum
_SQUARES = 1 << (63 - 2 * STEPS)  # squares of steps whose sum is below 2^63
_MASK = (1 << STEPS) - 1
_MOST_SPAN = 1 << 16  # bins from the first to the last
_NEAR = range(2, 8)  # as powers of one half, what part of a bin is near an end
_ROUNDED = 1e-6  # of a bin


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
    ends = _Ends(span, first, width)
    others = [(np.zeros(span, dtype=np.int64), np.zeros(span, dtype=np.int64)) for _ in columns[1:]]
    size = min(_PIECE, len(values))
    scaled, whole_numbers = np.empty(size), np.empty((3, size), dtype=np.int64)
    for start in range(0, len(values), _PIECE):
        some = values[start : start + _PIECE]
        step, index, square = whole_numbers[:, : len(some)]
        steps_of(some, width, scaled[: len(some)], step)
        step -= first << STEPS
        np.right_shift(step, STEPS, out=index)
        step &= _MASK
        ends.add(index, step, some)
        np.multiply(step, step, out=square)
        np.add.at(squares, index, square)
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
        for (whole, rest), column, its in zip(others, columns[1:], widths[1:], strict=True):
            steps_of(column[start:end], its, scaled[: len(some)], step)
            np.add.at(whole, index, step >> STEPS)
            np.add.at(rest, index, step & _MASK)
    held = np.flatnonzero(count)
    found = Bins(
        np.zeros(len(held), dtype=np.int64),
        held + first,
        count[held],
        total[held],
        high[held],
        low[held],
        ends.least[held] + 0.0,  # no negative zeros
        ends.most[held] + 0.0,
        tuple((whole[held], rest[held]) for whole, rest in others),
    )
    return found.carried()


class _Ends:
    """The least and the largest reward of each bin so far.

    A reward that is not near an end of its bin cannot be either, where rewards near both ends were seen before.
    """

    def __init__(self, span: int, first: int, width: float) -> None:
        self.least, self.most = np.full(span, np.inf), np.full(span, -np.inf)
        self._place, self._width = first + np.arange(span), width
        self._open = np.ones(span, dtype=bool)  # bins without rewards near both ends
        self._near = 0  # steps
        self._seen, self._next = 0, 1

    def add(self, index: IntArray, step: IntArray, values: FloatArray) -> None:
        """Look at more rewards: their bins, their steps within them, and themselves."""
        self._seen += len(values)
        places = index
        if self._near:
            wanted = (step - self._near).view(np.uint64) >= np.uint64((1 << STEPS) - 2 * self._near)
            wanted |= self._open[index]
            some = np.flatnonzero(wanted)
            places, values = index[some], values[some]
        np.minimum.at(self.least, places, values)
        np.maximum.at(self.most, places, values)
        if self._seen >= self._next:
            self._next = 4 * self._seen
            self._choose(index)

    def _choose(self, index: IntArray) -> None:
        """Choose how near is near, so that few rewards of bins such as these will have to be looked at."""
        inverse = 1.0 / self._width
        gap = np.maximum(self.least * inverse - self._place, (self._place + 1.0) - self.most * inverse) + _ROUNDED
        of_these = gap[index]
        looked_at, bits = min((2.0 ** (1 - k) + float((of_these >= 2.0**-k).mean()), k) for k in _NEAR)
        if looked_at < 0.5:
            self._near, self._open = 1 << (STEPS - bits), gap >= 2.0**-bits
