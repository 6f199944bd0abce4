"""Columns of a table file: which ones a name means, and what is in them as numbers or as prompt identifiers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._checks import BoolArray, FloatArray
from alignlib.reading import EXACT_INTEGERS, RewardTableError, TableFile, too_large

__all__ = ["RewardColumn", "expand", "identifiers", "match", "numbers", "require_column"]

MISSING = (
    "",
    "na",
    "n/a",
    "#n/a",
    "nan",
    "null",
    "none",
    "<na>",
    "-nan",
)  # how tools spell "no value", lower case
_MAX_LISTED = 40


@dataclass(frozen=True)
class RewardColumn:
    """One reward asked for: its name in the table and the columns of the file it is made from."""

    name: str
    members: tuple[str, ...]
    average: Literal["", "mean", "nanmean"] = ""


def require_column(file: TableFile, name: str, argument: str) -> str:
    """Return ``name`` if the file has exactly one such column, else suggest the nearest and list them all."""
    count = file.names.count(name)
    if count == 1:
        return name
    if count > 1:
        raise RewardTableError(
            f"{file.path} has {count} columns named {name!r} ({argument}); rename all but one.", column=name
        )
    folded = {other.strip().lower(): other for other in file.names}
    near = difflib.get_close_matches(name.strip().lower(), list(folded), n=1, cutoff=0.5)
    hint = f"did you mean {folded[near[0]]!r}? " if near else ""
    raise RewardTableError(
        f"{file.path} has no column {name!r} ({argument}); {hint}Its columns are {_listed(file.names)}.",
        column=name,
    )


def match(file: TableFile, pattern: str, argument: str, skip: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Columns that a pattern means, each with the text its wildcards stood for; ``*`` is any text, ``?`` one character."""
    parts = (("(.*)" if c == "*" else "(.)") if c in "*?" else re.escape(c) for c in pattern)
    regex = re.compile("".join(parts), re.DOTALL)
    hits = [
        (name, m.groups())
        for name in dict.fromkeys(file.names)
        if (m := regex.fullmatch(name)) and name not in skip
    ]
    if not hits:
        raise RewardTableError(
            f"No column of {file.path} matches {pattern!r} ({argument}; * stands for any text, ? for one character); "
            f"its columns are {_listed(file.names)}.",
            column=pattern,
        )
    return [(require_column(file, name, argument), "\0".join(groups)) for name, groups in hits]


def expand(file: TableFile, entries: Sequence[str], skip: Sequence[str] = ()) -> list[RewardColumn]:
    """Resolve what was asked for: a column, a pattern of columns, ``mean:`` or ``nanmean:`` of either."""
    found: dict[str, RewardColumn] = {}
    for entry in entries:
        prefix, _, inner = entry.partition(":")
        if entry in file.names:
            found[entry] = RewardColumn(require_column(file, entry, "reward"), (entry,))
        elif prefix in ("mean", "nanmean") and inner:
            members: dict[str, None] = {}
            for part in inner.split(","):
                members.update(dict.fromkeys(_plain_or_matched(file, part, skip)))
            found[entry] = RewardColumn(entry, tuple(members), "mean" if prefix == "mean" else "nanmean")
        else:
            found.update({name: RewardColumn(name, (name,)) for name in _plain_or_matched(file, entry, skip)})
    return list(found.values())


def _plain_or_matched(file: TableFile, entry: str, skip: Sequence[str]) -> list[str]:
    if entry in file.names or not set(entry) & set("*?"):
        return [require_column(file, entry, "reward")]
    return [name for name, _ in match(file, entry, "reward", skip)]


