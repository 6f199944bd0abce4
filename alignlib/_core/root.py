"""The root of a rising function between two ends, without SciPy's optimisers, which are slow to import."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["rising_root"]

_STEPS = 200


def rising_root(
    value: Callable[[float], float], low: float, high: float, *, absolute: float = 0.0, relative: float = 4e-16
) -> float:
    """Return where ``value`` crosses 0 between ``low`` (below or at 0) and ``high`` (above or at 0).

    False position that halves the weight of an end kept twice (Illinois), and a bisection where that makes no headway;
    an infinite value at an end is bisected away.

    Parameters
    ----------
    value : callable
        A function of one number that nowhere falls between the ends.
    low, high : float
        Ends of different sign.
    absolute, relative : float
        Width of the bracket at which it stops, in the unit of the argument and as a part of it.

    Returns
    -------
    float
        Inside the last bracket.

    Examples
    --------
    >>> round(rising_root(lambda x: x**3 - 2.0, 0.0, 4.0), 12) == round(2.0 ** (1.0 / 3.0), 12)
    True
    """
    at_low, at_high = value(low), value(high)
    if at_low >= 0.0:
        return low
    if at_high <= 0.0:
        return high
    side, width = 0, math.inf
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        found = middle
        if math.isfinite(at_low) and math.isfinite(at_high) and high - low < 0.7 * width:
            found = (low * at_high - high * at_low) / (at_high - at_low)
        width, close = high - low, absolute + relative * abs(middle)
        found = min(max(found, low + 0.4 * close), high - 0.4 * close)  # a step past the root brings the other end near
        if width <= close or not low < found < high:
            break
        at = value(found)
        if at == 0.0:
            return found
        if at < 0.0:
            low, at_low = found, at
            at_high = 0.5 * at_high if side == -1 else at_high
            side = -1
        else:
            high, at_high = found, at
            at_low = 0.5 * at_low if side == 1 else at_low
            side = 1
    return 0.5 * (low + high) if math.isinf(at_low) or math.isinf(at_high) else (low if -at_low < at_high else high)
