"""The step of each row in the whole run, where steps begin anew within one log: a new counter, or a run begun again.

Rows alone seldom tell which: the KL of the next row is beside that of the last where the run went on, and beside that
of the row with the same step where it went back. Where either may be, both are said. What training shows holds for all
that its run wrote, such as evaluations, by where their rows stand between those of training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields
from alignlib.training.logs.steps import backwards, one_a_step

__all__ = ["RunSteps", "steps_in_run"]

_NEAR = 0.2  # of the way of the KL: nearer than that to where it began, it began again
_FAR = 3.0  # times what a KL changes from row to row
_APART = (
    "The steps stand apart from those of training, and fall not as often as its counter begins anew: which rows are of "
    "which counter is not known, so they are left out. Put the rows in the order of training."
)


@dataclass(frozen=True, eq=False)
class RunSteps(SameFields):
    """The rows of a log by their steps in the whole run.

    Attributes
    ----------
    step : array (m,)
        Step of each row.
    again : array of bool (m,)
        Rows of training that step 0 of the next counter stands for again.
    unknown : array of bool (m,)
        Rows of which it is not known which counter they are of.
    turned : array of bool (m,)
        Rows of a run whose log begins with its last row.
    notes : tuple of str
        What was done, and what else it may be.
    """

    step: FloatArray
    again: BoolArray
    unknown: BoolArray
    turned: BoolArray
    notes: tuple[str, ...]


def steps_in_run(
    step: FloatArray,
    run: npt.NDArray[np.object_],
    part: npt.NDArray[np.object_],
    values: Mapping[str, FloatArray],
    leads: BoolArray,
    read: BoolArray,
    counted: BoolArray | None = None,
) -> RunSteps:
    """Return the step of each row in the whole run, from the order in which the trainer wrote all of them.

    Rows of training tell where its counter began anew; all others are of the counter among whose rows they stand. One
    just before the first row of a new counter is of it where its step is not beyond that row's, and one behind it is
    not where training has yet to come to its step. Where the rows of a part stand all before those of training, or all
    after, it is counted as training where its own steps fall as often; else its counters are not known where training's
    began anew, and its own KL tells them where it did not. Where training logs no KL, or none is called so, the part
    that logs it most often leads.

    Parameters
    ----------
    step, run : array (m,)
        Step and run of each row, in the order of the log.
    part : array (m,)
        The part of the run, such as a split, that the row is of.
    values : mapping of arrays (m,)
        ``"kl"`` and ``"reward"``, NaN where missing.
    leads : array of bool (m,)
        Rows of training; of several parts that are, the first leads.
    read : array of bool (m,)
        Rows that are wanted.
    counted : array of bool (m,), optional
        Rows that training's counter counts, of which some hold neither KL nor reward; by default those of training.

    Examples
    --------
    >>> step, run = np.array([1.0, 2.0, 2.0, 1.0, 2.0, 2.0]), np.array(["a"] * 6, dtype=object)
    >>> part = np.array(["train", "train", "eval"] * 2, dtype=object)
    >>> kl = np.array([0.1, 0.2, 0.2, 0.3, 0.4, 0.4])
    >>> steps_in_run(step, run, part, {"kl": kl, "reward": kl}, part == "train", part == "eval").step.tolist()
    [1.0, 2.0, 2.0, 3.0, 4.0, 4.0]
    """
    found, notes = step.copy(), list[str]()
    again, unknown, turned = (np.zeros(step.size, dtype=bool) for _ in range(3))
    held = ~(np.isnan(values["kl"]) & np.isnan(values["reward"]))
    counted = leads if counted is None else counted
    several = len(set(run.tolist())) > 1
    for name in dict.fromkeys(run.tolist()):
        rows = np.flatnonzero((run == name) & np.isfinite(step))
        parts = list(dict.fromkeys(part[rows].tolist()))
        told = leads & held
        if not np.isfinite(values["kl"][rows[told[rows]]]).any():
            told = read & held & np.isfinite(values["kl"])
        told_parts = part[rows[told[rows]]].tolist()
        first = told_parts[:1] if (told & leads)[rows].any() else [one for one, _ in Counter(told_parts).most_common(1)]
        is_lead = told & (part == (first[0] if first else None))
        if backwards(step[rows[is_lead[rows]]].tolist()):
            rows = rows[::-1]
            turned[rows] = True
        at, own = step[rows], {what: one[rows] for what, one in values.items()}
        lead, others = np.flatnonzero(is_lead[rows]), np.flatnonzero(~is_lead[rows] & read[rows])
        added, gone, said = _added(at, lead, own, np.flatnonzero(counted[rows]))
        again[rows[lead[gone]]] = True
        found[rows[lead]] += added
        notes += _of_parts(said, [str(name)] * several, first if len(parts) > 1 else [])
        for which in dict.fromkeys(part[rows[others]].tolist()):
            mine = others[part[rows[others]] == which]
            more = _with_lead(at, mine, lead, added)
            if more is None and np.diff(added).any():
                unknown[rows[mine]] = True
                notes += _of_parts([_APART], [str(name)] * several, [which] if len(parts) > 1 else [])
                continue
            if more is None:
                more, gone, said = _added(at, mine, own, mine)
                again[rows[mine[gone]]] = True
                notes += _of_parts(said, [str(name)] * several, [which] if len(parts) > 1 else [])
            found[rows[mine]] += more
    return RunSteps(found, again, unknown, turned, tuple(notes))


def _of_parts(said: list[str], run: list[str], part: list[str]) -> list[str]:
    whose = " ".join([*run, *filter(None, part)])
    return [f"Of {whose!r}: {one}" if whose else one for one in said]


def _added(
    step: FloatArray, mine: npt.NDArray[np.intp], values: Mapping[str, FloatArray], counted: npt.NDArray[np.intp]
) -> tuple[FloatArray, BoolArray, list[str]]:
    """Return what is added to the step of each row of one part, which rows stand again, and what is said.

    ``counted`` are all rows of its counter, of which some may hold neither KL nor reward.
    """
    added, gone = np.zeros(mine.size), np.zeros(mine.size, dtype=bool)
    if not (np.diff(step[mine]) < 0.0).any():
        return added, gone, []
    if backwards(step[mine].tolist()):
        turned = {name: one[::-1] for name, one in values.items()}
        ends = step.size - 1
        added, gone, said = _added(step[::-1], (ends - mine)[::-1], turned, (ends - counted)[::-1])
        return added[::-1], gone[::-1], said
    held, at = {name: one.copy() for name, one in values.items()}, step.copy()
    first = one_a_step(step, mine, held, sparse=True)[0]
    kept, said = _count_on(at, first, held["kl"], _came_to(step, first, counted))
    if not said:
        return added, gone, []
    # rows of one step go with the one that is left of them, which is their first or their last
    place = np.searchsorted(first, mine)
    before = np.maximum(np.where(np.isin(mine, first), place, place - 1), 0)
    own = first[np.where(step[first[before]] == step[mine], before, np.minimum(place, first.size - 1))]
    return (at - step)[own], ~np.isin(own, kept), said


def _with_lead(
    step: FloatArray, mine: npt.NDArray[np.intp], lead: npt.NDArray[np.intp], added: FloatArray
) -> FloatArray | None:
    """Return what is added to the rows of another part by where they stand among those of training; None if unknown."""
    places = (np.flatnonzero(np.diff(added) != 0.0) + 1).tolist()
    more = np.zeros(mine.size)
    if not lead.size or mine[0] > lead[-1] or mine[-1] < lead[0]:
        falls = (np.flatnonzero(np.diff(step[mine]) < 0.0) + 1).tolist()
        if len(falls) != len(places):
            return None
        for fall, place in zip(falls, places, strict=True):
            more[fall:] = added[place]
        return more
    more[:] = added[0]
    following = np.searchsorted(lead, mine)
    to_come = step[lead[np.minimum(following, lead.size - 1)]]
    for place, end in zip(places, [*places, lead.size][1:], strict=True):
        before = lead[place - 1]
        early = (mine > before) & (step[mine] < step[before]) & (step[mine] <= step[lead[place]])
        late = (
            (following < end) & (step[mine] > to_come) & (step[mine] <= step[before])
        )  # training has yet to come there
        more[((mine > lead[place]) & ~late) | early] = added[place]
    return more


def _came_to(step: FloatArray, mine: npt.NDArray[np.intp], counted: npt.NDArray[np.intp]) -> FloatArray:
    """Return to which step a counter had come by the rows from each of ``mine`` on, before the next or before it fell.

    >>> _came_to(np.array([1.0, 2.0, 3.0, 1.0, 2.0]), np.array([1, 4]), np.arange(5)).tolist()
    [3.0, 2.0]
    """
    found = step[mine].copy()
    for i, (row, until) in enumerate(zip(mine.tolist(), [*mine.tolist(), step.size][1:], strict=True)):
        held = np.append(step[row], step[counted[(counted > row) & (counted < until)]])
        fall = np.flatnonzero(np.diff(held) < 0.0)
        found[i] = held[: fall[0] + 1].max() if fall.size else held.max()
    return found


def _count_on(
    step: FloatArray, mine: npt.NDArray[np.intp], kl: FloatArray, came_to: FloatArray | None = None
) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Let the steps, in place, go on wherever a counter began anew and the KL went on; return rows and what was done.

    It did where the KL is nearer to the row before than to those with the same step of any counter so far, and changed
    no more than the run changed it before, or from a step to the next after. Else the run went back to the nearest of
    these.

    Parameters
    ----------
    step : array (m,)
        Step of each row.
    mine : array of int (k,)
        Rows of one run, in the order of training.
    kl : array (m,)
        KL of each row.
    came_to : array (k,), optional
        To which step the counter came before the next of these rows, where others of its rows show it.

    Returns
    -------
    mine : array of int
        The same, without last rows of a counter that step 0 of the next stands for again.
    notes : list of str
        What was done, and what else it may be.

    Examples
    --------
    >>> step, kl = np.array([1.0, 2.0, 3.0, 1.0, 2.0]), np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    >>> _, said = _count_on(step, np.arange(5), kl)
    >>> step.tolist(), said[0][:61]
    ([1.0, 2.0, 3.0, 4.0, 5.0], 'The steps begin anew at 1, after 3, and the KL goes from 0.3 ')
    """
    said, raw, own = list[str](), step[mine].copy(), kl[mine]
    begun, added = [0], [0.0]  # where each counter began, and what is added to it
    falls = (np.flatnonzero(np.diff(raw) <= 0.0) + 1).tolist()
    twice = np.zeros(mine.size, dtype=bool)
    for place, end in zip(falls, [*falls, mine.size][1:], strict=True):
        known = np.flatnonzero(np.isfinite(own[place:end]))
        before = own[:place][np.isfinite(own[:place])]
        if not known.size or not before.size:
            continue
        new, last, at = float(own[place + known[0]]), float(before[-1]), raw[place]
        gap = raw[place + 1] - at if place + 1 < end else 0.0
        beyond = 0.0 if came_to is None else float(came_to[place - 1] - raw[place - 1])
        begins = at <= max(raw[0], gap) and raw[0] < raw[place - 1] + beyond
        if not begins and len(begun) == 1:
            continue
        earlier = [_there(raw, own, at, one, until) for one, until in zip(begun, [*begun[1:], place], strict=True)]
        away = [abs(new - one) for one in earlier]
        change, usual = abs(new - last), [np.ptp(before), *np.abs(np.diff(own[place:end])), 0.0]
        on = float(step[mine[place - 1]]) + beyond
        few = change <= min(away) and new > float(before.max())  # of one row: no earlier step had more than a later one
        goes_on = begins and (few or (change < min(away) and change <= np.nanmax(usual)))
        back = max(range(len(begun)), key=lambda i: (-away[i], i))
        shows = _FAR * _from_row_to_row(own, falls, place)
        if not begins and (away[back] > 0.5 * away[-1] or away[-1] <= shows):
            continue  # a resume within the counter
        rows = [_left(step[mine[:place]], raw[place:end] + more) for more in (on, added[back])]
        verb, until_then = "begin anew at" if begins else "fall to", f"of {end} rows until then count"
        head = (
            f"The steps {verb} {at:g}, after {raw[place - 1] + beyond:g}, and the KL goes from {last:.3g} to {new:.3g}"
        )
        if goes_on:
            twice[place - 1] = at <= 0.0 and beyond == 0.0
            said.append(
                f"{head}: taken for one run that went on with a new counter, so {on:g} is added to the steps from "
                f"there ({rows[0]} {until_then}). If it went back instead, as after a resume, remove those of the "
                f"{place} rows before that do not count: all, if from its base; else those from its checkpoint on."
            )
            begun.append(place)
            added.append(on)
        elif begins and len(begun) == 1 and away[0] < _NEAR * change and change > shows:
            # Where it began; or a few rows later.
            row = int(np.nanargmin(np.abs(own[:place] - new)))
            if raw[row] > at and abs(own[row] - new) < 0.5 * away[0]:
                early = float(raw[row] - at)
                said.append(
                    f"{head}: taken for a run that began again. That is nearer to the KL at step {raw[row]:g}, "
                    f"{own[row]:.3g}, than to where it began: if it was resumed near there with a new counter, number "
                    f"its steps on: with {early:g} added {_left(step[mine[:place]], raw[place:end] + early)} "
                    f"{until_then}, {_left(step[mine[:place]], raw[place:end])} as it is."
                )
            continue
        else:
            said.append(
                f"{head}: taken for a run that went back to step {at + added[back]:g}, where it was "
                f"{earlier[back]:.3g} before, as after a resume ({rows[1]} {until_then}). If it went on instead, with "
                f"a new counter, number its steps on: with {on:g} added from there {rows[0]} count."
            )
            begun, added = begun[: back + 1], added[: back + 1]
        step[mine[place:]] = raw[place:] + added[-1]
    return mine[~twice], said


def _there(raw: FloatArray, kl: FloatArray, at: float, begun: int, until: int) -> float:
    """Return the KL of a counter's rows at a step, or at the next one; infinity where they end before."""
    rows = np.arange(begun, until)[np.isfinite(kl[begun:until])]
    later = rows[raw[rows] >= at]
    return float(kl[later[raw[later] == raw[later].min()][-1]]) if later.size else np.inf


def _from_row_to_row(kl: FloatArray, falls: list[int], until: int) -> float:
    change = np.abs(np.diff(kl[:until]))
    change[[fall - 1 for fall in falls if fall < until]] = np.nan
    return float(np.nanmax(change, initial=0.0))


def _left(before: FloatArray, after: FloatArray) -> int:
    """Return how many rows count where later ones replace those of their steps and beyond."""
    whole = np.append(before, after)
    return int((whole < np.append(np.minimum.accumulate(whole[::-1])[::-1][1:], np.inf)).sum())
