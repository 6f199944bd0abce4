"""What bins of one reward hold of another, such as gold: sums, ends, and how it goes with the first within each bin.

A value is ``w (h + v/2²⁴)`` with whole numbers h and v, rounded down. Kept are ``Σh`` and ``Σv``, ``Σuh`` with the
steps u of the first reward within its bin, and the least and the largest value. Sums are of whole numbers, so exact.
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


@dataclass(frozen=True, eq=False)
class Further(SameFields):
    """A further column in each bin.

    Attributes
    ----------
    high, low : array of int (bins,)
        Sums of its values, whole widths ``Σh`` and steps ``Σv``.
    cross_high, cross_low : array of int (bins,)
        ``Σuh`` in units of 2²⁴, and the rest.
    least, most : array (bins,)
        Its smallest and its largest value; infinite where a summary of an earlier version does not tell.
    """

    high: IntArray
    low: IntArray
    cross_high: IntArray
    cross_low: IntArray
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
        high, low, cross_high, cross_low = np.zeros((4, bins), dtype=np.int64)
        return cls(high, low, cross_high, cross_low, np.full(bins, np.inf), np.full(bins, -np.inf))

    @classmethod
    def of_sums(cls, high: IntArray, low: IntArray) -> Further:
        """Return what is known where only sums are.

        Parameters
        ----------
        high, low : array of int (bins,)
            Whole widths and steps.
        """
        zero = np.zeros_like(high)
        return cls(high, low, zero, zero, np.full(len(high), -np.inf), np.full(len(high), np.inf))

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
        product = step * whole  # below 2^54
        for total, some in (
            (self.high, whole),
            (self.low, places & _MASK),
            (self.cross_high, product >> STEPS),
            (self.cross_low, product & _MASK),
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
        high, low, cross_high, cross_low = (
            np.add.reduceat(one, first) for one in (self.high, self.low, self.cross_high, self.cross_low)
        )
        least, most = np.minimum.reduceat(self.least, first), np.maximum.reduceat(self.most, first)
        return Further(high, low, cross_high, cross_low, least, most).carried()

    def carried(self) -> Further:
        """Return the same with rests that are less than a unit, and without negative zeros.

        ``Σv`` carries nothing into ``Σh``, which belongs to ``Σuh``.
        """
        return replace(
            self,
            cross_high=self.cross_high + (self.cross_low >> STEPS),
            cross_low=self.cross_low & _MASK,
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

    def covariance(self, total: IntArray, count: IntArray) -> FloatArray:
        """Return the covariance of u and h in each bin, in units of both widths.

        Parameters
        ----------
        total, count : array of int (bins,)
            ``Σu`` of the first reward, and samples.
        """
        product = self.cross_high / count + np.ldexp(self.cross_low / count, -STEPS)
        return np.asarray(product - np.ldexp(total / count, -STEPS) * (self.high / count))
