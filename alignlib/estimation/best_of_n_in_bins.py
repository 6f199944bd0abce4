"""Best-of-N on a prompt whose samples are in bins: what it spends, gains and wins, with what bins leave open."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.divergences import KL, Divergence
from alignlib.estimation.draws_among import FEWEST, NOTHING, SERIES, all_among, by_series
from alignlib.rules import BestOfN, Rule, SampleLevels
from alignlib.tables import CountedSamples

__all__ = ["CountedRules", "chances_in_bins", "counted_rules"]

_FAR = 45.0  # ranks that are kept with a chance of e^-45 or less are left out
_ONE_BY_ONE = 16  # draws
_TOGETHER = 8  # N
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
    found[5] = 0.5
    drawn = {j: rule.n for j, rule in enumerate(rules) if isinstance(rule, BestOfN) and not rule.is_base}
    for places in ranks.together(drawn):
        best_of = np.array([drawn[j] for j in places])
        reached = ranks.reached(best_of)
        if bounds:
            found[:, places] = *_spent(best_of, ranks), *_gain(best_of, ranks, reached), *_win(best_of, ranks, reached)
        else:
            found[0, places], found[2, places] = _spent_at_most(best_of, ranks), _gain_at_least(ranks, reached)
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
    ranks = _Ranks(samples)
    (reached,) = ranks.reached(np.array([best_of]))
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
        self._missed, self._some = -self.log_share, dict[float, int]()
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
        if best_of not in self._some:
            self._some[best_of] = int(np.searchsorted(self._missed, _FAR / best_of, side="right"))
        return self._some[best_of]

    def together(self, drawn: Mapping[int, float]) -> Iterator[list[int]]:
        """Yield the places of rules whose chances are computed together: several N, rising, that one way serves."""
        some: list[int] = []
        for j in sorted(drawn, key=drawn.__getitem__):
            if some and not (len(some) < _TOGETHER and self.alike(drawn[some[0]], drawn[j])):
                yield some
                some = []
            some.append(j)
        if some:
            yield some

    def alike(self, least: float, most: float) -> bool:
        """Whether one way serves both of these N."""
        few = most <= FEWEST and least == round(least) and most == round(most)
        return few or self.in_series(least, most)

    def in_series(self, least: float, most: float) -> bool:
        """Whether the series gives the chances of both of these N, for the bins of which the least N keeps samples."""
        some = self.some(least)
        whole = least == round(least) and most == round(most)
        return whole and least > FEWEST and bool(some) and SERIES * most <= float(self.upto[some - 1])

    def reached(self, best_of: FloatArray) -> FloatArray:
        """Return the chances that all N draws are among the samples up to the end of a bin, and 0, one row for each N.

        There are as many bins as `some` tells of the least N.
        """
        least = float(best_of[0])
        some = self.some(least)
        found = np.zeros((len(best_of), some + 1))
        if self.in_series(least, float(best_of[-1])):
            found[:, :some] = by_series(best_of, self.upto[:some], self.n, self.log_share[:some])
        elif least == round(least) and least <= _ONE_BY_ONE:
            for row, one in zip(found, best_of.tolist(), strict=True):
                row[:some] = self._one_by_one(round(one))[:some]
        else:
            found[0, :some] = all_among(least, self.upto[:some], self.n)
        return found

    def _one_by_one(self, best_of: int) -> FloatArray:
        """Return the same from that of one draw less, and keep it."""
        while len(self._chances) < best_of:
            k = len(self._chances)
            self._chances.append(self._chances[-1] * np.maximum(self.upto - k, 0.0) / (self.n - k))
        return self._chances[best_of - 1]


def _gain_at_least(ranks: _Ranks, reached: FloatArray) -> FloatArray:
    """Return what best-of-N gains at least: a bin's mean with the chance that its samples are kept."""
    return np.asarray((reached[:, :-1] - reached[:, 1:]) @ ranks.excess[: reached.shape[1] - 1])


