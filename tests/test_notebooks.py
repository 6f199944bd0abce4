"""Each notebook of the book: what its text promises statically, and what the last build recorded of it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest

from alignbook.claim import from_json
from alignbook.project import Notebook, Project
from alignbook.runner import Job, execute_all
from tests.built_book import need_book
from tests.small_project import ROOT, make_project

PROJECT = Project(ROOT)
NOTEBOOKS = PROJECT.notebooks()
each = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
LONGEST_FUNCTION = 10  # lines; what is longer belongs in the library, tested


def code_cells(notebook: Notebook) -> list[Any]:
    return [cell for cell in notebook.node.cells if cell.cell_type == "code"]


@cache
def recorded() -> dict[str, Any]:
    need_book()
    return dict(json.loads(PROJECT.claims_file.read_text(encoding="utf-8")))


@each
def test_every_parameter_is_used(notebook: Notebook) -> None:
    bodies = [cell.source for cell in code_cells(notebook) if "parameters" not in cell.metadata.get("tags", [])]
    used = {node.id for body in bodies for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    assert set(notebook.parameters) <= used


@each
def test_functions_are_a_few_lines_long(notebook: Notebook) -> None:
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < LONGEST_FUNCTION, f"{node.name}: move it into alignlib"


@each
def test_every_figure_says_what_it_shows(notebook: Notebook) -> None:
    for cell in code_cells(notebook):
        options = cell.metadata.get("mystnb", {})
        if "figure" in options or "image" in options:
            assert options["figure"]["caption"].strip().endswith("."), "a caption is a sentence"
            assert re.fullmatch(r"fig-[a-z0-9-]+", notebook.with_defaults(options["figure"]["name"]))
            assert len(options["image"]["alt"]) > 20, "say what one sees"


@each
def test_the_statement_is_in_a_box(notebook: Notebook) -> None:
    text = "\n".join(cell.source for cell in notebook.node.cells if cell.cell_type == "markdown")
    assert "{prf:" in text or "{admonition}" in text


@each
def test_its_claims_were_recorded_and_hold(notebook: Notebook) -> None:
    entry = recorded().get(notebook.name)
    assert entry is not None, "the last build did not execute it; run make book"
    claims = [from_json(item) for item in entry["claims"]]
    assert claims
    assert [claim.key for claim in claims if claim.must_hold and not claim.holds] == []
    assert len({claim.key for claim in claims}) == len(claims)
    assert entry["title"] == notebook.title


@each
def test_no_claim_says_that_nothing_is_at_most_nothing(notebook: Notebook) -> None:
    """An inequality whose worst point is 0 against 0 would hold of anything: leave that point out."""
    claims = [from_json(item) for item in recorded()[notebook.name]["claims"]]
    inequalities = [claim for claim in claims if claim.kind in ("at most", "at least")]
    assert [claim.key for claim in inequalities if claim.value == 0.0 == claim.expected] == []


@each
def test_nothing_is_left_unfilled_in_its_page(notebook: Notebook) -> None:
    recorded()
    path = PROJECT.build / "book" / "notebooks" / f"{notebook.name}.ipynb"
    node = nbformat.read(path, as_version=4)
    for cell in node.cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\{\{\s*[a-z]\w*\s*(:[^{}]*)?\}\}", cell.source)
        else:
            kinds = {(output.output_type, output.get("name")) for output in cell.outputs}
            assert not any(kind == "error" or name == "stderr" for kind, name in kinds)


def test_labels_are_those_of_one_page_only() -> None:
    """Sphinx refuses a book in which a figure, a theorem or a formula has the name of another."""
    labels = []
    for notebook in NOTEBOOKS:
        for cell in notebook.node.cells:
            labels += re.findall(r"^:label: *(\S+)", cell.source, re.MULTILINE)
            name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
            labels += [] if name is None else [notebook.with_defaults(name)]
    assert len(labels) > 100
    assert sorted({label for label in labels if labels.count(label) > 1}) == []


def test_no_record_is_left_of_notebooks_that_are_gone() -> None:
    assert set(recorded()) <= {notebook.name for notebook in NOTEBOOKS}


def test_the_template_of_the_readme_runs(tmp_path: Path) -> None:
    """What authors copy must pass as a page of the book."""
    template = re.search(r"```python\n(.*?)\n```\n*\Z", (ROOT / "notebooks" / "README.md").read_text(), re.DOTALL)
    assert template is not None
    style = [sys.executable, "-m", "ruff"]
    for check in (["check", "--no-cache", "-q"], ["format", "--check"]):
        command = [*style, *check, "--stdin-filename", "notebooks/01_gaussian.py", "-"]
        done = subprocess.run(command, input=f"{template[1]}\n", cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    project = make_project(tmp_path, {"01_gaussian": template[1]})
    test_every_parameter_is_used(project.find("gaussian"))
    (run,) = execute_all([Job(project.find("gaussian"), strict=True)])
    assert run.failures == ()
    assert len(run.claims) == 2
