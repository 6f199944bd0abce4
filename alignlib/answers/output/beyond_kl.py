"""Win rates, and limits in other divergences than KL, as lines for a terminal."""

from __future__ import annotations

import numpy as np

from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib._core.safe_text import visible
from alignlib.answers.answer import Answer
from alignlib.answers.output.render import (
    beside,
    bounds,
    capital,
    interval_name,
    over_prompts,
    percent,
    share_not_known,
    spent_of,
)
from alignlib.divergences import TOTAL_VARIATION, Divergence
from alignlib.estimation import EstimatedFrontier
from alignlib.tables import RewardTable

__all__ = ["block", "headline", "unit_of"]

_SYMBOLS = {
    "kl": "KL", "reverse_kl": "KL(p‖φ)", "chi2": "χ²", "hellinger": "H²", "jensen_shannon": "JS",
    "total_variation": "TV",
}  # fmt: skip


def unit_of(divergence: Divergence) -> str:
    """Return how a column of budgets is headed.

    Parameters
    ----------
    divergence : Divergence
        What budgets are measured in.

    Examples
    --------
    >>> from alignlib.divergences import CHI_SQUARED, Renyi
    >>> unit_of(CHI_SQUARED), unit_of(Renyi(1.5))
    ('χ²', 'D_1.5')
    """
    return _SYMBOLS.get(divergence.name) or visible(divergence.name.replace("renyi_", "D_"))


def headline(answer: Answer) -> str:
    """Return the answer in one sentence, at the largest supported budget shown.

    Parameters
    ----------
    answer : Answer
        In a divergence other than KL, or in win rates.
    """
    best, limit, at_rules = answer.rules, answer.limit, answer.limit_at_rules
    unit = unit_of(answer.divergence)
    last = int(np.flatnonzero(best.optimises)[-1]) if best.optimises.any() else best.n.size - 1
    if limit is None or at_rules is None:
        return f"The samples support no limit; {_rule_sentence(answer, last)}."
    if not limit.spent.size:
        said = f"The samples support the limit up to {unit} = {limit.supported_end:.3g} only"
    else:
        i = int(np.argmax(limit.spent))
        span = (
            f"{interval_name(limit.level)} {_value(answer, limit.gain_low[i])} to {_value(answer, limit.gain_high[i])}"
        )
        if limit.unseen_top:
            span = "an upper limit, which presumes that every prompt has a response of the largest reward"
        where = f"At {unit} = {limit.spent[i]:.3g}{' nats' if answer.divergence.name == 'kl' else ''}{_average(answer)}"
        if answer.win_rate:
            said = f"{where} no method wins more than {percent(0.5 + limit.gain[i])} of comparisons with the base model"
            said += f" by {answer.measured_in!r}{'' if answer.tied_pairs == 0.0 else f' ({span})'}"
        else:
            base = beside(limit.base_reward, limit.gain[i], 3)
            said = f"{where} any method can gain at most {limit.gain[i]:.3g} of {answer.measured_in!r} over the base "
            said += f"model's {base} ({span})"
    known = np.zeros(best.n.size, dtype=bool) if best.supported is None else best.supported
    where_known = np.flatnonzero(known & best.optimises)
    if limit.unseen_top and best.share is not None and best.share_low is not None and best.optimises[last]:
        return (
            f"{said}; {best.rules[last].title} has at least {percent(max(best.share_low[last], 0.0))} of the limit at "
            f"its own {unit} {_told(answer, last)}."
        )
    if not where_known.size or best.share is None or best.share_low is None:
        return f"{said}; {_rule_sentence(answer, last)}."
    i = int(where_known[-1])
    what = "the rise over one half that is possible" if answer.win_rate else "the limit"
    return (
        f"{said}; {best.rules[i].title} has {percent(best.share[i])} of {what} at its own {unit} = {best.spent[i]:.3g} "
        f"(at least {percent(best.share_low[i])})."
    )


def _average(answer: Answer) -> str:
    if answer.limit is None or answer.limit.n_prompts == 1:
        return ""
    return f" {_together(answer) or over_prompts(answer.limit).strip()}"


def _together(answer: Answer) -> str:
    """Return what Rényi's divergences are of: they are no mean over prompts, but a function of one."""
    return "of prompt and response together" if answer.divergence.name.startswith("renyi") else ""


def _value(answer: Answer, gain: float) -> str:
    return percent(0.5 + gain) if answer.win_rate else f"{gain:.3g}"


def _rule_sentence(answer: Answer, i: int) -> str:
    best = answer.rules
    low, high = _value(answer, best.gain_low[i]), _value(answer, best.gain_high[i])
    does = "wins" if answer.win_rate else "gains"
    return (
        f"{best.rules[i].title} {does} {_value(answer, best.gain[i])} ({interval_name(best.level)} {low} to {high}) "
        f"and spends {unit_of(answer.divergence)} {_told(answer, i)}"
    )


def _told(answer: Answer, i: int) -> str:
    """Such as "= 0.5", or "≤ 1.04" where ties leave open what a rule spends."""
    return f"{'=' if answer.rules.spent_told[i] else '≤'} {answer.rules.spent[i]:.3g}"


