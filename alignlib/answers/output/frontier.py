"""How much reward any method can still buy, as lines for a terminal, as JSON and as the points of a CSV."""

from __future__ import annotations

from typing import Any

import numpy as np

from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib._core.plain import plain
from alignlib._core.shown import level_shown
from alignlib.answers.answer import Answer
from alignlib.answers.findings import Findings
from alignlib.answers.output import beyond_kl, gold_promise, hacking
from alignlib.answers.output.frontier_sentences import (
    constant_sentence,
    first_term_lines,
    headline,
    limit_lines,
    shown_terms,
    wanted_sentence,
)
from alignlib.answers.output.render import (
    beside,
    bounds,
    by_point,
    capital,
    interval_name,
    listed,
    percent,
    rounded_up,
    share_not_known,
    spent_of,
)
from alignlib.estimation import EstimatedFrontier, FirstTerms, Sensitivity
from alignlib.tables import RewardTable

__all__ = ["COLUMNS", "lines", "points", "record"]

_LIMIT = ("spent", "gain", "gain_low", "gain_high", "reward", "lam")
_RULE = (
    "n", "spent", "spent_off", "spent_told", "spent_formula", "gain", "gain_low", "gain_high",
    "reward", "reward_low", "reward_high", "win_rate", "win_rate_off",
    "limit_gain", "limit_gain_off", "share", "share_low", "share_high", "supported",
)  # fmt: skip
COLUMNS = (
    "what", "picked_by", "measured_in", "measure", "divergence", "rule", "n",
    "spent", "spent_off", "spent_told", "spent_formula", "gain", "gain_low", "gain_high",
    "reward", "reward_low", "reward_high", "lam", "without_ties",
    "win_rate", "win_rate_off", "limit_gain", "limit_gain_off", "share", "share_low", "share_high", "supported",
    "proxy_gain", "proxy_off",
)  # fmt: skip
_WANTED = ("kl", "samples", "prompts")
_POINT = ("spent", "gain", "gain_low", "gain_high")
_SHOWN = 5e-5  # nats: less is not seen in four digits
_TELLING = 16  # samples of a prompt: fewer do not tell a rare large reward from one that the prompt has often


# ------------------------------------------------------------------ JSON and CSV
def record(found: Findings) -> dict[str, Any]:
    """Return the numbers for JSON; what is unknown or infinite is None.

    Parameters
    ----------
    found : Findings
        The answer.

    Returns
    -------
    dict
        As the schema ``frontier`` has it.

    Examples
    --------
    >>> from alignlib.answers.findings import ask
    >>> from alignlib.tables.example_table import example_table
    >>> found = ask(example_table(20, 8, 0.5, 0), "reward", n_boot=100)
    >>> record(found)["table"]["n_prompts"]
    20
    """
    sizes = found.table.n_samples
    return {
        "table": {
            "n_prompts": found.table.n_prompts,
            "n_samples": int(sizes.sum()),
            "fewest_samples": int(sizes.min()),
            "most_samples": int(sizes.max()),
            "dropped": found.table.dropped,
            "notes": list(found.table.notes),
        },
        "reward": _record(found.reward),
        "gold": None if found.gold is None else _record(found.gold),
        "hacking": None if found.hacking is None else hacking.record(found.hacking),
        "gold_from_correlation": None if found.promise is None else gold_promise.record(found.promise),
    }


def points(found: Findings) -> list[dict[str, Any]]:
    """Return one row per point of the limit, of the rules, of gold as the proxy is optimised, and of the curves drawn.

    ``what`` says which: ``limit``, ``rule``, ``along_n``, ``along_lam``, ``stop_n``, ``stop_lam``, ``curve``
    (the limit as far as the samples support it) and ``curve_on_every_prompt``.

    Parameters
    ----------
    found : Findings
        The answer.

    Returns
    -------
    list of dict
        Of each what is known: a kind of point lacks the columns of another.

    Examples
    --------
    >>> from alignlib.answers.findings import ask
    >>> from alignlib.tables.example_table import example_table
    >>> {row["what"] for row in points(ask(example_table(20, 8, 0.5, 0), "reward", n_boot=100))} >= {"limit", "rule"}
    True
    """
    rows: list[dict[str, Any]] = []
    for answer in found.answers:
        names = {
            "picked_by": answer.picked_by,
            "measured_in": answer.measured_in,
            "measure": "win_rate" if answer.win_rate else "reward",
            "divergence": answer.divergence.name,
        }
        rows += [{"what": "limit", **names, **row} for row in _limit(answer.limit, answer.without_ties)]
        rows += [{"what": "rule", **names, **row} for row in _rules(answer)]
    rows += [] if found.hacking is None else hacking.points(found.hacking)
    rows += [] if found.promise is None else gold_promise.points(found.promise)
    for what, curve in (("curve", found.curve), ("curve_on_every_prompt", found.curve_on_every_prompt)):
        rows += [{"what": what, "measured_in": found.counted.measured_in, **row} for row in _limit(curve)]
    if found.counted.win_rate:  # whose picture draws win rates, one half above the gains
        for row in rows:
            if row["what"].startswith("curve"):
                row |= {name: 0.5 + row[name.replace("reward", "gain")] for name in ("reward_low", "reward_high")}
    return rows


