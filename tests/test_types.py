"""Types, as `make lint` checks them: of all our code, then of the recipes as a reader would copy them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipes import PLACES, recipes
from tests.small_project import ROOT

# The second takes what mypy remembers of the first; with nothing remembered, that takes longer than any other test.
pytestmark = [pytest.mark.xdist_group("types"), pytest.mark.early]

# A quarter of mypy's time is a search for garbage, of which there is little: it turns that on and off by itself.
WITHOUT_SEARCH = "import gc; gc.disable(); gc.enable = gc.disable; from mypy.__main__ import console_entry as m; m()"


def complaints(folder: Path, *files: str) -> str:
    """What mypy says, or nothing."""
    command = [sys.executable, "-c", WITHOUT_SEARCH, *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def test_all_code_has_types() -> None:
    assert complaints(ROOT) == ""


def test_literal_copies_of_recipes_have_types(tmp_path: Path) -> None:
    for name in ("alignlib", ".mypy_cache"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for heading, place in PLACES.items():
        (tmp_path / place).write_text(recipes()[heading], encoding="utf-8")
    assert complaints(tmp_path, *PLACES.values()) == ""