def block(table: RewardTable, answer: Answer) -> list[str]:
    """Return the lines of one answer.

    Parameters
    ----------
    table : RewardTable
        The samples.
    answer : Answer
        In a divergence other than KL, or in win rates.
    """
    best, limit = answer.rules, answer.limit
    unit, interval, shift = unit_of(answer.divergence), interval_name(best.level), 0.5 if answer.win_rate else 0.0
    if answer.win_rate:
        said = [f"The largest win rate over the base model of any method, by {answer.measured_in!r}"]
    else:
        base = beside(best.base_reward, float(best.gain[-1]))
        said = [f"The most that any method can gain of {answer.measured_in!r} (base model: {base})"]
    what = "win rate" if answer.win_rate else "gain"
    more = "without ties" if answer.win_rate else "reward"
    if limit is None:
        said.append(f"unknown: {answer.why_no_limit}")
    elif limit.spent.size:
        ends = f"upper end, {interval.removesuffix(' interval')}" if limit.unseen_top else interval
        said.append(f"{unit:>8} {what:>10}  {ends:<22} {more:>12} {'λ = 1/β':>9}")
        for i in range(limit.spent.size):
            free = 0.0 if answer.without_ties is None else 0.5 + answer.without_ties[i]
            last = f"{free:z.4f}" if answer.win_rate else beside(limit.reward[i], limit.gain[i])
            said.append(
                f"{limit.spent[i]:>8.4g} {limit.gain[i] + shift:>10.4g}  "
                f"{_span(limit, i, shift):<22} {last:>12} {limit.lam[i]:>9.4g}"
            )
    said += [] if limit is None else [_support(answer, limit.supported_end)]
    if limit is not None and limit.unseen_top:
        said.append(
            f"An upper limit: it presumes a response of the largest reward on every prompt, and on {limit.unseen_top} "
            f"of {counted(table.n_prompts, 'prompt')} no sample is one; where the base model has none, less can be "
            "gained."
        )
    if answer.unsupported:
        said.append(f"Left out, for more than that: {', '.join(f'{at:g}' for at in answer.unsupported)}.")
    if answer.win_rate:
        said.append(_ties(table, answer))
    elif answer.constant_prompts:
        said.append(
            f"On {answer.constant_prompts} of {table.n_prompts} prompts {answer.measured_in!r} is the same for every "
            "sample: what could be gained there does not show."
        )
    of_share = "" if limit is not None and limit.unseen_top else interval
    heading, entries = best.rules.column
    width = max(8, len(heading), *map(len, entries))
    rise = "the possible rise over one half" if answer.win_rate else "what any method can gain"
    by = "" if answer.picked_by == answer.measured_in else f" picked by {answer.picked_by!r}"
    over = _together(answer) or "average over prompts"
    said += [
        "",
        f"{capital(best.rules.name)}{by}, and the share of {rise} at the same {unit} ({over})",
        f"{heading:>{width}} {unit:>8} {what:>10}  {interval:<22} {'share':>9}  {of_share}".rstrip(),
    ]
    for i, entry in enumerate(entries):
        said.append(
            f"{entry:>{width}} {spent_of(best, i):>8} {best.gain[i] + shift:>10.4g}  "
            f"{bounds(best.gain_low[i] + shift, best.gain_high[i] + shift):<22} {_share(answer, i)}"
        )
    if answer.divergence == TOTAL_VARIATION:
        said.append(
            "No share of the limit: total variation is a mean of absolute values, which samples overstate where "
            "rewards tie, so that what a rule spends is not known well enough."
        )
    return said


def _span(limit: EstimatedFrontier, i: int, shift: float) -> str:
    if limit.unseen_top:
        return f"at most {limit.gain_high[i] + shift:.4g}"
    return bounds(limit.gain_low[i] + shift, limit.gain_high[i] + shift)


def _support(answer: Answer, end: float) -> str:
    """Say what a budget is, and how far the samples go."""
    label = answer.divergence.label
    if end == np.inf:
        far = (
            "no two samples of a prompt tie, so that nothing had to be estimated"
            if answer.win_rate
            else "known bounds leave no end"
        )
    else:
        far = f"the samples support them up to {end:.3g}"
    return f"Budgets are in {label}{_average(answer)}; {far}."


def _ties(table: RewardTable, answer: Answer) -> str:
    if not answer.tied_pairs:
        return (
            f"{counted(int(table.n_samples.sum()), 'sample')} without ties: ties that are rarer would lower the curve."
        )
    tied = "fewer than 0.1 %" if answer.tied_pairs < 0.001 else percent(answer.tied_pairs)
    return f"Of pairs of samples of a prompt {tied} tie; a tie counts as half a win, and lowers what is possible."


def _share(answer: Answer, i: int) -> str:
    best = answer.rules
    if best.share is None or best.share_low is None or best.share_high is None or best.supported is None:
        return f"{'unknown':>9}"
    if answer.limit is not None and answer.limit.unseen_top:
        return f"{'at least':>9}  {percent(max(best.share_low[i], 0.0))}"
    if not best.supported[i]:
        return share_not_known(best, i)
    return f"{percent(best.share[i]):>9}  [{percent(best.share_low[i])}, {percent(best.share_high[i])}]"


guard(globals())
