"""Few prompts in bins, each dealt into groups when it was read: they show how far chance moves what is said of it.

Of fewer than twenty prompts everything is said of these very prompts, and errors are told by groups of their samples.
Bins by one reward and bins by another tell them together only if both know which rows are in which group. So rows are
dealt when they are read: a group of a prompt is a prompt of its own there, called by its number and the prompt's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignlib._core.checks import IntArray
from alignlib._core.hashed import hashed
from alignlib.estimation import few_prompts, groups_of_fixed
from alignlib.scale.bins import Bins
from alignlib.scale.bounds import counted_samples, of_prompt
from alignlib.scale.keys import keys_of, plain_names
from alignlib.scale.summary import Summary
from alignlib.tables import CountedGroups, CountedSamples

__all__ = [
    "Dealt",
    "are_groups",
    "first_rows",
    "groups_for",
    "groups_of_rows",
    "in_new_groups",
    "names_of_groups",
    "regrouped",
    "rows_of",
    "whole_of",
]

_MANY = 1 << 20  # samples, whose number says nothing of groups


def groups_for(sizes: IntArray) -> int:
    """Return how many groups prompts are dealt into, 0 where they stand for others.

    Parameters
    ----------
    sizes : array of int (prompts,)
        Their samples.

    Examples
    --------
    >>> groups_for(np.full(2, 60_000)), groups_for(np.full(30, 60_000))
    (50, 0)
    """
    return groups_of_fixed(sizes) if few_prompts(sizes) else 0


def groups_of_rows(prompts: int) -> int:
    """Return how many groups the rows of few prompts are dealt into: of more prompts no more, so that parts merge.

    Parameters
    ----------
    prompts : int
        Their number; how many samples each has does not matter here, for other parts may have more of them.

    Returns
    -------
    int
        0 of so many prompts that they stand for others.

    Examples
    --------
    >>> groups_of_rows(2), groups_of_rows(10), groups_of_rows(20)
    (50, 20, 0)
    """
    return groups_for(np.full(prompts, _MANY))


def in_new_groups(summary: Summary, groups: int, columns: Sequence[str]) -> Summary:
    """Return samples of prompts that are in no bins, dealt into groups, which are, by a hash of their values.

    Summaries that were merged before, in any order, deal so as all at once do, but for samples that are equal in all
    columns: these are dealt in turn.

    Parameters
    ----------
    summary : Summary
        Of prompts.
    groups : int
        Groups of each.
    columns : sequence of str
        Its columns in their new order; whatever that is, a sample is in the same group.

    Examples
    --------
    >>> rows = {"r": np.arange(9.0)}
    >>> summary = Summary.of(pa.array(["a"]), np.array([9]), rows)
    >>> found = whole_of(in_new_groups(summary, 3, ["r"]))
    >>> found == Summary.of(summary.names, summary.sizes, rows, exact_up_to=0)
    True
    """
    prompt = np.repeat(np.arange(len(summary.sizes)), summary.sizes)
    number = hashed(keys_of(summary.names), 0)[prompt]
    for column in sorted(summary.columns):
        bits = (summary.values[summary.columns.index(column)] + 0.0).view(np.uint64)
        number = hashed(number ^ bits, 1)  # the same whatever the order of columns
    alike = np.lexsort((number, prompt))
    first = np.r_[True, np.diff(prompt[alike]) != 0] | np.r_[True, number[alike][1:] != number[alike][:-1]]
    place = np.arange(len(prompt))
    turn = np.empty(len(prompt), dtype=np.int64)
    turn[alike] = place - np.maximum.accumulate(np.where(first, place, 0))
    code = prompt * groups + ((number % np.uint64(groups)).astype(np.int64) + turn) % groups
    order, sizes = np.argsort(code, kind="stable"), np.bincount(code)
    held = np.flatnonzero(sizes)
    called = names_of_groups(summary.names, held // groups, held % groups)
    places = [summary.columns.index(name) for name in columns]
    values = {name: summary.values[j][order] for name, j in zip(columns, places, strict=True)}
    return Summary.of(called, sizes[held], values, widths=[summary.widths[j] for j in places], exact_up_to=0)


def names_of_groups(names: pa.Array, prompt: IntArray, group: IntArray) -> pa.Array:
    """Return what groups are called.

    Parameters
    ----------
    names : Array (prompts,)
        The prompts.
    prompt, group : array of int (k,)
        Which prompt and which of its groups each is.

    Examples
    --------
    >>> names_of_groups(pa.array([7, 12]), np.array([0, 1]), np.array([3, 0])).to_pylist()
    ['3 7', '0 12']
    """
    plain = plain_names(names).to_pylist()
    called = [f"{k} {plain[i]}" for i, k in zip(prompt.tolist(), group.tolist(), strict=True)]
    return pa.array(called, pa.large_string())


def _apart(summary: Summary) -> tuple[IntArray, list[str]]:
    """Return the group and the prompt of each of the prompts that `names_of_groups` called."""
    called = [str(one).partition(" ") for one in summary.names.to_pylist()]
    return np.array([int(k) for k, _, _ in called], dtype=np.int64), [name for _, _, name in called]


def are_groups(summary: Summary, groups: int) -> bool:
    """Tell whether all prompts are called as groups are.

    Parameters
    ----------
    summary : Summary
        As it was read.
    groups : int
        How many groups each prompt has.
    """
    called = (str(one).partition(" ") for one in summary.names.to_pylist())
    return all(gap and k.isascii() and k.isdigit() and int(k) < groups for k, gap, _ in called)


def whole_of(summary: Summary) -> Summary:
    """Return the summary of prompts from that of their groups, all in bins.

    Parameters
    ----------
    summary : Summary
        Of groups, in bins.

    Examples
    --------
    >>> rows = np.array([0.1, 0.9, 0.2])
    >>> groups = Summary.of(pa.array(["0 a", "1 a"]), np.array([2, 1]), {"r": rows}, exact_up_to=0)
    >>> whole_of(groups) == Summary.of(pa.array(["a"]), np.array([3]), {"r": rows}, exact_up_to=0)
    True
    """
    group, prompts = _apart(summary)
    return _together(summary, prompts, group)


def regrouped(summary: Summary, groups: int) -> Summary:
    """Return the summary of fewer groups, several taken as one.

    Parameters
    ----------
    summary : Summary
        Of groups, in bins.
    groups : int
        How many each prompt shall have.

    Examples
    --------
    >>> rows = np.array([0.1, 0.9, 0.2])
    >>> parts = Summary.of(pa.array(["0 a", "1 a", "2 a"]), np.ones(3, dtype=int), {"r": rows}, exact_up_to=0)
    >>> sorted(zip(regrouped(parts, 2).names.to_pylist(), regrouped(parts, 2).sizes.tolist()))
    [('0 a', 2), ('1 a', 1)]
    """
    group, prompts = _apart(summary)
    called = [f"{k % groups} {name}" for k, name in zip(group.tolist(), prompts, strict=True)]
    return _together(summary, called, group // groups)


def _together(summary: Summary, called: Sequence[str], group: IntArray) -> Summary:
    """Return groups as they are called now; those of one name are in different ``group``."""
    names = plain_names(pa.array(called, pa.large_string()).unique())
    keys = keys_of(names)
    order = np.argsort(keys, kind="stable")
    place = {str(names[int(one)].as_py()): row for row, one in enumerate(order)}
    row = np.array([place[name] for name in called], dtype=np.int64)
    bins = replace(summary.bins, row=row[summary.bins.row])
    of_groups = [bins.take(np.flatnonzero(group[summary.bins.row] == k)) for k in np.unique(group).tolist()]
    of_groups = [one.take(np.lexsort((one.index, one.row))) for one in of_groups]
    return replace(
        summary,
        names=names.take(pa.array(order)),
        keys=keys[order],
        sizes=np.bincount(row, summary.sizes, len(order)).astype(np.int64),
        binned=np.ones(len(order), dtype=bool),
        bins=Bins.merged(of_groups, len(summary.columns) - 1),
    )


def rows_of(summary: Summary, prompts: Sequence[object]) -> IntArray:
    """Return where the groups of some prompts stand.

    Parameters
    ----------
    summary : Summary
        Of groups.
    prompts : sequence
        Names of the prompts.

    Examples
    --------
    >>> groups = Summary.of(pa.array(["0 a", "0 b"]), np.array([1, 1]), {"r": np.zeros(2)}, exact_up_to=0)
    >>> summary_names = groups.names.to_pylist()
    >>> [summary_names[row] for row in rows_of(groups, ["b"])]
    ['0 b']
    """
    meant = {str(one) for one in prompts}
    return np.flatnonzero([name in meant for name in _apart(summary)[1]])


def first_rows(summary: Summary, whole: Summary) -> IntArray:
    """Return where the first group of each prompt stands.

    Parameters
    ----------
    summary : Summary
        Of groups.
    whole : Summary
        Of their prompts.

    Examples
    --------
    >>> rows = np.array([0.1, 0.9, 0.2])
    >>> groups = Summary.of(pa.array(["0 a", "1 a"]), np.array([2, 1]), {"r": rows}, exact_up_to=0)
    >>> first_rows(groups, whole_of(groups)).tolist()
    [0]
    """
    _, names = _apart(summary)
    first = {name: row for row, name in reversed([*enumerate(names)])}
    return np.array([first[str(name)] for name in whole.names.to_pylist()], dtype=np.int64)


class Dealt:
    """The samples of few prompts in bins by one reward, with what each group has of each bin.

    Parameters
    ----------
    summary : Summary
        Of groups, in bins.
    prompts : sequence
        Names of prompts, in the order of the table; groups of others are left out.
    groups : int
        How many groups are wanted; where there are more, several are taken as one.

    Examples
    --------
    >>> rows = np.array([0.1, 0.9, 0.2])
    >>> summary = Summary.of(pa.array(["0 a", "1 a"]), np.array([2, 1]), {"r": rows}, exact_up_to=0)
    >>> work = lambda samples: samples.groups.count.sum(axis=1).tolist()
    >>> list(Dealt(summary, ["a"], 2).each_counted(work, "r"))
    [(0, [2.0, 1.0])]
    """

    def __init__(self, summary: Summary, prompts: Sequence[object], groups: int) -> None:
        self.summary, self.groups = summary, groups
        group, names = _apart(summary)
        rows: dict[str, list[int]] = {str(one): [] for one in prompts}
        for one, name in enumerate(names):
            if name in rows:
                rows[name].append(one)
        self._samples = [_counted(summary, its, (group[its] % groups).tolist(), groups) for its in rows.values()]

    def each_counted(
        self, work: Callable[..., Any], column: str, *arrays: npt.NDArray[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Have work done on the samples of each prompt, as a table has; these are few.

        Parameters
        ----------
        work : callable
            Takes the samples and what ``arrays`` have at the prompt.
        column : str
            The reward by which they are in bins, which is one alone.
        *arrays : array (prompts, …)
            What else is known of each prompt.
        """
        assert column == self.summary.columns[0]
        for row, samples in enumerate(self._samples):
            yield row, work(samples, *(array[row] for array in arrays))


def _counted(summary: Summary, rows: list[int], group: list[int], groups: int) -> CountedSamples:
    """Return the samples of one prompt from those of its groups."""
    parts = [replace(one, row=0 * one.row) for one in (of_prompt(summary.bins, row) for row in rows)]
    whole = Bins.merged(parts, len(summary.columns) - 1)
    further = dict(zip(summary.columns[1:], summary.widths[1:], strict=True))
    count = np.zeros((groups, len(whole.row)))
    sums = {name: np.zeros_like(count) for name in further}
    for its, k in zip(parts, group, strict=True):
        where = np.searchsorted(whole.index, its.index)
        count[k, where] += its.count
        for (name, width), one in zip(further.items(), its.others, strict=True):
            sums[name][k, where] += one.mean(width, its.count) * its.count
    known = CountedGroups(count[:, ::-1], {name: one[:, ::-1] for name, one in sums.items()})
    return replace(counted_samples(whole, summary.widths[0], further), groups=known)
