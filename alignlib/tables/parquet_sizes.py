"""What the footer of a Parquet file announces, before anything is decoded: how many values, and where their bytes end.

The footer is read here, since pyarrow ends the whole process at a footer whose statistics are damaged as soon as it is
asked about a column. It is in the compact protocol of Thrift, of which only what leads to the counts is looked at.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator
from typing import IO

import pyarrow as pa

__all__ = ["announced_values", "check_alone"]

_MAGIC = b"PAR1"
_ROW_GROUPS, _COLUMNS, _ABOUT, _PATH, _VALUES = 4, 1, 3, 3, 5  # numbers of fields: of the footer, …, of a column
_SIZE, _PAGES, _DICTIONARY, _FILTER, _FILTER_SIZE = 7, 9, 11, 14, 15  # and where its bytes lie
_INDICES = ((4, 5), (6, 7))  # of a piece of a column: where an index of its pages begins, and its length
_FILTER_HEAD, _FILTER_BYTES = (
    256,
    1,
)  # more than the head of a Bloom filter takes, and the field of the length behind it
_LONGEST = 1 << 24  # bytes that are said of one column
_DEEPEST = 16
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


def announced_values(data: pa.Buffer) -> Counter[str]:
    """Return the number of values of each column, those within lists and objects counted each.

    Parameters
    ----------
    data : Buffer
        The file.

    Raises
    ------
    ValueError
        For what is no footer.

    Examples
    --------
    >>> import pyarrow.parquet as pq
    >>> file = pa.BufferOutputStream()
    >>> pq.write_table(pa.table({"a.b": [1, 2], "c": [[1, 2, 3], [4]]}), file)
    >>> announced_values(file.getvalue())
    Counter({'c': 4, 'a.b': 2})
    """
    return _footer(pa.BufferReader(data))[0].found


def check_alone(file: IO[bytes]) -> None:
    """Refuse files that were joined (``cat``), or behind another's beginning: only the last one's footer is read.

    A footer counts bytes from the beginning of its file. What it names last (a page, an index, a Bloom filter) ends
    where the footer begins, so what lies before its file shows as a gap there, as long as that is. Rows would be
    another's, or none. Arrow before 17 and others repeat there what the footer says of the last column.

    Parameters
    ----------
    file : binary file
        The content.

    Raises
    ------
    ValueError
        If there is more or less before the footer than it names, or no footer.

    Examples
    --------
    >>> import io
    >>> import pyarrow.parquet as pq
    >>> file = io.BytesIO()
    >>> pq.write_table(pa.table({"a": [1, 2]}), file)
    >>> check_alone(file)
    >>> check_alone(io.BytesIO(b"0123456789" + file.getvalue()))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: its footer names all but 10 bytes before it, as where several files are joined end to end in it; give...
    """
    footer, begins = _footer(file)
    ends = max([footer.end, *(_end_of_filter(file, at) for at in footer.filters)])
    if ends < begins and not footer.says(_between(file, ends, begins)):
        raise ValueError(
            f"its footer names all but {begins - ends:,} bytes before it, as where several files are joined end to end "
            "in it; give each of them, in a folder"
        )
    if ends > begins:
        raise ValueError(f"{ends - begins:,} bytes that its footer names are missing before it")


def _between(file: IO[bytes], start: int, end: int) -> bytes:
    """Return these bytes, as many as anything about a column may take."""
    file.seek(start)
    return file.read(min(end - start, _LONGEST))


def _end_of_filter(file: IO[bytes], at: int) -> int:
    """Return where a Bloom filter ends whose length the footer does not give."""
    try:
        head = _Reader(_between(file, at, at + _FILTER_HEAD))
        size = 0
        for field, kind in head.fields():
            if field == _FILTER_BYTES and _BYTE < kind < _DOUBLE:
                size = head.signed()
            else:
                head.skip(kind)
    except IndexError as error:
        raise ValueError(f"the Bloom filter at byte {at:,} is damaged: {error}") from error
    return at + head.at + size


def _footer(file: IO[bytes]) -> tuple[_Footer, int]:
    """Return the footer, read, and where it begins."""
    end = file.seek(0, os.SEEK_END) - len(_MAGIC) - 4
    try:
        file.seek(max(end, 0))
        (size,) = struct.unpack("<I", file.read(4))
        if size > end:
            raise IndexError("the footer is longer than the file")
        file.seek(end - size)
        return _Footer(file.read(size)), end - size
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"its footer is damaged: {error}") from error


class _Reader:
    """A place among bytes of Thrift's."""

    def __init__(self, held: bytes) -> None:
        self.held, self.at = held, 0

    def byte(self) -> int:
        self.at += 1
        return self.held[self.at - 1]

    def integer(self) -> int:
        """Read an integer of seven bits a byte."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise IndexError("an integer without end")

    def signed(self) -> int:
        value = self.integer()
        return (value >> 1) ^ -(value & 1)

    def text(self) -> bytes:
        size = self.integer()
        start, self.at = self.at, self.at + size
        if self.at > len(self.held):
            raise IndexError("a text without end")
        return self.held[start : self.at]

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and type of each field of a structure; its value is to be read, or skipped, before the next."""
        number = 0
        while byte := self.byte():
            step, kind = byte >> 4, byte & 15
            if step:
                number += step
            else:
                number = self.signed()
            yield number, kind

    def length(self, kind: int) -> int:
        """Read how many elements a list has, all of this type."""
        byte = self.byte()
        size = byte >> 4 if byte < 240 else self.integer()
        if size and byte & 15 != kind:
            raise IndexError(f"a list of type {byte & 15}")
        return size

    def skip(self, kind: int, depth: int = 0) -> None:
        """Read past a value."""
        if depth > _DEEPEST:
            raise IndexError("it nests too deeply")
        if kind in (_TRUE, _FALSE):
            return
        if kind == _BYTE:
            self.at += 1
        elif kind < _DOUBLE:
            self.integer()
        elif kind == _DOUBLE:
            self.at += 8
        elif kind == _BINARY:
            self.text()
        elif kind in (_LIST, _SET):
            byte = self.byte()
            size = byte >> 4 if byte < 240 else self.integer()
            self.skip_several([byte & 15], size, depth)
        elif kind == _MAP:
            size = self.integer()
            kinds = self.byte() if size else 0
            self.skip_several([kinds >> 4, kinds & 15], size, depth)
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        else:
            raise IndexError(f"a value of type {kind}")

    def skip_several(self, kinds: list[int], size: int, depth: int) -> None:
        if size > len(self.held):
            raise IndexError("a list without end")
        for _ in range(size):
            for kind in kinds:
                if kind in (_TRUE, _FALSE):  # within a list it takes a byte
                    self.at += 1
                else:
                    self.skip(kind, depth + 1)