def _record(answer: Answer) -> dict[str, Any]:
    limit, best = answer.limit, answer.rules
    return {
        "picked_by": answer.picked_by,
        "measured_in": answer.measured_in,
        "base_reward": plain(best.base_reward),
        "constant_prompts": answer.constant_prompts,
        "constant_most": plain(answer.constant_most),
        "fixed_prompts": best.fixed_prompts,
        "level": best.level,
        "divergence": answer.divergence.name,
        "measure": "win_rate" if answer.win_rate else "reward",
        "tied_pairs": plain(answer.tied_pairs),
        "budget": None if limit is None else limit.budget,
        "share_budget": "average",
        "unsupported": list(answer.unsupported),
        "wanted": None if answer.wanted is None else listed(answer.wanted, _WANTED),
        "wanted_by_rules": [listed(one, ("rule", *_WANTED)) for one in answer.wanted_by_rules],
        "why_no_limit": answer.why_no_limit,
        "first_terms": None if answer.first_terms is None else _first_terms(answer.first_terms),
        "assumed": plain(answer.assumed),
        "largest_supported": 0.0 if limit is None else plain(limit.supported_end),
        "unseen_top": 0 if limit is None else limit.unseen_top,
        "headline": headline(answer),
        "limit": _limit(limit, answer.without_ties),
        "rules": _rules(answer),
    }


def _first_terms(terms: FirstTerms) -> dict[str, Any]:
    at = shown_terms(terms)
    shown = terms.at(at) if at.size else None
    return {
        **listed(terms, ("slope", "slope_low", "slope_high", "curvature", "trusted_end")),
        "points": [] if shown is None else by_point({name: getattr(shown, name) for name in _POINT}, at.size),
    }


def _limit(limit: EstimatedFrontier | None, free: tuple[float, ...] | None = None) -> list[dict[str, Any]]:
    if limit is None:
        return []
    without_ties = None if free is None else [limit.base_reward + rise for rise in free]
    return by_point({name: getattr(limit, name) for name in _LIMIT} | {"without_ties": without_ties}, len(limit.spent))


def _rules(answer: Answer) -> list[dict[str, Any]]:
    best = answer.rules
    titles = [rule.title for rule in best.rules]
    return by_point({"rule": titles, **{name: getattr(best, name) for name in _RULE}}, len(titles))


# ------------------------------------------------------------------ lines
def lines(found: Findings) -> list[str]:
    """Return the answers as text, the headline last.

    Parameters
    ----------
    found : Findings
        The answer.

    Examples
    --------
    >>> from alignlib.answers.findings import ask
    >>> from alignlib.tables.example_table import example_table
    >>> lines(ask(example_table(20, 8, 0.5, 0), "reward", n_boot=100))[0]
    '20 prompts with 8 samples each.'
    """
    sizes = found.table.n_samples
    each = "" if sizes.min() == sizes.max() else f"{sizes.min()} to "
    size = f"{counted(found.table.n_prompts, 'prompt')} with {each}{counted(int(sizes.max()), 'sample')}"
    said = [f"{size}{' each' if found.table.n_prompts > 1 else ''}.", *found.table.notes]
    if found.counted.rules.fixed_prompts and found.table.n_prompts > 1:
        said.append(_of_these(found.table.n_prompts))
    for answer in found.answers:
        said += ["", *_block(found.table, answer)]
    if found.hacking is not None:
        said += ["", *hacking.lines(found.hacking)]
    if found.promise is not None:
        said += ["", *gold_promise.lines(found.promise)]
    return [*said, "", *(headline(answer) for answer in found.answers)]


def _of_bins(answer: Answer) -> list[str]:
    """Say what bins leave open of numbers without an interval, and what is not told where they leave too much."""
    off = float(answer.rules.spent_off[answer.rules.spent_told].max(initial=0.0))
    said = [f"Bins leave open up to {rounded_up(off)} nats of what rules spend."] if off > _SHOWN else []
    if answer.first_terms_withheld:
        said.append("The first terms of the limit, which few samples tell, are not told of bins.")
    if answer.limit is not None and answer.limit.budget == "average" and answer.assumed is None:
        said.append(
            "Which prompts carry the limit is not told: bins leave more than a hundredth of it open. Read the parts "
            "so that more samples of a prompt are kept, or in narrower bins."
        )
    return said


