"""The page on performance: what ``python -m benchmarks --record`` measured, with machine, versions and date.

Recorded, not measured while the book is built: two builds of the same sources give the same pages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alignlib._core.safe_text import for_markdown

__all__ = ["FILE", "performance_page", "recorded_benchmarks"]

FILE = Path("benchmarks", "recorded", "performance.json")
_DEAR = ("torch", "transformers", "cvxpy", "scs", "dit")  # versions that are named only where they took part
_PEERS: dict[str, tuple[str, ...]] = {
    "lm_sampling": _DEAR[:2],
    "prefix_tree": _DEAR[:2],
    "one_budget": _DEAR[2:4],
    "divergences": _DEAR[2:4],
}
_PEERS |= {"capacity": _DEAR[4:]}
_TITLES = {"best_of_n": "Best-of-N", "lm_sampling": "Sampling a language model", "pass_at_k": "pass@k"}
_TITLES |= {"divergences": "Optima by divergence", "sum_law": "Law of a sum"}

_INTRODUCTION = (
    "Each row is a ratio of CPU times, taken in turn on one machine: seconds differ from machine to machine, and even "
    "the ratio by some tenths. Where several pairs were timed, least and largest ratio stand behind the median. "
    "`python -m benchmarks NAME` measures again, and with `--record` this page is made of it. What tables of any size "
    "take is measured in {doc}`notebooks/33_a_billion_rewards`, what each chapter takes in {doc}`versions`."
)
_FLOOR = "reading the file and one exp of it"
_NAMES = {
    "kl": "KL", "reverse_kl": "reverse KL", "chi2": "χ²", "hellinger": "Hellinger",
    "jensen_shannon": "Jensen–Shannon", "renyi_1.5": "Rényi 1.5", "total_variation": "total variation",
}  # fmt: skip


def _optima(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in record["against"]:
        name = row["divergence"]
        where = f"in {_NAMES.get(name, name)}, {row['outcomes']:,} outcomes"
        reckoned = row["peer_solved"] < record["budgets"]
        rows.append({**row, "benchmark": f"{record['budgets']} optima {where}", "reckoned": reckoned})
        one = {"times_faster": row["times_faster_of_one"], "seconds": row["seconds_of_one"], "peer": row["peer"]}
        rows.append({"benchmark": f"one optimum {where}", **one})
    curve = record["curve"]
    return [*rows, {**curve, "benchmark": f"largest win rate at {curve['budgets']:,} budgets"}]


def _sums(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**row, "benchmark": "law of the sum"} for row in record["peers"]]


_OF_CHAPTERS: dict[str, tuple[str, Callable[[Mapping[str, Any]], list[dict[str, Any]]]]] = {
    "divergences": (
        (
            "Optima in several divergences against cvxpy, as chapter 71 shows them. Where cvxpy solves fewer than all "
            "of the budgets within its time, the rest is reckoned at their mean; SCS stands where CLARABEL fails, and "
            "is asked for four digits only."
        ),
        _optima,
    ),
    "sum_law": ("The exact law of a long sequence's reward against direct convolution, as in chapter 26.", _sums),
}


def recorded_benchmarks(root: Path) -> dict[str, dict[str, Any]]:
    """Return what is recorded by benchmark; those that a chapter draws keep a file of their own."""
    found: dict[str, dict[str, Any]] = json.loads((root / FILE).read_text(encoding="utf-8"))
    for name, (what, rows) in _OF_CHAPTERS.items():
        file = (root / FILE).with_name(f"{name}.json")
        if file.is_file():
            record = json.loads(file.read_text(encoding="utf-8"))
            versions = {"Python" if key == "python" else key: value for key, value in record["versions"].items()}
            found[name] = {"what": what, "machine": versions.pop("machine"), "versions": versions, "rows": rows(record)}
    return dict(sorted(found.items()))


def performance_page(root: Path) -> str:
    """Return the page as Markdown, empty where a project has no recorded benchmarks."""
    file = root / FILE
    if not file.is_file():
        return ""
    recorded = recorded_benchmarks(root)
    compared = [row for one in recorded.values() for row in one["rows"] if "times_faster" in row]
    slower = sum(row["times_faster"] < 1.0 for row in compared)
    most = max((row for row in compared if not row.get("reckoned")), key=lambda row: row["times_faster"])
    said = (
        f"In {len(compared) - slower} of {len(compared)} comparisons it is the faster one, at most "
        f"{_ratio(most['times_faster'])} times ({for_markdown(_spoken(most))}, beside "
        f"{for_markdown(most['peer'])}); in {slower} it is the slower one."
    )
    reckoned = max((row["times_faster"] for row in compared if row.get("reckoned")), default=0.0)
    if reckoned > most["times_faster"]:
        said += f" Where the peer did not end within its time, the rest is reckoned: at most {_ratio(reckoned)} times."
    floors = [row for one in recorded.values() for row in one["rows"] if "times_slower" in row]
    if floors:  # no program computes the same: what is beside is what any program must do
        said += (
            f" {for_markdown(_spoken(floors[0]))}, beside which nothing else computes the same, takes "
            f"{_ratio(floors[0]['times_slower'])} times what {_FLOOR} takes."
        )
    lines = [
        "# Performance",
        "",
        "How fast is the library, beside programs that compute the same?",
        "",
        ":::{admonition} Answer",
        ":class: answer",
        said,
        ":::",
        "",
        _INTRODUCTION,
        "",
    ]
    for name, one in recorded.items():
        rows = [row for row in one["rows"] if "times_faster" in row or "times_slower" in row]
        if rows:
            lines += [
                f"## {_TITLES.get(name, name.replace('_', ' ').capitalize())}, timed",
                "",
                f"{for_markdown(one['what'].replace('``', ''))}",
                "",
            ]
            lines += ["| What | Beside | Times as fast | Seconds |", "|---|---|---|---|"]
            lines += [_row(row) for row in rows]
            lines += ["", f"`python -m benchmarks {name}`; {_where(name, one)}.", ""]
    return "\n".join(lines)


def _row(row: Mapping[str, Any]) -> str:
    ratio = row["times_faster"] if "times_faster" in row else 1.0 / row["times_slower"]
    said = _ratio(ratio) + (f" ({_ratio(row['least'])} to {_ratio(row['most'])})" if "least" in row else "")
    said += ", reckoned" if row.get("reckoned") else ""
    seconds = row.get("seconds", row.get("cpu_seconds"))
    took = "" if seconds is None else f"{seconds:.3g}"
    peer = row.get("peer", _FLOOR)
    return f"| {for_markdown(_spoken(row))} | {for_markdown(peer)} | {said} | {took} |".replace("``", "")


def _spoken(row: Mapping[str, Any]) -> str:
    """What was computed, with its size where the name does not say it."""
    sizes = [f"{row[name]:,} {name}" for name in ("rows", "responses") if name in row]
    sizes += [f"length {row['length']:,}"] if "length" in row else []
    return ", ".join([row["benchmark"], *sizes])


def _ratio(value: float) -> str:
    """Two digits, as many as such a ratio is worth.

    >>> _ratio(0.4123), _ratio(31.6), _ratio(1246.3)
    ('0.41', '32', '1,200')
    """
    return f"{float(f'{value:.2g}'):,g}"


def _where(name: str, one: Mapping[str, Any]) -> str:
    wanted = _PEERS.get(name, ())
    versions = {key: number for key, number in one["versions"].items() if key not in _DEAR or key in wanted}
    return f"{one['machine']}, {', '.join(f'{key} {number}' for key, number in versions.items())}" + (
        f"; {one['date']}" if "date" in one else ""
    )
