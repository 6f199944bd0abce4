"""Few prompts whose samples are in bins: how much estimates of these very prompts vary, by groups of their samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells
from alignlib.rules import BestOfN, Rule
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["InGroups", "in_groups"]


class InGroups(SameFields):
    """The samples of one prompt in random groups: ``value`` from the top down, ``counts`` (groups, k) of each.

    Parameters
    ----------
    value : array (k,)
        Rewards, falling.
    counts : array (groups, k)
        How many samples of each group each stands for.
    """

    def __init__(self, value: FloatArray, counts: FloatArray) -> None:
        self.value, self.counts = value, counts
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
        """Return what best-of-N spends, gains and wins with each group left out, (groups, 3, rules), rewards as levels.

        Parameters
        ----------
        rules : sequence of Rule
            Best-of-N.
        """
        held = self.counts.sum(axis=0) - self.counts
        share = held / self.kept[:, None]
        upto = np.minimum(np.cumsum(share[:, ::-1], axis=1)[:, ::-1], 1.0)
        below = np.maximum(upto - share, 0.0)
        base = share @ self.value
        found = np.zeros((len(share), 3, len(rules)))
        found[:, 2] = 0.5
        for j, rule in enumerate(rules):
            if not isinstance(rule, BestOfN) or rule.is_base:
                continue
            mass = upto**rule.n - below**rule.n
            with np.errstate(divide="ignore", invalid="ignore"):
                spent = np.where(mass > 0.0, mass * np.log(mass / share), 0.0)
            found[:, 0, j] = spent.sum(axis=1)
            found[:, 1, j] = mass @ self.value - base
            found[:, 2, j] = (mass * (upto + below)).sum(axis=1) / 2.0
        return found


def in_groups(table: RewardTable, column: str, groups: int) -> list[InGroups]:
    """Deal the samples of each prompt into groups at random, by a draw that its samples alone decide.

    Parameters
    ----------
    table : RewardTable
        Of few prompts.
    column : str
        The reward.
    groups : int
        Groups of each prompt.

    Examples
    --------
    >>> table = RewardTable.from_arrays(np.random.default_rng(0).standard_normal((2, 20)))
    >>> [one.counts.sum(axis=1).tolist() for one in in_groups(table, "reward", 4)]
    [[5.0, 5.0, 5.0, 5.0], [5.0, 5.0, 5.0, 5.0]]
    """
    found: dict[int, InGroups] = {}
    for where, rows in table.blocks(column, held_only=True):
        for one, values in zip(where.tolist(), np.sort(rows, axis=1)[:, ::-1], strict=True):
            label = _rng(values).permutation(np.arange(len(values)) % groups)
            found[one] = InGroups(values, (label == np.arange(groups)[:, None]).astype(np.float64))
    for one, dealt in table.each_counted(partial(_dealt, groups=groups), column):
        found[one] = dealt
    return [found[one] for one in sorted(found)]


def _rng(values: FloatArray) -> np.random.Generator:
    return np.random.default_rng(int(np.float64(values.sum()).view(np.uint64)))


def _dealt(samples: CountedSamples, groups: int) -> InGroups:
    """Deal the samples of a prompt in bins: whole numbers by chance, what is left of a number evenly."""
    rng = _rng(samples.value)
    left = np.floor(samples.count).astype(np.int64)
    counts = np.tile((samples.count - left) / groups, (groups, 1))
    for group in range(groups):
        taken = rng.binomial(left, 1.0 / (groups - group))
        left = left - taken
        counts[group] += taken
    return InGroups(samples.value, counts)
