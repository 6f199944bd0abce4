"""One λ, one pass over the outcomes: every moment of a tilted law as a sum of terms of one sign."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib._core.special import exp_excess, kl_integrand

__all__ = [
    "CENTRED_UP_TO",
    "NEARLY_SATURATED",
    "OF_EACH",
    "SCALE_ABOVE",
    "VISIBLE",
    "Extreme",
    "Extremes",
    "TiltMoments",
    "log_sum_from_top",
    "moments_from_mean",
    "moments_from_top",
    "moments_of_each",
    "moments_of_each_near_saturation",
]

# Centring on the base mean stays accurate until the tilt lifts the top reward by this many nats; by then
# even an outcome of mass 1e-300 dominates and the top reward is the better centre.
CENTRED_UP_TO = 750.0
# exp() is kept below e^600, so that sums over outcomes cannot overflow.
SCALE_ABOVE = 600.0
# Of the largest KL: from there on the distance to it is the more accurate number.
NEARLY_SATURATED = 0.75
OF_EACH = ("log_partition", "gain", "kl")  # what `moments_of_each` gives
# Sums of order one carry rounding of order 1e-16: above this size that is less than 1e-14 of them.
VISIBLE = 0.05
# Masses below lose digits or overflow as ratios (the smallest double is 5e-324): logarithms take over.
_FAINT = 1e-280
_OVERFLOWS = 700.0  # e^t beyond is no double


@dataclass(frozen=True)
class TiltMoments:
    """What one pass over the outcomes gives at a λ.

    Attributes
    ----------
    log_partition : float
        Centred log-partition, which is ``KL(p‖π_λ)``, in nats.
    gain : float
        Mean reward above the base's.
    kl : float
        ``KL(π_λ‖p)`` in nats.
    variance : float
        Variance of the reward.
    kl_left : float
        ``max_kl - kl``, accurate near saturation; NaN where it was not computed.
    """

    log_partition: float
    gain: float
    kl: float
    variance: float
    kl_left: float = math.nan


@dataclass(frozen=True, eq=False)
class Extreme(SameFields):
    """The law seen from its top reward (from its bottom one for λ < 0).

    Attributes
    ----------
    gap : array (k,)
        Each outcome's distance from it.
    below : array of bool (k,)
        Outcomes with any.
    mass : float
        Base mass of the extreme reward.
    saturation : float
        ``-log mass`` in nats.
    gain : float
        Its distance from the base mean.
    """

    gap: FloatArray
    below: npt.NDArray[np.bool_]
    mass: float
    saturation: float
    gain: float

    @classmethod
    def of(cls, reward: FloatArray, prob: FloatArray, up: bool) -> Extreme:
        """Look at a law from one of its ends; where the end has most of the mass, the rest says how much.

        Parameters
        ----------
        reward : array (k,)
            Reward of each outcome.
        prob : array (k,)
            Its base mass.
        up : bool
            Whether it is the top that is looked from.
        """
        gap = reward.max() - reward if up else reward - reward.min()
        below = gap > 0
        mass, rest = float(prob[~below].sum()), float(prob[below].sum())
        saturation = -math.log(mass) if mass <= 0.5 else -math.log1p(-rest)
        return cls(gap, below, mass, saturation, float(prob @ gap))


@dataclass(frozen=True, eq=False)
class Extremes(SameFields):
    """Several laws seen from that end, one a row: fields as in `Extreme`, arrays with an entry or a row for each.

    Attributes
    ----------
    gap : array (laws, k)
        Distances, 0 for what fills a row.
    mass, saturation, gain : array (laws,)
        Of each law.
    """

    gap: FloatArray
    mass: FloatArray
    saturation: FloatArray
    gain: FloatArray

    def of(self, rows: npt.NDArray[np.intp]) -> Extremes:
        """Return some of the laws.

        Parameters
        ----------
        rows : array of int
            Positions of those wanted.
        """
        return Extremes(self.gap[rows], self.mass[rows], self.saturation[rows], self.gain[rows])


def moments_from_mean(prob: FloatArray, centred: FloatArray, lam: float) -> TiltMoments:
    """Moments at λ from rewards centred on their base mean, for ``λ max|centred|`` up to ``CENTRED_UP_TO``.

    Parameters
    ----------
    prob : array (k,)
        Base masses.
    centred : array (k,)
        Rewards less their base mean.
    lam : float
        Inverse temperature λ.
    """
    p, e, x = prob, centred, lam * centred
    scale = max(0.0, float(x.max()) - SCALE_ABOVE)
    if scale == 0.0:
        rise = np.expm1(x)
        excess = float(p @ (rise - x))
        # Term by term this loses ε|x|; where that is visible in the sum, each term is taken by its series.
        if excess < VISIBLE * float(p @ np.abs(x)):
            excess = float(p @ exp_excess(x))
        log_partition = math.log1p(excess)
        gain = float((p * rise) @ e) / (1.0 + excess)
    else:
        shrink = math.exp(-scale)
        small = x < 1.0
        lifted = np.where(small, 0.0, np.exp(x - scale))
        low = np.where(small, x, 0.0)
        excess = float(p @ np.where(small, exp_excess(low) * shrink, lifted - (1.0 + x) * shrink))
        log_partition = float(np.logaddexp(0.0, math.log(excess) + scale))
        rise = np.where(small, np.expm1(low) * shrink, lifted - shrink)
        gain = float((p * rise) @ e) * math.exp(scale - log_partition)
    t = x - log_partition
    with np.errstate(under="ignore"):
        if scale > 0.0 and t.max() > _OVERFLOWS:
            variance = float(np.exp(np.log(p) + t) @ (e - gain) ** 2)
            return TiltMoments(log_partition, gain, _kl_of(p, t), variance)
        ratio = np.exp(t)
        kl = float(p @ ((t - 1.0) * ratio + 1.0))
        if kl < VISIBLE:
            kl = float(p @ kl_integrand(t))
        variance = float((p * ratio) @ (e - gain) ** 2)
    return TiltMoments(log_partition, gain, kl, variance)


def _kl_of(prob: FloatArray, t: FloatArray) -> float:
    """``Σ p (t e^t - e^t + 1)``, also where ``e^t`` overflows on a mass near the smallest double."""
    if t.max() < _OVERFLOWS:
        return float(prob @ kl_integrand(t))
    policy = np.exp(np.log(prob) + t)
    return float((policy * np.where(policy > 0.0, t - 1.0, 0.0) + prob).sum())


def moments_of_each(
    prob: FloatArray, centred: FloatArray, lam: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log-partition, gain and KL as in `moments_from_mean`, at many λ, for ``λ max|centred|`` up to ``SCALE_ABOVE``.

    Parameters
    ----------
    prob : array (k,) or (L, k)
        Base masses, of one law or of one for each λ.
    centred : array (k,) or (L, k)
        Rewards less their base mean.
    lam : array (L,)
        Inverse temperatures λ.

    Returns
    -------
    log_partition, gain, kl : array (L,)
        As in `TiltMoments`.
    """
    x = lam[:, None] * centred
    rise = np.expm1(x)
    excess = _sums(rise - x, prob)
    near = excess < VISIBLE * _sums(np.abs(x), prob)
    excess[near] = _sums(exp_excess(x[near]), _of_rows(prob, near))
    log_partition = np.log1p(excess)
    gain = _sums(rise, prob * centred) / (1.0 + excess)
    t = x - log_partition[:, None]
    with np.errstate(under="ignore"):
        kl = _sums((t - 1.0) * np.exp(t) + 1.0, prob)
        near = kl < VISIBLE
        kl[near] = _sums(kl_integrand(t[near]), _of_rows(prob, near))
    return log_partition, gain, kl


