"""Capacity of feedback estimated from a table of ratings: per context and on average, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import InputError
from alignlib.bottleneck._channel import context_law
from alignlib.bottleneck.confusion_estimate import ConfusionEstimate, capacity_intervals, estimate_from_counts
from alignlib.tables import RaterTable

__all__ = ["CapacityEstimate", "estimate_capacity"]


@dataclass(frozen=True)
class CapacityEstimate:
    """Capacities of a table of ratings: one per context, and their average over the law of the context, in nats.

    Intervals stay between 0 and the logarithm of the number of targets in use; the values are not cut.
    """

    contexts: tuple[str, ...]
    context_prob: FloatArray
    each: tuple[ConfusionEstimate, ...]
    low: FloatArray
    high: FloatArray
    mean: float
    mean_plug_in: float
    mean_low: float
    mean_high: float
    mean_standard_error: float
    level: float
    supported: bool
    n_clusters: int | None

    @property
    def value(self) -> FloatArray:
        """Corrected capacity of each context, shape (contexts,)."""
        return np.array([one.value for one in self.each])


def estimate_capacity(
    table: RaterTable,
    *,
    context_prob: npt.ArrayLike | None = None,
    level: float = 0.95,
    by_rater: bool = False,
) -> CapacityEstimate:
    """Estimate the capacity of each context and their average ``C̄`` from ratings.

    Parameters
    ----------
    table : RaterTable
        Who said what about which target.
    context_prob : array (contexts,), optional
        How often each context occurs in use; the shares of the table's labels if omitted.
    level : float
        Coverage of the intervals, in (0, 1).
    by_rater : bool
        With False, labels are taken as independent given target and context. With True, whole raters are left out in
        turn (a jackknife), which allows for raters who differ; the intervals are then wider. Where several labels are
        of one item, they go together by item: give the item as the rater.

    Raises
    ------
    InputError
        If a target has a single label in some context, or fewer than three raters are to be left out in turn.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> target = rng.integers(0, 2, 400)
    >>> table = RaterTable.from_arrays(target, target ^ (rng.random(400) < 0.1))
    >>> found = estimate_capacity(table)
    >>> bool(found.mean_low < 0.3681 < found.mean_high)
    True

    Source: C25 asks for the capacity to be measured; the estimator is derived here.
    """
    require(0 < level < 1, f"level must lie in (0, 1); got {level!r}.")
    shares = np.bincount(table.context, minlength=len(table.contexts)) / table.n_labels
    weight = shares if context_prob is None else context_law(context_prob, len(table.contexts))
    counts = table.counts()
    each = tuple(_named(table, i, counts[i]) for i in range(len(table.contexts)))
    value = np.array([one.value for one in each])
    mean = float(weight @ value)
    n_clusters = None
    if by_rater:
        n_clusters = len(table.raters)
        each_error, mean_error = _leave_out_raters(table, weight, counts)
        quantile = float(scipy.special.stdtrit(n_clusters - 1, 0.5 + level / 2))
    else:
        each_error = np.array([one.standard_error for one in each])
        mean_error = float(np.sqrt((weight * each_error) @ (weight * each_error)))
        quantile = float(scipy.special.ndtri(0.5 + level / 2))
    ceilings = np.array([one.ceiling for one in each])
    low, high = capacity_intervals(
        np.append(value, mean), np.append(each_error, mean_error), quantile, np.append(ceilings, weight @ ceilings)
    )
    return CapacityEstimate(
        contexts=table.contexts,
        context_prob=weight,
        each=each,
        low=low[:-1],
        high=high[:-1],
        mean=mean,
        mean_plug_in=float(weight @ np.array([one.plug_in for one in each])),
        mean_low=float(low[-1]),
        mean_high=float(high[-1]),
        mean_standard_error=mean_error,
        level=level,
        supported=all(one.supported for one, w in zip(each, weight, strict=True) if w > 0),
        n_clusters=n_clusters,
    )


def _named(table: RaterTable, context: int, counts: FloatArray) -> ConfusionEstimate:
    lone = np.flatnonzero(counts.sum(axis=1) == 1)
    if lone.size:
        raise InputError(
            f"target {table.targets[int(lone[0])]!r} has a single label in context {table.contexts[context]!r} "
            f"({lone.size} such targets); one label shows no spread. Collect more, or leave the target out."
        )
    return estimate_from_counts(counts)


def _leave_out_raters(table: RaterTable, weight: FloatArray, counts: FloatArray) -> tuple[FloatArray, float]:
    """Jackknife standard errors over raters, of each context and of the average."""
    raters = len(table.raters)
    if raters < 3:
        raise InputError(f"by_rater needs at least 3 raters to leave out in turn; the table has {raters}.")
    values = np.empty((raters, len(table.contexts)))
    for i in range(raters):
        rest = counts - table.counts(i)
        for j in range(len(table.contexts)):
            n = rest[j].sum(axis=1)
            if (n[counts[j].sum(axis=1) > 0] < 2).any():
                raise InputError(
                    f"without rater {table.raters[i]!r} a target of context {table.contexts[j]!r} has fewer "
                    "than two labels, so raters cannot be left out in turn; collect labels of each target from more "
                    "raters, or drop by_rater."
                )
            values[i, j] = estimate_from_counts(rest[j]).value
    scale = (raters - 1) / raters
    each = np.sqrt(scale * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
    means = values @ weight
    return each, float(np.sqrt(scale * ((means - means.mean()) ** 2).sum()))
