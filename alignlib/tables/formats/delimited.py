"""CSV and TSV files. Every cell is read as text: no type is guessed, so that ``007`` and ``7`` stay two prompts."""

from __future__ import annotations

import csv
import io
import os
from contextlib import suppress
from functools import partial
from itertools import islice

import numpy as np
import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.formats import TableFormat, register
from alignlib.tables.memory_limit import MOST_BYTES, check_fits
from alignlib.tables.quoting import BYTE_ORDER_MARK, check_quotes, ragged, records, where_not_utf8
from alignlib.tables.table_file import TableFile, check_not_packed, not_utf8, short

__all__ = ["check_start", "open_delimited"]

_BLOCK = 1 << 24  # bytes; longer than any sensible row, responses included
_NAMES = {",": "CSV", "\t": "TSV"}
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", "^": "carets", "~": "tildes"}
_SEPARATORS |= {"\x01": "the control character 1", "\x1f": "the control character 31", ":": "colons", " ": "spaces"}
_SEPARATORS |= {"#": "number signs", "&": "ampersands", "!": "exclamation marks"}
_WEAK = (":", " ", "#", "&", "!")  # also within a cell: they need several rows alike, and the others go before
_SURE = 1 << 27  # bytes of a file that is read without an estimate
_ROWS = 1000  # from which the estimate is made
_CELL = 16  # bytes of a cell in memory beside its text: its place, and the number it becomes
_LOOKED_AT = 50  # rows, and bytes of them, that show what separates cells
_START = 1 << 20
_LOOKED, _UTF16 = 1 << 12, 0.2  # bytes that show an encoding, and the part of them that is NUL in UTF-16


def open_delimited(path: str, data: pa.Buffer, delimiter: str) -> TableFile:
    """Read the header of a CSV or TSV file; quoted cells may hold line breaks.

    Parameters
    ----------
    path : str
        What messages call the file.
    data : Buffer
        Its content.
    delimiter : str
        What stands between cells.

    Raises
    ------
    InputError
        If the header cannot be read.
    """
    promised = delimiter
    header = _header(path, data, promised)
    if len(header) == 1 and (other := _clear_separator(path, data, promised)) is not None:
        delimiter, header = other, _header(path, data, other)
    width = len(header)

    def read(columns: list[str]) -> pa.Table:
        import pyarrow.csv as pa_csv

        check_quotes(path, data, delimiter, width)
        if next(islice(records(path, data, delimiter), 1, None), None) is None:
            return pa.table({name: pa.array([], pa.string()) for name in columns})
        _check_size(path, data, delimiter, [place for place, name in enumerate(header) if name in columns])
        place_of = {name: place for place, name in enumerate(header)}
        places = [place_of[name] for name in columns]
        own = [f"c{place}" for place in range(width)]  # names that no quoting makes ambiguous
        chosen = [own[place] for place in places]
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(_from_header(data)),
                read_options=pa_csv.ReadOptions(block_size=_BLOCK, column_names=own, skip_rows_after_names=1),
                parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=chosen,
                    column_types=dict.fromkeys(chosen, pa.string()),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowException as error:
            raise _unreadable(path, data, delimiter, width, error) from error
        return table.rename_columns(columns)

    file = TableFile(path, tuple(header), read, is_text=True, separator=delimiter)
    if delimiter != promised:
        file.note(f"{path} is separated by {_SEPARATORS[delimiter]}.")
    return file


def check_start(path: str, start: bytes) -> None:
    """Refuse, by the first bytes of a file, what is no text of rows: nothing then need read or search all of it.

    Parameters
    ----------
    path : str
        What messages call the file.
    start : bytes
        Its first bytes.

    Raises
    ------
    InputError
        For what is packed in a way that is not read here, a NUL, and a first row without end.
    """
    check_not_packed(path, start)
    nul = start.find(b"\0", 0, _BLOCK)
    looked = min(len(start), _LOOKED)
    if nul >= 0 and _UTF16 * looked < start.count(b"\0", 0, _LOOKED) < (1.0 - _UTF16) * looked:
        raise not_utf8(path)  # UTF-16 of plain letters is UTF-8 with a NUL beside each
    if nul >= 0:
        line = start.count(b"\n", 0, nul)
        raise InputError(
            f"{path} holds a NUL, a character that no text has, in line {line + 1}; the file may be damaged: copy it "
            "again, or remove that character.",
            rows=[line],
        )
    if len(start) >= _BLOCK and b"\n" not in start[:_BLOCK] and b"\r" not in start[:_BLOCK]:
        raise _too_long(path, 0)


