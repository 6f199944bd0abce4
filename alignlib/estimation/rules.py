"""Rules that draw several responses and keep one, estimated from sampled rewards, against the limit at equal KL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray, require
from alignlib._core.errors import quoted
from alignlib._core.same import SameFields
from alignlib._core.shown import span
from alignlib.divergences import KL, Divergence
from alignlib.estimation.bootstrap import Cells, student_interval
from alignlib.estimation.counted import counted_rules
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.fixed_prompts import fixed_prompts_interval, rank_rule_ends
from alignlib.estimation.in_groups import in_groups
from alignlib.estimation.share_of_limit import NO_KL, NOTHING_KNOWN, Share, share_of_limit
from alignlib.rules import BestOfN, Prepared, Rule, Rules, prepare
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["RuleEstimate", "attained", "check_needs", "evaluate_rules"]

_BLOCK = 1 << 18  # samples in work at a time
_FEW_SAMPLES, _ENOUGH_PROMPTS = 16, 20_000
_NEEDS_EVERY_SAMPLE = (
    "gold needs every sample of a prompt, and some prompts have theirs in bins; pass a larger exact_up_to to keep them."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class RuleEstimate(SameFields):
    """Rules that draw several responses and keep one, against the limit at equal KL.

    Where ``supported`` is False the samples do not show the limit: ``limit_gain`` is then an upper bound by concavity,
    ``share`` a lower one, and ``share_high`` is 1. What is None is not known at all.

    Attributes
    ----------
    rules : Rules
        The rules themselves.
    n : array (k,)
        Mean number of draws of each.
    spent : array (k,)
        What it spends in nats.
    spent_formula : array (k,), optional
        What it would spend without ties; None where no formula is known.
    gain, gain_low, gain_high : array (k,)
        Its mean reward above ``base_reward``, with its interval.
    win_rate : array (k,)
        Its chance to beat one base draw, ties counted half.
    base_reward : float
        Mean reward of the base.
    level : float
        Coverage that the intervals aim at.
    limit_gain : array (k,), optional
        The most that any policy of the same average KL can gain.
    share, share_low, share_high : array (k,), optional
        The part of it that the rule has, with its interval.
    supported : array of bool (k,), optional
        Where the samples show the limit.
    reward_low, reward_high : array (k,), optional
        Ends of `reward` itself, which also vary with the base's mean; None of fixed prompts.
    fixed_prompts : bool
        That all intervals are of these very prompts, too few to stand for others.
    """

    rules: Rules
    n: FloatArray
    spent: FloatArray
    spent_formula: FloatArray | None
    gain: FloatArray
    gain_low: FloatArray
    gain_high: FloatArray
    win_rate: FloatArray
    base_reward: float
    level: float
    limit_gain: FloatArray | None
    share: FloatArray | None
    share_low: FloatArray | None
    share_high: FloatArray | None
    supported: BoolArray | None
    reward_low: FloatArray | None
    reward_high: FloatArray | None
    fixed_prompts: bool = False

    def __repr__(self) -> str:
        """Return the rules and the ends of what they spend, gain and have of the limit."""
        share = ""
        if self.share is not None and self.supported is not None:
            known, n = span(self.share[self.supported]), int((~self.supported).sum())
            share = f", share {known}" + (f" (not supported at {n} of {len(self.rules)})" if n else "")
        names = ", ".join(rule.title for rule in self.rules[:8]) + (", …" if len(self.rules) > 8 else "")
        return f"<RuleEstimate of {names}: spent {span(self.spent)} nats, gain {span(self.gain)}{share}>"

    @property
    def optimises(self) -> BoolArray:
        """Which of the rules are more than the base model."""
        return np.array([not rule.is_base for rule in self.rules])

    @property
    def reward(self) -> FloatArray:
        """Mean reward of what the rule keeps."""
        return self.base_reward + self.gain


def evaluate_rules(
    table: RewardTable,
    picking: str,
    counted: str,
    rules: Sequence[Rule],
    cells: Cells,
    weights: FloatArray,
    curve: AveragedCurve | None,
    supported_end: float,
    level: float,
    *,
    divergence: Divergence = KL,
    win_rate: bool = False,
) -> RuleEstimate:
    """Estimate rules that pick by one column, measured in another.

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
    weights : array (replicates, cells)
        Rows of `Cells.resample`.
    curve : AveragedCurve, optional
        The limit of the reward that is measured, if it is known.
    supported_end : float
        The largest supported budget.
    level : float
        Coverage aimed at, in (0, 1).
    divergence : Divergence
        What is spent is measured in.
    win_rate : bool
        That what counts is how often the rule beats a base draw by the picking column, above one half.

    Raises
    ------
    InputError
        If a rule draws too many, or win rates are asked of another reward.
    """
    check_needs(rules, int(table.n_samples.min()))
    kl, gain, win, open_ = _cell_values(table, picking, counted, rules, cells, divergence)
    if win_rate:
        require(picking == counted, "picked_by must be the fit's own reward where win rates count.", "picked_by")
        gain = win - 0.5
    low, high = cells.interval(weights, gain, level=level)
    if win_rate:
        uneven = int((np.abs(gain - np.median(gain, axis=0)) > NO_KL).sum(axis=0).max())
        low, high = student_interval(weights[0] @ gain, cells.standard_error(weights[:1], gain)[0], level, uneven)
    elif cells.fixed_prompts and picking == counted:
        low, high = fixed_prompts_interval(weights, gain, cells, level)
        if table.all_held:  # samples in bins are many
            column, whole = table.column(counted), weights[0] @ gain
            least, most = rank_rule_ends([column[where] for where, _ in cells.of_each], list(rules), level, whole)
            low, high = np.fmin(low, least), np.fmax(high, most)
    elif (
        picking == counted and table.all_held and (gain == gain[:1]).all()
    ):  # prompts do not differ, but their samples are few
        least, most = rank_rule_ends([table.column(counted)[: table.n_samples[0]]], list(rules), level)
        moves = np.array([not rule.is_base for rule in rules])
        low, high = np.where(moves, np.fmin(low, least), low), np.where(moves, np.fmax(high, most), high)
    known = curve is not None and supported_end > 0.0
    limit = (
        share_of_limit(
            curve,
            weights,
            kl,
            gain,
            level,
            float(divergence.mean_of(np.asarray(supported_end))),
            _further_kl(table, picking, rules, divergence) + open_.spent,
        )
        if curve is not None and known
        else NOTHING_KNOWN
    )
    limit, low, high = _opened(limit, low, high, open_, win_rate)
    base = np.array([rule.is_base for rule in rules])  # gains nothing, exactly: no rounding in its interval
    low, high = np.where(base, 0.0, low), np.where(base, 0.0, high)
    whole_low: FloatArray | None = None
    whole_high: FloatArray | None = None
    if win_rate:
        whole_low, whole_high = 0.5 + low, 0.5 + high
    elif not cells.fixed_prompts:
        means = cells.mean(table.prompt_means(counted))[:, None]
        whole_low, whole_high = cells.interval(weights, gain + means, level=level)
    whole = weights[0]
    formula = [rule.spent_formula(divergence) for rule in rules]
    return RuleEstimate(
        rules=Rules(rules),
        n=np.array([rule.draws for rule in rules]),
        spent=divergence.of_mean(whole @ kl),
        spent_formula=None if None in formula else np.array(formula, dtype=np.float64),
        gain=whole @ gain,
        gain_low=low,
        gain_high=high,
        win_rate=whole @ win,
        base_reward=0.5 if win_rate else float(table.prompt_means(counted).mean()),
        level=level,
        limit_gain=limit[0],
        share=limit[1],
        share_low=np.maximum(limit[2], 0.0) if limit[2] is not None and picking == counted else limit[2],
        share_high=limit[3],
        supported=limit[4],
        reward_low=whole_low,
        reward_high=whole_high,
        fixed_prompts=cells.fixed_prompts,
    )


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
    spent, gain, win, _ = _cell_values(table, column, column, rules, together, divergence, bounds=win_rate)
    return spent[0], (win - 0.5 if win_rate else gain)[0]


@dataclass(frozen=True, eq=False)
class _Open(SameFields):
    """What bins leave open of the averages over prompts, each of shape (rules,); see `CountedRules`."""

    spent: FloatArray
    gain_below: FloatArray
    gain_above: FloatArray
    win_below: FloatArray


def _opened(
    limit: Share, low: FloatArray, high: FloatArray, open_: _Open, win_rate: bool
) -> tuple[Share, FloatArray, FloatArray]:
    """Widen the intervals of share and gain by what bins leave open of the gain."""
    less, more = (open_.win_below, np.zeros_like(low)) if win_rate else (open_.gain_below, open_.gain_above)
    most, share, share_low, share_high, supported = limit
    if most is not None and share_low is not None and share_high is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            part = [np.where(most > 0.0, np.divide(one, most), 0.0) for one in (less, more)]
        limit = most, share, share_low - part[0], np.minimum(share_high + part[1], 1.0), supported
    return limit, low - less, high + more


def as_rules(rules: Any) -> list[Rule]:
    """Return one rule or several as a list, and refuse what is none.

    Parameters
    ----------
    rules : Rule or sequence of Rule
        What a caller gave.

    Returns
    -------
    list of Rule
        At least one.

    Raises
    ------
    InputError
        For an empty sequence, or what holds anything else.
    """
    chosen: list[Any] = [rules] if isinstance(rules, (Rule, str)) or not isinstance(rules, Sequence) else list(rules)
    require(len(chosen) > 0, "rules must name at least one rule; got none.", "rules")
    given = f"the class {rules.__name__}" if isinstance(rules, type) else f"{quoted(rules)}"
    require(
        all(isinstance(rule, Rule) for rule in chosen),
        f"rules must be rules, such as BestOfN(4) or BestOfN.along([2, 4]); got {given}.",
        "rules",
    )
    for rule in chosen:
        require(not rule.lacks, rule.lacks, "rules")
    return chosen


def check_needs(rules: Any, fewest: int) -> None:
    """Refuse rules that draw more responses than there are samples of every prompt.

    Parameters
    ----------
    rules : Rule or sequence of Rule
        The rules.
    fewest : int
        The fewest samples of a prompt.

    Raises
    ------
    InputError
        If a rule other than best-of-N draws more.

    Examples
    --------
    >>> from alignlib.rules import BestOfPoisson
    >>> check_needs([BestOfPoisson(2.0)], 64)
    """
    chosen = as_rules(rules)
    for rule in chosen:
        require(
            rule.needs <= fewest or isinstance(rule, BestOfN),
            f"{rule.title} takes {rule.needs} samples of every prompt or more; the fewest are {fewest}. Draw more "
            "samples, or let it draw less.",
            "rules",
        )
    most = max(rule.needs for rule in chosen)
    require(
        most <= fewest,
        f"n must not exceed {fewest}, what the fewest samples of a prompt allow; got {most}. "
        "Draw more samples or lower n.",
    )


def _cell_values(
    table: RewardTable,
    picking: str,
    counted: str,
    rules: Sequence[Rule],
    cells: Cells,
    divergence: Divergence = KL,
    *,
    bounds: bool = True,
) -> tuple[FloatArray, FloatArray, FloatArray, _Open]:
    """Return ``E_p f`` (KL by default), gain and win rate of every rule on every cell, each of shape (cells, rules).

    The last is what bins leave open; without ``bounds`` prompts in bins have no win rate.
    """
    size = cells.n_fixed or len(cells.size)
    index = np.arange(table.n_prompts) if cells.fixed_prompts else cells.index
    values = np.zeros((3, size, len(rules)))
    work = partial(_of_cells, rules=rules, divergence=divergence, size=size)
    columns = [picking] if counted == picking else [picking, counted]
    for _, (some,) in table.each(work, columns, _BLOCK, index, add=True):
        values += some
    of_bins = np.zeros((4, len(rules)))
    require(counted == picking or table.all_held, _NEEDS_EVERY_SAMPLE, "gold")
    of_counted = partial(_of_counted, rules=rules, divergence=divergence, bounds=bounds)
    for where, found in table.each_counted(of_counted, picking):
        values[:, index[where]] += found[:3]
        of_bins += found[3:] / table.n_prompts
    open_ = _Open(*of_bins)
    if not cells.fixed_prompts:
        values /= cells.size[:, None]
        return values[0], values[1], values[2], open_
    if not table.all_held:
        dealt = in_groups(table, picking, len(cells.size) // cells.n_fixed)
        each = [one.cells.about(one.rules_without(rules), values[:, x]) for x, one in enumerate(dealt)]
        pseudo = cells.joined(each)
        return pseudo[:, 0], pseudo[:, 1], pseudo[:, 2], open_
    picked, gold = table.column(picking), table.column(counted)

    def of_prompt(where: slice, own: Cells, whole: FloatArray) -> FloatArray:
        proxy, other = picked[where], gold[where]

        def without(kept: IntArray) -> FloatArray:
            rows = proxy[kept]
            return _prompt_values(rows, rows if counted == picking else other[kept], rules, divergence).swapaxes(0, 1)

        return own.pseudo_values(without, whole, np.argsort(-proxy, kind="stable"))

    pseudo = cells.joined([of_prompt(*each, values[:, x]) for x, each in enumerate(cells.of_each)])
    return pseudo[:, 0], pseudo[:, 1], pseudo[:, 2], open_


def _of_counted(samples: CountedSamples, *, rules: Sequence[Rule], divergence: Divergence, bounds: bool) -> FloatArray:
    """Return what `CountedRules.rows` does of one prompt whose samples are in bins."""
    return counted_rules(samples, rules, divergence, bounds=bounds).rows()


def _of_cells(*blocks: Any, rules: Sequence[Rule], divergence: Divergence, size: int) -> tuple[FloatArray]:
    """Return sums over the prompts of a block by cell, (3, cells, rules); the last of ``blocks`` tells their cells."""
    *columns, index = blocks
    rows = columns[0]
    if len(columns) == 1:
        rows = np.sort(rows, axis=1)[:, ::-1]  # as the rules would, but faster
    values = _prompt_values(rows, columns[1] if len(columns) > 1 else rows, rules, divergence)
    place = (index.astype(np.int64)[:, None] * len(rules) + np.arange(len(rules))).reshape(-1)
    sums = [np.bincount(place, one.reshape(-1), size * len(rules)).reshape(size, len(rules)) for one in values]
    return (np.array(sums),)


def _further_kl(table: RewardTable, picking: str, rules: Sequence[Rule], divergence: Divergence = KL) -> FloatArray:
    """Return how far each rule's KL may be off, where few samples of a prompt tie: by leaving one out.

    A bias of ``c/n²`` changes by ``-2c/n³`` from n - 1 samples to n; twice the rest of its way is taken, to either
    side, for of so few samples it is not yet regular.
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
        (none, none, none + 0.5) if rule.is_base else (divergence.mean_of(v.spent), v.mean - base, v.win_rate)
        for rule, v in ((rule, rule.evaluate(samples, divergence)) for rule in rules)
    ]
    return np.array([np.stack(part, axis=1) for part in zip(*found, strict=True)])
