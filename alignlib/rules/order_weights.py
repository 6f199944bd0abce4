"""Weights of the order statistics: what best-of-N and its relatives give to the k-th best of m samples.

All weights are listed from the best sample down, and only as far as they matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import quoted

__all__ = ["halved_weights", "jackknifed_weights", "subset_means", "subset_weights"]

_NEGLIGIBLE = 1e-18
# Above this many samples, and up to this n, weights are taken at a few nodes of each block of samples.
_MANY = 20_000
_SMALL_N = 64
_BLOCKS = 2000
_NODES = 6


def subset_weights(m: int, n: int) -> FloatArray:
    """``C(m-k, n-1) / C(m, n)`` for the k-th best of m samples, k from 1: the chance to be the best of a random n.

    Neighbours differ by the factor ``(m-k-n+1)/(m-k)``, so no binomial is formed. The list stops where all that
    follow sum to less than 1e-18.

    Parameters
    ----------
    m : int
        Samples.
    n : int
        Size of the subset, at most m.

    Examples
    --------
    >>> subset_weights(4, 2).tolist()
    [0.5, 0.3333333333333333, 0.16666666666666666]
    """
    # All of the n draws fall among the worst m - k with probability below (1 - k/m)^n.
    kept = min(m - n + 1, math.ceil(m * -math.expm1(math.log(_NEGLIGIBLE) / n)) + 1)
    k = np.arange(1, kept, dtype=np.float64)
    weights = np.empty(kept)
    weights[0] = n / m
    np.divide(m - n + 1 - k, m - k, out=weights[1:])
    return np.cumprod(weights, out=weights)


def jackknifed_weights(m: int, transform: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Weights of the delete-one jackknife of ``Σ [G(F_k) - G(F_{k+1})] r_(k)``, for any distribution function ``G(F)``.

    The plug-in weights at m samples are ``G(1 - (k-1)/m) - G(1 - k/m)``; deleting one sample at a time averages
    those at m - 1 samples, in closed form. ``transform`` maps F in [0, 1] to G(F).

    Parameters
    ----------
    m : int
        Samples.
    transform : callable
        From F in [0, 1] to ``G(F)``.

    Examples
    --------
    >>> bool(np.allclose(jackknifed_weights(5, lambda f: f), 0.2))
    True
    """
    full = _plug_in(m, transform)
    if m == 1:
        return full
    fewer = np.append(_plug_in(m - 1, transform), 0.0)
    k = np.arange(1, m + 1)
    # The k-th best stays k-th best when a worse one is deleted, and moves up when a better one is.
    left = ((m - k) * fewer + (k - 1) * np.concatenate([[0.0], fewer[:-1]])) / m
    return np.asarray(m * full - (m - 1) * left)


def halved_weights(m: int, transform: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Weights of twice the plug-in of `jackknifed_weights` less its mean over all halves of the samples.

    A bias of O(1/m) goes, also where ``G`` has a kink, for which the deletion of one sample tells nothing. From 20,000
    samples on, where that bias is lost in the noise, the plug-in weights.

    Parameters
    ----------
    m : int
        Samples.
    transform : callable
        From F in [0, 1] to ``G(F)``.

    Examples
    --------
    >>> (halved_weights(4, lambda f: np.maximum(2.0 * f - 1.0, 0.0)).round(6) + 0.0).tolist()
    [0.5, 0.666667, -0.166667, 0.0]
    """
    whole, half = _plug_in(m, transform), m // 2
    if half == 0 or m >= _MANY:
        return whole
    weights = _plug_in(half, transform)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, m + 1)))])

    def log_choose(a: IntArray, b: IntArray) -> FloatArray:
        return np.asarray(log_factorial[a] - log_factorial[b] - log_factorial[a - b])

    less = np.zeros(m)
    for j in np.flatnonzero(weights):  # the j-th best of the half is the k-th best of all
        k = np.arange(j, m - half + j + 1)
        ways = log_choose(k, np.full_like(k, j)) + log_choose(m - 1 - k, np.full_like(k, half - 1 - j))
        less[k] += weights[j] * np.exp(ways - log_choose(np.array([m]), np.array([half])))
    return np.asarray((m * whole - half * less) / (m - half))


def _plug_in(m: int, transform: Callable[[FloatArray], FloatArray]) -> FloatArray:
    return -np.diff(transform(np.linspace(1.0, 0.0, m + 1)))


def subset_means(descending: FloatArray, n: IntArray) -> FloatArray:
    """Return the mean of the best over all subsets of each size: ``Σ_i C(i-1, n-1)/C(m, n) v_(i)``, without bias.

    Parameters
    ----------
    descending : array (prompts, m)
        Values of each prompt's samples, from the largest down, or in the falling order of another reward.
    n : array of int (sizes,)
        Sizes of the subsets, from 1 to m.

    Returns
    -------
    array (prompts, sizes)
        In the unit of the values.

    Raises
    ------
    InputError
        For a size that no subset has.

    Examples
    --------
    >>> subset_means(np.array([[3.0, 2.0, 1.0]]), np.array([2, 3])).round(12).tolist()
    [[2.666666666667, 3.0]]
    """
    m = descending.shape[1]
    possible = (n >= 1) & (n <= m)
    require(
        possible.all(), f"n must lie between 1 and {m:,}, the samples; got {quoted(n[~possible][:1].tolist())}.", "n"
    )
    out = np.empty((len(descending), len(n)))
    blocked = (n <= _SMALL_N) & (m >= _MANY)
    if blocked.any():
        out[:, blocked] = _blocked_means(descending, n[blocked])
    for j in np.flatnonzero(~blocked):
        weights = subset_weights(m, int(n[j]))
        out[:, j] = np.einsum("ij,j->i", descending[:, : weights.size], weights)
    return out


def _block_moments(descending: FloatArray) -> FloatArray:
    """Sums over each block of samples times the Lagrange polynomials of its nodes, shape (prompts, blocks, nodes)."""
    block = descending.shape[1] // _BLOCKS
    whole = descending[:, : _BLOCKS * block].reshape(len(descending), _BLOCKS, block)
    inside = np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, block), _NODES - 1)
    at_nodes = np.polynomial.chebyshev.chebvander(_nodes(), _NODES - 1)
    return np.asarray(whole @ (inside @ np.linalg.inv(at_nodes)))


def _nodes() -> FloatArray:
    return np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)


def _blocked_means(descending: FloatArray, n: IntArray) -> FloatArray:
    """The weight is a polynomial of degree n - 1 in the rank: over a short block, few of its values tell the others."""
    m = descending.shape[1]
    block = m // _BLOCKS
    half = (block - 1) / 2
    rank = 1.0 + half + block * np.arange(_BLOCKS)[:, None] + half * _nodes()
    rest = np.arange(_BLOCKS * block + 1, m + 1, dtype=np.float64)
    moments = _block_moments(descending).reshape(len(descending), -1)
    values = np.concatenate([moments, descending[:, _BLOCKS * block :]], axis=1)
    left = m - np.concatenate([rank.reshape(-1), rest])
    # C(m-k, n-1) / C(m, n) at real ranks k, from n = 1 on factor by factor; zero once a factor is.
    weight = np.full_like(left, 1.0 / m)
    out = np.empty((len(descending), len(n)))
    for size in range(1, int(n.max()) + 1):
        if size > 1:
            weight *= np.maximum(left - (size - 2), 0.0) * (size / ((size - 1) * (m - size + 1)))
        if (n == size).any():
            # einsum, not @: a product this short is over before the threads of a busy machine have met
            out[:, n == size] = np.einsum("ij,j->i", values, weight)[:, None]
    return out
