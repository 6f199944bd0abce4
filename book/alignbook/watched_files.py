"""Which files a notebook reads: the kernel is watched while it opens them, modules and data alike.

A run that is kept can then be trusted for as long as these files hold what they held: what is read decides what happens
next, so nothing else of ours needs to be known. This module runs inside the kernel and imports nothing of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import source_from_cache
from pathlib import Path

__all__ = ["files_read", "modules_read", "watch"]


def watch(log: str, roots: Sequence[str]) -> None:
    """From now on, note in the file ``log`` what this process opens for reading, or lists, under ``roots``.

    Folders on the path of modules are listed by every import; what is imported from them is noted when it is opened.
    Libraries that open files without Python are not seen.
    """
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    seen: set[str] = set()
    below = tuple(os.path.join(root, "") for root in roots)

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event not in ("open", "os.listdir", "os.scandir"):
            return
        given = "." if arguments[0] is None else arguments[0]
        if not isinstance(given, str | bytes | os.PathLike):
            return  # an open file
        path = os.path.abspath(os.fsdecode(given))
        if path in seen or not path.startswith(below):
            return
        if os.path.basename(path).startswith("__editable__"):
            return  # an entry of sys.path that stands for an installation and is no file
        if event == "open":
            flags = arguments[2]
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif path in map(os.path.abspath, sys.path) or os.path.exists(os.path.join(path, "__init__.py")):
            return
        seen.add(path)
        os.write(out, os.fsencode(path) + b"\0")

    sys.addaudithook(note)


def files_read(log: Path, root: Path) -> set[Path]:
    """Read back what was noted: sources for their byte code, without what is hidden or generated under ``root``."""
    if not log.is_file():
        return set()
    found = set()
    for text in filter(None, log.read_bytes().split(b"\0")):
        path = Path(os.fsdecode(text))
        if path.suffix == ".pyc" and path.parent.name == "__pycache__":
            path = Path(source_from_cache(path))
        if not path.is_relative_to(sys.prefix) and not _apart(path, root):
            found.add(path)
    return found


def modules_read(roots: Sequence[str]) -> set[Path]:
    """Return the files of the modules under ``roots`` that this process has imported, without the environment's.

    The first of ``roots`` is the project, in which the environment usually lies; what is in it, the lock says.
    """
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    paths = {Path(file) for file in files if file is not None}
    return {path for path in paths if any(map(path.is_relative_to, roots)) and not _apart(path, Path(roots[0]))}


def _apart(path: Path, root: Path) -> bool:
    """Whether a path is hidden or generated: environments, caches, builds; the list of what is compiled, anywhere."""
    inside = path.relative_to(root).parts if path.is_relative_to(root) else ()
    hidden = any(part.startswith(".") for part in inside) or inside[:1] == ("build",)
    return hidden or "__pycache__" in path.parts[-2:]
