"""What a complete build leaves so that the next one can see at once that nothing has changed.

The certificate is one digest of where things stood: path, size, times and inode of every file that a build may read
and of every file that it leaves, Python, and what is installed. Where the digest is the same, so are the contents, and
there is nothing to do. Where it differs, nothing is known (a file may only have been touched), and the build compares
contents. So that it costs little, this module imports only what Python brings and the two empty doors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import alignbook
import alignlib._core

__all__ = ["STARTED", "Before", "page_of_unchanged"]

STARTED = time.time()
# What a build leaves and the next one takes up. Of a release, a lock or another's working folder nothing depends.
_LEFT = ("_build", "book", "cache", "claims.json", "bad_input.json", "pages.sha256")
# A file changed twice between two ticks of the file system's clock looks unchanged; a tick is two seconds at most.
_TICK = 2.0


class Before:
    """How things stood before a build; an earlier build is no longer vouched for.

    Parameters
    ----------
    root : Path
        The project, which no other build may be changing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._inputs: str | None = None
        _place(root).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            inputs, _ = _standing(_inputs(root))
            # What was changed since this process began may have been read before or after. The environment is set up
            # before it begins, in a new clone just before.
            _, newest = _standing(_ours(root))
            self._inputs = inputs if newest < STARTED - _TICK else None

    def seal(self) -> None:
        """Leave the certificate of a build that is complete, unless a file was changed while or just before it ran."""
        with contextlib.suppress(OSError):
            if self._inputs is not None and _standing(_inputs(self._root))[0] == self._inputs:
                part = _place(self._root).with_suffix(".part")
                part.write_text(_digest(self._root), "utf-8")
                os.replace(part, _place(self._root))


def page_of_unchanged(root: Path) -> Path | None:
    """Return the page to open where nothing has changed since the last complete build, else None.

    Parameters
    ----------
    root : Path
        The project.
    """
    with contextlib.suppress(OSError):
        if _place(root).read_text("utf-8") == _digest(root):
            return root / "build" / "_build" / "html" / "index.html"
    return None


def _place(root: Path) -> Path:
    return root / "build" / "certificate"


def _digest(root: Path) -> str:
    inputs, _ = _standing(_inputs(root))
    left, _ = _standing(path for name in _LEFT for path in _files(root / "build" / name))
    return hashlib.sha256(f"{inputs}\n{left}\n".encode()).hexdigest()


def _inputs(root: Path) -> Iterator[os.DirEntry[str] | Path]:
    """Yield what a build may read: what is ours, and the environment."""
    yield from _ours(root)
    yield Path(sys.executable)
    for folder in sys.path:
        if os.path.basename(folder) in ("site-packages", "dist-packages") and os.path.isdir(folder):
            # The folder beside each distribution, whose name tells its version.
            with os.scandir(folder) as entries:
                yield from (entry for entry in entries if entry.name.endswith(".dist-info"))


def _ours(root: Path) -> Iterator[os.DirEntry[str] | Path]:
    """Yield the project's files, and those of our packages where these lie elsewhere."""
    with os.scandir(root) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and not entry.name.endswith(".egg-info") and entry.name != "build":
                yield from _files(entry)
    for folder in (*alignlib.__path__, *alignbook.__path__):
        if not Path(folder).resolve().is_relative_to(root.resolve()):
            yield from _files(Path(folder))


def _files(path: os.DirEntry[str] | Path) -> Iterator[os.DirEntry[str] | Path]:
    """Yield a file, or those of a folder without what Python keeps compiled there; no link to a folder is followed."""
    if not path.is_dir():
        yield path
    elif path.is_symlink():  # which may lead back
        raise NotADirectoryError(errno.ENOTDIR, "A link to a folder", os.fspath(path))
    elif path.name != "__pycache__":
        with os.scandir(path) as entries:
            for entry in entries:
                yield from _files(entry)


def _standing(files: Iterable[os.DirEntry[str] | Path]) -> tuple[str, float]:
    """Return one digest of how files lie on the disk, and when the one changed last was changed."""
    lines, newest = [f"{sys.version} {sys.platform}"], 0.0
    for file in files:
        try:
            found = os.stat(file)  # that of an entry is older, and has no inode on Windows
        except FileNotFoundError:
            continue
        newest = max(newest, found.st_mtime, found.st_ctime)
        lines.append(f"{os.fspath(file)}\0{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}")
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest(), newest
