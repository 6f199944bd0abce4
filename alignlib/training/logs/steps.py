"""Rows of a log in the order of training: rows of one step joined, steps that run back after a resume resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.names import by_name
from alignlib._core.names import counted as count
from alignlib.training.logs.resumes import resolved
from alignlib.training.logs.whole_rows import whole_rows

__all__ = ["backwards", "in_order", "latest", "means_of", "no_order", "one_a_step", "ran_back"]

_MOSTLY = 3  # falls of the steps to a rise: of no log that is written forwards
_MOST_RESUMES = 0.1  # of the rows: steps that fall more often are not in order at all
_MOST_AGAIN = 0.5  # of the steps: more that stand several times in a row were not all run again
_MOST_STARTS = 4  # of one step in a row: more are not of a run that was killed within it


def in_order(
    step: FloatArray,
    run: npt.NDArray[np.object_],
    values: Mapping[str, FloatArray],
    *,
    counted: bool = True,
    sparse: bool | BoolArray = True,
    epoch: FloatArray | None = None,
    weights: Mapping[str, str] | None = None,
) -> tuple[FloatArray, npt.NDArray[np.object_], dict[str, FloatArray], list[str]]:
    """Return step, run and values with a row for each step of each run, and what was done.

    Rows without KL and reward are left out: they logged something else. Neighbouring rows of one step that do not
    contradict each other are joined. Where the steps of a run fall, training was resumed from an earlier checkpoint:
    what was logged from there on before is replaced.

    Parameters
    ----------
    step, run : array, (m,)
        Step and run of each row.
    values : mapping of arrays, (m,)
        KL, reward and whatever else belongs to a row; NaN where missing.
    counted : bool
        False where ``step`` only counts the rows.
    sparse : bool or array of bool, (m,)
        Whether rows that hold neither KL nor reward logged something else, and are left out; or which of them.
    epoch : array, (m,), optional
        How far training was, where ``step`` only counts the rows: after a resume it runs back.
    weights : mapping of str to str, optional
        By which of the values another is weighted where rows of one step are averaged.

    Returns
    -------
    step : array (k,)
        Rising within a run.
    run : array (k,)
        The run of each.
    values : dict of str to array (k,)
        KL, reward and the rest.
    notes : list of str
        What was done.

    Examples
    --------
    >>> runs = np.array(["a"] * 5, dtype=object)
    >>> kl, reward = np.array([1.0, np.nan, 2.0, 3.0, 9.0]), np.array([np.nan, 5.0, 6.0, 7.0, 8.0])
    >>> found = in_order(np.array([1.0, 1.0, 2.0, 3.0, 2.0]), runs, {"kl": kl, "reward": reward})
    >>> found[0].tolist(), found[2]["kl"].tolist(), found[2]["reward"].tolist()
    ([1.0, 2.0], [1.0, 9.0], [5.0, 8.0])
    """
    elsewhere = np.broadcast_to(sparse, step.shape)
    told = np.logical_or.reduce([~np.isnan(one) for one in values.values()]) | ~elsewhere
    nowhere = int((told & ~np.isfinite(step)).sum())
    rows = np.flatnonzero(told & np.isfinite(step))
    if not counted:
        rows, printed = _printed_once(rows, run, values, epoch)
        rows, notes = _resumed(rows, run, epoch)
        notes = [*printed, *notes]
        return step[rows], run[rows], {name: one[rows] for name, one in values.items()}, notes
    joined = 0
    notes = [f"Left out: {count(nowhere, 'row')} without a step."] if nowhere else []
    replaced, twice, resumes = 0, 0, list[float]()
    held = {name: one.copy() for name, one in values.items()}
    names = list(dict.fromkeys(run[rows].tolist()))
    complete = [~np.isnan(values[name][rows]) for name in ("kl", "reward")]
    wide = bool((complete[0] & complete[1]).sum() > 0.5 * (complete[0] | complete[1]).sum())
    kept = list[npt.NDArray[np.intp]]()
    for name in names:
        mine = rows[run[rows] == name]
        apart = _later_between(step, np.flatnonzero((run == name) & np.isfinite(step)), mine)
        mine, part, more, said = one_a_step(step, mine, held, sparse=elsewhere, weights=weights, apart=apart)
        joined += more
        mine, part, apart_from = whole_rows(step, mine, part, held, wide)
        notes += [*said, *apart_from]
        falls = np.flatnonzero((np.diff(part) != 0) | (np.diff(step[mine]) < 0.0)) + 1
        if no_order(step[mine]):
            kept.append(mine[np.argsort(step[mine], kind="stable")])
            notes.append("The rows are in no order; they were sorted by step.")
            continue
        alive = latest(step[mine])
        again = np.append(_same(step[mine], part), False)  # written twice, which is no way back
        _complete(mine, again, held)
        replaced += int((~alive & ~again).sum())
        twice += int(again.sum())
        resumes += [float(step[mine][place]) for place in falls if step[mine][place] <= step[mine][place - 1]]
        kept.append(mine[alive])
    order = np.concatenate(kept) if kept else rows
    if joined:
        notes.append(f"Joined: {count(joined, 'row')} with another of the same step.")
    if twice:
        notes.append(
            f"{count(twice, 'row')} with the step of the row after and other values, as of a step that was run again: "
            "the later one was taken."
        )
    if replaced or resumes:
        notes.append(ran_back("step", resumes, replaced))
    return step[order], run[order], {name: one[order] for name, one in held.items()}, notes


def one_a_step(
    step: FloatArray,
    mine: npt.NDArray[np.intp],
    held: dict[str, FloatArray],
    *,
    sparse: bool | BoolArray,
    weights: Mapping[str, str] | None = None,
    apart: BoolArray | None = None,
) -> tuple[npt.NDArray[np.intp], IntArray, int, list[str]]:
    """Turn a log around that is written backwards, and join or average what belongs to one step, in ``held``.

    Steps that fall or stand afterwards are of a resume: which start of training rows belong to is told before any is
    left out.

    Parameters
    ----------
    step : array (m,)
        Step of each row.
    mine : array of int (k,)
        Rows of one run.
    held : dict of str to array (m,)
        KL, reward and whatever else belongs to a row; NaN where missing.
    sparse : bool or array of bool (m,)
        Whether rows that hold neither KL nor reward are left out; or which of them.
    weights : mapping of str to str, optional
        By which of the values another is weighted where rows are averaged.
    apart : array of bool (m,), optional
        Rows that are of a later start of training than the row before, as what stood between shows.

    Returns
    -------
    mine : array of int
        The rows that are left.
    part : array of int
        The start of training of each.
    joined : int
        How many were joined with another.
    notes : list of str
        What was done.
    """
    forward, notes = _forward(step, mine)
    apart = apart if forward is mine else None  # of a log that is read the other way
    mine = forward
    mine, joined = _join(step, mine, held, apart)
    mine, part, corrected = _starts(step, mine, held, apart)
    if corrected:
        notes.append(f"{count(corrected, 'row')} with other values of earlier steps alone: the later ones were taken.")
    elsewhere = np.broadcast_to(sparse, step.shape)[mine]
    kept = ~np.isnan(held["kl"][mine]) | ~np.isnan(held["reward"][mine]) | ~elsewhere
    mine, part = mine[kept], part[kept]
    mine, part, averaged = _average(step, mine, part, held, weights)
    return mine, part, joined, [*notes, *averaged]


def no_order(step: FloatArray) -> bool:
    """Tell whether steps fall so often, each to another, or so, that the order of the rows is not that of training.

    They fall so where they are in the order of their names.

    Parameters
    ----------
    step : array (k,)
        Steps in the order in which they were logged.
    """
    falls = int((np.diff(step) <= 0.0).sum())
    often = falls > max(1.0, _MOST_RESUMES * step.size) and np.unique(step).size == step.size
    return often or by_name(step.tolist())


def backwards(steps: Sequence[float]) -> bool:
    """Tell whether a log begins with its last step: its steps fall, but where a resume is passed.

    Parameters
    ----------
    steps : sequence of float
        In the order of the log.

    Examples
    --------
    >>> backwards([5, 4, 3, 4, 3, 2, 1]), backwards([3, 2, 1]), backwards([1, 2, 3, 4, 3, 4, 5])
    (True, True, False)
    """
    change = np.diff(steps)
    falls, rises = int((change < 0.0).sum()), int((change > 0.0).sum())
    return falls > 1 if falls == change.size else falls > _MOSTLY * max(rises, 1)


def ran_back(what: str, resumes: list[float], replaced: int) -> str:
    """Say that the log ran back, and what was left out.

    Parameters
    ----------
    what : str
        What it is counted in.
    resumes : list of float
        Where it went on each time.
    replaced : int
        How many rows later ones replace.
    """
    shown = ", ".join(f"{one:g}" for one in resumes[:5]) + (" and later" if len(resumes) > 5 else "")
    return (
        f"The {what}s run back {count(len(resumes), 'time')} (to {shown}), as after a resume: the later rows were "
        f"taken, and {count(replaced, 'earlier one')} of these {what}s and beyond left out. If these are several "
        "runs or processes instead, name the column that tells them apart (run), or put each in a file of its own."
    )


def _printed_once(
    rows: npt.NDArray[np.intp],
    run: npt.NDArray[np.object_],
    values: Mapping[str, FloatArray],
    epoch: FloatArray | None,
) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Leave out rows that have epoch and values of the row before, as of a console that two write to."""
    if epoch is None or rows.size < 2:
        return rows, []
    same = (run[rows[1:]] == run[rows[:-1]]) & (epoch[rows[1:]] == epoch[rows[:-1]])
    for one in values.values():
        now, before = one[rows[1:]], one[rows[:-1]]
        same &= (now == before) | (np.isnan(now) & np.isnan(before))
    if not same.any():
        return rows, []
    said = f"Left out: {count(int(same.sum()), 'row')} with epoch and values of the row before, as printed twice."
    return rows[np.append(True, ~same)], [said]


