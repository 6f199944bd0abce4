"""Each chapter ends with the command that runs it again; times are recorded; hosted notebooks follow one address."""

from __future__ import annotations

import html
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from alignbook.chapter_ending import ending
from alignbook.performance import performance_page, recorded_benchmarks
from alignbook.project import Project
from alignbook.repository import Repository, read_repository
from alignbook.run_times import RunTimes, Taken, read_run_times, run_times_section
from alignlib import InputError
from benchmarks.run_times import taken
from tests.small_project import GOOD, ROOT, make_project

PROJECT = Project(ROOT)
OPENED = "?urlpath=lab%2Ftree%2Fnotebooks%2F01_roots.ipynb"
TIMES = read_run_times(ROOT)


def test_a_chapter_ends_with_its_command_and_every_parameter() -> None:
    for notebook in PROJECT.notebooks():
        text = ending(notebook, TIMES, None)
        (command,) = re.findall(r"^\$ (alignlib run .*)$", text, re.MULTILINE)
        assert PROJECT.find(shlex.split(command)[2]).name == notebook.name
        shown = text.replace("\\", "")
        for name, parameter in notebook.parameters.items():
            assert f"`--{name.replace('_', '-')} " in text
            assert parameter.range.text == "any" or parameter.range.text in html.unescape(shown)
        assert "Binder" not in text
        took = re.search(
            r"^One run takes [\d.]+ (s|minutes) of one core and up to \d+ MB of memory", text, re.MULTILINE
        )
        assert bool(took) == any(notebook.name in one.notebooks for one in TIMES)


def test_what_each_chapter_takes_is_recorded() -> None:
    missing = {notebook.name for notebook in PROJECT.notebooks()} - {name for one in TIMES for name in one.notebooks}
    assert missing == set(), f"python -m benchmarks.run_times {' '.join(sorted(missing))} --record"


@pytest.mark.parametrize(
    ("url", "links"),
    [
        ("", []),
        (
            "https://github.com/some-one/limits.git",
            [
                "https://mybinder.org/v2/gh/some-one/limits/main" + OPENED,
                "https://colab.research.google.com/github/some-one/limits/blob/main/notebooks/01_roots.ipynb",
            ],
        ),
        (
            "https://git.example.org/group/limits/",
            [f"https://mybinder.org/v2/git/https%3A%2F%2Fgit.example.org%2Fgroup%2Flimits/main{OPENED}"],
        ),
    ],
)
def test_hosted_notebooks_are_linked_where_the_repository_has_an_address(
    tmp_path: Path, url: str, links: list[str]
) -> None:
    project = make_project(tmp_path, {"01_roots": GOOD})
    (tmp_path / "_config.yml").write_text(yaml.safe_dump({"repository": {"url": url}}))
    (notebook,) = project.notebooks()
    text = ending(notebook, [], read_repository(tmp_path))
    assert re.findall(r"\]\((https://[^)]+)\)", text) == links
    assert ("!git clone" in text) == any("colab" in link for link in links)


def test_a_page_whose_script_opens_another_says_what_to_set() -> None:
    """Of several pages from one script the hosted notebook is the first one's."""
    said = {
        notebook.name: ending(notebook, [], Repository("https://github.com/a/b")).partition("It opens chapter ")[2]
        for notebook in PROJECT.notebooks()
    }
    assert {name for name, text in said.items() if text} == {"32_public_table", "52_summarisation_training"}
    assert said["52_summarisation_training"].startswith("51; set `task = 'summarisation'` in its cell")
    assert "`gold = 'people'`" in said["32_public_table"]


def test_the_book_has_no_address_yet() -> None:
    """Whoever publishes it sets one, in one place; nothing else need change."""
    assert read_repository(ROOT) is None


