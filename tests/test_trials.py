"""The counts on the page "What it does with bad input" are those of trials that can fail."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
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


def test_a_build_that_is_killed_leaves_none_of_its_programs(tmp_path: Path) -> None:
    """Neither that which counts, or writes the pages, nor what that has started."""
    slow = "import os, sys, time; print(os.getppid(), os.getpid(), file=open(sys.argv[1], 'w')); time.sleep(600)"
    begins = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {slow!r}, sys.argv[1]])"
    build = f"from alignbook.processes import run_bound; import sys; run_bound({begins!r}, sys.argv[1])"
    with subprocess.Popen([sys.executable, "-c", build, tmp_path / "pids"]) as process:
        end = time.monotonic() + 60
        while not ((tmp_path / "pids").is_file() and (tmp_path / "pids").read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        running = [psutil.Process(int(number)) for number in (tmp_path / "pids").read_text().split()]
        assert len(running) == 2
        assert process.pid in {one.ppid() for one in running}
        process.kill()
    while any(_lives(one) for one in running) and time.monotonic() < end:
        time.sleep(0.02)
    assert [one for one in running if _lives(one)] == []


def _lives(process: psutil.Process) -> bool:
    """A container may have nobody to bury what has ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_no_count_is_typed() -> None:
    """The page exists as code only."""
    assert not (ROOT / "book" / "bad_input.md").exists()
    assert (Project(ROOT).root / "tests" / "trials.py").is_file()
