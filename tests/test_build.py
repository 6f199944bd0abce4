"""The build: executes what changed, keeps going past a failure, and calls nothing good that has a fault."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alignbook import build
from alignbook.pairing import sync
from alignbook.project import Project
from alignbook.runner import Job, Run, execute_all
from tests.small_project import GOOD, make_project, plain

CONFIG = """\
title: A small book
only_build_toc_files: true
execute: {execute_notebooks: "off"}
sphinx:
  config:
    extensions: [myst_nb, jupyter_book, sphinx_comments, sphinx_external_toc, sphinx_book_theme, sphinx_proof]
"""
TOC = "format: jb-book\nroot: index\nchapters:\n"
CHAPTERS = ("notebooks/01_roots", "notebooks/02_plain", "scorecard", "versions")


def make_book(root: Path, first: str = GOOD) -> Project:
    project = make_project(root, {"01_roots": first, "02_plain": plain()})
    (root / "_config.yml").write_text(CONFIG)
    (root / "book").mkdir()
    (root / "book" / "_toc.yml").write_text(TOC + "".join(f"  - file: {name}\n" for name in CHAPTERS))
    index = "# A small book\n\nThe root is {glue:text}`notebooks/01_roots.ipynb::root:.3f`.\n"
    (root / "book" / "index.md").write_text(index)
    return project


def run(project: Project, *arguments: str) -> Result:
    return CliRunner().invoke(build.main, ["--root", str(project.root), *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_book_is_built_and_then_left_alone(tmp_path: Path) -> None:
    project = make_book(tmp_path / "one")
    first = run(project)
    assert first.exit_code == 0, first.output
    assert "Executing 2 of 2 notebooks" in first.output
    html = project.build / "_build" / "html"
    assert f"Open {html.as_uri()}/index.html" in first.output
    assert "The root is" in (html / "index.html").read_text()
    assert "2.000" in (html / "index.html").read_text()
    assert "<strong>3 of 3 claims hold</strong>" in (html / "scorecard.html").read_text()
    page = (html / "notebooks" / "01_roots.html").read_text()
    assert 'alt="Up to 2.00."' in page
    assert "5 roots." in page
    claims = json.loads(project.claims_file.read_text())
    assert list(claims) == ["01_roots", "02_plain"]
    assert claims["01_roots"]["numbers"] == {"root": 2.0}

    pages = contents(html)
    again = run(project)
    assert again.exit_code == 0
    assert "Executing" not in again.output
    assert "Building" not in again.output
    assert contents(html) == pages

    script = project.folder / "02_plain.py"
    script.write_text(plain("x = 1"))
    sync(script)
    touched = run(project)
    assert "Executing 1 of 2 notebooks" in touched.output
    assert "02_plain done" in touched.output
    assert "01_roots" not in touched.output

    clean = run(make_book(tmp_path / "two"))
    assert clean.exit_code == 0
    assert contents(tmp_path / "two" / "build" / "_build" / "html") == pages  # byte for byte, elsewhere too


@pytest.fixture(name="book")
def _book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A book whose pages are not built: what happens before is the matter."""
    monkeypatch.setattr(build, "build_pages", lambda *_, **__: True)
    return make_book(tmp_path, plain())


def test_a_failure_stops_the_build_not_the_others(book: Project) -> None:
    book.folder.joinpath("02_plain.py").write_text(plain("1 / 0"))
    sync(book.folder / "02_plain.py")
    (book.folder / "03_odd.py").write_text("# %% [markdown]\n# # Odd\n")
    sync(book.folder / "03_odd.py")
    with (book.root / "book" / "_toc.yml").open("a") as file:
        file.write("  - file: notebooks/03_odd\n")
    result = run(book)
    assert result.exit_code == 1
    assert "01_roots done" in result.output
    assert "02_plain failed, cell 3: ZeroDivisionError: division by zero" in result.output
    assert "    1 / 0" in result.output
    assert "03_odd failed, 03_odd.py needs exactly one cell tagged 'parameters'; it has 0." in result.output
    assert "Error: 2 of 3 notebooks failed" in result.output
    assert len([path for path in (book.build / "cache").iterdir() if path.is_dir()]) == 1  # nothing kept of the failure
    again = run(book)
    assert again.exit_code == 1
    assert "Executing 1 of 3 notebooks" in again.output


