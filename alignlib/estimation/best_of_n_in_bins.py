"""Best-of-N on a prompt whose samples are in bins: what it spends, gains and wins, with what bins leave open."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.divergences import KL, Divergence
from alignlib.estimation.draws_among import FEWEST, NOTHING, SERIES, all_among, by_series, stirling
from alignlib.rules import BestOfN, Rule, SampleLevels
from alignlib.tables import CountedSamples

__all__ = ["CountedRules", "chances_in_bins", "counted_rules"]

_FAR = 45.0  # ranks that are kept with a chance of e^-45 or less are left out
_ONE_BY_ONE = 16  # draws
_NO_SHARE = math.log(1e-300)
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
    ranks = _ranks_of(samples)
    found = np.zeros((7, len(rules)))
    found[5] = 0.5
    drawn = {j: rule.n for j, rule in enumerate(rules) if isinstance(rule, BestOfN) and rule.n != 1.0}
    for places in _together(drawn):
        kept = _Chances(ranks, np.array([drawn[j] for j in places]))
        if bounds:
            found[:, places] = *_spent(kept), *_gain(kept), *_win(kept)
        else:
            found[0, places], found[2, places] = _spent_at_most(kept), _gain_at_least(kept)
    return CountedRules(*found[[0, 2, 5, 1, 3, 4, 6]])


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
    kept = _Chances(_ranks_of(samples), np.array([best_of]))
    below = kept.below
    least = np.divide(best_of * kept.before, below, out=np.zeros_like(below), where=below > 0.0)
    return kept.mass, least, best_of * kept.reached / kept.upto


class _Ranks:
    """The ranks of the samples of bins, of n: those ``below`` each bin, and those ``upto`` its end.

    What every rule takes of the bins is here, once; ``reached`` has the chances of N = 2, 4, 8, … asked for.
    """

    def __init__(self, samples: CountedSamples) -> None:
        self.bins, self.n, self.base = samples.bins, samples.size, samples.mean
        bins = self.bins
        count = bins.count
        self.upto = self.n - np.concatenate([[0.0], np.cumsum(count)[:-1]])
        self.below = np.maximum(self.upto - count, 0.0)
        self.known = bins.least == bins.most
        self.tied, self.all_known = bool(bins.tied.any()), bool(self.known.all())
        self.log_share, self.of_upto = np.log(self.upto / self.n), stirling(self.upto)
        self.unknown, self.order = (~self.known).astype(np.float64), np.arange(len(count))
        self.reached = dict[float, FloatArray]()

    def all_of_few(self, most: int) -> list[FloatArray]:
        """Return the chances that 1, …, ``most`` draws are all among the samples up to each, from one draw less."""
        found = [self.upto / self.n]
        for k in range(1, most):
            found.append(found[-1] * np.maximum(self.upto - k, 0.0) / (self.n - k))
        return found


def _ranks_of(samples: CountedSamples) -> _Ranks:
    """Return the ranks of samples, made once."""
    known = samples.made.get("ranks")
    if not isinstance(known, _Ranks):
        known = samples.made["ranks"] = _Ranks(samples)
    return known


class _Chances:
    """With what chance best-of-N keeps the samples of bins, for several N: the bins of the first N, the second, …

    Of each N these are the first bins, as many as hold samples that it keeps at all. ``reached`` is the chance that all
    draws are among the samples up to the end of a bin, ``before`` the same of the next one, and 0 for the last.
    """

    def __init__(self, ranks: _Ranks, best_of: FloatArray) -> None:
        self.ranks, self.best_of = ranks, best_of
        self.whole = bool((best_of == np.round(best_of)).all())
        self.some = np.searchsorted(-ranks.log_share, _FAR / best_of, side="right")
        self.first = np.cumsum(self.some) - self.some
        self.place = np.concatenate([ranks.order[:some] for some in self.some.tolist()])
        self.number = np.repeat(best_of, self.some)
        self.upto, self.below = ranks.upto[self.place], ranks.below[self.place]
        self.reached = self._reached()
        self.before = np.append(self.reached[1:], 0.0)
        self.before[self.first[1:] - 1] = 0.0
        self.mass = self.reached - self.before

    def _reached(self) -> FloatArray:
        n, last = self.ranks.n, self.first + self.some
        found = np.empty(len(self.place))
        series = (self.best_of > FEWEST) & (self.upto[last - 1] >= SERIES * self.best_of) & self.whole
        before = self.ranks.reached if self.whole else {}
        known = np.array([one in before for one in self.best_of.tolist()], dtype=np.bool_)
        series &= ~known
        its = [slice(*ends) for ends in zip(self.first.tolist(), last.tolist(), strict=True)]
        one_by_one = ~(known | series) & (self.best_of <= _ONE_BY_ONE) & self.whole
        of_few = self.ranks.all_of_few(round(self.best_of[one_by_one].max())) if one_by_one.any() else []
        for j in np.flatnonzero(~series).tolist():
            best_of = float(self.best_of[j])
            if known[j]:
                found[its[j]] = before[best_of]
            elif one_by_one[j]:
                found[its[j]] = of_few[round(best_of) - 1][: self.some[j]]
            else:
                found[its[j]] = all_among(best_of, self.upto[its[j]], n)
        if series.any():
            where = np.repeat(series, self.some)
            place = self.place[where]
            found[where] = by_series(
                self.best_of[series],
                self.some[series],
                self.upto[where],
                self.ranks.log_share[place],
                self.ranks.of_upto[place],
                n,
            )
        if self.whole:
            # Every list of N has its powers of two; what others take of memory costs more than to compute them again.
            again = ~known & (np.frexp(self.best_of)[0] == 0.5)
            self.ranks.reached |= {float(self.best_of[j]): found[its[j]].copy() for j in np.flatnonzero(again).tolist()}
        return found

    def of(self, of_bins: FloatArray) -> FloatArray:
        """Return what is known of each bin, for the bins of every N."""
        return np.asarray(of_bins[self.place])

    def sum(self, values: FloatArray) -> FloatArray:
        """Return sums over the bins of each N."""
        return np.asarray(np.add.reduceat(values, self.first))


def _together(drawn: Mapping[int, float]) -> list[list[int]]:
    """Return the places of rules whose chances are computed together: those of all whole N, and of each other one."""
    whole = [j for j in drawn if drawn[j] == round(drawn[j])]
    return [*([whole] if whole else []), *([j] for j in drawn if j not in whole)]


def _gain_at_least(kept: _Chances) -> FloatArray:
    """Return what best-of-N gains at least: a bin's mean with the chance that its samples are kept."""
    bins, n = kept.ranks.bins, kept.ranks.bins.count
    excess = (bins.least + (n > 1.0) * bins.most + np.maximum(n - 2.0, 0.0) * bins.mean) / n - kept.ranks.base
    return kept.sum(kept.mass * kept.of(excess))


