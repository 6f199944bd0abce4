"""Prompts to sample from: texts or lists of chat messages, from CSV, JSON lines, Parquet or plain text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from alignlib._core.checks import require
from alignlib._core.errors import InputError, quoted
from alignlib._core.same import SameFields
from alignlib.tables import (
    TableFile,
    as_text,
    check_file,
    identifiers,
    is_list,
    load,
    not_utf8,
    open_table_file,
    plain_cells,
    require_column,
)

__all__ = ["Message", "Prompt", "Prompts", "as_prompts", "prompt_column", "read_prompts"]

Message: TypeAlias = dict[str, object]
Prompt: TypeAlias = str | list[Message]


@dataclass(frozen=True, eq=False)
class Prompts(SameFields):
    """Prompts with their names, in the order of the file.

    Attributes
    ----------
    ids : Array (prompts,)
        Integers or text, as an Arrow array.
    prompts : tuple of prompts
        Texts, or lists of messages.

    Examples
    --------
    >>> prompts = as_prompts(["Why?", "Who?", "When?"])
    >>> len(prompts), prompts.take([2]).prompts
    (3, ('When?',))
    """

    ids: pa.Array
    prompts: tuple[Prompt, ...]

    def __len__(self) -> int:
        """Count the prompts."""
        return len(self.prompts)

    def take(self, rows: Sequence[int]) -> Prompts:
        """Return some of the prompts.

        Parameters
        ----------
        rows : sequence of int
            Their places, in the order wanted.
        """
        return Prompts(self.ids.take(pa.array(rows, pa.int64())), tuple(self.prompts[row] for row in rows))

    def fingerprint(self) -> str:
        """Return a hash of names and contents."""
        content = json.dumps([self.ids.to_pylist(), self.prompts], ensure_ascii=False).encode()
        return hashlib.sha256(content).hexdigest()[:16]


def read_prompts(path: str | Path, column: str = "prompt", id_column: str | None = None) -> Prompts:
    """Read prompts from ``.csv``, ``.tsv``, ``.jsonl``, ``.parquet`` (also with ``.gz``), or ``.txt``, one per line.

    Parameters
    ----------
    path : str or Path
        The file.
    column : str
        Column with the prompts: texts, or lists of messages ``{"role": …, "content": …}``. Not used for ``.txt``.
    id_column : str, optional
        Column that names each prompt; ``prompt_id`` where the file has one, else prompts are numbered from 0.

    Raises
    ------
    InputError
        Where a prompt is empty, missing or no prompt, or a name is missing or comes twice.
        Where the file or the column is not there, or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "prompts.txt")
    ...     _ = path.write_text("Why?\\nWho?\\n", encoding="utf-8")
    ...     read_prompts(path).prompts
    ('Why?', 'Who?')
    """
    if Path(path).suffix.lower() == ".txt":
        require(
            id_column is None,
            f"id_column has no say: {path} is plain text, a prompt a line; leave it out, or give a table.",
            "id_column",
        )
        return as_prompts(_lines(Path(path)), str(path))
    file = open_table_file(path)
    require_column(file, column, "column")
    if id_column is None and "prompt_id" in file.names:
        id_column = "prompt_id"
    names = [column] if id_column is None else [column, require_column(file, id_column, "id_column")]
    table = load(file, names, "at least one prompt")
    ids = None if id_column is None else _identifiers(file, id_column, table[id_column])
    return as_prompts(prompt_column(file, column, table[column]), file.path, ids)


def as_prompts(prompts: Sequence[Prompt | None], source: str = "prompts", ids: pa.Array | None = None) -> Prompts:
    """Check prompts and number them, unless they have names.

    Parameters
    ----------
    prompts : sequence of text or of lists of messages
        All of one kind.
    source : str
        What messages call them.
    ids : Arrow array, optional
        A name for each, none twice.

    Raises
    ------
    InputError
        Where a prompt is empty, missing or no prompt, or a name is missing or comes twice.

    Examples
    --------
    >>> as_prompts(["Why?", "Who?"]).ids.to_pylist()
    [0, 1]
    """
    if not prompts:
        raise InputError(f"{source} holds no prompts; give at least one.")
    for row, prompt in enumerate(prompts):
        if not prompt or (isinstance(prompt, str) and not prompt.strip()):
            raise InputError(
                f"Prompt {row + 1} of {source} is empty; remove it, or write the text that the model should continue.",
                rows=[row],
            )
        if not isinstance(prompt, str):
            _check_messages(prompt, row, source)
    kinds = [isinstance(prompt, str) for prompt in prompts]
    if any(kinds) and not all(kinds):
        row = kinds.index(not kinds[0])
        raise InputError(
            f"{source} mixes texts and lists of messages, the first change at prompt {row + 1}; write all in one way.",
            rows=[row],
        )
    if ids is None:
        ids = pa.array(range(len(prompts)), pa.int64())
    values = ids.to_pylist()
    if None in values:
        row = values.index(None)
        raise InputError(f"Prompt {row + 1} of {source} has no name; fill in its prompt_id.", rows=[row])
    first: dict[int | str, int] = {}
    for row, value in enumerate(values):
        if first.setdefault(value, row) != row:
            raise InputError(
                f"Prompts {first[value] + 1} and {row + 1} of {source} have the same prompt_id {value!r}; name each "
                "prompt once, or leave the column out to have them numbered.",
                rows=[first[value], row],
            )
    return Prompts(ids, tuple(prompt for prompt in prompts if prompt))


def prompt_column(file: TableFile, name: str, column: pa.ChunkedArray) -> list[Prompt | None]:
    """Return a column of texts, or of lists of messages, as Python values.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column, for messages.
    column : ChunkedArray
        Its cells.

    Raises
    ------
    InputError
        If a cell is neither text nor a list of messages.
    """
    column = plain_cells(file, name, column)
    kind = column.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    messages = is_list(kind) and pa.types.is_struct(kind.value_type)
    if not text and not messages:
        raise InputError(
            f"column {name!r} of {file.path} holds {kind} values; give texts, or lists of messages with role and "
            "content.",
            column=name,
        )
    if text:
        texts: list[Prompt | None] = column.to_pylist()
        return texts
    # A key that only some messages have comes back as None in the others.
    return [
        None if chat is None else [{key: part for key, part in message.items() if part is not None} for message in chat]
        for chat in column.to_pylist()
    ]


def _identifiers(file: TableFile, name: str, column: pa.ChunkedArray) -> pa.Array:
    values = identifiers(file, name, column)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _check_messages(prompt: list[Message], row: int, source: str) -> None:
    for message in prompt:
        if not isinstance(message.get("role"), str) or not isinstance(message.get("content"), str):
            raise InputError(
                f"Prompt {row + 1} of {source} has the message {quoted(message)}; each message needs a role and a "
                "content, both text.",
                rows=[row],
            )


def _lines(path: Path) -> list[str]:
    check_file(path)
    try:
        text = as_text(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise not_utf8(str(path)) from error
    return text.removesuffix("\n").split("\n") if text else []
