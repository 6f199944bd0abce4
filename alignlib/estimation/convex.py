"""Corrected log-partition functions made possible again: convex, and nowhere steeper than the largest sample."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["made_convex"]


def made_convex(lam: FloatArray, curve: FloatArray, plug_in: FloatArray, limit: FloatArray) -> FloatArray:
    """Return ``max(plug-in, ∫ running maximum of the slope)``, the slope at most ``limit``.

    A correction of bias may bend a log-partition function the wrong way: on a prompt whose two largest samples tie, the
    second-order jackknife grows ever more slowly, and the minimum over λ runs away. What is convex is left as it is.

    Parameters
    ----------
    lam : array (L,)
        Increasing λ > 0.
    curve, plug_in : array (..., L)
        Centred log-partition functions, corrected and not.
    limit : array (...,)
        The largest gain of any sample.

    Examples
    --------
    >>> lam = np.array([1.0, 2.0, 3.0])
    >>> made_convex(lam, np.array([0.4, 1.0, 1.1]), np.array([0.3, 0.9, 1.2]), np.array(1.0)).round(3).tolist()
    [0.4, 1.0, 1.6]
    """
    step = np.diff(lam, prepend=0.0)
    slope = np.diff(curve, prepend=0.0, axis=-1) / step
    slope = np.minimum(np.maximum.accumulate(slope, axis=-1), limit[..., None])
    return np.asarray(np.maximum(np.cumsum(slope * step, axis=-1), plug_in))
