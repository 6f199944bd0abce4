"""How a result with long arrays shows itself: its sizes and first numbers; with how many decimals numbers are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray

__all__ = ["between", "decimals_of", "level_shown", "span"]

_NOISE = 1e-12  # of the largest: what rounding leaves of a 0
_OF_FLOATS = 1e-6  # of a number, by which one in float32 misses what was written


def between(low: float, high: float, digits: str = ".3g") -> str:
    """Write what is known to lie between two ends, or to be the one that they are.

    Parameters
    ----------
    low, high : float
        The ends; an infinite one is not known.
    digits : str
        A format of Python for each number.

    Returns
    -------
    str
        Words for a sentence.

    Examples
    --------
    >>> between(0.5, 0.5), between(0.5, 2.0), between(0.5, float("inf")), between(0.0, float("inf"))
    ('0.5', '0.5 to 2', 'at least 0.5', 'an unknown number of')
    """
    if low == high:
        return f"{low:{digits}}"
    if not np.isfinite(high):
        return f"at least {low:{digits}}" if low > 0.0 else "an unknown number of"
    return f"{low:{digits}} to {high:{digits}}"


def level_shown(level: float) -> str:
    """Write a coverage below 1 in per cent, with as many digits as it takes not to say 100.

    Parameters
    ----------
    level : float
        Coverage in (0, 1).

    Returns
    -------
    str
        Such as ``"95 %"``.

    Examples
    --------
    >>> level_shown(0.95), level_shown(0.9999999999999999)
    ('95 %', '99.99999999999999 %')
    """
    texts = (f"{100.0 * level:.{digits}g}" for digits in range(6, 18))
    return f"{next((text for text in texts if float(text) < 100.0), '100')} %"


def span(values: npt.ArrayLike) -> str:
    """Return the ends of some numbers, or the one that they are; what is not finite is passed over.

    Parameters
    ----------
    values : array_like
        Numbers of any unit.

    Returns
    -------
    str
        With three digits.

    Examples
    --------
    >>> span([0.0, 2.5, 1.0]), span([0.5]), span([float("nan")])
    ('0 to 2.5', '0.5', 'unknown')
    """
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    array = array[np.isfinite(array)]
    if array.size == 0:
        return "unknown"
    array = np.where(np.abs(array) < _NOISE * np.abs(array).max(), 0.0, array)
    low, high = f"{array.min():.3g}", f"{array.max():.3g}"
    return low if low == high else f"{low} to {high}"


def decimals_of(values: FloatArray, tried: Iterable[int]) -> int | None:
    """Return the decimals to which numbers were rounded, as those show: the fewest tried that none exceeds.

    None where all of those tried are exceeded. So they are by a number other than 0 that would be rounded to 0, and
    numbers that are all 0 do not show any.

    Parameters
    ----------
    values : array (k,)
        Numbers as they were logged.
    tried : iterable of int
        Decimals, increasing.

    Examples
    --------
    >>> decimals_of(np.array([0.0, 0.25, 0.5]), range(7)), decimals_of(np.array([1.0 / 3.0]), range(7))
    (2, None)
    >>> decimals_of(np.array([0.0, 1.6e-4]), range(4)), decimals_of(np.zeros(2), range(4))
    (None, None)
    """
    near = _OF_FLOATS * np.abs(values)
    return (
        next((d for d in tried if (np.abs(values - values.round(d)) <= np.minimum(near, 1e-3 * 10.0**-d)).all()), None)
        if values.any()
        else None
    )
