"""An opened table file, and the error that says in one sentence what is wrong with a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from alignlib._core.errors import InputError

__all__ = ["EXACT_INTEGERS", "TableFile", "not_utf8", "short", "too_large"]

EXACT_INTEGERS = 2**53  # beyond it two integers may share one float


@dataclass(frozen=True)
class TableFile:
    """A table file: its column names, and ``load(columns)``, which returns those columns as an Arrow table."""

    path: str
    kind: str
    names: tuple[str, ...]
    load: Callable[[list[str]], pa.Table]

    @property
    def is_delimited(self) -> bool:
        """Whether every cell is text, as in CSV and TSV."""
        return self.kind in ("csv", "tsv")

    def where(self, rows: Sequence[int], total: int | None = None) -> str:
        """Name rows (positions from 0) as a reader finds them: a header counts as row 1, blank lines do not."""
        first = 2 if self.is_delimited else 1
        cut = total is not None and total > len(rows)
        text = ", ".join(str(row + first) for row in rows) + (", …" if cut else "")
        note = "the header is row 1" if self.is_delimited else "the first is row 1"
        return f"row{'s' if len(rows) > 1 else ''} {text} ({note})"


def too_large(path: str, name: str, value: object, where: str, row: int) -> InputError:
    """Say that an integer is beyond what a float holds exactly."""
    return InputError(
        f"column {name!r} of {path} holds the integer {value} in {where}, beyond 2^53, where floats no longer "
        "tell neighbours apart; rescale a reward, or write an identifier as text.",
        column=name,
        rows=[row],
    )


def not_utf8(path: str) -> InputError:
    """Say that a text file has another encoding."""
    return InputError(f"{path} is not UTF-8 text; save it as UTF-8 (it may be UTF-16 or Latin-1 now).")


def short(error: BaseException) -> str:
    """Return the message of a library's error on one line of bounded length."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line[:160].rstrip(". ")
