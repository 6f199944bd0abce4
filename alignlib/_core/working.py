"""Folders to work in that are gone afterwards, those of killed processes included."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from alignlib._core.locks import hold, host_key, is_left
from alignlib._core.stopping import in_the_end, undisturbed

__all__ = ["MARKER", "PREFIX", "is_left_folder", "mark", "naming", "working_folder"]

PREFIX = "alignlib-"
MARKER = ".alignlib-working-folder"


@contextlib.contextmanager
def working_folder(parent: Path | str | None = None) -> Iterator[Path]:
    """Yield an empty folder, with the permissions that the umask leaves, in ``parent`` (or the system's own place).

    It is removed in the end. A process that is killed leaves it behind; the next one in the same place removes it. It
    is known by the marker in it, which names machine and process and is locked while that process lives. A folder
    without a marker, of another user, of another machine or of a living process is never touched.

    Parameters
    ----------
    parent : Path or str, optional
        Where; the system's place for such if None.

    Examples
    --------
    >>> with working_folder() as folder:
    ...     sorted(folder.iterdir())
    []
    >>> folder.exists()
    False
    """
    where = Path(tempfile.gettempdir() if parent is None else parent)
    _clear(where)
    with undisturbed:
        place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
        remove = in_the_end(lambda: shutil.rmtree(place, ignore_errors=True))
    try:
        handle = mark(place)
        try:
            inside = place / "w"
            inside.mkdir()
            yield inside
        finally:
            os.close(handle)
    finally:
        remove()


@contextlib.contextmanager
def naming(made: Path, typed: Path) -> Iterator[None]:
    """Name files of the folder as it was typed where the system refuses one of the working folder.

    Parameters
    ----------
    made : Path
        The folder in the working folder that is to take the other's place.
    typed : Path
        Its name in the end.

    Raises
    ------
    OSError
        As raised within, under the other name.

    Examples
    --------
    >>> with naming(Path("work/made"), Path("out")):
    ...     open("work/made/a.csv")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'out/a.csv'
    """
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        if Path(name).is_relative_to(made.parent):
            inside = Path(name).relative_to(made) if Path(name).is_relative_to(made) else Path()
            raise OSError(error.errno, error.strerror, str(typed / inside)) from None
        raise


def _clear(where: Path) -> None:
    with os.scandir(where) as entries:
        found = [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX)]
    for place in found:
        if is_left_folder(place):
            shutil.rmtree(place, ignore_errors=True)


def mark(place: Path) -> int:
    """Mark a folder as one of this process for as long as the file that is returned stays open.

    Parameters
    ----------
    place : Path
        The folder.

    Returns
    -------
    int
        File descriptor, to be closed when the folder is removed.
    """
    handle = os.open(place / MARKER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    hold(handle)
    os.write(handle, json.dumps({"made by": "alignlib", "host": host_key(), "pid": os.getpid()}).encode())
    return handle


def is_left_folder(place: Path) -> bool:
    """Whether a folder is one that a process of ours on this machine, now ended, has marked.

    Parameters
    ----------
    place : Path
        Any folder.

    Returns
    -------
    bool
        False wherever that cannot be told.
    """
    marker = place / MARKER
    try:
        about = os.stat(place, follow_symlinks=False)
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
            return False
        if marker.is_symlink() or marker.stat().st_size > 1000:
            return False
        said = json.loads(marker.read_bytes())
    except (OSError, ValueError, AttributeError, RecursionError):  # AttributeError: Windows knows no users
        return False
    if not isinstance(said, dict) or (said.get("made by"), said.get("host")) != ("alignlib", host_key()):
        return False
    pid = said.get("pid")
    return type(pid) is int and 0 < pid < 2**31 and is_left(marker, pid)
