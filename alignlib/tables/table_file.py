"""An opened table: its column names, a way to load columns, and how a reader finds a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from alignlib._core.errors import InputError

__all__ = ["EXACT_INTEGERS", "TableFile", "load", "not_utf8", "short", "too_large"]

EXACT_INTEGERS = 2**53  # beyond it two integers may share one float


@dataclass(frozen=True)
class TableFile:
    """A table in a file or in memory.

    Parameters
    ----------
    path : str
        What it is called in messages.
    names : tuple of str
        Its columns.
    load : callable
        ``load(columns)`` returns those columns as an Arrow table.
    is_text : bool
        Whether every cell is text, as in CSV, so that no type is known before it is read.
    first_row : int
        The number by which a reader knows the first row; that of a text table is 2, after the header.
    """

    path: str
    names: tuple[str, ...]
    load: Callable[[list[str]], pa.Table]
    is_text: bool = False
    first_row: int = 1

    def where(self, rows: Sequence[int], total: int | None = None) -> str:
        """Name rows (positions from 0) as a reader finds them: a header counts as row 1, blank lines do not."""
        first = 2 if self.is_text else self.first_row
        cut = total is not None and total > len(rows)
        text = ", ".join(str(row + first) for row in rows) + (", …" if cut else "")
        note = "the header is row 1" if self.is_text else f"the first is row {first}"
        return f"row{'s' if len(rows) > 1 else ''} {text} ({note})"


def load(file: TableFile, columns: Sequence[str], wanted: str = "samples of each prompt") -> pa.Table:
    """Load columns, or say that the table has no rows and what is wanted."""
    table = file.load(list(dict.fromkeys(columns)))
    if table.num_rows == 0:
        raise InputError(f"{file.path} has a header but no rows; give {wanted}.")
    return table


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
