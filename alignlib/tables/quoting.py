"""Quotation marks of CSV, taken strictly: a stray one would swallow the rows after it without a word."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa

from alignlib._core.checks import IntArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted, spelled
from alignlib.tables.table_file import not_utf8, short

__all__ = ["BYTE_ORDER_MARK", "check_quotes", "ragged", "records", "where_not_utf8"]

_QUOTE, _LINE_FEED, _RETURN = b'"\n\r'
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of byte order, which some programs write in front
_LOOKED_AT = 2000  # rows that show what a column holds
_LONGEST = (1 << 31) - 1  # characters of a cell
_HEADER = 1 << 20  # bytes in which a header ends


def records(path: str, data: pa.Buffer, delimiter: str, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not blank with the number of the line on which it begins.

    Parameters
    ----------
    path : str
        What messages call the file.
    data : Buffer
        Its content.
    delimiter : str
        What stands between cells.
    strict : bool
        Refuse a quote within a cell that is not quoted.

    Raises
    ------
    InputError
        If it is no text in UTF-8, or its quotes do not close.
    """
    with _cells_of_any_length():
        reader = csv.reader(
            io.TextIOWrapper(pa.BufferReader(data), encoding="utf-8-sig", newline=""),
            delimiter=delimiter,
            strict=strict,
        )
        line = 1
        try:
            for record in reader:
                if record:
                    yield line, record
                line = reader.line_num + 1
        except UnicodeDecodeError as error:
            raise not_utf8(path, where_not_utf8(data, delimiter)) from error
        except csv.Error as error:
            if "unexpected end" in str(error):
                said = f"a quotation mark without its pair in the record that begins on line {line}; close it"
            elif "expected after" in str(error):
                said = (
                    f"text after a closing quotation mark in the record that begins on line {line}; write marks within "
                    "a quoted text twice, and close it where it ends"
                )
            else:
                said = f"an unreadable record that begins on line {line} ({short(error)}); write it again"
            raise InputError(f"{path} has {said}.", rows=[line - 1]) from error


@contextlib.contextmanager
def _cells_of_any_length() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def check_quotes(path: str, data: pa.Buffer, delimiter: str, width: int) -> None:
    """Refuse text after a closing quotation mark, a mark without its pair, and marks that swallow rows.

    Parameters
    ----------
    path : str
        What messages call the table.
    data : Buffer
        All of it.
    delimiter : str
        What separates its cells.
    width : int
        The number of its columns.

    Raises
    ------
    InputError
        With the line on which the record begins.
    """
    held = np.frombuffer(data, np.uint8)
    marks = np.flatnonzero(held == _QUOTE)
    if marks.size == 0:
        return
    if not _is_strict(held, marks, ord(delimiter)):
        # A mark in the middle of a cell stands for itself; only a parse tells it from one that opens or closes.
        for _ in records(path, data, delimiter, strict=True):
            pass
    if width > 1:
        _check_swallowed(path, data, delimiter, width)


def ragged(path: str, data: pa.Buffer, delimiter: str, width: int) -> InputError | None:
    """Say which row has too many or too few cells, None where all have ``width``.

    Parameters
    ----------
    path : str
        What messages call the file.
    data : Buffer
        Its content.
    delimiter : str
        What stands between cells.
    width : int
        Cells of the header.
    """
    for row, (line, record) in enumerate(records(path, data, delimiter), start=1):
        if len(record) != width:
            return InputError(
                f"{path} has {counted(len(record), 'cell')} in row {row} (line {line}), where the header has {width}; "
                "quote a text that holds the separator, and fill the row up or cut it.",
                rows=[row - 2],
            )
    return None


def _is_strict(held: np.ndarray, marks: IntArray, delimiter: int) -> bool:
    """Whether marks open where a cell begins and close where it ends, or come in pairs within: the usual case."""
    if marks.size % 2:
        return False
    ends = np.array([delimiter, _LINE_FEED, _RETURN, _QUOTE], np.uint8)
    first = len(BYTE_ORDER_MARK) if held[: len(BYTE_ORDER_MARK)].tobytes() == BYTE_ORDER_MARK else 0
    opening, closing = marks[::2], marks[1::2]
    opened = (opening == first) | np.isin(held[np.maximum(opening - 1, 0)], ends)
    closed = (closing == held.size - 1) | np.isin(held[np.minimum(closing + 1, held.size - 1)], ends)
    return bool(opened.all() and closed.all())


def _check_swallowed(path: str, data: pa.Buffer, delimiter: str, width: int) -> None:
    """Refuse a record of several lines each of which reads as a row of its own."""
    suspects = _suspects(path, data, delimiter, width)
    if not suspects:
        return
    known = _Known([record for _, record in islice(records(path, data, delimiter), 1, _LOOKED_AT)], width)
    for line, lines in suspects:
        rows = [[cell.strip('" ') for cell in text.split(delimiter)] for text in lines]
        if all(known.fits(row) for row in rows):
            raise InputError(
                f"{path} has a quotation mark on line {line} that swallows the lines after it up to line "
                f"{line + len(lines) - 1}, each of which reads as a row of its own; close it on its line (or save the "
                "table as JSON lines, if that is one text).",
                rows=[line - 1],
            )


