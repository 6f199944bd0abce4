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

    Links to folders are followed, to each folder once.

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
    InputError
        Where a link leads to a folder above all of them.

    Examples
    --------
    >>> list(walked("no such folder"))
    []
    """

    def told(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError, ProcessLookupError)):
            raise error

    roots, seen = [folder], set[str]()
    for root in roots:  # links to folders come after all that lies there itself, which is then not read twice
        if root != folder:
            _check_link(root, folder)
        for place, folders, names in os.walk(root, onerror=told):
            here = os.path.realpath(place)
            if here in seen:
                folders.clear()
                continue
            seen.add(here)
            paths = (os.path.join(place, name) for name in sorted(folders) if name[0] not in "._")
            roots += [path for path in paths if os.path.islink(path)]
            yield place, folders, names


def _check_link(link: str, folder: str) -> None:
    target = os.path.realpath(link)
    whole = os.path.realpath(folder)
    if target != whole and os.path.commonpath([target, whole]) == target:
        raise InputError(
            f"{link} is a link to {quoted(target)}, which holds {folder} itself; take it away, or name the files that "
            "you mean.",
            argument="table",
        )
    check_no_log_above(link, target, os.path.exists, _names)


def is_file(path: str, is_table: Callable[[str], bool]) -> bool:
    """Tell whether a name is that of a file; one of a table that leads nowhere must not be left out in silence.

    Nor must a link without an end that may have been one to a folder: its name has no suffix, or is a partition's.

    Parameters
    ----------
    path : str
        The name.
    is_table : callable
        Whether a name is that of a table.

    Raises
    ------
    InputError
        For a table's name that is a link without an end, a pipe or a device, or a link without an end to a folder.

    Examples
    --------
    >>> is_file(os.devnull, lambda path: path.endswith(".csv"))
    False
    """
    if os.path.isfile(path):
        return True
    dead = os.path.islink(path) and not os.path.exists(path)
    name = os.path.basename(path)
    perhaps_folder = dead and ("=" in name or not os.path.splitext(name)[1])
    if os.path.isdir(path) or not (perhaps_folder or is_table(path)):
        return False
    why = f"a link to {quoted(os.readlink(path))}, which is not there" if dead else "no file, but a pipe or a device"
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
        found += [path for path in shown if is_file(path, is_table) and is_table(path)]
        if not below:
            check_no_log(folder, [f"{_METADATA}/{name}" for name in _names(os.path.join(folder, _METADATA))])
            break
    for whole in {os.path.abspath(folder), os.path.realpath(folder)}:
        check_no_log_above(folder, whole, os.path.exists, _names)
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
