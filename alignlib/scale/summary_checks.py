"""What a summary must be to be believed: types, no gaps, rewards that a table may have.

Another program may have written it (`alignlib.scale.sql` says how), or changed it since.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import counted
from alignlib.tables import LARGEST_REWARD

__all__ = [
    "as_widths",
    "check_by_gold",
    "check_column",
    "check_falling",
    "check_meta",
    "check_values",
    "damaged",
    "read_meta",
]

_MOST_GROUPS = 1024  # of a prompt


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
    return as_widths(widths, len(columns), path), most


def as_widths(widths: object, number: int, path: str) -> tuple[float, ...]:
    """Return widths of bins.

    Parameters
    ----------
    widths : object
        As they are told, in hexadecimal digits.
    number : int
        Of columns, each of which has one.
    path : str
        What messages call the file.

    Raises
    ------
    InputError
        Where they are of another kind.
    """
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
    return as_widths([width], 1, path)[0], groups


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


def check_falling(values: FloatArray, sizes: IntArray, path: str) -> None:
    """Refuse samples that do not stand from the top down.

    Parameters
    ----------
    values : array (samples,)
        The first reward, one prompt after another.
    sizes : array of int (prompts,)
        Samples of each.
    path : str
        What messages call the file.

    Raises
    ------
    InputError
        Where a sample is larger than the one before.
    """
    rises = np.diff(values) > 0.0
    rises[np.cumsum(sizes)[:-1] - 1] = False
    if rises.any():
        raise damaged(path, "its samples are out of order")
