"""Samples of prompts made ready for rules, and the jackknife that a rule's estimate takes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, as_whole
from alignlib._core.same import SameFields
from alignlib.divergences import KL, Divergence, Renyi
from alignlib.laws import Levels

__all__ = [
    "Prepared",
    "PromptValues",
    "SampleLevels",
    "Transform",
    "by_groups",
    "by_halves",
    "law_by_halves",
    "prepare",
]

Transform = Callable[[FloatArray], FloatArray]  # distribution function of the chosen sample's rank: F ↦ G(F)
_Term = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]

_KNOWN = 1 << 12  # laws of samples that are kept
_GROUPS = 16
_SPLITS = 8


@dataclass(frozen=True, eq=False)
class SampleLevels(SameFields):
    """The distinct rewards of each prompt, all prompts in one list of L levels.

    Attributes
    ----------
    row : array of int (L,)
        The prompt that a level belongs to.
    below, upto : array (L,)
        How many of the prompt's samples lie strictly under it, and at or under it.
    n_prompts : int
        Number of prompts.
    n_samples : int
        Samples of each prompt.
    """

    row: IntArray
    below: FloatArray
    upto: FloatArray
    n_prompts: int
    n_samples: int

    @classmethod
    def of(cls, descending: FloatArray) -> SampleLevels:
        """Find the levels of sorted rewards.

        Parameters
        ----------
        descending : array (prompts, n)
            Rewards of each prompt's samples, from the largest down.
        """
        n_prompts, n = descending.shape
        new = np.ones(descending.shape, dtype=np.bool_)
        new[:, 1:] = np.diff(descending, axis=1) != 0.0
        row, start = np.nonzero(new)
        end = np.append(start[1:], 0)
        end[end == 0] = n
        return cls(row, (n - end).astype(np.float64), (n - start).astype(np.float64), n_prompts, n)

    def spent(self, transform: Transform, divergence: Divergence = KL, jackknife: bool = True) -> FloatArray:
        """Return the jackknifed divergence from the base of the policy that picks by ``transform``, shape (prompts,).

        Without the jackknife it is that of the empirical law, but for `Divergence.of_mean`.

        Parameters
        ----------
        transform : callable
            The rule's ``F ↦ G(F)``: distribution function of the rank that it keeps.
        divergence : Divergence
            What is spent is measured in; KL in nats by default.
        jackknife : bool
            Correct the bias of the empirical law.

        Examples
        --------
        >>> levels = SampleLevels.of(np.array([[1.0] * 32 + [0.0] * 32]))
        >>> levels.spent(lambda f: f**2).round(2).tolist()  # 0.1308 for a fair coin
        [0.13]
        """

        used = _term_of(divergence)
        return divergence.of_mean(self._jackknife(transform, used)) if jackknife else self._plug_in(transform, used)

    def spent_off(self, transform: Transform, divergence: Divergence) -> FloatArray:
        """Return what the jackknife adds to ``E_p f`` of the empirical law, shape (prompts,).

        Parameters
        ----------
        transform : callable
            The rule's ``F ↦ G(F)``: distribution function of the rank that it keeps.
        divergence : Divergence
            What is spent is measured in.
        """
        used = _term_of(divergence)
        return self._jackknife(transform, used) - self._plug_in(transform, used)

    def win_rate(self, transform: Transform, jackknife: bool = True) -> FloatArray:
        """Return the jackknifed probability to beat one base draw, ties counted half, shape (prompts,).

        Parameters
        ----------
        transform : callable
            The rule's ``F ↦ G(F)``: distribution function of the rank that it keeps.
        jackknife : bool
            Correct the bias of the empirical law.
        """
        return (self._jackknife if jackknife else self._plug_in)(transform, lambda mass, _share, middle: mass * middle)

    def _plug_in(self, transform: Transform, term: _Term) -> FloatArray:
        return self._total(transform, term, self.below, self.upto, self.n_samples, 1.0)

    def _total(
        self, transform: Transform, term: _Term, below: FloatArray, upto: FloatArray, m: int, times: FloatArray | float
    ) -> FloatArray:
        mass = transform(upto / m) - transform(below / m)
        values = term(mass, (upto - below) / m, (upto + below) / (2 * m))
        with np.errstate(invalid="ignore"):  # a level that no deletion leaves so costs nothing, even where it is lost
            values = np.where(np.asarray(times) > 0.0, values * times, 0.0)
        return np.asarray(np.bincount(self.row, values, self.n_prompts), dtype=np.float64)

    def win_rate_of_best(self, n: int) -> FloatArray:
        """Return the unbiased win rate of best-of-n over one base draw, of more than n samples, shape (prompts,).

        Each sample in turn is the base draw, and n of the others are drawn: with ``b`` below and ``u`` at or below it,
        it is beaten with the chance ``1 - [C(u-1, n) + C(b, n)] / 2C(m-1, n)``, a tie being half a win.

        Parameters
        ----------
        n : int
            Number of draws, 1 <= n < samples of a prompt.

        Examples
        --------
        >>> SampleLevels.of(np.array([[1.0, 1.0, 0.0]])).win_rate_of_best(2).round(12).tolist()
        [0.666666666667]
        """
        m = self.n_samples - 1
        n = as_whole("n", n, 1)

        def chosen(among: FloatArray) -> FloatArray:
            share = np.ones_like(among)
            for k in range(n):
                share *= np.maximum(among - k, 0.0) / (m - k)
            return share

        lost = (self.upto - self.below) * (chosen(self.upto - 1.0) + chosen(self.below)) / (2.0 * self.n_samples)
        return np.asarray(1.0 - np.bincount(self.row, lost, self.n_prompts))

    def _jackknife(self, transform: Transform, term: _Term) -> FloatArray:
        n = self.n_samples
        total = partial(self._total, transform, term)
        whole = total(self.below, self.upto, n, 1.0)
        # A level keeps its counts under deletion of a higher sample, loses one below under that of a lower
        # one, and loses one of its own under that of one of its own.
        left = total(self.below, self.upto, n - 1, (n - self.upto) / n) if n > 1 else whole
        left += total(np.maximum(self.below - 1, 0), self.upto - 1, n - 1, self.below / n)
        left += total(self.below, self.upto - 1, n - 1, (self.upto - self.below) / n)
        with np.errstate(invalid="ignore"):
            return np.where(np.isinf(whole), whole, n * whole - (n - 1) * left)


def _term_of(divergence: Divergence) -> _Term:
    """Return what a level adds to ``E_p f``."""

    def kl(mass: FloatArray, share: FloatArray, _middle: FloatArray) -> FloatArray:
        # Without the terms mass - share of f, which sum to zero: half the work.
        ratio = np.divide(mass, share, out=np.ones_like(mass), where=(mass > 0.0) & (share > 0.0))
        return np.asarray(mass * np.log(ratio))

    def term(mass: FloatArray, share: FloatArray, _middle: FloatArray) -> FloatArray:
        held = share > 0.0
        value = divergence.f(np.divide(mass, share, out=np.ones_like(mass), where=held))
        return np.where(held, share * value, 0.0)

    return kl if divergence == KL else term


@dataclass(frozen=True, eq=False)
class Prepared(SameFields):
    """Samples of prompts sorted by the reward that picks, best first.

    Attributes
    ----------
    picking : array (prompts, n)
        The reward that picks, falling.
    values : array (prompts, n)
        The reward that counts, in the same order, averaged over ties of the picking one.
    tied : array of bool (prompts,)
        Prompts in which two samples have the same picking reward.
    levels : SampleLevels
        The levels of those prompts.

    Examples
    --------
    >>> ready = prepare(np.array([[0.0, 2.0, 1.0]]), np.array([[5.0, 1.0, 3.0]]))
    >>> ready.picking.tolist(), ready.values.tolist()
    ([[2.0, 1.0, 0.0]], [[1.0, 3.0, 5.0]])
    """

    picking: FloatArray
    values: FloatArray
    tied: FloatArray
    levels: SampleLevels


@dataclass(frozen=True, eq=False)
class PromptValues(SameFields):
    """What a rule does on each prompt.

    Attributes
    ----------
    spent : array (prompts,)
        Divergence from the base, in the unit of the divergence asked.
    mean : array (prompts,)
        Mean value of what the rule keeps, in the unit of the values.
    win_rate : array (prompts,)
        Probability to beat one base draw, ties counted half.
    spent_off, mean_off : array (prompts,), optional
        How far the means over prompts of ``E_p f`` and of ``mean`` may be off, as means of these, which have signs;
        None where the samples tell them to within their noise.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> rewards = np.array([[0.0, 1.0, 2.0, 3.0]])
    >>> found = BestOfN(2).evaluate(prepare(rewards, rewards))
    >>> found.mean.round(6).tolist(), found.win_rate.round(6).tolist()
    ([2.333333], [0.666667])
    """

    spent: FloatArray
    mean: FloatArray
    win_rate: FloatArray
    spent_off: FloatArray | None = None
    mean_off: FloatArray | None = None


def prepare(picking: FloatArray, values: FloatArray | None = None) -> Prepared:
    """Sort each prompt's samples by what picks, once for all rules.

    Parameters
    ----------
    picking : array (prompts, n)
        The reward that picks.
    values : array (prompts, n), optional
        The reward that counts; the picking one if None.

    Examples
    --------
    >>> prepare(np.array([[0.0, 2.0, 2.0]]), np.array([[5.0, 1.0, 3.0]])).values.tolist()
    [[2.0, 2.0, 5.0]]
    """
    if (picking[:, 1:] > picking[:, :-1]).any():
        order = np.argsort(picking, axis=1)[:, ::-1]
        picking = np.take_along_axis(picking, order, axis=1)
        values = None if values is None else np.take_along_axis(values, order, axis=1)
    tied = (picking[:, 1:] == picking[:, :-1]).any(axis=1)
    levels = SampleLevels.of(picking[tied])
    if values is None:
        return Prepared(picking, picking, tied, levels)
    values = values.copy()
    level_size = (levels.upto - levels.below).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(level_size)[:-1]]).astype(np.int64)
    flat = values[tied].reshape(-1)
    if flat.size:
        means = np.add.reduceat(flat, starts) / level_size
        values[tied] = np.repeat(means, level_size).reshape(-1, picking.shape[1])
    return Prepared(picking, values, tied, levels)


def by_halves(
    tied: FloatArray, transform: Transform, divergence: Divergence = KL
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimate spending and win rate on prompts with ties where ``transform`` has a kink: to it a deletion is noise.

    The empirical law's value, twice, less the mean over random halves: a bias in proportion to 1/n goes.

    Parameters
    ----------
    tied : array (prompts, n)
        Rewards from the best down.
    transform : callable
        The rule's ``F ↦ G(F)``.
    divergence : Divergence
        What is spent is measured in.

    Returns
    -------
    spent, win_rate : array (prompts,)
        The estimates.
    spent_off : array (prompts,)
        How far ``E_p f`` may be off, see `PromptValues`.
    """

    def plug_in(places: IntArray) -> FloatArray:
        levels = SampleLevels.of(tied[:, places])
        return np.array([levels.spent(transform, divergence, False), levels.win_rate(transform, False)])

    found, off = _less_halves(tied.shape[1], plug_in)
    return divergence.of_mean(np.maximum(found[0], 0.0)), found[1], off[0]


