"""Executed notebooks, kept under ``build/cache`` by everything that their content depends on."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import alignbook
import alignlib
from alignbook.claim import from_json
from alignbook.dependencies import library_files, mentioned_files
from alignbook.project import Project
from alignbook.runner import Job, Run
from alignlib._core.files import whole_folder

__all__ = ["key", "load", "store"]

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
_MACHINERY = "import alignbook.runner"


def key(job: Job, project: Project, *packages: Path) -> str:
    """Return the cache key of a job.

    It is the SHA-256 of the script and its name, the parameters, the files of our packages that the script and the
    machinery import, files that the script names, the lock file, and the versions of Python and the main packages.
    """
    packages = packages or (*(Path(p) for p in (*alignlib.__path__, *alignbook.__path__)), project.folder / "_pages")
    script = job.notebook.script
    code = _code(job)
    digest = hashlib.sha256()

    def add(label: str, content: bytes) -> None:
        digest.update(f"{label}\0{len(content)}\0".encode() + content)

    add(script.name, script.read_bytes())
    add("job", json.dumps([dict(job.parameters), job.strict], sort_keys=True).encode())
    files = {*library_files(code, *packages), *library_files(_MACHINERY, *packages)}
    names = {path: (root.name, path.relative_to(root)) for root in packages for path in files if root in path.parents}
    for path, (package, inside) in sorted(names.items()):
        add(f"{package}/{inside.as_posix()}", path.read_bytes())
    values = [value for value in job.parameters.values() if isinstance(value, str)]
    for path in sorted({*mentioned_files(code, script.parent), *(Path(v) for v in values if Path(v).is_file())}):
        add(f"data/{path}", path.read_bytes())
    add("lock", project.lock.read_bytes() if project.lock.is_file() else b"")
    add("machine", f"{sys.version} {platform.system()} {platform.machine()}".encode())
    add("versions", " ".join(f"{name}={_version(name)}" for name in _PACKAGES).encode())
    return digest.hexdigest()


def load(folder: Path, name: str) -> Run | None:
    """Return the kept run of a key, or None."""
    try:
        data = json.loads((folder / name / "run.json").read_text(encoding="utf-8"))
        notebook = (folder / name / "notebook.ipynb").read_text(encoding="utf-8")
    except (OSError, json.JSONDecodeError):
        return None
    claims = tuple(from_json(item) for item in data["claims"])
    return Run(data["name"], data["title"], notebook, claims, data["numbers"], data["seconds"])


def store(folder: Path, name: str, run: Run) -> None:
    """Keep a run that succeeded, whole or not at all."""
    if run.failures:
        raise ValueError(f"{run.name} failed; only runs that succeeded are kept.")
    folder.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder / name) as new:
        data: dict[str, Any] = {"name": run.name, "seconds": run.seconds} | run.record
        (new / "run.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
        (new / "notebook.ipynb").write_text(run.notebook, encoding="utf-8", newline="\n")


def prune(folder: Path, keep: Iterable[str], spare: int = 50) -> None:
    """Drop the oldest entries beyond ``spare`` that are not in ``keep``."""
    kept = set(keep)
    old = [path for path in folder.iterdir() if path.name not in kept] if folder.is_dir() else []
    for path in sorted(old, key=lambda path: path.stat().st_mtime, reverse=True)[spare:]:
        shutil.rmtree(path, ignore_errors=True)


def _code(job: Job) -> str:
    """The code of a notebook without its magics, which are not Python."""
    sources = [cell.source for cell in job.notebook.node.cells if cell.cell_type == "code"]
    lines = "\n".join(sources).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
