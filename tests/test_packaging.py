"""What is installed: the library, the machine that runs notebooks, and the notebooks; nothing else, from any folder."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import alignlib
from alignbook.project import Project
from tests.small_project import ROOT

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.early]  # what is made once is made in one process

COPIED = (
    "alignlib",
    "benchmarks",
    "book",
    "notebooks",
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "_config.yml",
)
ROOMS = sorted(
    path.name for path in (ROOT / "alignlib").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
)


@pytest.fixture(scope="module", name="source")
def _source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packed, with the leftovers of an earlier build."""
    folder = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors", "build")
    for name in COPIED:
        there = ROOT / name
        shutil.copytree(there, folder / name, ignore=ignored) if there.is_dir() else shutil.copy(there, folder)
    (folder / "build" / "lib" / "alignlib").mkdir(parents=True)
    (folder / "build" / "lib" / "alignlib" / "gone.py").write_text("")
    return folder


@pytest.fixture(scope="module", name="unpacked")
def _unpacked(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made from the source distribution as an installer makes it, and unpacked."""
    dist = tmp_path_factory.mktemp("dist")
    make = (
        "import os, sys, tarfile\n"
        "from setuptools import build_meta\n"
        "dist, place = sys.argv[1:]\n"  # setuptools has its own words there
        "packed = build_meta.build_sdist(dist)\n"
        "with tarfile.open(os.path.join(dist, packed)) as archive:\n"
        "    archive.extraction_filter = getattr(tarfile, 'data_filter', None)\n"  # not in all 3.11
        "    archive.extractall(place)\n"
        "os.chdir(os.path.join(place, packed.removesuffix('.tar.gz')))\n"
        "build_meta.build_wheel(dist)"
    )
    command = [sys.executable, "-c", make, str(dist), str(tmp_path_factory.mktemp("sdist"))]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(dist / "unpacked")
    lend_compiled(dist / "unpacked" / "alignlib", ROOT / "alignlib")
    lend_compiled(dist / "unpacked" / "alignbook", ROOT / "book" / "alignbook")
    return dist / "unpacked"


def lend_compiled(folder: Path, ours: Path) -> None:
    """Give modules what Python compiled here of the same bytes, which it knows by their time: the same, but sooner."""
    for path in folder.rglob("*.py"):
        there = ours / path.relative_to(folder)
        compiled = Path(importlib.util.cache_from_source(str(there)))
        if there.is_file() and compiled.is_file() and there.read_bytes() == path.read_bytes():
            os.utime(path, ns=(there.stat().st_atime_ns, there.stat().st_mtime_ns))
            (path.parent / "__pycache__").mkdir(exist_ok=True)
            shutil.copy(compiled, path.parent / "__pycache__")


def metadata(unpacked: Path) -> Message:
    (folder,) = unpacked.glob("*.dist-info")
    return Parser().parsestr((folder / "METADATA").read_text(encoding="utf-8"))


def names(folder: Path, *patterns: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}


def test_the_wheel_holds_the_packages_and_the_notebooks(source: Path, unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir() if path.suffix != ".dist-info"} == {"alignlib", "alignbook"}
    assert names(unpacked, "alignlib/**/*.py") == names(source, "alignlib/**/*.py")
    assert names(unpacked, "alignbook/*.py") == names(source / "book", "alignbook/*.py")
    assert (unpacked / "alignlib" / "py.typed").is_file()
    shipped = unpacked / "alignbook" / "shipped"
    pages = [(page.name, page.title) for page in Project(shipped).notebooks()]
    assert pages == [(page.name, page.title) for page in Project(ROOT).notebooks()]
    assert names(shipped, "notebooks/lm_results/*") == names(
        ROOT, "notebooks/lm_results/*.csv", "notebooks/lm_results/*.json", "notebooks/lm_results/*.npz"
    )
    assert names(shipped, "notebooks/words_results/*") == names(
        ROOT, "notebooks/words_results/*.csv", "notebooks/words_results/*.json", "notebooks/words_results/*.npz"
    )
    assert names(shipped, "notebooks/_pages/*") == names(ROOT, "notebooks/_pages/*.py")
    assert {"_config.yml", "book/references.bib", "book/notation.md"} <= names(shipped, "*", "book/*")


def files_named() -> set[Path]:
    """Data that a page names in its code: files, or folders of files, relative to the notebooks."""
    project = Project(ROOT)
    code = [cell.source for page in project.notebooks() for cell in page.node.cells if cell.cell_type == "code"]
    code += [path.read_text(encoding="utf-8") for path in (project.folder / "_pages").glob("*.py")]
    texts = (node.value for source in code for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    there = {project.folder / text for text in texts if isinstance(text, str) and re.fullmatch(r"[\w./-]*\w", text)}
    found = {Path(os.path.normpath(path)) for path in there if path.exists()}
    return {path for path in found if path.is_file()} | {file for path in found for file in path.glob("*.[cj]s*")}


def files_opened() -> set[Path]:
    """Data that a page opened when the book was last built, as the kept runs say; nothing where it never was."""
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in Project(ROOT).build.glob("cache/*/run.json")]
    names = {name for run in kept for name in run["read"] if not name.startswith((".", "build/"))}
    return {ROOT / name for name in names if (ROOT / name).is_file() and not name.endswith(".py")}


def test_what_the_notebooks_read_travels_with_them(unpacked: Path) -> None:
    named, opened = files_named(), files_opened()
    assert {"sum_law.json", "runs.csv", "law_safety_gold_train.csv"} <= {path.name for path in named}
    for path in named | opened:
        place = path.relative_to(ROOT)
        shipped = unpacked / place if place.parts[0] == "alignlib" else unpacked / "alignbook" / "shipped" / place
        assert shipped.is_file(), f"a notebook reads {place}, which is not packed: add it to setup.py and MANIFEST.in"
        assert shipped.read_bytes() == path.read_bytes()


def test_its_metadata(unpacked: Path) -> None:
    data = metadata(unpacked)
    assert (data["Name"], data["Version"]) == ("alignment-limits", alignlib.__version__)
    needed = [Requirement(text) for text in data.get_all("Requires-Dist", [])]
    base = {requirement.name for requirement in needed if requirement.marker is None}
    book = {"jupytext", "papermill", "ipykernel", "pyyaml", "myst-nb", "jupyter-book"}
    assert not base & {name.lower() for name in book}
    report = {r.name.lower() for r in needed if r.marker and r.marker.evaluate({"extra": "report"})}
    assert book - report == {"jupyter-book"}


def test_it_works_in_any_folder(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "31_your_own_rewards.py").write_text("raise SystemExit('not the package's own')")
    rows = [f"{prompt},{(prompt * 7 + draw * 5) % 11}" for prompt in range(20) for draw in range(8)]
    (tmp_path / "rewards.csv").write_text("\n".join(["prompt_id,reward", *rows]))
    environment = os.environ | {"PYTHONPATH": str(unpacked)}
    environment.pop("ALIGNLIB_ROOT", None)

    def alignlib_(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "alignlib", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    listed = alignlib_("run", "--list")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.startswith("00_primer  ")
    assert alignlib_("frontier", "rewards.csv", "--reward", "reward").returncode == 0
    made = alignlib_("report", "rewards.csv", "--reward", "reward", "-o", "report")
    assert made.returncode == 0, made.stderr
    assert "Your own rewards" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    refused = alignlib_("sync")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "is in no clone of alignment-limits" in refused.stderr


def imported(path: Path) -> set[str]:
    """Top-level names of what a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "cli"])
def test_only_the_commands_know_the_book(room: str) -> None:
    there = ROOT / "alignlib" / room
    files = [there] if there.is_file() else sorted(there.rglob("*.py"))
    assert [path.name for path in files if imported(path) & {"alignbook", "_pages"}] == []


def test_the_machine_knows_no_page() -> None:
    files = sorted((ROOT / "book" / "alignbook").glob("*.py"))
    assert [path.name for path in files if "_pages" in imported(path)] == []


def test_what_a_command_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from alignbook import extra

    monkeypatch.setattr(extra, "_MODULES", ("yaml", "no_such_module", "no_such.module"))
    said = r"^alignlib run needs the extra \[report\], and no_such_module is not installed: run pip install [^,]*$"
    with pytest.raises(extra.MissingExtraError, match=said):
        extra.require_extra("alignlib run")