def _gain(kept: _Chances) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the gain of best-of-N, and how much lower and higher that of the samples may be."""
    ranks, number, below, upto, before = kept.ranks, kept.number, kept.below, kept.upto, kept.before
    bins, n = ranks.bins, ranks.n
    if kept.whole:
        top = kept.reached * (number / upto)
        left = below + (1.0 - number)
        bottom = number * before / np.maximum(left, 1.0)
        bottom[left < 1.0] = 0.0
        for place in np.flatnonzero((left >= 0.0) & (left < 1.0)).tolist():
            one = below[place : place + 1] + 1.0
            bottom[place] = number[place] * float(all_among(float(number[place]), one, n)[0] / one[0])
    else:
        (best_of,) = kept.best_of.tolist()
        top = kept.reached - all_among(best_of, upto - 1.0, n)
        bottom = all_among(best_of, below + 1.0, n) - before
    others = np.maximum(bins.count - 2.0, 0.0)
    inner = (kept.mass - top - bottom) * kept.of((others > 0.0).astype(np.float64))
    single = kept.of(bins.count == 1.0)
    np.copyto(top, kept.mass, where=single)
    np.copyto(bottom, 0.0, where=single)
    ends = bins.most - ranks.base, bins.least - ranks.base, bins.mean - ranks.base
    parts = (part * kept.of(end) for part, end in zip((top, bottom, inner), ends, strict=True))
    found = sum(map(kept.sum, parts))
    # The variance of chances that rise evenly from the second sample to the last but one, over (last - first)².
    several = np.maximum(others, 2.0)
    even = np.square(1.0 - 2.0 / (several + 1.0)) / 12.0 * (several + 1.0) / (several - 1.0)
    apart = np.square(top - bottom)
    straight = apart * kept.of(np.where(others > 1.0, even, 0.0))
    line, middle = 0.5 * (top + bottom), inner * kept.of((others > 0.0) / np.maximum(others, 1.0))
    convex = np.maximum(np.square(line) - np.square(middle), 0.0)
    largest = np.minimum(straight + convex, 0.25 * apart)
    spread = kept.of(others * (bins.deviation + bins.slack * (bins.deviation > 0.0)))
    above = np.maximum(inner, 0.0) * kept.of(bins.most - bins.mean + bins.slack)  # none is above the largest
    most_more = kept.sum(np.minimum(np.sqrt(largest) * spread, above))
    likely = kept.sum(np.minimum(np.sqrt(np.minimum(straight, largest)) * spread, above))
    rounding = (1e-12 + 4e-16 * n) * float(bins.most[0] - bins.least[-1]) + 2.0 * bins.slack
    if not kept.whole:  # the jackknife of (i/n)^N does not keep the order of w at low ranks
        far = kept.sum(np.abs(kept.mass) * kept.of(bins.most - bins.least)) + rounding
        return found + likely, far + likely, far
    return found + likely, likely + rounding, most_more - likely + rounding


def _spent(kept: _Chances) -> tuple[FloatArray, FloatArray]:
    """Return the KL, and how far it may be off: by formula without ties, and for levels that are known by their ranks.

    Where samples of a bin may tie, no more is lost than if all do, twice: the jackknife of few samples may double it.
    """
    ranks, spent = kept.ranks, _spent_at_most(kept)
    if ranks.all_known:
        return spent, np.full(len(spent), _ROUNDED if ranks.tied else 0.0)
    lost = kept.sum(_lost_between(kept) * kept.of(ranks.unknown))
    few = np.minimum(np.square(kept.best_of / ranks.n), spent)
    return spent, 2.0 * lost + few + _ROUNDED


def _spent_at_most(kept: _Chances) -> FloatArray:
    """Return the KL where samples of a bin that are not known to tie do not."""
    ranks, spent = kept.ranks, np.array([_formula(one) for one in kept.best_of.tolist()])
    if ranks.tied:
        below, upto = ranks.below[ranks.known], ranks.upto[ranks.known]
        spent -= [_jackknifed(partial(_lost, one), below, upto, ranks.n) for one in kept.best_of.tolist()]
    return spent


@lru_cache(maxsize=1024)
def _formula(best_of: float) -> float:
    """Return what best-of-N spends without ties."""
    return BestOfN(best_of).spent_formula(KL)


@lru_cache(maxsize=1024)
def _won(best_of: float) -> float:
    """Return how often best-of-N wins without ties."""
    return BestOfN(best_of).win_rate_formula()


def _lost_between(kept: _Chances) -> FloatArray:
    """Return what `_lost` does, where the share of each bin begins at the end of the next one."""
    number, log_share, of_n = kept.number, kept.ranks.log_share, kept.best_of
    constant = np.log(of_n) - (of_n - 1.0) / of_n
    last = kept.first + kept.some - 1
    after = np.append(log_share, _NO_SHARE)[kept.some]  # the next bin of each N beyond those that it keeps
    share, spent = _share_and_spent(kept.of(log_share), number, np.repeat(constant, kept.some))
    its_share, its_spent = _share_and_spent(after, of_n, constant)
    next_share, next_spent = np.append(share[1:], 0.0), np.append(spent[1:], 0.0)
    next_share[last], next_spent[last] = its_share, its_spent
    mass = share - next_share
    ratio = np.where(mass > 0.0, mass * (kept.ranks.n / (kept.upto - kept.below)), 1.0)
    return np.asarray(np.maximum(spent - next_spent - mass * np.log(ratio), 0.0))


def _share_and_spent(logs: FloatArray, number: FloatArray, constant: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return powers of shares whose logarithms are given, and what is spent below these shares."""
    share = np.exp(np.maximum(number * logs, NOTHING))
    return share, share * (constant + (number - 1.0) * logs)


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


