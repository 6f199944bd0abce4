"""Sentences and small tables on a limit: the answer in one, the limit, its first terms, what more would take."""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib.answers.answer import Answer
from alignlib.answers.output import beyond_kl
from alignlib.answers.output.render import (
    beside,
    bounds,
    interval_name,
    over_prompts,
    percent,
)
from alignlib.estimation import EstimatedFrontier, FirstTerms, Wanted
from alignlib.tables import RewardTable

__all__ = ["constant_sentence", "first_term_lines", "headline", "limit_lines", "shown_terms", "wanted_sentence"]

_SERIES = [step * 10.0**power for power in (-3, -2, -1, 0) for step in (1, 2, 5)]
_MOST_SHOWN = 4
_BEYOND_REACH = 1e7  # samples of a prompt


def headline(answer: Answer) -> str:
    """Return the answer in one sentence, at the largest supported KL that was asked for.

    Where none was asked for, it is at the KL of the last rule whose KL the samples support.
    Where the budget asked for holds on every prompt, a sentence on that limit comes first: rules are compared at equal
    KL on average over prompts.

    Parameters
    ----------
    answer : Answer
        What is known of one reward.

    Examples
    --------
    >>> from alignlib.answers.findings import ask
    >>> from alignlib.tables.example_table import example_table
    >>> found = ask(example_table(60, 16, 0.5, np.random.default_rng(0)), "reward", kl=[0.1], n_boot=100)
    >>> headline(found.reward)[:63]
    'At a KL of 0.1 nats on average over prompts any method can gain'
    """
    if not answer.plain:
        return beyond_kl.headline(answer)
    best, at_rules = answer.rules, answer.limit_at_rules
    if answer.limit is None or at_rules is None:
        base = f"{answer.measured_in!r} (base model: {beside(best.base_reward, best.gain[-1], 3)})"
        return f"The samples support no limit of {base}; {_gain_of_best(answer, best.n.size - 1)}."
    known = np.zeros(best.n.size, dtype=bool) if best.supported is None else best.supported
    where = np.flatnonzero(known & at_rules.supported & best.optimises)
    last = _last_sentence(answer, answer.limit)
    if where.size and best.share is not None and best.share_low is not None and best.share_high is not None:
        i = int(where[-1])
        by = "" if answer.picked_by == answer.measured_in else f" picked by {answer.picked_by!r}"
        if answer.kl_asked and answer.limit.budget == "average":
            limit, what = last, f"the limit at its own {best.spent[i]:.3g} nats"
        else:
            asked = "" if answer.limit.budget == "average" else f"{last}. "
            limit, what = f"{asked}{_limit_sentence(answer, at_rules, i)}", "it"
        if best.share[i] >= 1.0:
            told = f"cannot be told from {what} (at least {percent(best.share_low[i])})"
            return f"{limit}; {best.rules[i].title}{by} {told}."
        gets = "already gets" if answer.picked_by == answer.measured_in else f"{by.strip()} gets"
        return (
            f"{limit}; {best.rules[i].title} {gets} {percent(best.share[i])} of {what} "
            f"({percent(best.share_low[i])} to {percent(best.share_high[i])})."
        )
    if at_rules.supported[best.optimises].any():
        what = "it" if answer.limit.budget == "average" else "what any method can gain at equal average KL"
        alike = f"on {counted(answer.constant_prompts, 'prompt')} all samples have the same {answer.measured_in!r}"
        spent_known = bool(best.spent_told[at_rules.supported & best.optimises].any())
        why = alike if answer.constant_prompts and spent_known else "ties leave open what it spends"
        return f"{last}; {best.rules.name}'s share of {what} is not known, for {why}."
    beyond = np.flatnonzero(best.optimises)
    if not beyond.size:
        return f"{last}."
    first = int(beyond[0])
    open_ = "; its share of that is not known, for ties leave open what it spends"
    why = ", more KL than the samples support" if best.spent_told[first] else open_
    return f"{last}; {_gain_of_best(answer, first)}{why}."


def _last_sentence(answer: Answer, limit: EstimatedFrontier) -> str:
    """Say the limit at the largest budget shown, or that there is none."""
    if len(limit.spent):
        return _limit_sentence(answer, limit, int(np.argmax(limit.spent)))
    return f"The samples support the limit of {answer.measured_in!r} up to {limit.supported_end:.3g} nats only"


def _limit_sentence(answer: Answer, limit: EstimatedFrontier, i: int) -> str:
    base = beside(limit.base_reward, limit.gain[i], 3)
    return (
        f"At a KL of {limit.spent[i]:.3g} nats{over_prompts(limit)} any method can gain at most {limit.gain[i]:.3g} of "
        f"{answer.measured_in!r} over the base model's {base} ({interval_name(limit.level)} "
        f"{limit.gain_low[i]:.3g} to {limit.gain_high[i]:.3g})"
    )


def _gain_of_best(answer: Answer, i: int) -> str:
    best = answer.rules
    by = "" if answer.picked_by == answer.measured_in else f" picked by {answer.picked_by!r}"
    low, high = (float(end[i]) for end in (best.gain_low, best.gain_high))
    ends = f"{low:.3g} to {high:.3g}" if high < math.inf else f"at least {low:.3g}" if low > -math.inf else "unknown"
    return (
        f"{best.rules[i].title}{by} gains {best.gain[i]:.3g} ({interval_name(best.level)} "
        f"{ends}) and spends {'' if best.spent_told[i] else 'at most '}{best.spent[i]:.3g} nats"
    )


