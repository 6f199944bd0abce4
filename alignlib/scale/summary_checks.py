"""What a summary must be to be believed: types, no gaps, counts and sums that rewards can have.

Another program may have written it (`alignlib.scale.sql` says how), or changed it since.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import counted
from alignlib.scale.bins import STEPS, Bins
from alignlib.tables import LARGEST_REWARD

__all__ = ["check_bins", "check_by_gold", "check_column", "check_meta", "check_values", "damaged", "read_meta"]

_MASK = (1 << STEPS) - 1
_MOST_COUNT, _MOST_INDEX = 1 << 32, 1 << 30
_MOST_GROUPS = 1024  # of a prompt
_SLACK = 1e-9  # of sums that are compared as floats


def damaged(path: str, why: str) -> InputError:
    """Return the sentence for a summary that cannot be one.

    Parameters
    ----------
    path : str
        What messages call the file.
    why : str
        What is wrong with it.
    """
    return InputError(f"{path} is a damaged summary: {why}; make it again.", argument="path")


def read_meta(stored: bytes, path: str) -> dict[str, Any]:
    """Return what is said beside the rows: ``version``, ``columns``, ``widths``, ``exact_up_to``, ``about``.

    Parameters
    ----------
    stored : bytes
        JSON.
    path : str
        Where it is from, for sentences.

    Raises
    ------
    InputError
        For anything else.
    """
    try:
        meta = json.loads(stored)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "what describes it is no JSON") from error
    if not isinstance(meta, dict) or "version" not in meta:
        raise damaged(path, "what describes it has no version")
    return meta


def check_meta(meta: Mapping[str, Any], columns: Sequence[str], path: str) -> tuple[tuple[float, ...], int]:
    """Return the widths of bins and the number of samples up to which none are binned.

    Parameters
    ----------
    meta : mapping
        What a summary says of itself.
    columns : sequence of str
        Its rewards.
    path : str
        What messages call the file.

    Returns
    -------
    widths : tuple of float
        Of the bins of each reward.
    exact_up_to : int
        The most samples of a prompt that are kept one by one.

    Raises
    ------
    InputError
        Where they are of another kind, or do not belong to these columns.
    """
    widths, most = meta.get("widths"), meta.get("exact_up_to")
    if not isinstance(meta.get("about"), dict) or isinstance(most, bool) or not isinstance(most, int) or most < 0:
        raise damaged(path, f"it has exact_up_to {quoted(most)} and about {quoted(meta.get('about'))}")
    notes, dropped = meta["about"].get("notes", []), meta["about"].get("dropped", 0)
    if not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
        raise damaged(path, f"its notes are {quoted(notes)}")
    if isinstance(dropped, bool) or not isinstance(dropped, int) or not 0 <= dropped < 1 << 63:
        raise damaged(path, f"the number it dropped is {quoted(dropped)}")
    return _as_widths(widths, len(columns), path), most


def _as_widths(widths: object, number: int, path: str) -> tuple[float, ...]:
    try:
        found = tuple(float.fromhex(one) for one in widths) if isinstance(widths, list) else ()
    except (TypeError, ValueError, OverflowError) as error:
        raise damaged(path, f"its widths are {quoted(widths)}") from error
    whole = all(math.isfinite(one) and one > 0.0 and math.frexp(one)[0] == 0.5 for one in found)
    if not isinstance(widths, list) or not whole or len(found) != number:
        raise damaged(path, f"its widths are {quoted(widths)}, for {counted(number, 'column')}")
    return found


def check_by_gold(meta: Mapping[str, Any], columns: Sequence[str], path: str) -> tuple[float | None, int]:
    """Return the width of bins by gold, None where there are none, and the number of groups of each prompt.

    Parameters
    ----------
    meta : mapping
        What a summary says of itself.
    columns : sequence of str
        Its rewards.
    path : str
        What messages call the file.

    Returns
    -------
    width : float, optional
        Of bins by gold.
    groups : int
        Of each prompt, 0 where prompts are whole.

    Raises
    ------
    InputError
        Where they are of another kind.
    """
    width, groups = meta.get("by_gold"), meta.get("groups", 0)
    if isinstance(groups, bool) or not isinstance(groups, int) or not 0 <= groups <= _MOST_GROUPS:
        raise damaged(path, f"the number of its groups is {quoted(groups)}")
    if width is None:
        return None, groups
    if len(columns) != 2:
        raise damaged(path, f"it has bins by gold, and {counted(len(columns), 'column')}")
    return _as_widths([width], 1, path)[0], groups


def _is_name(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_real(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


_IS = {
    "names": _is_name,
    "whole": pa.types.is_integer,
    "real": _is_real,
    "lists": lambda kind: _is_list(kind) and _is_real(kind.value_type),
    "structures": lambda kind: _is_list(kind) and pa.types.is_struct(kind.value_type),
}


def check_column(table: Any, name: str, kind: str, path: str) -> Any:
    """Return a column, or a field of a structure, of one of these kinds: names, whole, real, lists, structures.

    Parameters
    ----------
    table : Table or Array
        What should have it.
    name : str
        The column or field.
    kind : str
        ``names``, ``whole``, ``real``, ``lists`` or ``structures``.
    path : str
        What messages call the file.

    Raises
    ------
    InputError
        Where it is missing, there twice, of another type, or has gaps.
    """
    names = [field.name for field in (table.type if isinstance(table, pa.Array) else table.schema)]
    if names.count(name) != 1:
        raise damaged(path, f"it has {names.count(name)} columns {name!r}")
    column = table.field(name) if isinstance(table, pa.Array) else table[name]
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not _IS[kind](column.type):
        raise damaged(path, f"its column {name!r} holds {column.type}")
    if column.null_count:
        raise damaged(path, f"its column {name!r} has a missing value")
    return column


def check_values(name: str, values: FloatArray, path: str) -> None:
    """Refuse rewards that no table may have.

    Parameters
    ----------
    name : str
        The reward.
    values : array (n,)
        Its values.
    path : str
        What messages call the file.

    Raises
    ------
    InputError
        With the first of them.
    """
    bad = ~(np.abs(values) <= LARGEST_REWARD)  # NaN too
    if bad.any():
        raise damaged(path, f"its reward {name!r} has the value {values[int(np.argmax(bad))]:g}")


def check_bins(bins: Bins, widths: Sequence[float], path: str) -> None:
    """Refuse bins that no rewards fall into: each sum must be one that so many rewards between its ends can have.

    Parameters
    ----------
    bins : Bins
        As they were read.
    widths : sequence of float
        Of the bins of each reward.
    path : str
        What messages call the file.

    Raises
    ------
    InputError
        With the first of them.
    """
    if not len(bins.row):
        return
    if not widths:
        raise damaged(path, "it has bins and no width")
    width, count = widths[0], bins.count
    index = bins.index.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        first = np.floor(np.ldexp(bins.least / width - index, STEPS))  # steps of the ends
        last = np.minimum(np.floor(np.ldexp(bins.most / width - index, STEPS)), _MASK)
        total, squares = bins.total.astype(np.float64), np.ldexp(bins.square_high.astype(np.float64), STEPS)
        squares += bins.square_low
        ok = (
            _between(count, 1, _MOST_COUNT - 1)
            & (np.abs(bins.index) < _MOST_INDEX)
            & (bins.least <= bins.most)
            & (np.abs(bins.least) <= LARGEST_REWARD)
            & (np.abs(bins.most) <= LARGEST_REWARD)
            & (first >= 0)
            & (bins.most < (index + 1.0) * width)
            & _near(first * count, total)
            & _near(total, last * count)
            & _near(total**2 / np.maximum(count, 1), squares)
            & _near(squares, last * total)
            & (bins.square_high >= 0)
            & (bins.square_low >= 0)
            & (bins.square_low <= count * float(_MASK))
        )
        for its, its_width in zip(bins.others, widths[1:] or widths, strict=False):
            low, high = (np.ldexp(one.astype(np.float64), k) for one, k in ((its.low, -STEPS), (its.high, 0)))
            value = (high + low) * its_width
            slack = _SLACK * count * its_width + 1e-12 * np.abs(value)
            ok &= (np.abs(its.high) <= count * float(_MOST_INDEX)) & (its.low >= 0) & (its.low <= count * float(_MASK))
            ok &= (its.cross_low >= 0) & (its.cross_low <= count * float(_MASK)) & (its.least <= its.most)
            ok &= np.abs(its.cross_high) <= count * float(_MOST_INDEX)
            squares = np.ldexp(its.square_high.astype(np.float64), STEPS) + its.square_low
            ok &= (its.square_low >= 0) & (its.square_low <= count * float(_MASK))
            ok &= _near(np.square(its.high.astype(np.float64)) / np.maximum(count, 1), squares)
            known = np.isfinite(its.least)
            ok &= ~known | (its.least * count <= value + slack + count * its_width * 2.0**-STEPS)
            ok &= ~known | (value <= its.most * count + slack)
    if not ok.all():
        k = int(np.argmin(ok))
        raise damaged(path, f"no rewards make its bin {bins.index[k]} with count {count[k]}")
    if ((np.diff(bins.row) == 0) & (np.diff(bins.index) <= 0)).any():
        raise damaged(path, "its bins are out of order")


def _between(values: Any, low: int, high: int) -> BoolArray:
    return np.asarray((values >= low) & (values <= high))


def _near(less: FloatArray, more: FloatArray) -> BoolArray:
    """Whether one sum is at most another, as far as floats tell."""
    return np.asarray(less <= more * (1.0 + _SLACK) + 1.0)
