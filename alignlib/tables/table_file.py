"""An opened table: its column names, a way to load columns, and how a reader finds a row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.errors import InputError, quoted

__all__ = ["EXACT_INTEGERS", "TableFile", "load", "nested_keys", "not_utf8", "short", "too_large"]

_PACKED = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\0": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    **{b"BZh%d1AY&SY" % level: "bzip2" for level in range(1, 10)},
    b"PK\x03\x04": "ZIP",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
}  # by the first bytes
EXACT_INTEGERS = 2**53  # beyond it two integers may share one float
_DEEPEST = 8  # keys within keys that have a name of their own
_MOST_KEYS = 1000


@dataclass(frozen=True)
class TableFile:
    """A table in a file or in memory.

    Parameters
    ----------
    path : str
        What it is called in messages.
    names : tuple of str
        Its columns, those of ``nested`` among them.
    read : callable
        ``read(columns)`` returns columns that are not nested, as they are, as an Arrow table.
    is_text : bool
        Whether every cell is text, as in CSV, so that no type is known before it is read.
    first_row : int
        The number by which a reader knows the first row; that of a text table is 2, after the header.
    separator : str
        What stands between the cells of a text table.
    nested : mapping of str to tuple of str
        Names such as ``scores.helpful`` for a key within the objects of a column, with the keys on the way there; of
        lists of objects, such as the responses to a prompt, it is the list of their values.
    notes : list of str
        Sentences on how the table was read, where that was not plain; readers of cells add to them.
    missing_words : dict of str to str
        A word, such as "None", that was read as a missing value of an identifier, by the column.

    Examples
    --------
    >>> table = pa.table({"prompt_id": [1, 1], "reward": [0.0, 1.0]})
    >>> TableFile("rewards", tuple(table.column_names), table.select).load(["reward"]).num_rows
    2
    """

    path: str
    names: tuple[str, ...]
    read: Callable[[list[str]], pa.Table]
    is_text: bool = False
    first_row: int = 1
    separator: str = ""
    nested: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing_words: dict[str, str] = field(default_factory=dict)

    def load(self, columns: Sequence[str]) -> pa.Table:
        """Return columns, or keys within them, as an Arrow table.

        Parameters
        ----------
        columns : sequence of str
            Names among ``names``; one asked for twice comes once.

        Raises
        ------
        InputError
            For a name that is not among them.
        """
        wanted = list(dict.fromkeys(columns))
        unknown = [name for name in wanted if name not in self.names]
        if not wanted:
            return pa.table({})
        if unknown:
            raise InputError(f"columns must name columns of {self.path}; got {quoted(unknown)}.", argument="columns")
        table = self.read(list(dict.fromkeys(self.nested.get(name, (name,))[0] for name in wanted)))
        return pa.table({name: self._part(table, name) for name in wanted})

    def whole(self) -> pa.Table:
        """Return every column as it is, for a copy of the table.

        Raises
        ------
        InputError
            If two columns have one name.
        """
        own = [name for name in self.names if name not in self.nested]
        name, times = max(Counter(own).items(), key=lambda one: one[1], default=("", 0))
        if times > 1:
            raise InputError(f"{self.path} has {times} columns named {name!r}; rename all but one.")
        return self.read(own)

    def _part(self, table: pa.Table, name: str) -> pa.ChunkedArray:
        first, *keys = self.nested.get(name, (name,))
        column = table.column(first)
        for key in keys:
            column = _field(column, key)
        return column

    def where(self, rows: Sequence[int], total: int | None = None) -> str:
        """Name rows (positions from 0) as a reader finds them: a header counts as row 1, blank lines do not.

        Parameters
        ----------
        rows : sequence of int
            Positions, the first row being 0.
        total : int, optional
            How many there are in all, where only the first are named.
        """
        first = 2 if self.is_text else self.first_row
        cut = total is not None and total > len(rows)
        text = ", ".join(str(row + first) for row in rows) + (", …" if cut else "")
        note = "the header is row 1" if self.is_text else f"the first is row {first}"
        return f"row{'s' if len(rows) > 1 else ''} {text} ({note})"

    def word_for_missing(self, name: str) -> str:
        """Point out, in parentheses, the word that was read as a missing value of a column; empty where none was.

        Parameters
        ----------
        name : str
            The column.
        """
        word = self.missing_words.get(name)
        return "" if word is None else f" ({word!r} counts as missing in CSV)"

    def note(self, sentence: str) -> None:
        """Add a sentence on how the table was read, once.

        Parameters
        ----------
        sentence : str
            What a reader should know; said once, however often it is added.
        """
        if sentence not in self.notes:
            self.notes.append(sentence)


def nested_keys(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Name the keys within columns of objects: ``scores.helpful`` where the file has no column of that name.

    Parameters
    ----------
    schema : Schema
        Of the file.

    Examples
    --------
    >>> nested_keys(pa.schema({"id": pa.int64(), "scores": pa.struct({"helpful": pa.float64()})}))
    {'scores.helpful': ('scores', 'helpful')}
    """
    taken = Counter(schema.names)
    found: dict[str, tuple[str, ...]] = {}
    twice: set[str] = set()
    for keys in _keys(((one.name,), one.type) for one in schema if taken[one.name] == 1):
        name = ".".join(keys)
        if name in found:  # {"a.b": {"c": 1}} and {"a": {"b.c": 1}}
            twice.add(name)
        elif name not in taken and len(found) < _MOST_KEYS:
            found[name] = keys
    return {name: keys for name, keys in found.items() if name not in twice}


