"""Columns of a table file: which ones a name means, and what they hold, as rewards or as identifiers."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.tables.table_file import EXACT_INTEGERS, TableFile, too_large

__all__ = [
    "RewardColumn",
    "expand",
    "identifiers",
    "is_list",
    "is_pattern",
    "match",
    "numbers",
    "require_column",
    "texts",
]

# How tools spell "no value", in lower case.
MISSING = ("", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>")
_MAX_LISTED = 40


@dataclass(frozen=True)
class RewardColumn:
    """One reward asked for: its name in the table, the columns it is made from, and how."""

    name: str
    members: tuple[str, ...]
    average: Literal["", "mean", "nanmean"] = ""


def require_column(file: TableFile, name: str, argument: str) -> str:
    """Return ``name`` if the file has exactly one such column, else suggest the nearest and list them all.

    Parameters
    ----------
    file : TableFile
        The table.
    name : str
        The column asked for.
    argument : str
        The argument that asked for it, which the sentence names.
    """
    count = file.names.count(name)
    if count == 1:
        return name
    if count > 1:
        raise InputError(
            f"{file.path} has {count} columns named {name!r} ({argument}); rename all but one.", column=name
        )
    folded = {other.strip().lower(): other for other in file.names}
    near = difflib.get_close_matches(name.strip().lower(), list(folded), n=1, cutoff=0.5)
    hint = f"did you mean {folded[near[0]]!r}? It has" if near else "it has"
    raise InputError(
        f"{file.path} has no column {name!r} ({argument}); {hint} {_listed(file.names)}. "
        "Name one of these, or add the column.",
        column=name,
    )


def is_pattern(file: TableFile, entry: str) -> bool:
    """Whether ``entry`` has wildcards and is not itself the name of a column."""
    return entry not in file.names and not {"*", "?"}.isdisjoint(entry)


def match(file: TableFile, pattern: str, skip: Sequence[str] = ()) -> dict[str, str]:
    """Columns that a pattern means, keyed by the text its wildcards stand for.

    ``*`` is any text, ``?`` one character; columns in ``skip`` are passed over.
    """
    parts = (("(.*)" if c == "*" else "(.)") if c in "*?" else re.escape(c) for c in pattern)
    regex = re.compile("".join(parts), re.DOTALL)
    hits = {name: regex.fullmatch(name) for name in file.names if name not in skip}
    found = {"\0".join(hit.groups()): require_column(file, name, "reward") for name, hit in hits.items() if hit}
    if not found:
        raise InputError(
            f"No column of {file.path} matches {pattern!r} (reward; * is any text, ? one character); "
            f"it has {_listed(file.names)}.",
            column=pattern,
        )
    return found


def expand(file: TableFile, entries: Sequence[str], skip: Sequence[str] = ()) -> list[RewardColumn]:
    """Resolve what was asked for: a column, a pattern of columns, ``mean:`` or ``nanmean:`` of either."""
    found: dict[str, RewardColumn] = {}
    for entry in entries:
        prefix, _, inner = entry.partition(":")
        if entry not in file.names and prefix in ("mean", "nanmean") and inner:
            members = [name for part in inner.split(",") for name in _named(file, part, skip)]
            how: Literal["mean", "nanmean"] = "mean" if prefix == "mean" else "nanmean"
            found[entry] = RewardColumn(entry, tuple(dict.fromkeys(members)), how)
        else:
            found.update({name: RewardColumn(name, (name,)) for name in _named(file, entry, skip)})
    return list(found.values())


def _named(file: TableFile, entry: str, skip: Sequence[str]) -> list[str]:
    if is_pattern(file, entry):
        return list(match(file, entry, skip).values())
    return [require_column(file, entry, "reward")]


def is_list(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a list, so that one cell may hold all samples of a prompt."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def numbers(file: TableFile, name: str, column: pa.ChunkedArray) -> FloatArray:
    """Return a column of numbers as floats, shape (rows,), NaN where there is no value.

    Parameters
    ----------
    file, name
        Table and column, for messages.
    column : ChunkedArray
        Its cells: numbers, truth values, or text that spells them.

    Raises
    ------
    InputError
        For other text among the numbers, and integers beyond 2^53.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return numbers(file, name, column.cast(kind.value_type))
    if _is_text(kind):
        return _numbers_from_text(file, name, column.cast(pa.string()))
    if pa.types.is_integer(kind):
        size = pc.abs(column.cast(pa.float64(), safe=False))
        _check_exact(file, name, column, pc.greater_equal(size, float(EXACT_INTEGERS)))
    elif not (
        pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
    ):
        lists = is_list(kind)
        remedy = "pass wide=True if it lists the samples of a prompt" if lists else "name a column of numbers"
        raise InputError(f"column {name!r} of {file.path} holds {kind} values, not numbers; {remedy}.", column=name)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _numbers_from_text(file: TableFile, name: str, column: pa.ChunkedArray) -> FloatArray:
    text = _stripped(column)
    if not file.is_text and text.null_count < len(text):
        row = int(np.argmax(text.is_valid().to_numpy()))
        raise InputError(
            f"column {name!r} of {file.path} holds text, the first {text[row].as_py()!r} in {file.where([row])}; "
            "write rewards as numbers, without quotes.",
            column=name,
            rows=[row],
        )
    try:
        floats = text.cast(pa.float64())
    except pa.ArrowInvalid:
        return _truths(file, name, text)
    large = pc.greater_equal(pc.abs(floats), float(EXACT_INTEGERS))
    if pc.any(large).as_py():
        _check_exact(file, name, text, pc.and_(large, pc.match_substring_regex(text, r"^[+-]?[0-9]+$")))
    return np.array(floats.to_numpy(), dtype=np.float64)