def test_a_claim_that_must_hold_fails_the_build_and_is_recorded(book: Project) -> None:
    book.folder.joinpath("02_plain.py").write_text(plain("n = -1"))
    sync(book.folder / "02_plain.py")
    result = run(book)
    assert result.exit_code == 1
    assert "02_plain failed, the claim 'count' does not hold: n is a count (-1 ≥ 0)" in result.output
    (claim,) = json.loads(book.claims_file.read_text())["02_plain"]["claims"]
    assert claim["holds"] is False


def test_a_disagreeing_pair_stops_the_build(book: Project) -> None:
    book.folder.joinpath("02_plain.ipynb").unlink()
    result = run(book)
    assert result.exit_code == 1
    assert "02_plain.py has no paired 02_plain.ipynb; run `make sync`." in result.output
    assert "Executing" not in result.output  # it is told before anything runs
    assert not book.claims_file.exists()


def test_a_notebook_in_no_chapter_stops_the_build(book: Project) -> None:
    (book.root / "book" / "_toc.yml").write_text(TOC + "  - file: notebooks/01_roots\n")
    result = run(book)
    assert result.exit_code == 1
    assert "notebooks/02_plain is in no chapter of book/_toc.yml" in result.output


def test_force_executes_everything_again(book: Project) -> None:
    assert run(book).exit_code == 0
    assert "Executing" not in run(book).output
    assert "Executing 2 of 2 notebooks" in run(book, "--force", "--jobs", "1").output


def test_an_edit_during_the_build_is_not_mistaken_for_the_result(
    book: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = book.folder / "02_plain.py"

    def edit_first(jobs: list[Job], workers: int | None) -> Iterator[Run]:
        script.write_text(plain("x = 1"))
        yield from execute_all(jobs, workers)

    monkeypatch.setattr(build, "execute_all", edit_first)
    assert run(book).exit_code == 0
    monkeypatch.setattr(build, "execute_all", execute_all)
    script.write_text(plain())
    assert "Executing 1 of 2 notebooks" in run(book).output


def test_a_second_build_waits_for_the_first(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    project = make_book(tmp_path)
    command = [sys.executable, "-m", "alignbook", "--root", str(project.root)]
    with build.alone(project):
        second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=3)
        assert not project.claims_file.exists()
    out, err = second.communicate(timeout=120)
    assert err.startswith("Another build of this book is running; waiting for it\n")
    assert second.returncode == 0
    assert "Open file://" in out


def test_staging_follows_the_sources(book: Project) -> None:
    (book.root / "book" / "page.md").write_text("# Page\n")
    assert run(book).exit_code == 0
    staged = book.build / "book"
    assert (staged / "page.md").is_file()
    times = {path: path.stat().st_mtime_ns for path in staged.rglob("*") if path.is_file()}
    (book.root / "book" / "page.md").unlink()
    assert run(book).exit_code == 0
    assert not (staged / "page.md").exists()
    assert all(path.stat().st_mtime_ns == time for path, time in times.items() if path.exists())


def test_a_warning_of_the_book_fails_the_build_and_keeps_the_old_pages(tmp_path: Path) -> None:
    project = make_book(tmp_path)
    assert run(project).exit_code == 0
    html = project.build / "_build" / "html"
    pages = contents(html)
    (project.root / "book" / "index.md").write_text("# A small book\n\n{doc}`nowhere`\n")
    result = run(project)
    assert result.exit_code == 1
    assert "nowhere" in result.output
    assert contents(html) == pages
    assert run(project).exit_code == 1  # and it does not pass by being asked again
    shutil.rmtree(html)
    assert not [path for path in project.build.iterdir() if path.name.startswith("pages-")]
