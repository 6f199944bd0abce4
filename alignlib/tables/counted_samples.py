"""Samples of one prompt as rewards that stand for many samples each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields

__all__ = ["CountedSamples"]


@dataclass(frozen=True, eq=False)
class CountedSamples(SameFields):
    """Rewards from the top down and how many samples each stands for, arrays of shape (k,).

    ``tied`` tells which of them are the reward of all their samples, so that these tie; others lie near it.
    ``log_partition_bounds`` returns what ``log mean e^{λr}`` is at least and at most at each of some λ.
    """

    value: FloatArray
    count: FloatArray
    tied: BoolArray
    log_partition_bounds: Callable[[FloatArray], tuple[FloatArray, FloatArray]]

    @property
    def size(self) -> int:
        """Number of samples."""
        return round(float(self.count.sum()))

    @property
    def mean(self) -> float:
        """Mean reward."""
        return float(self.count @ self.value / self.count.sum())
