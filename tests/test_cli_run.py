"""`alignlib run`, `claims` and `sync`: what they write, what they refuse, and that sources stay as they are."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from alignbook import rerun
from alignbook.page import write_page
from alignbook.project import Project
from alignlib import InputError
from alignlib._core.claims import claimed
from alignlib.answers.output.render import schema
from alignlib.cli.main import main
from tests.small_project import GOOD, ROOT, make_project, plain

if TYPE_CHECKING:
    from playwright.sync_api import Browser

READS = plain("text = open(table).read() if table else 'nothing'\nprint(text)", title="Reads a file").replace(
    "n: int = 1  # a number, >= 0",
    "n: int = 1  # a number, >= 0\ntable: str | None = None  # your table, existing file",
)
SCRIPTS = {
    "01_roots": GOOD,
    "02_reads": READS,
    "03_sums": plain("if n == 7:\n    raise ValueError('n must not be 7. Take another.')", title="Sums"),
    "04_pairs": plain("print(n, top)", title="Pairs").replace(
        "n: int = 1  # a number, >= 0\n",
        'n: int = 1  # a number, >= 0\ntop: int = 5  # the largest, >= 0\n\n# %% tags=["conditions"]\n'
        "from alignbook.conditions import need\n\nneed(n < top, f'n must be below top, {top}; got {n}.')\n",
    ),
}


@pytest.fixture(scope="session", name="clone")
def _clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, paired once in each process of the tests."""
    return make_project(tmp_path_factory.mktemp("once") / "clone", SCRIPTS).root


@pytest.fixture(name="project")
def _project(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(Path(shutil.copytree(clone, tmp_path / "clone")))
    monkeypatch.chdir(project.root)
    monkeypatch.setattr("alignbook.project.own_project", lambda: project)
    return project


def alignlib(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def sources(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in project.folder.iterdir()}


def test_list_shows_every_notebook_with_its_parameters(project: Project) -> None:
    result = alignlib("run", "--list")
    assert result.exit_code == 0
    assert result.output.startswith("01_roots  Roots\n  n: int = 5\n      number of points, >= 2\n  top: float = 4.0\n")
    assert "02_reads  Reads a file" in result.output
    assert "  table: str | None = None\n      your table, existing file\n" in result.output


def test_list_of_one(project: Project) -> None:
    assert alignlib("run", "sums", "--list").output.startswith("03_sums  Sums\n")


HOSTILE = plain("print(n)", title="x \x1b]0;p\x07 \u202eabc").replace("# a number", "# a number\x1b[31m")


def test_what_notebooks_say_reaches_no_terminal_raw(project: Project) -> None:
    (project.folder / "05_x\x1b[31m.py").write_text(HOSTILE)
    for arguments in (["run", "--list"], ["run", "5", "--help"], ["sync"]):
        said = alignlib(*arguments)
        assert said.exit_code == 0
        assert not set(said.output) & {"\x1b", "\x07", "\u202e"}, arguments
        assert "\\x1b" in said.output


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("05_x.py", "# café".encode("latin-1"), r"05_x\.py is not UTF-8 \(byte 5\); save it as UTF-8"),
        ("01_roots.ipynb", b'{"cells": "\xff"}', r"01_roots\.ipynb is not UTF-8"),
        ("05_x.py", None, r"05_x\.py is no file, but a pipe, a folder or a device; take it away"),
        (
            "05_x.py",
            plain("1").replace("= 1", f"= {'-' * 50_000}1").encode(),
            r"cell of 05_x\.py is no Python|a literal",
        ),
        ("pages.yml", b"- a", r"pages\.yml is no list of pages by name"),
        ("pages.yml", b": : :", r"pages\.yml is no YAML that can be read"),
        ("pages.yml", b"\xff", r"pages\.yml is not UTF-8"),
        ("pages.yml", b"p:\n  n: 3", r"pages\.yml names no script for the page 'p'"),
        ("pages.yml", b"p: [x, x]", r"pages\.yml names no script for the page 'p'"),
        ("pages.yml", b"p: !!python/object/apply:os.system ['touch run']", r"pages\.yml is no YAML that can be read"),
    ],
    ids=range(10),
)
def test_a_notebook_that_cannot_be_read_is_named(project: Project, name: str, content: bytes | None, said: str) -> None:
    path = project.folder / name
    path.write_bytes(content) if content is not None else os.mkfifo(path)
    result = alignlib("sync", "--check") if name.endswith(".ipynb") else alignlib("run", "--list")
    assert result.exit_code == 2
    assert re.search(said, result.stderr), result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("run").exists()


