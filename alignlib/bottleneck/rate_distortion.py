"""Rate–distortion: the least information that a judge needs for a given loss, with a certified gap.

The judge ``P(h|u)`` that minimises ``E loss + I(U;H)/s`` is the fixed point ``P(h|u) ∝ q(h) e^{-s loss(u,h)}`` of
rational inattention; ``q`` maximises the concave ``Σ_u p_u log Σ_h q_h e^{-s loss(u,h)}``.
Of Gaussian targets and squared errors the least is known in closed form, by reverse water-filling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_float_array, as_law, as_vector, require, require_range
from alignlib._core.same import SameFields
from alignlib.bottleneck._channel import context_law, row_divergences
from alignlib.bottleneck._simplex import maximise_on_simplex

__all__ = [
    "GaussianAllocation",
    "RateDistortionPoint",
    "RateDistortionTask",
    "rate_distortion",
    "reverse_water_filling",
]

_MAX_PLAIN_STEPS = 20_000
_NO_MASS = 1e-250  # of a target; the reciprocal of less overflows, and no loss shows it


@dataclass(frozen=True, eq=False)
class RateDistortionTask(SameFields):
    """What is to be judged.

    Parameters
    ----------
    prob : array (targets,)
        Law of the target.
    loss : array (targets, judgements)
        Loss of each judgement on each target.

    Raises
    ------
    InputError
        If ``prob`` is no law, or ``loss`` has not one row per target.

    Examples
    --------
    >>> RateDistortionTask([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]]).blind_loss
    0.5
    """

    prob: FloatArray
    loss: FloatArray

    def __post_init__(self) -> None:
        prob, loss = as_law("prob", self.prob), as_float_array("loss", self.loss)
        require(
            loss.ndim == 2 and loss.size > 0 and len(loss) == prob.size,
            f"loss must have one row per target, {prob.size}, and a column per judgement; got shape {loss.shape}.",
        )
        object.__setattr__(self, "prob", prob)
        object.__setattr__(self, "loss", loss)

    @property
    def blind_loss(self) -> float:
        """Smallest loss without any information: the best constant judgement."""
        return float((self.prob @ self.loss).min())

    @property
    def least_loss(self) -> float:
        """Smallest loss with full information."""
        return float(self.prob @ self.loss.min(axis=1))

    @property
    def regret(self) -> RateDistortionTask:
        """The task with each target's least loss taken away: the same judges are best, and nothing is lost at best."""
        return RateDistortionTask(self.prob, self.loss - self.loss.min(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class RateDistortionPoint(SameFields):
    """One point of the curve: a judge, what it needs and what it loses.

    No judge of this distortion needs less than ``rate - gap``; no judge that spends ``rate`` has a mean loss below
    ``(dual - rate)/slope``.

    Attributes
    ----------
    slope : float
        The ``s`` that it is optimal for, in nats per unit of loss.
    rate : float
        ``I(U;H)`` in nats.
    distortion : float
        Mean loss.
    gap : float
        Nats that may be saved at most.
    judge : array (targets, judgements)
        The channel of target to judgement.
    dual : float
        The certificate: a lower bound on ``rate + slope·distortion`` of every judge.

    Examples
    --------
    >>> found = rate_distortion([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], slope=2.0)
    >>> found.judge.round(3).tolist(), round(found.distortion, 3), found.gap < 1e-9
    ([[0.881, 0.119], [0.119, 0.881]], 0.119, True)
    """

    slope: float
    rate: float
    distortion: float
    gap: float
    judge: FloatArray
    dual: float


def rate_distortion(prob: npt.ArrayLike, loss: npt.ArrayLike, slope: float, tol: float = 1e-9) -> RateDistortionPoint:
    """Point of the rate–distortion curve where one unit of loss is worth ``slope`` nats.

    Parameters
    ----------
    prob : array (targets,)
        Law of the target.
    loss : array (targets, judgements)
        Loss of each judgement for each target, any finite numbers.
    slope : float
        ``s ≥ 0`` in nats per unit of loss; ``inf`` asks for the least information at the smallest possible loss.
    tol : float
        Largest gap in nats that is returned without an error.

    Raises
    ------
    InputError
        If the shapes disagree, a mass or the slope is negative, or a value is not finite.
    ArithmeticError
        If the gap exceeds ``tol``; the message carries the bracket.

    Examples
    --------
    >>> point = rate_distortion([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], slope=2.0)
    >>> bool(np.isclose(point.rate, np.log(2) + point.distortion * np.log(point.distortion)
    ...                 + (1 - point.distortion) * np.log(1 - point.distortion)))
    True

    Source: Shannon (1959) and Blahut (1972); as rational inattention, Sims (2003) and Matějka and McKay (2015).
    """
    require(slope >= 0, f"slope must not be negative; got {slope!r}.")
    require(tol > 0, f"tol must be positive; got {tol!r}.")
    task = RateDistortionTask(np.asarray(prob, dtype=np.float64), np.asarray(loss, dtype=np.float64))
    point = point_at_slope(task, float(slope))
    if point.gap > tol:
        raise ArithmeticError(
            f"the gap of {tol:g} nats was not reached: the rate lies in [{point.rate - point.gap!r}, {point.rate!r}]."
        )
    return point


def point_at_slope(task: RateDistortionTask, slope: float) -> RateDistortionPoint:
    """Return the point for a checked task, whatever its gap.

    Parameters
    ----------
    task : RateDistortionTask
        A checked task.
    slope : float
        Loss saved for a nat, the price of the point.

    Returns
    -------
    RateDistortionPoint
        With the gap between its bounds.
    """
    used = task.prob > _NO_MASS
    prob, loss = task.prob[used], task.loss[used]
    least = loss.min(axis=1, keepdims=True)
    with np.errstate(under="ignore"):
        weight = (loss == least).astype(np.float64) if math.isinf(slope) else np.exp(-slope * (loss - least))
    objective = _Mixture(prob, weight)
    found = maximise_on_simplex(objective, loss.shape[1], tol=1e-12, max_iter=_MAX_PLAIN_STEPS)
    q = found.p
    total = weight @ q
    judge = weight * q / total[:, None]
    rate = float(prob @ row_divergences(judge, prob @ judge))
    distortion = float(prob @ (judge * loss).sum(axis=1))
    top = float((prob @ (weight / total[:, None])).max())
    # Σ p log Σ_h q_h e^{-s loss} ≤ -dual for every q: the largest reduced gain bounds what is left to find.
    offset = 0.0 if math.isinf(slope) else slope * float(prob @ least[:, 0])
    dual = -float(prob @ np.log(total)) - math.log(top) + offset
    excess = 0.0 if math.isinf(slope) else slope * float(prob @ (judge * (loss - least)).sum(axis=1))
    gap = max(rate + excess - (dual - offset), 0.0)
    everywhere = np.tile(prob @ judge, (task.prob.size, 1))
    everywhere[used] = judge
    return RateDistortionPoint(slope, rate, distortion, gap, everywhere, dual)


class _Mixture:
    """``f(q) = Σ_u p_u log Σ_h q_h A_uh``, concave in ``q``."""

    def __init__(self, prob: FloatArray, weight: FloatArray) -> None:
        self.prob, self.weight = prob, weight

    def _share(self, q: FloatArray) -> FloatArray:
        return np.asarray(self.weight / (self.weight @ q)[:, None])

    def evaluate(self, q: FloatArray) -> tuple[float, FloatArray]:
        return float(self.prob @ np.log(self.weight @ q)), self.prob @ self._share(q)

    def factor(self, q: FloatArray) -> FloatArray:
        # Shares average to one under q; on directions that sum to zero the one changes nothing.
        return np.asarray(((self._share(q) - 1.0) * np.sqrt(self.prob)[:, None]).T)

    def multiplicative_step(self, p: FloatArray, gradient: FloatArray) -> FloatArray:
        raised = p * gradient
        return np.asarray(raised / raised.sum())


@dataclass(frozen=True, eq=False)
class GaussianAllocation(SameFields):
    """A budget split over Gaussian contexts.

    Attributes
    ----------
    rate : array (contexts,)
        Nats spent in each.
    distortion : array (contexts,)
        Mean squared error in each.
    level : float
        The water level: the error of every context that spends anything.
    loss : float
        Mean squared error over contexts.
    gap : float
        How far that may lie above the least, certified.

    Examples
    --------
    >>> found = reverse_water_filling([4.0, 1.0], budget=0.5)
    >>> found.rate.round(3).tolist(), found.distortion.round(3).tolist(), round(found.level, 3)
    ([0.847, 0.153], [0.736, 0.736], 0.736)
    """

    rate: FloatArray
    distortion: FloatArray
    level: float
    loss: float
    gap: float


def reverse_water_filling(
    variance: npt.ArrayLike, budget: float, context_prob: npt.ArrayLike | None = None
) -> GaussianAllocation:
    r"""Minimise ``Σ w_s D_s`` within ``Σ w_s ½ log(σ_s²/D_s) ≤ budget``: ``D_s = min(level, σ_s²)``.

    Parameters
    ----------
    variance : array (contexts,)
        Variances ``σ_s² > 0`` of the target in each context; the loss is the squared error.
    budget : float
        Mean number of nats per judgement, >= 0.
    context_prob : array (contexts,), optional
        Law ``w`` of the context, equal shares if omitted.

    Raises
    ------
    InputError
        If a variance is not positive, the budget negative, or the shapes disagree.

    Examples
    --------
    >>> split = reverse_water_filling([4.0, 1.0, 0.1], budget=0.5)
    >>> split.rate.round(4).tolist(), round(split.level, 4)
    ([1.0966, 0.4034, 0.0], 0.4463)

    Source: reverse water-filling (Kolmogorov 1956; Cover and Thomas), applied to contexts.
    """
    sigma2 = as_vector("variance", require_range("variance", variance, 0.0, open_low=True))
    require(math.isfinite(budget) and budget >= 0, f"budget must be a number >= 0 in nats; got {budget!r}.")
    weight = context_law(context_prob, sigma2.size)
    log_sigma2 = np.log(sigma2)
    order = np.argsort(-log_sigma2)
    w, x = weight[order], log_sigma2[order]
    share = np.cumsum(w)
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = (np.cumsum(w * x) - 2.0 * budget) / share
    # With the k largest variances under water the level must lie below the k-th and not below the next.
    fits = (share > 0) & (levels <= x + 1e-15 * np.abs(x)) & (levels >= np.append(x[1:], -np.inf))
    log_level = float(levels[int(np.argmax(fits))]) if fits.any() else float(x[0])
    level = math.exp(log_level)
    distortion = np.minimum(level, sigma2)
    rate = 0.5 * np.maximum(log_sigma2 - log_level, 0.0)
    loss = float(weight @ distortion)
    # Dual at slope 1/(2 level): minimise each context's Lagrangian on its own.
    dual = float(weight @ (distortion + 2 * level * rate)) - 2 * level * budget
    return GaussianAllocation(rate, distortion, level, loss, abs(loss - dual))