def _header(path: str, data: pa.Buffer, delimiter: str) -> list[str]:
    check_start(path, data[:_BLOCK].to_pybytes())
    for _, record in records(path, data, delimiter):
        return record
    raise InputError(f"{path} is empty; give a table, with a name for each column.")


def _from_header(data: pa.Buffer) -> pa.Buffer:
    """Leave out blank lines in front: Arrow would skip one of them in place of the header, and read that as a row."""
    start = len(BYTE_ORDER_MARK) if data[:3].to_pybytes() == BYTE_ORDER_MARK else 0
    if data[start : start + 1].to_pybytes() not in (b"\n", b"\r"):
        return data
    held = np.frombuffer(data, np.uint8)[start:]
    return data.slice(start + int(np.argmax((held != ord("\n")) & (held != ord("\r")))))


def _check_size(path: str, data: pa.Buffer, delimiter: str, places: list[int]) -> None:
    """Refuse, from a look at the first rows, a file of which the columns asked for would not fit into memory."""
    if data.size < _SURE and MOST_BYTES not in os.environ:
        return
    first = [record for _, record in islice(records(path, data, delimiter), _ROWS)]
    every = sum(len(cell) + 1 for record in first for cell in record)
    asked = sum(len(record[place]) + _CELL for record in first for place in places if place < len(record))
    check_fits(data.size * asked / every, path, "name fewer columns, or cut the table into parts")


def _clear_separator(path: str, data: pa.Buffer, promised: str) -> str | None:
    """Return what separates the cells of a file whose extension promises another separator, if that is clear."""
    start = io.StringIO(data[:_START].to_pybytes().decode("utf-8-sig", "replace"), newline="")
    clear, used = list[str](), list[str]()
    for other in _SEPARATORS:
        start.seek(0)
        with suppress(csv.Error):
            rows = [row for row in islice(csv.reader(start, delimiter=other), _LOOKED_AT) if row]
            if data.size > _START and len(rows) < _LOOKED_AT:
                rows = rows[:-1]  # the last may be cut
            if other == promised or len(rows[0]) < 2:
                continue
            used.append(other)
            if len({len(row) for row in rows}) == 1 and len(rows) > (2 if other in _WEAK else 0):
                clear.append(other)
    if len(clear) > 1:
        clear = [other for other in clear if other not in _WEAK] or clear
    if len(clear) == 1:
        return clear[0]
    if clear or any(other not in _WEAK for other in used):
        wanted = _SEPARATORS[promised]
        raise InputError(
            f"{path} promises {wanted} by its extension, but its header holds {_SEPARATORS[(clear or used)[0]]} and "
            f"its rows are not alike whatever separates them; save it with {wanted}."
        )
    return None


def _unreadable(path: str, data: pa.Buffer, delimiter: str, width: int, error: pa.ArrowException) -> InputError:
    """Say where a file is not well-formed."""
    said = str(error)
    if isinstance(error, MemoryError) or "worker thread" in said:  # of which each takes some
        raise MemoryError from error
    if "UTF8" in said:
        return not_utf8(path, where_not_utf8(data, delimiter))
    if "straddling" in said:
        breaks = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
        longest = int(np.argmax(np.diff(breaks, prepend=-1, append=data.size)))
        return _too_long(path, longest)
    return ragged(path, data, delimiter, width) or InputError(
        f"{path} is not well-formed {_NAMES.get(delimiter, 'CSV')} ({short(error)}); correct that row."
    )


def _too_long(path: str, line: int) -> InputError:
    return InputError(
        f"{path} has a row longer than {_BLOCK >> 20} MiB, about line {line + 1}; shorten that text, or write the "
        "table as Parquet.",
        rows=[line],
    )


register(TableFormat("CSV", (".csv",), partial(open_delimited, delimiter=",")))
register(TableFormat("TSV", (".tsv",), partial(open_delimited, delimiter="\t")))
register(TableFormat("text", (".txt",), partial(open_delimited, delimiter=",")))