def _resumed(
    rows: npt.NDArray[np.intp], run: npt.NDArray[np.object_], epoch: FloatArray | None
) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return the rows that no later part of their run, begun by an epoch that falls, replaces; and what was done.

    Epochs are rounded where they are printed: rows of one epoch are several steps, and replace each other only across
    a fall.
    """
    if epoch is None:
        return rows, []
    alive, resumes = np.ones(rows.size, dtype=bool), list[float]()
    for name in dict.fromkeys(run[rows].tolist()):
        mine = np.flatnonzero((run[rows] == name) & np.isfinite(epoch[rows]))
        at = epoch[rows][mine]
        for place in (np.flatnonzero(np.diff(at) < 0.0) + 1).tolist():
            alive[mine[:place][at[:place] >= at[place]]] = False
            resumes.append(float(at[place]))
    lost = int((~alive).sum())
    said = [ran_back("epoch", resumes, lost)] if lost else []
    told = epoch[rows[alive]]
    told = told[np.isfinite(told)]
    again = int((stood := np.diff(told) == 0.0).sum())
    if 0 < again <= 0.5 * stood.size:  # where most stand still they are rounded
        said.append(
            f"{count(again, 'row')} with the epoch of the row before: a step logged again after a resume, or epochs "
            "rounded as they were printed. All count; take the trainer's file, which has steps."
        )
    return rows[alive], said


def _forward(step: FloatArray, mine: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Turn a log around that begins with its latest row, and sort one that is in the order of its steps' names."""
    if by_name(step[mine].tolist()):
        return mine[np.argsort(step[mine], kind="stable")], [
            "The rows are in the order of their steps' names (10 before 2); they were sorted by step."
        ]
    if backwards(step[mine].tolist()):
        return mine[::-1], ["The log begins with its last step; it was turned around."]
    return mine, []


