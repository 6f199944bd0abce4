"""Pairs: every notebook is a function of its script, without outputs, the same bytes everywhere."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import nbformat
import pytest

from alignbook.pairing import PairingError, alone, disagreement, render_pair, sync
from alignbook.project import Notebook
from tests.small_project import GOOD, ROOT, make_project, plain

FOLDER = ROOT / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_pair_agrees_and_has_no_outputs(script: Path) -> None:
    assert disagreement(script) is None
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags", "mystnb"}
    assert set(notebook.metadata) == {"kernelspec", "alignbook"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_named_and_parameterised(script: Path) -> None:
    assert re.fullmatch(r"\d\d_[a-z0-9_]+", script.stem), "name it NN_topic.py"
    notebook = Notebook(script)
    assert notebook.title
    assert notebook.parameters


def test_nothing_is_unpaired() -> None:
    scripts, pairs = ({p.stem for p in FOLDER.glob(f"*.{kind}")} for kind in ("py", "ipynb"))
    assert scripts == pairs


def test_numbers_are_unique() -> None:
    numbers = [script.stem[:2] for script in SCRIPTS]
    assert len(set(numbers)) == len(numbers)


def test_a_fresh_pairing_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (make_project(tmp_path / name, {"01_roots": GOOD}) for name in "ab")
    texts = [(project.folder / "01_roots.ipynb").read_bytes() for project in (one, two)]
    assert texts[0] == texts[1]
    assert b"jupytext" not in texts[0]


def test_equal_cells_get_different_ids(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"01_a": plain() + "\n# %%\nn\n\n# %%\nn\n"})
    ids = [cell["id"] for cell in json.loads((project.folder / "01_a.ipynb").read_text())["cells"]]
    assert len(set(ids)) == len(ids)


@pytest.fixture(name="script")
def _script(tmp_path: Path) -> Path:
    return make_project(tmp_path, {"01_a": plain("x = 1")}).folder / "01_a.py"


def touch(path: Path, *, newer_than: Path) -> None:
    os.utime(newer_than, (10**9, 10**9))
    os.utime(path, (2 * 10**9, 2 * 10**9))


def edit_pair(script: Path, code: str = "y = 3") -> Path:
    """Edit the notebook as Jupyter does, and leave an output in it."""
    pair = script.with_suffix(".ipynb")
    notebook = nbformat.read(pair, as_version=4)
    notebook.cells[2].source += f"\n{code}"
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", name="stdout", text="6\n")]
    nbformat.write(notebook, pair)
    return pair


@pytest.mark.parametrize("script_is_newer", [True, False])
def test_an_edited_script_reaches_its_pair_whichever_is_newer(script: Path, script_is_newer: bool) -> None:
    assert sync(script) is None
    edited = plain("x = 2")
    script.write_text(edited)
    pair = script.with_suffix(".ipynb")
    assert disagreement(script) == "01_a.ipynb does not agree with 01_a.py; run `make sync`."
    touch(script, newer_than=pair) if script_is_newer else touch(pair, newer_than=script)
    assert sync(script) == "01_a.py"
    assert script.read_text() == edited
    assert "x = 2" in pair.read_text()
    assert disagreement(script) is None


@pytest.mark.parametrize("script_is_newer", [True, False])
def test_an_edited_pair_reaches_its_script_whichever_is_newer(script: Path, script_is_newer: bool) -> None:
    before = script.read_text()
    pair = edit_pair(script)
    touch(script, newer_than=pair) if script_is_newer else touch(pair, newer_than=script)
    assert sync(script) == "01_a.ipynb"
    assert script.read_text().endswith(before.replace("x = 1", "x = 1\ny = 3"))
    assert pair.read_text() == render_pair(script)
    assert '"6' not in pair.read_text()


def test_edits_of_both_are_refused_and_kept(script: Path) -> None:
    script.write_text(plain("x = 2"))
    pair = edit_pair(script)
    before = script.read_bytes(), pair.read_bytes()
    with pytest.raises(PairingError, match=r"Both 01_a\.py and 01_a\.ipynb were edited since they last agreed"):
        sync(script)
    assert (script.read_bytes(), pair.read_bytes()) == before
    pair.unlink()
    assert sync(script) == "01_a.py"
    assert disagreement(script) is None


def test_the_same_edit_of_both_is_an_agreement(script: Path) -> None:
    edit_pair(script)
    script.write_text(plain("x = 1\ny = 3"))
    assert sync(script) == "01_a.py"
    assert "y = 3" in script.read_text()


def test_a_pair_that_says_nothing_of_an_agreement_is_not_trusted(script: Path) -> None:
    pair = edit_pair(script)
    notebook = nbformat.read(pair, as_version=4)
    del notebook.metadata["alignbook"]
    nbformat.write(notebook, pair)
    with pytest.raises(PairingError, match="nothing says when they last agreed"):
        sync(script)


def test_what_a_script_cannot_hold_is_refused(script: Path) -> None:
    pair = edit_pair(script)
    notebook = nbformat.read(pair, as_version=4)
    notebook.cells[0]["attachments"] = {"a.png": {"image/png": ""}}
    nbformat.write(notebook, pair)
    with pytest.raises(PairingError, match="pasted picture"):
        sync(script)
    pair.write_text("<<<<<<< ours")
    with pytest.raises(PairingError, match="no notebook that can be read; delete it"):
        sync(script)


@pytest.mark.parametrize("script", SCRIPTS[:3], ids=lambda path: path.stem)
def test_a_script_written_from_its_pair_differs_only_in_the_edit(script: Path, tmp_path: Path) -> None:
    copy = tmp_path / script.name
    text = script.read_text()
    copy.write_text(text)
    sync(copy)
    edit_pair(copy, "added = 1")
    assert sync(copy) == copy.with_suffix(".ipynb").name
    new = [line for line in copy.read_text().splitlines() if line not in text.splitlines()]
    assert set(new) <= {"added = 1", "# added = 1"}
    assert len(copy.read_text().splitlines()) == len(text.splitlines()) + 1


def test_content_decides_not_time(tmp_path: Path) -> None:
    script = make_project(tmp_path, {"01_a": plain()}).folder / "01_a.py"
    for first, second in [(script, script.with_suffix(".ipynb")), (script.with_suffix(".ipynb"), script)]:
        os.utime(first, (1, 1))
        os.utime(second, (10**9, 10**9))
        assert disagreement(script) is None


def test_a_missing_pair_is_named(tmp_path: Path) -> None:
    script = make_project(tmp_path, {"01_a": plain()}).folder / "01_a.py"
    script.with_suffix(".ipynb").unlink()
    assert disagreement(script) == "01_a.py has no paired 01_a.ipynb; run `make sync`."


def test_a_notebook_without_its_script_is_named(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"01_a": plain(), "02_b": plain()})
    assert alone(project.scripts()) == []
    (project.folder / "01_a.py").unlink()
    (project.folder / "mine.ipynb").write_text("")
    (said,) = alone(project.scripts())
    assert said == "01_a.ipynb has no script 01_a.py beside it; put that back, or delete the notebook."
