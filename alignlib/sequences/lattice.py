"""Rewards on a lattice: ``start + step · index`` with whole indices, found to rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray, as_float_array
from alignlib._core.same import SameFields

__all__ = ["Lattice"]

_LARGEST_INDEX = 10_000
_ULPS = 4.0


@dataclass(frozen=True, eq=False)
class Lattice(SameFields):
    """Rewards ``start + step · index``.

    Attributes
    ----------
    start : float
        The smallest reward.
    step : float
        The distance of neighbours on the lattice.
    index : array of int
        Of the shape of the rewards, its smallest value 0.
    """

    start: float
    step: float
    index: IntArray

    @property
    def width(self) -> int:
        """The largest index."""
        return int(self.index.max())

    @classmethod
    def of(cls, reward: npt.ArrayLike) -> Lattice | None:
        """Return the coarsest lattice that holds ``reward`` to rounding, or None if there is none.

        Decimal rewards such as 0.1, 0.2, 0.3 are not equally spaced as binary numbers; they are taken to be
        where four units in the last place allow it. A lattice finer than a ten-thousandth of the range, or too
        fine to be told from chance at that precision, is not one.

        Parameters
        ----------
        reward : array
            Rewards.

        Examples
        --------
        >>> Lattice.of([0.1, 0.3, 0.2]).index.tolist()
        [0, 2, 1]
        >>> Lattice.of([0.0, 1.0, 2**0.5]) is None
        True
        """
        values = as_float_array("reward", reward)
        start, span = float(values.min()), float(np.ptp(values))
        if span == 0.0:
            return cls(start, 1.0, np.zeros(values.shape, dtype=np.int64))
        distinct = (np.unique(values) - start) / span
        slack = _ULPS * np.finfo(np.float64).eps * max(1.0, float(np.abs(values).max()) / span)
        # Fractions of denominator up to q lie about 1/q² apart: finer than this, any number would fit.
        finest = min(_LARGEST_INDEX, int(math.sqrt(1e-3 / slack)))
        if finest < 1:
            return None
        parts = [Fraction(float(v)).limit_denominator(finest) for v in distinct]
        if any(abs(float(part) - v) > slack for part, v in zip(parts, distinct.tolist(), strict=True)):
            return None
        width = math.lcm(*(part.denominator for part in parts))
        if width > finest:
            return None
        index = np.rint((values - start) / span * width).astype(np.int64)
        return cls(start, span / width, index)

    def sums(self, length: int) -> FloatArray:
        """All sums of ``length`` rewards above ``length · start``: ``step · (0, 1, …, length · width)``.

        Parameters
        ----------
        length : int
            How many rewards are added.
        """
        return self.step * np.arange(length * self.width + 1, dtype=np.float64)
