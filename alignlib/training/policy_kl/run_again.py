"""Which responses of a run count: not those of steps that were run again after a resume, in one file or another's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.names import by_name
from alignlib.training.policy_kl.responses import Responses

__all__ = ["latest", "latest_of"]

_MOST_RESUMES = 0.1  # of the blocks of one step: steps that fall more often are not in order
_FEW = 3  # falls that may be resumes in a short log, unless each begins at the first step, as of prompts or seeds


def latest(step: FloatArray) -> BoolArray:
    """Tell which rows are not logged anew after a resume: their steps are reached again by no later block of rows.

    Parameters
    ----------
    step : array (rows,)
        Step of each row, in the order of the log.

    Examples
    --------
    >>> latest(np.array([1.0, 1.0, 2.0, 3.0, 2.0, 3.0])).tolist()
    [True, True, False, False, True, True]
    """
    first = np.flatnonzero(np.diff(step, prepend=np.nan) != 0.0)  # of each block of one step
    blocks = step[first]
    back = blocks[1:][np.diff(blocks) < 0.0]
    few = 1 if back.size and (back <= blocks[0]).all() else _FEW
    often = back.size > max(few, _MOST_RESUMES * blocks.size)
    if often or by_name(blocks.tolist()):  # sorted otherwise, by prompt or name of a file say: all rows count
        return np.ones(step.size, dtype=bool)
    least = np.append(np.minimum.accumulate(blocks[::-1])[::-1][1:], np.inf)
    return np.asarray(np.repeat(blocks < least, np.diff(np.append(first, step.size))))


def latest_of(parts: Sequence[Responses]) -> list[BoolArray | None]:
    """Tell which rows of each of several files are not written anew after a resume, in its own file or another's.

    A process that does not come back after a resume leaves what it wrote before: that is of a policy that was trained
    on anew as well. Which part of a file belongs to which start of training is told by the steps where it begins.
    Where a file holds the rows of one process after those of another, each is taken as a file of its own.

    Parameters
    ----------
    parts : sequence of Responses
        The files of one run, such as of its processes.

    Returns
    -------
    list of array of bool, optional
        Of each file; None without steps.
    """
    own = [*map(_by_process, parts)]
    split = [one if rows is None else one.take(rows) for one, each in zip(parts, own, strict=True) for rows in each]
    found = iter(_across(split))
    kept: list[BoolArray | None] = []
    for one, each in zip(parts, own, strict=True):
        whole = np.ones(one.samples.size, dtype=bool)
        for rows, living in zip(each, found, strict=False):
            if rows is None or living is None:
                kept.append(living)
            else:
                whole[rows] = living
        if each[0] is not None:
            kept.append(whole)
    return kept


def _by_process(one: Responses) -> Sequence[IntArray | None]:
    """Return the rows of each process where they stand one process after the other, else None for all of them."""
    if one.step is None or one.process is None:
        return (None,)
    return _blocks(one.process) or (None,)


def _blocks(values: npt.NDArray[np.generic]) -> list[IntArray]:
    """Return the rows of each value where those of one stand after those of another; none where they are mixed."""
    ends = np.flatnonzero(values[1:] != values[:-1]) + 1
    if np.unique(values).size != ends.size + 1 or not ends.size:
        return []
    return np.split(np.arange(values.size), ends)


def _across(parts: Sequence[Responses]) -> list[BoolArray | None]:
    """Tell which rows of each of several processes are not written anew, by it or by others."""
    kept = [_latest(one) for one in parts]
    begun = [_begun(one, rows) for one, rows in zip(parts, kept, strict=True)]
    most = max(begun, key=lambda one: 0 if one is None else one[1].size, default=None)
    if most is None or most[1].size < 2 or len(parts) < 2:
        return kept
    found: list[BoolArray | None] = []
    for one, rows, own in zip(parts, kept, begun, strict=True):
        if one.step is None or rows is None or own is None:
            found.append(rows)
            continue
        start, at = np.empty(own[1].size, dtype=np.int64), -1
        for place, step in enumerate(own[1].tolist()):
            same = np.flatnonzero(most[1][at + 1 :] == step)
            at = min(at + 1 + (int(same[0]) if same.size else 0), most[1].size - 1)
            start[place] = at
        later = np.append(np.minimum.accumulate(most[1][::-1])[::-1][1:], np.inf)  # least step of later starts
        found.append(np.asarray(rows & (one.step < later[start[own[0]]])))
    return found


def _latest(one: Responses) -> BoolArray | None:
    """Tell which rows of one process are not written anew after a resume; None without steps.

    Steps that run back show one; of a resume at the very step last written `Rollouts` tells, which was opened again
    then: of a prompt's responses of a step those of the last time count. The steps of each process and split tell, not
    those of the table, which run back where the next of them follows.
    """
    if one.step is None:
        return None
    kept, starts = np.ones(one.step.size, dtype=bool), _starts(one)
    for rows in _writers(one):
        kept[rows] = latest(one.step[rows])
        if one.opened is None and one.prompt is not None:
            kept[rows] &= _written_last(one.step[rows], _codes(one.prompt.take(rows).to_pylist()))
    if starts is not None:
        later = np.append(np.minimum.accumulate(starts[1][::-1])[::-1][1:], np.inf)
        kept &= one.step < later[starts[0]]
    if one.opened is None:
        return kept
    names = [[] if held is None else held.to_pylist() for held in (one.split, one.prompt)]
    split, prompt = (held or [None] * one.step.size for held in names)
    last: dict[tuple[object, ...], float] = {}
    keys = list(zip(one.step.tolist(), split, prompt, strict=True))
    for key, opened in zip(keys, one.opened.tolist(), strict=True):
        last[key] = max(opened, last.get(key, 0.0))
    return np.asarray(kept & (one.opened == np.array([last[key] for key in keys])))


def _written_last(step: FloatArray, prompt: IntArray) -> BoolArray:
    """Tell which rows are no earlier ones of a step that holds more than most do, its prompts over again.

    A run that went on at the very step that it wrote last leaves these, and its steps do not fall.

    Examples
    --------
    >>> _written_last(np.array([1.0, 1, 2, 2, 2, 2, 3, 3]), np.array([0, 1, 0, 1, 0, 1, 0, 1])).tolist()
    [True, True, False, False, True, True, True, True]
    """
    first = np.flatnonzero(np.diff(step, prepend=np.nan) != 0.0)
    size = np.diff(np.append(first, step.size))
    usual = int(np.median(size)) if size.size else 0
    kept = np.ones(step.size, dtype=bool)
    if size.size < _FEW or 2 * (size == usual).sum() <= size.size:
        return kept
    for start, many in zip(first[size > usual].tolist(), size[size > usual].tolist(), strict=True):
        earlier = many - usual
        again = prompt[start + earlier : start + many][np.arange(earlier) % usual]
        if np.array_equal(prompt[start : start + earlier], again):
            kept[start : start + earlier] = np.unique(again).size < 2  # of one prompt it may be drawn more often
    return kept


def _writers(one: Responses) -> Iterator[IntArray]:
    """Give the rows of each process and split, and of each prompt where those of one are sorted by it.

    Each has its own order of time, wherever the rows of others stand.
    """
    assert one.step is not None
    every = np.arange(one.step.size)
    split = np.zeros_like(every) if one.split is None else _codes(one.split.to_pylist())
    process = np.zeros_like(every) if one.process is None else np.unique(one.process, return_inverse=True)[1]
    writer = process * (split.max(initial=0) + 1) + split
    for name in dict.fromkeys(writer.tolist()):
        rows = np.flatnonzero(writer == name)
        prompt = [] if one.prompt is None else _blocks(_codes(one.prompt.take(rows).to_pylist()))
        step = one.step[rows]
        starts = np.array([int(block[0]) for block in prompt[1:]], dtype=np.int64)
        # Sorted by prompt the steps begin anew with each; where training goes on with other prompts, they rise.
        if prompt and (step[starts] <= step[starts - 1]).all() and (np.diff(step)[starts - 1] < 0.0).any():
            yield from (rows[block] for block in prompt)
        else:
            yield rows


def _starts(one: Responses) -> tuple[IntArray, FloatArray] | None:
    """Return the start of training of each row, and the least step of each; None where no writer's steps go back.

    Writers that go back one after the other do so at one resume. One that never does, whose rows stand in several
    places, is at each place where the others are.
    """
    assert one.step is not None
    back: list[tuple[int, int, float]] = []
    writers = list(_writers(one))
    for number, rows in enumerate(writers):
        if not latest(one.step[rows]).all():
            falls = np.flatnonzero(np.diff(one.step[rows]) < 0.0) + 1
            back += [(int(rows[place]), number, float(one.step[rows[place]])) for place in falls.tolist()]
    if not back:
        return None
    begun, least, came = [0], [float(one.step[0])], set[int]()
    own: dict[int, list[tuple[int, int]]] = {}  # of each writer the rows at which it goes back, and the starts
    for row, number, step in sorted(back):
        if len(begun) == 1 or number in came:
            begun.append(row)
            least.append(step)
            came = set()
        came.add(number)
        least[-1] = min(least[-1], step)
        own.setdefault(number, []).append((row, len(begun) - 1))
    start = np.zeros(one.step.size, dtype=np.int64)
    for number, rows in enumerate(writers):
        if number in own:
            at, which = np.array(own[number]).T
            start[rows] = np.append(0, which)[np.searchsorted(at, rows, side="right")]
        elif rows[-1] - rows[0] + 1 > rows.size:
            start[rows] = np.searchsorted(np.array(begun[1:]), rows, side="right")
        else:
            start[rows] = len(begun) - 1  # in one place: nothing tells when it was written
    return start, np.array(least)


def _codes(values: Sequence[object]) -> IntArray:
    number: dict[object, int] = {}
    return np.array([number.setdefault(one, len(number)) for one in values], dtype=np.int64)


def _begun(one: Responses, kept: BoolArray | None) -> tuple[IntArray, FloatArray] | None:
    """Return how often training had been begun anew before each row, and the step of each beginning; None if unknown.

    Where the rows are not in the order of training it is not known.
    """
    if one.step is None or kept is None or one.step.size == 0:
        return None
    if one.opened is None and (one.split is not None or one.process is not None):
        return _starts(one) or (np.zeros(one.step.size, dtype=np.int64), one.step[:1])
    again = np.diff(one.step, prepend=one.step[0]) < 0.0
    if again.any() and kept.all():
        return None
    if one.opened is not None:
        again |= np.diff(one.opened, prepend=one.opened[0]) > 0.0
    first = np.append(0, np.flatnonzero(again))
    return np.cumsum(again).astype(np.int64), np.asarray(one.step[first], dtype=np.float64)
