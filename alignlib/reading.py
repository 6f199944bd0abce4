"""Table files: open CSV, TSV, JSON lines or Parquet, plain or gzipped, and load the columns asked for.

Text formats are read without guessing types, so that ``007`` and ``7`` stay two prompts and a reward column is never
typed by its first rows alone; turning a column into numbers is the business of :mod:`alignlib.columns`.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pa_parquet

__all__ = ["EXACT_INTEGERS", "FORMATS", "RewardTableError", "TableFile", "open_table_file", "too_large"]

FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
EXACT_INTEGERS = 2**53  # beyond it two integers may share one float
_BLOCK = 1 << 24  # bytes; longer than any sensible row, responses included
_GZIP_MAGIC = b"\x1f\x8b"


class RewardTableError(ValueError):
    """A table of rewards that cannot be used as asked: one sentence, with what it is about as data."""

    def __init__(self, message: str, *, column: str | None = None, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.column = column
        self.rows = tuple(rows)


@dataclass(frozen=True)
class TableFile:
    """An opened file: its column names, and ``load(columns)`` returning them as an Arrow table."""

    path: str
    kind: str
    names: tuple[str, ...]
    load: Callable[[list[str]], pa.Table]

    def where(self, rows: Sequence[int], total: int | None = None) -> str:
        """Name rows (positions from 0) as a reader finds them in the file."""
        first = {"csv": 2, "tsv": 2}.get(self.kind, 1)
        unit = "line" if self.kind == "jsonl" else "row"
        more = len(rows) if total is None else total
        text = ", ".join(str(row + first) for row in rows) + (", …" if more > len(rows) else "")
        note = " (the header is row 1)" if first == 2 else " (the first is 1)"
        return f"{unit}{'s' if len(rows) > 1 else ''} {text}{note}"


def open_table_file(path: str | Path) -> TableFile:
    """Open ``path`` by its extension and read its column names.

    Raises
    ------
    RewardTableError
        Where there is no such file, it is a folder, empty, of an unknown kind, truncated or corrupt.
    """
    path = Path(path)
    kind = _kind(path)
    data = _content(path)
    if data.size == 0:
        raise RewardTableError(f"{path} is empty; give a file with a prompt column and a reward column.")
    opener = {"csv": _open_csv, "tsv": _open_csv, "jsonl": _open_jsonl, "parquet": _open_parquet}[kind]
    return opener(str(path), kind, data)


def _kind(path: Path) -> str:
    """Tell the format from the name, having made sure that there is a file."""
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if _format_of(p))
        hint = f"it holds {', '.join(inside[:5])}" if inside else "it holds no table"
        raise RewardTableError(f"{path} is a folder, not a table ({hint}); name one file.")
    if not path.exists():
        folder = path.parent
        if not folder.is_dir():
            raise RewardTableError(
                f"There is no file {path}: the folder {folder} does not exist; check the path."
            )
        near = difflib.get_close_matches(path.name, [p.name for p in folder.iterdir()], n=1)
        hint = f"did you mean {folder / near[0]}?" if near else "check the path."
        raise RewardTableError(f"There is no file {path}; {hint}")
    kind = _format_of(path)
    if kind is None:
        known = ", ".join(FORMATS)
        raise RewardTableError(
            f"{path} has the unknown extension {path.suffix!r}; a table is one of {known}, each also with .gz."
        )
    return kind


def _format_of(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def _content(path: Path) -> pa.Buffer:
    """Map the file into memory, or decompress it there."""
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP_MAGIC
        if compressed or (path.suffix.lower() == ".gz" and path.stat().st_size > 0):
            with gzip.open(path, "rb") as unzipped:
                return pa.py_buffer(unzipped.read())
        with pa.memory_map(str(path)) as mapped:
            return mapped.read_buffer()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RewardTableError(
            f"{path} is not a whole gzip file ({error}); copy or compress it again."
        ) from error
    except OSError as error:
        raise RewardTableError(
            f"{path} cannot be read ({error.strerror or error}); check its permissions."
        ) from error


def _open_csv(path: str, kind: str, data: pa.Buffer) -> TableFile:
    delimiter = "," if kind == "csv" else "\t"
    try:
        text = io.TextIOWrapper(pa.BufferReader(data), encoding="utf-8-sig", newline="")
        names = next((record for record in csv.reader(text, delimiter=delimiter) if record), [])
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise RewardTableError(
            f"{path} has no readable header ({error}); write it again as {kind}."
        ) from error
    if not names:
        raise RewardTableError(f"{path} is empty; give a file with a prompt column and a reward column.")
    for other, word in {",": "commas", ";": "semicolons", "\t": "tabs"}.items():
        if len(names) == 1 and other != delimiter and other in names[0]:
            wanted = "commas" if kind == "csv" else "tabs"
            raise RewardTableError(
                f"{path} is separated by {word}, but its extension promises {wanted}; "
                f"{'rename it to .tsv' if other == chr(9) else f'save it with {wanted}'}."
            )

    def load(columns: list[str]) -> pa.Table:
        try:
            _check_quotes(path, data, delimiter)
            return pa_csv.read_csv(
                pa.BufferReader(data),
                read_options=pa_csv.ReadOptions(block_size=_BLOCK),
                parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=columns,
                    column_types=dict.fromkeys(columns, pa.string()),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowException as error:
            if "UTF8" in str(error):
                raise _not_utf8(path) from error
            if "Empty CSV" in str(error):
                return pa.table({name: pa.array([], pa.string()) for name in columns})
            raise RewardTableError(
                f"{path} is not well-formed {kind} ({_short(error)}); mend that row."
            ) from error

    return TableFile(path, kind, tuple(names), load)


def _check_quotes(path: str, data: pa.Buffer, delimiter: str) -> None:
    """Refuse a quote that is never closed: it would swallow every row after it."""
    if int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord('"'))) % 2 == 0:
        return
    reader = csv.reader(
        io.TextIOWrapper(pa.BufferReader(data), encoding="utf-8-sig", newline=""),
        delimiter=delimiter,
        strict=True,
    )
    start = 1
    try:
        for _ in reader:
            start = reader.line_num + 1
    except (csv.Error, UnicodeDecodeError) as error:
        raise RewardTableError(
            f"{path} has a quotation mark that does not pair up from line {start} on ({error}); mend that line."
        ) from error


def _open_parquet(path: str, kind: str, data: pa.Buffer) -> TableFile:
    try:
        file = pa_parquet.ParquetFile(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise RewardTableError(
            f"{path} is not a whole Parquet file ({_short(error)}); copy or write it again."
        ) from error

    def load(columns: list[str]) -> pa.Table:
        try:
            return pa_parquet.read_table(pa.BufferReader(data), columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise RewardTableError(
                f"{path} is a damaged Parquet file ({_short(error)}); copy or write it again."
            ) from error

    return TableFile(path, kind, tuple(file.schema_arrow.names), load)


def _open_jsonl(path: str, kind: str, data: pa.Buffer) -> TableFile:
    def read(text_columns: Sequence[str] = ()) -> pa.Table:
        schema = pa.schema([(name, pa.string()) for name in text_columns]) if text_columns else None
        return pa_json.read_json(
            pa.BufferReader(data),
            read_options=pa_json.ReadOptions(block_size=_BLOCK),
            parse_options=pa_json.ParseOptions(explicit_schema=schema),
        )

    try:
        table = read()
        # Arrow takes text that looks like a date for one, and would merge two spellings of it.
        dates = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
        table = read(dates) if dates else table
        names = tuple(table.column_names)
    except (
        pa.ArrowException,
        UnicodeDecodeError,
    ):  # one bad line, or kinds that differ in a column nobody asked for
        records = list(_json_records(path, data))
        return TableFile(
            path, kind, tuple(dict.fromkeys(n for r in records for n in r)), _slow_load(path, records)
        )
    if not names and table.num_rows == 0:
        raise RewardTableError(f"{path} is empty; give a file with a prompt column and a reward column.")

    def load(columns: list[str]) -> pa.Table:
        chosen = table.select(columns)
        doubles = [c for c in chosen.columns if pa.types.is_floating(c.type)]
        if any(np.nanmax(np.abs(c.to_numpy()), initial=0.0) > EXACT_INTEGERS for c in doubles):
            return _slow_load(path, list(_json_records(path, data)))(
                columns
            )  # may be an integer already rounded
        return chosen

    return TableFile(path, kind, names, load)


def _json_records(path: str, data: pa.Buffer) -> Iterator[dict[str, Any]]:
    """Parse line by line with the standard library: slow, but it names the line."""
    for number, line in enumerate(io.BytesIO(data.to_pybytes()), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise _not_utf8(path) from error
        except json.JSONDecodeError as error:
            raise RewardTableError(
                f"{path} is not JSON lines: line {number} does not parse ({error.msg}); write one object per line.",
                rows=[number - 1],
            ) from error
        if not isinstance(record, dict):
            raise RewardTableError(
                f"{path} is not JSON lines: line {number} holds a {type(record).__name__}, not an object; "
                "write one object per line.",
                rows=[number - 1],
            )
        yield record


def _slow_load(path: str, records: list[dict[str, Any]]) -> Callable[[list[str]], pa.Table]:
    def load(columns: list[str]) -> pa.Table:
        return pa.table(
            {name: _json_column(path, name, [record.get(name) for record in records]) for name in columns}
        )

    return load


def _json_column(path: str, name: str, values: list[Any]) -> pa.Array:
    kinds = [
        str if isinstance(v, str) else bool if isinstance(v, bool) else float for v in values if v is not None
    ]
    if len(set(kinds)) > 1:
        rows = [row for row, value in enumerate(values) if value is not None]
        odd = next(i for i, kind in enumerate(kinds) if kind is not kinds[0])
        one, two = values[rows[0]], values[rows[odd]]
        raise RewardTableError(
            f"column {name!r} of {path} mixes kinds of values: {one!r} in line {rows[0] + 1} and {two!r} in line "
            f"{rows[odd] + 1}; write all of them in one way (rewards as numbers without quotes).",
            column=name,
            rows=[rows[0], rows[odd]],
        )
    limit = EXACT_INTEGERS if any(isinstance(value, float) for value in values) else 2**63 - 1
    for row, value in enumerate(values):
        if isinstance(value, int) and abs(value) > limit:
            raise too_large(path, name, value, f"line {row + 1}", row)
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise RewardTableError(
            f"column {name!r} of {path} cannot be read ({_short(error)}); mend it."
        ) from error


def too_large(path: str, name: str, value: object, where: str, row: int) -> RewardTableError:
    """Say that an integer is beyond what a float holds exactly."""
    return RewardTableError(
        f"column {name!r} of {path} holds the integer {value} in {where}, beyond 2^53 = {EXACT_INTEGERS}, where floats no "
        "longer tell neighbours apart; rescale the column or write it as text if it is an identifier.",
        column=name,
        rows=[row],
    )


def _not_utf8(path: str) -> RewardTableError:
    return RewardTableError(f"{path} is not UTF-8 text; save it as UTF-8 (it may be UTF-16 or Latin-1 now).")


def _short(error: BaseException) -> str:
    line = " ".join(str(error).split()) or type(error).__name__
    return line[:160].rstrip(". ")
