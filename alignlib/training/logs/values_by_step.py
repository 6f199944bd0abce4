"""Values that a tracker keeps metric by metric, as a row for each step: what is logged again replaces what stood there.

Metrics of one step are written one after the other, so a run may be killed between them; a single one may be corrected
later; and after a resume all of them run back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray
from alignlib.training.logs.steps import latest, no_order

__all__ = ["Value", "each_by_itself", "logged_again", "rows_of_values"]

Value: TypeAlias = tuple[float | None, float, str, object]
"""Time, where it is known, step, metric and value."""

Row: TypeAlias = dict[str, object]


def rows_of_values(written: Sequence[Value]) -> tuple[list[Row], Counter[str]]:
    """Return the rows of a run, each with its step, those of a resumed run behind what it wrote before.

    Where times are known, whatever is written after most metrics have run back belongs to what was resumed, for some
    are written at fewer steps and need not run back themselves. Where a single one runs back, it was corrected. Where
    times are not known, each metric is resolved by itself. Steps that many values share are several rows.

    Parameters
    ----------
    written : sequence of Value
        In the order in which each metric was written.

    Returns
    -------
    rows : list of dict
        With the step under ``"step"``.
    again : Counter
        Of each metric the values that later ones replace and no row holds.

    Examples
    --------
    >>> killed = [(1.0, 10.0, "kl", 0.1), (1.0, 10.0, "reward", 0.2), (2.0, 20.0, "kl", 0.3)]
    >>> rows, again = rows_of_values([*killed, (3.0, 20.0, "kl", 0.4), (3.0, 20.0, "reward", 0.5)])
    >>> rows[1], again
    ({'step': 20.0, 'kl': 0.4, 'reward': 0.5}, Counter({'kl': 1}))
    """
    times = {time for time, *_ in written}
    if len(times) < 2 or None in times:
        return _without_times(written)
    again: Counter[str] = Counter()
    parts = _parts(sorted(written, key=lambda one: one[0] or 0.0), again)  # stable: a metric's own order at one time
    whole = parts[:1]
    for part in parts[1:]:
        if _is_correction(part, whole[-1]):
            for step, row in part.items():
                held = whole[-1].setdefault(step, {"step": step})
                again.update(set(row) & set(held) - {"step"})
                held.update(row)
        else:
            whole.append(part)
    return [part[step] for part in whole for step in sorted(part)], again


def logged_again(again: Mapping[str, int], names: Sequence[str]) -> list[str]:
    """Say of which columns values were replaced by later ones, and how many.

    Parameters
    ----------
    again : mapping of str to int
        Values that were replaced, by the column.
    names : sequence of str
        Columns that are read.

    Examples
    --------
    >>> logged_again({"kl": 2, "loss": 1}, ["kl", "reward"])
    ["Logged again for their step, or after a resume: 2 values of 'kl'; the later ones were taken."]
    """
    told = [f"{again[name]} of {name!r}" for name in dict.fromkeys(names) if again.get(name)]
    if not told:
        return []
    number, rest = told[0].split(" ", 1)
    first = f"{number} value{'s' if number != '1' else ''} {rest}"
    return [
        f"Logged again for their step, or after a resume: {', '.join([first, *told[1:]])}; the later ones were taken."
    ]


def each_by_itself(
    step: FloatArray, run: npt.NDArray[np.object_], values: Mapping[str, FloatArray]
) -> tuple[FloatArray, npt.NDArray[np.object_], dict[str, FloatArray]] | None:
    """Return rows in which values meet by their step, each in its own order; None where they share no step.

    Parameters
    ----------
    step, run : array (m,)
        Step and run of each row.
    values : mapping of arrays (m,)
        KL, reward and whatever else belongs to a row; NaN where missing.

    Returns
    -------
    step, run, values
        Of the new rows.

    Examples
    --------
    >>> nan, run = np.nan, np.array(["a"] * 4, dtype=object)
    >>> held = {"kl": np.array([0.1, 0.2, nan, nan]), "reward": np.array([nan, nan, 3.0, 4.0])}
    >>> found = each_by_itself(np.array([1.0, 2.0, 1.0, 2.0]), run, held)
    >>> found[0].tolist(), found[2]["reward"].tolist()
    ([1.0, 2.0], [3.0, 4.0])
    """
    rows, runs = list[Row](), list[object]()
    for name in dict.fromkeys(run.tolist()):
        mine = np.flatnonzero((run == name) & np.isfinite(step)).tolist()
        written = [
            (None, float(step[row]), what, float(one[row]))
            for what, one in values.items()
            for row in mine
            if not np.isnan(one[row])
        ]
        own = _without_times(written)[0]
        rows += own
        runs += [name] * len(own)
    if not any({"kl", "reward"} <= set(row) for row in rows):
        return None
    held = {what: np.array([row.get(what, np.nan) for row in rows], dtype=np.float64) for what in values}
    return np.array([row["step"] for row in rows], dtype=np.float64), np.array([*runs, None], dtype=object)[:-1], held


def _parts(written: Sequence[Value], again: Counter[str]) -> list[dict[float, Row]]:
    """Return rows by step, in parts that begin where a metric runs back."""
    parts, last = [dict[float, Row]()], dict[str, float]()
    several = _many(written)
    repeated: Row = {}  # of the step that was logged last, which may turn out to be the first of a resume
    for _, step, name, value in written:
        before = last.get(name)
        if before is not None and (step < before or (step == before and several)):
            seed = repeated if repeated.get("step") == step else {"step": step}
            again.subtract(set(seed) - {"step"})
            parts.append({step: dict(seed)})
            last = dict.fromkeys(set(seed) - {"step"}, step)
        elif step == before:
            again[name] += 1
            repeated = {**(repeated if repeated.get("step") == step else {}), "step": step, name: value}
        last[name] = step
        parts[-1].setdefault(step, {"step": step})[name] = value
    return parts


def _many(written: Sequence[Value]) -> bool:
    """Whether most steps of some metric stand several times in a row, as those of several processes do."""
    last, steps, same = dict[str, float](), dict[str, set[float]](), dict[str, set[float]]()
    for _, step, name, _ in written:
        steps.setdefault(name, set()).add(step)
        if last.get(name) == step:
            same.setdefault(name, set()).add(step)
        last[name] = step
    return any(len(at) > max(1.0, 0.5 * len(steps[name])) for name, at in same.items())


def _is_correction(part: Mapping[float, Row], before: Mapping[float, Row]) -> bool:
    """Whether fewer metrics run back than were written, and did not, at the steps of those that do."""
    first: dict[str, float] = {}
    for step, row in part.items():
        for name in row:
            first[name] = min(step, first.get(name, step))
    last = {name: step for step, row in sorted(before.items()) for name in row}
    back = {name for name, step in first.items() if step <= last.get(name, -np.inf)} - {"step"}
    steps = [step for step, row in part.items() if back & set(row)]
    low, high = min(steps, default=np.inf), max(steps, default=-np.inf)
    others = {name for step, row in before.items() if low <= step <= high for name in row} - back - {"step"}
    return len(back) < len(others)


def _without_times(written: Sequence[Value]) -> tuple[list[Row], Counter[str]]:
    """Return rows by step of metrics each of which is in its own order, and of those alone."""
    again: Counter[str] = Counter()
    rows: dict[tuple[float, int], Row] = {}
    several = _many(written)
    held: dict[str, list[tuple[float, object]]] = {}
    for _, at, name, value in written:
        held.setdefault(name, []).append((at, value))
    for name, mine in held.items():
        step = np.array([at for at, _ in mine])
        alive = np.ones(step.size, dtype=bool) if several or no_order(step) else latest(step)
        again[name] += int((~alive).sum())
        turn: Counter[float] = Counter()
        for (at, value), kept in zip(mine, alive.tolist(), strict=True):
            if kept:
                rows.setdefault((at, turn[at]), {"step": at})[name] = value
                turn[at] += 1
    return [rows[key] for key in sorted(rows)], again