def test_a_script_with_a_mark_of_its_editor_is_read(project: Project) -> None:
    script = project.folder / "01_roots.py"
    script.write_bytes(b"\xef\xbb\xbf" + script.read_bytes())
    assert alignlib("run", "1", "--list").output.startswith("01_roots  Roots\n")


@pytest.mark.parametrize("name", ["1", "01", "roots", "01_roots", "01_roots.py"])
def test_names(project: Project, name: str) -> None:
    assert project.find(name).name == "01_roots"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rots", "-o", "out.ipynb"], "Unknown notebook 'rots'; did you mean '01_roots'? Allowed: 01_roots, 02_reads"),
        (["roots", "-p", "m", "3", "-o", "out.ipynb"], "Unknown parameter 'm'. Allowed: n, top."),
        (["roots", "--m", "3", "-o", "out.ipynb"], "Unknown parameter '--m'. Allowed: --n, --top."),
        (["roots", "--topp=3", "-o", "out.ipynb"], "Unknown parameter '--topp'; did you mean '--top'? Allowed: --n"),
        (["roots", "--n", "4", "-p", "n", "3", "-o", "out.ipynb"], "--n is given twice; give it once."),
        (["roots", "-o", "out.ipynb", "--n"], "--n is no option, nor a parameter with a value; see --help."),
        (["roots", "--htlm", "-o", "out.ipynb"], "--htlm is no option, nor a parameter with a value; see --help."),
        (["roots", "-x", "-o", "out.ipynb"], "-x is no option, nor a parameter with a value; see --help."),
        (["roots", "sums", "-o", "out.ipynb"], "One notebook at a time; got roots, sums."),
        (["roots", "-p", "n", "3.0", "-o", "out.ipynb"], "n must be an integer; got '3.0'."),
        (["roots", "-p", "n", "1", "-o", "out.ipynb"], "n must be >= 2; got 1."),
        (["reads", "-p", "table", "no.csv", "-o", "out.ipynb"], "table must be the path of an existing file"),
        (["reads", "--table", "", "-o", "out.ipynb"], "--table must be the path of an existing file; got ''"),
        (["pairs", "--n", "7", "-o", "out.ipynb"], "Error: --n must be below top, 5; got 7.\n"),
        (["pairs", "--top", "1", "-o", "out.ipynb"], "Error: n must be below --top, 1; got 1.\n"),
        (["roots"], "Say where to: alignlib run roots -o out.ipynb"),
        (["roots", "--foo", "3"], "Unknown parameter '--foo'"),
        ([], "Say which notebook and where to"),
        (["roots", "-o", "out.html"], "--output must end in .ipynb"),
        (["roots", "-o", "notebooks/01_roots.ipynb"], "lies among the sources"),
        (["roots", "-o", "notebooks/new.ipynb"], "lies among the sources"),
        (["roots", "-o", "nowhere/out.ipynb"], "does not exist; make it first"),
        (["roots", "-o", "b" * 245 + ".ipynb"], "its name is too long"),
        (["roots", "-o", "out.ipynb", "--crate", "out.ipynb"], "--crate must lie beside the output"),
        (["", "-o", "out.ipynb"], "The name of the notebook is empty"),
        (["elsewhere/01_roots.py", "-o", "out.ipynb"], "'elsewhere/01_roots.py' is no notebook of this project"),
    ],
)
def test_refusals_are_one_sentence_and_run_nothing(project: Project, arguments: list[str], said: str) -> None:
    before = sources(project)
    result = alignlib("run", *arguments)
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert said in result.output
    assert result.output.count("\n") == 1
    assert sources(project) == before
    assert {path.name for path in project.root.iterdir()} == {"notebooks", "jupytext.toml", "pyproject.toml"}


