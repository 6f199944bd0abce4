"""A report is whole or absent, reads offline, and never takes the place of what it did not write."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from alignbook.manifest import MANIFEST, REPORT_FILES, FolderError, check_folder, filling
from alignbook.parameters import resolve
from alignbook.project import own_project
from alignbook.report import _failed
from alignbook.runner import Job, execute
from alignlib.answers import findings
from alignlib.answers.output import gold_promise
from alignlib.answers.pictures import gold_picture
from alignlib.cli.main import main
from alignlib.estimation import averaging, fitting

pytestmark = [
    pytest.mark.xdist_group("report"),  # what is made once is made in one process
    pytest.mark.skipif(
        not any(own_project().folder.glob("*_your_own_rewards.py")), reason="the notebook on own rewards is absent"
    ),
]
WRITTEN = [
    "draws_per_prompt.csv",
    "gold.png",
    "gold.svg",
    "limit.png",
    "limit.svg",
    "manifest.json",
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


@contextmanager
def counting_fits():
    """Note which rewards the command fits, and of which it computes an averaged curve, whoever asks for it."""
    fitted, curves, fit, curve = [], [], fitting.fit_frontier, averaging.averaged_curve

    def fit_noted(data, reward, **options):
        fitted.append(reward)
        return fit(data, reward, **options)

    def curve_noted(data, reward, *arguments, unit=None, **options):
        curves.append(reward if unit is None else (reward, "each prompt in a unit of its own"))
        return curve(data, reward, *arguments, unit=unit, **options)

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("alignlib."):
                for called, noted in (("fit_frontier", fit_noted), ("averaged_curve", curve_noted)):
                    if called in vars(module):
                        patch.setattr(module, called, noted)
        yield fitted, curves


@pytest.fixture(scope="module")
def made(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "report"
    with counting_fits() as (fitted, curves):
        result = run(table, "--prompt", "q", "--reward", "proxy", "--gold", "gold", "--n", "2,4", "-o", folder)
    assert result.exit_code == 0, result.stderr
    assert fitted == ["proxy", "gold"]  # each once
    assert curves == ["proxy", "gold", ("gold", "each prompt in a unit of its own")]
    return folder, result.stdout


@pytest.fixture
def as_text(monkeypatch):
    """The notebook's text stands for the page: how one becomes the other is seen in what `made` holds."""
    monkeypatch.setattr("alignbook.report.write_page", lambda text, page, root: page.write_text(text))


def test_the_folder_holds_page_pictures_and_numbers(made):
    folder, out = made
    assert sorted(path.name for path in folder.iterdir()) == WRITTEN
    assert [path.name for path in folder.parent.iterdir()] == ["report"]
    assert out.splitlines()[-1] == f"Wrote {folder / 'report.html'}"
    assert (folder / "limit.png").read_bytes().startswith(b"\x89PNG")
    assert "<text " in (folder / "share.svg").read_text()  # not outlines of letters
    assert oct(folder.stat().st_mode)[-3:] == "755"


def test_the_numbers_are_those_of_frontier(made, table):
    folder, out = made
    arguments = ["frontier", str(table), "--prompt", "q", "--reward", "proxy", "--gold", "gold", "--n", "2,4", "--json"]
    printed = json.loads(CliRunner().invoke(main, arguments).stdout)
    written = json.loads((folder / "numbers.json").read_text(), parse_constant=pytest.fail)
    assert written["gold"] == printed["gold"]
    assert written["reward"] == printed["reward"]
    assert out.splitlines()[0] == printed["gold"]["headline"]
    assert (folder / "numbers.csv").read_text() == CliRunner().invoke(main, [*arguments[:-1], "--csv"]).stdout
    rows = list(csv.DictReader((folder / "numbers.csv").read_text().splitlines()))
    assert {"curve", "curve_on_every_prompt", "along_n", "along_lam"} <= {row["what"] for row in rows}
    best = [row for row in rows if row["what"] == "rule" and row["measured_in"] == "gold"]
    assert [float(row["share"]) for row in best] == [row["share"] for row in printed["gold"]["rules"]]


