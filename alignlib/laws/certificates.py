"""What certifies an optimum: the dual of the frontier, and a method's distance from the optimum by two numbers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatOrArray, as_float_array, like, require, require_range
from alignlib.laws.law import Law

__all__ = ["dual_gain", "kl_to_optimum"]

_STEP = 0.5
_LEAST, _MOST = -740.0, 700.0  # of log λ: the doubles end near e^-745 and e^710


def dual_gain(law: Law, kl: npt.ArrayLike) -> FloatOrArray:
    """Return ``inf_{λ>0} (Δ + Λ_c(λ)) / λ``, ``Λ_c`` centred: the frontier's gain by its dual, for each budget.

    Any λ gives an upper bound, so this is a certificate that knows nothing of how the primal was solved.

    Parameters
    ----------
    law : Law
        The base law and its reward.
    kl : array
        Budgets in nats, > 0.

    Raises
    ------
    InputError
        If a budget is not positive.

    Examples
    --------
    >>> from alignlib.laws import Gaussian
    >>> round(dual_gain(Gaussian(), 2.0), 12)
    2.0
    """
    budgets = require_range("kl", kl, 0.0, open_low=True)
    found = [_least(law, b) for b in budgets.reshape(-1).tolist()]
    return like(kl, np.array(found).reshape(budgets.shape))


def _least(law: Law, budget: float) -> float:
    """Go downhill in growing steps, then minimise: the objective has one valley in log λ."""
    end = law.lam_max
    if end == 0.0:
        return math.inf

    def value(x: float) -> float:
        # The law's own end of the line, if it has one, is approached through log(λ/(λ_max - λ)).
        if math.isinf(end):
            lam = math.exp(min(x, _MOST))
        else:
            lam = end / (1.0 + math.exp(-x)) if x > 0.0 else end * math.exp(x) / (1.0 + math.exp(x))
        return (budget + float(law.reverse_kl(lam))) / lam if 0.0 < lam < end else math.inf

    x = _start(law, budget)
    x = min(max(x if math.isinf(end) else x - math.log(end), _LEAST), _MOST)
    here, step = value(x), _STEP
    if value(x - step) < here:
        step = -step
    before = x - step
    while _LEAST <= x + step <= _MOST and (there := value(x + step)) < here:
        before, x, here, step = x, x + step, there, 1.25 * step
    bracket = (min(before - x, step), max(before - x, step))
    # From the best point on: the method's tolerance is relative to the argument.
    found = scipy.optimize.minimize_scalar(
        lambda u: value(x + u), bounds=bracket, method="bounded", options={"xatol": 1e-9}
    )
    return min(float(found.fun), here)


def _start(law: Law, budget: float) -> float:
    """Return the ``log λ`` of a Gaussian reward, or where the objective must still fall if that is lower.

    The least value is at most the largest gain, so it lies above ``λ = Δ/max gain``; where a rare reward decides, the
    Gaussian λ may lie on a plateau that rounding makes flat.
    """
    spread, most = law._sd, law.max_gain
    starts = [0.5 * math.log(2.0 * budget) - math.log(spread)] if spread > 0.0 else []
    starts += [math.log(budget) - math.log(most)] if 0.0 < most < math.inf else []
    return min(starts, default=0.0)


def kl_to_optimum(law: Law, lam: float, kl: npt.ArrayLike, gain: npt.ArrayLike) -> FloatOrArray:
    """Return ``KL(φ‖π_λ) = KL(φ‖p) - D(λ) - λ (gain_φ - gain_λ)`` in nats for any method φ.

    So a method that overspends at most ε of KL and misses at most δ of reward is within ``ε + λδ`` nats of
    the optimum itself: methods good by these two numbers are all close to one policy.

    Parameters
    ----------
    law : Law
        The base law and its reward.
    lam : float
        The optimum's λ, finite.
    kl, gain : arrays
        The method's KL to the base in nats and its reward above the base's.

    Raises
    ------
    InputError
        If ``lam`` is infinite or ``kl`` negative.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> law = FiniteLaw([0.0, 1.0, 3.0])
    >>> round(kl_to_optimum(law, 1.0, law.kl(1.0), law.gain(1.0)), 12)
    0.0

    Source: Y24 (closeness of comparable methods); the identity is derived in the book.
    """
    require(math.isfinite(lam), f"lam must be finite here; got {lam}. At λ = ∞ the optimum has smaller support.")
    spent = require_range("kl", kl, 0.0)
    value = spent - law.kl(lam) - lam * (as_float_array("gain", gain) - law.gain(lam))
    return like(kl, np.asarray(value))
