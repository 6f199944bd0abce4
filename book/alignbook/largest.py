"""The largest value of a function of one number: what a page calls the most is a supremum, no largest point drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy

from alignlib._core.checks import FloatArray

__all__ = ["largest"]


def largest(value: Callable[[float], float], grid: Sequence[float] | FloatArray) -> tuple[float, float]:
    """Return where a continuous function is largest and how large, by a search between neighbours of the best point.

    The grid says where to look, and must be fine enough that the largest hump has a point of it; ends count too.

    >>> at, most = largest(lambda x: 1.0 - (x - 0.3) ** 2, [0.0, 0.5, 1.0])
    >>> round(at, 6), round(most, 9)
    (0.3, 1.0)
    >>> largest(lambda x: x, [0.0, 0.5, 1.0])
    (1.0, 1.0)
    """
    points = np.asarray(grid, dtype=float)
    values = [float(value(float(x))) for x in points]
    best = int(np.argmax(values))
    low, high = points[max(best - 1, 0)], points[min(best + 1, points.size - 1)]
    found = scipy.optimize.minimize_scalar(
        lambda x: -value(float(x)), bounds=(low, high), method="bounded", options={"xatol": 1e-6 * (high - low)}
    )
    if -found.fun <= values[best]:
        return float(points[best]), values[best]
    return float(found.x), float(-found.fun)
