"""Few prompts whose samples are in bins: how much estimates of these very prompts vary, by groups of their samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells
from alignlib.rules import BestOfN, Rule
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["InGroups", "in_groups"]

_NOT_DEALT = (
    "gold of fewer than twenty prompts needs every sample of each, or groups into which these were dealt, as they are "
    "where so few are read with gold; read the parts with gold, and with min_samples where that leaves these prompts, "
    "or with a larger exact_up_to: bins made by SQL, and summaries of more prompts, tell no groups, nor may summaries "
    "that were merged while a prompt had fewer than 16 samples."
)
_NONE = 1e-6  # samples: fewer are the rounding of none
_NEVER = math.exp(-45.0)  # the chance that all draws are among samples that are kept by chances that count


class InGroups(SameFields):
    """The samples of one prompt in random groups: ``value`` from the top down, ``counts`` (groups, k) of each.

    Parameters
    ----------
    value : array (k,)
        Rewards, falling.
    counts : array (groups, k)
        How many samples of each group each stands for.
    gold : array (groups, k), optional
        Sums of another reward over these.
    """

    def __init__(self, value: FloatArray, counts: FloatArray, gold: FloatArray | None = None) -> None:
        self.value, self.counts, self.gold = value, counts, gold
        self.kept = counts.sum() - counts.sum(axis=1)

    @property
    def cells(self) -> Cells:
        """The groups as cells, of this prompt alone."""
        return Cells(np.empty(0, dtype=np.int64), np.ones(len(self.counts)), n_fixed=1)

    def without(self, weight: FloatArray) -> FloatArray:
        """Return sums of ``weight`` (k,) with each group left out, (groups,).

        Parameters
        ----------
        weight : array (k,)
            What is summed over samples.
        """
        of_groups = self.counts @ weight
        return np.asarray(of_groups.sum() - of_groups)

    def rules_without(self, rules: Sequence[Rule]) -> FloatArray:
        """Return what best-of-N spends, gains and wins, and its gold, with each group left out; rewards are levels.

        Parameters
        ----------
        rules : sequence of Rule
            Best-of-N.

        Returns
        -------
        array (groups, 4, rules)
            The gain of gold is 0 where no gold is known.
        """
        held = self.counts.sum(axis=0) - self.counts
        share = held / self.kept[:, None]
        upto = np.minimum(np.cumsum(share[:, ::-1], axis=1)[:, ::-1], 1.0)
        upto = np.append(upto, np.zeros((len(share), 1)), axis=1)  # what is below a sample is what is up to the next
        base = share @ self.value
        of_gold, base_of_gold = np.zeros((1, 1)), np.zeros(len(share))
        if self.gold is not None:
            rest = self.gold.sum(axis=0) - self.gold
            of_gold = np.divide(rest, held, out=np.zeros_like(rest), where=held > _NONE)
            base_of_gold = rest.sum(axis=1) / self.kept
        found = np.zeros((len(share), 4, len(rules)))
        found[:, 2] = 0.5
        drawn = sorted((rule.n, j) for j, rule in enumerate(rules) if isinstance(rule, BestOfN) and rule.n != 1.0)
        most, power, of = upto.max(axis=0), upto, 1.0
        for best_of, j in drawn:
            some = int(np.searchsorted(-most[:-1], -(_NEVER ** (1.0 / best_of)), side="right"))
            # Powers take long: of twice as many draws they are the squares of those before.
            power = np.square(power[:, : some + 1]) if best_of == 2.0 * of else upto[:, : some + 1] ** best_of
            of = best_of
            mass = power[:, :-1] - power[:, 1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                spent = np.where(mass > 0.0, mass * np.log(mass / share[:, :some]), 0.0)
            found[:, 0, j] = spent.sum(axis=1)
            found[:, 1, j] = mass @ self.value[:some] - base
            found[:, 2, j] = (mass * (upto[:, :some] + upto[:, 1 : some + 1])).sum(axis=1) / 2.0
            found[:, 3, j] = (mass * of_gold[:, :some]).sum(axis=1) - base_of_gold
        return found

    def tilted_without(self, lam: FloatArray) -> FloatArray:
        """Return what tilts gain of gold and of the reward, and their KL, with each group left out, (groups, 3, L).

        Parameters
        ----------
        lam : array (L,)
            Inverse temperatures λ.
        """
        assert self.gold is not None
        below = self.value - self.value[0]
        weight = np.exp(below[:, None] * lam)
        held, rest = self.counts.sum(axis=0) - self.counts, self.gold.sum(axis=0) - self.gold
        total, kept = held @ weight, self.kept[:, None]
        mean = (held * below) @ weight / total
        gain = rest @ weight / total - rest.sum(axis=1)[:, None] / kept
        of_reward = mean - (held @ below)[:, None] / kept
        return np.stack([gain, of_reward, lam * mean - np.log(total / kept)], axis=1)


def in_groups(table: RewardTable, column: str, groups: int, gold: str | None = None) -> list[InGroups]:
    """Return the samples of each prompt in groups: those into which they were dealt when read, or else dealt here.

    Here they are dealt at random, by a draw that the samples of the column alone decide.

    Parameters
    ----------
    table : RewardTable
        Of few prompts.
    column : str
        The reward.
    groups : int
        Groups of each prompt.
    gold : str, optional
        Another reward whose sums are wanted.

    Raises
    ------
    InputError
        If gold is wanted of samples that were not dealt when they were read.

    Examples
    --------
    >>> table = RewardTable.from_arrays(np.random.default_rng(0).standard_normal((2, 20)))
    >>> [one.counts.sum(axis=1).tolist() for one in in_groups(table, "reward", 4)]
    [[5.0, 5.0, 5.0, 5.0], [5.0, 5.0, 5.0, 5.0]]
    """
    found: dict[int, InGroups] = {}
    for where, rows in table.blocks(column, held_only=True):
        require(gold is None, _NOT_DEALT, "gold")
        for one, values in zip(where.tolist(), np.sort(rows, axis=1)[:, ::-1], strict=True):
            label = _rng(values).permutation(np.arange(len(values)) % groups)
            found[one] = InGroups(values, (label == np.arange(groups)[:, None]).astype(np.float64))
    for one, dealt in table.each_counted(partial(_dealt, groups=groups, gold=gold), column):
        found[one] = dealt
    return [found[one] for one in sorted(found)]


def _rng(values: FloatArray) -> np.random.Generator:
    return np.random.default_rng(int(np.float64(values.sum()).view(np.uint64)))


def _dealt(samples: CountedSamples, groups: int, gold: str | None) -> InGroups:
    """Deal the samples of a prompt in bins: whole numbers by chance, what is left of a number evenly."""
    if samples.groups is not None:
        return _as_read(samples, gold)
    require(gold is None, _NOT_DEALT, "gold")
    rng = _rng(samples.value)
    left = np.floor(samples.count).astype(np.int64)
    counts = np.tile((samples.count - left) / groups, (groups, 1))
    for group in range(groups):
        taken = rng.binomial(left, 1.0 / (groups - group))
        left = left - taken
        counts[group] += taken
    return InGroups(samples.value, counts)


def _as_read(samples: CountedSamples, gold: str | None) -> InGroups:
    """Return the groups of a prompt as they are known: a reward of a bin has the bin's share of each."""
    assert samples.groups is not None
    bins = samples.bins
    of = len(bins.count) - np.searchsorted(bins.least[::-1], samples.value, side="right")
    part = samples.count / bins.count[of]
    sums = None if gold is None else samples.groups.sums[gold][:, of] * part
    return InGroups(samples.value, samples.groups.count[:, of] * part, sums)
