"""Whether a divergence is what it declares: its slope that of ``f``, and its limits at ratios 0 and infinity."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib.divergences.divergence import Divergence

__all__ = ["check_declared", "check_once"]

_RATIOS = np.exp2(np.linspace(-6.0, 6.0, 97))
_FAR = np.array([1e12, 1e24, 1e48])  # each the square of the one before: of a logarithm, equal parts
_CLOSE = 1e-6


def check_declared(divergence: Divergence) -> None:
    """Refuse a divergence whose ``f``, slopes, inverse and declared limits contradict each other.

    A limit that is wrong, or left at its default by mistake, would give a frontier where there is none, or another.

    Parameters
    ----------
    divergence : Divergence
        As a subclass declares it.

    Raises
    ------
    InputError
        With the attribute or method, what it says, what was seen, and the remedy.

    Examples
    --------
    >>> from alignlib.divergences import HELLINGER
    >>> check_declared(HELLINGER)
    """
    called = f"the divergence {divergence.called}"
    with np.errstate(all="ignore"):
        f, slope = divergence.f(_RATIOS), divergence.slope(_RATIOS)
        one = np.ones(1)
        at_one = float(divergence.f(one)[0]), float(divergence.slope(one)[0])
        back = divergence.ratio_at(slope)
        far, near = divergence.slope(_FAR), divergence.slope(1.0 / _FAR)
        at_zero, towards_zero = float(divergence.f(np.zeros(1))[0]), divergence.f(1.0 / _FAR)
    require(
        max(map(abs, at_one)) <= _CLOSE,
        f"f of {called} and its slope must be 0 at ratio 1; got f(1) = {at_one[0]:g} and slope(1) = {at_one[1]:g}. "
        "Take f(1) + (t - 1) slope(1) from f.",
        "divergence",
    )
    chord = np.diff(f) / np.diff(_RATIOS)  # of a convex f between the slopes at both ends
    spare = _CLOSE * np.maximum(1.0, np.abs(chord))
    wrong = ~((slope[:-1] <= chord + spare) & (chord <= slope[1:] + spare))
    place = int(np.argmax(wrong))
    require(
        not wrong.any(),
        f"slope of {called} must be the derivative of its f, which must be convex; between ratios {_RATIOS[place]:.3g} "
        f"and {_RATIOS[place + 1]:.3g} f rises by {chord[place]:.4g} for 1, and slope is {slope[place]:.4g} and "
        f"{slope[place + 1]:.4g}. Mend the one that is wrong.",
        "divergence",
    )
    rises = np.diff(slope, prepend=math.inf, append=-math.inf) > _CLOSE
    rises = rises[:-1] & rises[1:]  # where the slope tells the ratio: neither beside a kink nor past all digits
    wrong = rises & ~(np.abs(back - _RATIOS) <= 1e-3 * _RATIOS)
    place = int(np.argmax(wrong))
    require(
        not wrong.any(),
        f"ratio_at of {called} must be the inverse of its slope; at ratio {_RATIOS[place]:.4g} slope is "
        f"{slope[place]:.4g}, for which ratio_at gives {back[place]:.4g}. Mend the one that is wrong.",
        "divergence",
    )
    for name, what, declared, seen, sign, towards in (
        ("slope_at_infinity", "the limit of f(t)/t", divergence.slope_at_infinity, far, 1.0, "1e12, 1e24 and 1e48"),
        ("slope_at_zero", "the slope at 0", divergence.slope_at_zero, near, -1.0, "1e-12, 1e-24 and 1e-48"),
    ):
        require(
            _may_be(sign * declared, sign * seen),
            f"{name} of {called} must be {what}; it is declared as {declared:g}, but the slope at ratios {towards} is "
            f"{_listed(seen)}. Write {name} = {_limit(sign * seen) * sign:g} in the class if that is the limit.",
            "divergence",
        )
    require(
        _may_be(at_zero, towards_zero),
        f"f of {called} must have its limit at ratio 0; f(0) is {at_zero:g}, but at ratios 1e-12, 1e-24 and 1e-48 it "
        f"is {_listed(towards_zero)}. Give f(0) its limit, such as by scipy.special.xlogy for t log t.",
        "divergence",
    )


def check_once(divergence: Divergence) -> None:
    """`check_declared`, once for each divergence, or each time where its parameters have no hash.

    Parameters
    ----------
    divergence : Divergence
        As a subclass declares it.
    """
    try:
        hash(divergence)
    except TypeError:
        check_declared(divergence)
    else:
        _checked(divergence)


@lru_cache(maxsize=256)
def _checked(divergence: Divergence) -> None:
    check_declared(divergence)


def _may_be(declared: float, seen: FloatArray) -> bool:
    """Whether a rising function seen at `_FAR` may have a limit; values that overflow to NaN say nothing."""
    if math.isnan(declared) or np.isnan(seen).any():
        return not math.isnan(declared)
    found, last = _limit(seen), float(seen[-1])
    if math.isinf(declared) or math.isinf(last):
        return declared == found
    more = _CLOSE * max(1.0, abs(declared))
    return last - more <= declared <= last + more + _still_to_come(seen)


def _still_to_come(seen: FloatArray) -> float:
    """Return the most by which a limit may exceed the last value, were the rest a power of the ratio; 0 of a log."""
    before, after = np.diff(seen).tolist()
    if not 0.0 < after < 1.98 * before:
        return 0.0
    shrunk = 0.5 * (math.sqrt(1.0 + 4.0 * after / before) - 1.0)  # c u, c u² and c u⁴ are left at the three
    return float(max(after, 1.1 * (before / (1.0 - shrunk) - before - after)))


def _limit(seen: FloatArray) -> float:
    """Return infinity where a function rises no more slowly from place to place of `_FAR`, else its last value."""
    first, second, last = seen.tolist()
    if math.isinf(last) or last - second > 0.9 * (second - first) > 0.0:
        return math.copysign(math.inf, last)
    return float(last)


def _listed(seen: FloatArray) -> str:
    first, second, last = (f"{value:.6g}" for value in seen.tolist())
    return f"{first}, {second} and {last}"
