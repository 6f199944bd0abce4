"""The counts on the page "What it does with bad input" are those of trials that can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alignbook.bad_input import FAMILIES, bad_input_page, to_markdown, tried
from alignbook.project import Project
from tests import trials
from tests.small_project import ROOT, make_project, plain


def test_every_family_is_tried_and_described() -> None:
    found = list(trials.trials())
    assert len({(trial.family, trial.name) for trial in found}) == len(found)
    assert {trial.family for trial in found} == set(FAMILIES), (
        "say on the page what a family is, in the order of reading"
    )


def test_what_is_not_survived_is_counted_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(folder: Path) -> None:
        raise AssertionError("two lines\nof it")

    some = [trials.Trial("a", "good", lambda folder: None), trials.Trial("a", "bad", fails)]
    monkeypatch.setattr(trials, "trials", lambda: iter(some))
    assert trials.counts() == {"a": [2, 1]}
    assert "a: bad: AssertionError: two lines" in capsys.readouterr().err


def test_the_page_has_the_counts_in_order_and_their_sum() -> None:
    page = to_markdown({"something new": [1, 1], "columns": [4, 4], "the file": [5, 3]})
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ")][1:]
    assert [[cell.strip() for cell in row[1:]] for row in rows] == [["5", "3"], ["4", "4"], ["1", "1"], ["10", "8"]]
    assert rows[2][0].strip() == "Something new"
    assert "8 of 10 broken or hostile inputs" in page


def test_counts_are_kept_until_code_or_tests_change(tmp_path: Path) -> None:
    project = make_project(tmp_path / "clone", {"01_a": plain()})
    assert bad_input_page(project) == ""
    tests = project.root / "tests"
    tests.mkdir()
    (tests / "__init__.py").touch()

    def trial(n: int) -> None:
        (tests / "trials.py").write_text(f'open("ran", "a").write("x")\nprint(\'{{"values": [{n}, {n}]}}\')\n')

    for n, runs in ((3, 1), (3, 1), (40, 2)):  # of another length, for Python compares the times of files by the second
        trial(n)
        project.build.mkdir(exist_ok=True)
        assert tried(project) == {"values": [n, n]}
        assert len((project.root / "ran").read_text()) == runs
    assert json.loads((project.build / "bad_input.json").read_text())["counts"] == {"values": [40, 40]}


def test_no_count_is_typed() -> None:
    """The page exists as code only."""
    assert not (ROOT / "book" / "bad_input.md").exists()
    assert (Project(ROOT).root / "tests" / "trials.py").is_file()