@pytest.mark.parametrize("url", ["github.com/a/b", "http://github.com/a/b", "https://x.org/a b", "https://x.org/'$(x)"])
def test_an_address_that_is_none_is_one_sentence(tmp_path: Path, url: str) -> None:
    (tmp_path / "_config.yml").write_text(yaml.safe_dump({"repository": {"url": url}}))
    with pytest.raises(InputError, match="must be an address such as"):
        read_repository(tmp_path)


def test_pages_are_where_the_workflow_publishes_them() -> None:
    assert Repository("https://github.com/Some-One/limits").pages == "https://some-one.github.io/limits"
    assert Repository("https://github.com/Some-One/some-one.github.io").pages == "https://some-one.github.io"
    assert Repository("https://git.example.org/a/limits").pages == ""


def test_what_a_command_takes_is_that_of_all_its_processes() -> None:
    inner = "x = bytearray(80_000_000); import time; time.sleep(0.6); sum(range(6_000_000))"
    found = taken([sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"])
    assert found["megabytes"] > 80
    assert found["seconds"] > 0.05
    with pytest.raises(RuntimeError, match="ended with 3"):
        taken([sys.executable, "-c", "raise SystemExit(3)"])


def test_times_are_grouped_by_where_they_were_measured() -> None:
    runs = [RunTimes("2026-01-02", "one, 2 cores", {"Python": "3"}, {"01_a": Taken(100.0, 210.0)})]
    runs += [RunTimes("2026-02-03", "other", {}, {"02_b": Taken(2.0, 99.0), "09_gone": Taken(1.0, 1.0)})]
    lines = run_times_section(runs, {"01_a": "First", "02_b": "Second"})
    assert "| {doc}`First <notebooks/01_a>` | 1.7 minutes | 210 MB |" in lines
    assert "| {doc}`Second <notebooks/02_b>` | 2 s | 100 MB |" in lines
    assert any(line.startswith("On one, 2 cores, Python 3; 2026-01-02. All 1 together: 1.7 minutes") for line in lines)


def test_the_page_on_performance_is_made_of_what_was_recorded(tmp_path: Path) -> None:
    assert performance_page(tmp_path) == ""
    rows = [
        {"benchmark": "a | b", "peer": "c", "times_faster": 1234.5, "least": 900.0, "most": 2000.0, "seconds": 0.00123},
        {"benchmark": "d", "peer": "e", "times_faster": 0.5, "seconds": 2.0},
        {"benchmark": "growth", "seconds": 1.0},
        {"benchmark": "whole", "times_slower": 4.0, "cpu_seconds": 2.0},
    ]
    entry = {"what": "Of ``a``.", "date": "2026-01-02", "machine": "M", "versions": {"numpy": "2"}, "rows": rows}
    (tmp_path / "benchmarks" / "recorded").mkdir(parents=True)
    (tmp_path / "benchmarks" / "recorded" / "performance.json").write_text(json.dumps({"best_of": entry}))
    page = performance_page(tmp_path)
    assert "In 1 of 2 comparisons it is the faster one, at most 1,200 times" in page
    assert "in 1 it is the slower one" in page
    assert "takes 4 times what reading the file and one exp of it takes" in page
    assert "| 1,200 (900 to 2,000) | 0.00123 |" in page
    assert "`python -m benchmarks best_of`; M, numpy 2; 2026-01-02." in page
    assert "growth" not in page


def test_every_benchmark_that_compares_is_recorded() -> None:
    recorded = recorded_benchmarks(ROOT)
    there = {path.stem.removeprefix("bench_") for path in (ROOT / "benchmarks").glob("bench_*.py")}
    assert set(recorded) <= there
    assert there - set(recorded) == {"scale"}, "python -m benchmarks --record"  # scale has a chapter of its own
    page = performance_page(ROOT)
    reckoned = [row for one in recorded.values() for row in one["rows"] if row.get("reckoned")]
    assert page.count(", reckoned |") == len(reckoned) > 0
    for name, one in recorded.items():
        assert any("times_faster" in row or "times_slower" in row for row in one["rows"]), name
        assert f"`python -m benchmarks {name}`; " in page
