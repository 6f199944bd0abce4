"""A law of few outcomes much like one of many: two for each bin of gaps, by Gauss's quadrature."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["condensed"]

_BINS = 1 << 7


def condensed(gap: FloatArray, prob: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return gaps and masses of two outcomes for each bin of gaps, with the bin's mass, mean, variance and skewness.

    Bins are narrower towards the top, where ratios rise fastest.

    Parameters
    ----------
    gap : array (k,)
        Distance >= 0 of each reward to the largest; not all zero.
    prob : array (k,)
        Positive base masses.

    Returns
    -------
    gap, prob : array (m,)
        At most 256 of each.

    Examples
    --------
    >>> gap, prob = condensed(np.linspace(0.0, 1.0, 1000), np.full(1000, 1e-3))
    >>> gap.size <= 256, round(float(prob @ gap), 12), round(float(prob @ gap**3), 6)  # 1/4, but for the ends
    (True, 0.5, 0.25025)
    """
    root = np.sqrt(gap * (_BINS * _BINS / float(gap.max())))
    place = root.astype(np.int64)
    mass = np.bincount(place, prob)
    held = np.flatnonzero(mass)
    mass, which = mass[held], (np.cumsum(np.bincount(place) > 0) - 1)[place]
    middle = np.bincount(which, prob * gap) / mass
    off = gap - middle[which]
    square = prob * off * off
    sd = np.sqrt(np.bincount(which, square) / mass)
    with np.errstate(all="ignore"):
        lean = np.bincount(which, square * off) / (mass * np.maximum(sd, 1e-300) ** 3)
        lean = np.where(sd > 0.0, lean, 0.0)
    far = np.hypot(2.0, lean)
    few = np.concatenate([middle + 0.5 * sd * (lean + far), middle + 0.5 * sd * (lean - far)])
    share = 0.5 * lean / far
    return np.maximum(few, 0.0), np.concatenate([mass * (0.5 - share), mass * (0.5 + share)])
