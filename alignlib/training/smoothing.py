"""The reward of a run at a KL between its checkpoints: a line through those near by, as weights of the checkpoints."""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["bend_weights", "local_weights"]

_SHARE, _FEWEST = 0.4, 5  # of the checkpoints, at least, that a line goes through


def local_weights(kl: FloatArray, at: float) -> tuple[FloatArray, FloatArray]:
    """Return weights w and v with ``Σ w r`` the reward at a KL and ``Σ v r`` its slope in the KL, (k,) each.

    The line is drawn in √KL, in which limit and runs are nearly straight, by least squares with tricube weights of the
    distance; of two checkpoints it goes through both. ``Σ w = 1`` and ``Σ v = 0``.

    Parameters
    ----------
    kl : array (k,)
        KL of the checkpoints, >= 0, two different ones at least.
    at : float
        KL within their range.

    Examples
    --------
    >>> kl = np.array([0.0, 0.25, 1.0, 2.25, 4.0])
    >>> w, v = local_weights(kl, 1.44)
    >>> round(float(w @ (1.0 + 2.0 * np.sqrt(kl))), 6), round(float(v @ np.sqrt(kl)), 6) == round(0.5 / 1.2, 6)
    (3.4, True)
    """
    weight, x = _near(kl, at)
    total, first, second = float(weight.sum()), float(weight @ x), float(weight @ x**2)
    spread = total * second - first**2
    value = weight * (second - first * x) / spread
    slope = weight * (total * x - first) / spread
    return value, slope / (2.0 * max(math.sqrt(at), 1e-9))


def bend_weights(kl: FloatArray, at: float) -> FloatArray:
    """Return weights d with ``Σ d r`` how far a parabola through the same checkpoints lies above the line, (k,).

    That is what the bend of a run puts between its reward and the line; it is 0 where the run is straight in √KL.

    Examples
    --------
    >>> kl = np.linspace(0.0, 2.0, 9) ** 2
    >>> d = bend_weights(kl, 1.0)
    >>> abs(float(d @ np.sqrt(kl))) < 1e-9, abs(float((d + local_weights(kl, 1.0)[0]) @ kl) - 1.0) < 1e-9
    (True, True)
    """
    weight, x = _near(kl, at)
    root = np.sqrt(weight)
    scaled = x / float(np.abs(x).max())
    if np.unique(scaled[weight > 0.0]).size < 3:
        return np.zeros(kl.size)
    parabola = np.linalg.pinv(root[:, None] * scaled[:, None] ** np.arange(3))[0] * root
    return np.asarray(parabola - local_weights(kl, at)[0])


def _near(kl: FloatArray, at: float) -> tuple[FloatArray, FloatArray]:
    """Return the weight of each checkpoint and its distance, in √KL."""
    root, centre = np.sqrt(kl), math.sqrt(at)
    away = np.abs(root - centre)
    nearest = min(kl.size, max(_FEWEST, math.ceil(_SHARE * kl.size)))
    width = float(np.sort(away)[nearest - 1]) * (1.0 + 1e-9)
    while np.unique(root[away < width]).size < min(3, np.unique(root).size):
        width = float(away[away >= width].min()) * (1.0 + 1e-9) if (away >= width).any() else math.inf
    weight = np.ones(kl.size) if math.isinf(width) else np.clip(1.0 - (away / width) ** 3, 0.0, None) ** 3
    weight = np.maximum(weight, 1e-6 * (away <= width))
    return weight, root - centre
