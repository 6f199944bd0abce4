"""A last line that is not written whole yet: of CSV or JSON lines that something else still writes."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable

import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.json_text import parse_json

__all__ = ["LEFT_OUT", "MAY_BE_CUT", "whole_lines"]

LEFT_OUT = "The last line is not written whole yet, and was left out."
MAY_BE_CUT = "The last line has no end yet: if it is still being written, its last number may be cut short."
_MOST = 1 << 20  # bytes of a header, or of a last line


def whole_lines(data: pa.Buffer, suffix: str) -> tuple[pa.Buffer, str]:
    """Return the lines of a text that are whole, with a sentence where the last has no end.

    Parameters
    ----------
    data : Buffer
        Content in UTF-8.
    suffix : str
        Extension of the file; of other formats than CSV, TSV and JSON lines all is returned.

    Returns
    -------
    data : Buffer
        The content, without a last line that is not whole.
    said : str
        A sentence, or "" where the last line has its end.

    Examples
    --------
    >>> held, said = whole_lines(pa.py_buffer(b"step,kl\\n0,0.1\\n10"), ".csv")
    >>> held.to_pybytes(), said == LEFT_OUT
    (b'step,kl\\n0,0.1\\n', True)
    """
    is_whole: dict[str, Callable[[bytes, bytes], bool]] = {".csv": _as_wide, ".tsv": _as_wide}
    is_whole |= {".jsonl": _parses, ".ndjson": _parses}
    tail = data[max(0, data.size - _MOST) :].to_pybytes()
    start = tail.rfind(b"\n") + 1
    if suffix not in is_whole or start == 0 or start == len(tail):
        return data, ""
    if not is_whole[suffix](data[:_MOST].to_pybytes().partition(b"\n")[0], tail[start:]):
        return data[: data.size - len(tail) + start], LEFT_OUT
    return data, "" if suffix in (".jsonl", ".ndjson") else MAY_BE_CUT


def _as_wide(header: bytes, line: bytes) -> bool:
    for separator in (b",", b"\t", b";"):
        if separator in header:
            head, last = (text.decode("utf-8", "replace").rstrip("\r\0") for text in (header, line))
            with contextlib.suppress(csv.Error):  # of what is no CSV, whoever reads it says what is wrong
                first = next(csv.reader([head], delimiter=separator.decode()))
                return len(next(csv.reader([last], delimiter=separator.decode()), first)) >= len(first)
    return True


def _parses(_: bytes, line: bytes) -> bool:
    try:
        parse_json(line.decode("utf-8-sig"))
    except (InputError, ValueError):
        return False
    return True
