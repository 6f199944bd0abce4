"""Our intervals beside plainer ones on the same tables: how often each holds, and how wide each is.

Of the rules that hold in 93 % of the tables at a point, the narrowest is the best there; the table has what is needed
to find it, point by point.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.coverage.others import OTHERS
from benchmarks.coverage.standing import lines_of
from benchmarks.coverage.summary import Row

__all__ = ["COLUMNS", "RULES", "write"]

RULES = ("ours", *OTHERS)
COLUMNS = (
    "law",
    "shape",
    "statement",
    "code",
    "at",
    "tried",
    *(f"{name} {what}" for name in RULES for what in ("held", "width")),
)
_LEAST = 20  # tables on which rules were compared


def write(rows: Iterable[Row], path: Path, *, onto: bool = False) -> None:
    """Write one line a law, shape and statement, its points by spaces; ``nan`` for a rule that was not tried there.

    Points are those that a third of the tables claim, on as many tables as rules were compared on. With ``onto``, lines
    that are there stay, unless rules were compared on more tables now.
    """
    lines = lines_of(path) if onto else {}
    groups: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda one: (one.statement, one.shape, one.law, one.at)):
        if _sums(row, "ours")[0] >= _LEAST and row.claimed >= row.tables / 3.0:
            groups[row.law, row.shape, row.statement, row.code].append(row)
    for names, points in groups.items():
        found = [[_sums(row, name) for row in points] for name in RULES]
        cells = [[f"{row.at:g}" for row in points], [f"{tried:d}" for tried, _, _ in found[0]]]
        for of_rule in found:
            cells.append([f"{held:d}" if tried else "nan" for tried, held, _ in of_rule])
            cells.append([f"{width:.3g}" for _, _, width in of_rule])
        old = lines.get(names[:3])
        if old is None or max(map(int, old["tried"].split())) <= max(map(int, cells[1])):
            lines[names[:3]] = dict(zip(COLUMNS, (*names, *(" ".join(one) for one in cells)), strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        out.writeheader()
        out.writerows(sorted(lines.values(), key=lambda line: (line["statement"], line["shape"], line["law"])))


def _sums(row: Row, name: str) -> tuple[int, int, float]:
    """Return of one rule the tables tried, those in which it held, and the median width over pieces."""
    pieces = row.rules.get(name, [])
    if not pieces:
        return 0, 0, float("nan")
    return sum(one[0] for one in pieces), sum(one[1] for one in pieces), float(np.median([one[2] for one in pieces]))
