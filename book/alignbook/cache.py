"""Executed notebooks, kept under ``build/cache`` for as long as all that they were made from is unchanged."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from functools import cache as remembered
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import alignbook
import alignlib._core
from alignbook.claim import from_json
from alignbook.project import Project
from alignbook.runner import Job, Run
from alignlib._core.files import write_whole
from alignlib._core.working import PREFIX, working_folder

__all__ = ["clear", "code_digest", "load", "our_folders", "prune", "recipe", "store"]

# A conda environment is not described by the lock file, so the versions that shape a page count as well.
_PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "ipython",
    "ipykernel",
    "nbclient",
    "papermill",
    "jupytext",
)


_FILES = ("run.json", "notebook.ipynb")
_ENTRY = re.compile(r"[0-9a-f]{64}-[0-9a-f]{12}")


def our_folders(project: Project) -> tuple[str, ...]:
    """Where files lie that may change between two builds: the project and our packages."""
    return tuple(str(path) for path in (project.root.resolve(), *alignlib.__path__, *alignbook.__path__))


def recipe(job: Job, project: Project) -> str:
    """Return a digest of what is known of a run before it starts: page, parameters, lock and versions.

    What the run reads (our modules, data) is noted while it runs, and compared by `load`.
    """
    digest = hashlib.sha256()

    def add(label: str, content: bytes) -> None:
        digest.update(f"{label}\0{len(content)}\0".encode() + content)

    cells = [[cell.cell_type, cell.source, cell.metadata] for cell in job.notebook.node.cells]
    add(job.notebook.name, json.dumps(cells, sort_keys=True).encode())
    add("job", json.dumps([dict(job.parameters), job.strict], sort_keys=True).encode())
    add("lock", project.lock.read_bytes() if project.lock.is_file() else b"")
    add("machine", f"{sys.version} {platform.system()} {platform.machine()}".encode())
    add("versions", " ".join(f"{name}={_version(name)}" for name in _PACKAGES).encode())
    return digest.hexdigest()


def load(folder: Path, recipe: str, project: Project) -> Run | None:
    """Return the run kept for a recipe whose files all hold what they held, or None."""
    for entry in sorted(folder.glob(f"{recipe}-*")):
        try:
            data = json.loads((entry / "run.json").read_text(encoding="utf-8"))
            notebook = (entry / "notebook.ipynb").read_text(encoding="utf-8")
            sealed = data.pop("digest") == _seal(data, notebook)
        except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
            continue
        if sealed and all(_unchanged(project.root / name, *digests) for name, digests in data["read"].items()):
            os.utime(entry)
            claims = tuple(from_json(item) for item in data["claims"])
            read = tuple(os.path.abspath(os.path.join(project.root, name)) for name in data["read"])
            return Run(data["name"], data["title"], notebook, claims, data["numbers"], data["seconds"], read=read)
    return None


def store(folder: Path, recipe: str, project: Project, run: Run) -> bool:
    """Keep a run that succeeded, whole or not at all; return whether it was kept.

    A run is not kept where a file that it read was changed after ``run.started``: it may have seen either content.
    """
    if run.failures:
        raise ValueError(f"{run.name} failed; only runs that succeeded are kept.")
    if any(_changed_since(Path(path), run.started) for path in run.read):
        return False
    root = project.root.resolve()
    paths = map(Path, run.read)
    read = {_relative(path, root): (_digest(path), _digest(path, meaning=True)) for path in paths}
    text = json.dumps(read, indent=1, sort_keys=True)
    folder.mkdir(parents=True, exist_ok=True)
    with working_folder(folder) as made:
        data: dict[str, Any] = {"name": run.name, "seconds": run.seconds, "read": read} | run.record
        data["digest"] = _seal(data, run.notebook)  # what was edited since is run anew
        write_whole(made / "run.json", json.dumps(data, indent=1))
        write_whole(made / "notebook.ipynb", run.notebook)
        entry = folder / f"{recipe}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        shutil.rmtree(entry, ignore_errors=True)
        os.replace(made, entry)
    return True


def prune(folder: Path, keep: Iterable[str], spare: int = 80) -> None:
    """Drop all but the ``spare`` entries used last; the newest of each recipe in ``keep`` stays in any case."""
    entries = [path for path in folder.iterdir() if not path.name.startswith((".", PREFIX))] if folder.is_dir() else []
    entries.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    newest = {path.name.partition("-")[0]: path for path in reversed(entries)}
    kept = {newest[name] for name in keep if name in newest}
    for path in [path for path in entries if path not in kept][spare:]:
        shutil.rmtree(path, ignore_errors=True)


def clear(folder: Path) -> None:
    """Remove a folder of kept runs with all that `store` left there; what else lies in it stays, and so does it."""
    for entry in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
        if _ENTRY.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink():
            for name in _FILES:
                (entry / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something else is there
                entry.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()


def code_digest(source: str) -> str:
    """Return a digest of what Python code does: comments, docstrings and layout do not count.

    >>> code_digest("def f():\\n    'Say one.'\\n    return 1  # one") == code_digest("def f(): return 1")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str:
                node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _seal(data: Mapping[str, Any], notebook: str) -> str:
    """Of all that is kept of a run: against accidents and careless edits, not against somebody who makes it anew."""
    text = json.dumps(data, sort_keys=True)
    return hashlib.sha256(f"{len(text)}\0{text}{notebook}".encode("utf-8", "surrogatepass")).hexdigest()


def _unchanged(path: Path, raw: str, meaning: str) -> bool:
    return _digest(path) == raw or _digest(path, meaning=True) == meaning


def _digest(path: Path, *, meaning: bool = False) -> str:
    """Of the bytes, or of what counts of them: the code of a module; of a folder, of the names in it."""
    try:
        found = path.stat()
    except OSError:
        return "absent"
    return _digest_of(path, meaning, found.st_mtime_ns, found.st_size)


@remembered
def _digest_of(path: Path, meaning: bool, modified: int, size: int) -> str:
    if path.is_dir():
        names = sorted(item.name for item in path.iterdir() if not item.name.startswith((".", "__pycache__")))
        return hashlib.sha256("\0".join(names).encode()).hexdigest()
    content = path.read_bytes()
    if meaning and path.suffix == ".py":
        try:
            return code_digest(content.decode("utf-8"))
        except (SyntaxError, ValueError):
            pass  # a module that cannot be imported fails when it runs
    return hashlib.sha256(content).hexdigest()


def _changed_since(path: Path, time: float) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return not path.is_dir() and max(found.st_mtime, found.st_ctime) > time


def _relative(path: Path, root: Path) -> str:
    """The path as it is kept: relative to the project where it lies inside, so that a clone may be moved."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


@remembered
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
