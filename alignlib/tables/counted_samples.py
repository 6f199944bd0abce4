"""Samples of one prompt as rewards that stand for many samples each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields

__all__ = ["CountedBins", "CountedSamples"]


@dataclass(frozen=True, eq=False)
class CountedBins(SameFields):
    """What is known of the samples of bins, from the top down: arrays of shape (bins,), no bin overlaps another.

    ``count`` is their number, ``least`` and ``most`` are the ends, ``mean`` and ``deviation`` (the root of the mean
    square about the mean) those of the samples between these two. ``slack`` is by how much rounding may have moved one.
    """

    count: FloatArray
    least: FloatArray
    most: FloatArray
    mean: FloatArray
    deviation: FloatArray
    slack: float = 0.0

    @property
    def tied(self) -> BoolArray:
        """Bins whose samples have one reward."""
        return np.asarray((self.least == self.most) & (self.count > 1.0))


@dataclass(frozen=True, eq=False)
class CountedSamples(SameFields):
    """Rewards from the top down and how many samples each stands for, arrays of shape (k,).

    ``bins`` are what they were made of. ``log_partition_bounds`` returns what ``log mean e^{λr}`` is at least and at
    most at each of some λ.
    """

    value: FloatArray
    count: FloatArray
    bins: CountedBins
    log_partition_bounds: Callable[[FloatArray], tuple[FloatArray, FloatArray]]

    @property
    def size(self) -> int:
        """Number of samples."""
        return round(float(self.count.sum()))

    @property
    def mean(self) -> float:
        """Mean reward."""
        return float(self.count @ self.value / self.count.sum())

    @property
    def widest(self) -> float:
        """The largest distance of two samples of a bin."""
        return float((self.bins.most - self.bins.least).max())
