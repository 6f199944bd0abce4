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
from alignlib._core.tilted_weights import Weights
from alignlib.divergences import KL, Divergence
from alignlib.estimation.jackknife import LogPartitionEstimate, of_numbers
from alignlib.rules import BestOfN, Rule, SampleLevels
from alignlib.tables import CountedSamples

__all__ = ["CountedRules", "counted_rules", "jackknife_of_counts"]

_TERMS = 400  # of many samples a few do
_ENOUGH, _NOTHING = 1e-15, 1e-40
_SMALL = 1e-3  # weights of one sample: their sixth powers are no more
_FAR = 45.0  # ranks that are kept with a chance of e^-45 or less are left out
_SERIES = 3.0  # samples for each draw, for the series
_SUMMED = 2048
_ONE_BY_ONE = 16  # draws
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
    weights = Weights(below)
    for j, one in enumerate(lam.tolist()):
        weight = weights.at(one)
        number, under = count[: len(weight)], below[: len(weight)]
        times = number * weight
        total = float(times.sum())
        largest = 1.0 / total
        singles, pairs, squares = _sums_of(weight, number, times, largest)
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


def _sums_of(weight: FloatArray, number: FloatArray, times: FloatArray, largest: float) -> tuple[float, float, float]:
    """Return `_singles`, `_pairs` and ``Σ p²`` for ``p = largest·weight``; of small p by sums of their powers."""
    if largest / max(1.0 - largest, 1e-16) > _LARGE:
        p = weight * largest
        return _singles(p, number), _pairs(p, number), float(number @ np.square(p))
    large = int(np.searchsorted(-weight, -_SMALL / largest, side="left"))
    s = _power_sums(weight[large:], times[large:], largest)
    # Of small p, power sums of the odds p + p² + … are sums of these.
    of_odds = (
        s[1] + s[2] + s[3] + s[4] + s[5] + s[6],
        s[2] + 2.0 * s[3] + 3.0 * s[4] + 4.0 * s[5] + 5.0 * s[6],
        s[3] + 3.0 * s[4] + 6.0 * s[5] + 10.0 * s[6],
        s[4] + 4.0 * s[5] + 10.0 * s[6],
        s[5] + 5.0 * s[6],
        s[6],
    )
    singles = -sum(s[k] / k for k in range(2, 7))
    if not large:
        pairs = sum((of_odds[2 * k - 1] - of_odds[k - 1] ** 2) / (2 * k) for k in (1, 2, 3))
        return singles, pairs, s[2]
    p = weight[:large] * largest
    singles += _singles(p, number[:large])
    pairs = _pairs(p, number[:large], of_odds)
    return singles, pairs, s[2] + float(number[:large] @ np.square(p))


def _power_sums(weight: FloatArray, times: FloatArray, largest: float) -> list[float]:
    """Return ``Σ p^k`` over samples for k = 0, …, 6, where every p is small; those that are nothing as 0."""
    found = [0.0] * 7
    if not len(weight):
        return found
    found[1] = float(times.sum()) * largest
    most, up = float(weight[0]) * largest, weight
    for k in range(2, 7):
        found[k] = float(times @ up) * largest**k
        if most**k < _ENOUGH * 1e-3:  # the next is no more
            break
        if k < 6:
            up = up * weight
    return found


def _singles(p: FloatArray, count: FloatArray) -> float:
    """Return ``Σ (log(1 - p) + p)`` over samples, for p from the top down; of small p by five powers."""
    large = int(np.searchsorted(-p, -_SMALL, side="right"))
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
    no less than if all of a bin tied. Without ``bounds`` the gain is the least there may be, and win rates and what is
    open are left out, as 0.

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
    ranks = _Ranks(samples)
    found = np.zeros((7, len(rules)))
    found[2] = 0.5
    for j, rule in enumerate(rules):
        if not isinstance(rule, BestOfN) or rule.is_base:
            continue
        reached = ranks.reached(rule.n)
        gain, less, more = _gain(rule.n, ranks, reached) if bounds else (_gain_at_least(ranks, reached), 0.0, 0.0)
        spent, spent_open = _spent(rule, ranks, bounds=bounds)
        win, win_less = _win(rule, ranks, reached) if bounds else (0.0, 0.0)
        found[:, j] = spent, gain, win, spent_open, less, more, win_less
    return CountedRules(*found)


