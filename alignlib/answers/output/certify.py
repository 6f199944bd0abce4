"""Certified numbers as lines, as JSON and as rows of a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from alignlib.certified import Certified

__all__ = ["COLUMNS", "lines", "points", "record"]

COLUMNS = ("quantity", "value", "low", "high", "ball", "units", "side")
_EXACT = (
    "Exact means: for the doubles nearest to what was typed, masses divided by their sum. Units are those of the last "
    "place of a double."
)
_SIDES = {"upper": "rounded up", "lower": "rounded down", "": ""}


def record(found: Sequence[Certified]) -> dict[str, Any]:
    """Return the numbers for JSON.

    Parameters
    ----------
    found : sequence of Certified
        The answer.
    """
    return {"rows": points(found)}


def points(found: Sequence[Certified]) -> list[dict[str, Any]]:
    """Return one row a number.

    Parameters
    ----------
    found : sequence of Certified
        The answer.
    """
    return [asdict(one) for one in found]


def lines(found: Sequence[Certified]) -> list[str]:
    """Return the answer as text, what is proved in one sentence last.

    Parameters
    ----------
    found : sequence of Certified
        The answer.

    Examples
    --------
    >>> one = Certified("capacity", 0.5, 0.5, 0.5, "[0.5 +/- 1e-30]", 0.0)
    >>> lines([one])[-1]
    'Proved: capacity lies between 0.5 and 0.5; alignlib has 0.5, within 0.5 units of its last place.'
    """
    width = max(len(one.quantity) for one in found)
    said = [f"{'':<{width}}  {'alignlib':<22}  {'exact, with the radius that is proved':<52}  units"]
    for one in found:
        side = f"  {_SIDES[one.side]}".rstrip()
        said.append(f"{one.quantity:<{width}}  {one.value!r:<22}  {one.ball:<52}  {_units(one)}{side}")
    last = found[-1]
    rounded = f", {_SIDES[last.side]}" if last.side else ""
    proved = (
        f"Proved: {last.quantity} lies between {last.low!r} and {last.high!r}; alignlib has {last.value!r}{rounded}, "
        f"within {_units(last)} units of its last place."
    )
    return [*said, _EXACT, "", proved]


def _units(one: Certified) -> str:
    return f"{max(one.units, 0.5):.3g}"
