"""How often intervals hold that are of no limit in KL, as `benchmarks.coverage` counted over kinds of prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

__all__ = ["Counted", "counted"]

_TABLE = Path("coverage_results/beyond.csv")


@dataclass(frozen=True)
class Counted:
    """Statements put together: tables of the fewest and of the most, intervals claimed, those that hold, and the least.

    ``least`` is the smallest part that holds of any statement; ``weakest`` says how many held on the one kind of
    prompts where fewest did, and ``where`` names statement and kind.
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


def counted(pattern: str, shape: str = "25 × 16") -> Counted:
    """Put together the statements whose name matches a regular expression, on tables of one shape."""
    table = pd.read_csv(_TABLE)
    rows = table[table.statement.str.contains(pattern, regex=True) & (table["shape"] == shape)]
    if rows.empty:
        raise ValueError(f"pattern must match a statement that was counted on {shape}; {pattern!r} matches none.")
    told = rows[rows.claimed >= 100]  # of fewer a share says little
    part = told.held / told.claimed
    some = told[told.least_claimed >= 15]
    worst = some.iloc[int((some.least_held / some.least_claimed).to_numpy().argmin())]
    return Counted(
        tables_low=int(told.tables.min()),
        tables_high=int(told.tables.max()),
        claimed=int(rows.claimed.sum()),
        held=float(rows.held.sum() / rows.claimed.sum()),
        least=float(part.min()),
        laws=int(told.laws.max()),
        shapes=shape.replace(" × ", " prompts with ") + " responses each",
        weakest=f"{worst.least_held} of {worst.least_claimed}",
        where=f"“{worst.statement}” on “{worst.least_law.removeprefix('blind by rule: ')}”",
    )
