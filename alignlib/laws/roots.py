"""Roots of what rises: a budget spent or a gain reached, as a function of λ. The one solver of the library.

`rising_root` is for any law, by a bracket on the logarithmic scale; `rising_roots` finds many at once. `convex_root`
serves closed forms. One root of a finite law has a quicker way: its derivative ``D'(λ) = λ Var`` comes with
every evaluation (`newton_root`, `accurate_root`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy

from alignlib._core.checks import FloatArray
from alignlib.laws.tilt_moments import SCALE_ABOVE, VISIBLE, TiltMoments

__all__ = ["accurate_root", "convex_root", "newton_root", "rising_root", "rising_roots", "roots_in_order"]

_TINY = 5e-324
_FURTHEST = 708.0  # e^±700 is near the end of the doubles
# A continuous function is met to the resolution of λ; one that jumps over the target is not, and that is an error.
_MET = 1e-6
_BESIDE = 1e-13  # of log λ: to both sides of a place where λ is too coarse
_MAX_ITERATIONS = 200
_MOST_NEWTON_STEPS = 30
# A Newton step this short, relative to λ, leaves an error of its square.
_LAST_STEP = 3e-9


def rising_root(
    value: Callable[[float], float], target: float, guess: float, *, end: float = math.inf, steep: bool = False
) -> float:
    """Return the λ in ``(0, end)`` with ``value(λ) = target``, for a ``value`` that rises from 0.

    The bracket grows from ``guess`` on the scale ``log λ`` (``log λ/(end - λ)`` where the line ends) until it holds a
    change of sign; Brent's method then shrinks it to rounding, and the value there is the certificate.

    Parameters
    ----------
    value : callable
        Of one float, not decreasing.
    target : float
        Value to reach, > 0.
    guess : float
        Where to start, > 0; half of ``end`` where it lies beyond.
    end : float
        Where the line ends.
    steep : bool
        Whether ``value`` may pass the target within a few units of the last digit of λ, which is then the root.

    Raises
    ------
    ArithmeticError
        If the target is not reached, or jumped over (unless ``steep``); the message carries the bracket.

    Examples
    --------
    >>> round(rising_root(lambda lam: lam**2, 9.0, 1.0), 12)
    3.0
    """
    finite_end = math.isfinite(end)

    def lam_at(x: float) -> float:
        if not finite_end:
            return math.exp(x)
        return min(end / (1.0 + math.exp(-x)), math.nextafter(end, 0.0))

    found: dict[float, float] = {}  # ends of the bracket and the root are asked for more than once

    def miss(x: float) -> float:
        if x not in found:
            found[x] = math.log(max(value(lam_at(x)), _TINY) / target)
        return found[x]

    inside = guess if guess < end else 0.5 * end
    low = high = math.log(inside / (end - inside)) if finite_end else math.log(inside)
    below = above = miss(low)
    step = 0.125
    while below > 0.0 and low > -_FURTHEST:
        high, above = low, below
        low = max(low - step, -_FURTHEST)
        below, step = miss(low), 2.0 * step
    while above < 0.0 and high < _FURTHEST:
        low, below = high, above
        high = min(high + step, _FURTHEST)
        above, step = miss(high), 2.0 * step
    root = low if below == 0.0 else high
    if below < 0.0 < above:
        root = scipy.optimize.brentq(miss, low, high, xtol=1e-15, rtol=1e-15, maxiter=_MAX_ITERATIONS)
    if not (
        abs(miss(root)) <= _MET or (steep and miss(root - _BESIDE * abs(root)) < 0.0 < miss(root + _BESIDE * abs(root)))
    ):
        raise ArithmeticError(
            f"no λ with value {target:g} was found in [{lam_at(low)!r}, {lam_at(high)!r}]: the values at the ends are "
            f"{value(lam_at(low))!r} and {value(lam_at(high))!r}."
        )
    return lam_at(root)


def rising_roots(
    value: Callable[[FloatArray], FloatArray], target: FloatArray, start: FloatArray, *, end: float = math.inf
) -> FloatArray:
    """Return what `rising_root` returns for each of many targets, by calls of ``value`` with many λ at once.

    Parameters
    ----------
    value : callable
        Of an array of λ, not decreasing.
    target, start : arrays (k,)
        Values to reach and where to start, > 0.
    end : float
        Where the line ends.

    Raises
    ------
    ArithmeticError
        If a target is not reached, or jumped over.

    Examples
    --------
    >>> rising_roots(lambda lam: lam**2, np.array([9.0, 1e-8]), np.ones(2)).round(12).tolist()
    [3.0, 0.0001]
    """
    from scipy.optimize import elementwise  # which scipy.optimize does not import by itself

    finite_end = math.isfinite(end)

    def lam_at(x: FloatArray) -> FloatArray:
        return np.minimum(end / (1.0 + np.exp(-x)), math.nextafter(end, 0.0)) if finite_end else np.exp(x)

    def miss(x: FloatArray, log_target: FloatArray) -> FloatArray:
        return np.asarray(np.log(np.maximum(value(lam_at(x)), _TINY)) - log_target)

    inside, wanted = np.where(start < end, start, 0.5 * end), np.log(target)
    low = np.log(inside / (end - inside)) if finite_end else np.log(inside)
    below = miss(low, wanted)
    high, above = low.copy(), below.copy()
    step = 0.125
    while (on := (below > 0.0) & (low > -_FURTHEST)).any():
        high[on], above[on] = low[on], below[on]
        low[on] = np.maximum(low[on] - step, -_FURTHEST)
        below[on], step = miss(low[on], wanted[on]), 2.0 * step
    step = 0.125
    while (on := (above < 0.0) & (high < _FURTHEST)).any():
        low[on], below[on] = high[on], above[on]
        high[on] = np.minimum(high[on] + step, _FURTHEST)
        above[on], step = miss(high[on], wanted[on]), 2.0 * step
    root = np.where(below == 0.0, low, high)
    if (on := (below < 0.0) & (above > 0.0)).any():
        root[on] = elementwise.find_root(miss, (low[on], high[on]), args=(wanted[on],)).x
    if (lost := ~(np.abs(miss(root, wanted)) <= _MET)).any():
        ends = lam_at(np.array([low[lost][0], high[lost][0]]))
        raise ArithmeticError(
            f"no λ with value {target[lost][0]:g} was found in {ends.tolist()!r}: the values at the ends are "
            f"{value(ends).tolist()!r}."
        )
    return lam_at(root)


def roots_in_order(values: FloatArray, end: float, one: Callable[[float, float], float]) -> FloatArray:
    """Return the root ``one(value, guess)`` of each value: 0 at 0, ``inf`` from ``end`` on.

    They are found in increasing order, so that each starts the search for the next; the first guess is 0.

    Parameters
    ----------
    values : array
        What is to be reached, >= 0.
    end : float
        What no finite λ reaches.
    one : callable
        From a value and a guess to its root.
    """
    flat = values.reshape(-1)
    out = np.empty(flat.size)
    guess = 0.0
    for i in np.argsort(flat):
        value = float(flat[i])
        out[i] = guess = 0.0 if value == 0.0 else math.inf if value >= end else one(value, guess)
    return out.reshape(values.shape)


def convex_root(
    value: Callable[[FloatArray], FloatArray],
    slope: Callable[[FloatArray], FloatArray],
    target: FloatArray,
    start: FloatArray,
) -> FloatArray:
    """Return the root of an increasing convex function by Newton from above, where every step goes down to the root.

    Parameters
    ----------
    value : callable
        The function, of an array.
    slope : callable
        Its derivative.
    target : array
        What is to be reached.
    start : array
        Above the roots.

    Raises
    ------
    ArithmeticError
        If it does not settle.
    """
    v = np.array(start, dtype=np.float64)
    for _ in range(100):
        with np.errstate(invalid="ignore", divide="ignore"):
            new = np.where(v > 0, v - (value(v) - target) / slope(v), 0.0)
        # From above the iterates only fall, so the first that does not has met rounding.
        if (new >= v * (1 - 2e-15)).all():
            return np.asarray(np.minimum(new, v))
        v = np.minimum(new, v)
    raise ArithmeticError(f"Newton did not settle for KL budgets {target!r}; the last iterate is {v!r}.")


def newton_root(e: FloatArray, powers: FloatArray, widest: float, budget: float, lam: float) -> tuple[float, bool]:
    """Newton for ``D(λ) = budget`` of a finite law on the textbook form, at a fifth of the cost of the accurate one.

    Parameters
    ----------
    e : array (k,)
        Centred rewards.
    powers : array (3, k)
        ``p``, ``p e`` and ``p e²``.
    widest : float
        The largest |e|.
    budget : float
        KL in nats.
    lam : float
        First guess.

    Returns
    -------
    lam : float
        The last λ.
    final : bool
        Whether it is final: above ``VISIBLE`` nats the textbook form has lost nothing.
    """
    if budget < 1e-6:
        return lam, False
    for _ in range(12):
        if lam * widest > SCALE_ABOVE:
            break
        s0, s1, s2 = (powers @ np.exp(lam * e)).tolist()
        mean = s1 / s0
        kl, slope = lam * mean - math.log(s0), lam * (s2 / s0 - mean * mean)
        if kl <= 0 or slope <= 0:
            break
        new = lam * math.exp(min(1.0, max(-1.0, math.log(budget / kl) * kl / (lam * slope))))
        if abs(new - lam) <= _LAST_STEP * lam:
            return new, budget > VISIBLE
        lam = new
    return lam, False


def accurate_root(moments: Callable[[float], TiltMoments], budget: float, ceiling: float, lam: float) -> float:
    """Return the root of ``D(λ) = budget`` to rounding, from a first guess.

    Parameters
    ----------
    moments : callable
        From a λ to its `TiltMoments`.
    budget : float
        KL in nats, > 0 and below ``ceiling``.
    ceiling : float
        The law's largest KL.
    lam : float
        First guess.

    Raises
    ------
    ArithmeticError
        If none is found; the message has the bracket.
    """
    low, high = 0.0, math.inf
    leap = 4.0
    left = ceiling - budget
    for step in range(_MAX_ITERATIONS):
        m = moments(lam)
        # Close to the ceiling KLs agree to rounding over a range of λ; what is left to it does not.
        near = left < 0.5 * ceiling and m.kl_left < 0.5 * ceiling
        off, allowed = (m.kl_left - left, 4e-16 * left) if near else (m.kl - budget, 2e-16 * budget)
        if abs(off) <= allowed:
            return lam
        if m.kl_left > left if near else m.kl < budget:
            low = lam
        else:
            high = lam
        if high < math.inf and high - low <= 4e-16 * high:
            return lam
        new = _newton_step(lam, m, budget, ceiling)
        # Newton can circle where KL turns from flat to steep to flat; bisection does not.
        if low < new < high and step < _MOST_NEWTON_STEPS:
            # Newton squares the relative error: after so short a step nothing is left but rounding.
            if abs(new - lam) <= _LAST_STEP * lam:
                return new
            lam = new
        else:
            if math.isinf(high) or low == 0.0:
                lam = leap * lam if math.isinf(high) else high / leap
                leap = min(leap * leap, 1e30)
            else:
                lam = math.sqrt(low) * math.sqrt(high) if high > 2.0 * low else low + 0.5 * (high - low)
    raise ArithmeticError(f"no root of KL = {budget:g} found; it lies in [{low!r}, {high!r}].")


def _newton_step(lam: float, m: TiltMoments, budget: float, ceiling: float) -> float:
    # D' = λ Var. Below half the ceiling log D is nearly linear in log λ, above it log(ceiling - D) in λ.
    left = m.kl_left if m.kl_left == m.kl_left else ceiling - m.kl
    if lam * m.variance <= 0 or lam * lam * m.variance <= 0 or m.kl <= 0:  # or so small that the products vanish
        return math.nan
    if budget < 0.5 * ceiling or left <= 0:
        exponent = math.log(budget / m.kl) * m.kl / (lam * lam * m.variance)
        return lam * math.exp(min(exponent, 1.4))
    return lam + math.log(left / (ceiling - budget)) * left / (lam * m.variance)
