"""How much reward any method can still buy, in one sentence."""

from __future__ import annotations

import numpy as np

from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib.answers.answer import Answer
from alignlib.answers.output import beyond_kl
from alignlib.answers.output.render import beside, interval_name, over_prompts, percent
from alignlib.estimation import EstimatedFrontier

__all__ = ["headline"]


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
        return (
            f"{last}; {best.rules.name}'s share of {what} is not known, for on "
            f"{counted(answer.constant_prompts, 'prompt')} all samples have the same {answer.measured_in!r}."
        )
    beyond = np.flatnonzero(best.optimises)
    more = f"; {_gain_of_best(answer, int(beyond[0]))}, more KL than the samples support" if beyond.size else ""
    return f"{last}{more}."


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
    return (
        f"{best.rules[i].title}{by} gains {best.gain[i]:.3g} ({interval_name(best.level)} "
        f"{best.gain_low[i]:.3g} to {best.gain_high[i]:.3g}) and spends {best.spent[i]:.3g} nats"
    )


guard(globals())
