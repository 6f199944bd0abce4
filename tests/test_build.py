"""The build: executes what changed, keeps going past a failure, and calls nothing good that has a fault."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alignbook import build, certificate
from alignbook.pairing import sync
from alignbook.project import Project
from alignbook.runner import Job, Run, execute_all
from tests.small_project import GOOD, ROOT, make_project, plain

pytestmark = pytest.mark.xdist_group("build")  # what is made once is made in one process

CONFIG = """\
title: A small book
only_build_toc_files: true
execute: {execute_notebooks: "off"}
sphinx:
  config:
    extensions: [myst_nb, jupyter_book, sphinx_comments, sphinx_external_toc, sphinx_book_theme, sphinx_proof]
"""
TOC = "format: jb-book\nroot: index\nchapters:\n"
CHAPTERS = ("notebooks/01_roots", "notebooks/02_plain", "scorecard", "versions", "rerun")  # which chapters lead to


def make_book(root: Path, first: str = GOOD) -> Project:
    project = make_project(root, {"01_roots": first, "02_plain": plain()})
    (root / "_config.yml").write_text(CONFIG)
    (root / "book").mkdir()
    (root / "book" / "_toc.yml").write_text(TOC + "".join(f"  - file: {name}\n" for name in CHAPTERS))
    index = "# A small book\n\nThe root is {glue:text}`notebooks/01_roots.ipynb::root:.3f`.\n"
    (root / "book" / "index.md").write_text(index)
    (root / "book" / "rerun.md").write_text("# Rerun\n")
    return project


def run(project: Project, *arguments: str) -> Result:
    return CliRunner().invoke(build.main, ["--root", str(project.root), *arguments])


def cached(project: Project) -> set[str]:
    return {path.name for path in (project.build / "cache").iterdir() if path.is_dir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_book_is_built_and_then_left_alone_and_a_warning_keeps_its_pages(tmp_path: Path) -> None:
    project = make_book(tmp_path / "one")
    first = run(project)
    assert first.exit_code == 0, first.output
    assert "Executing 2 of 2 notebooks" in first.output
    html = project.build / "_build" / "html"
    assert f"Open {html.as_uri()}/index.html" in first.output
    assert "The root is" in (html / "index.html").read_text()
    assert "2.000" in (html / "index.html").read_text()
    assert "3 claims, recorded by 2 notebooks" in (html / "scorecard.html").read_text()
    page = (html / "notebooks" / "01_roots.html").read_text()
    assert 'alt="Up to 2.00."' in page
    assert "5 roots." in page
    claims = json.loads(project.claims_file.read_text())
    assert list(claims) == ["01_roots", "02_plain"]
    assert claims["01_roots"]["numbers"] == {"root": 2.0}

    pages = contents(html)
    assert ".buildinfo" not in pages  # which holds a digest of the folder
    again = run(project)
    assert again.exit_code == 0
    assert "Executing" not in again.output
    assert "Building" not in again.output
    assert contents(html) == pages

    # A warning of the book fails the build and keeps the old pages.
    (project.root / "book" / "index.md").write_text("# A small book\n\n{doc}`nowhere`\n")
    warned = run(project)
    assert warned.exit_code == 1
    assert "nowhere" in warned.output
    assert contents(html) == pages
    assert run(project).exit_code == 1  # and it does not pass by being asked again
    shutil.rmtree(html)
    assert not [path for path in project.build.iterdir() if path.name.startswith("pages-")]

    clean = run(make_book(tmp_path / "two"))
    assert clean.exit_code == 0
    assert contents(tmp_path / "two" / "build" / "_build" / "html") == pages  # byte for byte, elsewhere too


@pytest.fixture(scope="module", name="executed")
def _executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book whose notebooks have been executed."""
    project = make_book(tmp_path_factory.mktemp("executed") / "book", plain())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "build_pages", lambda *_, **__: True)
        result = run(project)
    assert result.exit_code == 0, result.output
    assert "Executing 2 of 2 notebooks" in result.output
    return project.root


