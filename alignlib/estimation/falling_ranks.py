"""Have the last values of a sequence fallen below those before? An exact test by their order alone.

Of the last w values it counts the pairs in which the earlier one is larger: all pairs (Kendall), and those between the
first half and the last (Mann and Whitney). Where values are a course that never falls plus independent noise of one
law, of whatever shape, neither count is likelier to be large than for a random order, whose law is known exactly.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray

__all__ = ["FEWEST", "falling_ranks", "goes_on"]

FEWEST = 6  # values: of five in falling order one in 120 orders is as far down
_EXACT = 48  # values; of more the counts' tails lie below the normal law's
_KNOTS, _MOST_APART, _LEAST_ALIKE = 24, 5, 0.2
_SURE = 0.95


@cache
def _tail(width: int, halves: bool) -> FloatArray:
    """Return how likely a random order has so many falling pairs or more, for 0, 1, … of them.

    >>> _tail(3, False).round(3).tolist(), _tail(4, True).round(3).tolist()
    ([1.0, 0.833, 0.5, 0.167], [1.0, 0.833, 0.667, 0.333, 0.167])
    """
    half = width // 2
    pairs = half * half if halves else width * (width - 1) // 2
    if width > _EXACT:
        mean = pairs / 2.0
        scale = math.sqrt(half**2 * (width + 1.0) / 12.0 if halves else width * (width - 1.0) * (2 * width + 5) / 72.0)
        return np.asarray(scipy.special.ndtr((mean + 0.5 - np.arange(pairs + 1.0)) / scale))
    orders = [1]
    for size in range(2, width + 1):  # times 1 + q + … + q^(size - 1), or in halves (1 - q^(half + j))/(1 - q^j)
        if halves and size <= half:
            continue
        longer = [*orders, *[0] * (size if halves else size - 1)]
        for i in range(len(longer) - 1, size - 1, -1) if halves else ():
            longer[i] -= longer[i - size]
        step, above = (size - half, size) if halves else (1, size)
        given = longer.copy()
        for i in range(step, len(longer)):
            longer[i] += longer[i - step]
            if not halves and i >= above:
                longer[i] -= given[i - above]
        orders = longer
    counts, total = orders[: pairs + 1], sum(orders[: pairs + 1])
    tail, left = [], total
    for count in counts:
        tail.append(left / total)
        left -= count
    return np.array(tail)


def _widths(size: int) -> list[int]:
    """Return 6, 8, 12, 16, 24, 32, … as far as there are values."""
    return sorted(first * 2**j for first in (6, 8) for j in range(64) if first * 2**j <= size)


def _falling(values: FloatArray, width: int) -> IntArray:
    """Count the falling pairs among the last ``width`` values at each place, (k,); too few are 0.

    >>> _falling(np.array([3.0, 1.0, 2.0, 0.0]), 3).tolist()
    [0, 0, 2, 2]
    """
    found = np.zeros(values.size, dtype=np.int64)
    total = 0
    for i in range(values.size):
        start = max(0, i - width + 1)
        if i >= width:
            total -= int(np.count_nonzero(values[start - 1] > values[start:i]))
        total += int(np.count_nonzero(values[start:i] > values[i]))
        found[i] = total if i >= width - 1 else 0
    return found


def falling_ranks(values: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return at each place how likely a random order falls as clearly there, and how many values tell.

    Bonferroni's inequality covers all counts of a place. Ties are no falls. Noise whose size changes has no such exact
    law; counted are symmetric ones that grow or shrink tenfold, or fiftyfold, along a sequence
    (``python -m benchmarks.gold_turn_study``), where each value dwarfs all before it chances are larger.

    Parameters
    ----------
    values : array (k,)
        In order.

    Returns
    -------
    p : array (k,)
        NaN where there are fewer than six.
    width : array of int (k,)
        The last so many values fell the most clearly: their first half lies above their last.

    Examples
    --------
    >>> p, width = falling_ranks(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 3.9, 3.0, 2.5, 1.0, 0.7, 0.2, -1.0]))
    >>> bool(p[11] < 0.0002), int(width[11]), bool(p[5] > 0.9)
    (True, 8, True)

    Source: Kendall (1938) and Mann and Whitney (1947), whose counts only fall where a course rises.
    """
    k = values.size
    best, width, compared = np.ones(k), np.zeros(k, dtype=np.int64), np.zeros(k)
    pairs: dict[int, IntArray] = {}
    for w in _widths(k):
        place = np.arange(w - 1, k)
        pairs[w] = _falling(values, w)
        found = [_tail(w, False)[pairs[w][place]]]
        half = pairs.get(w // 2)
        if half is not None:  # of six or eight, halves are too few to say anything
            found.append(_tail(w, True)[pairs[w][place] - half[place] - half[place - w // 2]])
        for p in found:
            compared[place] += 1.0
            less = (p < best[place]) | (width[place] == 0)
            best[place[less]], width[place[less]] = p[less], w
    return np.where(compared > 0.0, np.minimum(best * compared, 1.0), np.nan), width


def goes_on(values: FloatArray) -> int:
    """Return how many values apart noise is hardly alike: 1, unless the next is significantly like the one before.

    The course is taken for a cubic with one bend or one step, where it fits best.

    Parameters
    ----------
    values : array (k,)
        In order.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> walk = np.convolve(rng.standard_normal(400), 0.7 ** np.arange(30), "valid")[:100]
    >>> goes_on(walk), goes_on(rng.standard_normal(100))
    (5, 1)
    """
    u = np.linspace(-1.0, 1.0, values.size)
    smooth = np.stack([np.ones_like(u), u, u * u, u**3], axis=1)
    rest = [values - smooth @ np.linalg.lstsq(smooth, values)[0]]
    for knot in np.unique(np.linspace(2, values.size - 3, min(_KNOTS, values.size)).astype(int)):
        for broken in (np.maximum(u - u[knot], 0.0), (u >= u[knot]).astype(np.float64)):
            course = np.column_stack([smooth, broken])
            rest.append(values - course @ np.linalg.lstsq(course, values)[0])
    left = min(rest, key=lambda one: float(one @ one))
    square = float(left @ left)
    if square <= 1e-18 * float(values @ values) or values.size <= 2 * FEWEST:
        return 1
    # Six coefficients take from the likeness of independent noise about as much as 3/k.
    alike = float(left[1:] @ left[:-1]) / square + 3.0 / values.size
    if alike <= float(scipy.special.ndtri(_SURE)) / math.sqrt(values.size):
        return 1
    alike = min(alike + 1.0 / math.sqrt(values.size), 0.95)
    return min(math.ceil(math.log(_LEAST_ALIKE) / math.log(alike)), _MOST_APART)
