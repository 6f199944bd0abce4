"""Values that a tracker keeps metric by metric, as a row for each step: what is logged again replaces what stood there.

Metrics of one step are written one after the other, so a run may be killed between them; a single one may be corrected
later; and after a resume all of them run back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray
from alignlib.training.logs.resumes import resolved
from alignlib.training.logs.steps import backwards, no_order

__all__ = ["Value", "each_by_itself", "logged_again", "of_no_times", "rows_of_values"]

Value: TypeAlias = tuple[float | None, float, str, object]
"""Time, where it is known, step, metric and value."""

Row: TypeAlias = dict[str, object]


def rows_of_values(written: Sequence[Value]) -> tuple[list[Row], Counter[str]]:
    """Return the rows of a run, each with its step, those of a resumed run behind what it wrote before.

    What is written for an earlier step is of a resume where the steps go on from there, and else a correction, which
    replaces what stood there alone (`resumes`). Where neither times nor their order are known, each metric is resolved
    by itself. Steps that many values share are several rows.

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
    return _in_time(_by_time(written)) if _have_times(written) else _without_times(_forwards(written))


def of_no_times(written: Sequence[Value]) -> list[str]:
    """Say how values without times are ordered where later ones may replace earlier ones.

    Parameters
    ----------
    written : sequence of Value
        Of one run.

    Examples
    --------
    >>> again = [(None, 1.0, "kl", 0.1), (None, 1.0, "kl", 0.2), (None, 1.0, "reward", 0.5)]
    >>> of_no_times(again)[0]
    'The lines have no times that tell their order, and they stand in the order of metrics, ...'
    >>> of_no_times(again[1:])
    []
    """
    if _have_times(written) or len({(step, name) for _, step, name, _ in written}) == len(written):
        return []
    names = [name for name, _ in groupby(written, key=lambda one: one[2])]
    order = "so the order of the lines is taken for that of time"
    if len(set(names)) == len(names):
        order = (
            "and they stand in the order of metrics, of which each is taken in the order of its lines. A step that "
            "stands again is taken for one run again after a resume, or for one corrected where most metrics never go "
            "back so far: which it was is not known"
        )
    if _forwards(written) is not written:
        order += "; they are read from the last one on, for the steps fall"
    remedy = "export them with times to tell a resume from a correction"
    return [f"The lines have no times that tell their order, {order}; {remedy}."]


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
            for row in mine
            for what, one in values.items()
            if not np.isnan(one[row])
        ]
        own = _without_times(written)[0]
        rows += own
        runs += [name] * len(own)
    if not any({"kl", "reward"} <= set(row) for row in rows):
        return None
    held = {what: np.array([row.get(what, np.nan) for row in rows], dtype=np.float64) for what in values}
    return np.array([row["step"] for row in rows], dtype=np.float64), np.array([*runs, None], dtype=object)[:-1], held


def _have_times(written: Sequence[Value]) -> bool:
    times = {time for time, *_ in written}
    return len(times) > 1 and None not in times


def _by_time(written: Sequence[Value]) -> list[Value]:
    """Return values in the order of time; of one time, in which each metric's steps rise, in the order of steps."""
    ordered = sorted(written, key=lambda one: one[0] or 0.0)  # stable: a metric's own order at one time
    found = list[Value]()
    for _, alike in groupby(ordered, key=lambda one: one[0]):
        same = list(alike)
        last, rising = dict[str, float](), True
        for _, step, name, _ in same:
            rising &= step > last.get(name, -np.inf)
            last[name] = step
        found += sorted(same, key=lambda one: one[1]) if rising else same
    return found


def _in_time(written: Sequence[Value]) -> tuple[list[Row], Counter[str]]:
    """Return rows by step of values that stand in the order of time, and which values were replaced."""
    several = _many(written)
    pieces, at = list[Row](), list[float]()
    for _, step, name, value in written:
        if not pieces or at[-1] != step or name in pieces[-1]:
            pieces.append({"step": step})
            at.append(step)
        pieces[-1][name] = value
    found = resolved(at, [frozenset(piece) - {"step"} for piece in pieces])
    again: Counter[str] = Counter()
    rows: dict[tuple[int, float, int], Row] = {}
    for i, (piece, one) in enumerate(zip(pieces, found, strict=True)):
        process = i if several and i and at[i] == at[i - 1] else one.place
        held = rows.setdefault((one.part, at[i], process), {"step": at[i]})
        again.update(set(piece) & set(held) - {"step"})
        held.update(piece)
    return [rows[key] for key in sorted(rows)], again


def _forwards(written: Sequence[Value]) -> Sequence[Value]:
    """Return values without times in the other order where the steps of each metric fall, as of the newest first."""
    steps = dict[str, list[float]]()
    for _, step, name, _ in written:
        steps.setdefault(name, []).append(step)
    return written[::-1] if steps and all(map(backwards, steps.values())) else written


def _many(written: Sequence[Value]) -> bool:
    """Whether most steps of some metric stand several times in a row, as those of several processes do."""
    last, steps, same = dict[str, float](), dict[str, set[float]](), dict[str, set[float]]()
    for _, step, name, _ in written:
        steps.setdefault(name, set()).add(step)
        if last.get(name) == step:
            same.setdefault(name, set()).add(step)
        last[name] = step
    return any(len(at) > max(1.0, 0.5 * len(steps[name])) for name, at in same.items())


def _without_times(written: Sequence[Value]) -> tuple[list[Row], Counter[str]]:
    """Return rows by step of values without times: in their order, or where it is that of the metrics, each by itself.

    A single metric that goes back where most others never do was corrected.
    """
    names = [name for name, _ in groupby(written, key=lambda one: one[2])]
    if len(set(names)) < len(names):
        return _in_time(written)
    again: Counter[str] = Counter()
    rows: dict[tuple[float, int], Row] = {}
    several = _many(written)
    held = {name: [(at, value) for _, at, _, value in own] for name, own in groupby(written, key=lambda one: one[2])}
    back = {name: _least_back([at for at, _ in own]) for name, own in held.items()}
    for name, own in held.items():
        others = [least for other, least in back.items() if other != name]
        kept: dict[float, list[object]] = {}
        sorted_otherwise = several or no_order(np.array([at for at, _ in own]))
        for at, value in own:
            if not sorted_otherwise and kept and at <= max(kept):
                corrected = 2 * sum(least > at for least in others) > len(others)
                gone = [step for step in kept if step == at or (step > at and not corrected)]
                again[name] += sum(len(kept.pop(step)) for step in gone)
            kept.setdefault(at, []).append(value)
        for at, values in kept.items():
            for turn, value in enumerate(values):
                rows.setdefault((at, turn), {"step": at})[name] = value
    return [rows[key] for key in sorted(rows)], again


def _least_back(steps: Sequence[float]) -> float:
    """Return the least step to which steps fall; infinity where they do not."""
    return min((now for before, now in pairwise(steps) if now < before), default=np.inf)
