"""Types of cells: what a column holds once its storage is put aside, and what to call it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.errors import InputError
from alignlib.tables.memory_limit import check_fits
from alignlib.tables.table_file import TableFile, short

__all__ = ["UNCHECKED", "check_dictionary", "is_list", "is_text", "kind_of", "longest", "plain_cells"]

UNCHECKED = 1 << 28  # bytes that any dictionary may have once written out


def is_list(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a list, so that one cell may hold all samples of a prompt.

    Parameters
    ----------
    kind : DataType
        The type of a column's cells.

    Examples
    --------
    >>> is_list(pa.list_(pa.float64())), is_list(pa.float64())
    (True, False)
    """
    t = pa.types
    views = t.is_list_view(kind) or t.is_large_list_view(kind)
    return bool(t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind) or views)


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is text.

    Parameters
    ----------
    kind : DataType
        The type of a column's cells.
    """
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def plain_cells(file: TableFile, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without what only its storage knows: dictionaries, runs, views, extensions, bytes that are text.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column, for messages.
    column : ChunkedArray
        Its cells, of any type.

    Raises
    ------
    InputError
        For bytes that are no text, and a dictionary that would not fit into memory once written out.

    Examples
    --------
    >>> cells = pa.chunked_array([pa.array(["a", "b", "a"]).dictionary_encode()])
    >>> plain_cells(TableFile("t", ("x",), lambda names: pa.table({})), "x", cells).to_pylist()
    ['a', 'b', 'a']
    """
    kind, t = column.type, pa.types
    try:
        if isinstance(kind, pa.BaseExtensionType):
            if kind.extension_name == "pandas.period":  # stored as a count of days, or months, since 1970
                raise InputError(
                    f"column {name!r} of {file.path} holds periods, which are no numbers; write them as text, or name "
                    "another column.",
                    column=name,
                )
            return plain_cells(file, name, pa.chunked_array([c.storage for c in column.chunks], kind.storage_type))
        if t.is_dictionary(kind):
            check_dictionary(file.path, name, column)
            return plain_cells(file, name, column.cast(kind.value_type))
        if t.is_run_end_encoded(kind):
            return plain_cells(file, name, pa.chunked_array([pc.run_end_decode(c) for c in column.chunks]))
        if t.is_string_view(kind):
            return column.cast(pa.large_string())
        if t.is_binary(kind) or t.is_large_binary(kind) or t.is_binary_view(kind) or t.is_fixed_size_binary(kind):
            if t.is_fixed_size_binary(kind):
                column = column.cast(pa.binary())
            return column.cast(pa.large_string())
        if t.is_float16(kind) or t.is_float32(kind):
            return column.cast(pa.float64())
        if t.is_list_view(kind) or t.is_large_list_view(kind):
            lists = [_list_of_view(c) for c in column.chunks]
            return pa.chunked_array(lists, pa.large_list(kind.value_type))
    except (pa.ArrowException, IndexError) as error:
        raise InputError(
            f"column {name!r} of {file.path} holds {kind_of(kind)} values that cannot be read ({short(error)}); write "
            "numbers or text there.",
            column=name,
        ) from error
    return column


def _list_of_view(column: pa.Array) -> pa.Array:
    """Return lists for views of lists, which may lie in any order; Arrow's own cast leaves their last end unwritten."""
    sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    ends = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int64())
    return pa.LargeListArray.from_arrays(ends, column.flatten(), mask=column.is_null())


def longest(texts: pa.Array) -> int:
    """Return the bytes of the longest of some texts; 0 of none, and of what is no text.

    Parameters
    ----------
    texts : Array
        Texts.

    Examples
    --------
    >>> longest(pa.array(["a", "bcd", None]))
    3
    """
    is_plain = pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)
    return int(pc.max(pc.binary_length(texts)).as_py() or 0) if is_plain else 0


def check_dictionary(path: str, name: str, column: pa.ChunkedArray) -> None:
    """Refuse a dictionary whose values, written out row by row, would fill the memory: a small file may hold that.

    Parameters
    ----------
    path, name : str
        Table and column, for messages.
    column : ChunkedArray
        Its cells, a dictionary.
    """
    if not (pa.types.is_string(column.type.value_type) or pa.types.is_large_string(column.type.value_type)):
        return
    most = max((longest(chunk.dictionary) for chunk in column.chunks), default=0)
    if most * len(column) > UNCHECKED:
        lengths = (pc.sum(pc.take(pc.binary_length(c.dictionary), c.indices)).as_py() or 0 for c in column.chunks)
        check_fits(sum(lengths), f"column {name!r} of {path}", "name a column with shorter texts")


def kind_of(kind: pa.DataType) -> str:
    """Return an Arrow type as text of bounded length; the names within it are the reader's, and are quoted.

    Parameters
    ----------
    kind : DataType
        The type of a column's cells.

    Examples
    --------
    >>> kind_of(pa.list_(pa.struct({"text": pa.string(), "reward": pa.float64()})))
    "list of struct of 'text', 'reward'"
    >>> kind_of(pa.date32())
    'date32[day]'
    """
    if is_list(kind):
        said = f"list of {kind_of(kind.value_type)}"
    elif pa.types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        said = f"struct of {', '.join(repr(name[:40]) for name in names[:5])}{', …' if len(names) > 5 else ''}"
    elif pa.types.is_nested(kind):
        said = str(kind).split("<", 1)[0]  # a map, a union
    else:
        said = str(kind)
    return said if len(said) <= 200 else f"{said[:197]}…"