class _Ranks:
    """The ranks of the samples of bins, of n: those ``below`` each bin, and those ``upto`` its end.

    What every rule takes of the bins is here, once.
    """

    def __init__(self, samples: CountedSamples) -> None:
        self.bins, self.n, self.base = samples.bins, samples.size, samples.mean
        bins = self.bins
        count = bins.count
        self.upto = self.n - np.concatenate([[0.0], np.cumsum(count)[:-1]])
        self.below = np.maximum(self.upto - count, 0.0)
        self.known = bins.least == bins.most
        self.tied, self.all_known = bool(bins.tied.any()), bool(self.known.all())
        share = self.upto / self.n
        self.log_share, self._chances = np.log(share), [share]
        others = np.maximum(count - 2.0, 0.0)
        self.excess = ((bins.least + (count > 1.0) * bins.most + others * bins.mean) / count) - self.base
        self.ends = bins.most - self.base, bins.least - self.base, bins.mean - self.base
        self.single, self.more = count == 1.0, (others > 0.0).astype(np.float64)
        self.spread = others * (bins.deviation + bins.slack * (bins.deviation > 0.0))
        self.per_other = self.more / np.maximum(others, 1.0)
        # The variance of chances that rise evenly from the second sample to the last but one, over (last - first)².
        several = np.maximum(others, 2.0)
        even = np.square(1.0 - 2.0 / (several + 1.0)) / 12.0 * (several + 1.0) / (several - 1.0)
        self.even = np.where(others > 1.0, even, 0.0)

    def some(self, best_of: float) -> int:
        """How many bins, from the top, hold samples that best-of-N keeps at all."""
        return int(np.searchsorted(-self.log_share, _FAR / best_of, side="right"))

    def reached(self, best_of: float) -> FloatArray:
        """Return the chance that all N draws are among the samples up to the end of a bin, for `some` bins and 0."""
        some = self.some(best_of)
        upto = self.upto[:some]
        if best_of == round(best_of) and best_of > 8.0 and some and _SERIES * best_of <= float(upto[-1]):
            found = _by_series(round(best_of), upto, self.n, self.log_share[:some])
        elif best_of == round(best_of) and best_of <= _ONE_BY_ONE:
            found = self._one_by_one(round(best_of))[:some]
        else:
            found = _cumulative(best_of, upto, self.n)
        return np.append(found, 0.0)

    def _one_by_one(self, best_of: int) -> FloatArray:
        """Return the same from that of one draw less, and keep it."""
        while len(self._chances) < best_of:
            k = len(self._chances)
            self._chances.append(self._chances[-1] * np.maximum(self.upto - k, 0.0) / (self.n - k))
        return self._chances[best_of - 1]


def _gain_at_least(ranks: _Ranks, reached: FloatArray) -> float:
    """Return what best-of-N gains at least: a bin's mean with the chance that its samples are kept."""
    return float((reached[:-1] - reached[1:]) @ ranks.excess[: len(reached) - 1])


def _gain(best_of: float, ranks: _Ranks, chances: FloatArray) -> tuple[float, float, float]:
    """Return the gain of best-of-N, and how much lower and higher that of the samples may be."""
    some, bins, n = len(chances) - 1, ranks.bins, ranks.n
    below, upto, more = ranks.below[:some], ranks.upto[:some], ranks.more[:some]
    reached, before = chances[:-1], chances[1:]
    mass = reached - before
    whole = best_of == round(best_of)
    if whole:
        top = best_of * reached / upto
        left = below + (1.0 - best_of)
        bottom = best_of * before / np.maximum(left, 1.0)
        low = np.flatnonzero(left < 1.0)
        bottom[low] = 0.0
        low = low[left[low] >= 0.0]
        bottom[low] = best_of * _cumulative(best_of, below[low] + 1.0, n) / (below[low] + 1.0)
    else:
        top = reached - _cumulative(best_of, upto - 1.0, n)
        bottom = _cumulative(best_of, below + 1.0, n) - before
    inner = (mass - top - bottom) * more
    single = ranks.single[:some]
    np.copyto(top, mass, where=single)
    np.copyto(bottom, 0.0, where=single)
    found = float(sum(part @ end[:some] for part, end in zip((top, bottom, inner), ranks.ends, strict=True)))
    apart = np.square(top - bottom)
    straight = apart * ranks.even[:some]
    line, middle = 0.5 * (top + bottom), inner * ranks.per_other[:some]
    convex = np.maximum(np.square(line) - np.square(middle), 0.0)
    largest = np.minimum(straight + convex, 0.25 * apart)
    spread = ranks.spread[:some]
    most_more = float(spread @ np.sqrt(largest))
    likely = min(float(spread @ np.sqrt(np.minimum(straight, largest))), most_more)
    rounding = (1e-12 + 4e-16 * n) * float(bins.most[0] - bins.least[-1]) + 2.0 * bins.slack
    if not whole:  # the jackknife of (i/n)^N does not keep the order of w at low ranks
        far = float(np.abs(mass) @ (bins.most - bins.least)[:some]) + rounding
        return found + likely, far + likely, far
    return found + likely, likely + rounding, most_more - likely + rounding


def _cumulative(best_of: float, upto: FloatArray, n: int) -> FloatArray:
    """Return the chance that all N draws, without replacement, are among the lowest ``upto`` samples of n."""
    if best_of != round(best_of):  # the delete-one jackknife of (j/n)^N
        f, less = upto / n, np.minimum(upto / (n - 1.0), 1.0)
        left = f * (np.maximum(upto - 1.0, 0.0) / (n - 1.0)) ** best_of + (1.0 - f) * less**best_of
        return np.asarray(n * f**best_of - (n - 1.0) * left)
    if best_of > 8.0 and upto.size and _SERIES * best_of <= float(upto.min()):
        return _by_series(round(best_of), upto, n, np.log(upto / n))
    if best_of <= 64:
        share = np.ones_like(upto)
        for k in range(round(best_of)):
            share *= np.maximum(upto - k, 0.0) / (n - k)
        return share
    enough = np.maximum(upto, best_of)
    log_share = scipy.special.betaln(n - best_of + 1.0, best_of) - scipy.special.betaln(enough - best_of + 1.0, best_of)
    return np.where(upto >= best_of, np.exp(log_share), 0.0)