class _Footer(_Reader):
    """How many values each column has, and where the last of what is named ends."""

    def __init__(self, held: bytes) -> None:
        super().__init__(held)
        self.found: Counter[str] = Counter()
        self.end = len(_MAGIC)
        self.filters: list[int] = []  # where those begin whose length is not given
        self.columns: list[slice] = []  # what is said of each piece of a column
        for field, kind in self.fields():
            if (field, kind) != (_ROW_GROUPS, _LIST):
                self.skip(kind)
                continue
            for _ in range(self.length(_STRUCT)):
                for part, of in self.fields():
                    if (part, of) != (_COLUMNS, _LIST):
                        self.skip(of)
                        continue
                    for _ in range(self.length(_STRUCT)):
                        self.column()

    def column(self) -> None:
        """Add what one piece of a column says of itself."""
        start = self.at
        places: Counter[int] = Counter()
        for field, kind in self.fields():
            if (field, kind) == (_ABOUT, _STRUCT):
                self.about()
            elif _BYTE < kind < _DOUBLE:
                places[field] = self.signed()
            else:
                self.skip(kind)
        self.end = max(self.end, *(places[begin] + places[size] for begin, size in _INDICES))
        self.columns.append(slice(start, self.at))

    def says(self, some: bytes) -> bool:
        """Whether these bytes are what is said of a piece of a column."""
        return any(part.stop - part.start == len(some) and self.held[part] == some for part in self.columns)

    def about(self) -> None:
        """Add what the pages of that piece are said to hold."""
        name = ""
        numbers: Counter[int] = Counter()
        for part, of in self.fields():
            if part == _PATH and of == _LIST:
                path = [self.text() for _ in range(self.length(_BINARY))]
                name = path[0].decode()
            elif _BYTE < of < _DOUBLE:
                numbers[part] = self.signed()
            else:
                self.skip(of)
        self.found[name] += max(numbers[_VALUES], 0)
        starts = [numbers[part] for part in (_PAGES, _DICTIONARY) if numbers[part] > 0]
        self.end = max(self.end, min(starts, default=0) + numbers[_SIZE], numbers[_FILTER] + numbers[_FILTER_SIZE])
        if numbers[_FILTER] > 0 and _FILTER_SIZE not in numbers:
            self.filters.append(numbers[_FILTER])