def _sums(rows: FloatArray, weights: FloatArray) -> FloatArray:
    """Sum each row, weighted by the same weights or by its own."""
    return rows @ weights if weights.ndim == 1 else np.einsum("ij,ij->i", rows, weights)


def _of_rows(weights: FloatArray, rows: npt.NDArray[np.bool_]) -> FloatArray:
    return weights if weights.ndim == 1 else weights[rows]


def log_sum_from_top(prob: FloatArray, top: Extreme, lam: float) -> float:
    """``log Σ p e^{-|λ| gap}``: by the mass that is lost where that is the smaller part, else by what is left.

    Parameters
    ----------
    prob : array (k,)
        Base masses.
    top : Extreme
        The end that λ moves to.
    lam : float
        Inverse temperature λ.
    """
    below = top.below
    fall = -abs(lam) * top.gap[below]
    with np.errstate(under="ignore"):
        lost = float(prob[below] @ -np.expm1(fall))
        if lost < 0.5:
            return math.log1p(-lost)
        left = top.mass + float(prob[below] @ np.exp(fall))
        if left > _FAINT:
            return math.log(left)
        return float(np.logaddexp(-top.saturation, np.logaddexp.reduce(np.log(prob[below]) + fall)))


def moments_from_top(prob: FloatArray, top: Extreme, lam: float) -> TiltMoments:
    """Moments at ``|λ|`` towards the extreme reward; the gain is the distance moved towards it.

    Parameters
    ----------
    prob : array (k,)
        Base masses.
    top : Extreme
        The end that λ moves to.
    lam : float
        Inverse temperature λ, of which the size counts.
    """
    p, gap, below = prob, top.gap, top.below
    fall = -abs(lam) * gap
    with np.errstate(under="ignore"):
        w = np.exp(fall)
        tail = float(p[below] @ w[below])
        total = top.mass + tail
        log_sum = log_sum_from_top(prob, top, lam)
        if total > _FAINT:
            policy = p * w / total
            lifted = math.log1p(tail / top.mass)
        else:
            policy = np.exp(np.log(p) + fall - log_sum)
            lifted = log_sum + top.saturation
        mean_gap = float(policy @ gap)
        variance = float(policy @ (gap - mean_gap) ** 2)
        kl_left = abs(lam) * mean_gap + lifted
        # Near saturation what is missing has more digits than a sum of many terms of order one.
        near = kl_left < 0.5 * top.saturation
        kl = top.saturation - kl_left if near else _kl_of(p, fall - log_sum)
        gain = float((p * gap) @ (1.0 - w / total)) if total > _FAINT else float(gap @ (p - policy))
    return TiltMoments(abs(lam) * top.gain + log_sum, gain, kl, variance, kl_left)


