"""The pieces of the study put together: one row a law, shape, statement and point."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from alignlib.estimation import few_prompts
from benchmarks.coverage.standing import Key, Line, added, lines_of
from benchmarks.coverage.study import PART_OF, SHAPES
from benchmarks.coverage.topics import topic_of, version_of
from benchmarks.coverage.unseen import unseen

__all__ = [
    "COLUMNS", "POINTWISE", "POOLED", "UNSEEN", "Row", "latest", "read", "text", "weak", "write", "write_pooled",
]  # fmt: skip

# Of few prompts all is now said of these very prompts: what was counted before is of another truth.
_OF_THESE = {one.name for one in SHAPES if one.prompts > 1 and few_prompts(one.counts(np.arange(one.prompts)))}
_LEAST_CLAIMED = 0.3  # of the tables: what fewer claim is not in the table of the book
UNSEEN = 0.05  # of the tables may lack the loudest prompts
POINTWISE = ("at", "tried", "claimed", "held", "held_claimed", "too_high", "too_low", "width", "ratio", "unseen")
COLUMNS = ("law", "shape", "statement", "topic", "cell", "tables", "code", *POINTWISE)
POOLED = (
    "topic",
    "statement",
    "shape",
    "laws",
    "tables",
    "claimed",
    "held",
    "least_law",
    "least_held",
    "least_claimed",
    "fewest",
    "cells",
    "below",
    "above",
    "misled",
)
_ENOUGH, _LOW, _HIGH = 1.0 / 3.0, 0.90, 0.99  # of the tables that claim a cell; of those, how many hold
_COVERS = 0.93  # of the tables, for a rule whose width counts


@dataclass
class Row:
    """Counts over all tables of a cell at one point of a statement.

    ``widths`` are medians over pieces, ``end`` is the median end of the tables' support.
    """

    law: str
    shape: str
    statement: str
    at: float
    tables: int = 0
    tried: int = 0
    claimed: int = 0
    held: int = 0
    held_claimed: int = 0
    too_high: int = 0
    too_low: int = 0
    widths: list[float] = field(default_factory=list)
    end: float = 0.0
    code: str = ""
    in_cell: int = 0  # one more than the largest number of a table
    first: int = 0  # the smallest
    rules: dict[str, list[tuple[int, int, float]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def unseen(self) -> float:
        """The chance that such a table lacks what a third of the answer rests on; 0 for laws not registered here."""
        return unseen(self.law, self.shape, self.statement, self.at, self.end)

    @property
    def overall(self) -> float:
        """The share of all tables that were not misled: an answer that was not given misleads nobody."""
        return 1.0 - (self.tried - self.held) / max(self.tables, 1)

    @property
    def given(self) -> float:
        """The share of intervals that hold among those claimed."""
        return self.held_claimed / self.claimed if self.claimed else float("nan")

    @property
    def width(self) -> float:
        """Median width in units of the truth."""
        return float(np.median(self.widths)) if self.widths else float("nan")

    @property
    def ratio(self) -> float:
        """Our median width over that of the narrowest other rule that covers on the same tables; NaN without one."""
        widths = {}
        for name, pieces in self.rules.items():
            tried, held = sum(one[0] for one in pieces), sum(one[1] for one in pieces)
            if name == "ours" or held >= _COVERS * tried:
                widths[name] = float(np.median([one[2] for one in pieces]))
        ours = widths.pop("ours", float("nan"))
        return ours / max(min(widths.values()), 1e-12) if widths else float("nan")


def write(rows: Iterable[Row], path: Path, *, onto: bool = False) -> None:
    """Write a table of the points that enough tables claim: a line a law, shape and statement, its points by spaces.

    ``cell`` is the number of tables of a law and shape, ``tables`` that of those on which the statement was tried. With
    ``onto``, lines that are there stay: those of the same version get counts of later tables added or are replaced by
    those of as many tables, those of an earlier one by those of half as many.
    """
    groups: dict[Key, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda one: (one.code, one.law, one.shape, one.statement, one.at)):
        groups[row.law, row.shape, row.statement].append(row)
    lines = lines_of(path) if onto else {}
    for key, points in groups.items():
        old, one = lines.get(key), points[0]
        if old is not None and old["code"] == one.code and one.first >= int(old["cell"]):
            lines[key] = added(old, [_line([point]) for point in points], one.tables, one.in_cell)
            continue
        if old is not None and int(old["tables"]) > one.tables * (1 if old["code"] == one.code else 2):
            continue
        lines.pop(key, None)
        shown = [point for point in points if point.claimed > _LEAST_CLAIMED * point.tables]
        if shown:
            lines[key] = _line(shown)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        out.writeheader()
        out.writerows(
            sorted(lines.values(), key=lambda line: (line["code"], line["law"], line["shape"], line["statement"]))
        )


def _line(points: Sequence[Row]) -> Line:
    one = points[0]
    topic = topic_of(one.law)
    name = "" if topic is None else topic.name
    cells = (one.law, one.shape, one.statement, name, str(one.in_cell), str(one.tables), one.code)
    each = (" ".join(_shown(getattr(point, what)) for point in points) for what in POINTWISE)
    return dict(zip(COLUMNS, (*cells, *each), strict=True))


def write_pooled(rows: Iterable[Row], path: Path) -> None:
    """Write statements over kinds of prompts together, one line a statement and shape.

    ``fewest`` is the fewest tables of a kind, ``cells`` the number of kinds on which a third of the tables claim the
    statement, ``below`` and ``above`` those of them on which fewer than 90 % or more than 99 % of these hold, and
    ``misled`` the largest share of a kind's tables that claim it and are wrong. ``least_law`` is the kind on which the
    smallest part of the claimed intervals hold, of those cells where there are any. Lines that are there already stay
    where they were counted on more tables.
    """
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as old:
            lines = {(one["topic"], one["statement"], one["shape"]): one for one in csv.DictReader(old)}
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        topic = topic_of(row.law)
        if topic is not None:
            groups[topic.name, row.statement, row.shape].append(row)
    for names, some in groups.items():
        tried, *sums = (sum(getattr(one, name) for one in some) for name in ("tried", "claimed", "held_claimed"))
        if names in lines and int(lines[names]["tables"]) > tried:
            continue
        cells = [one for one in some if one.claimed >= _ENOUGH * one.tables and one.claimed]
        least = min(cells or some, key=lambda one: (one.given if one.claimed else 1.0, -one.claimed, one.law))
        kind = least.law if names[0] == "answers" else least.law.rsplit(", ", 1)[0]  # else with its question
        below, above = sum(one.given < _LOW for one in cells), sum(one.given > _HIGH for one in cells)
        misled = max((one.claimed - one.held_claimed) / max(one.tables, 1) for one in some)
        told = (len(some), tried, *sums, kind, least.held_claimed, least.claimed)
        more = (min(one.tables for one in some), len(cells), below, above, f"{misled:.4f}")
        lines[names] = dict(zip(POOLED, [*names, *map(str, (*told, *more))], strict=True))
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, POOLED, restval="", lineterminator="\n")
        out.writeheader()
        out.writerows(lines[names] for names in sorted(lines))


def _shown(value: float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def read(path: Path) -> list[Row]:
    """Return the rows of a file of pieces."""
    rows: dict[tuple[str, str, str, str, float], Row] = {}
    ends: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    counted: dict[tuple[str, str, str, str], set[int]] = defaultdict(set)
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.endswith("}"):
            continue
        piece = json.loads(line)
        if "error" in piece:
            continue
        code, cell = piece.get("code", ""), (piece["law"], piece["shape"], piece.get("part", ""))
        numbers = set(range(piece["first"], piece["first"] + piece["tables"]))
        before = counted[code, *cell]
        if numbers & before:  # two files put together may share pieces
            continue
        before |= numbers
        ends[code, *cell] += piece["ends"]
        for what, found in piece["statements"].items():
            if "no limit" in piece["law"] and "λ" in what:
                continue
            for i, at in enumerate(found["at"]):
                row = rows.setdefault(
                    (code, piece["law"], piece["shape"], what, at),
                    Row(piece["law"], piece["shape"], what, at, code=code),
                )
                for name in ("tried", "claimed", "held", "held_claimed", "too_high", "too_low"):
                    setattr(row, name, getattr(row, name) + found[name][i])
                row.widths += [found["width"][i]] if found["width"][i] is not None else []
                for name, one in found.get("rules", {}).items():
                    if one["width"][i] is not None:
                        row.rules[name].append((one["tried"][i], one["held"][i], one["width"][i]))
    for row in rows.values():
        whose = (row.code, row.law, row.shape, PART_OF.get(row.statement, ""))
        row.tables, row.in_cell, row.first = len(counted[whose]), max(counted[whose]) + 1, min(counted[whose])
        row.end = float(np.median(ends[whose]))
    return list(rows.values())


def latest(rows: Iterable[Row], before: Sequence[str] = ()) -> list[Row]:
    """Return the rows of the present versions: the one that each topic, or the tables of rewards, have now.

    Of cells of a law and shape that it has not counted, return those of the first of the versions ``before`` that has.

    >>> latest([], ["0a0a0a0a"])
    []
    """
    every = list(rows)
    found = [row for row in every if row.code == version_of(row.law, PART_OF.get(row.statement, ""))]
    for code in before:
        counted = {(row.law, row.shape) for row in found} | {
            (row.law, row.shape) for row in every if row.shape in _OF_THESE
        }
        found += [row for row in every if row.code == code and (row.law, row.shape) not in counted]
    return found


def weak(rows: Iterable[Row]) -> list[Row]:
    """Return rows that miss the mark: 93 % of all tables, and 90 % of those that claim it where a third does.

    Two standard errors of the simulation are allowed for. Rows whose tables often do not show what is asked for are
    left out.
    """
    found = []
    for row in rows:
        if row.unseen > UNSEEN:
            continue
        claims = row.claimed >= max(row.tables / 3.0, 15)
        given = claims and row.given < 0.90 - 2.0 * np.sqrt(0.09 / row.claimed)
        if given or (row.claimed >= 15 and row.overall < 0.93 - 2.0 * np.sqrt(0.0651 / row.tables)):
            found.append(row)
    return sorted(found, key=lambda row: min(row.given, row.overall))


def text(rows: list[Row]) -> str:
    """Return a summary of every version of the code, the latest last."""
    versions = dict.fromkeys(row.code for row in rows)
    parts = [(code or "an earlier version", [row for row in rows if row.code == code]) for code in versions]
    return "\n\n".join(f"Counted with {code}:\n{_of_one_version(mine)}" for code, mine in parts)


def _of_one_version(rows: list[Row]) -> str:
    """Return every statement pooled, widths beside those of other rules, and the weak rows."""
    lines = []
    for what in dict.fromkeys(row.statement for row in rows):
        mine = [
            row
            for row in rows
            if row.statement == what and row.claimed >= max(row.tables / 3.0, 15) and row.unseen <= UNSEEN
        ]
        if mine:
            given = np.array([row.given for row in mine])
            overall = np.array([row.overall for row in mine])
            lines.append(
                f"{what:<24} {len(mine):>4} points; given support: mean {given.mean():.3f}, "
                f"5 % {np.quantile(given, 0.05):.3f}, least {given.min():.3f}; over 99 %: "
                f"{(given > 0.99).mean():.2f}; overall: least {overall.min():.3f}"
            )
    lines.append("")
    for what in dict.fromkeys(row.statement for row in rows):
        ratios = np.array([row.ratio for row in rows if row.statement == what and row.claimed >= row.tables / 3.0])
        if np.isfinite(ratios).any():
            known = ratios[np.isfinite(ratios)]
            lines.append(
                f"{what:<24} width over the narrowest other rule that covers: median {np.median(known):.2f}, "
                f"over 1.2 at {(known > 1.2).sum()} of {known.size} points"
            )
    lines.append("")
    apart = sum(row.unseen > UNSEEN for row in rows)
    lines += [f"{apart} of {len(rows)} points set aside: too often such a table lacks the prompts that matter.", ""]
    for row in weak(rows)[:60]:
        lines.append(
            f"{row.law:<30} {row.shape:<12} {row.statement:<24} {row.at:<6g} given {row.given:.3f} of "
            f"{row.claimed:>4}, overall {row.overall:.3f} of {row.tables}; too high {row.too_high}, too low "
            f"{row.too_low}, width {row.width:.3f}"
        )
    return "\n".join(lines)
