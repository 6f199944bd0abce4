"""How often intervals hold that are of no limit in KL, as `benchmarks.coverage` counted over kinds of prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

__all__ = ["Counted", "counted"]

_TABLE = Path("coverage_results/beyond.csv")
_WHOLE = 300  # tables of a kind of prompts, from which on its cell is judged alone


@dataclass(frozen=True)
class Counted:
    """Statements put together: how many tables, intervals claimed, those that hold, and the least.

    Tables are those of the statement with fewest and of that with most. ``least`` is the smallest part that holds of
    any statement; ``weakest`` says how many held on the one kind of prompts where fewest did, and ``where`` names
    statement and kind.

    ``cells`` counts the statements, each on one kind of prompts and one shape of tables, that were tried on 300 tables
    or more and are claimed by a third of them, ``below`` and ``above`` those of them that hold in fewer than 90 % or in
    more than 99 % of the tables that claim them; ``misled`` is the largest share of such tables that claim a statement
    and are wrong. ``whole`` names the shapes.
    """

    tables_low: int
    tables_high: int
    claimed: int
    held: float
    least: float
    laws: int
    shapes: str
    weakest: str
    where: str
    cells: int
    below: int
    above: int
    misled: float
    whole: str


def counted(pattern: str) -> Counted:
    """Put together the statements whose name matches a regular expression, over all shapes of tables."""
    table = pd.read_csv(_TABLE)
    rows = table[table.statement.str.contains(pattern, regex=True)]
    if rows.empty:
        raise ValueError(f"pattern must match a statement that was counted; {pattern!r} matches none.")
    of_each = rows.groupby("statement")[["tables", "claimed", "held"]].sum()
    told = of_each[of_each.claimed >= min(100, of_each.claimed.max())]  # of fewer a share says little
    some = rows[rows.least_claimed >= min(15, rows.least_claimed.max())]
    worst = some.iloc[int((some.least_held / some.least_claimed).to_numpy().argmin())]
    alone = rows[rows.fewest >= _WHOLE]
    return Counted(
        tables_low=int(told.tables.min()),
        tables_high=int(told.tables.max()),
        claimed=int(rows.claimed.sum()),
        held=float(rows.held.sum() / rows.claimed.sum()),
        least=float((told.held / told.claimed).min()),
        laws=int(rows.laws.max()),
        shapes=_in_words(rows["shape"].unique().tolist()),
        weakest=f"{worst.least_held} of {worst.least_claimed}",
        where=f"“{worst.statement}” on “{worst.least_law.removeprefix('blind by rule: ')}”",
        cells=int(alone.cells.sum()),
        below=int(alone.below.sum()),
        above=int(alone.above.sum()),
        misled=float(alone.misled.max()) if len(alone) else float("nan"),
        whole=_in_words(alone["shape"].unique().tolist()) if len(alone) else "none",
    )


def _in_words(shapes: list[str]) -> str:
    """Such as 1 prompt with 2000 responses, 25 prompts with 16 each or 100 with 16."""
    pairs = sorted((shape.split(" × ") for shape in shapes), key=lambda pair: int(pair[0]))
    if all(prompts == "1" for prompts, _ in pairs):
        return " or ".join(f"1 prompt with {n} responses" for _, n in pairs)
    alone = [f"1 prompt with {n} responses" for prompts, n in pairs if prompts == "1"]
    first, *more = [(prompts, n) for prompts, n in pairs if prompts != "1"]
    each = "each" if alone else "responses each"
    said = [*alone, f"{first[0]} prompts with {first[1]} {each}", *(f"{p} with {n}" for p, n in more)]
    return " or ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]
