"""What the footer of a Parquet file announces, before anything is decoded: how many values, and where their pages end.

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
_SIZE, _PAGES, _DICTIONARY = 7, 9, 11  # and where its pages lie
_PIECE, _OVERLAP = 1 << 20, 16  # bytes looked at once
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
    """Refuse files that were joined end to end (``cat``): only the last one's footer is read, and other rows for its.

    Of a file that is alone, little or nothing lies between its last page and its footer. Behind that much, or sooner,
    the last of several begins.

    Parameters
    ----------
    file : binary file
        The content.

    Raises
    ------
    ValueError
        If there are several, or no footer.

    Examples
    --------
    >>> import io
    >>> import pyarrow.parquet as pq
    >>> file = io.BytesIO()
    >>> pq.write_table(pa.table({"a": [1, 2]}), file)
    >>> check_alone(file)
    >>> check_alone(io.BytesIO(2 * file.getvalue()))
    Traceback (most recent call last):
    ValueError: several files are joined end to end in it; give each of them, in a folder
    """
    footer, begins = _footer(file)
    file.seek(0)
    left, held, start = max(0, begins - footer.end) + len(_MAGIC), b"", 0  # bytes to look at, some of them, and where
    while left > 0 and (piece := file.read(min(left, _PIECE))):
        left -= len(piece)
        held += piece
        at = -1
        while (at := held.find(2 * _MAGIC, at + 1)) >= 0:
            if at >= 4 and 0 < struct.unpack_from("<I", held, at - 4)[0] <= start + at - 8:  # a footer's length
                raise ValueError("several files are joined end to end in it; give each of them, in a folder")
        start, held = start + max(0, len(held) - _OVERLAP), held[-_OVERLAP:]


def _footer(file: IO[bytes]) -> tuple[_Reader, int]:
    """Return the footer, read, and where it begins."""
    end = file.seek(0, os.SEEK_END) - len(_MAGIC) - 4
    try:
        file.seek(max(end, 0))
        (size,) = struct.unpack("<I", file.read(4))
        if size > end:
            raise IndexError("the footer is longer than the file")
        file.seek(end - size)
        return _Reader(file.read(size)), end - size
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"its footer is damaged: {error}") from error


class _Reader:
    """A place in the footer; how many values each column has, and where the last of their pages ends."""

    def __init__(self, held: bytes) -> None:
        self.held, self.at = held, 0
        self.found: Counter[str] = Counter()
        self.end = len(_MAGIC)
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
        for field, kind in self.fields():
            if (field, kind) != (_ABOUT, _STRUCT):
                self.skip(kind)
                continue
            name = ""
            numbers = {_VALUES: 0, _SIZE: 0, _PAGES: 0, _DICTIONARY: 0}
            for part, of in self.fields():
                if part == _PATH and of == _LIST:
                    path = [self.text() for _ in range(self.length(_BINARY))]
                    name = path[0].decode()
                elif part in numbers and _BYTE < of < _DOUBLE:
                    numbers[part] = self.signed()
                else:
                    self.skip(of)
            self.found[name] += max(numbers[_VALUES], 0)
            starts = [numbers[part] for part in (_PAGES, _DICTIONARY) if numbers[part] > 0]
            self.end = max(self.end, min(starts, default=0) + numbers[_SIZE])

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
