"""Cells as identifiers or as text: prompts, samples, labels, raters. They are kept as written, never rounded.

In files that know "no value" (JSON, Parquet, data frames) null is missing, NaN too in a column of numbers, and any text
is text. In CSV all is text: there a blank cell and the words NA, NaN, null and None are missing in every column, but in
those of ratings None is a label; a note says so.
"""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.errors import InputError
from alignlib.tables.cell_types import is_list, is_text, kind_of, plain_cells
from alignlib.tables.table_file import EXACT_INTEGERS, TableFile, too_large

__all__ = ["MISSING", "identifiers", "spelled_number", "texts"]

# How tools spell "no value" in a file where all is text, in lower case.
MISSING = ("", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>")


def identifiers(file: TableFile, name: str, column: pa.ChunkedArray) -> pa.Array:
    """Return identifiers as integers or text, shape (rows,), null where missing.

    Lists of chat messages, and other lists and objects, are named by their JSON.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column, for messages.
    column : ChunkedArray
        Its cells: integers or text, floats that are whole, dates, or lists and objects.

    Raises
    ------
    InputError
        For fractions, truth values, and floats beyond 2^53, of which two may stand for one identifier.

    Examples
    --------
    >>> file = TableFile("t", ("id",), lambda names: None)
    >>> identifiers(file, "id", pa.chunked_array([[1.0, 2.0]])).to_pylist()
    [1, 2]
    """
    cells, t = plain_cells(file, name, column), pa.types
    values = cells.chunk(0) if cells.num_chunks == 1 else cells.combine_chunks()  # which would copy
    kind = values.type
    if is_text(kind) or t.is_null(kind):
        values = values.cast(pa.string() if t.is_null(kind) else kind)
    elif t.is_floating(kind):  # integers that once had a gap
        values = _whole(file, name, values)
    elif t.is_decimal(kind):
        values = _as_text(file, name, values)
        fractions = pc.match_substring_regex(values, r"\.[0-9]*[1-9]")
        if pc.any(fractions).as_py():
            raise _no_fractions(file, name)
        values = pc.replace_substring_regex(values, r"\.0*$", "")
    elif is_list(kind) or t.is_struct(kind) or t.is_map(kind):
        values = _as_json(file, name, values)
    elif t.is_temporal(kind):
        values = _as_text(file, name, values)
    elif not t.is_integer(kind):
        raise InputError(
            f"column {name!r} of {file.path} holds {kind_of(kind)} values; give integers or text.", column=name
        )
    if file.is_text:
        encoded = values.dictionary_encode()  # most identifiers come many times
        names = _said_missing(file, name, encoded.dictionary)
        if pc.all(pc.match_substring_regex(names, r"^(0|-?[1-9][0-9]{0,18})$")).as_py():
            with contextlib.suppress(pa.ArrowInvalid):  # beyond 64 bits they stay text
                names = names.cast(pa.int64())
        values = names.take(encoded.indices)
    return values


def texts(file: TableFile, name: str, column: pa.ChunkedArray, *, labels: bool = False) -> pa.Array:
    """Return a column of numbers or text as text without the space around it, null where missing.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column, for messages.
    column : ChunkedArray
        Its cells.
    labels : bool
        Whether ``None`` is a label also in CSV.

    Raises
    ------
    InputError
        For lists and objects, and floats beyond 2^53, of which two may stand for one number.
    """
    values, t = plain_cells(file, name, column).combine_chunks(), pa.types
    kind = values.type
    if t.is_floating(kind):
        gaps = pc.is_nan(values)
        values = pc.if_else(gaps, pa.scalar(None, kind), values)
        beyond = pc.greater(pc.abs(values), float(EXACT_INTEGERS))
        if pc.any(beyond).as_py():
            row = int(np.argmax(pc.fill_null(beyond, False).to_numpy(zero_copy_only=False)))
            raise too_large(file.path, name, f"{values[row].as_py():.0f}", file.where([row]), row)
        # -0.0 is 0, as a number.
        values = pa.array(
            [None if v is None else repr(v + 0.0).removesuffix(".0") for v in values.to_pylist()], pa.string()
        )
    elif is_list(kind) or t.is_struct(kind) or t.is_map(kind):
        raise InputError(
            f"column {name!r} of {file.path} holds {kind_of(kind)} values; give numbers or text.", column=name
        )
    elif not is_text(kind):
        values = _as_text(file, name, values)
    encoded = values.dictionary_encode()
    names = pc.utf8_trim_whitespace(encoded.dictionary)
    if pc.count_distinct(names).as_py() < len(names):
        file.note(f"Texts of column {name!r} that differ only in the space around them are read as one.")
    elif (spaced := _spaced(encoded.dictionary, names)) is not None:
        file.note(f"Texts of column {name!r} are read without the space around them, such as {spaced!r}.")
    if file.is_text:
        if labels:
            _say_text(file, name, names, ("none",), "leave the cell blank")
        return _said_missing(file, name, names, but="none" if labels else None).take(encoded.indices)
    _say_text(file, name, names, MISSING[1:], "write null")
    return pc.if_else(pc.equal(names, ""), pa.scalar(None, names.type), names).take(encoded.indices)


def _spaced(written: pa.Array, names: pa.Array) -> str | None:
    """Return the first text that lost space around it; a blank cell is none."""
    changed = pc.and_(pc.not_equal(written, names), pc.not_equal(names, ""))
    found = written.filter(changed)
    return found[0].as_py() if len(found) else None


def _say_text(file: TableFile, name: str, values: pa.Array, of: tuple[str, ...], remedy: str) -> None:
    """Point out a word that elsewhere is missing, and a label here."""
    words = values.filter(pc.is_in(pc.utf8_lower(values), value_set=pa.array(of, values.type)))
    if len(words):
        file.note(f"{words[0].as_py()!r} in column {name!r} is a text of its own; {remedy} where a value is missing.")


def _said_missing(file: TableFile, name: str, values: pa.Array, but: str | None = None) -> pa.Array:
    """Return texts of a file that has no other way to say "missing", null where one does; a word is pointed out."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    missing = pc.is_in(lower, value_set=pa.array([word for word in MISSING if word != but], lower.type))
    words = pc.and_(missing, pc.not_equal(lower, ""))
    if pc.any(words).as_py():
        file.missing_words[name] = word = values.filter(words)[0].as_py()
        file.note(
            f"{word!r} in column {name!r} is read as a missing value, as in all CSV; rename it if it is one of "
            "the values."
        )
    return pc.if_else(missing, pa.scalar(None, values.type), values)


def _whole(file: TableFile, name: str, values: pa.Array) -> pa.Array:
    beyond = pc.greater(pc.abs(values), float(EXACT_INTEGERS))
    if pc.any(pc.and_(beyond, pc.is_finite(values))).as_py():
        row = int(np.argmax(pc.fill_null(beyond, False).to_numpy(zero_copy_only=False)))
        raise too_large(file.path, name, f"{values[row].as_py():.0f}", file.where([row]), row)
    try:
        return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise _no_fractions(file, name) from error


def _no_fractions(file: TableFile, name: str) -> InputError:
    return InputError(
        f"column {name!r} of {file.path} holds fractions, which are no names; give integers or text.",
        column=name,
    )


def _as_text(file: TableFile, name: str, values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.string())
    except pa.ArrowException as error:
        raise InputError(
            f"column {name!r} of {file.path} holds {kind_of(values.type)} values; give integers or text.", column=name
        ) from error


def _as_json(file: TableFile, name: str, values: pa.Array) -> pa.Array:
    try:
        cells = [None if v is None else json.dumps(v, sort_keys=True, ensure_ascii=False) for v in values.to_pylist()]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"column {name!r} of {file.path} holds {kind_of(values.type)} values; give integers or text.", column=name
        ) from error
    return pa.array(cells, pa.large_string())


def spelled_number(text: str) -> str | None:
    """Return the one spelling of a number written in decimal digits, exactly; None where it is no such number.

    Parameters
    ----------
    text : str
        A cell.

    Examples
    --------
    >>> spelled_number("4.0"), spelled_number("1e2"), spelled_number("9007199254740993"), spelled_number("007")
    ('4', '100', '9007199254740993', None)
    """
    bare = text.lstrip("+-")
    if not text.isascii() or not bare[:1].isdigit() or (bare[0] == "0" and bare[1:2].isdigit()) or len(text) > 60:
        return None  # digits of other scripts are texts of their own
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or not -60 < number.adjusted() < 60 or "_" in text:
        return None
    said = format(number, "f")
    said = said.rstrip("0").rstrip(".") if "." in said else said
    return "0" if said in ("-0", "") else said
