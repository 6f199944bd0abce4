"""What every answer shares on its way out: numbers as text, wrapped lines, JSON with its schema, CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from alignlib._core.checks import as_whole, require
from alignlib._core.doors import guard
from alignlib._core.errors import quoted
from alignlib._core.plain import plain
from alignlib._core.safe_text import for_csv, for_json, for_terminal
from alignlib._core.shown import level_shown
from alignlib._core.version import __version__
from alignlib.estimation import EstimatedFrontier, RuleEstimate

__all__ = [
    "SCHEMA",
    "Row",
    "beside",
    "bounds",
    "by_point",
    "interval_name",
    "listed",
    "nats",
    "over_prompts",
    "percent",
    "rounded_up",
    "schema",
    "share_not_known",
    "spent_of",
    "to_csv",
    "to_json",
    "wrapped",
]

SCHEMA = 2  # changes when a field changes its name or meaning


# ------------------------------------------------------------------ text
class Row(str):
    """A row of a table: the names in it are the reader's, and none of its words names an argument."""


def beside(value: float, step: float, digits: int = 4) -> str:
    """Write a value with ``digits`` significant digits, or as many more as it takes to see ``step`` beside it.

    Parameters
    ----------
    value : float
        What is written.
    step : float
        What must be seen beside it.
    digits : int
        The fewest significant digits.

    Examples
    --------
    >>> beside(0.7535, 0.029), beside(1e9 + 0.25, 0.029)
    ('0.7535', '1000000000.25')
    """
    if value != 0.0 and step != 0.0 and math.isfinite(value) and math.isfinite(step):
        digits = min(max(digits, math.ceil(math.log10(abs(value / step))) + 2), 17)
    return f"{value:.{digits}g}"


def capital(text: str) -> str:
    """Return a name as it begins a sentence.

    Parameters
    ----------
    text : str
        A name, such as that of a rule.

    Returns
    -------
    str
        Its first letter a capital.

    Examples
    --------
    >>> capital("best-of-N")
    'Best-of-N'
    """
    return text[:1].upper() + text[1:]


def nats(spent: float, off: float) -> str:
    """Return a KL in three digits, with how far from it bins leave it, where that is seen.

    Parameters
    ----------
    spent, off : float
        In nats.

    Examples
    --------
    >>> nats(0.0762, 0.0), nats(0.0762, 1e-6), nats(1.8351, 0.1263)
    ('0.0762 nats', '0.0762 nats', '1.84 ± 0.2 nats')
    """
    seen = off > 0.0 and off >= 5e-4 * abs(spent)
    return f"{spent:.3g} ± {rounded_up(off)} nats" if seen else f"{spent:.3g} nats"


def rounded_up(value: float) -> str:
    """Return a number > 0 in one digit, which is no smaller.

    Parameters
    ----------
    value : float
        The number.

    Examples
    --------
    >>> rounded_up(0.121), rounded_up(0.2), rounded_up(0.0), rounded_up(math.inf)
    ('0.2', '0.2', '0', 'inf')
    """
    if not 0.0 < value < math.inf:
        return f"{value:g}"
    digit = 10.0 ** math.floor(math.log10(value))
    return f"{math.ceil(value / digit * (1.0 - 1e-12)) * digit:.1g}"


def percent(share: float) -> str:
    """Write a share in per cent.

    Parameters
    ----------
    share : float
        1 is the whole.

    Examples
    --------
    >>> percent(0.9873)
    '98.7 %'
    """
    return f"{100.0 * share:z.1f} %"


def interval_name(level: float) -> str:
    """Name an interval by its nominal coverage.

    Parameters
    ----------
    level : float
        Coverage, in (0, 1).

    Examples
    --------
    >>> interval_name(0.95)
    '95 % interval'
    """
    return f"{level_shown(level)} interval"


def share_not_known(rules: RuleEstimate, i: int) -> str:
    """Return why the share of the limit that a rule has is not known.

    Parameters
    ----------
    rules : RuleEstimate
        Rules whose shares are known, or could be.
    i : int
        Which of them.
    """
    why = "beyond what the samples support" if rules.spent_told[i] else "ties leave open what it spends"
    return f"{'not known':>9}  {why}"


def spent_of(rules: RuleEstimate, i: int) -> str:
    """Return what a rule spends; "≤" marks the most it can, where ties leave that open.

    Parameters
    ----------
    rules : RuleEstimate
        The rules.
    i : int
        Which of them.
    """
    return f"{'' if rules.spent_told[i] else '≤ '}{rules.spent[i]:.4g}"