def _win(kept: _Chances) -> tuple[FloatArray, FloatArray]:
    """Return the win rate, and how much lower it may be, where samples of a bin may tie.

    Each sample in turn is the base draw, and N of the others are drawn (`SampleLevels.win_rate_of_best`); the chance
    that N + 1 draws, or N of the others, are among some follows from that of N draws.
    """
    ranks, n = kept.ranks, kept.ranks.n
    formula = np.array([_won(one) for one in kept.best_of.tolist()])
    if not ranks.tied and ranks.all_known:
        return formula, np.zeros(len(formula))
    number, below, upto, ties = kept.number, kept.below, kept.upto, kept.of(1.0 - ranks.unknown)
    one_more, others = kept.reached * np.maximum(upto - number, 0.0), kept.before * np.maximum(below - number, 0.0)
    fine = (one_more - others) / (number + 1.0)
    coarse = 0.5 * (upto - below) * (one_more / upto + kept.before)
    rest = np.maximum(n - kept.best_of, 1.0)
    open_ = kept.sum(np.maximum(coarse - fine, 0.0) * (1.0 - ties)) / rest + _ROUNDED
    won = 1.0 - kept.sum(coarse * ties + fine * (1.0 - ties)) / rest
    for j, best_of in enumerate(kept.best_of.tolist()):
        if not kept.whole or best_of >= n:  # computed alone
            of_ties = float(_levels(ranks.below, ranks.upto, n).win_rate(BestOfN(best_of).cdf)[0])
            won[j] = of_ties if ranks.bins.tied.all() else formula[j]
            open_[j] = max(won[j] - of_ties, 0.0) + 1.0 / n
    return won, open_


def _spent_below(n: float, f: FloatArray) -> FloatArray:
    """``∫₀^F g log g`` for the density ``g = N F^{N-1}``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(f > 0.0, f**n * (math.log(n) + (n - 1.0) * np.log(f) - (n - 1.0) / n), 0.0)
