"""Every member of an ensemble beside the ways to combine them all: gold and KL of each, and the paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells, check_resampling, studentised_interval
from alignlib.estimation.gold import check_pair
from alignlib.estimation.rules import check_needs
from alignlib.hacking.ensembles import combine
from alignlib.hacking.proxy_table import check_members
from alignlib.rules import Rule, prepare
from alignlib.tables import RewardTable

__all__ = ["MemberComparison", "compare_members"]


@dataclass(frozen=True, eq=False)
class MemberComparison(SameFields):
    """Gold gain and KL of a rule, picked by each member alone and by all combined in several ways.

    Because the best member was chosen among all, the interval of a difference holds for every member at once
    (Bonferroni).

    Attributes
    ----------
    members, kinds : tuple of str
        The columns, and the ways to combine them.
    rule : Rule
        What picks.
    spent : array (members + kinds,)
        KL to the base in nats, of each member and then of each combination.
    gold_gain, gold_low, gold_high : array (members + kinds,)
        Gold gain, with its interval.
    best : int
        Place of the member that gains most by estimate.
    difference, difference_low, difference_high : array (kinds,)
        Gain of the combination less that of the best member on the same prompts, with its interval.
    verdict : tuple of str (kinds,)
        ``"ensemble"`` where the combination gains more than every member, by that interval too, ``"member"`` where the
        best member gains more than it, ``"unknown"`` where the samples do not tell.
    alike : bool
        Whether no member is shown to gain less than the best one.
    level : float
        Coverage aimed at.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> rng = np.random.default_rng(0)
    >>> gold = rng.standard_normal((60, 16))
    >>> good, poor = gold + rng.standard_normal((2, 60, 16)) * np.array([0.2, 2.0])[:, None, None]
    >>> table = RewardTable.from_arrays(gold=gold, good=good, poor=poor)
    >>> found = compare_members(table, ["good", "poor"], "gold", rule=BestOfN(8), kinds=["mean"])
    >>> found.members[found.best], found.kinds, found.verdict
    ('good', ('mean',), ('member',))
    """

    members: tuple[str, ...]
    kinds: tuple[str, ...]
    rule: Rule
    spent: FloatArray
    gold_gain: FloatArray
    gold_low: FloatArray
    gold_high: FloatArray
    best: int
    difference: FloatArray
    difference_low: FloatArray
    difference_high: FloatArray
    verdict: tuple[str, ...]
    alike: bool
    level: float


def compare_members(
    table: RewardTable,
    members: Sequence[str],
    gold: str,
    *,
    rule: Rule,
    kinds: Sequence[str] = ("mean", "median", "min"),
    level: float = 0.95,
    n_boot: int = 1000,
    rng: np.random.Generator | int = 0,
) -> MemberComparison:
    """Compare picking by each member with picking by all of them combined, on the same samples.

    Parameters
    ----------
    table : RewardTable
        Base samples of at least two prompts scored by every member and by gold, members on one scale (`on_one_scale`).
    members : list of str
        Columns, at least two.
    gold : str
        The reward that counts.
    rule : Rule
        Such as ``BestOfN(8)``; it spends nearly the same KL whoever picks, less where scores tie.
    kinds : list of str
        Ways to combine, as for `combine`.
    level : float
        Nominal coverage, in (0, 1).
    n_boot : int
        Bootstrap replicates.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    InputError
        For a duplicated member, fewer than two members or prompts, or a rule that draws more than the fewest samples of
        a prompt.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> rng = np.random.default_rng(0)
    >>> gold = rng.standard_normal((80, 16))
    >>> noise = rng.standard_normal((3, 80, 16)) * np.array([0.2, 2.0, 2.0])[:, None, None]
    >>> table = RewardTable.from_arrays({"gold": gold} | {f"s{k}": gold + e for k, e in enumerate(noise)})
    >>> found = compare_members(table, ["s0", "s1", "s2"], "gold", rule=BestOfN(8), kinds=["mean"])
    >>> found.members[found.best], found.verdict
    ('s0', ('member',))

    Source: a U-statistic for each; the paired comparison is ours.
    """
    level, n_boot, generator = check_resampling(level, n_boot, rng)
    require(len(members) >= 2, f"members must name at least two columns; got {list(members)!r}.")
    check_members(table, members, gold)
    check_needs([rule], int(table.n_samples.min()))
    require(table.n_prompts >= 2, f"compare_members needs at least 2 prompts to resample; got {table.n_prompts}.")
    check_pair(table, members[0], gold)
    scores = np.stack([table.column(name) for name in members])
    picking = [*scores, *(combine(scores, kind) for kind in kinds)]
    found = [_on_prompts(table, one, gold, rule) for one in picking]
    cells = Cells.of(table.n_samples, generator)
    weights = cells.resample(n_boot, generator)
    spent, gains = (cells.mean(np.stack(part, axis=1)) for part in zip(*found, strict=True))

    def interval(values: FloatArray, at: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        means = weights @ values
        low, high = studentised_interval(means, cells.standard_error(weights, values), at, len(cells.size))
        return means[0], low, high

    gain, low, high = interval(gains, level)
    k = len(members)
    best = int(np.argmax(gain[:k]))
    sure = 1.0 - (1.0 - level) / k  # of every member at once
    difference, least, most = interval(gains[:, k:] - gains[:, [best]], sure)
    # A combination that exceeds each member at the level asked for exceeds them all: no correction is needed for that.
    above = np.array([interval(gains[:, [k + j]] - gains[:, :k], level)[1].min() > 0.0 for j in range(len(kinds))])
    beside = interval(np.delete(gains[:, :k], best, axis=1) - gains[:, [best]], sure)
    return MemberComparison(
        members=tuple(members),
        kinds=tuple(kinds),
        rule=rule,
        spent=weights[0] @ spent,
        gold_gain=gain,
        gold_low=low,
        gold_high=high,
        best=best,
        difference=difference,
        difference_low=least,
        difference_high=most,
        verdict=tuple(
            "ensemble" if up and low > 0.0 else "member" if top < 0.0 else "unknown"
            for up, low, top in zip(above, least, most, strict=True)
        ),
        alike=bool((beside[2] >= 0.0).all()),
        level=level,
    )


def _on_prompts(table: RewardTable, picking: FloatArray, gold: str, rule: Rule) -> tuple[FloatArray, FloatArray]:
    """KL and gold gain of a rule that one score picks for, on every prompt."""
    with_score = replace(table, columns={"picking": picking, gold: table.column(gold)})
    spent, gain = np.empty((2, table.n_prompts))
    for (where, rows), (_, golds) in zip(with_score.blocks("picking"), with_score.blocks(gold), strict=True):
        values = rule.evaluate(prepare(rows, golds))
        spent[where], gain[where] = values.spent, values.mean - golds.mean(axis=1)
    return spent, gain