def _later_between(step: FloatArray, every: npt.NDArray[np.intp], mine: npt.NDArray[np.intp]) -> BoolArray:
    """Tell which rows follow one of their own step with a later step between, which shows that the run went on.

    Parameters
    ----------
    step : array (m,)
        Step of each row.
    every, mine : array of int
        Rows of one run, and those of them that hold what is read.
    """
    found = np.zeros(step.size, dtype=bool)
    place = np.searchsorted(every, mine)
    for before, now in zip(place[:-1].tolist(), place[1:].tolist(), strict=True):
        if now > before + 1 and step[every[before]] == step[every[now]]:
            found[every[now]] = bool((step[every[before + 1 : now]] > step[every[now]]).any())
    return found


def _join(
    step: FloatArray, mine: npt.NDArray[np.intp], held: dict[str, FloatArray], apart: BoolArray | None
) -> tuple[npt.NDArray[np.intp], int]:
    """Join neighbouring rows of one step where no value stands twice, in ``held``; return the rows that are left."""
    left: list[int] = []
    for row in mine.tolist():
        last = left[-1] if left else None
        if last is not None and step[last] == step[row] and (apart is None or not apart[row]):
            both = [one for one in held.values() if not np.isnan(one[last]) and not np.isnan(one[row])]
            if all(one[last] == one[row] for one in both):
                for one in held.values():
                    one[last] = one[row] if np.isnan(one[last]) else one[last]
                continue
        left.append(row)
    return np.array(left, dtype=np.intp), mine.size - len(left)