def test_a_name_that_could_be_two(project: Project) -> None:
    (project.folder / "04_roots.py").write_text(GOOD)
    result = alignlib("run", "roots", "-o", "out.ipynb")
    assert result.exit_code == 2
    assert "'roots' could be any of 01_roots, 04_roots; say which." in result.output


def test_notebooks_of_another_project_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path, {"01_theirs": plain()})
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    monkeypatch.chdir(tmp_path)
    assert alignlib("run", "--list").output.startswith("00_primer  ")
    assert "Unknown notebook 'theirs'" in alignlib("run", "theirs", "-o", "out.ipynb").output


def test_a_folder_that_calls_itself_a_clone_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path, {"10_best_of_n": plain()})
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    found = CliRunner().invoke(main, ["run", "best_of_n", "--list"])
    assert found.exit_code == 0
    assert "n_max" in found.output  # ours
    assert f"Those of {tmp_path}, the folder around you, are not run" in found.output


def test_parameters_as_options_of_their_own_name(project: Project) -> None:
    """``--table PATH`` is ``-p table PATH``: anywhere, with or without ``=``, negative numbers too."""
    (project.root / "mine.csv").write_text("all mine\n")
    result = alignlib("run", "--table", "mine.csv", "reads", "-o", "out.ipynb", "--n=3")
    assert result.exit_code == 0, result.output
    node = nbformat.read("out.ipynb", as_version=4)
    assert node.metadata["alignlib"]["parameters"] == {"n": 3, "table": str(project.root / "mine.csv")}
    assert "all mine" in str(node.cells)
    assert "n must be >= 0; got -3." in alignlib("run", "reads", "--n", "-3", "-o", "out.ipynb").output


def test_rerun_with_other_parameters_and_a_page(project: Project) -> None:
    before = sources(project)
    shutil.copy(ROOT / "CITATION.cff", project.root)
    values = ["-p", "n", "3", "-p", "top", "9"]
    result = alignlib("run", "roots", *values, "-o", "out.ipynb", "--html", "--crate", "out.crate")
    assert result.exit_code == 0, result.output
    assert "Wrote out.crate" in result.output
    assert "2 of 2 claims hold by their numbers." in alignlib("verify", "out.crate").output
    assert "out.crate exists" in alignlib("run", "roots", "-o", "b.ipynb", "--crate", "out.crate").output
    assert "Wrote out.ipynb" in result.output
    assert "Wrote out.html" in result.output
    assert sources(project) == before
    assert not [path for path in project.root.iterdir() if path.name.startswith((".", "out.failed"))]

    node = nbformat.read("out.ipynb", as_version=4)
    assert node.metadata["alignlib"]["parameters"] == {"n": 3, "top": 9.0}
    assert node.metadata["alignlib"]["numbers"] == {"root": 3.0}
    assert "With 3 points the largest root is 3.00" in node.cells[0].source

    page = Path("out.html").read_text(encoding="utf-8")
    assert "3 roots." in page
    assert 'alt="Up to 3.00."' in page
    assert "glued it is <span" in page
    assert "{{" not in page.split("<main ")[1]
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*?(?:src|href)="([^"]*)"', page)
    assert loaded
    assert all(address.startswith("data:image/") for address in loaded)


def test_a_failing_notebook_leaves_the_output_alone(project: Project) -> None:
    Path("out.ipynb").write_text("old")
    Path("out.failed.ipynb").write_text("mine")
    result = alignlib("run", "sums", "-p", "n", "7", "-o", "out.ipynb", "--html", "--force")
    assert result.exit_code == 1
    assert "03_sums failed, cell 4: ValueError: n must not be 7. Take another." in result.output
    assert "out.failed-2.ipynb" in result.output
    assert Path("out.failed.ipynb").read_text() == "mine"
    assert Path("out.ipynb").read_text() == "old"
    assert not Path("out.html").exists()
    nbformat.validate(nbformat.read("out.failed-2.ipynb", as_version=4))


