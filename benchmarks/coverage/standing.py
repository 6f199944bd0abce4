"""What stands in the table of the book: counts that a later run goes on from, or adds to.

A line of the table has the number of tables of its cell, and of those on which its statement was tried; a run that goes
on from it draws tables with later numbers, so that none is counted twice.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from benchmarks.coverage.study import PART_OF
from benchmarks.coverage.topics import version_of

__all__ = ["Key", "Line", "added", "counted", "lines_of"]

Key = tuple[str, str, str]  # law, shape, statement or part
Line = dict[str, str]
_SUMS = ("tried", "claimed", "held", "held_claimed", "too_high", "too_low")


def lines_of(path: Path) -> dict[Key, Line]:
    """Return the lines of a table by law, shape and statement; none where there is no table."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {(one["law"], one["shape"], one["statement"]): one for one in csv.DictReader(file)}


def counted(path: Path) -> dict[Key, tuple[int, int]]:
    """Return by law, shape and part how many tables were drawn, and on how many of them the part was tried.

    What an earlier version of the code counted is no such count.
    """
    found: dict[Key, tuple[int, int]] = {}
    for (law, shape, statement), line in lines_of(path).items():
        part = PART_OF.get(statement, "")
        if line["code"] == version_of(law, part):
            found[law, shape, part] = int(line["cell"]), int(line["tables"])
    return found


def added(line: Line, later: Sequence[Line], tables: int, cell: int) -> Line:
    """Return a line with later counts of the same points added; each of ``later`` has one point.

    A width is a median, of which the mean is taken, each with the weight of the tables that claim it.

    >>> old = dict(at="1 2", tables="2", cell="2", width="1 1", ratio="1 1", unseen="0 0", tried="2 2", claimed="2 1",
    ...     held="2 2", held_claimed="2 1", too_high="0 0", too_low="0 0")
    >>> new = {**old, "at": "1", **dict.fromkeys(("tried", "claimed", "held", "held_claimed"), "2"), "width": "3"}
    >>> both = added(old, [{name: value.split()[0] for name, value in new.items()}], 2, 4)
    >>> both["claimed"], both["width"], both["tables"], both["cell"]
    ('4 1', '2 1', '4', '4')
    """
    by_place = {one["at"]: one for one in later}
    parts: dict[str, list[str]] = {name: line[name].split() for name in (*_SUMS, "width")}
    for i, at in enumerate(line["at"].split()):
        one = by_place.get(at)
        if one is None:
            continue
        weights = float(parts["claimed"][i]), float(one["claimed"])
        if weights[1]:
            width = weights[0] * float(parts["width"][i]) + weights[1] * float(one["width"])
            parts["width"][i] = f"{width / sum(weights):.3g}"
        for name in _SUMS:
            parts[name][i] = str(int(parts[name][i]) + int(one[name]))
    joined = {name: " ".join(values) for name, values in parts.items()}
    return {**line, **joined, "tables": str(int(line["tables"]) + tables), "cell": str(cell)}
