"""Samples of one prompt as rewards that stand for many samples each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields

__all__ = ["CountedBins", "CountedFurther", "CountedGroups", "CountedSamples"]


@dataclass(frozen=True, eq=False)
class CountedBins(SameFields):
    """What is known of the samples of bins, from the top down; no bin overlaps another.

    Attributes
    ----------
    count : array (bins,)
        Number of samples.
    least, most : array (bins,)
        The ends: the smallest and the largest of them.
    mean, deviation : array (bins,)
        Mean of the samples between these two, and the root of their mean square about it.
    slack : float
        By how much rounding may have moved a reward.

    Examples
    --------
    >>> bins = CountedBins(*(np.array(values) for values in ([3.0], [0.0], [1.0], [0.5], [0.4])))
    >>> float((bins.most - bins.least)[0])
    1.0
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
class CountedFurther(SameFields):
    """What is known of another reward of the same samples, bin by bin.

    Attributes
    ----------
    mean, least, most : array (bins,)
        Its mean and its ends.
    deviation : array (bins,)
        Its standard deviation, at most.
    covariance, covariance_off : array (bins,)
        Its covariance with the first reward, and how far that may be off.
    slack : float
        By how much rounding may have moved a mean.

    Examples
    --------
    >>> values = (np.array([x]) for x in (0.5, 0.0, 1.0, 0.4, 0.1, 0.0))
    >>> CountedFurther(*values, slack=0.0).covariance.tolist()
    [0.1]
    """

    mean: FloatArray
    least: FloatArray
    most: FloatArray
    deviation: FloatArray
    covariance: FloatArray
    covariance_off: FloatArray
    slack: float


@dataclass(frozen=True, eq=False)
class CountedGroups(SameFields):
    """How many samples of each bin are in each of some random groups, and what these have of other rewards.

    Attributes
    ----------
    count : array (groups, bins)
        Number of samples.
    sums : mapping of str to array (groups, bins)
        Sums of other rewards, by name.

    Examples
    --------
    >>> CountedGroups(np.array([[1.0, 2.0], [2.0, 1.0]]), {}).count.sum(axis=0).tolist()
    [3.0, 3.0]
    """

    count: FloatArray
    sums: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class CountedSamples(SameFields):
    """Rewards from the top down, each standing for several samples.

    Attributes
    ----------
    value : array (k,)
        The rewards, falling.
    count : array (k,)
        How many samples each stands for.
    bins : CountedBins
        What they were made of.
    log_partition_bounds : callable
        From an array of λ to what ``log mean e^{λr}`` is at least and at most, in nats.
    further : mapping of str to CountedFurther
        What is known of other rewards, by name.
    groups : CountedGroups, optional
        Groups that the samples were dealt into, where they were.

    Examples
    --------
    >>> one = np.array([1.0, 0.0])
    >>> count = np.array([3.0, 5.0])
    >>> samples = CountedSamples(one, count, CountedBins(count, one, one, one, 0 * one), None)
    >>> samples.size, samples.mean, samples.widest
    (8, 0.375, 0.0)
    """

    value: FloatArray
    count: FloatArray
    bins: CountedBins
    log_partition_bounds: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
    further: Mapping[str, CountedFurther] = field(default_factory=dict)
    groups: CountedGroups | None = None

    @cached_property
    def made(self) -> dict[str, object]:
        """What estimates made of them, by name: what several ask for is made once."""
        return {}

    @cached_property
    def size(self) -> int:
        """Number of samples."""
        return round(float(self.count.sum()))

    @cached_property
    def mean(self) -> float:
        """Mean reward."""
        return float(self.count @ self.value / self.count.sum())

    @cached_property
    def widest(self) -> float:
        """The largest distance of two samples of a bin."""
        return float((self.bins.most - self.bins.least).max())