def test_nothing_is_replaced_unasked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("out.ipynb", "out.html"):
        Path(name).write_text("mine")
        result = alignlib("run", "roots", "-o", "out.ipynb", "--html")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"Error: {name} exists; choose another output, or pass --force to replace it.\n"
        Path(name).unlink()
    Path("out.ipynb").write_text("mine")
    found = rerun.show

    def crate_is_made(runs: Any, names: list[str]) -> Any:
        Path("cr").mkdir()
        return kept.setdefault("runs", list(found(runs, names)))

    kept: dict[str, Any] = {}
    monkeypatch.setattr(rerun, "show", crate_is_made)
    result = alignlib("run", "sums", "-o", "out.ipynb", "--force", "--crate", "cr")
    assert (result.exit_code, Path("out.ipynb").read_text()) == (2, "mine"), "another took one place: none is taken"
    monkeypatch.setattr(rerun, "show", lambda runs, names: kept["runs"])
    assert alignlib("run", "sums", "-o", "out.ipynb", "--force").exit_code == 0
    assert nbformat.read("out.ipynb", as_version=4).cells


@pytest.mark.parametrize(
    ("output", "arguments"),
    [
        ("out.ipynb", ["run", "roots", "-o", "out.ipynb", "--force"]),
        ("out.html", ["run", "roots", "-o", "out.ipynb", "--html", "--force"]),
        ("cr", ["run", "roots", "-o", "out.ipynb", "--crate", "cr"]),
        ("out.csv", ["sweep", "roots", "--grid", "n=4", "-o", "./out.csv", "--force"]),
        ("out.parquet", ["frontier", "t.csv", "--reward", "reward", "--summary", "out.parquet"]),
        ("out.png", ["frontier", "t.csv", "--reward", "reward", "-o", "out.png", "--force"]),
    ],
)
def test_an_output_that_another_command_makes_is_not_made_twice(
    project: Project, output: str, arguments: list[str]
) -> None:
    Path("t.csv").write_text("prompt_id,reward\n" + "".join(f"{k // 8},{k * k % 7}\n" for k in range(64)))
    Path(f".{output}.alignlib-claim").touch()  # a killed one left it
    before = sorted(Path().iterdir())
    with claimed(Path(output)):
        result = alignlib(*arguments)
        assert result.exit_code == 2
        assert f"Another process is at work on {Path(output).resolve()}; wait for it" in result.stderr
    assert sorted(Path().iterdir()) == [path for path in before if path.suffix != ".alignlib-claim"]
    assert [path.name for path in Path().glob(".*.alignlib-claim")] == []


def test_outputs_of_other_names_are_others(tmp_path: Path) -> None:
    names = ["a" * 125 + end for end in (".svg", ".parquet")] + ["é" * 120 + end for end in "12"]
    names += [os.fsdecode(b"\xfe.svg"), os.fsdecode(b"\xff.svg")]  # as a disk of Linux may name them
    with claimed(*(tmp_path / name for name in names)):
        for name in names:
            with pytest.raises(InputError, match="at work"), claimed(tmp_path / name):
                pass
    assert list(tmp_path.iterdir()) == []


FILLS = plain(
    """from pathlib import Path
if folder is not None:
    assert not list(Path(folder).iterdir())
    Path(folder, "limit.png").write_text(f"made with {n}")
    if n == 7:
        raise ValueError("no seven")""",
    title="Fills a folder",
).replace(
    "n: int = 1  # a number, >= 0",
    "n: int = 1  # a number, >= 0\nfolder: str | None = None  # where to leave it, new folder",
)


