"""Optima of one law for many budgets in an f-divergence together: a step of Newton for all of them at once.

Unknown for each budget are the top reward's price and ``log λ``. Of many outcomes both are found on a law of few
outcomes with the same moments bin by bin; a step or two on the law itself then settle them. In χ² the optima
have a closed form (`kept_outcomes`): sums over the outcomes that are kept, known for any number of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields
from alignlib.divergences import CHI_SQUARED, Divergence
from alignlib.laws.condensed import condensed

__all__ = ["JointOptima", "joint_optima", "kept_outcomes"]

_LEAST, _MOST = 1e-10, 1e3  # means of f that Newton is tried for
_DIRECT = 0.01  # a mean of f from which on f itself keeps the digits, without a logarithm
_SETTLED, _ROUNDED = 8e-15, 1e-13  # of sum and budget; the latter where no step makes them smaller
_NEWTON_STEPS = 30
_NEAR = 600.0  # of log λ
_MANY = 1 << 9  # outcomes from which on fewer are tried first
_SUMS_AGREE = 1e-13  # of the largest gap: what sums alone must certify
_SORTED, _FEW = 1 << 13, 8  # up to so many outcomes sorting pays for any number of budgets, and from so many budgets
_AT_ONCE = 1 << 14  # outcomes times budgets, so that a step stays in the processor's cache
_MET = 1e-13


@dataclass(frozen=True, eq=False)
class JointOptima(SameFields):
    """The optima at several budgets, found together.

    Attributes
    ----------
    lam : array (budgets,)
        Inverse temperatures λ.
    gain : array (budgets,)
        The largest gains.
    dual : array (budgets,)
        The dual's bound on them.
    settled : array of bool (budgets,)
        Of which budgets they were found.
    """

    lam: FloatArray
    gain: FloatArray
    dual: FloatArray
    settled: BoolArray


@dataclass(frozen=True, eq=False)
class _Outcomes(SameFields):
    """Gaps to the top reward, masses, and the masses times powers 0, 1 and 2 of the gap."""

    gap: FloatArray
    prob: FloatArray
    powers: FloatArray

    @classmethod
    def of(cls, gap: FloatArray, prob: FloatArray) -> _Outcomes:
        sold = prob * gap
        return cls(gap, prob, np.stack([prob, sold, sold * gap], axis=1))


def joint_optima(gap: FloatArray, prob: FloatArray, means: FloatArray, divergence: Divergence) -> JointOptima:
    """Return the optima for each value of ``E_p f``.

    Parameters
    ----------
    gap : array (k,)
        Distance >= 0 of each reward to the largest; not all zero.
    prob : array (k,)
        Positive base masses, summing to one.
    means : array (b,)
        ``E_p f(φ/p)`` that may be spent; what is too small or too large for Newton's steps is left unsettled.
    divergence : Divergence
        Strictly convex.

    Examples
    --------
    >>> from alignlib.divergences import REVERSE_KL
    >>> found = joint_optima(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0.1]), REVERSE_KL)
    >>> found.settled.tolist(), found.gain.round(6).tolist()
    ([True], [0.212879])
    """
    lam, gain, dual = np.full_like(means, np.nan), np.full_like(means, np.nan), np.full_like(means, np.nan)
    with np.errstate(all="ignore"):
        on = np.flatnonzero((means > _LEAST) & (means < _MOST))
        in_closed_form = divergence == CHI_SQUARED and (gap.size <= _SORTED or on.size > _FEW)
        if in_closed_form:
            place, found_lam, found_gain, found_dual = kept_outcomes(gap, prob, means[on])
            lam[on], gain[on], dual[on] = found_lam, found_gain, found_dual
            unmet = ~(np.abs(found_dual - found_gain) <= _SUMS_AGREE * float(gap.max()))
            on, place, log_lam = on[unmet], place[unmet], np.log(found_lam[unmet])
        if not on.size:
            return JointOptima(lam, gain, dual, np.isfinite(lam) & np.isfinite(gain) & np.isfinite(dual))
        outcomes = _Outcomes.of(gap, prob)
        if not in_closed_form:
            place, log_lam = _start(outcomes, means[on], divergence)
        if gap.size > _MANY and not in_closed_form:
            rough = _Outcomes.of(*condensed(gap, prob))
            for some in _parts(on.size, rough.gap.size):
                place[some], log_lam[some] = _newton(rough, means[on[some]], place[some], log_lam[some], divergence)[:2]
        if (lost := ~(np.isfinite(place) & np.isfinite(log_lam))).any():
            place[lost], log_lam[lost] = (found[lost] for found in _start(outcomes, means[on], divergence))
        for some in _parts(on.size, gap.size):
            found = _newton(outcomes, means[on[some]], place[some], log_lam[some], divergence)
            lam[on[some]], gain[on[some]], dual[on[some]] = np.exp(found[1]), found[2], found[3]
    return JointOptima(lam, gain, dual, np.isfinite(lam) & np.isfinite(gain) & np.isfinite(dual))


def _parts(budgets: int, outcomes: int) -> list[slice]:
    rows = max(1, _AT_ONCE // outcomes)
    return [slice(first, min(first + rows, budgets)) for first in range(0, budgets, rows)]


def _start(outcomes: _Outcomes, means: FloatArray, divergence: Divergence) -> tuple[FloatArray, FloatArray]:
    """Where an optimum lies while budgets are small: λ by the variance, ν by the mean reward."""
    base = float(outcomes.powers[:, 1].sum())
    spread = math.sqrt(float(outcomes.prob @ np.square(outcomes.gap - base)))
    lam = np.sqrt(2.0 * means / float(divergence.response(np.ones(1))[0])) / spread
    end = divergence.slope_at_infinity
    price = np.minimum(lam * base, 0.5 * end)
    return (-np.log(end - price) if math.isfinite(end) else price), np.log(lam)


def _newton(
    outcomes: _Outcomes, means: FloatArray, place: FloatArray, log_lam: FloatArray, divergence: Divergence
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return place, ``log λ``, gain and dual of each budget; NaN of those that do not settle.

    The place of the top reward's price is minus the logarithm of the margin that it leaves to the most that a price
    can be, or where that is infinite, the price itself.
    """
    end = divergence.slope_at_infinity
    ends = math.isfinite(end)
    out = np.full((4, means.size), np.nan)
    place, log_lam = place.copy(), log_lam.copy()
    last = np.full(means.size, math.inf)
    on = np.arange(means.size)
    for _ in range(_NEWTON_STEPS):
        lam, mean = np.exp(log_lam), means[on]
        margin = np.exp(-place) if ends else place
        fall = lam[:, None] * outcomes.gap
        price = (end - margin if ends else place)[:, None]
        ratio = divergence.ratio_within(margin[:, None] + fall) if ends else divergence.ratio_at(price - fall)
        total = ratio @ outcomes.prob
        direct = divergence == CHI_SQUARED or bool(mean.min() > _DIRECT)
        spent = (divergence.f(ratio) if direct else divergence.f_of_log(np.log(ratio))) @ outcomes.prob
        miss = np.maximum(np.abs(total - 1.0), np.abs(spent / mean - 1.0))
        done = (miss <= _SETTLED) | ((miss <= _ROUNDED) & (miss > 0.25 * last))
        if done.any():
            some = np.flatnonzero(done)
            kept = slice(None) if some.size == on.size else some
            out[:, on[kept]] = (
                place[kept],
                log_lam[kept],
                *_values(
                    outcomes, divergence, mean[kept], lam[kept], price[kept], fall[kept], ratio[kept], total[kept]
                ),
            )
            if some.size == on.size:
                break
        rise = divergence.response(ratio)
        if divergence.slope_at_zero > -math.inf:
            rise = np.where(ratio > 0.0, rise, 0.0)
        zeroth, first, second = (rise @ outcomes.powers).T * np.stack([np.ones_like(lam), lam, lam * lam])
        pace, top = (margin if ends else 1.0), price[:, 0]
        a, b = pace * zeroth, -first
        c, d = pace * (top * zeroth - first), second - top * first
        whole = a * d - b * c
        move = -(d * (total - 1.0) - b * (spent - mean)) / whole
        turn = -(a * (spent - mean) - c * (total - 1.0)) / whole
        longest = np.maximum(np.abs(turn), np.abs(move)) if ends else np.abs(turn)
        part = 1.0 / np.maximum(longest, 1.0)
        place, log_lam, last = place + part * move, log_lam + part * turn, miss
        go = ~done & np.isfinite(place) & (np.maximum(np.abs(log_lam), np.abs(place)) < _NEAR)
        if not go.all():
            on, place, log_lam, last = on[go], place[go], log_lam[go], last[go]
            if not on.size:
                break
    return out[0], out[1], out[2], out[3]


