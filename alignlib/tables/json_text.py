"""JSON that a reader gave, bounded in depth and size before anything parses it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignlib._core.errors import InputError

__all__ = ["DEEPEST", "check_depth", "check_lines", "json_kind", "parse_json"]

DEEPEST = 64  # brackets within brackets; chats with calls of tools have about ten
_LONGEST_LINE = 1 << 27  # bytes
_MOST_DIGITS = 300  # of an integer: hardly a float is longer
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_OPENING, _CLOSING = np.frombuffer(b"[{", np.uint8), np.frombuffer(b"]}", np.uint8)
_MARK = b"\xef\xbb\xbf"  # of byte order, which some programs write in front
_LOOKED_AT = 50  # lines whose keys are compared
_MOST_COLUMNS = 5000  # Arrow's time grows with the square of the number of keys
_MOST_SPACE = 1000  # bytes before the brace of a line
_BLOCK = 1 << 26  # bytes looked at together


def check_lines(path: str, data: pa.Buffer) -> bool:
    """Refuse a line that is too long, or nests too deep, to be parsed; return whether Arrow may read the lines.

    It ends in a segmentation fault where the first line is ``null``, and makes a column of each key that any line has.

    Parameters
    ----------
    path : str
        What messages call the file.
    data : Buffer
        Its content.

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
    objects = True
    for first, last in _blocks(starts, ends):
        block = held[starts[first] : ends[last - 1]]
        if block.size == 0:
            continue
        objects = objects and _are_objects(held, starts[first:last], ends[first:last])
        at = np.minimum(starts[first:last] - starts[first], block.size - 1)
        opened = np.add.reduceat(np.isin(block, _OPENING).view(np.uint8), at, dtype=np.int64)
        for line in (first + np.flatnonzero(opened > DEEPEST)).tolist():
            if _depth(held[starts[line] : ends[line]].tobytes()) > DEEPEST:
                raise InputError(
                    f"{path} nests more than {DEEPEST} brackets within each other in line {line + 1}; leave that value "
                    "out, or write it as text.",
                    rows=[line],
                )
    return objects and _have_like_keys(held, starts, ends)


def _have_like_keys(held: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> bool:
    """Whether some lines, spread over the file, have about the same keys, and not too many for a column each."""
    every, most = set[str](), 0
    for line in range(0, starts.size, max(1, starts.size // _LOOKED_AT)):
        with contextlib.suppress(ValueError):
            own = set(_keys(parse_json(held[starts[line] : ends[line]].tobytes().decode("utf-8-sig")), ""))
            every |= own
            most = max(most, len(own))
    return len(every) <= min(100 + 8 * most, _MOST_COLUMNS)


def _keys(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key}"
            yield from _keys(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner, path)


def _are_objects(held: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> bool:
    """Whether each line that is not blank begins with a brace."""
    other = starts[(starts < ends) & (held[np.minimum(starts, held.size - 1)] != ord("{"))]
    lines = (held[start : start + _MOST_SPACE].tobytes().partition(b"\n")[0] for start in other.tolist())
    return all(line.removeprefix(_MARK).lstrip()[:1] in (b"", b"{") for line in lines)


def check_depth(path: str, text: bytes) -> None:
    """Refuse a document that nests too deep to be parsed.

    Parameters
    ----------
    path : str
        The file, for the message.
    text : bytes
        The document.

    Raises
    ------
    InputError
        If it nests more than ``DEEPEST`` brackets.

    Examples
    --------
    >>> check_depth("a.json", b"[[1], [2]]")
    """
    if _depth(text) > DEEPEST:
        raise InputError(
            f"{path} nests more than {DEEPEST} brackets within each other; leave that value out, or write it as text."
        )


def json_kind(value: object) -> str:
    """Return what JSON calls a value.

    Parameters
    ----------
    value : object
        As Python has it.

    Examples
    --------
    >>> json_kind(None), json_kind([1]), json_kind(0.5)
    ('null', 'an array', 'a number')
    """
    kinds = {list: "an array", dict: "an object", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def parse_json(text: str) -> object:
    """Return what JSON says, no key twice, no integer without end.

    Parameters
    ----------
    text : str
        One document.

    Raises
    ------
    ValueError
        With what is wrong.

    Examples
    --------
    >>> parse_json('{"a": [1, null]}')
    {'a': [1, None]}
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