def _field(column: pa.ChunkedArray, key: str) -> pa.ChunkedArray:
    """Return the values of a key of objects; of lists of objects, the lists of their values, empty where none is."""
    if not _is_list(column.type):
        return pc.struct_field(column, key)
    lists = column.combine_chunks()
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = pc.struct_field(pc.list_flatten(lists), key)
    return pa.chunked_array([pa.LargeListArray.from_arrays(np.concatenate([[0], np.cumsum(sizes)]), values)])


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _keys(columns: Iterator[tuple[tuple[str, ...], pa.DataType]]) -> Iterator[tuple[str, ...]]:
    for path, given in columns:
        kind = given.value_type if _is_list(given) and len(path) == 1 else given
        if pa.types.is_struct(kind) and len(path) < _DEEPEST:
            parts = [kind.field(i) for i in range(kind.num_fields)]
            times = Counter(part.name for part in parts)
            once = [part for part in parts if times[part.name] == 1]
            yield from ((*path, part.name) for part in once)
            yield from _keys(((*path, part.name), part.type) for part in once)


def load(file: TableFile, columns: Sequence[str], wanted: str = "samples of each prompt") -> pa.Table:
    """Load columns, or say that the table has no rows and what is wanted.

    Parameters
    ----------
    file : TableFile
        The table.
    columns : sequence of str
        Names among its own.
    wanted : str
        What rows should hold, for the message.

    Raises
    ------
    InputError
        If there are no rows.

    Examples
    --------
    >>> table = pa.table({"reward": [0.0, 1.0]})
    >>> load(TableFile("rewards", ("reward",), table.select), ["reward"]).num_rows
    2
    """
    table = file.load(columns)
    if table.num_rows == 0:
        raise InputError(f"{file.path} has a header but no rows; give {wanted}.")
    return table


def too_large(path: str, name: str, value: int | str, where: str, row: int) -> InputError:
    """Say that an integer is beyond what a float holds exactly.

    Parameters
    ----------
    path, name : str
        The file and its column.
    value : int or str
        The integer.
    where : str
        Where it stands, as the sentence has it, such as ``"row 7"``.
    row : int
        Position of the row, kept with the error.

    Returns
    -------
    InputError
        To be raised.

    Examples
    --------
    >>> "beyond 2^53" in str(too_large("rewards.csv", "id", 2**60, "row 7", 5))
    True
    """
    digits = str(value) if not isinstance(value, int) or abs(value) < 10**60 else f"of {value.bit_length()} bits"
    return InputError(
        f"column {name!r} of {path} holds the integer {digits} in {where}, beyond 2^53, where floats no longer "
        "tell neighbours apart; rescale a reward, or write an identifier as text.",
        column=name,
        rows=[row],
    )


def check_not_packed(path: str, start: bytes) -> None:
    """Refuse text that is packed in a way that is not read here, by its first bytes.

    Parameters
    ----------
    path : str
        What messages call the file.
    start : bytes
        Its first bytes.

    Raises
    ------
    InputError
        With how it is packed.
    """
    packed = next((name for begins, name in _PACKED.items() if start.startswith(begins)), None)
    if packed is not None:
        raise InputError(
            f"{path} is packed with {packed}, which is not read here; unpack it, or pack it with gzip and let its name "
            "end in .gz."
        )


def not_utf8(path: str, where: str = "") -> InputError:
    """Say that a text file has another encoding.

    Parameters
    ----------
    path : str
        The file.
    where : str
        Where it is not, as far as that is known.

    Returns
    -------
    InputError
        To be raised.

    Examples
    --------
    >>> print(not_utf8("rewards.csv"))
    rewards.csv is not UTF-8 text; save it as UTF-8 (it may be UTF-16 or Latin-1 now).
    """
    return InputError(
        f"{path} is not UTF-8 text{where and f' {where}'}; save it as UTF-8 (it may be UTF-16 or Latin-1 now)."
    )


def short(error: BaseException) -> str:
    """Return the message of a library's error on one line of at most 160 letters, without addresses in memory.

    Parameters
    ----------
    error : BaseException
        The error.

    Examples
    --------
    >>> short(ValueError("no\\nnumber."))
    'no number'
    """
    line = re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>", "…", " ".join(str(error).split())) or type(error).__name__
    return line[:160].rstrip(". ")
