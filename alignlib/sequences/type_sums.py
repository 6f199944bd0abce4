"""The law of a sum of independent rewards by types: one multinomial mass per count vector, for any rewards."""

from __future__ import annotations

import math

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray, as_whole
from alignlib._core.errors import InputError
from alignlib._core.special import kl_integrand

__all__ = ["TooManyLevelsError", "number_of_types", "sums_by_type"]

_BYTES_PER_TYPE = 64


class TooManyLevelsError(InputError):
    """More levels would be needed than allowed; carries ``needed`` and ``allowed``.

    Parameters
    ----------
    needed, allowed : int
        Levels that the law has, and the most that were allowed; kept under these names.
    what : str
        What has them, as the sentence begins.

    Examples
    --------
    >>> print(TooManyLevelsError(50_015_001, 10_000_000, "The exact law of 10,000 tokens"))
    The exact law of 10,000 tokens needs 50,015,001 levels (about 3,053 MiB); max_levels allows 10,000,000. Round the rewards to a common step, merge rewards, shorten the sequence, or raise max_levels.
    """  # noqa: E501

    def __init__(self, needed: int, allowed: int, what: str) -> None:
        self.needed, self.allowed = needed, allowed
        if needed < 10**12:
            size = needed * _BYTES_PER_TYPE / 2**20
            many, last = f"{needed:,} levels (about {size:,.0f} MiB)", "shorten the sequence, or raise max_levels"
        else:  # nobody's memory: raising the limit is no advice
            many, last = f"about 1e{len(str(needed)) - 1} levels", "or shorten the sequence"
        super().__init__(
            f"{what} needs {many}; max_levels allows {allowed:,}. "
            f"Round the rewards to a common step, merge rewards, {last}."
        )


def number_of_types(length: int, letters: int) -> int:
    """Return how many count vectors there are: ``C(m+k-1, k-1)``.

    Parameters
    ----------
    length : int
        Draws, m.
    letters : int
        Distinct letters, k.

    Examples
    --------
    >>> number_of_types(10_000, 3)
    50015001
    """
    length, letters = as_whole("length", length, 0), as_whole("letters", letters, 1)
    return math.comb(length + letters - 1, letters - 1)


def sums_by_type(
    reward: FloatArray,
    prob: FloatArray,
    length: int,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    max_types: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return sums above ``length · min(reward)`` in increasing order and their log masses.

    ``log m!/Π n_i! + Σ n_i log p_i`` loses digits to factorials of size e^80000; it is summed as
    ``δ(m) - Σ [δ(n_i) + n_i log(n_i/(m p_i)) - n_i + m p_i]`` with ``δ(n) = log n! - n log n + n``, whose terms are the
    deviance of the type and Stirling's correction. Sums that agree to rounding are ties and are merged.

    Parameters
    ----------
    reward, prob : arrays (k,)
        Distinct rewards and their positive masses; k >= 2.
    length : int
        Number of draws m >= 1.
    low, high : float
        Keep the sums within ``[low, high]``, counted like those returned; only their types are visited.
    max_types : int, optional
        Most types to visit.

    Returns
    -------
    sums : array (levels,)
        Above ``length · min(reward)``, rising.
    log_mass : array (levels,)
        Of each.

    Raises
    ------
    TooManyLevelsError
        If there are more than ``max_types`` of them.

    Examples
    --------
    >>> sums, log_mass = sums_by_type(np.array([0.0, 1.0, 2**0.5]), np.array([0.5, 0.25, 0.25]), 2)
    >>> sums.round(4).tolist(), np.exp(log_mass).round(4).tolist()
    ([0.0, 1.0, 1.4142, 2.0, 2.4142, 2.8284], [0.25, 0.25, 0.25, 0.0625, 0.125, 0.0625])
    """
    allowed = math.inf if max_types is None else max_types

    def check(types: int) -> None:
        if types > allowed:
            what = f"Best-of-N of {length:,} tokens with {reward.size} distinct rewards"
            raise TooManyLevelsError(types, int(allowed), what)

    check(number_of_types(length, reward.size - 1))
    order = np.argsort(reward, kind="stable")
    above = (reward - reward.min())[order]
    counts = np.arange(length + 1)
    stirling = _stirling_correction(counts)
    with np.errstate(divide="ignore"):
        costs = [stirling + length * p * kl_integrand(np.log(counts / (length * p))) for p in prob[order].tolist()]
    # The counts of the letters in between run over everything, that of the best letter over what meets the bounds;
    # the worst letter, which adds nothing to the sum, takes the rest.
    left: IntArray = np.array([length])
    sums, log_mass = np.zeros(1), np.full(1, stirling[-1])
    for value, cost in zip(above[1:-1].tolist(), costs[1:-1], strict=True):
        parts = left + 1
        taken = _counted_off(parts)
        left = np.repeat(left, parts) - taken
        sums = np.repeat(sums, parts) + taken * value
        log_mass = np.repeat(log_mass, parts) - cost[taken]
    top = float(above[-1])
    slack = 4 * (reward.size + 1) * np.finfo(np.float64).eps * length * top
    first = np.clip(np.ceil((low - slack - sums) / top), 0, left + 1).astype(np.int64)
    last = np.clip(np.floor((high + slack - sums) / top), -1, left).astype(np.int64)
    parts = np.maximum(last - first + 1, 0)
    check(int(parts.sum()))
    taken = _counted_off(parts) + np.repeat(first, parts)
    sums = np.repeat(sums, parts) + taken * top
    log_mass = np.repeat(log_mass, parts) - costs[-1][taken] - costs[0][np.repeat(left, parts) - taken]
    if sums.size == 0:
        return sums, log_mass
    order = np.argsort(sums, kind="stable")
    sums, log_mass = sums[order], log_mass[order]
    firsts = np.flatnonzero(np.concatenate([[True], np.diff(sums) > slack]))
    return sums[firsts], np.logaddexp.reduceat(log_mass, firsts)


def _counted_off(parts: IntArray) -> IntArray:
    """0, 1, …, parts[0]-1, 0, 1, …, parts[1]-1, …"""
    return np.arange(int(parts.sum())) - np.repeat(np.cumsum(parts) - parts, parts)


def _stirling_correction(n: IntArray) -> FloatArray:
    """``log n! - n log n + n``, by Stirling's series from 16 on."""
    x = np.maximum(n, 16).astype(np.float64)
    series = (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / (1188 * x**2)) / x**2) / x**2) / x**2) / x
    small = np.maximum(np.minimum(n, 16), 1).astype(np.float64)
    low = np.where(n == 0, 0.0, scipy.special.gammaln(small + 1) - small * np.log(small) + small)
    return np.where(n >= 16, 0.5 * np.log(2 * math.pi * x) + series, low)