def test_a_folder_is_filled_whole_where_the_reader_stands(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.folder / "04_fills.py").write_text(FILLS)
    place = project.root / "mine"
    place.mkdir()
    monkeypatch.chdir(place)

    def run(*more: str) -> Result:
        return alignlib("run", "fills", "--folder", "left", "-o", f"{len(list(place.iterdir()))}.ipynb", *more)

    made = run()
    assert made.exit_code == 0, made.stderr
    assert {path.name for path in place.iterdir()} == {"left", "0.ipynb"}
    assert {path.name for path in (place / "left").iterdir()} == {"limit.png", "manifest.json"}
    assert ".alignlib" not in (place / "0.ipynb").read_text()
    assert nbformat.read("0.ipynb", as_version=4).metadata["alignlib"]["parameters"]["folder"] == str(place / "left")
    again = run()
    assert (again.exit_code, again.stdout) == (2, "")
    assert "is not empty; choose another folder, or pass --force to replace an earlier report" in again.stderr
    (place / "left" / "mine.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in (place / "left").iterdir()}
    assert run("--force", "--n", "7").exit_code == 1
    assert {path.name: path.read_bytes() for path in (place / "left").iterdir()} == before
    assert run("--force", "--n", "2").exit_code == 0
    assert (place / "left" / "limit.png").read_text() == "made with 2"
    assert (place / "left" / "mine.txt").read_text() == "mine"
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


def test_a_claim_that_fails_with_these_parameters_is_said(project: Project) -> None:
    script = plain().replace(
        "claims.at_least(", 'claims.at_most("cap", "no root exceeds 10", "we derive", n, 10), claims.at_least('
    )
    (project.folder / "05_caps.py").write_text(script)
    result = alignlib("run", "caps", "-p", "n", "20", "-o", "out.ipynb")
    assert result.exit_code == 1
    assert "With these parameters the claim 'cap' does not hold: no root exceeds 10" in result.output
    assert Path("out.ipynb").is_file()


def test_a_readers_file_is_found_from_where_they_stand(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    place = project.root / "mine"
    place.mkdir()
    (place / "rewards.csv").write_text("mine indeed")
    monkeypatch.chdir(place)
    result = alignlib("run", "reads", "-p", "table", "rewards.csv", "-o", "out.ipynb")
    assert result.exit_code == 0, result.output
    assert "mine indeed" in (place / "out.ipynb").read_text()


def test_claims(project: Project) -> None:
    result = alignlib("claims")
    assert result.exit_code == 2
    assert "run `make book` first" in result.output

    def built(value: float, *, must_hold: bool, names: tuple[str, ...] = tuple(SCRIPTS)) -> Result:
        claim = {"key": "k", "statement": "small", "source": "P26", "kind": "at most", "value": value, "expected": 1.0}
        claim |= {"tolerance": 0.0, "points": 1, "must_hold": must_hold, "holds": True, "interval": None}
        project.build.mkdir(exist_ok=True)
        data = {name: {"title": "T", "claims": [claim], "numbers": {}} for name in names}
        project.claims_file.write_text(json.dumps(data))
        return alignlib("claims")

    good = built(0.5, must_hold=True)
    assert good.exit_code == 0
    assert good.output.endswith("4 of 4 claims hold.\n")
    open_one = built(2.0, must_hold=False)
    assert open_one.exit_code == 0
    assert open_one.output.endswith("0 of 4 claims hold; 4 do not, as their pages say.\n")
    bad = built(2.0, must_hold=True)  # "holds": true in the file counts for nothing
    assert bad.exit_code == 1
    assert "FAIL small [P26]: 2 ≤ 1" in bad.output
    assert bad.output.endswith("0 of 4 claims hold; 4 that must hold do not.\n")
    document = json.loads(alignlib("claims", "--json").output)
    Draft202012Validator(schema("claims")).validate(document)
    assert document["notebooks"]["01_roots"]["title"] == "T"
    some = built(0.5, must_hold=True, names=("01_roots",))
    assert some.exit_code == 1
    assert "No record of 02_reads, 03_sums" in some.output


def test_sync(project: Project) -> None:
    assert alignlib("sync", "--check").output == "4 pairs agree.\n"
    (project.folder / "01_roots.ipynb").unlink()
    check = alignlib("sync", "--check")
    assert (check.exit_code, check.output) == (1, "01_roots.py has no paired 01_roots.ipynb; run `make sync`.\n")
    assert alignlib("sync").output == "Paired 01_roots, from 01_roots.py\n"
    assert alignlib("sync").output == ""


def test_sync_refuses_two_edits_and_pairs_the_rest(project: Project) -> None:
    for name in ("01_roots", "02_reads"):
        script = project.folder / f"{name}.py"
        script.write_text(script.read_text() + "\n# %%\n1\n")
    pair = project.folder / "01_roots.ipynb"
    pair.write_text(pair.read_text().replace("roots.", "square roots."))
    result = alignlib("sync")
    assert result.exit_code == 2
    assert "Paired 02_reads, from 02_reads.py\n" in result.output
    assert "Both 01_roots.py and 01_roots.ipynb were edited since they last agreed" in result.output


def test_sync_says_no_more_of_a_broken_notebook_than_its_sentence(project: Project) -> None:
    """Whatever libraries would write themselves: in a process as a shell starts it, which does all of them."""
    broken = [cells(None), cells(3), cells({"cell_type": "code", "source": "1", "metadata": {}}), "{", ""]
    program = (
        "import json, os, pathlib, sys\n"
        "from alignlib.__main__ import run\n"
        "path, *pairs = json.loads(sys.stdin.read())\n"
        "sys.argv = ['alignlib', 'sync']\n"
        "for pair in pairs:\n"
        "    pathlib.Path(path).write_text(pair)\n"
        "    try: run()\n"
        "    except SystemExit: sys.stderr.flush()\n"
        "    os.write(2, b'---\\n')"
    )
    told = json.dumps([str(project.folder / "01_roots.ipynb"), *broken])
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project.root, input=told, capture_output=True, text=True, check=False
    )
    said = done.stderr.split("---\n")
    assert (len(said), said[-1]) == (len(broken) + 1, ""), done.stderr
    for pair, one in zip(broken, said, strict=False):
        assert re.fullmatch(r"Error: [^\n]*01_roots.ipynb[^\n]*\n", one), (pair, one)


def cells(*held: object) -> str:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": held})


@pytest.mark.parametrize("command", ["sync", "claims"])
def test_outside_a_clone_there_is_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    make_project(tmp_path, {"01_a": plain()})
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    monkeypatch.chdir(tmp_path)
    result = alignlib(command)
    assert (result.exit_code, result.output) == (
        2,
        f"Error: {tmp_path} is in no clone of alignment-limits; change into one.\n",
    )


def test_a_page_cites_and_counts(tmp_path: Path) -> None:
    cells = [
        "# Title with $x^2$\n\nSee {cite:p}`key` and {prf:ref}`thm-a`.",
        "```{prf:theorem} A name\n:label: thm-a\n$\\KL{a}{b}\\ge 0$\n```",
    ]
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(cell) for cell in cells])
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "references.bib").write_text("@misc{key, author={A. Uthor}, title={A Work}, year={2024}}\n")
    config = "sphinx:\n  config:\n    mathjax3_config: {tex: {macros: {KL: ['D(#1|#2)', 2]}}}\n"
    (tmp_path / "_config.yml").write_text(config)
    write_page(nbformat.writes(node), tmp_path / "out.html", tmp_path)
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert '"KL": ["D(#1|#2)", 2]' in page
    assert "Theorem 1" in page
    assert "Uthor. A work. 2024." in page
    assert "<title>Title with" in page


