"""JSON lines: fast through Arrow, and line by line where Arrow stumbles, so that the error can name the line."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.formats import TableFormat, register
from alignlib.tables.json_text import check_lines, json_kind, parse_json
from alignlib.tables.memory_limit import check_fits
from alignlib.tables.objects import table_of_objects
from alignlib.tables.table_file import EXACT_INTEGERS, TableFile, check_not_packed, nested_keys, not_utf8, short

__all__ = ["open_json_lines"]

_TIMES = 1.2  # memory of the parsed table, in sizes of the text
_BLOCK = 1 << 24  # bytes; longer than any sensible line, responses included


def open_json_lines(path: str, data: pa.Buffer) -> TableFile:
    """Read a file with one JSON object per line; a key that an object lacks is a missing value.

    Parameters
    ----------
    path : str
        What messages call the file.
    data : Buffer
        Its content.

    Raises
    ------
    InputError
        If it is empty, or a line is no object.
    """
    check_not_packed(path, data[:16].to_pybytes())
    check_fits(_TIMES * data.size, path, "write the columns asked for as Parquet")
    if not check_lines(path, data):
        return table_of_objects(path, "line", _records(path, data))
    try:
        table = _read(data)
        # Arrow takes text that looks like a date for one, and would merge two spellings of it.
        dates = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
        table = _read(data, dates) if dates else table
        nested = nested_keys(table.schema)
    except (pa.ArrowException, UnicodeDecodeError):  # perhaps only in a column that nobody asks for
        return table_of_objects(path, "line", _records(path, data))
    if table.num_rows != _lines(data):  # two objects on one line
        return table_of_objects(path, "line", _records(path, data))
    if table.num_rows == 0:
        raise InputError(f"{path} is empty; give a table, with a name for each column.")

    def read(columns: list[str]) -> pa.Table:
        chosen = table.select(columns)
        try:
            chosen.validate(full=True)  # Arrow takes any bytes for text until asked
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                raise not_utf8(path) from error
            return table_of_objects(path, "line", _records(path, data)).read(columns)
        if any(_may_be_rounded(column) for column in chosen.columns):
            return table_of_objects(path, "line", _records(path, data)).read(columns)
        return chosen

    return TableFile(path, (*table.column_names, *nested), read, nested=nested)


def _lines(data: pa.Buffer) -> int:
    """Return how many lines are not blank."""
    held = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(held == ord("\n"))
    starts = np.concatenate([[0], ends + 1])
    short = np.flatnonzero(np.diff(np.append(starts, held.size + 1)) <= 3)  # of no object
    lines = (held[starts[i] :][:2].tobytes().partition(b"\n")[0] for i in short.tolist())
    return starts.size - sum(not line.strip() for line in lines)


def _may_be_rounded(column: pa.ChunkedArray) -> bool:
    """Whether a column, or what lies within it, has floats that may be integers which Arrow has rounded, or dates."""
    if pa.types.is_struct(column.type):
        return any(_may_be_rounded(part) for part in column.flatten())
    if pa.types.is_list(column.type):
        return _may_be_rounded(pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type))
    if pa.types.is_timestamp(column.type):
        return True
    if not pa.types.is_floating(column.type):
        return False
    return bool(np.nanmax(np.abs(column.to_numpy()), initial=0.0) >= EXACT_INTEGERS)


def _read(data: pa.Buffer, text_columns: Sequence[str] = ()) -> pa.Table:
    import pyarrow.json as pa_json

    return pa_json.read_json(
        pa.BufferReader(data),
        read_options=pa_json.ReadOptions(block_size=_BLOCK),
        parse_options=pa_json.ParseOptions(
            explicit_schema=pa.schema([(name, pa.string()) for name in text_columns]) if text_columns else None
        ),
    )


def _records(path: str, data: pa.Buffer) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield each object with the number of its line."""
    for line, text in enumerate(io.BytesIO(data.to_pybytes()), start=1):
        if not text.strip():
            continue
        try:
            record = parse_json(text.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise not_utf8(path) from error
        except ValueError as error:
            raise InputError(
                f"{path} is not JSON lines: line {line} does not parse ({short(error)}); correct it to one object "
                "per line.",
                rows=[line - 1],
            ) from error
        if not isinstance(record, dict):
            hint = "write one object per line"
            if isinstance(record, list):
                hint += ", or name the file .json if it is one array"
            raise InputError(
                f"{path} is not JSON lines: line {line} holds {json_kind(record)}, not an object; {hint}.",
                rows=[line - 1],
            )
        yield line, record


register(TableFormat("JSON lines", (".jsonl", ".ndjson"), open_json_lines))
