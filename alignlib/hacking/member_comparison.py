"""Every member of an ensemble beside the ways to combine them all: gold and KL of each, and the paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.divergences import KL
from alignlib.estimation.bootstrap import Cells, check_resampling, studentised_interval
from alignlib.estimation.gold import check_pair
from alignlib.estimation.gold_by_cell import rule_curves
from alignlib.estimation.rules import check_needs
from alignlib.hacking.ensembles import combine
from alignlib.hacking.proxy_table import check_members
from alignlib.rules import Rule
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
    spent_off : array (members + kinds,)
        How far from it that of the samples may be, where these are in bins.
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
    spent_off: FloatArray
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
    sources = _sources(table, members, gold, kinds)
    check_pair(*sources[0], gold)
    cells = Cells.of(table.n_samples, generator)
    weights = cells.resample(n_boot, generator)
    curves = [rule_curves(source, name, gold, [rule], cells)[0] for source, name in sources]
    parts = ("kl", "gold", "gold_down", "gold_up")
    spent, gains, down, up = (np.concatenate([getattr(one, part) for one in curves], axis=1) for part in parts)
    less, more = -(weights[0] @ down), weights[0] @ up  # what bins leave open

    def interval(places: Sequence[int], at: float, beside: int | None = None) -> tuple[FloatArray, ...]:
        """Return gains, or how much larger they are than another, with their interval."""
        values, below, above = gains[:, places], less[places], more[places]
        if beside is not None:
            values, below, above = values - gains[:, [beside]], below + more[beside], above + less[beside]
        means = weights @ values
        low, high = studentised_interval(means, cells.standard_error(weights, values), at, len(cells.size))
        return means[0], low - below, high + above

    without_ties = rule.spent_formula(KL)  # ties spend less; an estimate may not
    k = len(members)
    gain, low, high = interval(range(len(sources)), level)
    best = int(np.argmax(gain[:k]))
    sure = 1.0 - (1.0 - level) / k  # of every member at once
    difference, least, most = interval(range(k, len(sources)), sure, best)
    # A combination that exceeds each member at the level asked for exceeds them all: no correction is needed for that.
    above = np.array([min(interval([k + j], level, one)[1][0] for one in range(k)) > 0.0 for j in range(len(kinds))])
    beside = interval([one for one in range(k) if one != best], sure, best)
    return MemberComparison(
        members=tuple(members),
        kinds=tuple(kinds),
        rule=rule,
        spent=np.minimum(weights[0] @ spent, np.inf if without_ties is None else without_ties),
        spent_off=np.concatenate([one.kl_off for one in curves]),
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


def _sources(
    table: RewardTable, members: Sequence[str], gold: str, kinds: Sequence[str]
) -> list[tuple[RewardTable, str]]:
    """Return, of each member and each way to combine them, a table with gold, and what its column is called there."""
    if table.ensemble is not None:
        found = [table.ensemble.members[name] for name in members] + [table.ensemble.combined[kind] for kind in kinds]
        return [(one, next(iter(one.columns))) for one in found]
    scores = np.stack([table.column(name) for name in members])
    combined = {
        f"{kind} of members": replace(
            table, columns={f"{kind} of members": combine(scores, kind), gold: table.column(gold)}
        )
        for kind in kinds
    }
    return [*((table, name) for name in members), *((one, name) for name, one in combined.items())]
