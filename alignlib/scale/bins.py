"""Bins of rewards whose counts, sums and sums of squares are whole numbers: merging them is exact in any order.

The bins have one width, a power of two, and begin at its multiples. Within a bin a reward is ``w (k + u/2²⁴)``, the
whole number u rounded down; what is kept are the count, ``Σu``, ``Σu²``, the least and the largest reward as they are,
and of other columns what `Further` says. Whole numbers add without rounding, so that
partitions, orders and engines cannot change a bit of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib.scale.further import STEPS, Further

__all__ = ["STEPS", "Bins", "check_index", "check_width", "steps_of", "width_for"]

_MASK = (1 << STEPS) - 1
_MOST_COUNT = 1 << 32  # of one bin: below it no sum leaves 63 bits
_MOST_INDEX = 1 << 30
_ROW = 32  # bits for a bin's place beside that of its prompt
_AT_ONCE = 1 << 20  # rewards: sums of so many steps are exact in floats
_DENSE = 1 << 22
_BINS = 1024  # over the range of the rewards


def width_for(low: float, high: float, bins: int = _BINS) -> float:
    """Return the power of two that cuts the range into so many bins, or up to half as many; 1 for no range.

    Parameters
    ----------
    low, high : float
        The range of the rewards.
    bins : int
        How many bins, a power of two.

    Examples
    --------
    >>> width_for(-4.0, 4.0), width_for(0.0, 1.0)
    (0.0078125, 0.0009765625)
    """
    span = high - low
    return 1.0 if not span > 0.0 else math.ldexp(1.0, math.ceil(math.log2(span)) - int(math.log2(bins)))


def check_width(width: float) -> float:
    """Refuse a width that is no power of two: dividing by another rounds.

    Parameters
    ----------
    width : float
        In the unit of the reward.

    Raises
    ------
    InputError
        If it is no power of two.

    Examples
    --------
    >>> check_width(0.25)
    0.25
    """
    require(
        math.isfinite(width) and width > 0.0 and math.frexp(width)[0] == 0.5,
        f"bin_width must be a power of two, such as 0.0009765625 or 0.25; got {width!r}.",
        "bin_width",
    )
    return float(width)


def check_index(largest: float, width: float, reward: float | None = None) -> None:
    """Refuse a place of a bin, in size, whose number is too large.

    Parameters
    ----------
    largest : float
        The largest place of a bin, in size.
    width : float
        Width of the bins.
    reward : float, optional
        The largest reward, in size, where it is known better than by its bin.

    Raises
    ------
    InputError
        If its number is too large.
    """
    if not largest < _MOST_INDEX:
        raise InputError(
            f"bin_width must suit the size of the rewards: {width:g} is too small for "
            f"{largest * width if reward is None else reward:.3g}. Take a "
            f"larger power of two.",
            argument="bin_width",
        )


@dataclass(frozen=True, eq=False)
class Bins(SameFields):
    """Occupied bins of some prompts, in the order of (``row``, ``index``).

    Attributes
    ----------
    row : array of int (bins,)
        The prompt.
    index : array of int (bins,)
        The place k: rewards in ``[k·width, (k+1)·width)``.
    count : array of int (bins,)
        Samples.
    total : array of int (bins,)
        ``Σu``, with u a reward's steps of ``width/2²⁴`` above the bin's lower end.
    square_high, square_low : array of int (bins,)
        ``Σu²`` in units of 2²⁴, and the rest.
    least, most : array (bins,)
        The smallest and the largest reward.
    others : tuple of Further
        What is known of each further column.

    Examples
    --------
    >>> bins = Bins.of(np.array([0, 0, 0]), [np.array([0.1, 0.2, 0.9])], [0.5])
    >>> bins.index.tolist(), bins.count.tolist(), bins.least.tolist()
    ([0, 1], [2, 1], [0.1, 0.9])
    """

    row: IntArray
    index: IntArray
    count: IntArray
    total: IntArray
    square_high: IntArray
    square_low: IntArray
    least: FloatArray
    most: FloatArray
    others: tuple[Further, ...] = ()

    @classmethod
    def none(cls, others: int) -> Bins:
        """No bins at all.

        Parameters
        ----------
        others : int
            Number of further columns.
        """
        whole, real = np.empty(0, dtype=np.int64), np.empty(0)
        return cls(whole, whole, whole, whole, whole, whole, real, real, (Further.none(),) * others)

    @classmethod
    def of(cls, row: IntArray, columns: Sequence[FloatArray], widths: Sequence[float]) -> Bins:
        """Put rewards into bins by the first column.

        Parameters
        ----------
        row : array of int (samples,)
            The prompt of each.
        columns : sequence of array (samples,)
            The rewards.
        widths : sequence of float
            Width of the bins of each column, powers of two.

        Raises
        ------
        InputError
            If there is not one width for each column.
        """
        require(len(columns) > 0 and len(widths) == len(columns), "columns and widths must be as many, at least one.")
        found = [
            cls._of_some(row[i : i + _AT_ONCE], [column[i : i + _AT_ONCE] for column in columns], widths)
            for i in range(0, len(row), _AT_ONCE)
        ]
        return cls.merged(found, len(columns) - 1)

    @classmethod
    def _of_some(cls, row: IntArray, columns: Sequence[FloatArray], widths: Sequence[float]) -> Bins:
        index, u = _placed(columns[0], widths[0])
        code, size, rows, places = _grouped(row, index)
        square = u * u  # below 2^48
        count = np.bincount(code, minlength=size)
        least, most = np.full(size, np.inf), np.full(size, -np.inf)
        np.minimum.at(least, code, columns[0])
        np.maximum.at(most, code, columns[0])
        others = tuple(Further.none(size) for _ in columns[1:])
        for one, values, width in zip(others, columns[1:], widths[1:], strict=True):
            whole, rest = _placed(values, width)
            one.add(code, u, (whole << STEPS) + rest, values)
        bins = cls(
            rows,
            places,
            count,
            _sums(code, u, size),
            _sums(code, square >> STEPS, size),
            _sums(code, square & _MASK, size),
            least + 0.0,  # no negative zeros: which of two zeros is less depends on their order
            most + 0.0,
            others,
        )
        return bins.take(np.flatnonzero(count)).carried()

    @classmethod
    def merged(cls, parts: Sequence[Bins], others: int) -> Bins:
        """Add up bins of the same place; the order of ``parts`` makes no difference.

        Parameters
        ----------
        parts : sequence of Bins
            Of the same columns and widths.
        others : int
            Number of further columns.

        Raises
        ------
        InputError
            If a bin would hold more samples than can be counted.
        """
        parts = [part for part in parts if len(part.row)]
        if len(parts) < 2:
            return parts[0] if parts else cls.none(others)
        joined = cls._joined(parts, others)
        if all(one.row[-1] < other.row[0] for one, other in itertools.pairwise(parts)):
            return joined
        place = (joined.row << _ROW) + joined.index
        order = np.argsort(place, kind="stable")  # fast, since those of each part are in order
        joined = joined.take(order)
        first = np.flatnonzero(np.diff(place[order], prepend=-1 << _ROW))

        def added(values: IntArray) -> IntArray:
            return np.asarray(np.add.reduceat(values, first))

        count = added(joined.count)
        require(bool((count < _MOST_COUNT).all()), "bin_width must be smaller: a bin holds more than 2^32 samples.")
        return cls(
            joined.row[first],
            joined.index[first],
            count,
            added(joined.total),
            added(joined.square_high),
            added(joined.square_low),
            np.minimum.reduceat(joined.least, first),
            np.maximum.reduceat(joined.most, first),
            tuple(one.added(first) for one in joined.others),
        ).carried()

    @classmethod
    def _joined(cls, parts: Sequence[Bins], others: int) -> Bins:
        plain: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _plain_fields(cls)
        }
        return cls(**plain, others=tuple(Further.joined([part.others[j] for part in parts]) for j in range(others)))

    def take(self, places: IntArray) -> Bins:
        """Return some of the bins.

        Parameters
        ----------
        places : array of int
            Positions of bins, rising.
        """
        plain: dict[str, Any] = {name: getattr(self, name)[places] for name in _plain_fields(type(self))}
        return Bins(**plain, others=tuple(one.take(places) for one in self.others))

    def with_rows(self, rows: IntArray) -> Bins:
        """Return the bins of prompts that have other numbers.

        Parameters
        ----------
        rows : array of int (prompts,)
            The new number of prompt i is ``rows[i]``, which rises with i.
        """
        return replace(self, row=rows[self.row])

    def carried(self) -> Bins:
        """Return sums in two parts whose lower part is less than one of the upper."""
        return replace(
            self,
            square_high=self.square_high + (self.square_low >> STEPS),
            square_low=self.square_low & _MASK,
            others=tuple(one.carried() for one in self.others),
        )

    def mean(self, width: float) -> FloatArray:
        """Return the mean reward of each bin, within half a step of ``width/2²⁴``; that of one sample is exact.

        Parameters
        ----------
        width : float
            Width of the bins.
        """
        step = np.ldexp(width, -STEPS)
        inside = width * self.index + step * (self.total / self.count + 0.5)
        return np.asarray(np.clip(inside, self.least, self.most))

    def variance(self, width: float) -> FloatArray:
        """Return the variance within each bin, of the rewards rounded down to a step.

        Parameters
        ----------
        width : float
            Width of the bins.
        """
        share = np.ldexp(self.total / self.count, -STEPS)
        squares = np.ldexp(self.square_high / self.count, -STEPS) + np.ldexp(self.square_low / self.count, -2 * STEPS)
        return np.asarray(width**2 * np.maximum(squares - np.square(share), 0.0))

    def other_mean(self, j: int, width: float) -> FloatArray:
        """Return the mean of a further column in each bin.

        Parameters
        ----------
        j : int
            Which of the further columns.
        width : float
            Width of its bins.
        """
        return self.others[j].mean(width, self.count)


def _plain_fields(kind: type[Bins]) -> list[str]:
    return [field.name for field in fields(kind) if field.name != "others"]


def steps_of(
    values: FloatArray, width: float, scaled: FloatArray | None = None, found: IntArray | None = None
) -> IntArray:
    """Return the place of each reward in steps of ``width/2²⁴``, rounded down: the bin in the upper bits.

    Parameters
    ----------
    values : array (samples,)
        The rewards.
    width : float
        Width of the bins, a power of two.
    scaled, found : array (samples,), optional
        Room for what is computed on the way, and for the result.
    """
    if width < 2.0**-980:  # whose inverse is no number
        scaled = np.ldexp(values / width, STEPS, out=scaled)
    else:
        scaled = np.multiply(values, math.ldexp(1.0 / width, STEPS), out=scaled)  # exact: a power of two
    np.floor(scaled, out=scaled)
    if found is None:
        return np.asarray(scaled.astype(np.int64))
    np.copyto(found, scaled, casting="unsafe")
    return found


def _placed(values: FloatArray, width: float) -> tuple[IntArray, IntArray]:
    """Return the bin of each reward and its step within it."""
    ends = (float(values.min(initial=0.0)), float(values.max(initial=0.0)))
    check_index(float(max(abs(np.floor(end / width)) for end in ends)), width, max(map(abs, ends)))
    steps = steps_of(values, width)
    return steps >> STEPS, steps & _MASK


def _grouped(row: IntArray, index: IntArray) -> tuple[IntArray, int, IntArray, IntArray]:
    """Return a code for each (row, index), how many codes there are, and row and index of each code, in order."""
    low, first = int(index.min()), int(row.min())
    span, rows = int(index.max()) - low + 1, int(row.max()) - first + 1
    if span * rows <= _DENSE:
        code = (row - first) * span + (index - low)
        place = np.arange(span * rows)
        return code, span * rows, first + place // span, low + place % span
    order = np.lexsort((index, row))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(row[order]) != 0) | (np.diff(index[order]) != 0)
    code = np.empty(len(order), dtype=np.int64)
    code[order] = np.cumsum(new) - 1
    first_of = order[new]
    return code, int(new.sum()), row[first_of], index[first_of]


def _sums(code: IntArray, values: IntArray, size: int) -> IntArray:
    """Return exact sums of whole numbers below 2^24, of at most 2^20 of them: floats hold them."""
    return np.asarray(np.bincount(code, values, size).astype(np.int64))
