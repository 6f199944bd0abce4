"""Best-of-N on a prompt whose samples are in bins: what it spends, gains and wins, with what bins leave open."""

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
from alignlib.rules import BestOfN, Rule, SampleLevels
from alignlib.tables import CountedSamples

__all__ = ["CountedRules", "chances_in_bins", "counted_rules"]

_FAR = 45.0  # ranks that are kept with a chance of e^-45 or less are left out
_SERIES = 3.0  # samples for each draw, for the series
_SUMMED, _COUNTED = 2048, 4096
_ONE_BY_ONE = 16  # draws
_ROUNDED = 1e-13  # of sums


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


def chances_in_bins(samples: CountedSamples, best_of: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the chance that best-of-N keeps a sample of each bin, and bounds on that of a single one.

    Parameters
    ----------
    samples : CountedSamples
        The samples of one prompt, in bins.
    best_of : float
        A whole N ≥ 2.

    Returns
    -------
    mass : array (k,)
        Of the first bins, as many as matter, from the top down.
    least, most : array (k,)
        Of one sample in each, whose chance rises with its rank.

    Examples
    --------
    >>> from alignlib.tables import CountedBins
    >>> ends = np.array([1.0, 0.0])
    >>> bins = CountedBins(np.ones(2), ends, ends, ends, np.zeros(2))
    >>> samples = CountedSamples(ends, np.ones(2), bins, lambda lam: (lam, lam))
    >>> [one.tolist() for one in chances_in_bins(samples, 2)]
    [[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    """
    ranks = _Ranks(samples)
    reached = ranks.reached(best_of)
    below, upto = ranks.below[: len(reached) - 1], ranks.upto[: len(reached) - 1]
    least = np.divide(best_of * reached[1:], below, out=np.zeros_like(below), where=below > 0.0)
    return reached[:-1] - reached[1:], least, best_of * reached[:-1] / upto


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
    if not upto.size:
        return upto
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
    above = n - upto
    if above.max() <= _COUNTED and (above == np.floor(above)).all():  # without SciPy's part, which takes long to import
        with np.errstate(divide="ignore"):  # fewer than N are left
            missed = np.log1p(-np.minimum(best_of / (n - np.arange(above.max())), 1.0))  # one of them after the other
        return np.asarray(np.exp(np.concatenate([[0.0], np.cumsum(missed)])[above.astype(np.int64)]))
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