def _starts(
    step: FloatArray, mine: npt.NDArray[np.intp], held: dict[str, FloatArray], apart: BoolArray | None
) -> tuple[npt.NDArray[np.intp], IntArray, int]:
    """Let corrections replace what they correct, in ``held``; return the other rows, and the start of each."""
    names = [frozenset(name for name, one in held.items() if not np.isnan(one[row])) for row in mine.tolist()]
    found = resolved(step[mine].tolist(), names, frozenset({"kl"}))
    kept, latest_at = np.ones(mine.size, dtype=bool), dict[int, int]()
    known: dict[int, set[str]] = {}
    for i, (row, one) in enumerate(zip(mine.tolist(), found, strict=True)):
        target, before = latest_at.get(one.place), known.setdefault(one.place, set())
        stands = target is None or (step[mine[target:i]] == step[row]).all() or not names[i] & before
        before |= names[i]
        if target is None or stands:
            latest_at[one.place] = i
            continue
        kept[i] = False
        for name in names[i]:
            held[name][mine[target]] = held[name][row]
    more = np.zeros(mine.size, dtype=np.int64) if apart is None else np.cumsum(apart[mine])
    part = np.array([one.part for one in found], dtype=np.int64) + more
    return mine[kept], part[kept], int((~kept).sum())


def _same(step: FloatArray, part: IntArray) -> BoolArray:
    """Tell which rows have the step of the next, in one start of training."""
    return np.asarray((np.diff(step) == 0.0) & (np.diff(part) == 0))


def _complete(mine: npt.NDArray[np.intp], again: BoolArray, held: dict[str, FloatArray]) -> None:
    """Fill in, in ``held``, what a later row of a step lacks by what the one before has.

    The later one is a correction of a single value; or the run was killed and went on within a step whose metrics stand
    in lines of their own, and those that are the same number in both are of the first row.
    """
    for place in np.flatnonzero(again).tolist():
        row, later = mine[place], mine[place + 1]
        for one in held.values():
            one[later] = one[row] if np.isnan(one[later]) else one[later]


def _average(
    step: FloatArray,
    mine: npt.NDArray[np.intp],
    part: IntArray,
    held: dict[str, FloatArray],
    weights: Mapping[str, str] | None,
) -> tuple[npt.NDArray[np.intp], IntArray, list[str]]:
    """Average neighbouring rows of one step where many are, in ``held``; return the rows that are left, and a note."""
    same = _same(step[mine], part)
    group = np.cumsum(np.append(True, ~same)) - 1
    often = np.bincount(group[: mine.size])
    if (often > 1).sum() <= max(1.0, _MOST_AGAIN * often.size) and often.max(initial=0) <= _MOST_STARTS:
        return mine, part, []
    last = mine[np.append(~same, True)]
    for name, mean in means_of(group, {name: one[mine] for name, one in held.items()}, weights).items():
        held[name][last] = mean
    said = (
        f"Averaged: {count(mine.size, 'row')} to {last.size}, for many have the step of the one before. If these are "
        "several runs or seeds, name the column that tells them apart (run)."
    )
    return last, part[np.append(~same, True)], [said]


def means_of(
    group: npt.NDArray[np.intp], values: Mapping[str, FloatArray], weights: Mapping[str, str] | None = None
) -> dict[str, FloatArray]:
    """Return the means of groups of rows, of those that hold a number; NaN where none does.

    A KL per token is weighted by the length: so the mean of the products is the product of the means.

    Parameters
    ----------
    group : array of int (m,)
        The group of each row.
    values : mapping of arrays (m,)
        NaN where missing.
    weights : mapping of str to str, optional
        By which of the values another is weighted, in groups in which all rows hold both.

    Examples
    --------
    >>> kl, length = np.array([1.0, 4.0]), np.array([30.0, 10.0])
    >>> means_of(np.array([0, 0]), {"kl": kl, "length": length}, {"kl": "length"})["kl"].tolist()
    [1.75]
    """
    size = int(group.max(initial=-1)) + 1
    found = {}
    for name, one in values.items():
        weight = np.ones(one.size)
        if weights and weights.get(name) in values:
            by = values[weights[name]]
            lacks = np.bincount(group, ~(np.isfinite(one) & np.isfinite(by) & (by > 0.0)), size) > 0.0
            weight = np.where(lacks[group], 1.0, by)
        known = ~np.isnan(one)
        total = np.bincount(group[known], weight[known], size)
        sums = np.bincount(group[known], (weight * one)[known], size)
        found[name] = np.where(total > 0.0, sums / np.where(total > 0.0, total, 1.0), np.nan)
    return found


def latest(step: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which rows no later row reaches back to.

    Parameters
    ----------
    step : array (k,)
        Steps in the order in which they were logged.

    Returns
    -------
    array of bool (k,)
        Whether a row stands.
    """
    least = np.minimum.accumulate(step[::-1])[::-1]  # of this row and all later ones
    alive = np.ones(step.size, dtype=bool)
    alive[:-1] = step[:-1] < least[1:]
    return alive
