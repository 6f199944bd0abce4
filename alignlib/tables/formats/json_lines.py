"""JSON lines: fast through Arrow, and line by line where Arrow stumbles, so that the error can name the line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.formats import TableFormat, register
from alignlib.tables.table_file import EXACT_INTEGERS, TableFile, not_utf8, short, too_large

_BLOCK = 1 << 24  # bytes; longer than any sensible line, responses included


def open_json_lines(path: str, data: pa.Buffer) -> TableFile:
    """Read a file with one JSON object per line; a key that an object lacks is a missing value."""
    try:
        table = _read(data)
        # Arrow takes text that looks like a date for one, and would merge two spellings of it.
        dates = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
        table = _read(data, dates) if dates else table
        names = tuple(table.column_names)
    except (pa.ArrowException, UnicodeDecodeError):  # perhaps only in a column that nobody asks for
        return _open_by_line(path, data)
    if table.num_rows == 0:
        raise InputError(f"{path} is empty; give a file with a prompt column and a reward column.")

    def load(columns: list[str]) -> pa.Table:
        chosen = table.select(columns)
        try:
            chosen.validate(full=True)  # Arrow takes any bytes for text until asked
        except pa.ArrowInvalid as error:
            raise not_utf8(path) from error
        floats = (column.to_numpy() for column in chosen.columns if pa.types.is_floating(column.type))
        if any(np.nanmax(np.abs(values), initial=0.0) >= EXACT_INTEGERS for values in floats):
            return _open_by_line(path, data).load(columns)  # may be integers that Arrow has rounded
        return chosen

    return TableFile(path, names, load)


def _read(data: pa.Buffer, text_columns: Sequence[str] = ()) -> pa.Table:
    import pyarrow.json as pa_json

    return pa_json.read_json(
        pa.BufferReader(data),
        read_options=pa_json.ReadOptions(block_size=_BLOCK),
        parse_options=pa_json.ParseOptions(
            explicit_schema=pa.schema([(name, pa.string()) for name in text_columns]) if text_columns else None
        ),
    )


def _open_by_line(path: str, data: pa.Buffer) -> TableFile:
    records = list(_records(path, data))
    if not records:
        raise InputError(f"{path} is empty; give a file with a prompt column and a reward column.")
    names = tuple(dict.fromkeys(name for _, record in records for name in record))

    def load(columns: list[str]) -> pa.Table:
        lines = [line for line, _ in records]
        values = {name: [record.get(name) for _, record in records] for name in columns}
        return pa.table({name: _column(path, name, values[name], lines) for name in columns})

    return TableFile(path, names, load)


def _records(path: str, data: pa.Buffer) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield each object with the number of its line."""
    for line, text in enumerate(io.BytesIO(data.to_pybytes()), start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_object)
        except UnicodeDecodeError as error:
            raise not_utf8(path) from error
        except ValueError as error:
            raise InputError(
                f"{path} is not JSON lines: line {line} does not parse ({short(error)}); write one object per line.",
                rows=[line - 1],
            ) from error
        if not isinstance(record, dict):
            raise InputError(
                f"{path} is not JSON lines: line {line} holds a {type(record).__name__}, not an object; "
                "write one object per line.",
                rows=[line - 1],
            )
        yield line, record


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise InputError(f"the key {next(n for n in names if names.count(n) > 1)!r} comes twice")
    return record


def _column(path: str, name: str, values: list[object], lines: list[int]) -> pa.Array:
    """Turn one key's values into a column, which needs one kind of value throughout."""
    given = [(value, line) for value, line in zip(values, lines, strict=True) if value is not None]
    odd = next(((v, line) for v, line in given if _kind(v) is not _kind(given[0][0])), None)
    if odd is not None:
        raise InputError(
            f"column {name!r} of {path} mixes kinds of values: {given[0][0]!r} in line {given[0][1]} and {odd[0]!r} "
            f"in line {odd[1]}; write all in one way (rewards as numbers without quotes).",
            column=name,
            rows=[given[0][1] - 1, odd[1] - 1],
        )
    limit = EXACT_INTEGERS if any(isinstance(value, float) for value, _ in given) else 2**63 - 1
    for value, line in given:
        if isinstance(value, int) and abs(value) > limit:
            raise too_large(path, name, value, f"line {line}", line - 1)
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError) as error:
        raise InputError(
            f"column {name!r} of {path} cannot be read ({short(error)}); write numbers or text there.",
            column=name,
        ) from error


def _kind(value: object) -> type:
    """Integers and fractions are one kind; true and false another."""
    return float if type(value) in (int, float) else type(value)


register(TableFormat("JSON lines", (".jsonl", ".ndjson"), open_json_lines))
