"""A table file a piece at a time, so that no more than a piece of it is in memory."""

from __future__ import annotations

import contextlib
import io
import mmap
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.cell_types import UNCHECKED, check_dictionary, is_text, longest
from alignlib.tables.formats import known_formats
from alignlib.tables.parquet_sizes import check_alone
from alignlib.tables.reading import is_packed, open_content, open_table_file
from alignlib.tables.table_file import TableFile, nested_keys, short

__all__ = ["open_pieces", "row_groups"]

_ROWS = 1 << 20
_BYTES = 1 << 26
# A file of this machine is read a little at a time, which a processor's cache holds until it is decoded; elsewhere a
# read takes its time, and all that is wanted comes at once.
_AT_ONCE: dict[bool, dict[str, Any]] = {True: {"pre_buffer": False, "buffer_size": 1 << 15}, False: {}}
_CUT = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")


def open_pieces(
    path: str,
    needed: Callable[[TableFile], list[str]],
    source: IO[bytes] | None = None,
    groups: range | None = None,
) -> Iterator[TableFile]:
    """Yield the pieces of a file as tables of their own, in the order of their rows.

    Parquet comes by a million rows, CSV and JSON lines by 64 MiB of text, cut at the end of a line; other formats, and
    what is zipped, in one piece. A file without rows has no pieces; its columns are shown to ``needed`` all the same.

    Parameters
    ----------
    path : str
        The file, or what messages call it.
    needed : callable
        Says of a table which of its columns will be loaded: Parquet reads no others. It is asked of a table without
        rows, too, and may refuse it.
    source : file, optional
        Where its content is, by default the file of that name.
    groups : range, optional
        Which row groups of a Parquet file, by default all; see `row_groups`.

    Yields
    ------
    TableFile
        A piece; its rows are loaded when they are asked for.

    Raises
    ------
    InputError
        For a file that cannot be read, when that is found.

    Examples
    --------
    >>> import io
    >>> [piece.load(["r"]).num_rows for piece in open_pieces("t.csv", lambda file: ["r"], io.BytesIO(b"r\\n1\\n2\\n"))]
    [2]
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet" and not _to_unpack(path, source):
        yield from _parquet(path, needed, source, groups)
    elif suffix in _CUT:
        yield from _text(path, suffix, source, needed)
    else:
        yield open_table_file(path) if source is None else open_content(path, source)


def row_groups(path: str, source: IO[bytes] | None = None) -> list[int]:
    """Return the number of rows of each row group of a Parquet file; none of what cannot be read or is none.

    Parameters
    ----------
    path : str
        The file, or what messages call it.
    source : file, optional
        Where its content is, by default the file of that name.

    Examples
    --------
    >>> row_groups("rewards.csv")  # no Parquet file
    []
    """
    import pyarrow.parquet as pa_parquet

    if Path(path).suffix.lower() != ".parquet":
        return []
    try:
        with _source(path, source) as file, pa_parquet.ParquetFile(file) as opened:
            return [opened.metadata.row_group(k).num_rows for k in range(opened.num_row_groups)]
    except (pa.ArrowException, OSError):  # said when its rows are read
        return []


def _parquet(
    path: str, needed: Callable[[TableFile], list[str]], source: IO[bytes] | None, groups: range | None
) -> Iterator[TableFile]:
    import pyarrow.parquet as pa_parquet

    from alignlib.tables.formats.parquet import (
        DIFFERENCES,
        as_differences,
    )  # here, not above: formats come in their order

    try:
        with (
            _source(path, source) as given,
            _pages(path, given, source) as pages,
            pa_parquet.ParquetFile(pages, page_checksum_verification=True, **_AT_ONCE[source is None]) as opened,
        ):
            schema = opened.schema_arrow
            nested = nested_keys(schema)
            if groups is None or groups.start == 0:  # once a file
                check_alone(given)
            names = (*schema.names, *nested)
            columns = needed(TableFile(path, names, lambda some: schema.empty_table().select(some), nested=nested))
            some = range(opened.num_row_groups) if groups is None else groups
            row = 1 + sum(opened.metadata.row_group(k).num_rows for k in range(some.start))
            text = [name for name in columns if name in schema.names and is_text(schema.field(name).type)]
            rows = _ROWS
            try:
                large = any(_may_be_large(given, opened.metadata, k, text) for k in some) if text else False
            except OSError as error:
                if not as_differences(error):
                    raise
                large, rows = False, DIFFERENCES
            reading = _by_value(given, text) if large else contextlib.nullcontext(opened)
            with reading as read:
                batches = read.iter_batches(rows, row_groups=list(some), columns=columns, use_threads=False)
                tables = (_written_out(path, _valid(path, some), schema) for some in _gathered(batches))
                yield from _numbered(path, names, nested, tables, row)
    except (InputError, MemoryError):  # of what is asked of a file that is whole, and of one that is too large
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise InputError(
                f"There is no file {path} any more; it was there when the parts were listed; put it back, or ask again."
            ) from error
        raise InputError(f"{path} is not a whole Parquet file ({short(error)}); copy or write it again.") from error


def _source(path: str, source: IO[bytes] | None) -> contextlib.AbstractContextManager[IO[bytes]]:
    """Open a file here: Arrow takes some names for addresses or a home, and opens none that is not UTF-8."""
    return open(path, "rb") if source is None else contextlib.nullcontext(source)


def _pages(path: str, given: IO[bytes], source: IO[bytes] | None) -> contextlib.AbstractContextManager[Any]:
    """Open a file of this machine once more, by Arrow itself: small reads through Python's file take longer."""
    try:
        return contextlib.nullcontext(given) if source is not None else pa.OSFile(path)
    except UnicodeEncodeError:  # a name that is no UTF-8
        return contextlib.nullcontext(given)


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield as many at once as make a piece."""
    held = list[pa.RecordBatch]()
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= _ROWS or sum(one.nbytes for one in held) >= UNCHECKED:
            yield held
            held = []
    if held:
        yield held


def _to_unpack(path: str, source: IO[bytes] | None) -> bool:
    """Whether a Parquet file is empty or packed as a whole, and so read at once."""
    try:
        with _source(path, source) as file:
            start = file.read(2)
            file.seek(0)
    except OSError:  # said when it is read
        return False
    return not start or is_packed(start)


def _valid(path: str, batches: list[pa.RecordBatch]) -> pa.Table:
    """Return what was decoded, which no reader has looked at yet: text may be no UTF-8."""
    from alignlib.tables.formats.parquet import check_decoded

    table = pa.Table.from_batches(batches)
    check_decoded(path, table)
    return table


def _numbered(
    path: str, names: tuple[str, ...], nested: Any, tables: Iterator[pa.Table], row: int
) -> Iterator[TableFile]:
    for table in tables:
        if table.num_rows:
            yield TableFile(path, names, table.select, first_row=row, nested=nested)
        row += table.num_rows


def _by_value(given: Any, text: list[str]) -> Any:
    import pyarrow.parquet as pa_parquet

    return pa_parquet.ParquetFile(given, page_checksum_verification=True, read_dictionary=text)


def _may_be_large(given: Any, metadata: Any, group: int, text: list[str]) -> bool:
    """Whether texts of a row group, few values that each come many times, may fill the memory once written out.

    One row is read, with which the values come.
    """
    rows = min(metadata.row_group(group).num_rows, _ROWS)
    with _by_value(given, text) as opened:
        for batch in opened.iter_batches(1, row_groups=[group], columns=text, use_threads=False):
            values = [column.dictionary for column in batch.columns if pa.types.is_dictionary(column.type)]
            return any(longest(value) * rows > UNCHECKED for value in values)
    return False


def _written_out(path: str, table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table without the dictionaries that its text was read as, where they fit."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(schema.field(name).type):
            check_dictionary(path, name, column)
            table = table.set_column(table.schema.get_field_index(name), name, column.cast(schema.field(name).type))
    return table


def _text(
    path: str, suffix: str, source: IO[bytes] | None, needed: Callable[[TableFile], list[str]]
) -> Iterator[TableFile]:
    """Cut text after lines, not within quotes; every piece of a CSV file gets its header."""
    open_one = known_formats()[suffix].open
    lines = suffix in (".jsonl", ".ndjson")
    try:
        data = _content(path, source)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({short(error)}); check it.", argument="path") from error
    if not len(data):
        raise InputError(f"{path} is empty; give a table, with a name for each column.", argument="path")
    if is_packed(bytes(data[:2])):  # or in UTF-16: not cut
        yield open_table_file(path) if source is None else open_content(path, io.BytesIO(data))
        return
    start = 0 if lines else data.find(b"\n") + 1
    header = b"" if lines else bytes(data[: start or len(data)])
    if re.search(rb"\r[^\n]", header):  # lines that end in CR alone are not cut
        yield open_one(path, pa.py_buffer(data))
        return
    if not lines and start == 0:
        start = len(data)
    row, some = (1 if lines else 2), False
    while start < len(data):
        end = len(data) if len(data) - start <= _BYTES else _end_of_line(data, start, quotes=not lines)
        body = bytes(data[start:end])
        if body.strip():
            alone = start == (0 if lines else len(header)) and end == len(data)
            name, some = path if alone else f"{path} (the lines from {row} on)", True
            yield open_one(name, pa.py_buffer(header + body))
        row += body.count(b"\n")
        start = end
    if not some:  # what it is called and holds instead of rows is looked at as in any other
        needed(open_one(path, pa.py_buffer(data)))


def _end_of_line(data: Any, start: int, *, quotes: bool) -> int:
    """Return the first end of a line from ``_BYTES`` on that lies within no quotes."""
    end, inside = start, False
    seen = start
    while True:
        end = data.find(b"\n", max(start + _BYTES, end)) + 1
        if end == 0:
            return len(data)
        if quotes:
            inside ^= bool(bytes(data[seen:end]).count(b'"') % 2)
            seen = end
        if not inside:
            return int(end)


def _content(path: str, source: IO[bytes] | None) -> Any:
    if source is not None:
        return source.read()
    with open(path, "rb") as file:
        if Path(path).stat().st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