def law_by_halves(
    samples: Prepared, log_ratio: Callable[[Levels], FloatArray], divergence: Divergence = KL
) -> PromptValues:
    """Estimate a rule with a kink from its exact policy on the empirical law, by halves; see `by_halves`.

    Parameters
    ----------
    samples : Prepared
        Samples of prompts, sorted.
    log_ratio : callable
        From the levels of a law to ``log(policy/base)`` on each.
    divergence : Divergence
        What is spent is measured in.
    """
    plug_in = _plug_in_of(log_ratio, divergence)

    def of_some(places: IntArray) -> FloatArray:
        rows = zip(samples.picking[:, places], samples.values[:, places], strict=True)
        found = np.array([plug_in(*row) for row in rows]).reshape(-1, 3).T
        return np.array([divergence.mean_of(found[0]), *found[1:]])

    found, off = _less_halves(samples.values.shape[1], of_some)
    return PromptValues(divergence.of_mean(np.maximum(found[0], 0.0)), found[1], found[2], off[0], off[1])


def _less_halves(n: int, plug_in: Callable[[IntArray], FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return twice the value of all of n samples less that of halves, and how far that may be off.

    At a kink the bias falls like 1/√n: halves have √2 times that of all, √2 - 1 of it is taken away, and 2 - √2, which
    is √2 times as much, is left.
    """
    whole, half = plug_in(np.arange(n)), n // 2
    if not half:
        return whole, np.zeros_like(whole)
    rng, less = np.random.default_rng(0), np.zeros_like(whole)
    for _ in range(_SPLITS):
        order = rng.permutation(n)
        for part in (order[:half], order[half : 2 * half]):
            less += plug_in(np.sort(part))
    found = (n * whole - half * less / (2 * _SPLITS)) / (n - half)
    return found, math.sqrt(2.0) * (found - whole)


def by_groups(
    samples: Prepared, log_ratio: Callable[[Levels], FloatArray], divergence: Divergence = KL
) -> PromptValues:
    """Estimate any rule from its exact policy on the empirical law, jackknifed over groups of samples.

    Parameters
    ----------
    samples : Prepared
        Samples of prompts, sorted.
    log_ratio : callable
        From the levels of a law to ``log(policy/base)`` on each.
    divergence : Divergence
        What is spent is measured in.
    """
    m = samples.values.shape[1]
    groups = min(_GROUPS, m)
    label = np.random.default_rng(0).permutation(np.arange(m) % groups)  # ranks fall into groups at random

    plug_in = _plug_in_of(log_ratio, divergence)

    def jackknife(picking: FloatArray, values: FloatArray) -> FloatArray:
        left = np.zeros(3)
        for group in range(groups):
            kept = label != group
            left += kept.mean() * plug_in(picking[kept], values[kept])
        whole = plug_in(picking, values)
        # Unequal groups: Busing, Meijer, van der Leeden.
        return np.append(groups * whole - left, whole[0])

    rows = [jackknife(*row) for row in zip(samples.picking, samples.values, strict=True)]
    spent, mean, win_rate, plain = np.array(rows).reshape(-1, 4).T
    off = np.abs(divergence.mean_of(spent) - divergence.mean_of(plain)) if isinstance(divergence, Renyi) else None
    return PromptValues(spent, mean, win_rate, off)


def _plug_in_of(
    log_ratio: Callable[[Levels], FloatArray], divergence: Divergence
) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Return what gives spending, mean and win rate of a rule on the empirical law of one prompt."""
    known: dict[bytes, tuple[float, FloatArray, float]] = {}  # grades repeat from prompt to prompt

    def of_law(picking: FloatArray) -> tuple[float, FloatArray, float]:
        levels = Levels.of(picking, None)
        t = log_ratio(levels)
        policy = np.exp(levels.log_policy_of(t))
        below = np.searchsorted(picking[::-1], picking, side="left")
        upto = np.searchsorted(picking[::-1], picking, side="right")
        beaten = (below + upto) / (2.0 * len(picking))
        return float(divergence.of_log_ratio(t, levels.mass)), policy, float(policy @ beaten)

    def plug_in(picking: FloatArray, values: FloatArray) -> FloatArray:
        key = picking.tobytes()
        found = known.get(key)
        if found is None:
            found = of_law(picking)
            if len(known) < _KNOWN:
                known[key] = found
        spent, policy, win_rate = found
        return np.array([spent, policy @ values, win_rate])

    return plug_in
