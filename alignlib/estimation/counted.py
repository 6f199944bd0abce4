"""Estimates for a prompt whose samples are in bins: the same jackknives, with a count for each reward."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.divergences import KL, Divergence
from alignlib.estimation.jackknife import LogPartitionEstimate, of_numbers
from alignlib.rules import BestOfN, Rule, SampleLevels
from alignlib.tables import CountedBins, CountedSamples

__all__ = ["CountedRules", "counted_rules", "jackknife_of_counts"]

_TERMS = 400  # of many samples a few do
_ENOUGH, _NOTHING = 1e-15, 1e-40
_SMALL = 1e-3  # weights of one sample: their sixth powers are no more
_FAR = 70.0  # ranks that are kept with a chance of e^-70 or less are left out
_SERIES = 3.0  # samples for each draw, for the series
_SUMMED = 2048
_ROUNDED = 1e-13  # of sums
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
        singles, pairs = _singles(p, count), _pairs(p, count)
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


def _singles(p: FloatArray, count: FloatArray) -> float:
    """Return ``Σ (log(1 - p) + p)`` over samples, for p from the top down; of small p by five powers."""
    large = int(np.searchsorted(-p, -_SMALL, side="right"))
    first, rest = p[:large], p[large:]
    total = float(count[:large] @ (np.log1p(-np.minimum(first, 1.0 - 1e-16)) + first))
    series = 1.0 / 2.0 + rest * (1.0 / 3.0 + rest * (1.0 / 4.0 + rest * (1.0 / 5.0 + rest / 6.0)))
    return total - float(count[large:] @ (np.square(rest) * series))


def _pairs(p: FloatArray, count: FloatArray) -> float:
    """Return ``Σ_{i<j} log(1 - q_i q_j)`` over samples, with ``q = p/(1 - p)``, by power sums.

    A sample of large odds is kept apart.
    """
    odds = p / np.maximum(1.0 - p, 1e-16)
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
        if power[-1] < _NOTHING:  # they fall from the first to the last
            some = int(np.searchsorted(-power, -_NOTHING))
            power, odds, count = power[:some], odds[:some], count[:some]
    return total


@dataclass(frozen=True, eq=False)
class CountedRules(SameFields):
    """What best-of-N spends, gains and wins on a prompt in bins, and how far each may be off.

    Attributes
    ----------
    spent, gain, win : array (rules,)
        KL in nats, gain, and win rate less one half.
    spent_open : array (rules,)
        What the samples spend is within that of what is said, to either side.
    gain_below, gain_above : array (rules,)
        How much less, and more, they may gain.
    win_below : array (rules,)
        How much less they may win; they win what is said at most.
    """

    spent: FloatArray
    gain: FloatArray
    win: FloatArray
    spent_open: FloatArray
    gain_below: FloatArray
    gain_above: FloatArray
    win_below: FloatArray

    def rows(self) -> FloatArray:
        """Return all of it, shape (7, rules)."""
        return np.array([getattr(self, one.name) for one in fields(self)])


def counted_rules(
    samples: CountedSamples, rules: Sequence[Rule], divergence: Divergence = KL, *, bounds: bool = True
) -> CountedRules:
    """Return what best-of-N spends, gains and wins on one prompt in bins, with bounds.

    A sample of rank i from below is kept with the chance ``w_i``, which rises with i. Within a bin, between its least
    and its largest sample, ``Σ w_i r_i`` is at least the sum of the chances times the mean (Chebyshev), and at most
    that and ``k`` times the two standard deviations (Cauchy and Schwarz); for whole N the w are convex in i, which
    bounds theirs. Samples of a bin that are not tied count as all different: they spend and win no more than that, and
    no less than if all of a bin tied. Without ``bounds`` win rates and the bounds of KLs are left out, as 0.

    Parameters
    ----------
    samples : CountedSamples
        The samples of one prompt, in bins.
    rules : sequence of Rule
        Best-of-N at several N.
    divergence : Divergence
        KL.
    bounds : bool
        Whether win rates, and bounds on KLs, are wanted.

    Raises
    ------
    InputError
        For other rules, which ask for every sample, and divergences other than KL.

    Examples
    --------
    >>> from alignlib.tables import CountedBins
    >>> ends = np.array([1.0, 0.0])  # two bins of one sample each
    >>> bins = CountedBins(np.ones(2), ends, ends, ends, np.zeros(2))
    >>> samples = CountedSamples(ends, np.ones(2), bins, lambda lam: (lam, lam))
    >>> counted_rules(samples, [BestOfN(2)]).gain.tolist()
    [0.5]
    """
    require(
        divergence == KL and all(isinstance(rule, BestOfN) or rule.is_base for rule in rules),
        "rules must be best-of-N, and budgets in KL, for prompts whose samples are in bins; pass a larger exact_up_to "
        "to keep every sample.",
        "rules",
    )
    n, bins = samples.size, samples.bins
    upto = n - np.concatenate([[0.0], np.cumsum(bins.count)[:-1]])
    below = np.maximum(upto - bins.count, 0.0)
    found = np.zeros((7, len(rules)))
    found[2] = 0.5
    for j, rule in enumerate(rules):
        if not isinstance(rule, BestOfN) or rule.is_base:
            continue
        gain, less, more = _gain(rule.n, bins, below, upto, n, samples.mean)
        spent, spent_open = _spent(rule, bins, below, upto, n, bounds=bounds)
        win, win_less = _win(rule, bins, below, upto, n) if bounds else (0.0, 0.0)
        found[:, j] = spent, gain, win, spent_open, less, more, win_less
    return CountedRules(*found)


def _gain(
    best_of: float, bins: CountedBins, below: FloatArray, upto: FloatArray, n: int, base: float
) -> tuple[float, float, float]:
    """Return the gain of best-of-N, and how much lower and higher that of the samples may be."""
    some = int(np.searchsorted(-upto, -n * math.exp(-_FAR / best_of), side="right"))  # lower ones are never kept
    count, least, most, mean, deviation = (
        part[:some] for part in (bins.count, bins.least, bins.most, bins.mean, bins.deviation)
    )
    below, upto = below[:some], upto[:some]
    reached = _cumulative(best_of, upto, n)
    before = np.append(reached[1:], 0.0)
    mass, k = reached - before, count - 2.0
    if best_of == round(best_of):
        top = best_of * reached / upto
        with np.errstate(divide="ignore", invalid="ignore"):
            bottom = np.where(below >= best_of, best_of * before / (below + 1.0 - best_of), 0.0)
        low = np.flatnonzero((below < best_of) & (below + 1.0 >= best_of))
        bottom[low] = best_of * _cumulative(best_of, below[low] + 1.0, n) / (below[low] + 1.0)
    else:
        top = reached - _cumulative(best_of, upto - 1.0, n)
        bottom = _cumulative(best_of, below + 1.0, n) - before
    two, more = count > 1.0, k > 0.0
    inner = np.where(more, mass - top - bottom, 0.0)
    top, bottom = np.where(two, top, mass), np.where(two, bottom, 0.0)
    found = float(top @ (most - base) + bottom @ (least - base) + inner @ (mean - base))
    with np.errstate(divide="ignore", invalid="ignore"):
        step = (top - bottom) / (count - 1.0)
        rise = np.where(k > 1.0, (top - bottom) - 2.0 * step, 0.0)  # from the second to the last but one, if straight
        straight = np.where(k > 1.0, np.square(rise) / 12.0 * (k + 1.0) / (k - 1.0), 0.0)
        middle = np.where(more, inner / k, 0.0)
    spread = np.maximum(k, 0.0) * (deviation + bins.slack * (deviation > 0.0))
    line = 0.5 * (top + bottom)
    largest = np.minimum(straight + np.maximum((line - middle) * (line + middle), 0.0), 0.25 * np.square(top - bottom))
    most_more = float(spread @ np.sqrt(largest))
    likely = min(float(spread @ np.sqrt(np.minimum(straight, largest))), most_more)
    rounding = (1e-12 + 4e-16 * n) * float(bins.most[0] - bins.least[-1]) + 2.0 * bins.slack
    if best_of != round(best_of):  # the jackknife of (i/n)^N does not keep the order of w at low ranks
        far = float(np.abs(mass) @ (most - least)) + rounding
        return found + likely, far + likely, far
    return found + likely, likely + rounding, most_more - likely + rounding


def _cumulative(best_of: float, upto: FloatArray, n: int) -> FloatArray:
    """Return the chance that all N draws, without replacement, are among the lowest ``upto`` samples of n."""
    if best_of != round(best_of):  # the delete-one jackknife of (j/n)^N
        f, less = upto / n, np.minimum(upto / (n - 1.0), 1.0)
        left = f * (np.maximum(upto - 1.0, 0.0) / (n - 1.0)) ** best_of + (1.0 - f) * less**best_of
        return np.asarray(n * f**best_of - (n - 1.0) * left)
    if best_of > 8.0 and upto.size and _SERIES * best_of <= float(upto.min()):
        return _by_series(round(best_of), upto, n)
    if best_of <= 64:
        share = np.ones_like(upto)
        for k in range(round(best_of)):
            share *= np.maximum(upto - k, 0.0) / (n - k)
        return share
    enough = np.maximum(upto, best_of)
    log_share = scipy.special.betaln(n - best_of + 1.0, best_of) - scipy.special.betaln(enough - best_of + 1.0, best_of)
    return np.where(upto >= best_of, np.exp(log_share), 0.0)


def _by_series(best_of: int, upto: FloatArray, n: int) -> FloatArray:
    """Return the same, ``(u/n)^N Π (1 - k/u)/(1 - k/n)``, where N is small against every u, by a series of its log."""
    ratio = best_of / upto
    terms = math.ceil(math.log(1e-17 / best_of) / math.log(float(ratio.max())))
    powers = _power_sums(best_of)[:terms]

    def total(of: FloatArray) -> FloatArray:
        found = np.zeros_like(of)
        for one in powers[::-1]:
            found = (found + one) * of
        return found

    log_share = best_of * np.log(upto / n) - total(ratio) + total(np.array([best_of / n]))
    return np.asarray(np.exp(log_share))


@lru_cache(maxsize=1024)
def _power_sums(best_of: int) -> tuple[float, ...]:
    """Return ``Σ_{k<N} (k/N)^j / j`` for j = 1, 2, …, as many as the series takes."""
    most = math.ceil(math.log(1e-17 / best_of) / math.log(1.0 / _SERIES))
    if best_of > _SUMMED:  # Euler and Maclaurin
        found = []
        for j in range(1, most + 1):
            falling = [math.perm(j, i) / best_of**i * (j != i) for i in (1, 3, 5)]  # no constant term
            part = best_of / (j + 1.0) - 0.5 + falling[0] / 12.0 - falling[1] / 720.0 + falling[2] / 30240.0
            found.append(part / j)
        return tuple(found)
    share = np.arange(best_of) / best_of
    power, found = share, []
    for j in range(1, most + 1):
        found.append(float(power.sum()) / j)
        power = power * share
    return tuple(found)


def _spent(
    rule: BestOfN, bins: CountedBins, below: FloatArray, upto: FloatArray, n: int, *, bounds: bool
) -> tuple[float, float]:
    """Return the KL, and how far it may be off: by formula without ties, and for levels that are known by their ranks.

    Where samples of a bin may tie, no more is lost than if all do, twice: the jackknife of few samples may double it.
    """
    known, spent = bins.least == bins.most, rule.spent_formula(KL)
    if not bins.tied.any() and known.all():
        return spent, 0.0
    if bins.tied.any():
        spent -= _jackknifed(partial(_lost, rule.n), below[known], upto[known], n)
    if known.all() or not bounds:
        return spent, _ROUNDED
    some = int(np.searchsorted(-upto, -n * math.exp(-_FAR / rule.n), side="right"))
    unknown = np.flatnonzero(~known[:some])
    lost = float(_lost(rule.n, below[unknown] / n, upto[unknown] / n).sum())
    return spent, 2.0 * lost + min((rule.n / n) ** 2, spent) + _ROUNDED


def _lost(best_of: float, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return how much less is spent where the samples between two shares of ranks tie."""
    mass = high**best_of - low**best_of
    ratio = np.divide(mass, high - low, out=np.ones_like(mass), where=(mass > 0.0) & (high > low))
    return np.maximum(_spent_below(best_of, high) - _spent_below(best_of, low) - mass * np.log(ratio), 0.0)