def test_a_folder_of_parts_has_the_report_of_its_table(made, table, as_text, tmp_path):
    """Of the same rows in three parts: the numbers of `frontier` on the folder, in the notebook that shows them."""
    frame, parts = pd.read_csv(table), tmp_path / "parts"
    parts.mkdir()
    for k in range(3):
        frame.iloc[k::3].to_parquet(parts / f"{k}.parquet")
    asked = (parts, "--prompt", "q", "--reward", "proxy", "--n", "2,4", "--checkpoint", tmp_path / "kept")
    result = run(*asked, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    written = json.loads((tmp_path / "report" / "numbers.json").read_text())
    printed = json.loads(CliRunner().invoke(main, ["frontier", *map(str, asked), "--json"]).stdout)
    assert written["reward"] == printed["reward"]
    assert result.stdout.splitlines()[0] == printed["reward"]["headline"]
    plain = json.loads((made[0] / "numbers.json").read_text())["reward"]["rules"]
    gains = [[rule["gain"] for rule in rules] for rules in (written["reward"]["rules"], plain)]
    assert gains[0] == pytest.approx(gains[1], abs=1e-10)


def test_the_page_reads_offline_and_answers(made):
    folder, out = made
    page = (folder / "report.html").read_text()
    assert not re.search(r"(src|href)=[\"'](https?:)?//(?!arxiv|doi)", page.split("</script>")[-1])
    text = re.sub(r"<[^>]+>", "", page)
    assert out.split(";")[0].split("any method")[0].strip() in text
    assert page.count("data:image/png") + page.count("data:image/svg") == 3
    assert "gold as proxy is optimised, by best-of-N and by tilting, with 95% bands" in text


def test_no_code_stands_before_its_pictures(made):
    folder, _ = made
    page = (folder / "report.html").read_text()
    body = page[page.index("<main") :]
    assert "Show the parameters that were given" in body
    before = re.sub(r"<details.*?</details>", "", body, flags=re.DOTALL).partition("<img")[0]
    assert "highlight-ipython" not in before
    assert "---" not in re.sub(r"<[^>]+>", "", body)
    assert "<em>Over-optimisation curves</em>" in body


def test_a_written_report_never_says_failed(tmp_path, as_text):
    """Two of these columns once broke a claim that compared curves at different budgets."""

    def example(seed):
        file = tmp_path / f"{seed}.csv"
        file.write_text(CliRunner().invoke(main, ["example", "--seed", str(seed)]).stdout)
        return file

    result = run(example(1), "--reward", "score_a", "-o", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    assert "31_your_own_rewards done" in result.stderr
    assert "fail" not in result.stderr
    assert "3 of 3 hold" in (tmp_path / "report" / "report.html").read_text()
    assert not list((tmp_path / "report").glob("gold.*"))  # no gold, no picture of it
    notebook = own_project().find("your_own_rewards")  # the other without its page, which only repeats what was found
    given = resolve(notebook.parameters, {"table": str(example(3)), "reward": "gold", "gold": None})
    found = execute(Job(notebook, given))
    assert found.failures == ()
    assert [claim.holds for claim in found.claims] == [True] * 3


def test_a_full_folder_is_left_alone(made, table):
    folder, _ = made
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = run(table, "--prompt", "q", "--reward", "proxy", "-o", folder)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not empty" in result.stderr
    assert "--force" in result.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_force_replaces_a_report_and_nothing_else(table, tmp_path, monkeypatch, as_text):
    """And the notebook draws what the command found: here a curve with a mark that no fit would leave."""
    ask = findings.ask

    def marked(*arguments, **options):
        found = ask(*arguments, **options)
        return replace(found, curve=replace(found.curve, supported_end=0.123))

    monkeypatch.setattr(findings, "ask", marked)
    folder = tmp_path / "again"
    fill(folder, {"report.html": "old", "gold.png": "old"})
    (folder / "labels.csv").write_text("mine")
    (folder / "figures").mkdir()
    (folder / "figures" / "limit.png").write_text("mine, too")
    result = run(table, "--prompt", "q", "--reward", "proxy", "--n", "2", "--force", "-o", folder)
    assert result.exit_code == 0, result.stderr
    left = [name for name in WRITTEN if not name.startswith("gold.")]  # no gold is named: the old picture of it goes
    assert sorted(path.name for path in folder.iterdir()) == sorted([*left, "labels.csv", "figures"])
    assert (folder / "labels.csv").read_text() == "mine"
    assert (folder / "figures" / "limit.png").read_text() == "mine, too"
    assert json.loads((folder / "numbers.json").read_text())["gold"] is None
    assert "(bar: 0.12 nats)" in re.sub(r"<[^>]+>", "", (folder / "report.html").read_text())


def fill(folder, files, force=False):
    with filling(folder, force) as made:
        for name, text in files.items():
            (made / name).write_text(text)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_without_a_manifest_is_never_touched(tmp_path, force):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "report.html").write_text("years of work")
    with pytest.raises(
        FolderError, match=r"no manifest\.json.*choose another" if force else "not empty; choose another"
    ):
        check_folder(folder, force)


def test_a_manifest_lists_what_was_written(tmp_path):
    folder = tmp_path / "new"
    fill(folder, {"limit.png": "1", "share.png": "2"})
    listed = json.loads((folder / MANIFEST).read_text())["files"]
    assert listed == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in [("limit.png", "1"), ("share.png", "2")]
    }
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_file_changed_since_is_not_lost(tmp_path):
    folder = tmp_path / "notes"
    fill(folder, {"report.html": "made", "numbers.csv": "made"})
    (folder / "numbers.csv").write_text("made, with my notes")
    before = contents(folder)
    with pytest.raises(FolderError, match=r"numbers\.csv was changed after"), filling(folder, True) as made:
        (made / "numbers.csv").write_text("new")
    assert contents(folder) == before
    (folder / "numbers.csv").unlink()  # what is gone is no obstacle
    fill(folder, {"numbers.csv": "new"}, force=True)
    assert set(contents(folder)) == {"numbers.csv", MANIFEST}