def numbers(file: TableFile, name: str, column: pa.ChunkedArray) -> FloatArray:
    """Return a reward column as floats, NaN where there is no value; text among numbers is an error."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _numbers_from_text(file, name, column.cast(pa.string()))
    if pa.types.is_integer(kind):
        _check_exact(
            file,
            name,
            column,
            pc.greater(pc.abs_checked(column.cast(pa.float64(), safe=False)), EXACT_INTEGERS),
        )
    elif not (
        pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        hint = (
            "pass wide=True (--wide) if it lists all samples of a prompt"
            if pa.types.is_nested(kind)
            else "give numbers"
        )
        raise RewardTableError(
            f"column {name!r} of {file.path} holds {kind} values, not numbers; {hint}.", column=name
        )
    return np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _numbers_from_text(file: TableFile, name: str, column: pa.ChunkedArray) -> FloatArray:
    text = pc.utf8_trim_whitespace(column)
    lower = pc.utf8_lower(text)
    text = pc.if_else(pc.is_in(lower, value_set=pa.array(MISSING)), pa.scalar(None, pa.string()), text)
    if file.kind not in ("csv", "tsv") and text.null_count < len(text):
        row = int(np.argmax(text.is_valid().to_numpy()))
        raise RewardTableError(
            f"column {name!r} of {file.path} holds text, the first {text[row].as_py()!r} in {file.where([row])}; "
            "write the rewards as numbers, without quotes.",
            column=name,
            rows=[row],
        )
    try:
        floats = text.cast(pa.float64())
    except pa.ArrowInvalid:
        return _truths_or_odd(file, name, text)
    large = pc.greater(pc.abs(floats), EXACT_INTEGERS)
    if pc.any(large).as_py():
        _check_exact(file, name, text, pc.and_(large, pc.match_substring_regex(text, r"^[+-]?[0-9]+$")))
    return np.array(floats.to_numpy(), dtype=np.float64)


def _truths_or_odd(file: TableFile, name: str, text: pa.ChunkedArray) -> FloatArray:
    """Read a column of true and false as 1 and 0; name the first cell of any other text."""
    lower = pc.utf8_lower(text)
    truth = pc.is_in(lower, value_set=pa.array(["true", "false", None]))
    if pc.all(truth).as_py():
        return np.array(pc.equal(lower, "true").cast(pa.float64()).to_numpy(), dtype=np.float64)
    odd = [row for row, value in enumerate(text.to_pylist()) if value is not None and not _is_number(value)]
    raise RewardTableError(
        f"column {name!r} of {file.path} holds text in {len(odd)} of {len(text)} rows, the first {text[odd[0]].as_py()!r} in "
        f"{file.where([odd[0]])}; write a number there, or empty the cell and pass drop_missing=True (--drop-missing).",
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
    where = np.flatnonzero(pc.fill_null(large, False).to_numpy())
    if where.size:
        row = int(where[0])
        raise too_large(file.path, name, column[row].as_py(), file.where([row]), row)


def identifiers(file: TableFile, name: str, column: pa.ChunkedArray) -> tuple[pa.Array, BoolArray]:
    """Return identifiers as integers or text, and where they are missing.

    Cells of CSV and TSV that all spell integers plainly (``7``, not ``007``) become integers, as they are elsewhere.
    """
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.chunked_array(values.chunks, values.type).combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_floating(values.type):  # a column of integers that once had a gap
        try:
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values).cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise RewardTableError(
                f"column {name!r} of {file.path} holds fractions, which cannot name prompts; give integers or text.",
                column=name,
            ) from error
    elif pa.types.is_integer(values.type):
        values = values if values.type == pa.uint64() else values.cast(pa.int64())
    elif pa.types.is_null(values.type):
        values = values.cast(pa.string())
    elif not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise RewardTableError(
            f"column {name!r} of {file.path} holds {values.type} values; give integers or text.", column=name
        )
    elif file.kind in ("csv", "tsv"):
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
        if pc.all(pc.match_substring_regex(values, r"^(0|-?[1-9][0-9]{0,17})$")).as_py():
            values = values.cast(pa.int64())
    return values, np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MAX_LISTED])
    return shown + (f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else "")
