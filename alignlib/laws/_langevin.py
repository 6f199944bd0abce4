"""``log(sinh h / h)`` and its derivatives: the tilt of a uniform law, accurate from h = 0 to overflow."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from alignlib._core.checks import FloatArray

__all__ = ["kl", "langevin", "log_sinhc", "slope"]

# Series of log(sinh h / h) = Σ 4^k B_2k h^2k / (2k (2k)!): its radius is π, so 16 terms suffice below 1/2 … 1.
_K = np.arange(1, 17)
_LOG = np.array([4.0**k * special.bernoulli(2 * k)[-1] / (2 * k * math.factorial(2 * k)) for k in range(1, 17)])
_SERIES_BELOW = 0.7


def _series(h: FloatArray, coefficients: FloatArray) -> FloatArray:
    """``Σ_k c_k h^{2k}``, k from 1."""
    square = np.minimum(h, _SERIES_BELOW) ** 2
    total = np.zeros_like(h)
    for c in coefficients[::-1]:
        total = (total + c) * square
    return total


def _choose(h: FloatArray, series: FloatArray, closed: FloatArray) -> FloatArray:
    return np.where(h < _SERIES_BELOW, series, closed)


def log_sinhc(h: FloatArray) -> FloatArray:
    """``log(sinh h / h)`` for h >= 0."""
    x = np.maximum(h, _SERIES_BELOW)
    closed = x - np.log(2 * x) + np.log1p(-np.exp(-2 * x))
    return _choose(h, _series(h, _LOG), closed)


def langevin(h: FloatArray) -> FloatArray:
    """``coth h - 1/h``, the derivative of :func:`log_sinhc`."""
    x = np.maximum(h, _SERIES_BELOW)
    safe = np.where(h > 0, h, 1.0)
    return _choose(h, np.where(h > 0, _series(h, 2 * _K * _LOG) / safe, 0.0), 1 / np.tanh(x) - 1 / x)


def slope(h: FloatArray) -> FloatArray:
    """``1/h² - 1/sinh² h``, the second derivative; 1/3 at 0."""
    x = np.maximum(h, _SERIES_BELOW)
    coefficients = 2 * _K * (2 * _K - 1) * _LOG
    head = coefficients[0] + _series(h, coefficients[1:])
    with np.errstate(over="ignore", under="ignore"):
        closed = 1 / x**2 - 4 * np.exp(-2 * x) / np.expm1(-2 * x) ** 2
    return _choose(h, head, closed)


def kl(h: FloatArray) -> FloatArray:
    """``h L(h) - log(sinh h / h)``: KL of the tilted uniform law to the uniform law, in nats."""
    x = np.maximum(h, _SERIES_BELOW)
    with np.errstate(over="ignore"):
        closed = np.log(2 * x) - 1 + 2 * x / np.expm1(2 * x) - np.log1p(-np.exp(-2 * x))
    return _choose(h, _series(h, (2 * _K - 1) * _LOG), closed)
