"""JSON that a reader gave, bounded in depth and size before anything parses it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignlib._core.errors import InputError

__all__ = ["DEEPEST", "check_depth", "check_lines", "parse_json"]

DEEPEST = 64  # brackets within brackets; chats with calls of tools have about ten
_LONGEST_LINE = 1 << 27  # bytes
_MOST_DIGITS = 300  # of an integer: hardly a float is longer
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_OPENING, _CLOSING = np.frombuffer(b"[{", np.uint8), np.frombuffer(b"]}", np.uint8)
_BLOCK = 1 << 26  # bytes looked at together


def check_lines(path: str, data: pa.Buffer) -> None:
    """Refuse a line that is too long, or nests too deep, to be parsed.

    Raises
    ------
    InputError
        With the number of the line.
    """
    held = np.frombuffer(data, np.uint8)
    ends = np.append(np.flatnonzero(held == ord("\n")), held.size)
    starts = np.concatenate([[0], ends[:-1] + 1])
    long = int(np.argmax(ends - starts))
    if ends[long] - starts[long] > _LONGEST_LINE:
        raise InputError(
            f"{path} has a line longer than {_LONGEST_LINE >> 20} MiB, line {long + 1}; write one object per line, or "
            "the table as Parquet.",
            rows=[long],
        )
    for first, last in _blocks(starts, ends):
        block = held[starts[first] : ends[last - 1]]
        if block.size == 0:
            continue
        at = np.minimum(starts[first:last] - starts[first], block.size - 1)
        opened = np.add.reduceat(np.isin(block, _OPENING).view(np.uint8), at, dtype=np.int64)
        for line in (first + np.flatnonzero(opened > DEEPEST)).tolist():
            if _depth(held[starts[line] : ends[line]].tobytes()) > DEEPEST:
                raise InputError(
                    f"{path} nests more than {DEEPEST} brackets within each other in line {line + 1}; leave that value "
                    "out, or write it as text.",
                    rows=[line],
                )


def check_depth(path: str, text: bytes) -> None:
    """Refuse a document that nests too deep to be parsed."""
    if _depth(text) > DEEPEST:
        raise InputError(
            f"{path} nests more than {DEEPEST} brackets within each other; leave that value out, or write it as text."
        )


def parse_json(text: str) -> object:
    """Return what JSON says, no key twice, no integer without end.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    return json.loads(text, object_pairs_hook=_object, parse_int=_integer)


def _blocks(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield ranges of lines that are about as long together as a block."""
    first = 0
    while first < starts.size:
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + _BLOCK)))
        yield first, last
        first = last


def _depth(text: bytes) -> int:
    """Return the largest number of brackets open at once, those in strings not counted."""
    bare = np.frombuffer(_STRING.sub(b"", text), np.uint8)
    steps = np.isin(bare, _OPENING).astype(np.int64) - np.isin(bare, _CLOSING)
    return int(np.cumsum(steps).max(initial=0))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        seen = set[str]()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} comes twice")
    return record


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits.lstrip('-')):,} digits")
    return int(digits)
