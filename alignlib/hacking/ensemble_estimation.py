"""Ensembles from samples: gold of a rule that K members pick for, the choice of members resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells, check_resampling, studentised_interval
from alignlib.estimation.gold import check_pair
from alignlib.estimation.rules import check_needs
from alignlib.hacking.ensembles import combine
from alignlib.hacking.proxy_table import check_members
from alignlib.rules import Rule, prepare
from alignlib.tables import RewardTable

__all__ = ["EnsembleEstimate", "estimate_ensemble"]


@dataclass(frozen=True, eq=False)
class EnsembleEstimate(SameFields):
    """Gold gain of a rule that an ensemble of K members picks for; arrays have one entry for each size K.

    Attributes
    ----------
    size : array of int (sizes,)
        Members K.
    gold_gain : array (sizes,)
        Gold gain, averaged over choices of the members.
    gold_low, gold_high : array (sizes,)
        Ends of its interval over prompts.
    worst, best : array (sizes,)
        Gold gain of the extreme choices among those drawn.
    choices : array of int (sizes,)
        How many those are.
    rule : Rule
        What picks.
    kind : str
        How members are combined.
    base_gold : float
        Mean gold of the base.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> rng = np.random.default_rng(0)
    >>> gold = rng.standard_normal((50, 16))
    >>> scores = {f"s{k}": gold + rng.standard_normal((50, 16)) for k in range(2)}
    >>> table = RewardTable.from_arrays({"gold": gold} | scores)
    >>> found = estimate_ensemble(table, ["s0", "s1"], "gold", rule=BestOfN(8))
    >>> found.kind, found.size.tolist(), bool((found.worst <= found.best).all())
    ('mean', [1, 2], True)
    """

    size: IntArray
    gold_gain: FloatArray
    gold_low: FloatArray
    gold_high: FloatArray
    worst: FloatArray
    best: FloatArray
    choices: IntArray
    rule: Rule
    kind: str
    base_gold: float


def estimate_ensemble(
    table: RewardTable,
    members: Sequence[str],
    gold: str,
    *,
    rule: Rule,
    sizes: Sequence[int] | None = None,
    kind: str = "mean",
    c: float = 1.0,
    n_choices: int = 50,
    level: float = 0.95,
    n_boot: int = 1000,
    rng: np.random.Generator | int = 0,
) -> EnsembleEstimate:
    """Estimate the gold gain of a rule that ensembles of each size pick for, ties averaged.

    Parameters
    ----------
    table : RewardTable
        Base samples of at least two prompts scored by every member and by gold.
    members : list of str
        Columns to choose from.
    gold : str
        The reward that counts.
    rule : Rule
        Such as ``BestOfN(8)``.
    sizes : list of int, optional
        Numbers of members; by default 1, 2, 4, … and all.
    kind : str
        How members are combined, as for `combine`.
    c : float
        Weight of the standard deviation, >= 0, as for `combine`.
    n_choices : int
        Random choices of members for each size, without replacement; every member once for size 1, one choice for all.
    level : float
        Nominal coverage, in (0, 1).
    n_boot : int
        Bootstrap replicates.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    InputError
        For a duplicated member, a size out of range, or a rule that draws more than the fewest samples of a prompt.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> rng = np.random.default_rng(0)
    >>> gold = rng.standard_normal((50, 16))
    >>> scores = gold + 2 * rng.standard_normal((4, 50, 16))
    >>> table = RewardTable.from_arrays({"gold": gold} | {f"s{k}": s for k, s in enumerate(scores)})
    >>> result = estimate_ensemble(table, ["s0", "s1", "s2", "s3"], "gold", rule=BestOfN(8))
    >>> result.size.tolist(), bool(result.gold_gain[2] > result.gold_gain[0])
    ([1, 2, 4], True)

    Source: P26 (ensembles mitigate hacking); the estimator is a U-statistic.
    """
    level, n_boot, generator = check_resampling(level, n_boot, rng)
    check_members(table, members, gold)
    total = len(members)
    asked = (
        sorted({2**k for k in range(total.bit_length()) if 2**k <= total} | {total}) if sizes is None else list(sizes)
    )
    require(
        len(asked) > 0 and all(1 <= size <= total for size in asked),
        f"sizes must lie in 1..{total}, the number of members; got {asked!r}.",
    )
    require(n_choices >= 1, f"n_choices must be at least 1; got {n_choices}.")
    check_needs([rule], int(table.n_samples.min()))
    require(table.n_prompts >= 2, f"estimate_ensemble needs at least 2 prompts to resample; got {table.n_prompts}.")
    check_pair(table, members[0], gold)
    scores = np.stack([table.column(name) for name in members])
    cells = Cells.of(table.n_samples, generator)
    weights = cells.resample(n_boot, generator)
    gains = [
        np.stack([_gain(table, combine(scores[list(choice)], kind, c), gold, rule) for choice in chosen])
        for chosen in (_choices(total, size, n_choices, generator) for size in asked)
    ]
    means = cells.mean(np.stack([gain.mean(axis=0) for gain in gains], axis=1))
    low, high = studentised_interval(weights @ means, cells.standard_error(weights, means), level, len(cells.size))
    each = [gain.mean(axis=1) for gain in gains]
    return EnsembleEstimate(
        size=np.array(asked, dtype=np.int64),
        gold_gain=weights[0] @ means,
        gold_low=low,
        gold_high=high,
        worst=np.array([e.min() for e in each]),
        best=np.array([e.max() for e in each]),
        choices=np.array([e.size for e in each], dtype=np.int64),
        rule=rule,
        kind=kind,
        base_gold=float(np.mean(np.add.reduceat(table.column(gold), table.offsets[:-1]) / table.n_samples)),
    )


def _choices(total: int, size: int, n_choices: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return different choices of members: all single ones, the only full one, else random ones."""
    if size == 1:
        return [(k,) for k in range(total)]
    if size == total:
        return [tuple(range(total))]
    drawn = [tuple(sorted(rng.choice(total, size, replace=False).tolist())) for _ in range(n_choices)]
    return list(dict.fromkeys(drawn))


def _gain(table: RewardTable, picking: FloatArray, gold: str, rule: Rule) -> FloatArray:
    """Gold gain of a rule that one score picks for, on every prompt."""
    with_score = replace(table, columns={"picking": picking, gold: table.column(gold)})
    out = np.empty(table.n_prompts)
    for (where, rows), (_, golds) in zip(with_score.blocks("picking"), with_score.blocks(gold), strict=True):
        out[where] = rule.evaluate(prepare(rows, golds)).mean - golds.mean(axis=1)
    return out
