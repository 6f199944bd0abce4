"""Outputs that one process at a time makes: two would each find the other's files in the place of its own."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from alignlib._core.errors import InputError
from alignlib._core.locks import hold_at_once

__all__ = ["claimed"]

_CLAIM = ".{name}.alignlib-claim"


@contextlib.contextmanager
def claimed(*paths: Path) -> Iterator[None]:
    """Keep other processes from making the same outputs until the block ends; taken before the work, all or none.

    A file beside each output is held and then removed. What a killed process left of it holds nobody up. Where no such
    file can be made, or the system knows no locks, nothing is claimed: what is wrong there is said when it is written.

    Parameters
    ----------
    *paths : Path
        Files or folders that are to be made.

    Raises
    ------
    InputError
        Where another process is at work on one of them.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with claimed(Path(folder, "a.csv")):
    ...         inside = os.listdir(folder)
    ...     inside, os.listdir(folder)
    (['.a.csv.alignlib-claim'], [])
    """
    with contextlib.ExitStack() as held:
        for target in sorted({os.path.realpath(path) for path in paths}):
            held.enter_context(_one(Path(target)))
        yield


@contextlib.contextmanager
def _one(target: Path) -> Iterator[None]:
    claim = target.parent / _CLAIM.format(name=_short(target.name))
    handle = _taken(claim, target)
    try:
        yield
    finally:
        if handle is not None:
            claim.unlink(missing_ok=True)
            os.close(handle)


def _short(name: str) -> str:
    """A name that leaves room behind it, and is no other's: what is cut off, or is no text, is told by a digest."""
    whole = os.fsencode(name)
    begin = whole[:100].decode("utf-8", "ignore")
    return begin if begin.encode() == whole else f"{begin}-{hashlib.sha256(whole).hexdigest()[:16]}"


def _taken(claim: Path, target: Path) -> int | None:
    """Return the handle of a file that this process holds, None where there is no such lock."""
    while os.name != "nt":
        try:
            handle = os.open(claim, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError:
            return None
        if not hold_at_once(handle):
            os.close(handle)
            raise InputError(
                f"Another process is at work on {target}; wait for it, or choose another output.", argument="output"
            )
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), claim.stat()):
                return handle
        os.close(handle)  # whoever had it has just removed it
    return None
