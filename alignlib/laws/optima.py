"""The best policies of a finite law for a budget in any f-divergence, each with its dual as a certificate.

For ``max E_φ r`` within ``D_f(φ‖p) <= Δ`` the optimum is ``φ = p (f')⁻¹(s)`` with prices ``s = λ(r - ν)``: ν makes it
sum to one and λ spends the budget. Any λ and ν bound the optimum from above by ``ν + Δ/λ + E_p f*(s)/λ``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.divergences import Divergence
from alignlib.laws.roots import rising_root, roots_in_order

__all__ = ["optima"]

_CERTIFICATE = 1e-9
_FURTHEST = 1e280


@dataclass(frozen=True, eq=False)
class _Policy(SameFields):
    """The optimum at one λ: the price of the top reward, ``φ/p`` of every outcome, and what it spends."""

    top_price: float
    ratio: FloatArray
    spent: float


def optima(
    reward: FloatArray, prob: FloatArray, budgets: FloatArray, divergence: Divergence
) -> tuple[FloatArray, FloatArray]:
    """Return the largest gain for each budget, and the λ, the inverse of the frontier's slope, that attains it.

    Parameters
    ----------
    reward : array (k,)
        Rewards; two of them differ.
    prob : array (k,)
        Positive base masses, summing to one.
    budgets : array (b,)
        Budgets >= 0, in the units of ``divergence``.
    divergence : Divergence
        What the budget is measured in.

    Raises
    ------
    InputError
        If the divergence is not strictly convex.
    ArithmeticError
        If primal and dual differ by more than 1e-9 of the range of the reward.

    Examples
    --------
    >>> from alignlib.divergences import REVERSE_KL
    >>> gain, lam = optima(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.1]), REVERSE_KL)
    >>> round(float(gain[0]), 6)
    0.212879

    Source: convex duality for f-divergences (Ben-Tal and Teboulle 2007), with a linear objective.
    """
    _require_strictly_convex(divergence)
    gap = reward.max() - reward
    top = gap == 0
    scale = float(gap.max())
    if scale == 0.0:
        return np.zeros_like(budgets), np.where(budgets > 0, math.inf, 0.0)
    best = np.where(top, 1.0 / float(prob[top].sum()), 0.0)
    with np.errstate(divide="ignore"):
        most = divergence.of_log_ratio(np.log(best), prob)
    found: dict[float, _Policy] = {}

    def at(lam: float) -> _Policy:
        if lam not in found:
            found[lam] = _policy(gap, prob, lam, divergence, float(best.max()))
        return found[lam]

    def one(budget: float, guess: float) -> float:
        if at(_FURTHEST / scale).spent <= budget:  # the last digit of the gain is reached before
            return math.inf
        return rising_root(lambda lam: at(lam).spent, budget, guess or 1.0 / scale)

    lam = roots_in_order(budgets, most, one)
    gain = np.empty_like(budgets)
    for i, (budget, value) in enumerate(zip(budgets.tolist(), lam.tolist(), strict=True)):
        if value in (0.0, math.inf):
            gain[i] = 0.0 if value == 0.0 else prob @ gap
            continue
        policy = at(value)
        gain[i] = primal = float(prob @ ((1.0 - policy.ratio) * gap))
        conjugate = divergence.conjugate(policy.top_price - value * gap)
        dual = float(prob @ gap) + (budget - policy.top_price + float(prob @ conjugate)) / value
        if not abs(dual - primal) <= _CERTIFICATE * scale:
            raise ArithmeticError(
                f"the optimum for {budget:g} of {divergence.name} is not certified: its gain is {primal!r} by the "
                f"policy and {dual!r} by the dual. Do f, slope and ratio_at of the divergence agree?"
            )
    return gain, lam


def _require_strictly_convex(divergence: Divergence) -> None:
    slopes = divergence.slope(np.array([0.25, 0.5, 1.0, 2.0, 4.0]))
    require(
        bool((np.diff(slopes) > 0.0).all()),
        f"divergence must be strictly convex and differentiable for a frontier in it; the slope of {divergence.name} "
        f"at ratios 1/4, 1/2, 1, 2 and 4 is {', '.join(f'{s:g}' for s in slopes.tolist())}, which does not rise.",
        argument="divergence",
    )


def _policy(gap: FloatArray, prob: FloatArray, lam: float, divergence: Divergence, most: float) -> _Policy:
    """Solve for the top reward's price: at ``f'(1)`` no ratio exceeds one, at ``f'(1/P_top)`` the top has all mass."""
    fall = lam * gap
    low, high = divergence.slope(np.array([1.0, most])).tolist()

    def excess(price: float) -> float:
        return float(prob @ divergence.ratio_at(price - fall)) - 1.0

    price = low
    if low < high and excess(low) < 0.0:
        # The ratio at the highest price may lose the last digit of one; no more is needed.
        price = (
            high if excess(high) <= 0.0 else float(scipy.optimize.toms748(excess, low, high, xtol=1e-300, rtol=1e-15))
        )
    ratio = divergence.ratio_at(price - fall)
    ratio = ratio / float(prob @ ratio)
    with np.errstate(divide="ignore"):
        return _Policy(price, ratio, divergence.of_log_ratio(np.log(ratio), prob))
