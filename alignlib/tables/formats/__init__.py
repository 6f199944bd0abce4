"""Table formats, one file each: a file put into this folder registers the extensions that it can read."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from alignlib._core.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from alignlib.tables.table_file import TableFile

__all__ = ["TableFormat", "known_formats", "register"]


@dataclass(frozen=True)
class TableFormat:
    """A format of table files.

    Parameters
    ----------
    name : str
        What the format is called.
    extensions : tuple of str
        Ends of file names that promise it, in lower case with their dot; each may be followed by ``.gz``.
    open : callable
        ``open(path, data)`` takes the name of a file, for messages, and its content, already decompressed, and returns
        a `TableFile`. It reads no column before ``load`` is called, and raises `InputError` for content that is not of
        this format.
    """

    name: str
    extensions: tuple[str, ...]
    open: Callable[[str, pa.Buffer], TableFile]


_OWN = ("delimited", "feather", "json_document", "json_lines", "numpy_array", "parquet")
_BY_EXTENSION: dict[str, TableFormat] = {}


def register(new: TableFormat) -> TableFormat:
    """Make a format known by its extensions, which must be free, and return it.

    Parameters
    ----------
    new : TableFormat
        The format.

    Raises
    ------
    InputError
        Where an extension is not one, or belongs to another format.
    """
    for extension in new.extensions:
        if not extension.startswith(".") or extension != extension.lower() or extension == ".gz":
            raise InputError(
                f"extensions must begin with a dot, be in lower case and not be .gz; got {extension!r}.",
                argument="extensions",
            )
        if extension in _BY_EXTENSION:
            raise InputError(
                f"extensions of {new.name} include {extension!r}, which is read as {_BY_EXTENSION[extension].name}; "
                "choose another.",
                argument="extensions",
            )
    _BY_EXTENSION.update(dict.fromkeys(new.extensions, new))
    return new


def known_formats() -> Mapping[str, TableFormat]:
    """Return every format by its extensions, after importing the files of this folder.

    Examples
    --------
    >>> list(known_formats())
    ['.csv', '.tsv', '.txt', '.feather', '.arrow', '.jsonl', '.ndjson', '.json', '.npy', '.parquet']
    """
    _import_all()
    return MappingProxyType(_BY_EXTENSION)


@cache
def _import_all() -> None:
    """Import our own formats first, so that none added to the folder can take their extensions."""
    found = [module.name for module in pkgutil.iter_modules(__path__)]
    for name in sorted(found, key=lambda name: name not in _OWN):
        importlib.import_module(f"{__name__}.{name}")
