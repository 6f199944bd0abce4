"""The KL divergence of two coins and its inverses, rounded outward so that every bound stays a bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, FloatOrArray, like, require, require_range
from alignlib._core.special import kl_integrand

__all__ = ["binary_kl", "kl_inverse_first", "kl_inverse_upper"]

# The divergence below errs by a few ulp (every term is positive and loses at most a factor six); this is ample.
_SLACK = 64 * float(np.finfo(float).eps)
# One call of numpy takes as long for some hundred numbers as for one.
_AT_ONCE = 512
_MOST_HALVINGS = 8


def binary_kl(q: npt.ArrayLike, p: npt.ArrayLike, *, complement: npt.ArrayLike | None = None) -> FloatOrArray:
    """``kl(q‖p) = q log(q/p) + (1-q) log((1-q)/(1-p))`` in nats, to full relative accuracy even for ``q`` near ``p``.

    Parameters
    ----------
    q, p : array
        Probabilities in [0, 1], broadcast against each other.
    complement : array, optional
        ``1 - p``, where it is known more exactly than ``p`` itself, as for ``1 - 1/M``.

    Raises
    ------
    InputError
        If a value lies outside [0, 1] or is not a number.

    Examples
    --------
    >>> bool(binary_kl(0.0, 0.5) == np.log(2))
    True
    >>> binary_kl(0.3, 0.3 + 1e-9) > 0
    True
    """
    first, second = np.broadcast_arrays(require_range("q", q, 0.0, 1.0), require_range("p", p, 0.0, 1.0))
    rest = _complement(second, complement)
    value = _kl(np.atleast_1d(first), np.atleast_1d(second), np.atleast_1d(rest)).reshape(first.shape)
    return like(first, np.asarray(value))


def _complement(p: FloatArray, complement: npt.ArrayLike | None) -> FloatArray:
    if complement is None:
        return np.asarray(1.0 - p)
    rest = np.broadcast_to(require_range("complement", complement, 0.0, 1.0), p.shape)
    require(bool((np.abs(p + rest - 1.0) <= 1e-12).all()), "complement must be 1 - p; pass it only to add digits.")
    return np.asarray(rest)


def _kl(q: FloatArray, p: FloatArray, rest: FloatArray | None = None) -> FloatArray:
    rest = 1.0 - p if rest is None else rest
    # Taken once, because 1 - q is rounded; the second bracket is what p itself lacks of 1 - rest.
    difference = (q - p) + ((p - 1.0) + rest)
    return _excess(q, p, difference) + _excess(1.0 - q, rest, -difference)


def _excess(a: FloatArray, b: FloatArray, difference: FloatArray) -> FloatArray:
    """``a log(a/b) - a + b >= 0`` from ``a - b``; infinite where ``b = 0 < a``."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        far = np.where(a > 0, a * (np.log(a) - np.log(b)) - difference, b)
        near = np.abs(difference) < 0.5 * b
        t = np.where(near, np.log1p(np.where(near, difference / b, 0.0)), 0.0)
    return np.where(near, b * kl_integrand(t), far)


def kl_inverse_upper(q: npt.ArrayLike, divergence: npt.ArrayLike) -> FloatOrArray:
    """Largest ``p`` with ``kl(q‖p) ≤ divergence``, rounded up: never below the exact value, above it by a few ulp.

    Parameters
    ----------
    q : array
        Empirical risk in [0, 1].
    divergence : array
        Bound on the divergence in nats, >= 0; ``inf`` gives 1.

    Raises
    ------
    InputError
        If ``q`` is not a probability or the divergence is negative or not a number.

    Examples
    --------
    >>> exact = -np.expm1(-0.1)
    >>> bool(exact <= kl_inverse_upper(0.0, 0.1) < exact * (1 + 1e-13))
    True

    Source: the inverse used by Seeger (2002) and Langford; the directed rounding is ours.
    """
    first, bound = _pair(q, divergence)

    def outside(p: FloatArray) -> BoolArray:
        return _kl(first, p) * (1 - _SLACK) >= bound

    top = np.ones_like(first)
    return like(np.broadcast_arrays(q, divergence)[0], _shape(q, divergence, _first_outside(first, top, outside)))


def kl_inverse_first(
    p: npt.ArrayLike, divergence: npt.ArrayLike, *, complement: npt.ArrayLike | None = None
) -> FloatOrArray:
    """Smallest ``q`` with ``kl(q‖p) ≤ divergence``, rounded down: the inverse in the first argument.

    Fano's inequality is this inverse at ``p = 1 - 1/M``.

    Parameters
    ----------
    p : array
        Probability in [0, 1].
    divergence : array
        Bound on the divergence in nats, >= 0.
    complement : array, optional
        ``1 - p``, as in `binary_kl`.

    Examples
    --------
    >>> kl_inverse_first(0.5, np.log(2)), round(kl_inverse_first(0.5, 0.0), 7)
    (0.0, 0.5)
    """
    second, bound = _pair(p, divergence)
    shape = np.broadcast_shapes(np.shape(p), np.shape(divergence))
    given = None if complement is None else np.broadcast_to(np.asarray(complement, dtype=np.float64), shape).reshape(-1)
    rest = _complement(second, given)

    def inside(q: FloatArray) -> BoolArray:
        return ~(_kl(q, second, rest) * (1 - _SLACK) >= bound)

    found = _first_outside(np.zeros_like(second), second, inside)
    return like(np.broadcast_arrays(p, divergence)[0], _shape(p, divergence, _down(found)))


def _down(x: FloatArray) -> FloatArray:
    return np.where(x > 0, np.nextafter(x, 0.0), 0.0)


def _pair(q: npt.ArrayLike, divergence: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    first = require_range("q", q, 0.0, 1.0)
    bound = require_range("divergence", divergence, 0.0, allow_inf=True)
    left, right = np.broadcast_arrays(first, bound)
    return np.array(left, dtype=np.float64).reshape(-1), np.array(right, dtype=np.float64).reshape(-1)


def _shape(q: npt.ArrayLike, divergence: npt.ArrayLike, value: FloatArray) -> FloatArray:
    return value.reshape(np.broadcast_shapes(np.shape(q), np.shape(divergence)))


def _first_outside(low: FloatArray, high: FloatArray, outside: Callable[[FloatArray], BoolArray]) -> FloatArray:
    """Return the smallest double in [low, high] where ``outside`` holds, ``high`` where none.

    The search is on bit patterns: non-negative doubles are ordered like their bit patterns read as integers, so 63
    halvings separate neighbours. Few values are asked about many places at once, which takes fewer, longer steps.
    """
    a, b = np.ascontiguousarray(low).view(np.int64).copy(), np.ascontiguousarray(high).view(np.int64).copy()
    at_low = outside(low)
    halvings = max(1, min(_MOST_HALVINGS, (_AT_ONCE // max(1, a.size)).bit_length() - 1))
    parts = 1 << halvings
    inner = np.arange(1, parts)[:, None]
    each = np.arange(a.size)
    while (b - a > 1).any():
        wide = b - a
        # a + i·wide/parts without the product i·wide, which may not fit; the ends are what is known of them already.
        places = a + inner * (wide // parts) + inner * (wide % parts) // parts
        out = outside(places.view(np.float64))
        first = np.where(out.any(axis=0), out.argmax(axis=0), parts - 1)
        ends = np.concatenate([a[None], places, b[None]])
        a, b = ends[first, each], ends[first + 1, each]
    return np.where(at_low, low, b.view(np.float64))
