"""An answer as lines for a terminal, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any

from alignlib import __version__
from alignlib._core.text import for_csv, for_json, for_terminal
from alignlib.answers.answer import Answer, beside, percent
from alignlib.answers.hacking import HackingAnswer
from alignlib.estimation.estimates import EstimatedFrontier
from alignlib.tables.rewards import RewardTable

__all__ = ["SCHEMA", "to_csv", "to_json", "to_lines", "wrapped"]

SCHEMA = 1  # changes when a field changes its name or meaning

_LIMIT = ("kl", "gain", "gain_low", "gain_high", "reward", "lam")
_RULE = ("n", "kl", "kl_formula", "gain", "gain_low", "gain_high", "reward", "win_rate")
_SHARE = ("limit_gain", "share", "share_low", "share_high", "supported")
_CSV = ("what", "picked_by", "measured_in", *_RULE[:-1], "lam", "win_rate", *_SHARE)


def to_json(
    table: RewardTable, path: str, answer: Answer, gold: Answer | None, seed: int, hacking: HackingAnswer | None = None
) -> str:
    """Return the answers as JSON, numbers at full precision; what is unknown or infinite is null."""
    document = {
        "schema": SCHEMA,
        "alignlib": __version__,
        "table": {
            "path": path,
            "n_prompts": table.n_prompts,
            "n_samples": int(table.n_samples.sum()),
            "fewest_samples": int(table.n_samples.min()),
            "most_samples": int(table.n_samples.max()),
            "dropped": table.dropped,
            "notes": list(table.notes),
        },
        "seed": seed,
        "reward": _record(answer),
        "gold": None if gold is None else _record(gold),
        "hacking": None if hacking is None else hacking.record(),
    }
    return for_json(document)


def to_csv(answers: Sequence[Answer], hacking: HackingAnswer | None = None) -> str:
    """Return a table with one row per point of the limit, of best-of-N and of gold as the proxy is optimised.

    What is unknown or infinite is empty.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, _CSV, restval="", lineterminator="\n")
    writer.writeheader()
    for answer in answers:
        record = _record(answer)
        for what in ("limit", "best_of_n"):
            picked, counted = for_csv(answer.picked_by), for_csv(answer.measured_in)
            names = {"what": what, "picked_by": picked, "measured_in": counted}
            for row in record[what]:
                writer.writerow(names | {name: "" if value is None else value for name, value in row.items()})
    for row in [] if hacking is None else hacking.rows():
        writer.writerow({name: for_csv(value) for name, value in row.items()})
    return out.getvalue()


def _record(answer: Answer) -> dict[str, Any]:
    limit, best = answer.limit, answer.best_of_n
    return {
        "picked_by": answer.picked_by,
        "measured_in": answer.measured_in,
        "base_reward": best.base_reward,
        "constant_prompts": answer.constant_prompts,
        "level": best.level,
        "budget": None if limit is None else limit.budget,
        "share_budget": "average",
        "unsupported_kl": list(answer.unsupported_kl),
        "supported_kl": 0.0 if limit is None else limit.supported_kl,
        "headline": answer.headline,
        "limit": [] if limit is None else _rows(limit, _LIMIT),
        "best_of_n": _rows(best, (*_RULE, *_SHARE)),
    }


def _rows(result: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    field = {"kl": "spent"} if isinstance(result, EstimatedFrontier) else {}  # the budgets asked about here are KLs
    columns = {name: getattr(result, field.get(name, name)) for name in names}
    size = len(result.gain)
    return [{name: _plain(None if c is None else c[i]) for name, c in columns.items()} for i in range(size)]


def _plain(value: Any) -> bool | float | None:
    if value is None:
        return None
    number = value.item()
    return number if isinstance(number, bool) or math.isfinite(number) else None


def to_lines(
    table: RewardTable, answer: Answer, gold: Answer | None, hacking: HackingAnswer | None = None
) -> list[str]:
    """Return the answers as text, the headline last."""
    sizes = table.n_samples
    each = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    lines = [f"{table.n_prompts} prompts with {each} samples each.", *table.notes]
    both = [answer] if gold is None else [answer, gold]
    for one in both:
        lines += ["", *_block(table, one)]
    if hacking is not None:
        lines += ["", *hacking.to_lines()]
    return [*lines, "", *(one.headline for one in both)]


def wrapped(lines: Sequence[str], width: int = 84) -> list[str]:
    """Break sentences at ``width`` characters for a page, continued lines indented; rows of tables stay whole.

    >>> wrapped(["a b c", "   1 2 3"], 3)
    ['a b', '  c', '   1 2 3']
    """
    out: list[str] = []
    for line in map(for_terminal, lines):
        table = line.startswith("  ") or not line
        out += [line] if table else textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False)
    return out


def _block(table: RewardTable, answer: Answer) -> list[str]:
    best = answer.best_of_n
    interval = f"{100.0 * best.level:g} % interval"
    base = beside(best.base_reward, float(best.gain[-1]))
    lines = [f"The most that any method can gain of {answer.measured_in!r} (base model: {base})"]
    lines += ["unknown: the samples support no KL budget."] if answer.limit is None else _limit_lines(answer.limit)
    if answer.unsupported_kl:
        lines.append(f"Left out, for more than that: {', '.join(f'{kl:g}' for kl in answer.unsupported_kl)} nats.")
    if answer.constant_prompts:
        lines.append(
            f"On {answer.constant_prompts} of {table.n_prompts} prompts {answer.measured_in!r} is the same for every "
            "sample: what could be gained there does not show in these samples."
        )
    by = "" if answer.picked_by == answer.measured_in else f" picked by {answer.picked_by!r}"
    lines += [
        "",
        f"Best-of-N{by}, and its share of what any method can gain at the same KL (average over prompts)",
        f"{'N':>8} {'KL':>8} {'gain':>10}  {interval:<22} {'share':>9}  {interval}",
    ]
    for i in range(len(best.n)):
        lines.append(
            f"{best.n[i]:>8g} {best.kl[i]:>8.4g} {best.gain[i]:>10.4g}  "
            f"{_interval(best.gain_low[i], best.gain_high[i]):<22} {_share(answer, i)}"
        )
    return lines


def _limit_lines(limit: EstimatedFrontier) -> list[str]:
    interval = f"{100.0 * limit.level:g} % interval"
    lines = [f"{'KL':>8} {'gain':>10}  {interval:<22} {'reward':>9} {'λ = 1/β':>9}"]
    for i in range(len(limit.spent)):
        bounds = _interval(limit.gain_low[i], limit.gain_high[i])
        reward = beside(limit.reward[i], limit.gain[i])
        lines.append(f"{limit.spent[i]:>8.4g} {limit.gain[i]:>10.4g}  {bounds:<22} {reward:>9} {limit.lam[i]:>9.4g}")
    each = "on every prompt" if limit.budget == "per_prompt" else "on average over prompts"
    return [*lines, f"KL is in nats, {each}; the samples support it up to {limit.supported_kl:.3g}."]


def _interval(low: float, high: float) -> str:
    return f"[{low:.4g}, {high:.4g}]"


def _share(answer: Answer, i: int) -> str:
    best = answer.best_of_n
    if best.share is None or best.share_low is None or best.share_high is None or best.supported is None:
        return f"{'unknown':>9}"
    if not best.supported[i]:
        return f"{'not known':>9}  beyond what the samples support"
    # A share above one is the noise of the estimate: no method gains more than the limit.
    return f"{percent(best.share[i]):>9}  [{percent(best.share_low[i])}, {percent(best.share_high[i])}]"
