"""Every case of bad input ends in one sentence that says what is wrong, or is read right and said so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from alignlib.cli.main import main
from tests.bad_input_cases import CASES, FILE, Case

LONGEST = 1500  # characters of a sentence, whatever was typed


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.family}: {case.name}")
def test_bad_input(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


def check(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path)
    before = sorted(os.listdir(tmp_path))
    typed = [part.replace(FILE, str(path)).replace("FOLDER", str(tmp_path)) for part in case.command]
    done = CliRunner().invoke(main, typed)
    if case.read:
        assert done.exit_code == 0, done.output
        assert case.expected in done.output
    else:
        assert done.exit_code == 2, done.output or done.exception
        assert case.expected in done.stderr
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, "one sentence on one line"
        assert len(done.stderr) < LONGEST
    assert sorted(os.listdir(tmp_path)) == before


def test_the_names_of_the_cases_differ() -> None:
    names = [(case.family, case.name) for case in CASES]
    assert len(set(names)) == len(names)
