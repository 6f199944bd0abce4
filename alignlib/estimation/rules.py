"""Rules that draw several responses and keep one, estimated from sampled rewards, against the limit at equal KL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, require
from alignlib._core.errors import quoted
from alignlib._core.same import SameFields
from alignlib._core.shown import span
from alignlib.divergences import KL, Divergence, Renyi
from alignlib.estimation.bootstrap import Cells, student_interval
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.fixed_prompts import fixed_prompts_interval, rank_rule_ends
from alignlib.estimation.rule_values import LeftOpen, cell_values, further_kl, samples_tell
from alignlib.estimation.share_of_limit import NO_KL, NOTHING_KNOWN, Share, share_of_limit
from alignlib.rules import BestOfN, Rule, Rules
from alignlib.tables import RewardTable

__all__ = ["RuleEstimate", "as_rules", "check_needs", "evaluate_rules"]

_FEWEST_WITH_SPREAD = 3  # samples of a prompt alone: two leave one difference, whose error nothing shows


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
        What it spends in nats; where not ``spent_told``, the most that a rule of its draws can.
    spent_off : array (k,)
        How far from it that of the samples may be, where these are in bins; 0 where they are held.
    spent_told : array of bool (k,)
        Whether samples tell what it spends. Where rewards tie, few samples do not tell Rényi divergences of large
        orders, nor the KL of a rule with a sharp edge; then the share is not supported.
    spent_formula : array (k,), optional
        What it would spend without ties; None where no formula is known.
    gain, gain_low, gain_high : array (k,)
        Its mean reward above ``base_reward``, with its interval.
    win_rate : array (k,)
        Its chance to beat one base draw, ties counted half.
    win_rate_off : array (k,)
        How much less it may be, where samples are in bins.
    base_reward : float
        Mean reward of the base.
    level : float
        Coverage that the intervals aim at.
    limit_gain : array (k,), optional
        The most that any policy of the same average KL can gain.
    limit_gain_off : array (k,), optional
        How far from what is said that of the samples may be, where bins leave it open; NaN where not `supported`.
    share, share_low, share_high : array (k,), optional
        The part of it that the rule has, with its interval.
    supported : array of bool (k,), optional
        Where the samples show the limit.
    reward_low, reward_high : array (k,), optional
        Ends of `reward` itself, which also vary with the base's mean; None of fixed prompts.
    fixed_prompts : bool
        That all intervals are of these very prompts, too few to stand for others.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> from alignlib.rules import BestOfN
    >>> fit = fit_frontier(np.random.default_rng(0).standard_normal((60, 32)), n_boot=100)
    >>> found = fit.share(BestOfN.along([2, 4]))
    >>> found.n.tolist(), bool((found.gain_low < found.gain).all()), bool((found.share < 1.0).all())
    ([2.0, 4.0], True, True)
    """

    rules: Rules
    n: FloatArray
    spent: FloatArray
    spent_off: FloatArray
    spent_told: BoolArray
    spent_formula: FloatArray | None
    gain: FloatArray
    gain_low: FloatArray
    gain_high: FloatArray
    win_rate: FloatArray
    win_rate_off: FloatArray
    base_reward: float
    level: float
    limit_gain: FloatArray | None
    limit_gain_off: FloatArray | None
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
    kl, gain, win, open_ = cell_values(table, picking, counted, rules, cells, divergence)
    noise = np.zeros(len(rules))
    if isinstance(divergence, Renyi):  # of high moments few prompts make all of the mean
        noise = cells.standard_error(weights[:1], kl)[0]
    off = open_.spent.copy()
    told = samples_tell(kl, weights[0], rules, open_.spent, noise, divergence)
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
    if cells.fixed_prompts and not win_rate and int(table.n_samples.min()) < _FEWEST_WITH_SPREAD:
        low, high = low if picking == counted else np.full(low.shape, -np.inf), np.full(high.shape, np.inf)
    known = curve is not None and supported_end > 0.0
    limit = (
        share_of_limit(
            curve,
            weights,
            kl,
            gain,
            level,
            float(divergence.mean_of(np.asarray(supported_end))),
            further_kl(table, picking, rules, divergence) + open_.spent,
        )
        if curve is not None and known
        else NOTHING_KNOWN
    )
    limit, low, high = _opened(limit, low, high, open_, win_rate)
    if not told.all() and limit[3] is not None and limit[4] is not None:
        limit = (*limit[:3], np.where(told, limit[3], 1.0), limit[4] & told)
    base = np.array([rule.is_base for rule in rules])  # gains nothing, exactly: no rounding in its interval
    low, high = np.where(base, 0.0, low), np.where(base, 0.0, high)
    if picking == counted:  # the best of several is on no prompt worse than one
        best = np.array([isinstance(rule, BestOfN) for rule in rules])
        low = np.where(best & (low < 0.0), np.minimum(weights[0] @ gain, 0.0), low)
    whole_low: FloatArray | None = None
    whole_high: FloatArray | None = None
    if win_rate:
        whole_low, whole_high = 0.5 + low, 0.5 + high
    elif not cells.fixed_prompts:
        means = cells.mean(table.prompt_means(counted))[:, None]
        whole_low, whole_high = cells.interval(weights, gain + means, level=level)
        whole_low, whole_high = whole_low - open_.gain_below, whole_high + open_.gain_above
    whole = weights[0]
    formula = [rule.spent_formula(divergence) for rule in rules]
    most = np.array([np.inf if one is None else one for one in formula])  # ties spend less; an estimate may not
    most_spent = np.minimum(divergence.of_mean(whole @ kl), most)
    limit_off = None
    if curve is not None and limit[0] is not None and limit[4] is not None:
        limit_off = np.maximum(curve.left_open(most_spent, open_.spent), np.maximum(open_.gain_below, open_.gain_above))
        limit_off = np.where(limit[4] | (limit_off == 0.0), limit_off, np.nan)  # beyond the support it is no estimate
    return RuleEstimate(
        rules=Rules(rules),
        n=np.array([rule.draws for rule in rules]),
        spent=most_spent,
        spent_off=np.where(told, open_.spent, np.where(off > 0.0, most_spent, 0.0)),
        spent_told=told,
        spent_formula=None if None in formula else np.array(formula, dtype=np.float64),
        gain=whole @ gain,
        gain_low=low,
        gain_high=high,
        win_rate=np.minimum(whole @ win, [_most_wins(rule) for rule in rules]),
        win_rate_off=open_.win_below,
        base_reward=0.5 if win_rate else float(table.prompt_means(counted).mean()),
        level=level,
        limit_gain=limit[0],
        limit_gain_off=limit_off,
        share=limit[1],
        share_low=np.maximum(limit[2], 0.0) if limit[2] is not None and picking == counted else limit[2],
        share_high=limit[3],
        supported=limit[4],
        reward_low=whole_low,
        reward_high=whole_high,
        fixed_prompts=cells.fixed_prompts,
    )


def _most_wins(rule: Rule) -> float:
    """Return how often a rule wins at most: best-of-N without ties, which few samples that tie may exceed."""
    return rule.win_rate_formula() if isinstance(rule, BestOfN) else 1.0


def _opened(
    limit: Share, low: FloatArray, high: FloatArray, open_: LeftOpen, win_rate: bool
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
