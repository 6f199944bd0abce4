"""Rows written twice, where no column tells the samples of a prompt apart: they would count as new samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alignlib._core.checks import FloatArray, IntArray

__all__ = ["without_repeats"]

_LOOKED_AT = 200_000  # samples that show whether a table is repeated
_GROUPS = 20  # different (prompt, rewards) at least: by chance all come in pairs once in a million tables
_LEVELS = 4  # different rewards of a prompt on average, at least
_ONCE = 0.9  # of these, at least, that come once when repeats are put aside
_SOME = 0.01  # of the samples, from which repeats are worth a word
_CHANCE = 3.0  # times as many as the rounding of the rewards gives by chance, at least


def without_repeats(
    sizes: IntArray, columns: Mapping[str, FloatArray], path: str
) -> tuple[IntArray, Mapping[str, FloatArray], str]:
    """Take a table that holds every row k times, k > 1, once; of one that repeats some rows, say so.

    Parameters
    ----------
    sizes : array (prompts,)
        Samples of each prompt.
    columns : mapping of str to array (samples,)
        Rewards, those of a prompt together.
    path : str
        What the sentence calls the table.

    Returns
    -------
    sizes, columns, str
        Of the table without repeats, and the sentence on them, empty where there are none.

    Examples
    --------
    >>> rewards = np.arange(40.0)
    >>> sizes, columns, _ = without_repeats(np.array([40, 40]), {"r": np.tile(np.repeat(rewards[:20], 2), 2)}, "t.csv")
    >>> sizes.tolist(), columns["r"].size
    ([20, 20], 40)
    """
    first = sizes[: max(1, int(np.searchsorted(np.cumsum(sizes), _LOOKED_AT, side="right")))]
    some = {name: values[: int(first.sum())] for name, values in columns.items()}
    order, counts = _groups(first, some)
    times = int(np.gcd.reduce(counts))
    # Rewards of few levels tie by themselves, and may be balanced on purpose.
    told_apart = counts.size >= max(_GROUPS, _LEVELS * first.size) and (counts == times).mean() > _ONCE
    if times > 1 and told_apart:
        if first.size < sizes.size:
            order, counts = _groups(sizes, columns)
            times = int(np.gcd.reduce(counts))
        if times > 1:
            starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
            within = np.arange(order.size) - np.repeat(starts, counts)
            kept = np.sort(order[within % times == 0])
            said = (
                f"Every prompt and reward of {path} comes {times} times or a multiple of it, as where a table is "
                f"written {times} times: of {times} equal rows one counts. If they are different responses, name the "
                "column that tells them apart (sample)."
            )
            return sizes // times, {name: values[kept] for name, values in columns.items()}, said
    if times > 1 and not told_apart and counts.size - first.size >= _GROUPS:  # so even by chance once in a million
        return (
            sizes,
            columns,
            (
                f"Every prompt and reward of {path} comes {times} times or a multiple of it, as where a table is "
                f"written {times} times, or is balanced on purpose; all rows count. If equal rows are the same "
                "response, remove them, or name the column that tells samples apart (sample)."
            ),
        )
    repeated = int(counts.sum() - counts.size)
    total = int(counts.sum())
    if repeated >= max(_SOME * total, 2) and repeated > _by_chance(first, some) and _hardly_ties(order, first, counts):
        which = f"{total} samples" if first.size == sizes.size else f"the first {total} samples"
        return (
            sizes,
            columns,
            (
                f"{repeated} of {which} of {path} have the prompt and reward of another; remove those that are the "
                "same response written twice, or name the column that tells samples apart (sample)."
            ),
        )
    return sizes, columns, ""


def _hardly_ties(order: IntArray, sizes: IntArray, counts: IntArray) -> bool:
    """Whether half of the prompts, of those whose rewards differ at all, have more different rewards than not."""
    prompt = np.repeat(np.arange(sizes.size), sizes)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    different = np.bincount(prompt[order[starts]], minlength=sizes.size)
    varied = different > 1
    return bool(varied.any() and np.median(different[varied] / sizes[varied]) > 0.5)


def _by_chance(sizes: IntArray, columns: Mapping[str, FloatArray]) -> float:
    """Return how many repeats are no surprise: those of prompts with one reward alone, and of rounded rewards.

    Of rewards on a grid half as many are equal, about, as are one step apart.
    """
    prompt = np.repeat(np.arange(sizes.size), sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    constant = np.ones(sizes.size, dtype=bool)
    rounded = np.inf
    for values in columns.values():
        constant &= np.maximum.reduceat(values, starts) == np.minimum.reduceat(values, starts)
        order = np.lexsort([values, prompt])
        gap = np.diff(values[order])[np.diff(prompt[order]) == 0]
        gap = gap[gap > 0.0]
        near = float((gap <= 1.5 * gap.min()).sum()) - 1.0 if gap.size else 0.0  # the least itself is no evidence
        rounded = min(rounded, 0.5 * near)
    return _CHANCE * rounded + float((sizes[constant] - 1).sum())


def _groups(sizes: IntArray, columns: Mapping[str, FloatArray]) -> tuple[IntArray, IntArray]:
    """Return an order in which equal (prompt, rewards) are together, and how often each comes."""
    prompt = np.repeat(np.arange(sizes.size), sizes)
    keys = [*columns.values(), prompt]
    order = np.lexsort(keys)
    new = np.zeros(order.size, dtype=bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[order][1:] != key[order][:-1]
    return order, np.diff(np.append(np.flatnonzero(new), order.size))
