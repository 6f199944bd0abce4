"""Estimates for a prompt whose samples are in bins: the same jackknives, with a count for each reward."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy

from alignlib._core.checks import BoolArray, FloatArray, require
from alignlib.divergences import KL, Divergence
from alignlib.estimation.jackknife import LogPartitionEstimate, of_numbers
from alignlib.rules import BestOfN, Rule, SampleLevels
from alignlib.tables import CountedSamples

__all__ = ["counted_rules", "jackknife_of_counts"]

_TERMS = 400  # of many samples a few do
_ENOUGH = 1e-15
_LARGE = 0.5  # odds p/(1 - p) of one sample


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
    for j, one in enumerate(lam.tolist()):
        weight = np.exp(one * below)
        total = float(count @ weight)
        p = weight / total
        log_kept = np.log1p(-np.minimum(p, 1.0 - 1e-16))
        singles = float(count @ (log_kept + p))  # Σ log(1 - p) + 1
        pairs = _pairs(p / np.maximum(1.0 - p, 1e-16), count)
        plug_in = math.log(total / n)
        found[:, j, 0] = (
            plug_in,
            plug_in + of_one - (n - 1.0) / n * singles,
            plug_in + of_two - (2.0 * n - 3.0) / n * singles + (n - 2.0) ** 2 / (n * (n - 1.0)) * pairs,
            1.0 / float(count @ np.square(p)),
            p[0],
            max(one * float(count @ (p * below)) - plug_in, 0.0),
        )
    found[:3] += (lam * value[0])[:, None]
    return LogPartitionEstimate(*found)


def _pairs(odds: FloatArray, count: FloatArray) -> float:
    """Return ``Σ_{i<j} log(1 - q_i q_j)`` over samples, by power sums; a sample of large odds is kept apart."""
    apart = 0.0
    if odds[0] > _LARGE:  # its powers would cancel; no other sample has odds above 1 then
        count = np.append(max(count[0] - 1.0, 0.0), count[1:])
        apart = float(count @ np.log1p(-np.minimum(odds[0] * odds, 1.0 - 1e-16)))
    kept = count > 0.0
    odds, count = odds[kept], count[kept]
    total, power = apart, np.ones_like(odds)
    for k in range(1, _TERMS + 1):
        power = power * odds
        sum_k = float(count @ power)
        term = (sum_k**2 - float(count @ np.square(power))) / (2 * k)
        total -= term
        if term <= _ENOUGH:
            break
    return total


def counted_rules(
    samples: CountedSamples, rules: Sequence[Rule], divergence: Divergence = KL
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what best-of-N spends, gains and wins on one prompt in bins, each of shape (rules,).

    Samples of a bin that are not tied count as all different: what they spend, and how often they win, is then known
    from their ranks. Their mean is that of the bin, less than what is kept of it by no more than the bin is wide.

    Raises
    ------
    InputError
        For other rules, which ask for every sample, and divergences other than KL.
    """
    require(
        divergence == KL and all(isinstance(rule, BestOfN) or rule.is_base for rule in rules),
        "rules must be best-of-N, and budgets in KL, for prompts whose samples are in bins; pass a larger exact_up_to "
        "to keep every sample.",
        "rules",
    )
    n = samples.size
    upto = n - np.concatenate([[0.0], np.cumsum(samples.count)[:-1]])
    below = np.maximum(upto - samples.count, 0.0)
    found = np.empty((3, len(rules)))
    for j, rule in enumerate(rules):
        if not isinstance(rule, BestOfN) or rule.is_base:
            found[:, j] = 0.0, 0.0, 0.5
            continue
        reached = _cumulative(rule.n, upto, n)
        mass = reached - np.append(reached[1:], 0.0)
        found[0, j], found[2, j] = _ranks(rule, below, upto, samples.tied, n)
        found[1, j] = float(mass @ (samples.value - samples.mean))
    return found[0], found[1], found[2]


def _cumulative(best_of: float, upto: FloatArray, n: int) -> FloatArray:
    """Return the chance that all N draws, without replacement, are among the lowest ``upto`` samples of n."""
    if best_of != round(best_of):  # the delete-one jackknife of (j/n)^N
        f, less = upto / n, np.minimum(upto / (n - 1.0), 1.0)
        left = f * (np.maximum(upto - 1.0, 0.0) / (n - 1.0)) ** best_of + (1.0 - f) * less**best_of
        return np.asarray(n * f**best_of - (n - 1.0) * left)
    if best_of <= 64:
        share = np.ones_like(upto)
        for k in range(round(best_of)):
            share *= np.maximum(upto - k, 0.0) / (n - k)
        return share
    enough = np.maximum(upto, best_of)
    log_share = scipy.special.betaln(n - best_of + 1.0, best_of) - scipy.special.betaln(enough - best_of + 1.0, best_of)
    return np.where(upto >= best_of, np.exp(log_share), 0.0)


def _ranks(rule: BestOfN, below: FloatArray, upto: FloatArray, tied: BoolArray, n: int) -> tuple[float, float]:
    """Return KL and win rate: by formula without ties, and for tied samples by their ranks in its place."""
    spent, win = rule.spent_formula(KL), rule.win_rate_formula()
    if tied.all():
        spent = win = 0.0
    if tied.any():
        some = SampleLevels(np.zeros(int(tied.sum()), dtype=np.int64), below[tied], upto[tied], 1, n)
        of_levels = some.spent(rule.cdf), some.win_rate(rule.cdf)
        spent, win = spent + float(of_levels[0][0]), win + float(of_levels[1][0])
    if tied.any() and not tied.all():
        low, high = below[tied] / n, upto[tied] / n
        spent -= float((_spent_below(rule.n, high) - _spent_below(rule.n, low)).sum())
        win -= float((high ** (rule.n + 1.0) - low ** (rule.n + 1.0)).sum()) * rule.n / (rule.n + 1.0)
    return spent, win


def _spent_below(n: float, f: FloatArray) -> FloatArray:
    """``∫₀^F g log g`` for the density ``g = N F^{N-1}``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(f > 0.0, f**n * (math.log(n) + (n - 1.0) * np.log(f) - (n - 1.0) / n), 0.0)