def test_a_changed_file_becomes_a_link_elsewhere(tmp_path):
    folder, target = tmp_path / "links", tmp_path / "target"
    fill(folder, {"numbers.csv": "made"})
    (folder / "numbers.csv").rename(target)
    (folder / "numbers.csv").symlink_to(target)
    with pytest.raises(FolderError, match=r"numbers\.csv was changed"):
        fill(folder, {"numbers.csv": "new"}, force=True)
    assert target.read_text() == "made"


def test_a_file_of_the_readers_in_the_way_is_found_before_anything_runs(tmp_path, monkeypatch):
    folder = tmp_path / "way"
    fill(folder, {"limit.png": "made"})
    (folder / "report.html").write_text("mine")
    (tmp_path / "t.csv").write_text("prompt_id,reward\n0,1\n")
    monkeypatch.setattr("alignlib.cli._question.Question.answered", lambda *_, **__: pytest.fail("it was read"))
    options = ["report", str(tmp_path / "t.csv"), "--reward", "reward", "-o", str(folder), "--force"]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 2
    assert "report.html is in the way, and no report wrote it; choose another folder." in done.stderr


def test_a_file_of_the_readers_in_the_way(tmp_path):
    folder = tmp_path / "way"
    fill(folder, {"limit.png": "made"})
    (folder / "share.png").write_text("mine")
    before = contents(folder)
    with pytest.raises(FolderError, match=r"share\.png is in the way, and no report wrote it"):
        fill(folder, {"limit.png": "new", "share.png": "new"}, force=True)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["way"]


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "[]",
        "{}",
        '{"schema": 1, "files": ["limit.png"]}',
        '{"files": {"limit.png": "x"}}',
        '{"schema": 1, "files": {}, "replacing": 3}',
        '{"schema": 1, "files": {"limit.png": []}}',
        '{"schema": 1, "files": {"limit.png": "x"}, "replacing": {"limit.png": [1, "x"]}}',
        "[" * 100_000,
    ],
)
def test_a_manifest_that_no_report_wrote(tmp_path, manifest):
    folder = tmp_path / "report"
    folder.mkdir()
    (tmp_path / "outside").write_text("mine")
    (folder / MANIFEST).write_text(manifest)
    with pytest.raises(FolderError, match=r"no manifest\.json of an earlier report"):
        fill(folder, {"limit.png": "new"}, force=True)
    assert (tmp_path / "outside").read_text() == "mine"


