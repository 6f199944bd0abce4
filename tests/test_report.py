"""A report is whole or absent, reads offline, and never takes the place of what it did not write."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from alignbook.project import find_project
from alignbook.report import ReportError, check_folder
from alignlib.cli.main import main

pytestmark = pytest.mark.skipif(
    not any(find_project().folder.glob("*_your_own_rewards.py")), reason="the notebook on own rewards is absent"
)
WRITTEN = [
    "gold.png",
    "gold.svg",
    "limit.png",
    "limit.svg",
    "numbers.csv",
    "numbers.json",
    "report.html",
    "share.png",
    "share.svg",
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    gold = rng.normal(size=(80, 32))
    frame = pd.DataFrame({"q": np.repeat([f"q{i}" for i in range(80)], 32), "gold": gold.reshape(-1)})
    frame["proxy"] = frame["gold"] + 0.5 * rng.normal(size=len(frame))
    path = tmp_path_factory.mktemp("data") / "own.csv"
    frame.to_csv(path, index=False)
    return path


def run(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def made(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "report"
    result = run(table, "--prompt", "q", "--reward", "proxy", "--gold", "gold", "--n", "2,4", "-o", folder)
    assert result.exit_code == 0, result.stderr
    return folder, result.stdout


def test_the_folder_holds_page_pictures_and_numbers(made):
    folder, out = made
    assert sorted(path.name for path in folder.iterdir()) == WRITTEN
    assert [path.name for path in folder.parent.iterdir()] == ["report"]
    assert out.splitlines()[-1] == f"Wrote {folder / 'report.html'}"
    assert (folder / "limit.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "share.svg").read_text()
    assert oct(folder.stat().st_mode)[-3:] == "755"


def test_the_numbers_are_those_of_frontier(made, table):
    folder, out = made
    arguments = ["frontier", str(table), "--prompt", "q", "--reward", "proxy", "--gold", "gold", "--n", "2,4", "--json"]
    printed = json.loads(CliRunner().invoke(main, arguments).stdout)
    written = json.loads((folder / "numbers.json").read_text(), parse_constant=pytest.fail)
    assert written["gold"] == printed["gold"]
    assert written["reward"] == printed["reward"]
    assert out.splitlines()[0] == printed["gold"]["headline"]
    rows = list(csv.DictReader((folder / "numbers.csv").read_text().splitlines()))
    best = [row for row in rows if row["what"] == "best_of_n" and row["measured_in"] == "gold"]
    assert [float(row["share"]) for row in best] == [row["share"] for row in printed["gold"]["best_of_n"]]


def test_the_page_reads_offline_and_answers(made):
    folder, out = made
    page = (folder / "report.html").read_text()
    assert not re.search(r"(src|href)=[\"'](https?:)?//(?!arxiv|doi)", page.split("</script>")[-1])
    text = re.sub(r"<[^>]+>", "", page)
    assert out.split(";")[0].split("any method")[0].strip() in text
    assert page.count("data:image/png") + page.count("data:image/svg") == 3
    assert "gold as proxy is optimised, by best-of-N and by tilting, with 95% bands" in text


def test_a_full_folder_is_left_alone(made, table):
    folder, _ = made
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = run(table, "--prompt", "q", "--reward", "proxy", "-o", folder)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not empty" in result.stderr
    assert "--force" in result.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_force_replaces_a_report(made, table, tmp_path):
    folder = tmp_path / "again"
    folder.mkdir()
    (folder / "report.html").write_text("old")
    (folder / "stale.png").write_text("old")
    result = run(table, "--prompt", "q", "--reward", "proxy", "--n", "2", "--force", "-o", folder)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in folder.iterdir()) == WRITTEN
    assert json.loads((folder / "numbers.json").read_text())["gold"] is None


@pytest.mark.parametrize("force", [False, True])
def test_what_no_report_wrote_is_never_replaced(tmp_path, force):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(ReportError, match=r"thesis\.tex.*choose another" if force else "not empty; choose another"):
        check_folder(folder, force)
    (folder / "thesis.tex").rename(folder / "holiday.png")
    with pytest.raises(ReportError, match=r"no report\.html.*choose another" if force else "not empty"):
        check_folder(folder, force)


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="is a file; name a folder"):
        check_folder(tmp_path / "file", False)
    with pytest.raises(ReportError, match="does not exist or is not writable; choose another"):
        check_folder(tmp_path / "no" / "where", False)
    check_folder(tmp_path / "new", False)
    (tmp_path / "empty").mkdir()
    check_folder(tmp_path / "empty", False)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--prompt", "q", "--reward", "prxy"], "did you mean 'proxy'?"),
        (["--prompt", "q", "--reward", "proxy", "--n", "64"], "n must not exceed 32"),
        (["--prompt", "q", "--reward", "proxy", "--kl", "50"], "kl must not exceed"),
        (["--reward", "proxy"], "no column 'prompt_id'"),
    ],
)
def test_bad_input_leaves_nothing(table, tmp_path, arguments, part):
    result = run(table, *arguments, "-o", tmp_path / "report")
    assert (result.exit_code, result.stdout) == (2, "")
    assert part in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_that_fails_leaves_nothing(table, tmp_path, monkeypatch):
    from alignbook import report
    from alignbook.runner import Failure, Run

    failed = Run("31_your_own_rewards", "Your own rewards", "{}", failures=(Failure("ValueError: no", cell=3),))
    monkeypatch.setattr(report, "execute_all", lambda jobs: [failed])
    folder = tmp_path / "report"
    result = run(table, "--prompt", "q", "--reward", "proxy", "-o", folder)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "The report failed: cell 3: ValueError: no" in result.stderr
    assert list(tmp_path.iterdir()) == []
    folder.mkdir()
    (folder / "report.html").write_text("earlier")
    assert run(table, "--prompt", "q", "--reward", "proxy", "--force", "-o", folder).exit_code == 2
    assert (folder / "report.html").read_text() == "earlier"


def test_the_report_says_nothing_of_where_it_was_made(made, table, tmp_path):
    folder, _ = made
    moved = tmp_path / "elsewhere" / table.name
    moved.parent.mkdir()
    moved.write_bytes(table.read_bytes())
    (tmp_path / "other").mkdir()
    again = tmp_path / "other" / "report"
    result = run(moved, "--prompt", "q", "--reward", "proxy", "--gold", "gold", "--n", "2,4", "-o", again)
    assert result.exit_code == 0, result.stderr
    for path in sorted(folder.iterdir()):
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name
