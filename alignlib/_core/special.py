"""Scalar functions whose naive forms cancel: each keeps full relative accuracy near its zero."""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["exact_dot", "exp_excess", "kl_integrand", "log1p_excess"]

# Below this |x| the Taylor series of nine terms is exact to rounding, above it the closed form loses at
# most a factor 20 of machine precision.
_SMALL = 0.1
_SERIES = [1.0 / math.factorial(k) for k in range(11, 1, -1)]  # of (e^x - 1 - x)/x², the highest power first


def exact_dot(a: FloatArray, b: FloatArray, shift: float = 0.0) -> float:
    """Return ``Σ a (b + shift)`` correctly rounded, by error-free products and an exact sum.

    Parameters
    ----------
    a, b : array (k,)
        What is multiplied, entry by entry.
    shift : float
        Added to each entry of ``b``, without rounding.

    Returns
    -------
    float
        The double that is nearest to the sum.

    Examples
    --------
    >>> exact_dot(np.array([1.0, 1.0, 1.0]), np.array([1e16, 1.0, -1e16]))
    1.0
    """
    pieces: list[FloatArray] = [*_two_product(a, b)]
    if shift:
        pieces += _two_product(a, np.full_like(a, shift))
    return math.fsum(np.concatenate(pieces))


def _two_product(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``(h, l)`` with ``h + l = a b`` exactly (Dekker), short of underflow."""
    product = a * b
    a1, a2 = _split(a)
    b1, b2 = _split(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _split(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    big = 134217729.0 * a  # 2^27 + 1: the two halves have 26 bits each
    high = big - (big - a)
    return high, a - high


def exp_excess(x: FloatArray) -> FloatArray:
    """Return ``e^x - 1 - x``, which is never negative, to full relative accuracy (x up to 709).

    Parameters
    ----------
    x : array
        Any shape.

    Returns
    -------
    array
        Of the same shape.

    Examples
    --------
    >>> float(exp_excess(np.array(1e-9)))
    5.000000001666667e-19
    """
    with np.errstate(under="ignore"):
        value = np.asarray(np.expm1(x) - x)
    small = np.abs(x) < _SMALL
    if small.any():
        s = x[small] if np.ndim(x) else x
        series = _SERIES[0] * s
        for coefficient in _SERIES[1:-1]:
            series += coefficient
            series *= s
        series += _SERIES[-1]
        value[small] = s * s * series
    return value


def kl_integrand(t: FloatArray) -> FloatArray:
    """Return ``t e^t - e^t + 1 >= 0``, so that ``KL(q||p) = sum p * kl_integrand(log(q/p))``.

    Every term of that sum is non-negative, hence nothing cancels however close ``q`` is to ``p``; and since
    the derivative of the sum with respect to a common shift of ``t`` is the KL itself, an error of δ in the
    normaliser costs only a relative δ.

    Parameters
    ----------
    t : array
        Logarithms of q over p; -inf where q is 0.

    Returns
    -------
    array
        Of the same shape, 1 at -inf.
    """
    middle = np.abs(t) < 1.0
    with np.errstate(under="ignore", invalid="ignore"):
        value = np.asarray(np.where(np.isneginf(t), 1.0, (t - 1.0) * np.exp(t) + 1.0))
    if middle.any():
        s = t[middle] if np.ndim(t) else t
        value[middle] = s * np.expm1(s) - exp_excess(s)
    return value


def log1p_excess(u: FloatArray) -> FloatArray:
    """Return ``-log(1 - u) - u = u²/2 + u³/3 + …`` for ``u < 1`` to full relative accuracy.

    Parameters
    ----------
    u : array
        Any shape, below 1.

    Returns
    -------
    array
        Of the same shape.

    Examples
    --------
    >>> float(log1p_excess(np.array(1e-8)))
    5.000000033333334e-17
    """
    value = np.asarray(-np.log1p(-u) - u)
    small = np.abs(u) < _SMALL
    if small.any():
        s = u[small] if np.ndim(u) else u
        series = np.zeros_like(s)
        for k in range(18, 1, -1):
            series = series * s + 1.0 / k
        value[small] = s * s * series
    return value
