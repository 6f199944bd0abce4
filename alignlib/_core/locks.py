"""Who is at work on a file: a lock that the system lets go of however its process ends."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such lock: there nothing is taken for left
    fcntl = None  # type: ignore[assignment]

__all__ = ["alone_in", "beside_others", "hold", "hold_at_once", "host_key", "is_left"]

# A file is taken for left only where nobody holds it *and* the process that made it is gone: whoever has just made a
# file does not hold it yet.


@cache
def host_key() -> str:
    """Return eight digits that stand for this machine: only here does a lock tell whether its process lives."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def hold(handle: int) -> None:
    """Hold an open file until it is closed; elsewhere than on a disk that knows locks, do nothing.

    Parameters
    ----------
    handle : int
        File descriptor.
    """
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # others hold it for as long as they look at it
        except OSError:
            return


def hold_at_once(handle: int) -> bool:
    """Hold an open file until it is closed, or return False where another holds it.

    Parameters
    ----------
    handle : int
        File descriptor.

    Returns
    -------
    bool
        True also where the disk knows no locks.
    """
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a disk that knows no locks
            return True
    return True


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process is in here, and keep others waiting: what is read is what is then replaced.

    The folder itself is held, for a file that is replaced takes its lock with it.

    Parameters
    ----------
    folder : Path
        It must exist.
    """
    handle = None if fcntl is None else os.open(folder, os.O_RDONLY)
    try:
        if handle is not None:
            hold(handle)
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def beside_others(folder: Path) -> Iterator[Callable[[], bool]]:
    """Make a folder that several processes may work in at once, and yield what tells whether no other is left in it.

    From then on nobody else comes in until the block ends, so that the last may clear the folder away.

    Parameters
    ----------
    folder : Path
        It is made, with those above it, where it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle: int | None = None
    while fcntl is not None and handle is None:
        with contextlib.suppress(FileNotFoundError):
            handle = _entered(folder)
        folder.mkdir(parents=True, exist_ok=True)  # where it has been cleared away just now
    try:
        yield lambda: handle is None or hold_at_once(handle)
    except BaseException:
        if handle is None or hold_at_once(handle):  # what failed before it began leaves no folder
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    finally:
        if handle is not None:
            os.close(handle)


def _entered(folder: Path) -> int | None:
    """Hold a folder together with others, once whoever clears it is done; None where it is then another."""
    handle = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # a disk that knows no locks
        fcntl.flock(handle, fcntl.LOCK_SH)
    try:
        if os.path.samestat(os.fstat(handle), folder.stat()):
            return handle
    except FileNotFoundError:
        pass
    os.close(handle)
    return None


def is_left(path: str | os.PathLike[str], pid: int) -> bool:
    """Whether a file made by the process ``pid`` of this machine is one that its process, now ended, left.

    A link, another user's file and whatever cannot be looked at are not.

    Parameters
    ----------
    path : str or Path
        A file of a name that holds a process id.
    pid : int
        That process.

    Returns
    -------
    bool
        True only where nobody can be using it.
    """
    if fcntl is None or _lives(pid):
        return False
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
