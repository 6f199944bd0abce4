"""Pairs: every notebook is a function of its script, without outputs, the same bytes everywhere."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import nbformat
import pytest

from alignbook.pairing import disagreement, render_pair, sync
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
    assert set(notebook.metadata) == {"kernelspec"}


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


def test_an_edited_script_reaches_its_pair(tmp_path: Path) -> None:
    script = make_project(tmp_path, {"01_a": plain()}).folder / "01_a.py"
    assert not sync(script)
    script.write_text(plain("x = 2"))
    assert disagreement(script) == "01_a.ipynb does not agree with 01_a.py; run `make sync`."
    os.utime(script.with_suffix(".ipynb"), (1, 1))
    assert sync(script)
    assert disagreement(script) is None
    assert "x = 2" in script.with_suffix(".ipynb").read_text()


def test_an_edited_pair_reaches_its_script(tmp_path: Path) -> None:
    script = make_project(tmp_path, {"01_a": plain("x = 1")}).folder / "01_a.py"
    pair = script.with_suffix(".ipynb")
    notebook = nbformat.read(pair, as_version=4)
    notebook.cells[2].source += "\ny = 3"
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", name="stdout", text="6\n")]
    nbformat.write(notebook, pair)
    os.utime(script, (1, 1))
    assert sync(script)
    assert "x = 1\ny = 3" in script.read_text()
    assert pair.read_text() == render_pair(script)
    assert '"6' not in pair.read_text()


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
