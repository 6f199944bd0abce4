"""Members of an ensemble in the columns of a summary file, and whether they can be of its samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from alignlib._core.checks import IntArray
from alignlib._core.errors import quoted
from alignlib.scale.bin_checks import seen
from alignlib.scale.bins import STEPS
from alignlib.scale.heads import measured
from alignlib.scale.kept_members import KINDS, KeptMembers, columns_apart, combination, kinds_of
from alignlib.scale.summary import Summary
from alignlib.scale.summary_checks import as_widths, damaged

__all__ = ["columns_of_members", "members_in"]

_OF_ALL = ("prompt", "samples")
_ROUNDED = 1e-9  # of means in floats, of the largest value


def columns_of_members(
    members: KeptMembers, batches: Sequence[pa.RecordBatch], rows: IntArray | None, number: int
) -> tuple[dict[str, pa.Array], dict[str, Any]]:
    """Return the columns that hold members, and what is said of them beside.

    Parameters
    ----------
    members : KeptMembers
        Members of the samples of a summary.
    batches : sequence of RecordBatch
        The rows of each of their summaries.
    rows : array of int (prompts,), optional
        The row of the file where each prompt stands; by default they are in order.
    number : int
        Rows of the file.

    Returns
    -------
    columns : dict of str to Array (number,)
        By their names in the file.
    said : dict
        For JSON.
    """
    columns: dict[str, pa.Array] = {}
    if rows is not None:
        place = np.full(number, -1)
        place[rows] = np.arange(len(rows))
        taken = pa.array(place, mask=place < 0)
    for k, batch in enumerate(batches):
        for name in batch.schema.names:
            if name not in _OF_ALL:
                columns[f"member{k}.{name}"] = batch[name] if rows is None else batch[name].take(taken)
    said: dict[str, Any] = {"names": members.names}
    if members.every:
        said["widths"] = [[one.hex() for one in its.widths] for its in members.every]
        said["scales"] = [[one.hex() for one in pair] for pair in members.scales]
        said["exact_up_to"] = members.every[0].exact_up_to
    return columns, said


def members_in(
    table: pa.Table,
    said: object,
    whole: Summary,
    rows: IntArray | None,
    read: Callable[[pa.Table, tuple[float, ...], int], Summary],
    path: str,
) -> KeptMembers:
    """Return the members that a table holds.

    Parameters
    ----------
    table : Table
        All columns of the file.
    said : object
        What is said of members beside it.
    whole : Summary
        Its prompts by the first reward.
    rows : array of int (prompts,), optional
        As for `columns_of_members`.
    read : callable
        From a table with the columns of one summary, its widths and ``exact_up_to``, to the summary, which it checks.
    path : str
        What messages call the file.

    Raises
    ------
    InputError
        Where they cannot be of its samples.
    """
    first, gold = whole.columns[:2] if len(whole.columns) > 1 else ("", "")
    names, widths, scales, most = _told(said, path)
    if gold in ("", *names):
        raise damaged(path, f"it has the members {quoted(names)} beside the rewards {quoted(whole.columns)}")
    if not widths:
        if not {*names} <= {*whole.columns}:
            raise damaged(path, f"it holds no columns of the members {quoted(names)}")
        return KeptMembers(names)
    apart = columns_apart(names, first, gold)
    every = [*apart, *((combination(kind), gold) for kind in (kinds_of(names) if scales else []))]
    if len(widths) != len(every):
        raise damaged(path, f"it has widths of {len(widths)} summaries of members, for {len(every)}")
    table = table if rows is None else table.take(pa.array(rows))
    found = []
    for k, (columns, given) in enumerate(zip(every, widths, strict=True)):
        own = {name.removeprefix(f"member{k}."): name for name in table.column_names if name.startswith(f"member{k}.")}
        held = {"prompt": whole.names, "samples": pa.array(whole.sizes)} | {new: table[old] for new, old in own.items()}
        found.append(read(pa.table(held), as_widths(given, len(columns), path), most))
        if found[-1].columns != columns:
            raise damaged(path, f"of a member it has the rewards {quoted(found[-1].columns)}, for {quoted(columns)}")
    members = KeptMembers(names, tuple(found[: len(apart)]), tuple(found[len(apart) :]), scales)
    _check_same(whole, members, path)
    return members


def _told(said: object, path: str) -> tuple[tuple[str, ...], list[object], tuple[tuple[float, float], ...], int]:
    """Return names, widths, scales, and the most samples that are kept one by one."""
    told: dict[str, object] = said if isinstance(said, dict) else {}
    names, widths, scales = (told.get(name, []) for name in ("names", "widths", "scales"))
    most = told.get("exact_up_to", 0)
    if isinstance(names, list) and isinstance(widths, list) and isinstance(scales, list) and type(most) is int:
        pairs = tuple(filter(None, map(_as_pair, scales)))
        text = all(isinstance(one, str) for one in names)
        if text and len({*names}) == len(names) > 0 and len(pairs) == len(scales) in (0, len(names)) and most >= 0:
            return tuple(names), widths, pairs, most
    raise damaged(path, f"what it tells of members is {quoted(said)}")


def _as_pair(given: object) -> tuple[float, float] | None:
    """Return a mean and a deviation, None where these are none."""
    try:
        mean, deviation = (float.fromhex(one) for one in given) if isinstance(given, list) else (0.0, 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
    return (mean, deviation) if math.isfinite(mean) and 0.0 < deviation < math.inf else None


def _check_same(whole: Summary, members: KeptMembers, path: str) -> None:
    """Refuse members of other samples: gold, and a member beside another, are there several times."""
    gold = whole.columns[1]
    own = {one.columns[0]: one for one in (whole, *members.others)}
    for one in members.every:
        for j, name in enumerate(one.columns[1:], 1):
            other, i = (whole, 1) if name == gold else (own[name], 0)
            mine, its = seen(one, j), seen(other, i)
            alike = all(map(np.array_equal, mine[1:], its[1:]))
            if one.widths[j] == other.widths[i]:
                alike &= np.array_equal(mine[0], its[0])
            if not alike:
                raise damaged(path, f"{name!r} beside {one.columns[0]!r} is of other samples than the rest")
    if not members.combined:
        return
    on_one_scale = np.array(
        [(measured(own[name])[0] - mean) / d for name, (mean, d) in zip(members.names, members.scales, strict=True)]
    )  # members, what is measured, prompts
    steps = sum(own[name].widths[0] / d for name, (_, d) in zip(members.names, members.scales, strict=True))
    for kind, one in zip(kinds_of(members.names), members.combined, strict=True):
        mean, least, most = measured(one)[0]
        known, low, high = np.moveaxis(KINDS[kind](on_one_scale, axis=0), 0, 0)
        rounded = _ROUNDED * np.abs(on_one_scale).max()
        off = math.ldexp(one.widths[0] + steps, -STEPS) + rounded
        ok = (least >= low - rounded) & (most <= high + rounded)  # each way rises with each member
        if kind == "mean":
            ok &= np.abs(mean - known) <= off
        elif kind == "min":
            ok &= (mean <= known + off) & (least == low)
        if not ok.all():
            raise damaged(path, f"{one.columns[0]!r} is no {kind} of its members")
