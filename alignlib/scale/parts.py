"""The parts of a table: files of a folder, of a pattern or at an address, as they were when they were listed."""

from __future__ import annotations

import errno
import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from alignlib._core.checks import require
from alignlib._core.errors import InputError
from alignlib._core.names import as_address, within_a_file
from alignlib._core.safe_text import hide_password, without_password
from alignlib.tables import (
    FolderError,
    check_no_log,
    check_no_log_above,
    check_packed,
    data_files,
    files_in,
    is_file,
    is_table_name,
    row_groups,
    walked,
    wrong_shards,
)

__all__ = ["Part", "from_anywhere", "is_many", "list_parts", "opened"]

_LARGE = 1 << 27  # bytes of a Parquet file that are worth a task of their own
_URL = re.compile(r"^(?:[a-z][a-z0-9+.-]+::)*[a-z][a-z0-9+.-]+:/+(?=.)", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """A file as it was when it was listed.

    Attributes
    ----------
    path : str
        Where it lies.
    size : int
        In bytes.
    changed : str
        When it was last changed, or what else tells its versions apart.
    groups : (int, int), optional
        The first of its row groups and the one after the last; all rows if None.
    """

    path: str
    size: int
    changed: str
    groups: tuple[int, int] | None = None

    def slices(self) -> list[Part]:
        """Return a large Parquet file as several, each with some of its row groups: it need not be read by one."""
        if self.size < 2 * _LARGE:
            return [self]
        with opened(self) as source:
            rows = row_groups(self.path, source)
        number = min(self.size // _LARGE, len(rows))
        if number < 2:
            return [self]
        ends = np.cumsum(rows)
        cuts = np.unique(np.searchsorted(ends, ends[-1] * np.arange(1, number) / number, side="right"))
        edges = [0, *(cut for cut in cuts.tolist() if 0 < cut < len(rows)), len(rows)]
        return [replace(self, groups=pair) for pair in itertools.pairwise(edges)]

    @property
    def url(self) -> bool:
        """Whether fsspec opens it."""
        return bool(_URL.match(self.path))

    def check_unchanged(self) -> None:
        """Refuse what is no longer the file that was listed.

        Raises
        ------
        InputError
            If it is not.
        """
        now = replace(_stat(self.path), groups=self.groups)
        if now != self:
            how = f"size {self.size}, now {now.size}" if now.size != self.size else "written anew, of the same size"
            raise InputError(
                f"{self.path} changed while it was read ({how}); wait until it is written, "
                "then give the same command: other parts that were done are kept."
            )


def is_many(location: str) -> bool:
    """Tell whether a location is a folder, a pattern or an address, not a single file.

    Parameters
    ----------
    location : str
        A path, a pattern or an address.

    Examples
    --------
    >>> is_many("runs/*.parquet"), is_many("s3://bucket/runs"), is_many("rewards.csv")
    (True, True, False)
    """
    hide_password(location)  # which messages name
    if _URL.match(location):
        return True
    return not os.path.isfile(location) and (os.path.isdir(location) or glob.has_magic(location))


def from_anywhere(location: str) -> str:
    """Return a location as processes with another working folder find it.

    Parameters
    ----------
    location : str
        A path, a pattern or an address.

    Examples
    --------
    >>> from_anywhere("s3://bucket/runs"), os.path.isabs(from_anywhere("runs"))
    ('s3://bucket/runs', True)
    """
    return location if _URL.match(location) else os.path.abspath(location)


def list_parts(location: str) -> list[Part]:
    """List the tables of a folder and those below it, of a pattern, or of an address that fsspec knows, by name.

    Parameters
    ----------
    location : str
        A folder, a pattern, a file, or an address.

    Returns
    -------
    list of Part
        In the order of their names.

    Raises
    ------
    InputError
        Where there are none, a folder lacks some of them, or fsspec is needed and missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.csv", "a.csv"):
    ...         _ = Path(folder, name).write_text("reward\\n1\\n", encoding="utf-8")
    ...     [Path(part.path).name for part in list_parts(folder)]
    ['a.csv', 'b.csv']
    """
    paths = _listed(location) if _URL.match(location) else _on_this_machine(location)
    if not _URL.match(location):  # what was typed may be an address, the name of a file in a folder is none
        paths = [f".{os.sep}{path}" if _URL.match(path) else path for path in paths]
    paths = [path for path in paths if _is_meant(path)]
    picked = glob.has_magic(location) and not os.path.isdir(location)
    alone = len(paths) == 1 and location.endswith(paths[0] if not _URL.match(location) else os.path.basename(paths[0]))
    tables = paths if alone else data_files(paths, picked=picked, content=_content)
    query = "?" in location and bool(_URL.match(location))
    require(
        bool(tables) or not query,
        f"{location} has a query (?), or a pattern that fits nothing: the ending of an address tells which kind of "
        "table it holds; fetch it, and name the file.",
        "table",
    )
    require(bool(tables), f"{location} holds no table; name a folder, a pattern or a file of them.", "table")
    if not (picked or alone) and (said := wrong_shards(tables)):
        raise FolderError(
            f"{said}; fetch it whole, or name the files that you mean by a pattern, such as {_as_pattern(tables[0])}.",
            argument="table",
        )
    return [_stat(path) for path in tables]


def _on_this_machine(location: str) -> list[str]:
    """Return the files of a folder or of a pattern, or the one that is neither."""
    if os.path.isdir(location):
        return files_in(location, is_table_name)
    if glob.has_magic(location) and not os.path.isfile(location):
        return [path for path in _matching(location) if is_file(path, _is_meant)]
    return [location]


def _is_meant(path: str) -> bool:
    """Whether a file is called like a table; one that is packed in a way that is not read is refused."""
    check_packed(path, is_table_name)
    return is_table_name(path)


def _as_pattern(path: str) -> str:
    return os.path.join(os.path.dirname(path), f"*{os.path.splitext(path)[1]}")


def _content(path: str) -> bytes | None:
    """Return what stands in the description of a folder, None where there is none."""
    try:
        if not _URL.match(path):
            return Path(path).read_bytes() if os.path.isfile(path) else None
        fs, inside = _fsspec(path)
        with _reached(path):
            return bytes(fs.cat_file(inside)) if fs.isfile(inside) else None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check it.", argument="table") from error


def _open_up(folders: Iterable[str], root: str, piece: str) -> None:
    """Refuse links without an end, and closed folders, where a pattern looks: what lay there would be left out."""
    for path in folders:
        if _hidden(path, ".") > _hidden(root, "."):
            continue
        if os.path.islink(path):
            is_file(path, lambda _: False)
        wanted = os.X_OK | (os.R_OK if glob.has_magic(piece) else 0)
        if os.path.isdir(path) and not os.access(path, wanted):  # which `glob` passes over
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def _matching(pattern: str) -> list[str]:
    """Return what a pattern means, what lies in a folder once: links to it may lead there on several ways, or round."""
    pieces = Path(pattern).parts
    first = next(k for k, piece in enumerate(pieces) if glob.has_magic(piece))
    if "**" not in pieces:
        for k in range(first, len(pieces)):
            _open_up(glob.glob(str(Path(*pieces[:k]))), str(Path(*pieces[:k])), pieces[k])
        return _once(glob.glob(pattern))
    rest = [piece if piece == "**" else re.sub(r"\*\*+", "*", piece) for piece in pieces[first:]]
    root = str(Path(*pieces[:first]))
    seen = any(piece.startswith(".") for piece in rest)  # hidden names are asked for
    found = [root]
    for piece in rest:
        _open_up(found, root, piece)
        if piece == "**":
            below = [one for folder in found for one in walked(folder)]
            _open_up((os.path.join(one, name) for one, _, names in below for name in names), root, piece)
            found = [one for one, _, _ in below]
        else:
            each = (glob.glob(os.path.join(glob.escape(one), piece), include_hidden=seen) for one in found)
            found = [path for some in each for path in some]
        found = _once(found)  # ** twice leads to one folder on several ways
    return [
        str(path) for path in map(Path, found) if seen or not any(p[0] == "." for p in path.relative_to(root).parts)
    ]


def _once(paths: list[str]) -> list[str]:
    """Leave out what a link to its folder leads to again."""
    found = dict[str, str]()
    for path in sorted(paths, key=lambda path: os.path.islink(os.path.dirname(path))):
        folder, name = os.path.split(path)
        found.setdefault(os.path.join(os.path.realpath(folder), name), path)
    return list(found.values())


def _stat(path: str) -> Part:
    if _URL.match(path):
        fs, inside = _fsspec(path)
        with _reached(path):
            info: dict[str, Any] = fs.info(inside)
        times = (info.get(name) for name in ("mtime", "LastModified", "Last-Modified", "updated", "ETag", "created"))
        return Part(path, int(info.get("size") or 0), str(next((one for one in times if one), "")))
    try:
        found = os.stat(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check it.", argument="table") from error
    return Part(path, found.st_size, str(found.st_mtime_ns))


def _fsspec(path: str) -> Any:
    hide_password(path)
    try:
        import fsspec
    except ImportError as error:
        raise InputError(
            f"{path} is an address, which needs fsspec: install the extra, with `pip install '.[scale]'`.",
            argument="table",
        ) from error
    if said := within_a_file(as_address(path)):
        raise InputError(said, argument="table")
    kind, sign, rest = path.partition("://")
    try:
        return fsspec.core.url_to_fs(f"{kind.lower()}{sign}{rest}")
    except MemoryError:
        raise
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{path} is of a kind that fsspec cannot open ({error!s:.200}); install the package that this names.",
            argument="table",
        ) from error
    except Exception as error:  # kinds of addresses raise whatever their own libraries do
        why = without_password(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        raise InputError(f"{path} cannot be opened ({why:.200}); check the address.", argument="table") from error


def _listed(location: str) -> list[str]:
    fs, inside = _fsspec(location)
    from fsspec.implementations.local import LocalFileSystem  # there, where `_fsspec` found the package

    if isinstance(fs, LocalFileSystem):  # its links and pipes are told as without file://
        here = _on_this_machine(inside)
        return [
            str(fs.unstrip_protocol(path)) for path in here if not os.path.lexists(path) or is_file(path, _is_meant)
        ]
    picked = False
    with _reached(location):
        if glob.has_magic(inside) and not fs.isfile(inside):
            found, picked = fs.glob(inside), True
        elif fs.isdir(inside):
            found = fs.find(inside)
            check_no_log_above(location, inside.rstrip("/"), fs.exists, partial(_names, fs))
        else:
            found = [inside]
    check_no_log(location, found)
    hiding = "." if picked else "._"  # as in folders and patterns of this machine
    return [str(fs.unstrip_protocol(path)) for path in found if _hidden(path, hiding) <= _hidden(inside, hiding)]


def _hidden(path: str, beginnings: str) -> int:
    """Count the pieces of a path that begin so."""
    return sum(piece[:1] in tuple(beginnings) for piece in path.split("/"))


def _names(fs: Any, folder: str) -> list[str]:
    return [str(path).rpartition("/")[2] for path in fs.ls(folder, detail=False)] if fs.isdir(folder) else []


@contextmanager
def opened(part: Part) -> Iterator[IO[bytes] | None]:
    """Open a part where fsspec does; else the reader opens it by name.

    Parameters
    ----------
    part : Part
        The file.

    Yields
    ------
    file or None
        None where the reader opens it.

    Raises
    ------
    InputError
        Where an address cannot be opened.
    """
    if not part.url:
        yield None
        return
    fs, inside = _fsspec(part.path)
    with _reached(part.path), fs.open(inside, "rb") as file:
        yield file


@contextmanager
def _reached(path: str) -> Iterator[None]:
    """Say in a sentence what goes wrong with an address; every kind of file system raises errors of its own."""
    try:
        yield
    except (InputError, GeneratorExit, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"Nothing is found at {path}; check the address and the network.", argument="table") from error
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{path} cannot be read ({said:.200}); check the address and the network, then give the same command: "
            "parts that were done are kept.",
            argument="table",
        ) from error
