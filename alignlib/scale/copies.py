"""Parts of which one holds rows of another again, as where half of an export is written twice, told from rewards alone.

Single rows tell it where rewards hardly tie. Where they have few levels, the whole of a prompt does: that all its
samples have the same rewards in two parts has a chance that is known, and many such prompts have hardly any.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.hashed import hashed
from alignlib._core.names import counted
from alignlib.scale.keys import KeyArray
from alignlib.scale.summary import Summary

__all__ = ["equal_prompts", "shared_rows"]

_SURPRISE = 5.0  # standard deviations above what chance gives


def shared_rows(parts: Sequence[tuple[str, Summary]]) -> str:
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
    >>> shared_rows([("a.csv", a), ("b.csv", b)])
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


def equal_prompts(parts: Sequence[tuple[str, Summary]]) -> str:
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
