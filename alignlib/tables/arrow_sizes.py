"""How large columns of an Arrow file are once decompressed, as the file announces it: known before anything is."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa

__all__ = ["announced_sizes", "is_stream"]

_MAGIC = b"ARROW1"
_DICTIONARIES, _BATCHES = 2, 3  # places in the tables of Arrow's format: of a footer,
_HEADER_KIND, _HEADER, _BODY = 1, 2, 3  # of a message,
_DATA = 1  # of a batch of a dictionary,
_BUFFERS, _COMPRESSION, _OF_VIEWS = 2, 3, 4  # and of a batch
_OF_DICTIONARY, _OF_BATCH = 2, 3  # kinds of a message
_BETWEEN = 64  # bytes between the last batch and the footer, at most; the mark of the end has 8
_JOINED = "several files are joined end to end in it; give each of them, in a folder"
_MARK = 0xFFFFFFFF  # in front of a message


def is_stream(data: pa.Buffer) -> bool:
    """Whether this is a stream of Arrow's messages, without the footer of a file, as `datasets` saves it.

    Parameters
    ----------
    data : Buffer
        The content.

    Examples
    --------
    >>> out = pa.BufferOutputStream()
    >>> with pa.ipc.new_stream(out, pa.schema({"x": pa.float64()})):
    ...     pass
    >>> is_stream(out.getvalue())
    True
    """
    return bytes(memoryview(data)[:4]) == struct.pack("<I", _MARK)


def announced_sizes(data: pa.Buffer, schema: pa.Schema, columns: Collection[str]) -> tuple[int, list[int]]:
    """Return the bytes that all compressed dictionaries, and these columns of each batch, have once decompressed.

    Arrow allocates what stands in front of each compressed buffer, whatever is in it; it reads all dictionaries, and of
    a batch the columns asked for. Batches that are not compressed need nothing beside the file.

    Parameters
    ----------
    data : Buffer
        The file.
    schema : Schema
        Its columns.
    columns : collection of str
        Those asked for.

    Returns
    -------
    dictionaries : int
        Bytes.
    batches : list of int
        Bytes of the columns asked for in each batch.

    Raises
    ------
    ValueError
        For a file whose parts do not lie within it.

    Examples
    --------
    >>> file = pa.BufferOutputStream()
    >>> batch = pa.record_batch({"x": pa.array([0.0] * 1000), "y": pa.array(["text"] * 1000)})
    >>> with pa.ipc.new_file(file, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
    ...     writer.write_batch(batch)
    >>> announced_sizes(file.getvalue(), batch.schema, ["x"]), announced_sizes(file.getvalue(), batch.schema, ["y"])
    ((0, [8000]), (0, [8004]))
    """
    held = memoryview(data)
    parts_of = [(field.name in columns, part) for field in schema for part in _parts(field.type)]
    try:
        if is_stream(data):
            messages = list(_messages(held))
            dictionaries = [_size(held, at, long) for kind, at, long in messages if kind == _OF_DICTIONARY]
            return sum(dictionaries), [
                _size(held, at, long, parts_of) for kind, at, long in messages if kind == _OF_BATCH
            ]
        (size,) = struct.unpack_from("<i", held, len(held) - len(_MAGIC) - 4)
        footer = held[len(held) - len(_MAGIC) - 4 - size : len(held) - len(_MAGIC) - 4]
        root = _number(footer, "<I", 0)
        parts = [list(_blocks(footer, root, place)) for place in (_DICTIONARIES, _BATCHES)]
        ends = [start + long + body for blocks in parts for start, long, body in blocks]
        if ends and len(held) - len(_MAGIC) - 4 - size - max(ends) > _BETWEEN:
            raise ValueError(_JOINED)
        dictionaries = [_size(held, start, long) for start, long, _ in parts[0]]
        batches = [_size(held, start, long, parts_of) for start, long, _ in parts[1]]
    except struct.error as error:
        raise ValueError(f"its parts do not lie within it: {error}") from error
    return sum(dictionaries), batches


def _number(held: memoryview, kind: str, at: int) -> int:
    if at < 0:
        raise ValueError("its parts do not lie within it")
    return int(struct.unpack_from(kind, held, at)[0])


def _field(held: memoryview, table: int, place: int) -> int | None:
    """Return where a field of a table lies; None where the table lacks it."""
    names = table - _number(held, "<i", table)
    if 4 + 2 * place >= _number(held, "<H", names):
        return None
    offset = _number(held, "<H", names + 4 + 2 * place)
    return table + offset if offset else None


def _follow(held: memoryview, table: int, place: int) -> int | None:
    """Return where the table or vector lies that a field refers to."""
    at = _field(held, table, place)
    return None if at is None else at + _number(held, "<I", at)


def _blocks(footer: memoryview, root: int, place: int) -> Iterator[tuple[int, int, int]]:
    """Yield where each message begins, how long it is without its body, and how long that is."""
    vector = _follow(footer, root, place)
    for i in range(0 if vector is None else _number(footer, "<I", vector)):
        assert vector is not None
        at = vector + 4 + 24 * i
        yield _number(footer, "<q", at), _number(footer, "<i", at + 8), _number(footer, "<q", at + 16)


def _messages(held: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield the kind of each message of a stream, where it begins, and how long it is without its body."""
    start = 0
    while start + 8 <= len(held) and _number(held, "<I", start) == _MARK:
        length = _number(held, "<i", start + 4)
        if length < 0:
            raise ValueError(f"a message of {length:,} bytes")
        if length == 0:  # the end is marked so
            if len(held) > start + 8 and np.frombuffer(held, np.uint8, offset=start + 8).any():
                raise ValueError(_JOINED)
            return
        message = held[start + 8 : start + 8 + length]
        root = _number(message, "<I", 0)
        kind, body = _field(message, root, _HEADER_KIND), _field(message, root, _BODY)
        yield 0 if kind is None else _number(message, "<B", kind), start, 8 + length
        after = 0 if body is None else _number(message, "<q", body)
        if after < 0:
            raise ValueError("its parts do not lie within it")
        start += 8 + length + after
    raise ValueError("the mark of its end is not there, as of a file that was copied in part")


def _parts(kind: pa.DataType) -> Iterator[int]:
    """Yield how many buffers each array has that a type is made of; -1 is two, and as many more as the batch says."""
    t = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        yield from _parts(kind.storage_type)
    elif t.is_string_view(kind) or t.is_binary_view(kind):
        yield -1
    elif t.is_string(kind) or t.is_large_string(kind) or t.is_binary(kind) or t.is_large_binary(kind):
        yield 3
    elif t.is_run_end_encoded(kind):
        yield from (*_parts(kind.run_end_type), *_parts(kind.value_type))
    elif t.is_nested(kind):
        one = t.is_struct(kind) or t.is_fixed_size_list(kind) or (t.is_union(kind) and kind.mode == "sparse")
        yield 1 if one else 3 if t.is_list_view(kind) or t.is_large_list_view(kind) else 2
        for i in range(kind.num_fields):
            yield from _parts(kind.field(i).type)
    else:
        yield 0 if t.is_null(kind) else 2


def _size(held: memoryview, start: int, length: int, parts: Sequence[tuple[bool, int]] = ()) -> int:
    """Return what the compressed buffers of one message announce, of a batch those of the parts asked for."""
    if start < 0 or length < 0:
        raise ValueError("its parts do not lie within it")
    skipped = 8 if _number(held, "<I", start) == _MARK else 4  # files of before 2019 have no mark
    message, body = held[start + skipped : start + length], held[start + length :]
    root = _number(message, "<I", 0)
    kind = _field(message, root, _HEADER_KIND)
    batch = _follow(message, root, _HEADER)
    if batch is not None and kind is not None and _number(message, "<B", kind) == _OF_DICTIONARY:
        batch = _follow(message, batch, _DATA)
    if batch is None or _field(message, batch, _COMPRESSION) is None:
        return 0
    vector, total = _follow(message, batch, _BUFFERS), 0
    count = 0 if vector is None else _number(message, "<I", vector)
    views = _follow(message, batch, _OF_VIEWS)
    wanted = list[bool]()
    for asked, size in parts:
        if size < 0 and views is not None:
            views += 8
            size = 2 + _number(held=message, kind="<q", at=views - 4)
        wanted += [asked] * max(0, min(size, count))
    if len(wanted) != count:  # a layout that is not known here: all of it
        wanted = [True] * count
    for i in np.flatnonzero(wanted).tolist():
        assert vector is not None
        at, size = (_number(message, "<q", vector + 4 + 16 * i + part) for part in (0, 8))
        if size >= 8:
            total += max(0, _number(body, "<q", at))  # -1: left as it was
    return total
