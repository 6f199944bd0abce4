"""Sentences and small tables on a limit: what it is, what its first terms are, and what more it would take."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.answers.answer import Answer
from alignlib.answers.output.render import (
    beside,
    bounds,
    interval_name,
    over_prompts,
    percent,
)
from alignlib.estimation import EstimatedFrontier, FirstTerms, Wanted
from alignlib.tables import RewardTable

__all__ = ["constant_sentence", "first_term_lines", "limit_lines", "shown_terms", "wanted_sentence"]

_SERIES = [step * 10.0**power for power in (-3, -2, -1, 0) for step in (1, 2, 5)]
_MOST_SHOWN = 4
_BEYOND_REACH = 1e7  # samples of a prompt


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