def shown_terms(terms: FirstTerms) -> FloatArray:
    """Return budgets of the 1-2-5 series up to where the terms are trusted, the last few of them, in nats.

    Parameters
    ----------
    terms : FirstTerms
        Slope and curvature at small budgets.
    """
    return np.array([kl for kl in _SERIES if kl <= terms.trusted_end][-_MOST_SHOWN:])


def wanted_sentence(wanted: Wanted, n_prompts: int) -> str:
    """Say what the largest budget left out, or the share of a rule, would take.

    Parameters
    ----------
    wanted : Wanted
        What it would take.
    n_prompts : int
        How many prompts there are.

    Examples
    --------
    >>> wanted_sentence(Wanted(2.0, 2900.0, 8), 5)
    'For 2 nats about 2,900 samples a prompt would be needed, of 8 prompts or more.'
    >>> wanted_sentence(Wanted(2.5, 1e9, 8, "best-of-32"), 9)
    'For the share of best-of-32 (2.5 nats) more than 10,000,000 samples a prompt would be needed.'
    """
    prompts = "" if n_prompts >= wanted.prompts else f", of {wanted.prompts} prompts or more"
    nats = "1 nat" if wanted.kl == 1.0 else f"{wanted.kl:.3g} nats"
    what = f"the share of {wanted.rule} ({nats})" if wanted.rule else nats
    many = f"about {wanted.samples:,.0f}"
    if wanted.samples > _BEYOND_REACH:
        many = f"more than {_BEYOND_REACH:,.0f}"
    return f"For {what} {many} samples a prompt would be needed{prompts}."


def first_term_lines(terms: FirstTerms) -> list[str]:
    """Say what the first terms of the limit give, and how far they can be trusted.

    Parameters
    ----------
    terms : FirstTerms
        Slope and curvature at small budgets.
    """
    span = f"{terms.slope_low:.3g} to {terms.slope_high:.3g}"
    slope = f"{terms.slope:.3g} √KL ({interval_name(terms.level)} of the factor {span})"
    if terms.curvature is None:
        unknown = "they do not tell how soon the next one matters"
        return [f"Its first term, which two samples of a prompt give without bias: {slope}; {unknown}."]
    sign = "+" if terms.curvature >= 0.0 else "-"
    series = f"{terms.slope:.3g} √KL {sign} {abs(terms.curvature):.3g} KL"
    trusted = f"to be trusted up to {terms.trusted_end:.3g} nats, as far as the next term can be told"
    said = [f"Its first terms, which few samples of a prompt give without bias: {series}, {trusted}."]
    if not (budgets := shown_terms(terms)).size:
        return said
    at = terms.at(budgets)
    for i in range(at.spent.size):
        said.append(f"{at.spent[i]:>8.4g} {at.gain[i]:>10.4g}  {bounds(at.gain_low[i], at.gain_high[i]):<22}")
    return said


def constant_sentence(table: RewardTable, answer: Answer) -> str:
    """Say how many prompts do not vary, and what they may add.

    Parameters
    ----------
    table : RewardTable
        The samples.
    answer : Answer
        In KL.
    """
    same = (
        f"On {answer.constant_prompts} of {table.n_prompts} prompts {answer.measured_in!r} is the same for every sample"
    )
    if answer.constant_most is None or answer.limit is None:
        return f"{same}: what could be gained there does not show in these samples."
    if answer.constant_most == 0.0:
        return f"{same}, the largest there is: nothing can be gained there."
    sure = f"{percent(answer.rules.level)} sure, prompt by prompt"
    return (
        f"{same}. The limit counts no gain there; with at most the chance of something better that so many samples "
        f"leave open ({sure}), and no reward above the largest seen, they may add up to {answer.constant_most:.3g} at "
        f"{answer.limit.spent[-1]:.3g} nats."
    )


def limit_lines(limit: EstimatedFrontier) -> list[str]:
    """Return the limit as a small table, and how far the samples support it.

    Parameters
    ----------
    limit : EstimatedFrontier
        At the budgets that are shown.
    """
    up_to = (
        "the rewards are bounded"
        if limit.supported_end == np.inf
        else f"the samples support it up to {limit.supported_end:.3g}"
    )
    if not len(limit.spent):
        return [f"No budget asked for is supported: {up_to} nats."]
    said = [f"{'KL':>8} {'gain':>10}  {interval_name(limit.level):<22} {'reward':>9} {'λ = 1/β':>9}"]
    for i in range(len(limit.spent)):
        interval = bounds(limit.gain_low[i], limit.gain_high[i])
        reward = beside(limit.reward[i], limit.gain[i])
        said.append(f"{limit.spent[i]:>8.4g} {limit.gain[i]:>10.4g}  {interval:<22} {reward:>9} {limit.lam[i]:>9.4g}")
    return [*said, f"KL is in nats{over_prompts(limit)}; {up_to}."]


guard(globals())