def _stripped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text without the space around it, null where it spells "no value"."""
    text = pc.utf8_trim_whitespace(column)
    missing = pc.is_in(pc.utf8_lower(text), value_set=pa.array(MISSING))
    return pc.if_else(missing, pa.scalar(None, pa.string()), text)


def _truths(file: TableFile, name: str, text: pa.ChunkedArray) -> FloatArray:
    """Read a column of true and false as 1 and 0; name the first cell of any other text."""
    lower = pc.utf8_lower(text)
    if pc.all(pc.is_in(lower, value_set=pa.array(["true", "false", None]))).as_py():
        return np.array(pc.equal(lower, "true").cast(pa.float64()).to_numpy(), dtype=np.float64)
    odd = [row for row, value in enumerate(text.to_pylist()) if value is not None and not _is_number(value)]
    some = len(odd) < len(text) - text.null_count
    remedy = "write a number there, or empty the cell and pass drop_missing=True"
    raise InputError(
        f"column {name!r} of {file.path} holds text in {len(odd)} of {len(text)} rows, the first "
        f"{text[odd[0]].as_py()!r} in {file.where(odd[:1])}; {remedy if some else 'name a column of numbers'}.",
        column=name,
        rows=odd,
    )


def _is_number(value: str) -> bool:
    try:
        pa.scalar(value).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _check_exact(file: TableFile, name: str, column: pa.ChunkedArray, large: pa.ChunkedArray) -> None:
    """Refuse integers that rounding to a float may have changed, 2^53 itself among them: it may be 2^53 + 1."""
    where = np.flatnonzero(pc.fill_null(large, False).to_numpy())
    rows = [int(row) for row in where if abs(int(column[int(row)].as_py())) > EXACT_INTEGERS]
    if rows:
        raise too_large(file.path, name, column[rows[0]].as_py(), file.where(rows[:1]), rows[0])


def identifiers(file: TableFile, name: str, column: pa.ChunkedArray) -> pa.Array:
    """Return identifiers as integers or text, shape (rows,), null where missing.

    Parameters
    ----------
    file, name
        Table and column, for messages.
    column : ChunkedArray
        Its cells. Those of a text table that all spell integers plainly (``7``, not ``007``) become integers.

    Raises
    ------
    InputError
        For fractions, and values that are neither numbers nor text.
    """
    values = column.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if _is_text(kind) or pa.types.is_null(kind):
        values = values.cast(pa.string())
    elif pa.types.is_floating(kind):  # integers that once had a gap
        try:
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values).cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise InputError(
                f"column {name!r} of {file.path} holds fractions, which cannot name a prompt; give integers or text.",
                column=name,
            ) from error
    elif not pa.types.is_integer(kind):
        raise InputError(f"column {name!r} of {file.path} holds {kind} values; give integers or text.", column=name)
    if file.is_text:
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
        if pc.all(pc.match_substring_regex(values, r"^(0|-?[1-9][0-9]{0,18})$")).as_py():
            with contextlib.suppress(pa.ArrowInvalid):  # beyond 64 bits they stay text
                values = values.cast(pa.int64())
    return values


def texts(file: TableFile, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of numbers or text as text without the space around it, null where missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        return _stripped(column.cast(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column {name!r} of {file.path} holds {column.type} values; give numbers or text.", column=name
        ) from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MAX_LISTED])
    return shown + (f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else "")