def _values(
    outcomes: _Outcomes,
    divergence: Divergence,
    mean: FloatArray,
    lam: FloatArray,
    price: FloatArray,
    fall: FloatArray,
    ratio: FloatArray,
    total: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The gain of the policies, and the bound on it by the dual at their prices."""
    sold = outcomes.powers[:, 1]
    gain = (1.0 - ratio / total[:, None]) @ sold
    conjugate = divergence.conjugate(price - fall) @ outcomes.prob
    return gain, float(sold.sum()) + (mean - price[:, 0] + conjugate) / lam


def kept_outcomes(
    gap: FloatArray, prob: FloatArray, budgets: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the top's price, λ, the gain, and the dual's bound on it, for each χ²; the last two NaN where sums round.

    The optimum is ``φ/p = max(0, A - c gap)``: outcomes are dropped from the lowest reward on. With mass ``P``, mean
    gap ``μ`` and ``V = E_p (gap - μ)²`` of those that are kept, ``A = 1/P + cμ`` makes it sum to one, and then
    ``χ² + 1 = 1/P + c²V``. How many are kept is read off the χ² at which the next one would be; the dual is evaluated
    at ``A`` and ``c`` alone, so that it knows nothing of that.

    Parameters
    ----------
    gap : array (k,)
        Distance >= 0 of each reward to the largest; not all zero.
    prob : array (k,)
        Positive base masses, summing to one.
    budgets : array (b,)
        χ² to spend, > 0; where it cannot be spent λ is infinite or NaN.

    Returns
    -------
    price : array (b,)
        The top's price.
    lam : array (b,)
        Inverse temperatures λ.
    gain, dual : array (b,)
        The gain and the dual's bound on it; NaN where sums round.

    Examples
    --------
    >>> price, lam, gain, dual = kept_outcomes(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0.04]))
    >>> [float(one[0].round(12)) for one in (price, lam, gain, dual)]
    [0.4, 0.8, 0.1, 0.1]
    """
    order = np.argsort(gap)
    gap, prob = gap[order], prob[order]
    sold = np.cumsum(prob * gap)
    mass = np.cumsum(prob)
    mean = sold / mass
    # Chan's update, without a difference to the new mean: no digit of the spread is lost to a rare top.
    steps = np.zeros_like(gap)
    steps[1:] = prob[1:] * (mass[:-1] / mass[1:]) * np.square(gap[1:] - mean[:-1])
    spread = np.cumsum(steps)
    base = float(mean[-1])
    with np.errstate(all="ignore"):
        # χ² at which the next outcome begins to be kept; it falls with their number.
        ends = 1.0 / mass[:-1] - 1.0 + spread[:-1] / np.square(mass[:-1] * (gap[1:] - mean[:-1]))
        kept = np.searchsorted(-ends, -budgets, side="left")
        p, mu, v = mass[kept] / mass[-1], mean[kept], spread[kept] / mass[-1]
        c = np.sqrt((budgets + (1.0 - 1.0 / p)) / v)
        top = 1.0 / p + c * mu
        held = np.minimum(np.searchsorted(gap, top / c, side="left"), gap.size) - 1  # with a ratio above 0
        p, mu, v = mass[held] / mass[-1], mean[held], spread[held] / mass[-1]
        middle = top - c * mu  # the mean ratio of those that are held
        total = p * middle
        spent = p * middle * middle + c * c * v - 2.0 * total + 1.0
        gain = (base - mu) + mu * (1.0 - total) + c * v
        # f*(s) = s + s²/4 = (s/2 + 1)² - 1, and s/2 + 1 is the ratio; -1 where an outcome is dropped
        conjugate = p * middle * middle + c * c * v - 1.0
        dual = base + (budgets - 2.0 * (top - 1.0) + conjugate) / (2.0 * c)
        met = (np.abs(total - 1.0) <= _MET) & (np.abs(spent - budgets) <= _MET * budgets)
    return 2.0 * (top - 1.0), 2.0 * c, np.where(met, gain, np.nan), np.where(met, dual, np.nan)