def _by_series(best_of: int, upto: FloatArray, n: int, log_share: FloatArray) -> FloatArray:
    """Return the same, ``(u/n)^N Π (1 - k/u)/(1 - k/n)``, where N is small against every u, by a series of its log."""
    ratio = best_of / upto
    terms = math.ceil(math.log(1e-17 / best_of) / math.log(float(ratio[-1])))  # ranks fall: the last is the largest
    powers = _sums_of_powers(best_of)[:terms]
    found, of_all = np.full_like(ratio, powers[-1]), powers[-1]
    for one in powers[-2::-1]:
        found *= ratio
        found += one
        of_all = of_all * (best_of / n) + one
    found *= ratio
    return np.asarray(np.exp(best_of * log_share - found + of_all * (best_of / n)))


@lru_cache(maxsize=1024)
def _sums_of_powers(best_of: int) -> tuple[float, ...]:
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


def _spent(rule: BestOfN, ranks: _Ranks, *, bounds: bool) -> tuple[float, float]:
    """Return the KL, and how far it may be off: by formula without ties, and for levels that are known by their ranks.

    Where samples of a bin may tie, no more is lost than if all do, twice: the jackknife of few samples may double it.
    """
    known, spent, below, upto, n = ranks.known, _formula(rule.n), ranks.below, ranks.upto, ranks.n
    if not ranks.tied and ranks.all_known:
        return spent, 0.0
    if ranks.tied:
        spent -= _jackknifed(partial(_lost, rule.n), below[known], upto[known], n)
    if ranks.all_known or not bounds:
        return spent, _ROUNDED
    some = ranks.some(rule.n)
    lost = _lost_between(rule.n, ranks.log_share[:some], upto[:some] / n, below[:some] / n)
    return spent, 2.0 * float(lost @ ~known[:some]) + min((rule.n / n) ** 2, spent) + _ROUNDED


@lru_cache(maxsize=1024)
def _formula(best_of: float) -> float:
    """Return what best-of-N spends without ties."""
    return BestOfN(best_of).spent_formula(KL)


def _lost_between(best_of: float, log_share: FloatArray, high: FloatArray, low: FloatArray) -> FloatArray:
    """Return what `_lost` does, where each share begins at the end of the next one."""
    kept = np.append(np.exp(best_of * log_share), low[-1:] ** best_of)
    logs = np.append(log_share, np.log(np.maximum(low[-1:], 1e-300)))
    spent = kept * (math.log(best_of) - (best_of - 1.0) / best_of + (best_of - 1.0) * logs)
    mass = kept[:-1] - kept[1:]
    ratio = np.where(mass > 0.0, mass / (high - low), 1.0)
    return np.asarray(np.maximum(spent[:-1] - spent[1:] - mass * np.log(ratio), 0.0))


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


def _win(rule: BestOfN, ranks: _Ranks, reached: FloatArray) -> tuple[float, float]:
    """Return the win rate, and how much lower it may be, where samples of a bin may tie.

    Each sample in turn is the base draw, and N of the others are drawn (`SampleLevels.win_rate_of_best`); the chance
    that N + 1 draws, or N of the others, are among some follows from that of N draws.
    """
    bins, n = ranks.bins, ranks.n
    if not ranks.tied and ranks.all_known:
        return rule.win_rate_formula(), 0.0
    if rule.n != round(rule.n) or rule.n >= n:
        of_ties = float(_levels(ranks.below, ranks.upto, n).win_rate(rule.cdf)[0])
        win = of_ties if bins.tied.all() else rule.win_rate_formula()
        return win, max(win - of_ties, 0.0) + 1.0 / n
    some, left = len(reached) - 1, n - rule.n
    below, upto, known = ranks.below[:some], ranks.upto[:some], ranks.known[:some]
    reached, before = reached[:-1], reached[1:]
    one_more, others = reached * np.maximum(upto - rule.n, 0.0), before * np.maximum(below - rule.n, 0.0)
    fine = (one_more - others) / (left * (rule.n + 1.0))
    coarse = (upto - below) * (one_more / upto + before) / (2.0 * left)
    open_ = np.maximum(coarse - fine, 0.0)[~known]
    return 1.0 - float(np.where(known, coarse, fine).sum()), float(open_.sum()) + _ROUNDED


def _spent_below(n: float, f: FloatArray) -> FloatArray:
    """``∫₀^F g log g`` for the density ``g = N F^{N-1}``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(f > 0.0, f**n * (math.log(n) + (n - 1.0) * np.log(f) - (n - 1.0) / n), 0.0)