@pytest.fixture(name="book")
def _book(executed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it whose pages are not built: what happens before is the matter."""
    monkeypatch.setattr(build, "build_pages", lambda *_, **__: True)
    return Project(Path(shutil.copytree(executed, tmp_path / "book")))


def test_what_changed_is_executed_again(book: Project) -> None:
    script = book.folder / "02_plain.py"
    script.write_text(plain("x = 1"))
    sync(script)
    touched = run(book)
    assert touched.exit_code == 0
    assert "Executing 1 of 2 notebooks" in touched.output
    assert "02_plain done" in touched.output
    assert "01_roots" not in touched.output


def test_a_failure_stops_the_build_not_the_others(book: Project) -> None:
    for name, code in (("01_roots", "x = 1"), ("02_plain", "1 / 0")):
        book.folder.joinpath(f"{name}.py").write_text(plain(code))
        sync(book.folder / f"{name}.py")
    kept = cached(book)
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
    assert len(cached(book) - kept) == 1  # nothing kept of the failure
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
    book.folder.joinpath("01_roots.py").write_text(plain("x = 1"))
    book.claims_file.write_text("as before")
    result = run(book)
    assert result.exit_code == 1
    assert "02_plain.py has no paired 02_plain.ipynb; run `make sync`." in result.output
    assert "Executing" not in result.output  # it is told before anything runs
    assert book.claims_file.read_text() == "as before"


def test_a_notebook_in_no_chapter_stops_the_build(book: Project) -> None:
    (book.root / "book" / "_toc.yml").write_text(TOC + "  - file: notebooks/01_roots\n")
    result = run(book)
    assert result.exit_code == 1
    assert "notebooks/02_plain is in no chapter of book/_toc.yml" in result.output


def test_force_executes_everything_again(book: Project) -> None:
    again = run(book)
    assert again.exit_code == 0
    assert "Executing" not in again.output
    assert "Executing 2 of 2 notebooks" in run(book, "--force", "--jobs", "1").output


def test_an_edit_during_the_build_is_not_mistaken_for_the_result(
    book: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = book.folder / "02_plain.py"

    def edit_first(jobs: list[Job], workers: int | None) -> Iterator[Run]:
        script.write_text(plain("x = 1"))
        yield from execute_all(jobs, workers)

    script.write_text(plain("x = 2"))
    sync(script)
    monkeypatch.setattr(build, "execute_all", edit_first)
    result = run(book)
    assert result.exit_code == 0
    assert "Executing 1 of 2 notebooks" in result.output
    monkeypatch.setattr(build, "execute_all", execute_all)
    script.write_text(plain("x = 2"))
    assert "Executing 1 of 2 notebooks" in run(book).output


def test_an_unchanged_book_is_known_by_where_its_files_stand(book: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "STARTED", time.time() + 60)  # what was written before this test counts as old
    page, script = book.build / "_build" / "html" / "index.html", book.folder / "02_plain.py"
    page.parent.mkdir(parents=True)
    page.write_text("A page")

    def known() -> bool:
        found = certificate.page_of_unchanged(book.root)
        assert found in (None, page)
        return found is not None

    assert not known()
    assert run(book).exit_code == 0
    assert known()
    os.utime(script)
    assert not known()
    touched = run(book)  # contents decide
    assert (touched.exit_code, "Executing" in touched.output) == (0, False)
    assert known()

    def edited(path: Path) -> None:
        before = path.stat()
        path.write_bytes(path.read_bytes()[::-1])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    for change in (
        lambda: edited(page),  # of the same length, and with its old time
        page.unlink,
        lambda: book.claims_file.write_text("{}"),
        lambda: shutil.rmtree(book.build / "cache"),
        lambda: (book.root / "book" / "new.md").write_text("# New\n"),
        lambda: (book.root / "book" / "rerun.md").rename(book.root / "book" / "run.md"),
        lambda: edited(book.root / "_config.yml"),
        lambda: monkeypatch.setattr(sys, "version", "3.99"),
    ):
        certificate.Before(book.root).seal()
        assert known()
        change()
        assert not known()
    monkeypatch.undo()

    # Nothing is vouched for that changed during the build or just before it, that failed, or that no build can see.
    for started, change in (
        (time.time(), lambda: None),
        (time.time() + 60, lambda: script.write_text("1 / 0")),
        (time.time() + 60, lambda: (book.root / "book" / "again").symlink_to(book.root, target_is_directory=True)),
    ):
        monkeypatch.setattr(certificate, "STARTED", started)
        before = certificate.Before(book.root)
        change()
        before.seal()
        assert not known()
    (book.root / "book" / "again").unlink()
    certificate.Before(book.root).seal()
    assert known()

    # In a new clone the environment is newer than anything else: set-up makes it just before the build.
    installed = book.root.parent / "site-packages" / "new-1.dist-info"
    installed.mkdir(parents=True)
    os.utime(installed, (time.time() + 600, time.time() + 600))
    monkeypatch.setattr(sys, "path", [*sys.path, str(installed.parent)])
    assert not known()
    certificate.Before(book.root).seal()
    assert known()
    assert run(book).exit_code == 1  # the script disagrees with its pair
    assert not known()


def test_the_builder_is_not_even_imported_for_an_unchanged_book(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path.cwd() / "index.html"
    monkeypatch.setattr(certificate, "page_of_unchanged", lambda root: page if root == ROOT else None)
    monkeypatch.setitem(sys.modules, "alignbook.build", None)
    monkeypatch.setattr(sys, "argv", ["alignbook"])
    runpy.run_module("alignbook", run_name="__main__")
    assert capsys.readouterr().out == f"Open {page.as_uri()}\n"
    monkeypatch.setattr(sys, "argv", ["alignbook", "--force"])
    with pytest.raises(ImportError, match="build"):
        runpy.run_module("alignbook", run_name="__main__")
    named = re.findall(r"^(?:import|from) (\w+)", Path(certificate.__file__).read_text(), re.MULTILINE)
    assert set(named) <= sys.stdlib_module_names | {"alignbook", "alignlib"}


def test_a_second_build_waits_for_the_first(book: Project) -> None:
    pytest.importorskip("fcntl")
    book.claims_file.unlink()
    without_pages = "from alignbook import build; build.build_pages = lambda *_, **__: True; build.main()"
    command = [sys.executable, "-c", without_pages, "--root", str(book.root)]
    with build.alone(book):
        second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert second.stderr.readline() == "Another build of this book is running; waiting for it\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=0.5)
        assert not book.claims_file.exists()
    out, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    assert book.claims_file.exists()
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
