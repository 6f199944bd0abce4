"""What lies in a folder: no table of it is left out in silence, and none counts of which a log says that it is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from alignlib._core.errors import InputError, quoted
from alignlib.tables.data_files import FolderError

__all__ = ["check_no_log", "check_no_log_above", "check_packed", "files_in", "is_file", "walked"]

_LOGS = {"_delta_log": "Delta Lake", ".hoodie": "Apache Hudi", ".hoodie_partition_metadata": "Apache Hudi"}
_PACKED = (".bz2", ".xz", ".lzma", ".zst", ".lz4", ".lz", ".br", ".z", ".zip", ".7z", ".rar")  # which are not read
_METADATA, _OF_ICEBERG = "metadata", ".metadata.json"


def walked(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield a folder and those below it; one that is gone by then is passed over, one that cannot be read is not.

    Parameters
    ----------
    folder : str
        The folder.

    Returns
    -------
    iterator
        As of `os.walk`.

    Raises
    ------
    OSError
        Where a folder cannot be read.

    Examples
    --------
    >>> list(walked("no such folder"))
    []
    """

    def told(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError, ProcessLookupError)):
            raise error

    return os.walk(folder, onerror=told)


def is_file(path: str, is_table: Callable[[str], bool]) -> bool:
    """Tell whether a name is that of a file; one of a table that leads nowhere must not be left out in silence.

    Parameters
    ----------
    path : str
        The name.
    is_table : callable
        Whether a name is that of a table.

    Raises
    ------
    InputError
        For a table's name that is a link without an end, a pipe or a device.

    Examples
    --------
    >>> is_file(os.devnull, lambda path: path.endswith(".csv"))
    False
    """
    if os.path.isfile(path):
        return True
    if os.path.isdir(path) or not is_table(path):
        return False
    if os.path.islink(path) and not os.path.exists(path):
        why = f"a link to {quoted(os.readlink(path))}, which is not there"
    else:
        why = "no file, but a pipe or a device"
    raise InputError(f"{path} is {why}; fetch what it stands for, or take it away.", argument="table")


def files_in(folder: str, is_table: Callable[[str], bool], *, below: bool = True) -> list[str]:
    """Return the tables in a folder of this machine, but those whose names begin with a dot or an underscore.

    Parameters
    ----------
    folder : str
        The folder.
    is_table : callable
        Whether a name is that of a table.
    below : bool
        Whether those of the folders below it are of it, too.

    Raises
    ------
    FolderError
        Where a log says which of the files count.
    InputError
        For a table's name that leads nowhere.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a.csv", ".b.csv", "notes.md"):
    ...         open(os.path.join(folder, name), "w").close()
    ...     [os.path.basename(path) for path in files_in(folder, lambda path: path.endswith(".csv"))]
    ['a.csv']
    """
    found = list[str]()
    for place, folders, names in walked(folder):
        inside = os.path.relpath(place, folder)
        check_no_log(folder, [os.path.normpath(os.path.join(inside, name)) for name in (*folders, *names)])
        hidden = any(piece[0] in "._" for piece in inside.split(os.sep) if piece != ".")
        shown = [] if hidden else [os.path.join(place, name) for name in names if name[0] not in "._"]
        for path in shown:
            check_packed(path, is_table)
        found += [path for path in shown if is_table(path) and is_file(path, is_table)]
        if not below:
            check_no_log(folder, [f"{_METADATA}/{name}" for name in _names(os.path.join(folder, _METADATA))])
            break
    check_no_log_above(folder, os.path.abspath(folder), os.path.exists, _names)
    return found


def check_packed(path: str, is_table: Callable[[str], bool]) -> None:
    """Refuse a table that is packed in a way that is not read: among others its rows would be missing.

    Parameters
    ----------
    path : str
        A name.
    is_table : callable
        Whether a name is that of a table.

    Raises
    ------
    FolderError
        For that of a table behind which stands how it is packed.

    Examples
    --------
    >>> check_packed("a.csv.gz", lambda path: path.endswith(".csv"))
    """
    stem, suffix = os.path.splitext(path)
    if suffix.lower() in _PACKED and is_table(stem):
        raise FolderError(
            f"{path} is a table packed in a way that is not read here; unpack it, pack it with gzip (.gz), or leave it "
            "out.",
            argument="path",
        )


def _names(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def check_no_log(location: str, paths: Iterable[str]) -> None:
    """Refuse what keeps a log of which files are its rows: others, taken out since, lie beside them.

    Parameters
    ----------
    location : str
        What was asked for.
    paths : iterable of str
        What lies there and below.

    Raises
    ------
    FolderError
        Where a log of Delta Lake, Iceberg or Hudi is among them.

    Examples
    --------
    >>> check_no_log("runs", ["a.parquet", "metadata/run.json"])
    """
    for path in paths:
        pieces = path.replace(os.sep, "/").split("/")
        for piece in pieces:
            if piece in _LOGS:
                raise _kept_by(location, _LOGS[piece])
        if _METADATA in pieces[-2:-1] and pieces[-1].endswith(_OF_ICEBERG):
            raise _kept_by(location, "Apache Iceberg")


def check_no_log_above(
    location: str, folder: str, exists: Callable[[str], bool], names: Callable[[str], Iterable[str]]
) -> None:
    """Refuse a folder within such a table: of a partition (``day=1``), or of its data.

    Parameters
    ----------
    location : str
        What was asked for.
    folder : str
        Its whole path.
    exists : callable
        Whether something lies at a path.
    names : callable
        What lies in a folder, if it is one.

    Raises
    ------
    FolderError
        Where a log lies beside one of the folders that it lies in.

    Examples
    --------
    >>> check_no_log_above("t/day=1", "t/day=1", lambda path: False, lambda folder: [])
    """
    while os.path.dirname(folder) not in ("", folder):
        folder, inside = os.path.split(folder)
        if not ("=" in inside or inside == "data"):
            return
        check_no_log(location, [name for name in _LOGS if exists(f"{folder}/{name}")])
        check_no_log(location, [f"{_METADATA}/{name}" for name in names(f"{folder}/{_METADATA}")])


def _kept_by(location: str, kind: str) -> FolderError:
    return FolderError(
        f"{location} is, holds or lies in a table of {kind}, whose log says which of the files there count; write it "
        f"to one Parquet file with a reader of {kind}, or name the files that you mean.",
        argument="path",
    )
