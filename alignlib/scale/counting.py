"""Bins of one prompt that has many samples: counted in place, in pieces that fit into a processor's cache.

The same whole numbers as `Bins.of` gives for any rows, at a third of its cost: what the two share is `Bins`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib.scale.bins import STEPS, Bins, check_index

__all__ = ["bins_of_one"]

_PIECE = 1 << 15  # samples at once: their count and the sum of their steps then share one whole number of 62 bits
_LOW = (1 << (STEPS + 15)) - 1  # the bits of the latter
_MASK = (1 << STEPS) - 1
_MOST_SPAN = 1 << 16  # bins from the first to the last


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
    first, last = (int(np.floor(end / width)) for end in (float(values.min()), float(values.max())))
    check_index(max(abs(first), abs(last)), width)
    span = last - first + 1
    if span > _MOST_SPAN:  # few samples to a bin
        return Bins.of(np.zeros(len(values), dtype=np.int64), columns, widths)
    count, total, high, low = (np.zeros(span, dtype=np.int64) for _ in range(4))
    least, most = np.full(span, np.inf), np.full(span, -np.inf)
    others = [(np.zeros(span, dtype=np.int64), np.zeros(span, dtype=np.int64)) for _ in columns[1:]]
    for start in range(0, len(values), _PIECE):
        some = values[start : start + _PIECE]
        index, step = _placed(some, width)
        index -= first
        packed = np.zeros(span, dtype=np.int64)
        np.add.at(packed, index, step + (_LOW + 1))
        count += packed >> (STEPS + 15)
        total += packed & _LOW
        square = step * step
        np.add.at(high, index, square >> STEPS)
        np.add.at(low, index, square & _MASK)
        np.minimum.at(least, index, some)
        np.maximum.at(most, index, some)
        for (whole, rest), column, its in zip(others, columns[1:], widths[1:], strict=True):
            place, step = _placed(column[start : start + _PIECE], its)
            np.add.at(whole, index, place)
            np.add.at(rest, index, step)
    held = np.flatnonzero(count)
    found = Bins(
        np.zeros(len(held), dtype=np.int64),
        held + first,
        count[held],
        total[held],
        high[held],
        low[held],
        least[held] + 0.0,  # no negative zeros
        most[held] + 0.0,
        tuple((whole[held], rest[held]) for whole, rest in others),
    )
    return found.carried()


def _placed(values: FloatArray, width: float) -> tuple[IntArray, IntArray]:
    """Return the bin of each reward and its step within it, as `Bins.of` does."""
    inside = values / width if width < 2.0**-1000 else values * (1.0 / width)  # exact: a power of two
    floor = np.floor(inside)
    inside -= floor
    inside *= 1 << STEPS
    np.minimum(inside, _MASK, out=inside)  # the place of a reward just below 0 rounds to 1
    return floor.astype(np.int64), inside.astype(np.int64)
