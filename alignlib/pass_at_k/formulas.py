"""pass@k and pass^k: the chance that some, or all, of k responses are right; exact, and unbiased from counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, IntArray, as_whole, like, require, require_range

__all__ = ["all_of_k", "all_of_k_estimate", "pass_at_k", "pass_at_k_estimate"]


def pass_at_k(success: npt.ArrayLike, k: int) -> FloatOrArray:
    """Return ``1 - (1 - s)^k``, the chance that one of k independent responses is right.

    Parameters
    ----------
    success : float or array
        Probability s that a response is right, in [0, 1].
    k : int
        Number of responses, at least 1.

    Raises
    ------
    InputError
        For a probability outside [0, 1], or a k that is not a whole number from 1 on.

    Examples
    --------
    >>> pass_at_k(0.5, 2)
    0.75
    """
    rate = require_range("success", success, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        return like(success, np.asarray(-np.expm1(as_whole("k", k, 1) * np.log1p(-rate))))


def all_of_k(success: npt.ArrayLike, k: int) -> FloatOrArray:
    """Return ``s^k``, the chance that all of k independent responses are right: pass^k.

    Parameters
    ----------
    success : float or array
        Probability s that a response is right, in [0, 1].
    k : int
        Number of responses, at least 1.

    Raises
    ------
    InputError
        For a probability outside [0, 1], or a k that is not a whole number from 1 on.

    Examples
    --------
    >>> all_of_k([0.5, 1.0], 3).tolist()
    [0.125, 1.0]
    """
    rate = require_range("success", success, 0.0, 1.0)
    return like(success, np.asarray(rate ** as_whole("k", k, 1)))


def pass_at_k_estimate(n: npt.ArrayLike, correct: npt.ArrayLike, k: int) -> FloatOrArray:
    """Return ``1 - C(n-c, k)/C(n, k)``, unbiased for pass@k from c right responses of n.

    Parameters
    ----------
    n, correct : int or array of int
        Number of responses to each prompt, and how many of them are right.
    k : int
        1 <= k <= n.

    Raises
    ------
    InputError
        For counts that are not whole, more right responses than responses, or k above n.

    Examples
    --------
    >>> pass_at_k_estimate(4, 1, 2)
    0.5
    >>> pass_at_k_estimate([4, 8], [1, 8], 4).tolist()
    [1.0, 1.0]

    Source: ChenM2021; the sum of non-negative terms is ours, and loses no digit where few are right.
    """
    return _by_size(n, correct, k, _some)


def all_of_k_estimate(n: npt.ArrayLike, correct: npt.ArrayLike, k: int) -> FloatOrArray:
    """Return ``C(c, k)/C(n, k)``, unbiased for pass^k from c right responses of n.

    Parameters
    ----------
    n, correct : int or array of int
        Number of responses to each prompt, and how many of them are right.
    k : int
        1 <= k <= n.

    Raises
    ------
    InputError
        For counts that are not whole, more right responses than responses, or k above n.

    Examples
    --------
    >>> all_of_k_estimate(4, [4, 3, 1], 2).tolist()
    [1.0, 0.5, 0.0]

    Source: Yao2024.
    """
    return _by_size(n, correct, k, _all)


def _some(n: int, k: int) -> FloatArray:
    """``1 - C(n-c, k)/C(n, k)`` for c = 0 … n: each right response adds its share of what still fails."""
    left = np.arange(n, 0, -1.0)
    drop = np.minimum(k / left, 1.0)
    fails = np.cumprod(np.append(1.0, 1.0 - drop))
    return np.asarray(np.minimum(np.append(0.0, np.cumsum(fails[:-1] * drop)), 1.0))


def _all(n: int, k: int) -> FloatArray:
    """``C(c, k)/C(n, k)`` for c = 0 … n."""
    c = np.arange(n, 0, -1.0)
    return np.asarray(np.cumprod(np.append(1.0, np.maximum(c - k, 0.0) / c))[::-1])


def _by_size(n: npt.ArrayLike, correct: npt.ArrayLike, k: int, table: Callable[[int, int], FloatArray]) -> FloatOrArray:
    sizes, right = np.broadcast_arrays(_whole("n", n, 1.0), _whole("correct", correct, 0.0))
    draws = as_whole("k", k, 1)
    require(
        bool((right <= sizes).all()),
        f"correct must not exceed n; got {int(right.max())} right of {int(sizes.min())}.",
        "correct",
    )
    require(
        draws <= int(sizes.min()),
        f"k must not exceed n, the responses to a prompt; got k = {draws} and n = {int(sizes.min())}. Lower k, or draw "
        "more responses.",
        "k",
    )
    out = np.empty(sizes.shape)
    for size in np.unique(sizes):
        of_size = sizes == size
        out[of_size] = table(int(size), draws)[right[of_size]]
    return float(out) if out.ndim == 0 else out


def _whole(name: str, value: npt.ArrayLike, low: float) -> IntArray:
    found = require_range(name, value, low)
    require(found.size > 0 and bool((found == np.round(found)).all()), f"{name} must hold whole numbers.", name)
    return np.asarray(found, dtype=np.int64)
