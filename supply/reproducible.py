"""Build the sdist and the wheel twice, as differently as may be, and compare them byte by byte."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from alignlib._core.working import working_folder

__all__ = ["PACKED", "build", "compare", "main"]

ROOT = Path(__file__).resolve().parent.parent
# All that `MANIFEST.in` may take.
PACKED = (
    "alignlib", "benchmarks", "book", "notebooks", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE",
    "LICENSE-CC-BY-4.0", "_config.yml", "jupytext.toml", "CHANGELOG.md", "CITATION.cff", "SECURITY.md",
    "requirements.in", "requirements.lock", "requirements-lm.txt",
)  # fmt: skip
_BUILD = """
import os, sys
dist, umask = sys.argv[1:]  # which setuptools has its own words for
os.umask(int(umask, 8))
from setuptools import build_meta
build_meta.build_sdist(dist)
build_meta.build_wheel(dist)
"""


def copy(root: Path, target: Path, *, later: float = 0.0, umask: int = 0o022) -> None:
    """Copy what is packed, as a checkout at another time under another umask would have it."""
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors", "build", "*.egg-info")
    for name in PACKED:
        there = root / name
        if there.is_dir():
            shutil.copytree(there, target / name, ignore=ignored)
        elif there.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(there, target / name)
    for path in target.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
        if later:
            os.utime(path, (path.stat().st_mtime + later,) * 2)


def build(source: Path, dist: Path, *, umask: int = 0o022) -> dict[str, str]:
    """Build both from ``source`` into ``dist``; return the SHA-256 of each file."""
    dist.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    command = [sys.executable, "-c", _BUILD, str(dist), f"{umask:o}"]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(dist.iterdir())}


def compare(root: Path, place: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Build twice: here and now, and in another folder, at another time, under another umask."""
    first, second = place / "a", place / "elsewhere" / "b"
    copy(root, first)
    copy(root, second, later=12345.0, umask=0o077)
    return build(first, place / "dist_a"), build(second, place / "dist_b", umask=0o077)


def main() -> int:
    """Compare, and say so."""
    with working_folder() as place:
        one, two = compare(ROOT, place)
    for name, digest in one.items():
        print(f"{'same' if two.get(name) == digest else 'DIFFERENT'}  {digest}  {name}")
    return 0 if one == two and one else 1
