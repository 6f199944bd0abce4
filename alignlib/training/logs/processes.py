"""Rows that several processes of one run wrote side by side: told from a resume, and averaged step by step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.training.logs.columns import Columns
from alignlib.training.logs.steps import means_of
from alignlib.training.policy_kl.response_names import PROCESSES

__all__ = ["mean_of_processes", "process_of_rows"]

_TIMES = ("_timestamp", "timestamp", "time", "wall_time", "Wall time")
_A_DATE = 1e8  # seconds or more since 1970: below it a time is a duration


def process_of_rows(
    columns: Columns, step: FloatArray, run: npt.NDArray[np.object_], values: Mapping[str, FloatArray]
) -> tuple[IntArray, str] | None:
    """Return the process of each row and why it is one of several, or None where nothing shows that there are several.

    A column named after processes shows it, where rows of one step differ in it. So do rows whose steps run back again
    and again such that each step stands equally often, as where processes write by turns: a resume repeats what came
    after its checkpoint, not all. Where the steps run through in whole passes, this is also what training anew into
    the same file looks like; then times that overlap show it.

    Parameters
    ----------
    columns : Columns
        The log.
    step, run : array (m,)
        Step and run of each row.
    values : mapping of arrays (m,)
        KL, reward and whatever else belongs to a row; NaN where missing.

    Returns
    -------
    process : array (m,)
        A number for the process of each row.
    why : str
        What shows it, to end a sentence.
    """
    told = np.isfinite(step) & np.logical_or.reduce([~np.isnan(one) for one in values.values()])
    named = named_process(columns, step, run, told)
    if named is not None:
        return named[0], f"of {np.unique(named[0][told]).size} processes ({named[1]!r})"
    rows = np.flatnonzero(np.isfinite(step) & ~np.isnan(values["kl"]) & ~np.isnan(values["reward"]))
    if rows.size < told.sum() or rows.size == 0 or len(set(run[rows].tolist())) > 1:
        return None
    at = step[rows]
    turn = _occurrence(at)
    often = int(turn.max()) + 1
    if often == 1 or (np.unique(at, return_counts=True)[1] != often).any() or (np.diff(at) == 0.0).any():
        return None
    process = np.zeros(step.size, dtype=np.int64)
    process[rows] = turn
    each = f"each step stands {often} times"
    if int((np.diff(at) < 0.0).sum()) > often - 1:
        why = f"as of {often} processes that write by turns, for {each}, which a resume does not make of all"
        return process, f"{why}; if training was begun again instead, keep the rows that count"
    for name in _TIMES:
        time = _dates(columns, name)
        if time is not None and (time[rows][turn > 0].min() < time[rows][turn == 0].max()):
            return process, f"of {often} processes, for {each}, at times that overlap ({name!r})"
    return None


def named_process(
    columns: Columns, step: FloatArray, run: npt.NDArray[np.object_], told: BoolArray
) -> tuple[IntArray, str] | None:
    """Return the process of each row and the column that names it, None where no step of a run is of several.

    Parameters
    ----------
    columns : Columns
        The log.
    step, run : array (m,)
        Step and run of each row.
    told : array of bool (m,)
        Rows that have a say.

    Returns
    -------
    process : array (m,)
        A number for the process of each row.
    name : str
        The column.
    """
    for name in PROCESSES:
        rank = _whole_numbers(columns, name)
        if rank is not None and _several(step[told], run[told], rank[told]):
            return rank, name
    return None


def mean_of_processes(
    step: FloatArray,
    run: npt.NDArray[np.object_],
    values: Mapping[str, FloatArray],
    why: str,
    weights: Mapping[str, str] | None = None,
) -> tuple[FloatArray, npt.NDArray[np.object_], dict[str, FloatArray], str]:
    """Return a row for each step of each run, the mean of those of its processes, and a note.

    Parameters
    ----------
    step, run : array (m,)
        Step and run of each row, in the order of training for each process.
    values : mapping of arrays (m,)
        What belongs to a row; NaN where missing.
    why : str
        What showed that there are several processes.
    weights : mapping of str to str, optional
        By which of the values another is weighted.

    Returns
    -------
    step : array (k,)
        Rising within a run.
    run : array (k,)
        The run of each.
    values : dict of str to array (k,)
        Means over processes.
    note : str
        What was done.

    Examples
    --------
    >>> runs = np.array(["a"] * 4, dtype=object)
    >>> kl = np.array([1.0, 2.0, 3.0, 5.0])
    >>> found = mean_of_processes(np.array([0.0, 1.0, 0.0, 1.0]), runs, {"kl": kl}, "of 2 processes")
    >>> found[2]["kl"].tolist(), found[3]
    ([2.0, 3.5], 'Averaged: 4 rows to 2 steps, of 2 processes.')
    """
    parts: list[tuple[str, FloatArray, dict[str, FloatArray]]] = []
    for name in dict.fromkeys(run.tolist()):
        mine = np.flatnonzero(run == name)
        at, group = np.unique(step[mine], return_inverse=True)
        held = means_of(group, {what: column[mine] for what, column in values.items()}, weights)
        parts.append((name, at, held))
    whose = np.empty(sum(at.size for _, at, _ in parts), dtype=object)
    whose[:] = [name for name, at, _ in parts for _ in range(at.size)]
    return (
        np.concatenate([at for _, at, _ in parts]),
        whose,
        {what: np.concatenate([held[what] for _, _, held in parts]) for what in values},
        f"Averaged: {counted(step.size, 'row')} to {counted(whose.size, 'step')}, {why}.",
    )


def _whole_numbers(columns: Columns, name: str) -> IntArray | None:
    """Return a column of the log as whole numbers, None where it is none."""
    try:
        found = columns.bounded(name) if name in columns.names else np.zeros(0)
    except InputError:  # a name, say, of a machine
        return None
    whole = found.size > 0 and bool((np.isfinite(found) & (found == np.rint(found)) & (np.abs(found) < 1e9)).all())
    return found.astype(np.int64) if whole else None


def _dates(columns: Columns, name: str) -> FloatArray | None:
    try:
        found = columns.bounded(name) if name in columns.names else np.zeros(0)
    except InputError:
        return None
    return found if found.size and bool((found > _A_DATE).all()) else None


def _several(step: FloatArray, run: npt.NDArray[np.object_], rank: IntArray) -> bool:
    """Whether some step of a run stands under more than one process."""
    at = [*zip(run.tolist(), step.tolist(), strict=True)]
    return len(set(zip(at, rank.tolist(), strict=True))) > len(set(at))


def _occurrence(step: FloatArray) -> IntArray:
    """Return how many rows before each have its step."""
    order = np.argsort(step, kind="stable")
    first = np.append(True, np.diff(step[order]) != 0.0)
    start = np.flatnonzero(first)[np.cumsum(first) - 1]
    found = np.empty(step.size, dtype=np.int64)
    found[order] = np.arange(step.size) - start
    return found
