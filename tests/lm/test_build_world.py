"""The command that writes bases and laws, on the committed bases."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch  # noqa: F401  # where it is not installed, this module is left out
from click.testing import CliRunner

from alignlib.lm.__main__ import main
from alignlib.lm.level_law import LevelLaw

COMMITTED = Path(__file__).resolve().parents[2] / "notebooks" / "lm_results"


def test_laws_are_written_from_the_bases_that_lie_there(tmp_path: Path) -> None:
    for base in COMMITTED.glob("base_*"):
        shutil.copytree(base, tmp_path / base.name)
    options = ["build", "--results", str(tmp_path), "--output", str(tmp_path / "cache"), "--reward", "gold"]
    done = CliRunner().invoke(main, options, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.count("24 + 12 prompts") == 2
    for written in tmp_path.glob("law_*.csv"):
        again, committed = LevelLaw.read(written), LevelLaw.read(COMMITTED / written.name)
        assert again.reward.tolist() == committed.reward.tolist()
        assert again.mass == pytest.approx(committed.mass, abs=1e-6)
    assert len(list(tmp_path.glob("law_*.csv"))) == 4
