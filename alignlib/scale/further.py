"""What bins of one reward hold of another, such as gold: sums, ends, and how it goes with the first within each bin.

A value is ``w (h + v/2²⁴)`` with whole numbers h and v, rounded down. Kept are ``Σh`` and ``Σv``, ``Σuh`` with the
steps u of the first reward within its bin, ``Σh²``, and the least and the largest value. Sums are of whole numbers, so
exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields

__all__ = ["Further"]

STEPS = 24  # bits of a reward's place in its bin
_MASK = (1 << STEPS) - 1
_UNKNOWN = 1 << 40  # in the place of squares that nothing bounds
_ROUNDED = 4e-16


@dataclass(frozen=True, eq=False)
class Further(SameFields):
    """A further column in each bin.

    Attributes
    ----------
    high, low : array of int (bins,)
        Sums of its values, whole widths ``Σh`` and steps ``Σv``.
    cross_high, cross_low : array of int (bins,)
        ``Σuh`` in units of 2²⁴, and the rest.
    square_high, square_low : array of int (bins,)
        ``Σh²`` in units of 2²⁴, and the rest; of a summary of an earlier version the most that it may be.
    least, most : array (bins,)
        Its smallest and its largest value; infinite where a summary of an earlier version does not tell.
    """

    high: IntArray
    low: IntArray
    cross_high: IntArray
    cross_low: IntArray
    square_high: IntArray
    square_low: IntArray
    least: FloatArray
    most: FloatArray

    @classmethod
    def none(cls, bins: int = 0) -> Further:
        """Return that of bins without samples.

        Parameters
        ----------
        bins : int
            Their number.
        """
        high, low, cross_high, cross_low, square_high, square_low = np.zeros((6, bins), dtype=np.int64)
        ends = np.full(bins, np.inf), np.full(bins, -np.inf)
        return cls(high, low, cross_high, cross_low, square_high, square_low, *ends)

    @classmethod
    def of_sums(cls, high: IntArray, low: IntArray) -> Further:
        """Return what is known where only sums are.

        Parameters
        ----------
        high, low : array of int (bins,)
            Whole widths and steps.
        """
        zero = np.zeros_like(high)
        ends = np.full(len(high), -np.inf), np.full(len(high), np.inf)
        return cls(high, low, zero, zero, zero + _UNKNOWN, zero, *ends)

    @classmethod
    def without_squares(
        cls, sums: Sequence[IntArray], ends: Sequence[FloatArray], count: IntArray, width: float
    ) -> Further:
        """Return what is known where squares are not: their place takes the most that the ends and the mean allow.

        Parameters
        ----------
        sums : four arrays of int (bins,)
            ``high``, ``low``, ``cross_high`` and ``cross_low``.
        ends : two arrays (bins,)
            ``least`` and ``most``.
        count : array of int (bins,)
            Samples.
        width : float
            Width of the column's bins.
        """
        n = np.maximum(count, 1)
        least, most = (np.floor(one / width) for one in ends)
        high, low, cross_high, cross_low = sums
        mean = np.clip(high / n, least, most)
        squares = n * (np.square(mean) + (most - mean) * (mean - least))
        square = np.ceil(np.minimum(np.ldexp(squares, -STEPS), 2.0**62)).astype(np.int64) + 1
        return cls(high, low, cross_high, cross_low, square, np.zeros_like(square), ends[0], ends[1])

    @classmethod
    def joined(cls, parts: Sequence[Further]) -> Further:
        """Return the bins of several, one after another.

        Parameters
        ----------
        parts : sequence of Further
            Of any bins.
        """
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))

    def add(self, bins: IntArray, step: IntArray, places: IntArray, values: FloatArray) -> None:
        """Count values in place.

        Parameters
        ----------
        bins, step : array of int (samples,)
            The bin of each sample, and the first reward's steps within it.
        places : array of int (samples,)
            Values in steps, rounded down.
        values : array (samples,)
            The values.
        """
        whole = places >> STEPS
        product, square = step * whole, whole * whole  # below 2^54 and 2^60
        for total, some in (
            (self.high, whole),
            (self.low, places & _MASK),
            (self.cross_high, product >> STEPS),
            (self.cross_low, product & _MASK),
            (self.square_high, square >> STEPS),
            (self.square_low, square & _MASK),
        ):
            np.add.at(total, bins, some)
        np.minimum.at(self.least, bins, values)
        np.maximum.at(self.most, bins, values)

    def take(self, places: IntArray) -> Further:
        """Return those of some bins.

        Parameters
        ----------
        places : array of int
            Positions of bins.
        """
        return Further(*(getattr(self, one.name)[places] for one in fields(self)))

    def added(self, first: IntArray) -> Further:
        """Return those of runs of bins, added up.

        Parameters
        ----------
        first : array of int
            Where each run begins.
        """
        sums = (self.high, self.low, self.cross_high, self.cross_low, self.square_high, self.square_low)
        high, low, cross_high, cross_low, square_high, square_low = (np.add.reduceat(one, first) for one in sums)
        least, most = np.minimum.reduceat(self.least, first), np.maximum.reduceat(self.most, first)
        return Further(high, low, cross_high, cross_low, square_high, square_low, least, most).carried()

    def carried(self) -> Further:
        """Return the same with rests that are less than a unit, and without negative zeros.

        ``Σv`` carries nothing into ``Σh``, which belongs to ``Σuh``.
        """
        return replace(
            self,
            cross_high=self.cross_high + (self.cross_low >> STEPS),
            cross_low=self.cross_low & _MASK,
            square_high=self.square_high + (self.square_low >> STEPS),
            square_low=self.square_low & _MASK,
            least=self.least + 0.0,
            most=self.most + 0.0,
        )

    def mean(self, width: float, count: IntArray) -> FloatArray:
        """Return the mean value in each bin, within half a step of ``width/2²⁴``.

        Parameters
        ----------
        width : float
            Width of the column's bins.
        count : array of int (bins,)
            Samples.
        """
        inside = width * (self.high / count + np.ldexp(self.low / count + 0.5, -STEPS))
        return np.asarray(np.clip(inside, self.least, self.most))

    def deviation(self, width: float, count: IntArray) -> FloatArray:
        """Return the standard deviation in each bin, at most: by the squares, and by the ends.

        Parameters
        ----------
        width : float
            Width of the column's bins.
        count : array of int (bins,)
            Samples.
        """
        mean, whole = self.mean(width, count), self.high / count
        by_ends = np.sqrt(np.maximum(self.most - mean, 0.0) * np.maximum(mean - self.least, 0.0))
        squares = np.ldexp(self.square_high / count, STEPS) + self.square_low / count
        variance = np.maximum(squares - np.square(whole), 0.0) + _ROUNDED * np.square(whole)
        # The part of a width that a value has beyond whole ones deviates by one half at most.
        return np.asarray(np.minimum(by_ends, width * (np.sqrt(variance) + 0.5)))

    def covariance(self, total: IntArray, count: IntArray) -> FloatArray:
        """Return the covariance of u and h in each bin, in units of both widths.

        Parameters
        ----------
        total, count : array of int (bins,)
            ``Σu`` of the first reward, and samples.
        """
        product = self.cross_high / count + np.ldexp(self.cross_low / count, -STEPS)
        return np.asarray(product - np.ldexp(total / count, -STEPS) * (self.high / count))