def test_a_page_reads_without_a_network(tmp_path: Path, browser: Browser) -> None:
    text = (
        "# Title\n\n$\\frac{1}{2}$\n\n$$\\cancel{x}\\in\\mathfrak{A}$$\n\nend"  # \cancel is in an extension of MathJax
    )
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    write_page(nbformat.writes(node), tmp_path / "out.html", ROOT)
    page = browser.new_page(viewport={"width": 390, "height": 800})
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((tmp_path / "out.html").as_uri())
    page.evaluate("MathJax.startup.promise")
    assert page.locator("mjx-container svg").count() == 2
    assert page.locator("mjx-container [data-mml-node='merror']").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert problems == []
    page.close()


def test_module_and_command_are_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alignlib", "run", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.startswith("Usage: alignlib run [OPTIONS] [NAME]")


def test_a_sweep_is_one_table(project: Project) -> None:
    """Every combination a row, in order, with claims and numbers; a run that fails is listed, and the rest is there."""
    result = alignlib("sweep", "pairs", "--grid", "n=3,4", "--grid", "top=5,9", "-o", "sweep.parquet")
    assert result.exit_code == 0, result.output
    rows = pq.read_table("sweep.parquet").to_pylist()
    assert [(row["n"], row["top"]) for row in rows] == [(3, 5), (3, 9), (4, 5), (4, 9)]
    assert {"seconds", "failed"} < set(rows[0])
    assert any(name.startswith("holds ") and value is True for name, value in rows[0].items())
    before = Path("sweep.parquet").read_bytes()
    assert "--force" in alignlib("sweep", "pairs", "--grid", "n=3", "-o", "sweep.parquet").output
    assert Path("sweep.parquet").read_bytes() == before
    assert not list(Path().glob(".*.kept"))  # all has run
    result = alignlib("run", "sums", "--sweep", "n=6:9", "-o", "sums.csv")  # the short form
    assert result.exit_code == 1
    assert "n = 7: failed, cell" in result.output
    said = "failed twice, see the column failed; the same command with --force runs these again:\n  n = 7"
    assert f"1 of 3 runs {said}" in result.output
    with Path("sums.csv").open(encoding="utf-8", newline="") as file:
        assert [bool(row["failed"]) for row in csv.DictReader(file)] == [False, True, False]
    result = alignlib("sweep", "sums", "--grid", "n=6,8", "-o", "sums.csv", "--force")  # nothing is run again
    assert result.exit_code == 0, result.output
    assert "done in" not in result.output
    assert not list(Path().glob(".*.kept"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--grid", "n"], "NAME=V1,V2"),
        (["--grid", "m=1"], "Unknown parameter 'm'"),
        (["--grid", "n=1,1"], "Error: n has the value '1' more than once"),
        (["--grid", "t-op=1"], "Unknown parameter 't-op'; did you mean 'top'?"),
        (["--grid", "n=1,-1"], "n must be"),
        (["--grid", "n=5:2"], "must rise"),
        (["--grid", "n=a:2"], "range of whole numbers"),
        (["--grid", "n=1:9999999"], "must rise by 1 to 10,000"),
        (["--grid", "n=1:200", "--grid", "top=1:200"], "at most 10,000 combinations"),
        (["--grid", "n=1", "--n", "2"], "Error: --n is given twice"),
        (["--grid", "n=1", "--topp", "2"], "Unknown parameter '--topp'; did you mean '--top'?"),
        (["--grid", "n=1,6", "--grid", "top=5"], "n must be below top, 5; got 6."),
        (["--grid", "n=1", "--workers", "2", "--scheduler", "tcp://x:1"], "name one"),
        (["--workers", "2"], "Say which notebook, over what"),
    ],
)
def test_a_bad_sweep_is_refused_before_it_starts(project: Project, arguments: list[str], said: str) -> None:
    """With one sentence."""
    result = alignlib("sweep", "pairs", *arguments, "-o", "a.csv")
    assert (result.exit_code, said in " ".join(result.output.split())) == (2, True), result.output
    assert not Path("a.csv").exists()


def test_a_range_is_for_whole_numbers(project: Project) -> None:
    result = alignlib("sweep", "roots", "--grid", "top=5:9", "-o", "a.csv")
    assert result.exit_code == 2
    assert "top takes no range, which is for whole numbers; got '5:9'. Give values" in " ".join(result.output.split())


def test_a_sweep_by_run_leaves_a_table_alone(project: Project) -> None:
    """No page and no crate of one run; a notebook is not its name."""
    for more, said in (
        ("--html", "leave --html out"),
        ("--crate=c", "leave --crate out"),
    ):
        result = alignlib("run", "pairs", "--sweep", "n=1,2", "-o", "a.csv", more)
        assert (result.exit_code, said in result.output) == (2, True), result.output
    assert "must end in .csv" in alignlib("run", "pairs", "--sweep", "n=1,2", "-o", "a.ipynb").output