def bounds(low: float, high: float) -> str:
    """Write the ends of an interval.

    Parameters
    ----------
    low, high : float
        NaN where not known; an infinite upper one is none that the samples show.

    Examples
    --------
    >>> bounds(0.5, 1.0), bounds(0.5, math.nan), bounds(0.5, math.inf)
    ('[0.5, 1]', 'unknown', 'at least 0.5')
    """
    if low == -math.inf:
        return "unknown"
    if high == math.inf:
        return f"at least {low:.4g}"
    return "unknown" if math.isnan(low) or math.isnan(high) else f"[{low:.4g}, {high:.4g}]"


def wrapped(lines: Sequence[str], width: int = 84) -> list[str]:
    """Break sentences at ``width`` characters for a page, continued lines indented; rows of tables stay whole.

    Parameters
    ----------
    lines : sequence of str
        Sentences, and rows of tables, which begin with two spaces.
    width : int
        Most characters on a line.

    Examples
    --------
    >>> wrapped(["a b c", "   1 2 3"], 3)
    ['a b', '  c', '   1 2 3']
    """
    width = as_whole("width", width, 1)
    out: list[str] = []
    for line in map(for_terminal, lines):
        table = line.startswith("  ") or not line
        out += [line] if table else textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False)
    return out


# ------------------------------------------------------------------ data
def by_point(columns: Mapping[str, Any], size: int) -> list[dict[str, Any]]:
    """Return one record per point from columns of ``size`` values; a column that is None is None at each point.

    Parameters
    ----------
    columns : mapping of str to array or None
        The columns.
    size : int
        Number of points.

    Examples
    --------
    >>> import numpy as np
    >>> by_point({"n": np.array([1.0, 2.0]), "share": None}, 2)
    [{'n': 1.0, 'share': None}, {'n': 2.0, 'share': None}]
    """
    lists = {name: [None] * size if column is None else list(column) for name, column in columns.items()}
    return [{name: plain(column[i]) for name, column in lists.items()} for i in range(size)]


def listed(result: object, names: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a result that JSON shall hold, in this order.

    Parameters
    ----------
    result : object
        A result.
    names : sequence of str
        Its fields, in order.
    """
    return {name: plain(getattr(result, name)) for name in names}


def to_json(question: str, record: Mapping[str, Any]) -> str:
    """Return the record of a question as JSON that names its schema; numbers at full precision.

    What is unknown or infinite is null.

    Parameters
    ----------
    question : str
        The command whose schema it follows, such as ``"frontier"``.
    record : mapping
        What the schema asks for.

    Examples
    --------
    >>> import json
    >>> json.loads(to_json("kl", {"value": float("inf")}))["value"] is None
    True
    """
    head = {"$schema": f"urn:alignlib:{question}:{SCHEMA}", "schema": SCHEMA, "alignlib": __version__}
    return for_json({**head, **{name: plain(value) for name, value in record.items()}})


def schema(question: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what ``alignlib QUESTION --json`` writes.

    Parameters
    ----------
    question : str
        The command, such as ``"frontier"``.

    Raises
    ------
    InputError
        If there is no schema of that name.

    Examples
    --------
    >>> schema("frontier")["$id"]
    'urn:alignlib:frontier:2'
    """
    folder = files("alignlib.answers").joinpath("schemas")
    names = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
    require(
        isinstance(question, str) and question in names,
        f"question must be one of {', '.join(names)}; got {quoted(question)}.",
        "question",
    )
    file = folder.joinpath(f"{question}.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def to_csv(points: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return the points as CSV, one row each; what is unknown, infinite or not of this kind of point is empty.

    Parameters
    ----------
    points : sequence of mapping
        The rows.
    columns : sequence of str
        Their columns, in order.

    Raises
    ------
    InputError
        If a point has a field that is none of the columns.

    Examples
    --------
    >>> to_csv([{"n": 2, "gain": None}], ["n", "gain"])
    'n,gain\\n2,\\n'
    """
    extra = sorted({str(name) for point in points for name in point} - set(columns))
    require(not extra, f"columns must name every field of points; {', '.join(map(repr, extra))} is missing.", "columns")
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), restval="", lineterminator="\n")
    writer.writerow({name: for_csv(name) for name in columns})
    for point in points:
        row = {name: for_csv(plain(value)) for name, value in point.items()}
        writer.writerow({name: "" if value is None else value for name, value in row.items()})
    return out.getvalue()


def over_prompts(limit: EstimatedFrontier) -> str:
    """Say what the budget bounds; on a single prompt there is nothing to say.

    Parameters
    ----------
    limit : EstimatedFrontier
        It knows how many prompts there are, and whether they are fixed.
    """
    if limit.n_prompts == 1:
        return ""
    which = f"these {limit.n_prompts} prompts" if limit.fixed_prompts else "prompts"
    if limit.budget == "per_prompt":
        return f" on every one of {which}" if limit.fixed_prompts else " on every prompt"
    return f" on average over {which}"


guard(globals())
