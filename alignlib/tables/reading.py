"""Open a table of rewards: CSV, TSV, JSON lines or Parquet, plain or gzipped."""

from __future__ import annotations

import difflib
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from alignlib._core.errors import InputError
from alignlib.tables.delimited import open_delimited
from alignlib.tables.json_lines import open_json_lines
from alignlib.tables.table_file import TableFile, short

__all__ = ["open_table_file"]

_FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_GZIP_MAGIC = b"\x1f\x8b"


def open_table_file(path: str | Path) -> TableFile:
    """Open ``path`` by its extension and read its column names.

    Raises
    ------
    InputError
        Where there is no such file, or it is a folder, empty, of an unknown kind, truncated or corrupt.
    """
    path = Path(path)
    _check_file(path)
    kind = _format_of(path)
    if kind is None:
        raise InputError(
            f"{path} has the unknown extension {path.suffix!r}; a table is {', '.join(_FORMATS)}, or one of "
            "these with .gz: convert it or rename it."
        )
    data = _content(path)
    if data.size == 0:
        raise InputError(f"{path} is empty; give a file with a prompt column and a reward column.")
    openers: dict[str, Callable[[str, str, pa.Buffer], TableFile]] = {
        "csv": open_delimited,
        "tsv": open_delimited,
        "jsonl": open_json_lines,
        "parquet": _open_parquet,
    }
    return openers[kind](str(path), kind, data)


def _format_of(path: Path) -> str | None:
    """Tell the format from the name."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return _FORMATS.get(name.suffix.lower())


def _check_file(path: Path) -> None:
    """Make sure that there is a file, and suggest one where there is none."""
    if path.is_file():
        return
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if _format_of(p))
        hint = f"one of {', '.join(inside[:5])}" if inside else "it holds no table"
        raise InputError(f"{path} is a folder, not a table; name a file ({hint}).")
    if path.exists():
        raise InputError(f"{path} is neither a file nor a folder; write the table to a file first.")
    if not path.parent.is_dir():
        raise InputError(f"There is no file {path}: its folder does not exist; check the path.")
    near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
    raise InputError(
        f"There is no file {path}; " + (f"did you mean {path.parent / near[0]}?" if near else "check the path.")
    )


def _content(path: Path) -> pa.Buffer:
    """Map the file into memory, or decompress it there."""
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if start == _GZIP_MAGIC or (start and path.suffix.lower() == ".gz"):
            with gzip.open(path, "rb") as unzipped:
                return pa.py_buffer(unzipped.read())
        if not start:
            return pa.py_buffer(b"")
        with pa.memory_map(str(path)) as mapped:
            return mapped.read_buffer()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file ({short(error)}); copy or compress it again.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({short(error)}); check its permissions.") from error


def _open_parquet(path: str, kind: str, data: pa.Buffer) -> TableFile:
    damaged = f"{path} is not a whole Parquet file"
    try:
        file = pa_parquet.ParquetFile(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{damaged} ({short(error)}); copy or write it again.") from error

    def load(columns: list[str]) -> pa.Table:
        try:
            table = file.read(columns=columns)
            table.validate(full=True)
            return table
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{damaged} ({short(error)}); copy or write it again.") from error

    return TableFile(path, kind, tuple(file.schema_arrow.names), load)