@pytest.mark.parametrize("key", ["files", "replacing"])
@pytest.mark.parametrize(
    "name",
    ["thesis.txt", "REPORT.html", "report.html ", "../outside", "/etc/passwd", "", "sub/a", MANIFEST, "\0", "a.png"],
)
def test_a_manifest_that_lists_what_no_report_writes(tmp_path, name, key):
    folder = tmp_path / "edited"
    fill(folder, {"report.html": "made"})
    for mine in ("thesis.txt", "REPORT.html", "a.png", "../outside"):
        (folder / mine).write_text("mine")
    data = json.loads((folder / MANIFEST).read_text())
    digest = hashlib.sha256(b"mine").hexdigest()
    data.setdefault(key, {})[name] = digest if key == "files" else [digest]
    (folder / MANIFEST).write_text(json.dumps(data))
    before = contents(folder)
    said = re.escape(f"{folder / MANIFEST} lists {name!r}, which no report writes") + ".*choose another folder"
    with pytest.raises(FolderError, match=said):
        check_folder(folder, True)
    with pytest.raises(FolderError, match=said):
        fill(folder, {"report.html": "new"}, force=True)
    assert contents(folder) == before
    assert (tmp_path / "outside").read_text() == "mine"


@pytest.mark.parametrize("schema", [99, 0, "1", True, 1.0, None, [1]])
def test_a_manifest_of_an_unknown_schema(tmp_path, schema):
    folder = tmp_path / "later"
    fill(folder, {"report.html": "made"})
    data = json.loads((folder / MANIFEST).read_text())
    assert data["schema"] == 1
    (folder / MANIFEST).write_text(json.dumps(data | {"schema": schema}))
    before = contents(folder)
    with pytest.raises(FolderError, match=r"manifest\.json is not of schema 1, .*choose another folder"):
        fill(folder, {"report.html": "new"}, force=True)
    assert contents(folder) == before


