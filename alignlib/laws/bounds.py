"""Bounds on the gain that are older than the closed form: each a relaxation of the dual ``inf (Δ + Λ)/λ``.

Every one replaces the centred log-partition by something larger that knows less of the reward, so it never
lies below the exact frontier of a law that satisfies its condition.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatOrArray, like, require, require_range
from alignlib._core.doors import guard
from alignlib._core.special import kl_integrand
from alignlib.divergences import KL
from alignlib.laws.roots import convex_root

__all__ = ["bennett", "hoeffding", "sub_gamma", "sub_gaussian", "two_point"]


def sub_gaussian(kl: npt.ArrayLike, sd: float) -> FloatOrArray:
    """Return ``σ √(2Δ)``, for a σ-sub-Gaussian reward; equality for a Gaussian one (M24).

    Parameters
    ----------
    kl : array
        Budgets Δ in nats, >= 0.
    sd : float
        The sub-Gaussian constant σ > 0, in units of the reward.

    Raises
    ------
    InputError
        If an argument lies outside its range.

    Examples
    --------
    >>> sub_gaussian(2.0, 1.5)
    3.0
    """
    sigma = float(require_range("sd", sd, 0.0, open_low=True))
    return like(kl, sigma * np.sqrt(2.0 * require_range("kl", kl, 0.0)))


def hoeffding(kl: npt.ArrayLike, low: float, high: float) -> FloatOrArray:
    """Return ``(b - a) √(Δ/2)``, for a reward in ``[a, b]``: Hoeffding's ``σ = (b-a)/2`` in the bound above.

    Parameters
    ----------
    kl : array
        Budgets Δ in nats, >= 0.
    low, high : float
        The range of the reward, a and b.

    Raises
    ------
    InputError
        If ``high`` does not exceed ``low``, or a budget is negative or not a number.

    Examples
    --------
    >>> hoeffding(2.0, 0.0, 1.0)
    1.0
    """
    require(high > low, f"high must exceed low, {low:g}; got {high:g}.")
    return sub_gaussian(kl, (high - low) / 2)


def sub_gamma(kl: npt.ArrayLike, sd: float, scale: float) -> FloatOrArray:
    """Return ``σ √(2Δ) + cΔ``, for a sub-gamma reward: ``Λ_c(λ) <= σ²λ²/(2(1 - cλ))``.

    An exponential reward of rate 1 satisfies it with ``σ = c = 1``.

    Parameters
    ----------
    kl : array
        Budgets Δ in nats, >= 0.
    sd, scale : float
        σ > 0 and c >= 0, in units of the reward.

    Raises
    ------
    InputError
        If a budget or ``scale`` is negative, ``sd`` is not positive, or one is not a number.

    Examples
    --------
    >>> sub_gamma(0.5, 1.0, 1.0)
    1.5
    """
    c = float(require_range("scale", scale, 0.0))
    return like(kl, np.asarray(sub_gaussian(kl, sd) + c * require_range("kl", kl, 0.0)))


def bennett(kl: npt.ArrayLike, sd: float, high: float) -> FloatOrArray:
    """Return ``(v/b) h⁻¹(Δ b²/v)``, ``h(x) = (1+x) log(1+x) - x``, for variance v = σ² and ``r - E r <= b``.

    The dual of Bennett's ``Λ_c(λ) <= (v/b²)(e^{bλ} - 1 - bλ)``: it knows the variance and one side of the range.

    Parameters
    ----------
    kl : array
        Budgets Δ in nats, >= 0.
    sd, high : float
        σ > 0 and the largest centred reward b > 0, in units of the reward.

    Raises
    ------
    InputError
        If a budget is negative, ``sd`` or ``high`` is not positive, or one is not a number.

    Examples
    --------
    >>> round(bennett(1.0, 0.5, 0.5), 6)
    0.859141
    """
    v = float(require_range("sd", sd, 0.0, open_low=True)) ** 2
    b = float(require_range("high", high, 0.0, open_low=True))
    a = require_range("kl", kl, 0.0) * b * b / v
    # (1+x) log(1+x) - x >= x²/(2 + 2x/3), so the root of the latter starts Newton from above.
    x = convex_root(lambda x: kl_integrand(np.log1p(x)), np.log1p, a, a / 3 + np.sqrt(a * a / 9 + 2 * a))
    return like(kl, np.asarray(v / b * x))


def two_point(kl: npt.ArrayLike, base_reward: float, low: float = 0.0, high: float = 1.0) -> FloatOrArray:
    """Return the largest gain of any reward in ``[a, b]`` with the given mean: that of a reward at a and b only.

    ``sup {q - m : kl(q‖m) <= Δ}`` on the unit scale, ``m`` the mean and ``kl`` the divergence of two coins.
    No bound in terms of mean and range alone can be smaller.

    Parameters
    ----------
    kl : array
        Budgets Δ in nats, >= 0.
    base_reward : float
        Mean reward of the base, strictly between low and high.
    low, high : float
        The range of the reward.

    Raises
    ------
    InputError
        If ``base_reward`` does not lie strictly between ``low`` and ``high``, or a budget is negative or not a number.

    Examples
    --------
    >>> round(two_point(0.2, 0.25), 6)
    0.297077
    """
    require(
        low < base_reward < high, f"base_reward must lie strictly between {low:g} and {high:g}; got {base_reward:g}."
    )
    m = (base_reward - low) / (high - low)
    budgets = require_range("kl", kl, 0.0)

    # Solved in the mean itself, not in λ: so it also checks the frontier of a 0/1 reward, with which it coincides.
    def one(budget: float) -> float:
        if budget == 0.0:
            return 0.0
        if budget >= -math.log(m):
            return 1.0 - m

        def excess(log_rise: float) -> float:
            rise = min(math.exp(log_rise), 1.0 - m)
            up, down = np.logaddexp(0.0, log_rise - math.log(m)), rise / (1.0 - m)
            if rise < m:
                up = math.log1p(rise / m)
            # Two terms of one sign each, so that nothing cancels however small the rise.
            fall = math.log1p(-down) if down < 1.0 else -math.inf
            return math.log(KL.of_log_ratio([up, fall], [m, 1.0 - m]) / budget)

        # kl lies between Pinsker's 2 rise² and χ², rise²/(m(1-m)).
        slack = 1e-9
        low = 0.5 * (math.log(budget) + math.log(m) + math.log1p(-m)) - slack
        high = min(0.5 * math.log(budget / 2.0) + slack, math.log1p(-m))
        return math.exp(float(scipy.optimize.toms748(excess, low, high, xtol=1e-15, rtol=1e-15)))

    gains = np.array([one(b) for b in budgets.reshape(-1).tolist()]).reshape(budgets.shape)
    return like(kl, (high - low) * gains)


guard(globals())
