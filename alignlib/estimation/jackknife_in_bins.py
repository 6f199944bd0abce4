"""The jackknife of log-partition functions for a prompt whose samples are in bins: a count for each reward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.tilted_weights import Weights
from alignlib.estimation.jackknife import LogPartitionEstimate, of_numbers

__all__ = [
    "NOTHING_MORE",
    "SMALL_SHARE",
    "jackknife_of_counts",
    "log_sums",
    "log_sums_of_several",
    "log_sums_of_small",
]

_TERMS = 400  # of many samples a few do
_ENOUGH, _NOTHING = 1e-15, 1e-40
NOTHING_MORE = 1e-18  # of power sums
SMALL_SHARE = 1e-3  # weights of one sample: their sixth powers are no more
_LARGE = 0.5  # odds p/(1 - p) of one sample
_LARGEST = 2.0 / 3.0  # weight of one sample: odds of 2, of which small ones leave no seventh power
_FEWEST_TERMS = 0.1  # odds, so that there is room for six power sums


def jackknife_of_counts(value: FloatArray, count: FloatArray, lam: FloatArray) -> LogPartitionEstimate:
    """Estimate ``Λ(λ)`` of one prompt with ``count[i]`` samples at ``value[i]``; arrays of shape (L, 1).

    The jackknives of `jackknife_log_partition`, where a sample that comes c times counts c times in every sum.

    Parameters
    ----------
    value, count : array (k,)
        Rewards from the top down, and numbers of samples > 0, which need not be whole.
    lam : array (L,)
        λ ≥ 0.

    Examples
    --------
    >>> from alignlib.estimation.jackknife import jackknife_log_partition
    >>> plain = jackknife_log_partition(np.array([[2.0, 1.0, 1.0, 0.0, 0.0, 0.0]]), np.array([0.5]))
    >>> counted = jackknife_of_counts(np.array([2.0, 1.0, 0.0]), np.array([1.0, 2.0, 3.0]), np.array([0.5]))
    >>> bool(np.allclose(plain.second_order, counted.second_order, rtol=0, atol=1e-13))
    True
    """
    n = float(count.sum())
    of_one, of_two = of_numbers(round(n))
    below = value - value[0]
    found = np.empty((6, lam.size, 1))
    weights = Weights(below)
    for j, one in enumerate(lam.tolist()):
        weight = weights.at(one)
        number, under = count[: len(weight)], below[: len(weight)]
        times = number * weight
        total = float(times.sum())
        largest = 1.0 / total
        singles, pairs, squares = log_sums(weight, number, times, largest)
        plug_in = math.log(total / n)
        found[:, j, 0] = (
            plug_in,
            plug_in + of_one - (n - 1.0) / n * singles,
            plug_in + of_two - (2.0 * n - 3.0) / n * singles + (n - 2.0) ** 2 / (n * (n - 1.0)) * pairs,
            1.0 / squares,
            largest,
            max(one * largest * float(times @ under) - plug_in, 0.0),
        )
    found[:3] += (lam * value[0])[:, None]
    return LogPartitionEstimate(*found)


def log_sums(weight: FloatArray, number: FloatArray, times: FloatArray, largest: float) -> tuple[float, float, float]:
    """Return sums of ``log(1 - p) + p``, over pairs of ``log(1 - q q')``, and of p²; of small p by their powers.

    Parameters
    ----------
    weight, number, times : array (k,)
        Weights from the top down, numbers of samples, and the products of both.
    largest : float
        1 over the sum of ``times``: ``p = largest·weight`` of each sample, and ``q = p/(1 - p)``.

    Returns
    -------
    singles, pairs, squares : float
        The three sums.
    """
    if largest / max(1.0 - largest, 1e-16) > _LARGE:
        p = weight * largest
        return _singles(p, number), _pairs(p, number), float(number @ np.square(p))
    large = int(np.searchsorted(-weight, -SMALL_SHARE / largest, side="left"))
    s = _power_sums(weight[large:], times[large:], largest)
    if not large:
        return (*log_sums_of_small(s), s[2])
    p = weight[:large] * largest
    singles = -sum(s[k] / k for k in range(2, 7)) + _singles(p, number[:large])
    pairs = _pairs(p, number[:large], _powers_of_odds(s))
    return singles, pairs, s[2] + float(number[:large] @ np.square(p))


def log_sums_of_several(weight: FloatArray, number: FloatArray, largest: FloatArray) -> FloatArray:
    """Return `log_sums` of several weights of the same samples at once, shape (3, L).

    Parameters
    ----------
    weight : array (L, k)
        Weights of each.
    number : array (k,)
        Numbers of samples.
    largest : array (L,)
        1 over the sum of ``number·weight`` of each.

    Examples
    --------
    >>> weight, number = np.array([[1.0, 0.5], [1.0, 0.9]]), np.array([3.0, 4.0])
    >>> found = log_sums_of_several(weight, number, 1.0 / (weight @ number))
    >>> bool(np.allclose(found[:, 0], log_sums(weight[0], number, weight[0] * number, 0.2), rtol=1e-13, atol=0.0))
    True
    """
    found = np.zeros((3, largest.size))
    p = weight * largest[:, None]
    second = p[:, 0] if number[0] > 1.0 else p[:, 1] if len(number) > 1 else np.zeros(largest.size)
    alone = (p[:, 0] > _LARGEST) | (second > _LARGE / (1.0 + _LARGE))
    for j in np.flatnonzero(alone).tolist():
        found[:, j] = log_sums(weight[j], number, number * weight[j], float(largest[j]))
    p = p[~alone]
    is_small = p < SMALL_SHARE
    some = int(np.flatnonzero((~is_small).any(axis=0)).max(initial=0)) + 1
    first, of_first = np.where(is_small[:, :some], 0.0, p[:, :some]), number[:some]
    rest = np.where(is_small, p, 0.0)
    s, power = [np.zeros(len(p))], rest
    for _ in range(1, 7):
        s.append(power @ number)
        power = power * rest
    singles = (np.log1p(-first) + first) @ of_first - (s[2] / 2.0 + s[3] / 3.0 + s[4] / 4.0 + s[5] / 5.0 + s[6] / 6.0)
    found[:, ~alone] = singles, _pairs_of_several(first, of_first, s), s[2] + np.square(first) @ of_first
    return found


def _pairs_of_several(p: FloatArray, count: FloatArray, s: Sequence[FloatArray]) -> FloatArray:
    """Return `_pairs` of each row of p with the power sums of further p, which are small.

    One sample, the first, is kept apart; the others have small odds.
    """
    more, odds = _powers_of_odds(s), p / (1.0 - p)
    largest, others = odds[:, 0], np.append(max(count[0] - 1.0, 0.0), count[1:])
    total = np.log1p(-np.minimum(largest[:, None] * odds, 1.0 - 1e-16)) @ others
    total -= sum(largest**k * one / k for k, one in enumerate(more, start=1))
    top = float(odds[:, 0 if others[0] else 1 :].max(initial=_FEWEST_TERMS))
    terms = math.ceil(0.5 * math.log(_ENOUGH) / math.log(top)) + 1
    power, done = np.empty((2 * terms, *odds.shape)), 1
    power[0] = odds
    while done < 2 * terms:
        at_once = min(done, 2 * terms - done)
        np.multiply(power[:at_once], power[done - 1], out=power[done : done + at_once])
        done += at_once
    sums = power @ others
    sums[: len(more)] += more
    of_k = (np.square(sums[:terms]) - sums[1::2]) / (2.0 * np.arange(1.0, terms + 1.0)[:, None])
    return np.asarray(total - of_k.sum(axis=0))


Sum = TypeVar("Sum", float, FloatArray)


def log_sums_of_small(s: Sequence[Sum]) -> tuple[Sum, Sum]:
    """Return the first two of `log_sums` where every p is small.

    Parameters
    ----------
    s : sequence of float or array
        ``Σ p^k`` over samples for k = 0, …, 6.

    Returns
    -------
    singles, pairs : float or array
        The two sums.
    """
    o = _powers_of_odds(s)
    singles = -(s[2] / 2.0 + s[3] / 3.0 + s[4] / 4.0 + s[5] / 5.0 + s[6] / 6.0)
    return singles, (o[1] - o[0] ** 2) / 2.0 + (o[3] - o[1] ** 2) / 4.0 + (o[5] - o[2] ** 2) / 6.0


def _powers_of_odds(s: Sequence[Sum]) -> tuple[Sum, ...]:
    """Return power sums of the odds p + p² + …, which of small p are sums of those of p."""
    return (
        s[1] + s[2] + s[3] + s[4] + s[5] + s[6],
        s[2] + 2.0 * s[3] + 3.0 * s[4] + 4.0 * s[5] + 5.0 * s[6],
        s[3] + 3.0 * s[4] + 6.0 * s[5] + 10.0 * s[6],
        s[4] + 4.0 * s[5] + 10.0 * s[6],
        s[5] + 5.0 * s[6],
        s[6],
    )


def _power_sums(weight: FloatArray, times: FloatArray, largest: float) -> list[float]:
    """Return ``Σ p^k`` over samples for k = 0, …, 6, where every p is small; those that are nothing as 0."""
    found = [0.0] * 7
    if not len(weight):
        return found
    found[1] = float(times.sum()) * largest
    most, up = float(weight[0]) * largest, weight
    for k in range(2, 7):
        found[k] = float(times @ up) * largest**k
        if most**k < NOTHING_MORE:  # the next is no more
            break
        if k < 6:
            up = up * weight
    return found


def _singles(p: FloatArray, count: FloatArray) -> float:
    """Return ``Σ (log(1 - p) + p)`` over samples, for p from the top down; of small p by five powers."""
    large = int(np.searchsorted(-p, -SMALL_SHARE, side="right"))
    first, rest = p[:large], p[large:]
    total = float(count[:large] @ (np.log1p(-np.minimum(first, 1.0 - 1e-16)) + first))
    series = 1.0 / 2.0 + rest * (1.0 / 3.0 + rest * (1.0 / 4.0 + rest * (1.0 / 5.0 + rest / 6.0)))
    return total - float(count[large:] @ (np.square(rest) * series))


def _pairs(p: FloatArray, count: FloatArray, more: Sequence[float] = ()) -> float:
    """Return ``Σ_{i<j} log(1 - q_i q_j)`` over samples, with ``q = p/(1 - p)``, by power sums.

    A sample of large odds is kept apart. ``more`` are the first power sums of the odds of further samples, whose later
    ones are nothing.
    """
    odds = p / np.maximum(1.0 - p, 1e-16)
    apart = 0.0
    if len(odds) and odds[0] > _LARGE:  # its powers would cancel; no other sample has odds above 1 then
        count = np.append(max(count[0] - 1.0, 0.0), count[1:])
        apart = float(count @ np.log1p(-np.minimum(odds[0] * odds, 1.0 - 1e-16)))
        kept = count > 0.0
        odds, count = odds[kept], count[kept]
    total, power = apart, np.ones_like(odds)
    for k in range(1, _TERMS + 1):
        power = power * odds
        sum_k, sum_2k = float(count @ power), float(count @ np.square(power))
        if more:
            sum_k += more[k - 1] if k <= len(more) else 0.0
            sum_2k += more[2 * k - 1] if 2 * k <= len(more) else 0.0
        term = (sum_k**2 - sum_2k) / (2 * k)
        total -= term
        if term <= _ENOUGH:
            break
        if len(power) and power[-1] < _NOTHING:  # they fall from the first to the last
            some = int(np.searchsorted(-power, -_NOTHING))
            power, odds, count = power[:some], odds[:some], count[:some]
    return total