def _gain(best_of: FloatArray, ranks: _Ranks, chances: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the gain of best-of-N, and how much lower and higher that of the samples may be."""
    some, bins, n = chances.shape[1] - 1, ranks.bins, ranks.n
    below, upto, more = ranks.below[:some], ranks.upto[:some], ranks.more[:some]
    reached, before = chances[:, :-1], chances[:, 1:]
    mass = reached - before
    whole = bool((best_of == np.round(best_of)).all())
    if whole:
        number = best_of[:, None]
        top = reached * (number / upto)
        left = below + (1.0 - number)
        bottom = number * before / np.maximum(left, 1.0)
        bottom[left < 1.0] = 0.0
        for row, place in np.argwhere((left >= 0.0) & (left < 1.0)).tolist():
            one = below[place : place + 1] + 1.0
            bottom[row, place] = best_of[row] * float(all_among(float(best_of[row]), one, n)[0] / one[0])
    else:
        top = reached - all_among(float(best_of[0]), upto - 1.0, n)
        bottom = all_among(float(best_of[0]), below + 1.0, n) - before
    inner = (mass - top - bottom) * more
    single = ranks.single[:some]
    np.copyto(top, mass, where=single)
    np.copyto(bottom, 0.0, where=single)
    found = sum(part @ end[:some] for part, end in zip((top, bottom, inner), ranks.ends, strict=True))
    apart = np.square(top - bottom)
    straight = apart * ranks.even[:some]
    line, middle = 0.5 * (top + bottom), inner * ranks.per_other[:some]
    convex = np.maximum(np.square(line) - np.square(middle), 0.0)
    largest = np.minimum(straight + convex, 0.25 * apart)
    spread = ranks.spread[:some]
    most_more = np.sqrt(largest) @ spread
    likely = np.minimum(np.sqrt(np.minimum(straight, largest)) @ spread, most_more)
    rounding = (1e-12 + 4e-16 * n) * float(bins.most[0] - bins.least[-1]) + 2.0 * bins.slack
    if not whole:  # the jackknife of (i/n)^N does not keep the order of w at low ranks
        far = np.abs(mass) @ (bins.most - bins.least)[:some] + rounding
        return found + likely, far + likely, far
    return found + likely, likely + rounding, most_more - likely + rounding


def _spent(best_of: FloatArray, ranks: _Ranks) -> tuple[FloatArray, FloatArray]:
    """Return the KL, and how far it may be off: by formula without ties, and for levels that are known by their ranks.

    Where samples of a bin may tie, no more is lost than if all do, twice: the jackknife of few samples may double it.
    """
    spent = _spent_at_most(best_of, ranks)
    if ranks.all_known:
        return spent, np.full(len(spent), _ROUNDED if ranks.tied else 0.0)
    some, n = ranks.some(float(best_of[0])), ranks.n
    lost = _lost_between(best_of[:, None], ranks.log_share[:some], ranks.upto[:some] / n, ranks.below[:some] / n)
    few = np.minimum(np.square(best_of / n), spent)
    return spent, 2.0 * (lost @ (~ranks.known[:some]).astype(np.float64)) + few + _ROUNDED


def _spent_at_most(best_of: FloatArray, ranks: _Ranks) -> FloatArray:
    """Return the KL where samples of a bin that are not known to tie do not."""
    spent = np.array([_formula(one) for one in best_of.tolist()])
    if ranks.tied:
        below, upto = ranks.below[ranks.known], ranks.upto[ranks.known]
        spent -= [_jackknifed(partial(_lost, one), below, upto, ranks.n) for one in best_of.tolist()]
    return spent


@lru_cache(maxsize=1024)
def _formula(best_of: float) -> float:
    """Return what best-of-N spends without ties."""
    return BestOfN(best_of).spent_formula(KL)


def _lost_between(best_of: FloatArray, log_share: FloatArray, high: FloatArray, low: FloatArray) -> FloatArray:
    """Return what `_lost` does for N in a column, where each share begins at the end of the next one."""
    logs = np.append(log_share, np.log(np.maximum(low[-1:], 1e-300)))
    kept = np.exp(np.maximum(best_of * logs, NOTHING))
    spent = kept * (np.log(best_of) - (best_of - 1.0) / best_of + (best_of - 1.0) * logs)
    mass = kept[:, :-1] - kept[:, 1:]
    ratio = np.where(mass > 0.0, mass / (high - low), 1.0)
    return np.asarray(np.maximum(spent[:, :-1] - spent[:, 1:] - mass * np.log(ratio), 0.0))


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


def _win(best_of: FloatArray, ranks: _Ranks, reached: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the win rate, and how much lower it may be, where samples of a bin may tie.

    Each sample in turn is the base draw, and N of the others are drawn (`SampleLevels.win_rate_of_best`); the chance
    that N + 1 draws, or N of the others, are among some follows from that of N draws.
    """
    bins, n, rule = ranks.bins, ranks.n, BestOfN(float(best_of[0]))
    if not ranks.tied and ranks.all_known:
        return np.array([BestOfN(one).win_rate_formula() for one in best_of.tolist()]), np.zeros(len(best_of))
    if rule.n != round(rule.n) or rule.n >= n:  # computed alone
        of_ties = float(_levels(ranks.below, ranks.upto, n).win_rate(rule.cdf)[0])
        win = of_ties if bins.tied.all() else rule.win_rate_formula()
        return np.array([win]), np.array([max(win - of_ties, 0.0) + 1.0 / n])
    some, number = reached.shape[1] - 1, best_of[:, None]
    below, upto, known = ranks.below[:some], ranks.upto[:some], ranks.known[:some]
    reached, before = reached[:, :-1], reached[:, 1:]
    one_more, others = reached * np.maximum(upto - number, 0.0), before * np.maximum(below - number, 0.0)
    fine = (one_more - others) / (number + 1.0)
    coarse = 0.5 * (upto - below) * (one_more / upto + before)
    ties = known.astype(np.float64)
    open_ = np.maximum(coarse - fine, 0.0) @ (1.0 - ties)
    lost = coarse @ ties + fine @ (1.0 - ties)
    return 1.0 - lost / (n - best_of), open_ / (n - best_of) + _ROUNDED


def _spent_below(n: float, f: FloatArray) -> FloatArray:
    """``∫₀^F g log g`` for the density ``g = N F^{N-1}``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(f > 0.0, f**n * (math.log(n) + (n - 1.0) * np.log(f) - (n - 1.0) / n), 0.0)
