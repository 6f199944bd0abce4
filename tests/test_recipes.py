"""Each recipe of CONTRIBUTING.md, copied to where it says, passes the checks of style and types as it stands."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipes import PAGE, PLACES, recipe, recipes

ROOT = PAGE.parent


def test_every_block_is_a_recipe() -> None:
    assert recipes().keys() == PLACES.keys()
    for heading, place in PLACES.items():
        assert (ROOT / place).parent.is_dir()
        section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        assert f"`{Path(place).parent}/" in section, "it says where its file goes"


@pytest.mark.parametrize("heading", PLACES)
@pytest.mark.parametrize("check", [("check", "-q"), ("format", "--check")], ids=["style", "format"])
def test_a_literal_copy_is_in_style(heading: str, check: tuple[str, ...]) -> None:
    """Which refuses slow imports at the top too."""
    command = [sys.executable, "-m", "ruff", *check, "--no-cache", "--stdin-filename", PLACES[heading], "-"]
    done = subprocess.run(command, input=recipes()[heading], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("heading", ["A law", "A divergence", "A rule"])
def test_its_examples_hold(heading: str) -> None:
    assert doctest.testmod(recipe(heading)).failed == 0