def test_a_report_writes_no_other_names(tmp_path, made):
    folder, _ = made
    assert {path.name for path in folder.iterdir()} == REPORT_FILES | {MANIFEST}
    with pytest.raises(FolderError, match=r"notes\.txt is no file of a report"):
        fill(tmp_path / "new", {"report.html": "made", "notes.txt": "made"})
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_stays_the_same_folder(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    folder.chmod(0o700)
    before = folder.stat()
    fill(folder, {"report.html": "made"})
    fill(folder, {"report.html": "again"}, force=True)
    assert folder.stat().st_ino == before.st_ino
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert contents(folder)["report.html"] == "again"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_whose_own_folder_is_closed_or_another_disk(tmp_path, monkeypatch):
    """As a mount point: what is made cannot wait beside it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and access(path, mode))
    for force, said in ((False, "made"), (True, "again")):
        check_folder(folder, force)
        with filling(folder, force) as made:
            assert made.is_relative_to(folder)
            (made / "report.html").write_text(said)
            with pytest.raises(FolderError, match="Another report is being written"), filling(folder, True):
                pytest.fail("two at once")
        assert contents(folder)["report.html"] == said
        assert set(contents(folder)) == {MANIFEST, "report.html"}
    with pytest.raises(FolderError, match="not writable; choose another place"):
        check_folder(tmp_path / "new", False)


def test_the_working_directory_is_still_there(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    fill(Path("."), {"report.html": "made"})
    assert sorted(os.listdir(".")) == [MANIFEST, "report.html"]


def test_what_breaks_off_leaves_an_empty_folder_empty(tmp_path, monkeypatch):
    folder = tmp_path / "empty"
    folder.mkdir()
    rename = os.rename

    def full_disk(source, target):
        if Path(source).name == "share.png":
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", full_disk)
    with pytest.raises(OSError, match="No space left"):
        fill(folder, {"limit.png": "new", "share.png": "new"})
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_full_disk_is_said_of_the_folder_that_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="No space left") as refused, filling(Path("report"), force=False) as made:
        raise OSError(errno.ENOSPC, "No space left on device", str(made / "limit.png"))
    assert refused.value.filename == str(Path("report", "limit.png"))
    assert list(tmp_path.iterdir()) == []
    said = f"cell 8: OSError: [Errno {errno.ENOSPC}] No space left on device: '{made}/limit.png'"
    failed = _failed(said, made, Path("report"))
    assert isinstance(failed, OSError)
    assert failed.filename == "report"
    assert str(_failed(f"cell 3: ValueError: {made}/x", made, Path("report"))) == (
        "The report failed: cell 3: ValueError: report/x"
    )


def test_a_folder_that_is_a_link_to_itself(table, tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for folder in (loop, loop / "report"):
        with pytest.raises(FolderError, match=r"loop.* cannot be reached \(.*\); choose another place"):
            check_folder(folder, False, table)
    check_folder(tmp_path / "new", False, loop)  # of a table, its reader says what is wrong
    result = run(table, "--prompt", "q", "--reward", "proxy", "-o", loop)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "is a link that leads back to itself; correct the link" in result.stderr


def working_folder(folder):
    with filling(folder, False):
        (place,) = folder.parent.glob(".alignlib-report-*")
    folder.joinpath(MANIFEST).unlink()
    folder.rmdir()
    return place


@pytest.mark.parametrize(
    "name", ["thesis.txt", "made/thesis.txt", "report.html", "earlier/.report.html.x", "made/gold.png/a"]
)
def test_a_working_folder_with_files_of_others(tmp_path, name):
    folder = tmp_path / "report"
    mine = working_folder(folder) / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    before = set(tmp_path.rglob("*"))
    with pytest.raises(FolderError, match=r"no report wrote it; move it away or choose another folder"):
        fill(folder, {"report.html": "made"})
    assert set(tmp_path.rglob("*")) == before
    assert mine.read_text() == "mine"


def test_links_and_files_where_the_working_folder_goes(tmp_path):
    folder, target = tmp_path / "report", tmp_path / "target"
    place = working_folder(folder)
    target.mkdir()
    (target / "report.html").write_text("mine")
    place.symlink_to(target)
    with pytest.raises(FolderError, match="no report wrote it"):
        fill(folder, {"report.html": "made"})
    place.unlink()
    place.write_text("mine")
    with pytest.raises(FolderError, match="no report wrote it"):
        fill(folder, {"report.html": "made"})
    assert place.read_text() == "mine"
    place.unlink()
    place.mkdir()
    (place / "made").symlink_to(target)
    with pytest.raises(FolderError, match="no report wrote it"):
        fill(folder, {"report.html": "made"})
    assert contents(target) == {"report.html": "mine"}


def test_what_others_put_into_the_working_folder_stays(tmp_path):
    with filling(tmp_path / "report", False) as made:
        (made / "report.html").write_text("made")
        mine = made.parent / "thesis.txt"
        mine.write_text("mine")
    assert list(mine.parent.iterdir()) == [mine]


def test_what_breaks_off_is_undone(tmp_path, monkeypatch):
    folder = tmp_path / "whole"
    fill(folder, {"limit.png": "old", "share.png": "old"})
    before = contents(folder)
    rename = os.rename

    def full_disk(source, target):
        if Path(source).name == "share.png" and Path(source).parent.name == "made":
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", full_disk)
    with pytest.raises(OSError, match="No space left"):
        fill(folder, {"limit.png": "new", "share.png": "new"}, force=True)
    monkeypatch.undo()
    assert contents(folder) == before
    fill(folder, {"limit.png": "new"}, force=True)  # and the next report may still replace them
    assert set(contents(folder)) == {"limit.png", MANIFEST}


def test_a_second_report_into_the_folder_is_refused(tmp_path):
    folder = tmp_path / "busy"
    with filling(folder, False) as made:
        (made / "limit.png").write_text("first")
        with pytest.raises(FolderError, match="Another report is being written"), filling(folder, True):
            pytest.fail("two at once")
    assert contents(folder)["limit.png"] == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["busy"]


def test_what_a_killed_report_left_is_cleared(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from alignbook.manifest import filling\n"
        "with filling(Path(sys.argv[1]), False) as made:\n"
        "    for name in ('report.html', '.limit.png.alignlib-0123abcd-12-0123abcd'): (made / name).write_text('x')\n"
        "    os.kill(os.getpid(), 9)"
    )
    folder = tmp_path / "killed"
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert len(list(tmp_path.iterdir())) == 1  # its working folder
    fill(folder, {"limit.png": "1"})
    assert [path.name for path in tmp_path.iterdir()] == ["killed"]
    assert set(contents(folder)) == {"limit.png", MANIFEST}


def test_what_a_killed_report_to_another_folder_left_is_cleared(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from alignbook.manifest import filling\n"
        "with filling(Path(sys.argv[1]), False) as made:\n"
        "    (made / 'report.html').write_text('x'); os.kill(os.getpid(), 9)"
    )

    def kill(name):
        before = set(tmp_path.iterdir())
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False)
        (left,) = set(tmp_path.iterdir()) - before
        return left

    kept = kill("first")
    (kept / "made" / "thesis.txt").write_text("mine")
    kill("second")
    unmarked = tmp_path / ".alignlib-report-mine"
    unmarked.mkdir()
    fill(tmp_path / "next", {"limit.png": "1"})
    assert set(tmp_path.iterdir()) == {kept, unmarked, tmp_path / "next"}
    assert (kept / "made" / "thesis.txt").read_text() == "mine"
    assert (kept / "made" / "report.html").read_text() == "x"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_kill_while_a_manifest_is_written_leaves_nothing_beside_it(tmp_path, moment, force):
    """The passing file lies in the working folder, which the next report clears."""
    code = (
        "import os, sys; from pathlib import Path; from alignbook.manifest import filling\n"
        "replace, count = os.replace, [0]\n"
        "def killed(source, target):\n"
        "    if count[0] == int(sys.argv[2]): os.kill(os.getpid(), 9)\n"
        "    count[0] += 1; replace(source, target)\n"
        "os.replace = killed\n"
        "with filling(Path(sys.argv[1]), bool(sys.argv[3])) as made:\n"
        "    (made / 'report.html').write_text('x')"
    )
    folder = tmp_path / "killed"
    folder.mkdir()
    mine = f".{MANIFEST}.7"
    if force:
        fill(folder, {"report.html": "old"})
        (folder / mine).write_text("mine")
    arguments = [str(folder), str(moment), "yes" if force else ""]
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=False)
    assert done.returncode == -9
    assert {path.name for path in folder.iterdir()} <= {"report.html", MANIFEST, mine}
    fill(folder, {"report.html": "new"}, force=True)
    expected = {"report.html", MANIFEST, mine} if force else {"report.html", MANIFEST}
    assert set(contents(folder)) == expected
    assert list(tmp_path.iterdir()) == [folder]


def test_the_table_may_not_lie_in_the_folder(table, tmp_path):
    folder = tmp_path / "both"
    folder.mkdir()
    inside = folder / "numbers.csv"
    inside.write_bytes(table.read_bytes())
    (tmp_path / "link.csv").symlink_to(inside)
    for given in (inside, tmp_path / "link.csv", folder / ".." / "both" / "numbers.csv"):
        for force in ([], ["--force"]):
            result = run(given, "--prompt", "q", "--reward", "proxy", "-o", folder, *force)
            assert (result.exit_code, result.stdout) == (2, "")
            assert "where the report would go; choose another folder" in result.stderr
    assert list(folder.iterdir()) == [inside]
    assert inside.read_bytes() == table.read_bytes()


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="is a file; name a folder"):
        check_folder(tmp_path / "file", False)
    with pytest.raises(FolderError, match="does not exist or is not writable; choose another"):
        check_folder(tmp_path / "no" / "where", False)
    check_folder(tmp_path / "new", False)
    (tmp_path / "empty").mkdir()
    check_folder(tmp_path / "empty", False)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--prompt", "q", "--reward", "prxy"], "did you mean 'proxy'?"),
        (["--prompt", "q", "--reward", "proxy", "--n", "64"], "n must not exceed 32"),
        (["--prompt", "q", "--reward", "proxy", "--kl", "-1"], "kl must not be negative"),
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
    fill(folder, {"report.html": "earlier"})
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


@pytest.mark.parametrize("known", ["--gold-correlation", "--gold-table"])
def test_gold_from_a_correlation_goes_into_the_report(table, tmp_path, monkeypatch, known):
    """The notebook is given what `frontier` says, and parameters with which it finds the same by itself."""
    frame = pd.read_csv(table)
    frame["sample_id"] = frame.groupby("q").cumcount()
    frame.drop(columns="gold").to_csv(tmp_path / "t.csv", index=False)
    frame.groupby("q").head(5)[["q", "sample_id", "gold"]].to_csv(tmp_path / "few.csv", index=False)
    told = {}
    monkeypatch.setattr(
        "alignbook.report.write_report", lambda values, folder, force, found: told.update(values, found=found)
    )
    value = "0.9,0.8,0.95" if known == "--gold-correlation" else str(tmp_path / "few.csv")
    done = run(tmp_path / "t.csv", "--prompt", "q", "--reward", "proxy", known, value, "-o", tmp_path / "report")
    assert done.exit_code == 0, done.stderr
    promise = told.pop("found").promise
    assert gold_promise.answer_line(promise) in done.stdout
    assert promise.promise.promised.max() > 0.0
    assert (told.get("gold_correlation"), told["gold"]) == (
        ([0.9, 0.8, 0.95], None) if known == "--gold-correlation" else (None, "gold")
    )
    parameters = own_project().find("your_own_rewards").parameters
    resolve(parameters, {**told, "table": str(tmp_path / "t.csv"), "folder": str(tmp_path / "new")})
    picture = gold_picture(plt.figure().add_subplot(), None, None, promise)
    assert [one.get_text() for one in picture.get_yticklabels()] == list(promise.promise.policy)
    plt.close("all")


def test_a_report_does_not_go_where_the_gold_lies(table, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "few.csv").write_text("q,gold\nq0,1\n")
    done = run(
        table,
        "--prompt",
        "q",
        "--reward",
        "proxy",
        "--gold-table",
        tmp_path / "out" / "few.csv",
        "-o",
        tmp_path / "out",
    )
    assert done.exit_code == 2
    assert "few.csv lies in" in done.stderr


def test_a_pattern_may_not_read_from_where_the_report_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rep").mkdir()
    (tmp_path / "r").mkdir()
    (tmp_path / "rep" / "more.csv").write_text("prompt_id,reward\n0,1\n0,2\n1,3\n1,5\n")
    for words in (["*/more.csv", "-o", "rep", "--force"], ["rep/more.csv", "-o", "r", "--summary", "r/s.parquet"]):
        done = CliRunner().invoke(main, ["report", words[0], "--reward", "reward", *words[1:]])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "where the report" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["r", "rep"]
    assert not os.listdir(tmp_path / "r")
    assert os.listdir(tmp_path / "rep") == ["more.csv"]
