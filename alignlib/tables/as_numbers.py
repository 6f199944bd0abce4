"""Cells as numbers: rewards, log-probabilities, steps of a log."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.tables.as_identifiers import MISSING
from alignlib.tables.cell_types import is_list, is_text, kind_of, plain_cells
from alignlib.tables.table_file import EXACT_INTEGERS, TableFile, too_large

__all__ = ["numbers"]

_WIDE = "pass wide=True if it lists the samples of a prompt"
_DECIMAL_COMMA = r"^[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?$"
_THOUSANDS = r"^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+$"


def numbers(file: TableFile, name: str, column: pa.ChunkedArray, *, of_samples: bool = False) -> FloatArray:
    """Return a column of numbers as floats, shape (rows,), NaN where there is no value.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column, for messages.
    column : ChunkedArray
        Its cells: numbers, truth values, or text that spells them.
    of_samples : bool
        Whether the cells are of one sample each, so that a list may be of several: the sentence then says so.

    Raises
    ------
    InputError
        For other text among the numbers, values of another type, and integers beyond 2^53.

    Examples
    --------
    >>> file = TableFile("t", ("r",), lambda names: None, is_text=True)
    >>> numbers(file, "r", pa.chunked_array([["0.5", "", "1e3"]])).tolist()
    [0.5, nan, 1000.0]
    """
    column = plain_cells(file, name, column)
    kind, t = column.type, pa.types
    if is_text(kind):
        return _numbers_from_text(file, name, column, of_samples)
    if t.is_integer(kind) or (t.is_decimal(kind) and kind.scale <= 0):
        size = pc.abs(column.cast(pa.float64(), safe=False))
        _check_exact(file, name, column, pc.greater_equal(size, float(EXACT_INTEGERS)))
    elif not (t.is_floating(kind) or t.is_boolean(kind) or t.is_decimal(kind) or t.is_null(kind)):
        remedy = _WIDE if of_samples and is_list(kind) and _of_numbers(kind.value_type) else "name a column of numbers"
        if t.is_struct(kind) and kind.num_fields:
            remedy = f"name a key within it, such as {f'{name}.{kind.field(0).name}'!r}"
        raise InputError(
            f"column {name!r} of {file.path} holds {kind_of(kind)} values, not numbers; {remedy}.", column=name
        )
    floats = column.cast(pa.float64(), safe=False)
    one = floats.num_chunks == 1  # of several to_numpy makes a copy, and of one too, where it is asked of the column
    return np.asarray(floats.chunk(0).to_numpy(zero_copy_only=False) if one else floats.to_numpy(), dtype=np.float64)


def _of_numbers(kind: pa.DataType) -> bool:
    return (
        _of_numbers(kind.value_type) if is_list(kind) else bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
    )


def _numbers_from_text(file: TableFile, name: str, column: pa.ChunkedArray, of_samples: bool) -> FloatArray:
    text = _without_missing(column)
    if not file.is_text and text.null_count < len(text):
        row = int(np.argmax(text.is_valid().to_numpy()))
        raise InputError(
            f"column {name!r} of {file.path} holds text, the first {text[row].as_py()!r} in {file.where([row])}; "
            "write numbers there, without quotes.",
            column=name,
            rows=[row],
        )
    try:
        floats = text.cast(pa.float64())
    except pa.ArrowInvalid:
        return _other_numbers(file, name, text, of_samples)
    large = pc.greater_equal(pc.abs(floats), float(EXACT_INTEGERS))
    if pc.any(large).as_py():
        _check_exact(file, name, text, pc.and_(large, pc.match_substring_regex(text, r"^[+-]?[0-9]+$")))
    return np.array(floats.to_numpy(), dtype=np.float64)


def _without_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text without the space around it, null where it spells "no value"."""
    text = pc.utf8_trim_whitespace(column)
    missing = pc.is_in(pc.utf8_lower(text), value_set=pa.array(MISSING, text.type))
    return pc.if_else(missing, pa.scalar(None, text.type), text)


def _other_numbers(file: TableFile, name: str, text: pa.ChunkedArray, of_samples: bool) -> FloatArray:
    """Read true and false as 1 and 0, and decimal commas where they are clear; name the first cell of other text."""
    lower = pc.utf8_lower(text)
    if pc.all(pc.is_in(lower, value_set=pa.array(["true", "false", None], lower.type))).as_py():
        return np.array(pc.equal(lower, "true").cast(pa.float64()).to_numpy(), dtype=np.float64)
    odd = [row for row, value in enumerate(text.to_pylist()) if value is not None and not _is_number(value)]
    commas = text.take(pa.array(odd))
    with_comma = pc.all(pc.match_substring_regex(commas, _DECIMAL_COMMA)).as_py()
    clear = file.separator not in ("", ",") and not pc.any(pc.match_substring(text, ".")).as_py()
    if with_comma and clear and not pc.all(pc.match_substring_regex(commas, _THOUSANDS)).as_py():
        file.note(f"Column {name!r} of {file.path} has decimal commas: {commas[0].as_py()!r} is read with a point.")
        floats = pc.replace_substring(text, ",", ".").cast(pa.float64())
        return np.array(floats.to_numpy(), dtype=np.float64)
    first = f"{text[odd[0]].as_py()!r} in {file.where(odd[:1])}"
    if with_comma:
        raise InputError(
            f"column {name!r} of {file.path} has a comma within its numbers, the first {first}; write decimal points, "
            "and no marks between thousands.",
            column=name,
            rows=odd,
        )
    some = len(odd) < len(text) - text.null_count
    remedy = "write a number there" + (", or empty the cell and pass drop_missing=True" if of_samples else "")
    if of_samples and pc.all(pc.match_substring_regex(commas, r"^\[.*\]$")).as_py():
        remedy, some = _WIDE, True
    raise InputError(
        f"column {name!r} of {file.path} holds text in {len(odd)} of {len(text)} rows, the first "
        f"{first}; {remedy if some else 'name a column of numbers'}.",
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
    for row in np.flatnonzero(pc.fill_null(large, False).to_numpy()).tolist():
        value = column[row].as_py()
        if abs(Decimal(value)) > EXACT_INTEGERS:  # text of any length, an integer or a decimal number
            raise too_large(file.path, name, value, file.where([row]), row)
