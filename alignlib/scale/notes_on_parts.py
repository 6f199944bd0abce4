"""What is found wrong with parts, or odd: corrupt, empty, twice the same, of other kinds, written twice.

That one part holds rows of another again, as where half of an export is written twice, is told from rewards alone.
Single rows tell it where rewards hardly tie. Where they have few levels, the whole of a prompt does: that all its
samples have the same rewards in two parts has a chance that is known, and many such prompts have hardly any.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib._core.hashed import hashed
from alignlib._core.names import counted
from alignlib.scale.keys import KeyArray
from alignlib.scale.store import Again, Done
from alignlib.scale.summary import Summary
from alignlib.tables import without_repeats

__all__ = ["looked_at", "repeated_responses", "written_twice"]

_SURPRISE = 5.0  # standard deviations above what chance gives


def written_twice(first: Summary, location: str, parts_of: Callable[[], Sequence[tuple[str, Summary]]]) -> list[str]:
    """Say where rows of the first piece come two or more times, as of a part that was written twice, or half of one.

    Parameters
    ----------
    first : Summary
        The first piece.
    location : str
        Where the parts lie.
    parts_of : callable
        Returns the path of each part, and what it holds of some prompts.
    """
    held = ~first.binned
    if not held.any():
        return []
    sizes, columns = first.sizes[held], dict(zip(first.columns, first.values, strict=True))
    once, _, some = without_repeats(sizes, columns, location)
    times = int(sizes[0]) // int(once[0])
    if times == 1:
        parts = parts_of()
        several = len(parts) > 1
        if some:
            return [" ".join(filter(None, [some, _shared_rows(parts) if several else ""]))]
        return [said] if several and (said := _equal_prompts(parts)) else []
    said = (
        f"Every prompt and reward of {location} comes {times} times or a multiple of it, and each counts, as if they "
        "were different responses. Where a part was written several times, keep one copy; else name the column that "
        "tells responses apart (sample)."
    )
    return [said]


def looked_at(done: Sequence[Done], skip_corrupt: bool) -> list[str]:
    """Say what parts are corrupt, empty or twice the same, or refuse them.

    Parameters
    ----------
    done : sequence of Done
        What became of the parts.
    skip_corrupt : bool
        Go on without parts that cannot be read.

    Raises
    ------
    InputError
        For parts that are corrupt, hold the same, or do not agree.
    """
    notes = []
    corrupt = [one for one in done if one.corrupt]
    if corrupt and not skip_corrupt:
        more = f" (and {len(corrupt) - 1} more of {len(done)} parts)" if len(corrupt) > 1 else ""
        without = ", or pass skip_corrupt=True to go on without it" if len(done) > 1 else ""
        raise InputError(f"{corrupt[0].corrupt.rstrip('.')}{more}{without}.", argument="table")
    if corrupt:
        notes.append(
            f"{len(corrupt)} of {counted(len(done), 'part')} could not be read and are left out, the first "
            f"{corrupt[0].path}."
        )
    empty = [one for one in done if not one.corrupt and not one.samples]
    if empty:
        notes.append(f"{len(empty)} of {counted(len(done), 'part')} have no rows, the first {empty[0].path}.")
    notes.extend(_of_cells(done))
    notes.extend(_of_kinds(done))
    seen: dict[str, str] = {}
    for one in done:
        if one.fingerprint in seen:
            raise InputError(
                f"{seen[one.fingerprint]} and {one.path} hold the same rewards of the same prompts; remove one of "
                "them, or its samples count twice.",
                argument="table",
            )
        if one.fingerprint:
            seen[one.fingerprint] = one.path
    dropped = [one for one in done if one.dropped]
    if dropped:
        lost, every = (sum(count) for count in zip(*((d.dropped, d.dropped + d.samples) for d in done), strict=True))
        notes.append(
            f"Dropped: {lost} of {every} samples lack a finite value, in {counted(len(dropped), 'part')}, "
            f"the first {dropped[0].path}."
        )
    return notes


def _of_cells(done: Sequence[Done]) -> list[str]:
    """Say once what was said of the cells of several parts, with the first of them."""
    first: dict[str, str] = {}
    paths: dict[str, set[str]] = {}
    for one in done:
        for note in one.notes:
            same = re.split(r", such as |: ", note.replace(one.path, ""))[0]  # but for examples
            first.setdefault(same, note)
            paths.setdefault(same, set()).add(one.path)
    more = {same: len(held) - 1 for same, held in paths.items()}
    return [
        note + (f" So it is in {more[same]} more of {len(done)} parts." if more[same] else "")
        for same, note in first.items()
    ]


def _of_kinds(done: Sequence[Done]) -> list[str]:
    """Refuse parts that write prompts in different ways; say where rewards are truth values in some parts alone."""
    kinds = {kind: one.path for one in reversed(done) for kind in one.kinds}
    whole = kinds.get("integers") or kinds.get("spelled integers")
    for one, other in (
        ("integers in {}, text in {}", (kinds.get("integers"), kinds.get("text"))),
        ("spelled like 7 in {}, like 7.0 in {}", (whole, kinds.get("decimals"))),
    ):
        if None not in other:
            raise InputError(
                f"The parts do not agree in what a prompt is: {one.format(*other)}; write it in one way, or the "
                "samples of one prompt may count as those of two.",
                argument="prompt",
            )
    having = [one for one in done if one.samples]
    truths = [one for one in having if one.truths]
    if truths and len(truths) < len(having):
        said = (
            f"Rewards are true or false in {len(truths)} of {counted(len(having), 'part')}, the first "
            f"{truths[0].path}, and count as 1 and 0 beside the numbers of the others."
        )
        return [said]
    return []


def repeated_responses(done: Sequence[Done], found: Sequence[Again], wide: bool) -> InputError:
    """Say which responses come twice, as the reader of one file does.

    Parameters
    ----------
    done : sequence of Done
        What became of the parts.
    found : sequence of Again
        Responses that come twice, by piece.
    wide : bool
        Whether a row has all samples of a prompt.
    """
    paths = {file: one.path for one in done for file in one.named}
    count = sum(one.count for one in found)
    two = list(dict.fromkeys(paths[file] for file in found[0].files))
    where = f"{two[0]} and {two[1]}" if len(two) == 2 else f"{two[0]}, twice"
    if wide:
        return InputError(
            f"Prompt {found[0].prompt} has a row in {where}, and {counted(count, 'sample')} in all repeat an earlier "
            "one; the wide layout has one row per prompt: merge them, or leave out wide=True.",
            argument="prompt",
        )
    return InputError(
        f"{counted(count, 'sample')} of the parts repeat an earlier (prompt, sample), the first of prompt "
        f"{found[0].prompt} in {where}; remove the repeats, or name in sample the column that tells the samples of a "
        "prompt apart.",
        argument="sample",
    )


def _shared_rows(parts: Sequence[tuple[str, Summary]]) -> str:
    """Say which two parts have most rows in common, each with a prompt and its rewards; nothing where none have.

    Parameters
    ----------
    parts : sequence of (str, Summary)
        Each part's path, and its samples.

    Examples
    --------
    >>> import pyarrow as pa
    >>> a = Summary.of(pa.array(["x"]), np.array([3]), {"reward": np.array([1.0, 3.0, 2.0])})
    >>> b = Summary.of(pa.array(["x"]), np.array([2]), {"reward": np.array([2.0, 5.0])})
    >>> _shared_rows([("a.csv", a), ("b.csv", b)])
    '1 of these stands in a.csv and in b.csv.'
    """
    rows = [np.unique(np.repeat(one.keys[~one.binned], one.sizes[~one.binned]) ^ _hashes(one)) for _, one in parts]
    which = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    every = np.concatenate(rows)
    order = np.argsort(every, kind="stable")
    same = np.flatnonzero(every[order][1:] == every[order][:-1])
    if not same.size:
        return ""
    count, first, second = _most_frequent(which[order], same)
    verb = "stands" if count == 1 else "stand"
    return f"{count} of these {verb} in {parts[first][0]} and in {parts[second][0]}."


def _equal_prompts(parts: Sequence[tuple[str, Summary]]) -> str:
    """Say where prompts have all their rewards in two parts again, and more of them than by chance.

    The chance for one prompt is at most that of drawing its numbers of each reward from these very numbers.

    Parameters
    ----------
    parts : sequence of (str, Summary)
        Each part's path, and its samples.
    """
    keys = np.concatenate([one.keys[~one.binned] for _, one in parts])
    order = np.argsort(keys, kind="stable")
    if not (keys[order][1:] == keys[order][:-1]).any():  # as where each prompt has its part
        return ""
    found = [_contents(one) for _, one in parts]
    content, log_chance = (np.concatenate(of) for of in zip(*found, strict=True))
    which = np.repeat(np.arange(len(parts)), [len(one) for one, _ in found])
    order = np.lexsort((content, keys))
    keys, content = keys[order], content[order]
    again = np.flatnonzero(keys[1:] == keys[:-1])
    same = again[content[again + 1] == content[again]]
    chance = np.exp(log_chance[order][again + 1])
    expected, spread = float(chance.sum()), math.sqrt(float((chance * (1.0 - chance)).sum()))
    if same.size <= expected + _SURPRISE * max(spread, 1.0):
        return ""
    _, first, second = _most_frequent(which[order], same)
    return (
        f"{same.size} of {counted(int(again.size), 'prompt')} that stand in two parts have the same rewards in both, "
        f"such as in {parts[first][0]} and {parts[second][0]}, where chance gives {expected:.2g} at most; keep one "
        "copy, or name the column that tells responses apart (sample)."
    )


def _most_frequent(which: IntArray, same: IntArray) -> tuple[int, int, int]:
    """Return how often the two most frequent neighbours are, and these."""
    pairs, counts = np.unique(np.sort(which[[same, same + 1]], axis=0), axis=1, return_counts=True)
    most = int(np.argmax(counts))
    return int(counts[most]), int(pairs[0, most]), int(pairs[1, most])


def _hashes(one: Summary) -> KeyArray:
    """Return a hash of the rewards of each sample that is kept one by one."""
    found = np.zeros(len(one.values[0]), dtype=np.uint64)
    for values in one.values:
        found = hashed(found ^ hashed(np.ascontiguousarray(values + 0.0).view(np.uint64), 1), 2)
    return found


def _contents(one: Summary) -> tuple[KeyArray, FloatArray]:
    """Return a hash of all rewards of each prompt, and the logarithm of the chance to draw these."""
    sizes = one.sizes[~one.binned]
    if not sizes.size:
        return np.zeros(0, dtype=np.uint64), np.zeros(0)
    hashes, prompt = _hashes(one), np.repeat(np.arange(sizes.size), sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    order = np.lexsort((hashes, prompt))
    new = np.ones(order.size, dtype=np.bool_)
    new[1:] = (np.diff(prompt[order]) != 0) | (hashes[order][1:] != hashes[order][:-1])
    first = np.flatnonzero(new)
    count = np.diff(np.append(first, order.size)).astype(np.float64)
    of = prompt[order][first]
    total = sizes.astype(np.float64)
    log = scipy.special.gammaln(total + 1.0) + np.bincount(
        of, count * np.log(count / total[of]) - scipy.special.gammaln(count + 1.0), minlength=sizes.size
    )
    return np.add.reduceat(hashes, starts) ^ hashed(sizes.astype(np.uint64), 3), log