def _block(table: RewardTable, answer: Answer) -> list[str]:
    if not answer.plain:
        return beyond_kl.block(table, answer)
    best = answer.rules
    interval = interval_name(best.level)
    base = beside(best.base_reward, float(best.gain[-1]))
    heading, entries = best.rules.column
    one, wide = heading != "rule", max(8, *map(len, entries))
    said = [f"The most that any method can gain of {answer.measured_in!r} (base model: {base})"]
    said += [f"unknown: {_why(answer)}"] if answer.limit is None else limit_lines(answer.limit)
    said += [] if answer.assumed is None else [_assumption(table, answer.assumed)]
    if not table.all_held:
        said += _of_bins(answer)
    if answer.limit is None:
        like = "" if best.fixed_prompts else f", and that other prompts are like these {table.n_prompts}"
        said.append(f"Assumed of what {best.rules.name} gains: no reward far above all that were seen{like}.")
    if answer.unsupported:
        left = ", ".join(f"{kl:g}" for kl in answer.unsupported)
        said.append(f"Left out, for more than that: {left} {_unit(answer.unsupported[-1])}.")
    if answer.wanted is not None:
        said.append(wanted_sentence(answer.wanted, table.n_prompts))
    if answer.first_terms is not None:
        said += first_term_lines(answer.first_terms)
    if answer.constant_prompts:
        said.append(constant_sentence(table, answer))
    by = "" if answer.picked_by == answer.measured_in else f" picked by {answer.picked_by!r}"
    said += [
        "",
        (
            f"{capital(best.rules.name)}{by}, and {'its' if one else 'their'} share of what any method can gain at the "
            "same KL (average over prompts)"
        ),
        f"{heading:>{wide}} {'KL':>8} {'gain':>10}  {interval:<22} {'share':>9}  {interval}",
    ]
    for i, entry in enumerate(entries):
        said.append(
            f"{entry:>{wide}} {spent_of(best, i):>8} {best.gain[i]:>10.4g}  "
            f"{bounds(best.gain_low[i], best.gain_high[i]):<22} {_share(answer, i)}"
        )
    said += [wanted_sentence(one, table.n_prompts) for one in answer.wanted_by_rules]
    if best.fixed_prompts and (4.0 * best.n > table.n_samples.min()).any():
        said.append(
            "N above a quarter of the samples of a prompt rests on a few of the largest: the value is unbiased, "
            f"but the interval may hold the truth less often than {level_shown(best.level)} of the time."
        )
    return said


def _of_these(n_prompts: int) -> str:
    return (
        f"Limits, gains, shares and gold are those of these {n_prompts} prompts, and intervals hold what their samples "
        "leave open. So few prompts do not show how unlike others are, where all may differ by more."
    )


def _why(answer: Answer) -> str:
    return answer.why_no_limit or "the samples support no KL budget."


def _unit(kl: float) -> str:
    return "nat" if kl == 1.0 else "nats"


def _assumption(table: RewardTable, found: Sensitivity) -> str:
    """Say what the limit rests on."""
    carried = ""
    if table.n_prompts > 1:
        count = min(found.prompts_that_count, float(table.n_prompts))
        carried = (
            f" Of {table.n_prompts} prompts {count:.3g} share its KL (effective number); those that spend most, "
            f"{percent(found.carried)} of it, are {', '.join(found.carriers)}."
        )
    if found.few_prompts:
        carried += (
            f" And that other prompts are like these: {table.n_prompts} do not show how unlike prompts are, and where "
            "they are unlike, limits and shares lie outside their intervals far more often than those say."
        )
    samples = int(np.median(table.n_samples))
    if found.few_samples:
        carried += (
            f" And that its tail is lighter than exponential: {samples} samples of one prompt do not tell, and where "
            "it is not, limit and share lie outside their intervals far more often than those say."
        )
    if table.n_prompts > 1 and samples < _TELLING:
        carried += (
            " And that a prompt which shows a rare large reward has it more often than others: "
            f"{samples} samples of a prompt cannot tell that from luck, and where every prompt has such rewards, each "
            "as rarely, the limit is higher."
        )
    return (
        f"Assumed: no reward far above all that were seen. One response that lies {2.0 * found.largest_gain:.3g} above "
        f"its prompt's mean, twice the most seen, would raise the limit at {found.kl:.3g} nats by "
        f"{found.raised_by:.2g}.{carried}"
    )


def _share(answer: Answer, i: int) -> str:
    best = answer.rules
    if best.share is None or best.share_low is None or best.share_high is None or best.supported is None:
        return f"{'unknown':>9}"
    if not best.supported[i]:
        return share_not_known(best, i)
    # A share above one is the noise of the estimate: no method gains more than the limit.
    return f"{percent(best.share[i]):>9}  [{percent(best.share_low[i])}, {percent(best.share_high[i])}]"


guard(globals())
