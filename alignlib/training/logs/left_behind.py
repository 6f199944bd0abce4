"""Rows that a resume of other processes left behind: told by their order, or in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.training.logs.steps import latest, no_order, one_a_step

__all__ = ["left_behind"]


@dataclass(frozen=True, eq=False)
class _Rows(SameFields):
    """Rows of one process in the order of training.

    Attributes
    ----------
    row : array of int (k,)
        Where they stand in the log.
    step : array (k,)
        Their steps.
    back : array of int
        Places in these of rows that begin anew, at the step of the row before or an earlier one.
    """

    row: npt.NDArray[np.intp]
    step: FloatArray
    back: npt.NDArray[np.intp]


def left_behind(
    step: FloatArray, run: npt.NDArray[np.object_], process: IntArray, values: Mapping[str, FloatArray]
) -> tuple[BoolArray, str]:
    """Say which rows are of steps that a later resume, in which their process had no part, ran again or took back.

    A resume begins all processes anew: what any of them wrote before it from its step on does not count. A process
    that comes back shows that by steps that fall; these rows are not meant here. Rows sorted by process do not show
    which came first: there all rows from the step of a resume on are meant, of processes that did not go back with it.

    Parameters
    ----------
    step, run : array (m,)
        Step and run of each row.
    process : array of int (m,)
        The process of each.
    values : mapping of arrays (m,)
        KL, reward and whatever else belongs to a row; NaN where missing.

    Returns
    -------
    gone : array of bool (m,)
        Which rows.
    why : str
        What is said of them, to end a sentence; "" of none.

    Examples
    --------
    >>> step, run = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 1.0, 2.0]), np.array(["a"] * 7, dtype=object)
    >>> held = {"kl": np.arange(7.0), "reward": np.arange(7.0)}
    >>> left_behind(step, run, np.array([0, 1, 0, 1, 0, 0, 1]), held)[0].tolist()
    [False, False, False, True, False, False, False]
    """
    gone, doubted = np.zeros(step.size, dtype=bool), np.zeros(step.size, dtype=bool)
    held = {name: one.copy() for name, one in values.items()}
    at = step.copy()
    for name in dict.fromkeys(run.tolist()):
        every = np.flatnonzero((run == name) & np.isfinite(step))
        ranks = [_rows_of(at, every[process[every] == one], held) for one in dict.fromkeys(process[every].tolist())]
        turned = {bool(one.row.size > 1 and one.row[0] > one.row[-1]) for one in ranks if one.row.size > 1}
        if not any(one.back.size for one in ranks) or any(no_order(one.step) for one in ranks) or len(turned) > 1:
            continue
        sorted_by_process = int((np.diff(process[every]) != 0).sum()) == len(ranks) - 1
        found = doubted if sorted_by_process else gone
        for one, lost in zip(ranks, (_in_doubt if sorted_by_process else _before_resumes)(ranks), strict=True):
            place = every[process[every] == process[one.row[0]]] if one.row.size else every[:0]
            group = np.cumsum(np.append(0, np.diff(step[place]) != 0.0))[: place.size]  # joined rows go together
            lost = _of_its_own(lost, one.step)
            found[place[np.isin(group, group[np.searchsorted(place, np.sort(one.row[lost]))])]] = True
    said = []
    if gone.any():
        said.append(f"left out: {counted(int(gone.sum()), 'row')} of processes that did not come back after a resume")
    if doubted.any():
        said.append(
            f"left out: {counted(int(doubted.sum()), 'row')} of processes that did not go back where another did, from "
            "that step on, for rows sorted by process do not show whether they were written before: sort them by time"
        )
    return gone | doubted, "; ".join(said)


def _rows_of(step: FloatArray, mine: npt.NDArray[np.intp], held: dict[str, FloatArray]) -> _Rows:
    row = one_a_step(step, mine, held, sparse=True)[0]
    return _Rows(row, step[row], np.flatnonzero(np.diff(step[row]) <= 0.0) + 1)


def _of_its_own(lost: BoolArray, step: FloatArray) -> BoolArray:
    """Return which of the lost rows no later row of their process replaces that is not lost itself."""
    found = np.zeros(lost.size, dtype=bool)
    while True:
        left = np.flatnonzero(~found)
        more = left[latest(step[left]) & lost[left]] if left.size else left
        if not more.size:
            return found
        found[more] = True


def _before_resumes(ranks: list[_Rows]) -> list[BoolArray]:
    """Return of each process which rows stand before a resume, from its step on."""
    sign = -1 if any(one.row.size > 1 and one.row[0] > one.row[-1] for one in ranks) else 1
    time = [sign * one.row for one in ranks]
    before: list[list[int]] = [[] for _ in ranks]  # of each resume and process: the time before which rows are meant,
    since: list[list[float]] = [[] for _ in ranks]  # and the step from which
    first: dict[int, tuple[int, float]] = {}  # of each process since the last resume
    starter, at = -1, np.nan
    going_back = [set(one.back.tolist()) for one in ranks]
    whose = np.repeat(np.arange(len(ranks)), [one.row.size for one in ranks])
    place = np.concatenate([np.arange(one.row.size) for one in ranks])
    for i in np.argsort(np.concatenate(time), kind="stable").tolist():
        mine, k = int(whose[i]), int(place[i])
        now, here = int(time[mine][k]), float(ranks[mine].step[k])
        begins = starter < 0
        if not begins and k in going_back[mine]:
            begins = mine in first or not _one_resume(here, ranks[mine].step, at, ranks[starter].step)
            if begins:
                kept = {}
                for other in range(len(ranks)):
                    ahead = first.get(other)  # wrote the first row of this resume before the one that shows it
                    early = ahead is not None and other != mine and ahead[1] == here != at
                    before[other].append(ahead[0] if early and ahead is not None else now)
                    since[other].append(here)
                    if early and ahead is not None:
                        kept[other] = ahead
                first = kept
        if begins:
            starter, at = mine, here
        first.setdefault(mine, (now, here))
    found = []
    for mine, one in enumerate(ranks):
        least = np.append(np.minimum.accumulate(np.array(since[mine], dtype=np.float64)[::-1])[::-1], np.inf)
        found.append(one.step >= least[np.searchsorted(np.array(before[mine]), time[mine], side="right")])
    return found


def _in_doubt(ranks: list[_Rows]) -> list[BoolArray]:
    """Return of each process which rows are at steps to which another went back, and from there on, and it did not.

    Resumes of two processes are matched from the last one back; those between two matches concern the rows between.
    """
    found = []
    for one in ranks:
        lost = np.zeros(one.row.size, dtype=bool)
        for other in ranks:
            end, left = one.row.size, other.back.size
            for own in one.back[::-1].tolist():
                alike = (
                    k for k in range(left - 1, -1, -1)
                    if _one_resume(one.step[own], one.step, other.step[other.back[k]], other.step)
                )  # fmt: skip
                match = next(alike, None)
                if match is None:
                    continue
                back_to = other.step[other.back[match]]
                if (other.step[other.back] == back_to).sum() > (one.step[one.back] == one.step[own]).sum():
                    lost |= one.step >= back_to  # several times to one checkpoint: which of these is not known
                for k in other.back[match + 1 : left].tolist():
                    lost[own:end] |= one.step[own:end] >= other.step[k]
                end, left = own, match
            for k in other.back[:left].tolist():
                lost[:end] |= one.step[:end] >= other.step[k]
        found.append(lost)
    return found


def _one_resume(here: float, own: FloatArray, there: float, others: FloatArray) -> bool:
    """Whether two processes went back to one checkpoint: the later to go on has no step between the two."""
    low, high, steps = (there, here, own) if here >= there else (here, there, others)
    return not ((steps >= low) & (steps < high)).any()
