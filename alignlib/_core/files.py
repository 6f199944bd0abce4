"""Files that appear whole or not at all, whatever happens while they are written, and replace nothing unasked.

One rule holds for all commands: a file that exists is replaced only where that was asked for (``force``). A report's
folder is the one refinement of it: there even ``force`` replaces only what a manifest names (`alignbook.manifest`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from alignlib._core.errors import InputError
from alignlib._core.locks import hold, host_key, is_left

__all__ = ["PASSING", "check_new", "check_place", "whole_file", "write_whole"]

# What a file is called until it is whole; nobody else names files like this, so what is left of one is known as ours.
PASSING = r"\.{name}\.alignlib-(?P<host>[0-9a-f]{{8}})-(?P<pid>\d{{1,10}})-[0-9a-f]{{8}}"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def check_new(path: Path | str, force: bool, read: Sequence[Path] = ()) -> None:
    """Refuse, before anything runs, a file that exists, unless it may be replaced.

    ``read`` are files that the answer is made of: none of them may be replaced, by whatever way it is reached.

    Parameters
    ----------
    path : Path or str
        What is about to be written.
    force : bool
        Whether a file in its place may be replaced.
    read : sequence of Path
        What the answer is made of, which is never replaced, by whatever way it is reached.

    Raises
    ------
    InputError
        Where ``path`` exists without ``force``, or no file can be written there.
    """
    path = Path(path)
    check_place(path)
    for source in read:
        if path.exists() and source.exists() and path.samefile(source):
            raise InputError(f"{path} is {source}, which is read; choose another output.", argument="output")
    if os.path.lexists(path) and not force:
        raise InputError(
            f"{path} exists; choose another output, or pass force=True to replace it.",
            argument="force",
        )


def check_place(path: Path | str, *, folder: bool = False, parents: bool = False) -> None:
    """Refuse, before anything runs, a place where no file can be written; found by writing one.

    Permissions alone do not tell: a disk may be full or read-only, a name too long, a folder one of the system's.

    Parameters
    ----------
    path : path
        The file, or the folder, that is to be written; what is there stays as it is.
    folder : bool
        Whether it is a folder, which may exist.
    parents : bool
        Whether the folders above it are made where there are none.

    Raises
    ------
    InputError
        With the path and what the system says of it.
    """
    path = Path(path)
    what = f"choose another {'folder' if folder else 'output'}."
    try:
        found: os.stat_result | None = path.stat()
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ENOTDIR:
            raise InputError(f"The folder of {path} does not exist; make it first.", argument="output") from None
        raise _no_place(path, error, what) from None
    if found is not None and not folder and stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is a folder; {what}", argument="output")
    if found is not None and folder and not stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is a file; {what}", argument="output")
    if found is not None and not folder and not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is no regular file; {what}", argument="output")
    target = Path(os.path.realpath(path))
    parent = target if folder and found is not None else target.parent
    while parents and not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise InputError(f"The folder of {path} does not exist; make it first.", argument="output")
    with contextlib.suppress(OSError):  # of a folder that may be written and not listed
        _clear(parent, target.name)  # a process that was stopped between two steps of the following may have left it
    probe = parent / _passing_name(target.name)
    try:
        try:
            handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(handle, b" ")
            finally:
                os.close(handle)
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
    except OSError as error:
        raise _no_place(path, error, what) from None


def _no_place(path: Path, error: OSError | ValueError, what: str) -> InputError:
    known = {
        errno.EACCES: "its folder is closed",
        errno.EPERM: "its folder is closed",
        errno.ENOENT: "its folder takes no files",  # /proc, for one
        errno.EROFS: "its disk is read-only",
        errno.ELOOP: "a link leads back to itself",
        errno.ENAMETOOLONG: "its name is too long",
        errno.ENOSPC: "its disk is full",
        errno.EDQUOT: "its disk is full for you",
    }
    said = getattr(error, "strerror", None) or "no name of a file"
    reason = known.get(getattr(error, "errno", 0) or 0, said[:1].lower() + said[1:])
    return InputError(f"{path} cannot be written, {reason}; {what}", argument="output")


def write_whole(path: Path | str, data: str | bytes, *, replace: bool = True) -> None:
    r"""Write text (UTF-8, line ends as they are) or bytes to ``path``, whole or not at all.

    Parameters
    ----------
    path : Path or str
        Where to.
    data : str or bytes
        All that the file will hold.
    replace : bool
        Whether a file in its place is replaced; False lets it stand and raises.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "a.txt"), "α\n")
    ...     Path(folder, "a.txt").read_bytes()
    b'\xce\xb1\n'
    """
    with whole_file(path, replace=replace) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def whole_file(
    path: Path | str, *, folder: Path | None = None, durable: bool = False, replace: bool = True
) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of ``path`` once the block has ended without an error.

    A new file has the permissions that the umask leaves, a replaced one keeps its own; a link is followed. What a
    killed process left of the same file is removed.

    Parameters
    ----------
    path : path
        The file to write.
    folder : path, optional
        Where the passing file lies (on the same disk), by default beside ``path``; `PASSING` is its name.
    durable : bool
        Whether the content must be on the disk before the name is.
    replace : bool
        Whether a file of that name, also one that appears meanwhile, is replaced.

    Raises
    ------
    OSError
        With the name of ``path``, not of the passing file.
    """
    target = Path(os.path.realpath(path))  # Path.resolve ends in an error of its own where a link leads back to itself
    place = folder or target.parent
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a folder")
        if os.path.lexists(target) and not target.is_file():  # a device, for one, would be gone
            raise OSError(errno.EINVAL, "Is no regular file")
        _clear(place, target.name)
        part = place / _passing_name(target.name)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise _named(error, path) from None
    try:
        try:
            with os.fdopen(handle, "wb") as file:
                hold(handle)
                yield file
                file.flush()
                if durable:
                    os.fsync(handle)
        except OSError as error:  # here or in the block, where nothing says which file is too large for the disk
            raise (_named(error, path) if error.errno in _NO_ROOM and error.filename is None else error) from None
        try:
            if replace and target.is_file():
                os.chmod(part, stat.S_IMODE(target.stat().st_mode))
            (os.replace if replace else _link)(part, target)
        except OSError as error:
            raise _named(error, path) from None
    finally:
        part.unlink(missing_ok=True)


def _named(error: OSError, path: Path | str) -> OSError:
    return type(error)(error.errno, error.strerror, str(path))


def _link(part: Path, target: Path) -> None:
    """Give a file its name where nothing has that name yet."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a disk without links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "File exists") from None
        os.rename(part, target)


def _passing_name(name: str) -> str:
    return f".{_short(name)}.alignlib-{host_key()}-{os.getpid()}-{os.urandom(4).hex()}"


def _short(name: str) -> str:
    """The beginning of a name, so that more fits behind it: a name may have 255 bytes."""
    return os.fsencode(name)[:120].decode("utf-8", "ignore")


def _clear(place: Path, name: str) -> None:
    """Remove what killed processes of this machine left of a file."""
    begins = f".{_short(name)}.alignlib-"
    with os.scandir(place) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(begins)]
    for path in found:
        match = re.fullmatch(PASSING.format(name=re.escape(_short(name))), os.path.basename(path))
        if match is not None and match["host"] == host_key() and is_left(path, int(match["pid"])):
            with contextlib.suppress(OSError):
                os.unlink(path)
