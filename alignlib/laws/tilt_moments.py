"""One λ, one pass over the outcomes: every moment of a tilted law as a sum of terms of one sign."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray
from alignlib._core.special import exp_excess, kl_integrand

__all__ = [
    "CENTRED_UP_TO",
    "SCALE_ABOVE",
    "VISIBLE",
    "Extreme",
    "TiltMoments",
    "log_sum_from_top",
    "moments_from_mean",
    "moments_from_top",
]

# Centring on the base mean stays accurate until the tilt lifts the top reward by this many nats; by then
# even an outcome of mass 1e-300 dominates and the top reward is the better centre.
CENTRED_UP_TO = 750.0
# exp() is kept below e^600, so that sums over outcomes cannot overflow.
SCALE_ABOVE = 600.0
# Sums of order one carry rounding of order 1e-16: above this size that is less than 1e-14 of them.
VISIBLE = 0.05


@dataclass(frozen=True)
class TiltMoments:
    """What one pass gives: centred log-partition (also ``KL(p‖π_λ)``), gain, KL, variance.

    ``kl_left`` is ``max_kl - kl``, accurate near saturation; NaN where it was not computed.
    """

    log_partition: float
    gain: float
    kl: float
    variance: float
    kl_left: float = math.nan


@dataclass(frozen=True)
class Extreme:
    """The law seen from its top reward (from its bottom one for λ < 0).

    ``gap`` is each outcome's distance from it, ``below`` marks those with any, ``mass`` is its base mass and
    ``gain`` its distance from the base mean.
    """

    gap: FloatArray
    below: npt.NDArray[np.bool_]
    mass: float
    gain: float


def moments_from_mean(prob: FloatArray, centred: FloatArray, lam: float) -> TiltMoments:
    """Moments at λ from rewards centred on their base mean, for ``λ max|centred|`` up to ``CENTRED_UP_TO``."""
    p, e, x = prob, centred, lam * centred
    scale = max(0.0, float(x.max()) - SCALE_ABOVE)
    if scale == 0.0:
        rise = np.expm1(x)
        excess = float(p @ (rise - x))
        # Term by term this loses ε|x|; where that is visible in the sum, each term is taken by its series.
        if excess < VISIBLE * float(p @ np.abs(x)):
            excess = float(p @ exp_excess(x))
        log_partition = math.log1p(excess)
        gain = float((p * e) @ rise) / (1.0 + excess)
    else:
        shrink = math.exp(-scale)
        small = x < 1.0
        lifted = np.where(small, 0.0, np.exp(x - scale))
        low = np.where(small, x, 0.0)
        excess = float(p @ np.where(small, exp_excess(low) * shrink, lifted - (1.0 + x) * shrink))
        log_partition = float(np.logaddexp(0.0, math.log(excess) + scale))
        rise = np.where(small, np.expm1(low) * shrink, lifted - shrink)
        gain = float((p * e) @ rise) * math.exp(scale - log_partition)
    t = x - log_partition
    with np.errstate(under="ignore"):
        ratio = np.exp(t)
        kl = float(p @ ((t - 1.0) * ratio + 1.0))
        if kl < VISIBLE:
            kl = float(p @ kl_integrand(t))
        variance = float((p * ratio) @ (e - gain) ** 2)
    return TiltMoments(log_partition, gain, kl, variance)


def log_sum_from_top(prob: FloatArray, top: Extreme, lam: float) -> float:
    """``log Σ p e^{-|λ| gap}``: by the mass that is lost where that is the smaller part, else by what is left."""
    below = top.below
    fall = -abs(lam) * top.gap[below]
    with np.errstate(under="ignore"):
        lost = float(prob[below] @ -np.expm1(fall))
        return math.log1p(-lost) if lost < 0.5 else math.log(top.mass + float(prob[below] @ np.exp(fall)))


def moments_from_top(prob: FloatArray, top: Extreme, lam: float) -> TiltMoments:
    """Moments at ``|λ|`` towards the extreme reward; the gain is the distance moved towards it."""
    p, gap, below = prob, top.gap, top.below
    fall = -abs(lam) * gap
    with np.errstate(under="ignore"):
        w = np.exp(fall)
        tail = float(p[below] @ w[below])
        total = top.mass + tail
        log_sum = log_sum_from_top(prob, top, lam)
        policy = p * w / total
        mean_gap = float(policy @ gap)
        variance = float(policy @ (gap - mean_gap) ** 2)
        gain = float((p * gap) @ (1.0 - w / total))
        kl = float(p @ kl_integrand(fall - log_sum))
    kl_left = abs(lam) * mean_gap + math.log1p(tail / top.mass)
    return TiltMoments(abs(lam) * top.gain + log_sum, gain, kl, variance, kl_left)
