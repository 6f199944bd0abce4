"""The capacity of feedback, as lines, as JSON and as the points of a CSV."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from alignlib._core.names import counted
from alignlib._core.safe_text import for_terminal
from alignlib._core.shown import level_shown
from alignlib.answers.capacity import CapacityAnswer, ContextCapacity
from alignlib.answers.output.render import Row, listed

__all__ = ["COLUMNS", "lines", "points", "record"]

COLUMNS = tuple(field.name for field in fields(ContextCapacity))


def record(found: CapacityAnswer) -> dict[str, Any]:
    """Return the numbers for JSON; what is unknown or infinite is None.

    Parameters
    ----------
    found : CapacityAnswer
        The answer.
    """
    about = listed(found, ("level", "targets", "labels", "n_raters", "notes"))
    return {**about, "rows": points(found)}


def points(found: CapacityAnswer) -> list[dict[str, Any]]:
    """Return one row per context, then their average if there are several.

    Parameters
    ----------
    found : CapacityAnswer
        The answer.
    """
    return [listed(row, COLUMNS) for row in found.rows]


def lines(found: CapacityAnswer) -> list[str]:
    """Return the answer as text.

    Parameters
    ----------
    found : CapacityAnswer
        The answer.

    Examples
    --------
    >>> from alignlib.answers.capacity import ask_capacity
    >>> from alignlib.tables.rater_table import RaterTable
    >>> table = RaterTable.from_arrays(["a", "b"] * 500, ["a", "b"] * 400 + ["a", "a"] * 100)
    >>> print(lines(ask_capacity(table))[2])
    Nats per label; 2 targets, 2 labels; intervals: labels taken as independent.
    """
    said = [*found.notes, *_table(found)]
    spread = (
        f"{found.n_raters} raters left out in turn" if found.n_raters is not None else "labels taken as independent"
    )
    said.append(
        f"Nats per label; {counted(found.targets, 'target')}, {counted(found.labels, 'label')}; intervals: {spread}."
    )
    said.append(
        "floor: no learner errs less often on a fresh target it sees one label of (all targets equally likely), by "
        "Fano's inequality at the two ends of the capacity."
    )
    said.append(
        "best decoder: how often the best guess from one label errs, judged on these counts (too low) and on held-out "
        "labels (too high); the exact error of the channel lies between, in expectation. It is no interval: how much "
        "the two vary by chance is not in it."
    )
    few = min(found.rows, key=lambda row: row.label_floor)
    if few.label_floor > 0.0:
        said.append(
            f"{counted(found.labels, 'label')} name at most {found.labels} of {few.targets} targets: every decoder "
            f"errs at least {few.label_floor:z.3f} of the time, whatever the capacity."
        )
    below = [f"{row.context!r} ({row.capacity:.2g})" for row in found.rows if row.capacity < 0.0]
    if below:
        said.append(
            f"Shown as 0, for they are 0 within noise: {', '.join(below)}; the correction for the bias of counting may "
            "take what is near 0 below it."
        )
    thin = [repr(row.context) for row in found.rows if not row.supported]
    if thin:
        said.append(
            f"* {', '.join(thin)}: fewer than 100 labels for a target, a capacity near zero, or much bias; the "
            f"interval may hold the truth less often than {level_shown(found.level)} of the time. Collect more labels."
        )
    return said


def _table(found: CapacityAnswer) -> list[str]:
    names = [for_terminal(row.context) for row in found.rows]
    width = max(len("context"), *map(len, names))
    percent = level_shown(found.level)
    head = f"{'context':<{width}}  {'labels':>7}  {'capacity':>8}  {percent:>17}  {'uncorrected':>11}  "
    said = [f"{head}{'floor':>15}  {'best decoder':>15}"]
    for name, row in zip(names, found.rows, strict=True):
        interval = f"{row.low:z.4f} … {row.high:z.4f}"
        floor = f"{row.floor_low:z.3f} … {row.floor_high:z.3f}"
        decoder = f"{row.decoder_error:z.3f} … {row.decoder_error_held_out:z.3f}"
        mark = "" if row.supported else " *"
        cells = f"{row.labels:>7}  {max(row.capacity, 0.0):>z8.4f}  {interval:>17}  {row.plug_in:>z11.4f}"
        said.append(Row(f"{name:<{width}}  {cells}  {floor:>15}  {decoder:>15}{mark}"))
    return said
