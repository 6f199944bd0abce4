"""A Python file that lies beside a reader's table is not run, whatever it is called."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import nbformat
import pytest

from alignbook import processes
from alignbook.page import write_page
from tests.small_project import ROOT

OTHERS = ("PIL", "alignbook", "alignlib", "conf", "docutils", "jinja2", "matplotlib", "nbformat", "numpy", "sphinx")


@pytest.fixture(name="left")
def _left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a file for each module there is; what runs writes into the file that is returned."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in (*sys.stdlib_module_names, *OTHERS):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\n")
    monkeypatch.chdir(folder)
    return tmp_path / "ran"


def test_by_the_program_that_makes_pages(left: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])
    write_page(nbformat.writes(notebook), left.with_name("page.html"), ROOT)
    assert not left.exists()


def test_by_processes_that_run_notebooks(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "context", multiprocessing.get_context("spawn"))
    before = os.getenv("PYTHONSAFEPATH")
    found = list(processes.in_processes(os.getenv, ["PYTHONSAFEPATH"], 1, str))
    assert found == [(0, before)]  # kernels import from their own folder
    assert os.getenv("PYTHONSAFEPATH") == before
    assert not left.exists()
