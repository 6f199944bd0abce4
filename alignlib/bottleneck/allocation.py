"""Spending a capacity budget: the best judge within it, and how to split it over contexts.

At the optimum the last nat buys the same loss everywhere. The common slope is searched, and weak duality certifies how
much loss the answer leaves on the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_number, require
from alignlib._core.same import SameFields
from alignlib.bottleneck._channel import context_law
from alignlib.bottleneck.rate_distortion import RateDistortionPoint, RateDistortionTask, point_at_slope

__all__ = ["Allocation", "allocate", "optimal_judge"]

_MAX_SOLVES = 120
_ROUNDING = 1e-14  # of the largest regret: what sums of losses cannot tell from nothing


@dataclass(frozen=True, eq=False)
class Allocation(SameFields):
    """A capacity budget split over contexts; no split of the same budget loses less than ``loss - gap``.

    Attributes
    ----------
    rate : array (contexts,)
        Nats spent in each context.
    distortion : array (contexts,)
        Mean loss in each.
    judges : tuple of array (targets, judgements)
        The channel of each context that does it.
    slope : float
        Nats that one unit of loss is worth at the margin, the same everywhere.
    loss : float
        Mean loss over contexts.
    gap : float
        How far that may lie above the least, certified.

    Examples
    --------
    >>> from alignlib.bottleneck import RateDistortionTask, allocate
    >>> bit = RateDistortionTask([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]])
    >>> found = allocate([bit, bit], budget=0.2)
    >>> found.rate.round(3).tolist(), found.judges[0].round(2).tolist()
    ([0.2, 0.2], [[0.81, 0.19], [0.19, 0.81]])
    """

    rate: FloatArray
    distortion: FloatArray
    judges: tuple[FloatArray, ...]
    slope: float
    loss: float
    gap: float


def allocate(
    tasks: Sequence[RateDistortionTask], budget: float, context_prob: npt.ArrayLike | None = None, tol: float = 1e-8
) -> Allocation:
    """Minimise the mean loss over contexts within a mean capacity ``Σ w_s I_s(U;H) ≤ budget`` in nats.

    Parameters
    ----------
    tasks : sequence of RateDistortionTask
        Target law and loss of each context.
    budget : float
        Mean nats per judgement, >= 0.
    context_prob : array (contexts,), optional
        Law ``w`` of the context, equal shares if omitted.
    tol : float
        Largest duality gap, relative to the range between blind and least loss, that is returned without an error; a
        range that is rounding next to the losses themselves counts as none.

    Raises
    ------
    InputError
        If there is no task, the budget is negative, or the shapes disagree.
    ArithmeticError
        If the duality gap exceeds ``tol``; the message carries both bounds.

    Examples
    --------
    >>> bit = RateDistortionTask([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]])
    >>> split = allocate([bit, RateDistortionTask([0.9, 0.1], [[0.0, 1.0], [1.0, 0.0]])], budget=0.2)
    >>> split.rate.round(3).tolist(), split.gap < 1e-9
    ([0.384, 0.016], True)

    Source: the common slope is Lagrange's condition; the certificate is weak duality.
    """
    as_number("tol", tol, 0.0)
    require(len(tasks) > 0, "tasks must hold at least one context; got none.")
    require(math.isfinite(budget) and budget >= 0, f"budget must be a number >= 0 in nats; got {budget!r}.")
    weight = context_law(context_prob, len(tasks))
    search = _Slope(tasks, weight, budget)
    low, high = search.bracket()
    for _ in range(_MAX_SOLVES):
        if search.gap() <= 1e-13 * search.range or not search.refine(low, high):
            break
        low, high = search.low, search.high
    answer = search.answer()
    if not search.gap() <= tol * search.range + search.rounding:
        raise ArithmeticError(
            f"the duality gap was not closed to {tol:g} of the range: the least loss lies in "
            f"[{answer.loss - answer.gap!r}, {answer.loss!r}]. Ask for a larger tol."
        )
    return answer


def optimal_judge(prob: npt.ArrayLike, loss: npt.ArrayLike, budget: float, tol: float = 1e-8) -> Allocation:
    """Judge of least mean loss among those with ``I(U;H) ≤ budget``: bounded rationality as a capacity.

    It is the case of one context of `allocate`.

    Parameters
    ----------
    prob : array (targets,)
        Law of the target.
    loss : array (targets, judgements)
        Loss of each judgement for each target, any finite numbers.
    budget : float
        Nats per judgement, >= 0.
    tol : float
        As in `allocate`.

    Examples
    --------
    >>> found = optimal_judge([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], budget=np.log(2) / 2)
    >>> found.judges[0].round(3).tolist()
    [[0.89, 0.11], [0.11, 0.89]]
    """
    return allocate(
        [RateDistortionTask(np.asarray(prob, dtype=np.float64), np.asarray(loss, dtype=np.float64))], budget, tol=tol
    )


_Points = list[RateDistortionPoint]


class _Slope:
    """Search for the common slope whose mean rate is the budget; between two slopes the judges are mixed."""

    def __init__(self, tasks: Sequence[RateDistortionTask], weight: FloatArray, budget: float) -> None:
        # In regrets, whose sums are of one sign: where one judgement is best for every target the range is 0, not the
        # difference of two rounded losses.
        regrets = [task.regret for task in tasks]
        # In a unit, a power of two, in which the largest regret is about 1: slopes have the inverse unit of the loss.
        most = max(float(task.loss.max()) for task in regrets)
        self.unit = math.ldexp(1.0, min(math.frexp(most)[1], 1023)) if most > 0.0 else 1.0
        self.tasks = [RateDistortionTask(task.prob, task.loss / self.unit) for task in regrets]
        self.weight, self.budget = weight, float(budget)
        self.least = np.array([task.least_loss for task in tasks])
        self.range = float(weight @ np.array([task.blind_loss for task in self.tasks]))
        self.rounding = _ROUNDING * float(weight @ np.array([task.loss.max() for task in self.tasks]))
        self.bound = -math.inf
        self.points_low: _Points = []
        self.points_high: _Points = []
        self.low = self.high = 0.0
        self.run = 0  # how often in a row the low end has moved, below 0 the high end

    def solve(self, slope: float) -> _Points:
        points = [point_at_slope(task, slope) for task in self.tasks]
        self.bound = max(self.bound, self._bound(points))
        return points

    def _mean(self, points: _Points, value: Callable[[RateDistortionPoint], float]) -> float:
        return float(self.weight @ np.array([value(point) for point in points]))

    def rate(self, points: _Points) -> float:
        return self._mean(points, lambda point: point.rate)

    def _bound(self, points: _Points) -> float:
        slope = points[0].slope
        if slope == 0:
            return -math.inf
        if math.isinf(slope):
            return self._mean(points, lambda point: point.distortion)
        return (self._mean(points, lambda point: point.dual) - self.budget) / slope

    def bracket(self) -> tuple[float, float]:
        """Find slopes on both sides of the budget; the ends are blind judges and perfect ones."""
        self.low, self.points_low = 0.0, [_blind(task) for task in self.tasks]
        if self.budget == 0 or self.range <= self.rounding:  # nothing may be known, or nothing is worth knowing
            self.high, self.points_high = 0.0, self.points_low
            self.bound = self.range if self.budget == 0 else 0.0
            return self.low, self.high
        self.high, self.points_high = math.inf, self.solve(math.inf)
        if self.rate(self.points_high) <= self.budget:
            return self.low, self.high
        slope = 1.0 / self.range
        points = self.solve(slope)
        while self.rate(points) <= self.budget and slope < 1e12 / self.range:
            self.low, self.points_low = slope, points
            slope *= 4.0
            points = self.solve(slope)
        while self.rate(points) > self.budget and slope > 1e-12 / self.range:
            self.high, self.points_high = slope, points
            slope /= 4.0
            points = self.solve(slope)
        if self.rate(points) <= self.budget and slope > self.low:
            self.low, self.points_low = slope, points
        return self.low, self.high

    def refine(self, low: float, high: float) -> bool:
        """Halve the bracket; return whether there was anything left to halve."""
        if not (0 < low < high < math.inf) or high - low <= 4e-16 * high:
            return False
        if high > 2 * low:
            slope = math.sqrt(low * high)
        elif abs(self.run) >= 2:  # the rate turns from flat to steep in between: interpolation moves one end only
            slope = 0.5 * (low + high)
        else:
            slope = self._interpolate(low, high)
        points = self.solve(slope)
        if self.rate(points) <= self.budget:
            self.low, self.points_low, self.run = slope, points, max(self.run, 0) + 1
        else:
            self.high, self.points_high, self.run = slope, points, min(self.run, 0) - 1
        return True

    def _interpolate(self, low: float, high: float) -> float:
        below, above = self.rate(self.points_low), self.rate(self.points_high)
        share = (self.budget - below) / (above - below) if above > below else 0.5
        return low + min(max(share, 0.02), 0.98) * (high - low)

    def _mix(self) -> float:
        """Share of the more informed judges that spends the budget; information is convex in the judge."""
        below, above = self.rate(self.points_low), self.rate(self.points_high)
        if above <= self.budget:
            return 1.0
        return max(0.0, (self.budget - below) / (above - below)) if above > below else 0.0

    def _loss(self) -> float:
        share = self._mix()
        low, high = (
            self._mean(points, lambda point: point.distortion) for points in (self.points_low, self.points_high)
        )
        return (1 - share) * low + share * high

    def gap(self) -> float:
        return max(self._loss() - self.bound, 0.0)

    def answer(self) -> Allocation:
        share = self._mix()
        judges = tuple(
            (1 - share) * low.judge + share * high.judge
            for low, high in zip(self.points_low, self.points_high, strict=True)
        )
        rate, regret = (
            np.array(
                [
                    (1 - share) * getattr(low, name) + share * getattr(high, name)
                    for low, high in zip(self.points_low, self.points_high, strict=True)
                ]
            )
            for name in ("rate", "distortion")
        )
        distortion = self.least + self.unit * regret
        slope = (self.high if share > 0.5 or self.low == 0 else self.low) / self.unit
        return Allocation(rate, distortion, judges, slope, float(self.weight @ distortion), self.unit * self.gap())


def _blind(task: RateDistortionTask) -> RateDistortionPoint:
    best = int(np.argmin(task.prob @ task.loss))
    judge = np.zeros_like(task.loss)
    judge[:, best] = 1.0
    return RateDistortionPoint(0.0, 0.0, task.blind_loss, 0.0, judge, 0.0)
