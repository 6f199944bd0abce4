"""A law without atoms as nodes and weights, fine at both ends: integrals over it become sums of many digits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["rank_nodes"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_OCTAVES = 160  # of the mass of a tail: down to 2^-160
_SPLIT = 4  # parts of an octave, near the middle
_FINE = 12  # octaves in parts
_BESIDE = 0.5 ** np.arange(2, 42, 2)  # of a break's mass: panels shrink towards it from both sides


@lru_cache(maxsize=2)
def rank_nodes(breaks: tuple[float, ...] = ()) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return nodes and weights for integrals over ranks, in rising order.

    Within an octave of a tail's mass the rule is exact for polynomials of degree 23.

    Parameters
    ----------
    breaks : tuple of float
        Masses of the lower tail at which an integrand may have a kink.

    Returns
    -------
    below : array (m,)
        The lower tail's mass at nodes below the median.
    above : array (n,)
        The upper tail's mass at those above it.
    weights : array (nodes,)
        Of all nodes; together 1.
    """
    edges = 0.5 * 2.0 ** -np.concatenate([np.arange(0, _FINE, 1.0 / _SPLIT), np.arange(_FINE, _OCTAVES + 1)])
    low = _with_breaks(edges, [b for b in breaks if 0.0 < b < 0.5])
    high = _with_breaks(edges, [1.0 - b for b in breaks if 0.5 <= b < 1.0])
    parts = []
    for ends in (low, high):
        half = 0.5 * np.diff(ends)
        place = (ends[:-1] + half)[:, None] + half[:, None] * _NODES
        parts.append((place.ravel(), (half[:, None] * _WEIGHTS).ravel()))
    weight = np.concatenate([parts[0][1], parts[1][1][::-1]])
    return parts[0][0], parts[1][0][::-1], weight / weight.sum()


def _with_breaks(edges: FloatArray, breaks: list[float]) -> FloatArray:
    beside = [b * (1.0 + sign * _BESIDE) for b in breaks for sign in (-1.0, 1.0)]
    inside = np.concatenate([*beside, breaks, edges])
    return np.unique(inside[(inside > 0.0) & (inside <= 0.5)])
