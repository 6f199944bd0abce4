"""What rules spend, gain and win on each cell of prompts, from samples, and what bins and few samples leave open.

On average over prompts, best-of-N and its mixtures with the base model are what policies that can be named attain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.divergences import KL, Divergence, Renyi
from alignlib.estimation.best_of_n_in_bins import counted_rules
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.gold_in_bins import gold_of_counted_rules
from alignlib.estimation.in_groups import in_groups
from alignlib.rules import BestOfN, Prepared, Rule, ThresholdStopping, prepare
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["LeftOpen", "attained", "cell_values", "further_kl", "rules_along", "samples_tell", "upper_hull"]

_BLOCK = 1 << 18  # samples in work at a time
_FEW_SAMPLES, _ENOUGH_PROMPTS = 16, 20_000
_MOST_OFF = 1.0 / 3.0  # of what a rule spends: an estimate that may be off by more says nothing
_HIGH_ORDER = 2.0  # of Rényi divergences: beyond it few samples of rewards that tie do not tell the moments


@dataclass(frozen=True, eq=False)
class LeftOpen(SameFields):
    """What bins leave open of the averages over prompts; see `CountedRules`.

    Attributes
    ----------
    spent : array (rules,)
        Of what is spent, to either side.
    gain_below, gain_above : array (rules,)
        How much less, and more, the gain may be.
    win_below : array (rules,)
        How much less the win rate may be.
    """

    spent: FloatArray
    gain_below: FloatArray
    gain_above: FloatArray
    win_below: FloatArray


def cell_values(
    table: RewardTable,
    picking: str,
    counted: str,
    rules: Sequence[Rule],
    cells: Cells,
    divergence: Divergence = KL,
    *,
    bounds: bool = True,
) -> tuple[FloatArray, FloatArray, FloatArray, LeftOpen]:
    """Return ``E_p f`` (KL by default), gain and win rate of every rule on every cell.

    Parameters
    ----------
    table : RewardTable
        The samples.
    picking, counted : str
        The reward that picks, and the one that is measured.
    rules : sequence of Rule
        What picks.
    cells : Cells
        The units that are resampled.
    divergence : Divergence
        What is spent is measured in.
    bounds : bool
        Whether win rates of prompts in bins, and what bins leave open, are wanted.

    Returns
    -------
    spent, gain, win : array (cells, rules)
        The gain in the unit of the reward.
    open : LeftOpen
        What bins leave open of the averages over prompts.

    Raises
    ------
    InputError
        If gold is asked of prompts whose samples are in bins.
    """
    size = cells.n_fixed or len(cells.size)
    index = np.arange(table.n_prompts) if cells.fixed_prompts else cells.index
    values = np.zeros((5, size, len(rules)))
    work = partial(_of_cells, rules=rules, divergence=divergence, size=size)
    columns = [picking] if counted == picking else [picking, counted]
    for _, (some,) in table.each(work, columns, _BLOCK, index, add=True):
        values += some
    of_bins = np.zeros((4, len(rules)))
    other = None if counted == picking else counted
    of_counted = partial(_of_counted, rules=rules, divergence=divergence, bounds=bounds, gold=other)
    off = np.abs(values[3:].sum(axis=1)) / table.n_prompts
    values = values[:3]
    for where, found in table.each_counted(of_counted, picking):
        values[:, index[where]] += found[:3]
        of_bins += found[3:] / table.n_prompts
    open_ = LeftOpen(*(of_bins + np.array([off[0], off[1], off[1], np.zeros(len(rules))])))
    if not cells.fixed_prompts:
        values /= cells.size[:, None]
        return values[0], values[1], values[2], open_
    if not table.all_held:
        dealt = in_groups(table, picking, len(cells.size) // cells.n_fixed, other)
        of_values = [0, 1, 2] if other is None else [0, 3, 2]
        each = [one.cells.about(one.rules_without(rules)[:, of_values], values[:, x]) for x, one in enumerate(dealt)]
        pseudo = cells.joined(each)
        return pseudo[:, 0], pseudo[:, 1], pseudo[:, 2], open_
    picked, gold = table.column(picking), table.column(counted)

    def of_prompt(where: slice, own: Cells, whole: FloatArray) -> FloatArray:
        proxy, other = picked[where], gold[where]

        def without(kept: IntArray) -> FloatArray:
            rows = proxy[kept]
            return _prompt_values(rows, rows if counted == picking else other[kept], rules, divergence)[:3].swapaxes(
                0, 1
            )

        return own.pseudo_values(without, whole, np.argsort(-proxy, kind="stable"))

    pseudo = cells.joined([of_prompt(*each, values[:, x]) for x, each in enumerate(cells.of_each)])
    return pseudo[:, 0], pseudo[:, 1], pseudo[:, 2], open_


def samples_tell(
    kl: FloatArray,
    whole: FloatArray,
    rules: Sequence[Rule],
    off: FloatArray,
    noise: FloatArray,
    divergence: Divergence,
) -> BoolArray:
    """Return whether samples tell what each rule spends; in ``kl`` and ``off`` put the most it can where they do not.

    Parameters
    ----------
    kl : array (cells, rules)
        ``E_p f`` of each cell.
    whole : array (cells,)
        Weights of the cells.
    rules : sequence of Rule
        The rules.
    off : array (rules,)
        How far the mean may be off.
    noise : array (rules,)
        Its standard error.
    divergence : Divergence
        What is spent is measured in.

    Returns
    -------
    array of bool (rules,)
        False where the mean may be off, or is noisy, by more than a third.
    """
    spent = whole @ kl
    base = np.array([rule.is_base for rule in rules], dtype=np.bool_)
    told: BoolArray = np.asarray(base | (off == 0.0) | (np.maximum(off, noise) <= _MOST_OFF * spent))
    for j in np.flatnonzero(~told).tolist():
        # It keeps one of its draws, so that no response is more than N times as likely: all at the ends of that.
        kl[:, j] = divergence.mean_of(np.asarray(ThresholdStopping(rules[j].draws).spent_formula(divergence)))
        formula = rules[j].spent_formula(divergence)
        if formula is not None:
            kl[:, j] = np.minimum(kl[:, j], divergence.mean_of(np.asarray(formula)))
        off[j] = 0.0
    return told


def _of_counted(
    samples: CountedSamples, *, rules: Sequence[Rule], divergence: Divergence, bounds: bool, gold: str | None
) -> FloatArray:
    """Return what `CountedRules.rows` does of one prompt whose samples are in bins, with gains in gold where it counts.

    What the picking reward spends and wins stays.
    """
    if gold is None:
        return counted_rules(samples, rules, divergence, bounds=bounds).rows()
    found = counted_rules(samples, rules, divergence).rows()
    of_gold = gold_of_counted_rules(samples, rules, gold)
    found[1], found[4:6] = of_gold[0], of_gold[3:5]
    return found


def _of_cells(*blocks: Any, rules: Sequence[Rule], divergence: Divergence, size: int) -> tuple[FloatArray]:
    """Return sums over the prompts of a block by cell, (5, cells, rules); the last of ``blocks`` tells their cells."""
    *columns, index = blocks
    rows = columns[0]
    if len(columns) == 1:
        rows = np.sort(rows, axis=1)[:, ::-1]  # as the rules would, but faster
    values = _prompt_values(rows, columns[1] if len(columns) > 1 else rows, rules, divergence)
    place = (index.astype(np.int64)[:, None] * len(rules) + np.arange(len(rules))).reshape(-1)
    sums = [np.bincount(place, one.reshape(-1), size * len(rules)).reshape(size, len(rules)) for one in values]
    return (np.array(sums),)


def further_kl(table: RewardTable, picking: str, rules: Sequence[Rule], divergence: Divergence = KL) -> FloatArray:
    """Return how far each rule's KL may be off, where few samples of a prompt tie: by leaving one out.

    A bias of ``c/n²`` changes by ``-2c/n³`` from n - 1 samples to n; twice the rest of its way is taken, to either
    side, for of so few samples it is not yet regular.

    Parameters
    ----------
    table : RewardTable
        The samples.
    picking : str
        The reward that picks.
    rules : sequence of Rule
        What picks.
    divergence : Divergence
        What is spent is measured in.
    """
    further, prompts = np.zeros(len(rules)), 0
    for _, rewards in table.blocks(picking, _BLOCK, held_only=True):  # of bins they are many
        if prompts >= _ENOUGH_PROMPTS:
            break
        prompts, n = prompts + len(rewards), rewards.shape[1]
        rows = np.sort(rewards, axis=1)[:, ::-1]
        if not 2 < n < _FEW_SAMPLES or not (np.diff(rows, axis=1) == 0.0).any():
            continue
        fits = [k for k, rule in enumerate(rules) if rule.needs < n]
        whole = prepare(rows)
        parts = [prepare(np.delete(rows, i, axis=1)) for i in range(n)]
        for k in fits:
            less = np.mean([_spent(rules[k], part, divergence) for part in parts], axis=0)
            further[k] += (n - 1.0) * float((_spent(rules[k], whole, divergence) - less).sum())
    return np.abs(further) / max(prompts, 1)


def _spent(rule: Rule, samples: Prepared, divergence: Divergence) -> FloatArray:
    return divergence.mean_of(rule.evaluate(samples, divergence).spent)


def _prompt_values(
    rows: FloatArray, gold: FloatArray, rules: Sequence[Rule], divergence: Divergence = KL
) -> FloatArray:
    samples = prepare(rows, None if gold is rows else gold)
    base = gold.mean(axis=1)
    none = np.zeros(len(rows))
    found = [
        (none, none, none + 0.5, none, none)
        if rule.is_base
        else (
            divergence.mean_of(v.spent),
            v.mean - base,
            v.win_rate,
            none if v.spent_off is None else v.spent_off,
            none if v.mean_off is None else v.mean_off,
        )
        for rule, v in ((rule, rule.evaluate(samples, divergence)) for rule in rules)
    ]
    return np.array([np.stack(part, axis=1) for part in zip(*found, strict=True)])


def rules_along(most: int, *, halves: bool = True) -> list[Rule]:
    """Return best-of-N for N = 2 to 8, and on to ``most`` in steps of a third and a half.

    Best-of-N is nearest to the limit at small N, where an estimate of the limit may fall below it by chance.

    Parameters
    ----------
    most : int
        The largest N.
    halves : bool
        Whether there is one between each power of two beyond 8 and the next.

    Examples
    --------
    >>> [rule.draws for rule in rules_along(20)]
    [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 12.0, 16.0]
    """
    steps = (part * 2**k for k in range(2, most.bit_length()) for part in ((2, 3) if halves else (2,)))
    draws = sorted({n for n in (*range(2, 9), *steps) if n <= most})
    return list(BestOfN.along(np.array(draws, dtype=np.float64))) if draws else []


def upper_hull(spent: FloatArray, gain: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the corners of the smallest concave curve from (0, 0) that lies on or above points, both of shape (k,).

    A mixture of two policies has the mean of their gains, and spends no more than the mean of what they spend.

    Parameters
    ----------
    spent, gain : array (k,)
        The points.

    Returns
    -------
    spent, gain : array (corners,)
        From (0, 0) on, rising.

    Examples
    --------
    >>> [part.tolist() for part in upper_hull(np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.2, 2.0]))]
    [[0.0, 1.0, 4.0], [0.0, 1.0, 2.0]]
    """
    corners = [(0.0, 0.0)]
    for x, y in sorted(zip(spent.tolist(), gain.tolist(), strict=True)):
        # An unbiased estimate of a KL may fall short of 0; a lost outcome may cost more than any budget.
        if not 0.0 < x < math.inf or y <= corners[-1][1]:
            continue
        if x == corners[-1][0]:
            corners.pop()
        while len(corners) > 1 and _slope(corners[-2], corners[-1]) <= _slope(corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    found = np.array(corners)
    return found[:, 0], found[:, 1]


def _slope(one: tuple[float, float], other: tuple[float, float]) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])


def attained(
    table: RewardTable,
    column: str,
    rules: Sequence[Rule],
    divergence: Divergence,
    *,
    win_rate: bool,
) -> tuple[FloatArray, FloatArray]:
    """Return what rules that pick by a column spend and gain on average.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward that picks and counts.
    rules : sequence of Rule
        What picks.
    divergence : Divergence
        What is spent is measured in.
    win_rate : bool
        Whether win rates count.

    Returns
    -------
    spent : array (rules,)
        ``E_p f``.
    gain : array (rules,)
        In the unit of the reward, or the win rate above one half.
    """
    prompts = table.n_prompts
    together = Cells(np.zeros(prompts, dtype=np.int64), np.array([float(prompts)]))
    spent, gain, win, open_ = cell_values(table, column, column, rules, together, divergence, bounds=win_rate)
    if isinstance(divergence, Renyi):  # too little spent would lift the limit
        noise = np.where(open_.spent > 0.0, math.inf, 0.0) if divergence.alpha > _HIGH_ORDER else open_.spent
        samples_tell(spent, np.ones(1), rules, open_.spent, noise, divergence)
        spent = spent + open_.spent
    return spent[0], (win - 0.5 if win_rate else gain)[0]
