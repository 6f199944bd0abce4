"""What was logged later for an earlier step, in the order of time: a resume from there, a correction, or a late value.

After a resume the steps are written anew, one after the other, until the run is killed again or passes where it was. A
correction writes some of a step's values alone, and what follows goes on elsewhere. What a step did not have before,
such as an evaluation that took longer, is neither; nor are steps in the order of their names, none twice, run again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from alignlib._core.names import by_name

__all__ = ["Written", "resolved"]


@dataclass(frozen=True)
class Written:
    """What is written of one step at a time.

    Attributes
    ----------
    part : int
        How often training had been resumed before.
    place : int
        The first place of the step in that part, where this belongs to what was written there; its own place, if it
        begins a step.
    """

    part: int
    place: int


def resolved(
    steps: Sequence[float], names: Sequence[frozenset[str]], may_lack: frozenset[str] = frozenset()
) -> list[Written]:
    """Tell of each piece of a log to which start of training, and to which earlier piece, it belongs.

    Parameters
    ----------
    steps : sequence of float
        The step of each piece, in the order of time.
    names : sequence of frozenset of str
        What each piece holds of it.
    may_lack : frozenset of str
        What the first steps after a resume may lack, so that it is no correction of the rest.

    Examples
    --------
    A reward that is corrected before the run goes on, and a resume:

    >>> both, one = frozenset({"kl", "reward"}), frozenset({"reward"})
    >>> found = resolved([10.0, 20.0, 10.0, 30.0, 20.0, 30.0], [both, both, one, both, both, both])
    >>> [(piece.part, piece.place) for piece in found]
    [(0, 0), (0, 1), (0, 0), (0, 3), (1, 4), (1, 5)]
    """
    if by_name(steps):
        return [Written(0, steps.index(step)) for step in steps]
    found: list[Written] = []
    live: dict[float, set[str]] = {}  # what counts of each step
    place: dict[float, int] = {}
    part_of: dict[float, int] = {}
    order: list[float] = []  # of the steps that count
    last: dict[str, float] = {}  # step of each name
    part = 0
    for i, (step, held) in enumerate(zip(steps, names, strict=True)):
        top = order[-1] if order else step
        before = held & live[step] if step in live else held  # of these one stands again, or is further on
        back = step < top and any(last.get(name, step - 1.0) >= step for name in before)
        if back and _begins(i, steps, names, live, order, may_lack):
            part += 1
            for gone in order[bisect_right(order, step) - (step in live) :]:
                del live[gone], place[gone], part_of[gone]
            order = [one for one in order if one < step]
            last = {name: one for one in order for name in live[one]}
        if step not in live:
            # a value that comes late for a step that nothing was written of belongs where its neighbours are
            later = order[bisect_right(order, step)] if order and step < order[-1] else None
            live[step], place[step] = set(), i
            part_of[step] = part if later is None else part_of[later]
            order.insert(bisect_right(order, step), step)
        live[step] |= held
        for name in held:
            last[name] = max(step, last.get(name, step))
        found.append(Written(part_of[step], place[step]))
    return found


def _begins(
    i: int,
    steps: Sequence[float],
    names: Sequence[frozenset[str]],
    live: dict[float, set[str]],
    order: Sequence[float],
    may_lack: frozenset[str],
) -> bool:
    """Whether training was resumed at a piece, of a step before the last one, rather than its values corrected.

    What is written of a step after a resume that is killed at once looks as corrected; the next resume replaces both.
    """
    step = steps[i]
    after = bisect_right(order, step)
    up, top = order[after], order[-1]
    follows = steps[i + 1] if i + 1 < len(steps) else None
    lacks = live.get(step, set()) - names[i]
    if lacks <= may_lack and _goes_on_whole(i, steps, names, live, order):
        return True
    if follows is None or follows == step:
        return not lacks
    if follows == up:
        lacks &= live[up]  # a value that is written at fewer steps is not missed at one
        return not lacks & names[i + 1] and len(lacks) < len(names[i])
    if not lacks:
        return follows <= top
    return step < follows < up


def _goes_on_whole(
    i: int,
    steps: Sequence[float],
    names: Sequence[frozenset[str]],
    live: dict[float, set[str]],
    order: Sequence[float],
) -> bool:
    """Whether steps from a piece on are written one after the other until one has all that it had, and then go on.

    So a resume whose first rows lack a value is none of corrections, which write parts of steps, or go on elsewhere.
    """
    rising = order[bisect_right(order, steps[i]) :]
    for j, expected in enumerate(rising, i + 1):
        if j >= len(steps) or steps[j] != expected:
            return False
        if live[expected] <= names[j]:
            after = order[bisect_right(order, expected) :]
            return j + 1 == len(steps) or (steps[j + 1] == after[0] if after else steps[j + 1] > expected)
    return False