def _jackknifed(
    value: Callable[[FloatArray, FloatArray], FloatArray], below: FloatArray, upto: FloatArray, n: int
) -> float:
    """Return the delete-one jackknife of the sum of ``value(below/n, upto/n)``."""
    whole, m = value(below / n, upto / n).sum(), n - 1
    left = value(below / m, np.minimum(upto / m, 1.0)) @ (n - upto) / n
    left += value(np.maximum(below - 1.0, 0.0) / m, (upto - 1.0) / m) @ below / n
    left += value(below / m, (upto - 1.0) / m) @ (upto - below) / n
    return float(n * whole - m * left)


def _levels(below: FloatArray, upto: FloatArray, n: int) -> SampleLevels:
    return SampleLevels(np.zeros(len(below), dtype=np.int64), below, upto, 1, n)


def _win(rule: BestOfN, bins: CountedBins, below: FloatArray, upto: FloatArray, n: int) -> tuple[float, float]:
    """Return the win rate, and how much lower it may be, where samples of a bin may tie.

    Each sample in turn is the base draw, and N of the others are drawn (`SampleLevels.win_rate_of_best`).
    """
    if not bins.tied.any() and (bins.least == bins.most).all():
        return rule.win_rate_formula(), 0.0
    if rule.n != round(rule.n) or rule.n >= n:
        of_ties = float(_levels(below, upto, n).win_rate(rule.cdf)[0])
        win = of_ties if bins.tied.all() else rule.win_rate_formula()
        return win, max(win - of_ties, 0.0) + 1.0 / n
    some = int(np.searchsorted(-upto, -n * math.exp(-_FAR / rule.n), side="right"))
    below, upto, known = below[:some], upto[:some], (bins.least == bins.most)[:some]
    fine = (_cumulative(rule.n + 1.0, upto, n) - _cumulative(rule.n + 1.0, below, n)) / (rule.n + 1.0)
    coarse = (upto - below) * (_cumulative(rule.n, upto - 1.0, n - 1) + _cumulative(rule.n, below, n - 1)) / (2.0 * n)
    open_ = np.maximum(coarse - fine, 0.0)[~known]
    return 1.0 - float(np.where(known, coarse, fine).sum()), float(open_.sum()) + _ROUNDED


def _spent_below(n: float, f: FloatArray) -> FloatArray:
    """``∫₀^F g log g`` for the density ``g = N F^{N-1}``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(f > 0.0, f**n * (math.log(n) + (n - 1.0) * np.log(f) - (n - 1.0) / n), 0.0)