def moments_of_each_near_saturation(
    prob: FloatArray, top: Extreme | Extremes, lam: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log-partition, gain and KL as in `moments_from_top`, at many ``|λ|`` that spend half of the largest KL or more.

    NaN where too little mass is left to say.

    Parameters
    ----------
    prob : array (k,) or (L, k)
        Base masses, of one law or of one for each λ.
    top : Extreme or Extremes
        The end that λ moves to, of that law or of those.
    lam : array (L,)
        Inverse temperatures λ, of which the size counts.

    Returns
    -------
    log_partition, gain, kl : array (L,)
        As in `TiltMoments`.
    """
    below, away = prob * (top.gap > 0.0), prob * top.gap
    with np.errstate(under="ignore", over="ignore"):
        fall = -np.abs(lam)[:, None] * top.gap
        w = np.exp(fall)
        tail, lost = _sums(w, below), _sums(-np.expm1(fall), below)
        total = top.mass + tail
        mean_gap = _sums(w, away) / total
        kl_left = np.abs(lam) * mean_gap + np.log1p(tail / top.mass)
        gain = _sums(1.0 - w / total[:, None], away)
        log_sum = np.where(lost < 0.5, np.log1p(-np.minimum(lost, 0.5)), np.log(total))
        sure = (total > _FAINT) & (kl_left < 0.5 * top.saturation)
        found = (np.abs(lam) * top.gain + log_sum, gain, top.saturation - kl_left)
    log_partition, gain, kl = (np.where(sure, values, np.nan) for values in found)
    return log_partition, gain, kl
