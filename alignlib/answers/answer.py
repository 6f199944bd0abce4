"""How much reward any method can still buy from a base model, at which KL, and how close best-of-N comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.doors import guard
from alignlib._core.errors import InputError
from alignlib.divergences import KL, Divergence, check_budgets
from alignlib.estimation import (
    EstimatedFrontier,
    FirstTerms,
    Fit,
    RuleEstimate,
    Sensitivity,
    UnsupportedBudgetError,
    Wanted,
    first_terms,
    most_of_constant_prompts,
    samples_wanted,
    tied_pairs,
)
from alignlib.laws import Uniform, largest_win_rate
from alignlib.rules import BestOfN, Rule

__all__ = ["Answer", "answer", "limit_on_every_prompt"]

# Budgets shown where none are asked for: those of the 1-2-5 series that the samples support, the last few of them.
_SERIES = [step * 10.0**power for power in (-3, -2, -1, 0, 1) for step in (1, 2, 5)]
_SHOWN = 6
_MOST_SERIES = 5.0  # where the samples set no end
_FEW = 8  # samples of a prompt, up to which the limit's first terms may reach further than the limit


@dataclass(frozen=True)
class Answer:
    """Rules that one reward picks for, measured in another (or the same), beside the limit of that other.

    Budgets and what rules spend are in ``divergence``. Where ``win_rate`` is set, what counts is the win rate over the
    base model by ``measured_in``.

    Attributes
    ----------
    picked_by, measured_in : str
        The reward that picks, and the one whose mean is told.
    constant_prompts : int
        Prompts whose samples all earn the same.
    limit : EstimatedFrontier, optional
        The frontier at the budgets asked for, empty where the samples support none of them; None where they support no
        limit at all.
    limit_at_rules : EstimatedFrontier, optional
        The same at what each rule spends.
    rules : RuleEstimate
        What the rules do.
    unsupported : tuple of float
        Budgets that were asked for and left out because the samples do not support them.
    wanted : Wanted, optional
        What the largest of them would take.
    why_no_limit : str
        Why there is no limit, empty where there is one.
    first_terms : FirstTerms, optional
        The limit's first terms in √KL, where these reach further than the limit.
    constant_most : float, optional
        What constant prompts may add at most to the limit at the last budget shown.
    first_terms_withheld : bool
        That they would be wanted, and samples in bins do not tell them.
    assumed : Sensitivity, optional
        What the limit there rests on (at the largest supported budget, where none is shown), for an average budget.
    wanted_by_rules : tuple of Wanted
        What the shares of rules that are not supported would take.
    kl_asked : bool
        Whether budgets were asked for.
    divergence : Divergence
        What budgets are measured in.
    win_rate : bool
        Whether win rates count.
    tied_pairs : float, optional
        Share of pairs of samples of a prompt that tie.
    without_ties : tuple of float, optional
        The largest gain at the budgets of ``limit`` were there no ties, which is known exactly.
    """

    picked_by: str
    measured_in: str
    constant_prompts: int
    limit: EstimatedFrontier | None
    limit_at_rules: EstimatedFrontier | None
    rules: RuleEstimate
    unsupported: tuple[float, ...] = ()
    wanted: Wanted | None = None
    why_no_limit: str = ""
    first_terms: FirstTerms | None = None
    first_terms_withheld: bool = False
    constant_most: float | None = None
    assumed: Sensitivity | None = None
    wanted_by_rules: tuple[Wanted, ...] = ()
    kl_asked: bool = False
    divergence: Divergence = KL
    win_rate: bool = False
    tied_pairs: float | None = None
    without_ties: tuple[float, ...] | None = None

    @property
    def plain(self) -> bool:
        """Whether a reward is counted, for a KL budget."""
        return self.divergence == KL and not self.win_rate


def answer(
    fit: Fit,
    picked_by: str | None = None,
    *,
    kl: list[float] | None = None,
    rules: Sequence[Rule] | None = None,
    budget: str = "average",
) -> Answer:
    """Say what the limit of a fitted reward is and how close best-of-N, or other rules, come to it.

    Parameters
    ----------
    fit : Fit
        The reward that is counted, for an average budget.
    picked_by : str, optional
        The reward that picks the best of N, where it is another.
    kl : list of float, optional
        Budgets in the fit's divergence, nats of KL by default; if left out, some that the samples support.
    rules : list of Rule, optional
        What draws responses and keeps one; by default best-of-N for the powers of two, from 2 to the fewest samples of
        a prompt.
    budget : "average" or "per_prompt"
        What ``kl`` bounds: the KL on average over prompts, or on every prompt. Rules are always compared at equal
        average KL.

    Raises
    ------
    InputError
        Where there is nothing to estimate: a reward that does not vary, or too few samples; see `fit_frontier`.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> found = answer(fit_frontier(np.random.default_rng(0).standard_normal((100, 64))), kl=[0.5], rules=[BestOfN(2)])
    >>> found.limit.gain.round(1).tolist(), found.rules.spent.round(3).tolist()
    ([1.0], [0.193])
    """
    table, counted = fit.table, fit.reward
    picked_by = counted if picked_by is None else picked_by
    table.check_varies(picked_by)
    constant = table.check_varies(counted, "reward" if picked_by == counted else "gold reward")
    plain = fit.divergence == KL and not fit.win_rate
    beyond_kl: dict[str, Any] = {"divergence": fit.divergence, "win_rate": fit.win_rate}
    if fit.win_rate:
        beyond_kl["tied_pairs"] = tied_pairs(table, counted)
    budgets = np.array(_SERIES) if kl is None else check_budgets(kl, fit.divergence)
    if kl is None and not plain:
        budgets = budgets[budgets <= min(_MOST_SERIES, 0.5 * Uniform().max_spent(fit.divergence))]
    best = fit.share(BestOfN.along(_default_draws(fit)) if rules is None else rules, picked_by)
    spent = np.clip(best.spent, 0.0, fit.divergence.largest)  # an unbiased estimate may lie beyond either end
    few = fit.supported_end == 0.0 or int(table.n_samples.min()) <= _FEW
    of_few = plain and few and fit.bounded is None
    terms = first_terms(fit) if of_few and table.all_held else None
    if terms is not None and 0.0 < terms.trusted_end <= fit.supported_end:
        terms = None
    try:
        limit_at_rules = fit.at(spent, strict=False)
        asked = fit if budget == "average" else fit.per_prompt
        limit = asked.at(budgets, strict=False)
    except InputError as error:  # what rules gain is still known
        if not isinstance(error, UnsupportedBudgetError) and error is not fit.problem:
            raise
        left_out = () if kl is None else tuple(budgets.tolist())
        wanted = samples_wanted(fit, max(left_out)) if plain and left_out and max(left_out) > 0.0 else None
        return Answer(
            picked_by,
            counted,
            constant,
            None,
            None,
            best,
            left_out,
            wanted,
            str(error),
            terms,
            wanted_by_rules=_wanted_by_rules(fit, best),
            kl_asked=kl is not None,
            **beyond_kl,
        )
    # A rule is a policy itself: the limit at its KL is no lower than what it gains.
    limit_at_rules = replace(
        limit_at_rules,
        gain=np.maximum(limit_at_rules.gain, best.gain),
        gain_low=np.maximum(limit_at_rules.gain_low, best.gain_low),
        gain_high=np.maximum(limit_at_rules.gain_high, best.gain),
    )
    inside = np.flatnonzero(limit.supported)
    shown = inside if kl is not None else inside[-_SHOWN:]
    beyond = () if kl is None else tuple(budgets[~limit.supported].tolist())
    most = None
    if plain and constant and shown.size:
        highest = None if fit.bounded is None else fit.bounded[1]
        most = float(most_of_constant_prompts(table, counted, float(budgets[shown[-1]]), highest=highest))
    return Answer(
        picked_by=picked_by,
        measured_in=counted,
        constant_prompts=constant,
        limit=limit.take(shown),
        limit_at_rules=limit_at_rules,
        rules=best,
        unsupported=beyond,
        wanted=samples_wanted(fit, max(beyond)) if plain and beyond else None,
        first_terms=terms,
        first_terms_withheld=of_few and not table.all_held,
        constant_most=most,
        assumed=fit.sensitivity(float(budgets[shown[-1]]) if shown.size else None) if budget == "average" else None,
        wanted_by_rules=_wanted_by_rules(fit, best),
        kl_asked=kl is not None,
        without_ties=_without_ties(budgets[shown], fit.divergence) if fit.win_rate else None,
        **beyond_kl,
    )


def _without_ties(budgets: FloatArray, divergence: Divergence) -> tuple[float, ...]:
    """Return the largest rise in win rate over one half at each budget, were there no ties."""
    if divergence == KL:
        return tuple(np.asarray(largest_win_rate(budgets) - 0.5).tolist())
    return tuple(Uniform().frontier(budgets, divergence).gain.tolist())


def _wanted_by_rules(fit: Fit, best: RuleEstimate) -> tuple[Wanted, ...]:
    """Say what the first and the last rule whose share the samples do not support would take."""
    if fit.bounded is not None or fit.divergence != KL or fit.win_rate:
        return ()
    known = np.zeros(best.n.size, dtype=bool) if best.supported is None else best.supported
    without = np.flatnonzero(~known & best.optimises & best.spent_told & (best.spent > 0.0))
    ends = dict.fromkeys((int(without[0]), int(without[-1]))) if without.size else {}
    return tuple(
        samples_wanted(fit, float(best.spent[i]), rule=best.rules[i].title, draws=float(best.rules[i].draws))
        for i in ends
    )


def limit_on_every_prompt(fit: Fit) -> EstimatedFrontier | None:
    """Return the limit for the same KL on every prompt, or None where no prompt's samples support one of its own.

    It asks more of the samples than the limit for an average KL, whose one λ they share.

    Parameters
    ----------
    fit : Fit
        One reward of a table.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> rows = np.random.default_rng(0).standard_normal((100, 64))
    >>> limit_on_every_prompt(fit_frontier(rows, n_boot=100)).budget
    'per_prompt'
    >>> limit_on_every_prompt(fit_frontier(rows[:, :5], n_boot=100)) is None
    True
    """
    if fit.table.n_prompts == 1 or fit.table.n_samples.min() < 6 or not fit.table.all_held:
        return None
    try:
        return fit.per_prompt.frontier
    except UnsupportedBudgetError:
        return None


def _default_draws(fit: Fit) -> FloatArray:
    """Powers of two from 2 on; the intervals of fixed prompts set some of their samples aside."""
    fewest = int(fit.table.n_samples.min()) // (2 if fit.fixed_prompts else 1)
    return np.asarray(2.0 ** np.arange(1, max(2, int(np.log2(max(fewest, 2))) + 1)))


guard(globals())