def _suspects(path: str, data: pa.Buffer, delimiter: str, width: int) -> list[tuple[int, list[str]]]:
    """Return the records of several lines that have as many separators in each line as a row has."""
    held = np.frombuffer(data, np.uint8)
    marks, breaks = np.flatnonzero(held == _QUOTE), np.flatnonzero(held == _LINE_FEED)
    if marks.size % 2 or not _is_strict(held, marks, ord(delimiter)):
        lines = _Kept(io.TextIOWrapper(pa.BufferReader(data), encoding="utf-8-sig", newline=""))
        found, at = [], 1
        with _cells_of_any_length():
            for _ in csv.reader(lines, delimiter=delimiter):
                taken = lines.take()
                if len(taken) > 1 and all(text.count(delimiter) == width - 1 for text in taken):
                    found.append((at, taken))
                at += len(taken)
        return found
    inside = np.searchsorted(marks, breaks) % 2 == 1
    if not inside.any():
        return []
    ends = breaks[~inside]
    starts = np.concatenate([[0], ends + 1])
    starts = starts[starts < held.size]
    counted = np.add.reduceat((held == ord(delimiter)).view(np.uint8), starts, dtype=np.int64)
    extra = np.bincount(np.searchsorted(ends, breaks[inside]), minlength=starts.size)[: starts.size]
    likely = np.flatnonzero((extra > 0) & (counted == (extra + 1) * (width - 1)))
    found = []
    for record in likely.tolist():
        stop = int(ends[record]) if record < ends.size else held.size
        taken = held[int(starts[record]) : stop].tobytes().decode("utf-8", "replace").split("\n")
        if all(text.count(delimiter) == width - 1 for text in taken):
            found.append((1 + int(np.searchsorted(breaks, starts[record])), [text.rstrip("\r") for text in taken]))
    return found


class _Kept:
    """Lines of a file, kept until they are taken."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines, self.kept = iter(lines), list[str]()

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            self.kept.append(line.rstrip("\r\n"))
            yield line

    def take(self) -> list[str]:
        taken, self.kept = self.kept, []
        return taken


class _Known:
    """What the cells of a row look like: numbers in some columns, a few words that come again in others."""

    def __init__(self, rows: Sequence[Sequence[str]], width: int) -> None:
        rows = [row for row in rows if len(row) == width and not any("\n" in cell for cell in row)]
        self.numeric, self.words = list[int](), dict[int, set[str]]()
        for place in range(width):
            cells = [row[place].strip() for row in rows if row[place].strip()]
            if cells and all(map(_is_number, cells)):
                self.numeric.append(place)
            elif 0 < 2 * len(set(cells)) <= len(cells):
                self.words[place] = set(cells)

    def fits(self, row: Sequence[str]) -> bool:
        """Whether a row fits every column of numbers, or else of words that come again, and there is one.

        Words of rows that are swallowed, such as their prompts, may be seen nowhere else.
        """
        told = [_is_number(row[place]) for place in self.numeric if row[place]]
        told = told or [row[place] in words for place, words in self.words.items() if row[place]]
        return bool(told) and all(told)


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        spelled(text)
        return True
    return False


def where_not_utf8(data: pa.Buffer, delimiter: str) -> str:
    """Return the line and the column of the first byte that is no part of UTF-8.

    Parameters
    ----------
    data : Buffer
        The file, unpacked.
    delimiter : str
        Between cells.

    Examples
    --------
    >>> where_not_utf8(pa.py_buffer(b"a,b\\n1,2\\n3,\\xff\\n"), ",")
    "in line 3, column 'b' (byte 0xff)"
    """
    held = data.to_pybytes()
    try:
        held.decode()
    except UnicodeDecodeError as error:
        start = max(held.rfind(end, 0, error.start) for end in (b"\n", b"\r")) + 1
        line = held.count(b"\n", 0, start) or held.count(b"\r", 0, start)
        said = f"(byte 0x{held[error.start]:02x})"
        with contextlib.suppress(csv.Error):  # of what is no CSV either
            return f"in line {line + 1}{_column_of(held, start, error.start, delimiter)} {said}"
        return f"in line {line + 1} {said}"
    return ""


def _column_of(held: bytes, start: int, end: int, delimiter: str) -> str:
    """Return the column of a byte in the line that begins at ``start``, if the header names it."""
    first = held[: min(start, _HEADER)].decode(errors="replace").lstrip("\r\n")
    names = next(csv.reader(first.splitlines(), delimiter=delimiter), [])
    cells = next(csv.reader([f"{held[start:end].decode()}x"], delimiter=delimiter))
    return f", column {names[len(cells) - 1]!r}" if len(cells) <= len(names) else ""
