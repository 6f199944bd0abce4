"""Cells that hold lists of numbers: the samples of a prompt, or what a model says token by token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import spelled
from alignlib._core.same import SameFields
from alignlib.tables.as_identifiers import MISSING
from alignlib.tables.as_numbers import numbers
from alignlib.tables.cell_types import is_list, is_text, kind_of, plain_cells
from alignlib.tables.json_text import check_depth, parse_json
from alignlib.tables.table_file import TableFile

__all__ = ["holds_lists", "list_cells"]

_LIST = r"^\s*\[.*\]\s*$"


def holds_lists(file: TableFile, name: str, column: pa.ChunkedArray) -> bool:
    """Whether the cells of a column are lists, or texts in brackets in a file where all is text.

    Parameters
    ----------
    file : TableFile
        The table; in CSV a list is text.
    name : str
        The column, for messages.
    column : ChunkedArray
        Its cells, of which the first hundred are looked at.

    Examples
    --------
    >>> holds_lists(TableFile("t", ("r",), lambda names: None), "r", pa.chunked_array([[[0.0, 1.0]]]))
    True
    """
    cells = plain_cells(file, name, column)
    if not file.is_text or not is_text(cells.type):
        return is_list(cells.type)
    first = next((cell.as_py() for cell in cells.drop_null()[:100] if cell.as_py().strip()), "")
    return re.match(_LIST, first, re.DOTALL) is not None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Elements(TableFile, SameFields):
    """A table whose rows are elements of lists, named by the rows that hold them."""

    row: IntArray

    def where(self, rows: Sequence[int], total: int | None = None) -> str:
        return super().where(list(dict.fromkeys(self.row[list(rows)].tolist())), total)


def list_cells(file: TableFile, name: str, column: pa.ChunkedArray) -> tuple[FloatArray, IntArray]:
    """Return the numbers of all lists one after another, and how many each row has: none where there is no list.

    Lists of one element each within the lists, as reward models write them, count as their elements.

    Parameters
    ----------
    file : TableFile
        The table; in CSV a list is text.
    name : str
        The column, for messages.
    column : ChunkedArray
        Its cells: lists of numbers, null where there is none.

    Returns
    -------
    values : array (elements,)
        The numbers of all lists.
    sizes : array of int (rows,)
        How many of them each row has.

    Raises
    ------
    InputError
        For cells that are no lists, lists within lists of any other length, and elements that are no numbers.

    Examples
    --------
    >>> file = TableFile("t", ("r",), lambda names: None)
    >>> values, sizes = list_cells(file, "r", pa.chunked_array([[[0.0, 1.0], None]]))
    >>> values.tolist(), sizes.tolist()
    ([0.0, 1.0], [2, 0])
    """
    cells = plain_cells(file, name, column)
    if file.is_text and is_text(cells.type):
        cells = _parsed(file, name, cells)
    if not is_list(cells.type):
        raise InputError(
            f"column {name!r} of {file.path} holds {kind_of(cells.type)}, not one list of numbers per row; "
            f"name a column that does.",
            column=name,
        )
    sizes = pc.fill_null(pc.list_value_length(cells), 0).to_numpy().astype(np.int64)
    values = plain_cells(file, name, pc.list_flatten(cells))
    if is_list(values.type):
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
        if (lengths != 1).any():
            at = int(np.argmax(lengths != 1))
            row = int(np.searchsorted(np.cumsum(sizes), at, side="right"))
            raise InputError(
                f"column {name!r} of {file.path} holds lists within lists, one of {lengths[at]} elements in "
                f"{file.where([row])}; give one number for each sample.",
                column=name,
                rows=[row],
            )
        values = plain_cells(file, name, pc.list_flatten(values))
    told = {field.name: getattr(file, field.name) for field in fields(TableFile)}
    return numbers(_Elements(**told, row=np.repeat(np.arange(sizes.size), sizes)), name, values), sizes


def _parsed(file: TableFile, name: str, cells: pa.ChunkedArray) -> pa.Array:
    """Read texts such as ``[0.5, null]``, and those of NumPy and Python, as lists of numbers."""
    lists: list[list[float | None] | None] = []
    for row, text in enumerate(cells.to_pylist()):
        if text is None or text.strip().lower() in MISSING:
            lists.append(None)
            continue
        found = _list(text)
        if found is None:
            raise InputError(
                f"column {name!r} of {file.path} holds {quoted(text, 60)} in {file.where([row])}, which is no list of "
                "numbers such as [0.5, -1.25]; correct that cell.",
                column=name,
                rows=[row],
            )
        lists.append(found)
    return pa.chunked_array([pa.array(lists, pa.large_list(pa.float64()))])


def _list(text: str) -> list[float | None] | None:
    bare = text.strip()
    if not (bare.startswith("[") and bare.endswith("]")):
        return None
    try:
        check_depth("", bare.encode("utf-8", "replace"))
        found = parse_json(bare)
        values = [item[0] if isinstance(item, list) and len(item) == 1 else item for item in found]  # type: ignore
    except (ValueError, TypeError):
        values = [word for word in re.split(r"[\s,]+", bare[1:-1].strip()) if word]
    try:
        return [_number(value) for value in values]
    except (ValueError, TypeError, OverflowError):
        return None


def _number(value: object) -> float | None:
    if value is None or (isinstance(value, str) and value.lower() in MISSING):
        return None
    if isinstance(value, bool | list | dict):
        raise TypeError
    if isinstance(value, str):
        return spelled(value)
    return float(value)  # type: ignore[arg-type]
