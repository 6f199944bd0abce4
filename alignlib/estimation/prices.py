"""The best policies of many prompts at once, for any divergence: what a prompt's rewards are worth at one price λ.

For ``ψ(λ) = max_φ {λ (E_φ r - r̄) - E_p f(φ/p)}`` the optimum is ``φ/p = (f')⁻¹(a - λ gap)``, ``gap`` the distance to
the top reward and ``a`` the top's price, which makes it sum to one: ``ψ = λ mean gap - a + E_p f*(a - λ gap)``. For KL
``ψ`` is the centred log-partition function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.divergences import Divergence

__all__ = ["Worth", "worth"]

_NEAREST = 690.0  # minus the logarithm of the smallest margin to the end of prices
_DEAREST = 1e300  # price, where that at which the top has all mass is beyond floats
_STEPS = 100
_MET, _MISSED = 1e-13, 1e-6
_FAR, _NEAR = 200.0, 1e-3  # of one step in the logarithm of a price; the price below which halves are taken


@dataclass(frozen=True, eq=False)
class Worth(SameFields):
    """What rows of rewards are worth at one λ.

    Attributes
    ----------
    psi : array (rows,)
        ``ψ = E_p term``.
    place : array (rows,)
        The ν at which the ratios average 1.
    price, ratio, response : array (rows, k)
        Price of each reward, ``φ/p``, and how fast that rises with its price.
    term : array (rows, k)
        The summands of ψ.
    held : array (rows,)
        Rows where a known top reward takes mass although no sample lies there.
    """

    psi: FloatArray
    place: FloatArray
    price: FloatArray
    ratio: FloatArray
    response: FloatArray
    term: FloatArray
    held: FloatArray


def worth(
    gap: FloatArray,
    prob: FloatArray,
    lam: float | FloatArray,
    divergence: Divergence,
    start: FloatArray | None = None,
    *,
    known_top: bool = False,
) -> Worth:
    """Solve every row at its λ.

    Parameters
    ----------
    gap : array (rows, k)
        Distances >= 0 of the rewards to the top, which is a row's largest reward, or one known beforehand.
    prob : array (rows, k) or (k,)
        Masses; each row sums to one.
    lam : float or array (rows,)
        λ > 0, one for all rows or each its own.
    divergence : Divergence
        Of the budget.
    start : array (rows,), optional
        ``place`` at a λ nearby.
    known_top : bool
        Whether the top is known beforehand, so that mass may move there where no sample lies; only divergences that
        charge a bounded price for that make use of it.

    Examples
    --------
    >>> from alignlib.divergences import CHI_SQUARED
    >>> found = worth(np.array([[0.0, 1.0]]), np.array([0.5, 0.5]), 0.4, CHI_SQUARED)
    >>> found.psi.round(6).tolist(), found.ratio.round(6).tolist()  # λ²σ²/4
    ([0.01], [[1.1, 0.9]])
    """
    prob = np.broadcast_to(prob, gap.shape)
    ends = math.isfinite(divergence.slope_at_infinity)
    fall = lam * gap if isinstance(lam, float) else lam[:, None] * gap
    with np.errstate(all="ignore"):
        top_mass = np.where(gap == gap.min(axis=1, keepdims=True), prob, 0.0).sum(axis=1)
        low, high = _range(divergence, top_mass, ends)
        if ends and known_top:
            high = np.full_like(high, _NEAREST)
        place, total = _solve(fall, prob, divergence, ends, low, high, start)
        price = divergence.slope_at_infinity - np.exp(-place) if ends else place
        ratio = _ratio(divergence, place, fall, ends)
        response = divergence.response(ratio)
        prices = price[:, None] - fall
        term = fall - price[:, None] + divergence.conjugate(prices)
    held = (total < 1.0 - 1e-9).astype(np.float64)
    psi = np.maximum(np.einsum("ij,ij->i", prob, term), 0.0)
    return Worth(psi, place, price, ratio, response, term, held)


def _range(divergence: Divergence, top_mass: FloatArray, ends: bool) -> tuple[FloatArray, FloatArray]:
    """At the price ``f'(1)`` no ratio exceeds one, at ``f'(1/P_top)`` the top has all mass."""
    if ends:
        return -np.log(divergence.margin(np.ones_like(top_mass))), -np.log(divergence.margin(1.0 / top_mass))
    return divergence.slope(np.ones_like(top_mass)), np.minimum(divergence.slope(1.0 / top_mass), _DEAREST)


def _ratio(divergence: Divergence, place: FloatArray, fall: FloatArray, ends: bool) -> FloatArray:
    if ends:
        return divergence.ratio_within(np.exp(-place)[:, None] + fall)
    return divergence.ratio_at(place[:, None] - fall)


def _solve(
    fall: FloatArray,
    prob: FloatArray,
    divergence: Divergence,
    ends: bool,
    low: FloatArray,
    high: FloatArray,
    start: FloatArray | None,
) -> tuple[FloatArray, FloatArray]:
    """Return the place at which each row sums to one, or the end of its range, and what it sums to there.

    Newton on the logarithm of the sum, which is a straight line for KL, inside a bracket. Where ratios grow like a
    power of the price, as for Rényi's divergences, it is one in the logarithm of the price: a rare top reward puts the
    end of the range beyond 1e80, from where halving would not come back. Where rewards drop out the slope jumps, and
    Newton's steps may go back and forth between two prices: a step that did not halve what is missed is followed by a
    halving of the bracket.
    """
    low, high = low.copy(), high.copy()
    place = 0.5 * (low + high) if start is None else np.clip(start, low, high)
    if start is None and ends:
        place = np.minimum(place, low + 1.0)
    total, before = np.empty_like(place), np.full_like(place, np.inf)
    on, own, mass = np.arange(place.size), fall, prob
    for _ in range(_STEPS):
        ratio = _ratio(divergence, place[on], own, ends)
        sums = np.einsum("ij,ij->i", mass, ratio)
        total[on] = sums
        miss = np.log(sums)
        rise = np.einsum("ij,ij->i", mass, divergence.response(ratio)) / sums
        rise = rise * np.exp(-place[on]) if ends else rise
        above = miss > 0.0
        high[on] = np.where(above, np.minimum(high[on], place[on]), high[on])
        low[on] = np.where(above, low[on], np.maximum(low[on], place[on]))
        new, middle = place[on] - miss / rise, 0.5 * (low[on] + high[on])
        if not ends:
            far = place[on] > 1.0
            new = np.where(far, place[on] * np.exp(np.clip(-miss / (rise * place[on]), -_FAR, _FAR)), new)
            least = np.maximum(low[on], _NEAR)
            middle = np.where(high[on] > 4.0 * least, np.sqrt(least) * np.sqrt(np.maximum(high[on], 0.0)), middle)
        slow = np.abs(miss) > 0.5 * before[on]
        before[on] = np.abs(miss)
        new = np.where((new >= low[on]) & (new <= high[on]) & ~slow, new, middle)
        narrow = high[on] - low[on] <= 1e-15 * np.maximum(np.abs(high[on]), 1e-300)
        done = (np.abs(miss) <= _MET) | narrow
        place[on] = np.where(done, place[on], new)
        if done.any():
            on = on[~done]
            if not on.size:
                break
            own, mass = fall[on], prob[on]
    if on.size and not ends and not (np.abs(total[on] - 1.0) < _MISSED).all():
        raise ArithmeticError(f"the price at which the policy sums to one was not found: {total[on].tolist()[:3]}")
    return place, total
