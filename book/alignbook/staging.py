"""The sources of the pages: prose, executed notebooks and generated pages, assembled in ``build/book``."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from alignbook.api_pages import UNDOCUMENTED, ApiPages, code_of
from alignbook.bad_input import bad_input_page
from alignbook.chapter_ending import ending
from alignbook.citation import book_reference, chapter_references, read_citation
from alignbook.figures import take_out
from alignbook.folding import fold
from alignbook.library import Library
from alignbook.performance import performance_page
from alignbook.project import Project
from alignbook.repository import read_repository
from alignbook.run_times import RunTimes, read_run_times, run_times_section
from alignbook.runner import Run
from alignbook.scorecard import read_claims, to_markdown
from alignbook.symbols import with_chapters
from alignbook.verdicts import headlines, limits, verdicts_page
from alignbook.works import name_works, short_names
from alignlib._core.files import write_whole
from alignlib._core.version import __version__

__all__ = ["chapters", "fingerprint", "stage"]

SHOWN = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "jupytext",
    "papermill",
    "jupyter-book",
    "Sphinx",
    "myst-nb",
)


def stage(project: Project, runs: list[Run]) -> None:
    """Assemble ``build/book`` from the prose, the executed notebooks and the generated pages."""
    prose, target = project.root / "book", project.build / "book"
    wanted: dict[str, bytes] = {
        path.relative_to(prose).as_posix(): path.read_bytes()
        for path in prose.rglob("*")
        if path.is_file() and not {"__pycache__", "_build", "alignbook"} & set(path.relative_to(prose).parts)
    }
    library, names = api_pages(project, runs), short_names(project.root / "book" / "references.bib")
    notebooks = {notebook.name: notebook for notebook in project.notebooks()}
    recorded, repository = read_run_times(project.root), read_repository(project.root)
    for run in runs:
        used = library.used_by(run.name) if library else ""
        last = [ending(notebooks[run.name], recorded, repository), used]
        node = json.loads(run.notebook)
        wanted |= {f"figures/{name}": content for name, content in take_out(node["cells"])}
        wanted[f"notebooks/{run.name}.ipynb"] = _as_page(node, last, names).encode()
    wanted |= {name: text.encode() for name, text in library.texts().items()} if library else {}
    claims, against = read_claims(project.claims_file), {}
    if (sentences := prose / "verdicts.yml").is_file():
        against = limits(sentences, claims)
        wanted["verdicts.md"] = verdicts_page(sentences, claims, recorded).encode()
        wanted["headlines.txt"] = headlines(sentences, claims).encode()
    wanted["scorecard.md"] = to_markdown(claims, papers(project), against).encode()
    wanted["new_here.txt"] = new_here({run.name: run.notebook for run in runs}).encode()
    wanted["versions.md"] = versions_page(recorded, {run.name: run.title for run in runs}).encode()
    if page := performance_page(project.root):
        wanted["performance.md"] = page.encode()
    if (notation := prose / "notation.md").is_file():
        texts = {name: (n.title, n.text) for name, n in notebooks.items()}
        wanted["notation.md"] = with_chapters(notation.read_text(encoding="utf-8"), parts(project), texts).encode()
    if (project.root / "CITATION.cff").is_file():
        citation = read_citation(project.root, __version__)
        pages = {f"notebooks/{run.name}": run.title for run in runs}
        wanted["citation.txt"] = book_reference(citation).encode()
        wanted["citation_chapters.txt"] = chapter_references(citation, pages).encode()
    if page := bad_input_page(project):
        wanted["bad_input.md"] = page.encode()
    for name, content in wanted.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != content:
            write_whole(path, content)
    for path in [p for p in target.rglob("*") if p.is_file() and p.relative_to(target).as_posix() not in wanted]:
        path.unlink()


def api_pages(project: Project, runs: list[Run]) -> ApiPages | None:
    """Return the pages on the library, where the project has one."""
    folder = project.root / "alignlib"
    if not folder.is_dir():
        return None
    code = {run.name: _with_shared(code_of(json.loads(run.notebook)["cells"]), project) for run in runs}
    return ApiPages(Library(folder, leave_out=set(UNDOCUMENTED) - {"_core"}), code)


def _with_shared(code: str, project: Project) -> str:
    """Add the modules of ``notebooks/_pages`` that a chapter imports: what they use, it uses."""
    named = [name for line in re.findall(r"^from _pages import (.+)$", code, re.MULTILINE) for name in line.split(", ")]
    shared = [project.folder / "_pages" / f"{name}.py" for name in named]
    return "\n".join([code, *(path.read_text(encoding="utf-8") for path in shared if path.is_file())])


def _as_page(node: dict[str, Any], last: Sequence[str], names: Mapping[str, str]) -> str:
    """Return the text of a notebook as its page shows it: code folded, works by name, and ``last`` cells of text."""
    fold(node, all_code=True)
    name_works(node, names)
    for place, text in enumerate(last):
        if text:
            node["cells"].append({"cell_type": "markdown", "id": f"ending-{place}", "metadata": {}, "source": text})
    return json.dumps(node, indent=1, ensure_ascii=False) + "\n"


def new_here(notebooks: Mapping[str, str]) -> str:
    """Return a list of the boxes whose titles say that no earlier source of them was found, by chapter."""
    lines = []
    for name, text in notebooks.items():
        for cell in json.loads(text)["cells"]:
            boxes = re.findall(r"^`{3,}\{prf:\w+\} *(.*new here.*)$", _source(cell), re.MULTILINE)
            lines += [f"- {{doc}}`{re.sub(r' *[(].*', '', box)} <notebooks/{name}>`" for box in boxes]
    return "\n".join([*lines, ""])


def _source(cell: Mapping[str, Any]) -> str:
    """The text of a cell, which a notebook may hold as lines."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def papers(project: Project) -> set[str]:
    """Return the keys of the bibliography."""
    bibliography = project.root / "book" / "references.bib"
    if not bibliography.is_file():
        return set()
    return set(re.findall(r"^@\w+\{([^,\s]+),", bibliography.read_text(encoding="utf-8"), re.MULTILINE))


def versions_page(recorded: Sequence[RunTimes], titles: Mapping[str, str]) -> str:
    """Return the page of versions that the numbers were computed with, and of what each notebook takes."""
    rows = [("Python", platform.python_version()), *((name, version(name)) for name in SHOWN)]
    lines = [
        "# Versions, time and memory",
        "",
        "The pages were computed with these versions; `requirements.lock` has all others, with hashes.",
        "",
        "| Package | Version |",
        "|---|---|",
        *(f"| {name} | {number} |" for name, number in rows),
        "",
    ]
    return "\n".join([*lines, *(run_times_section(recorded, titles) if recorded else [])])


def parts(project: Project) -> dict[str, list[str]]:
    """Return the names of the notebooks in each part of the table of contents, in order."""
    toc = yaml.safe_load((project.root / "book/_toc.yml").read_text(encoding="utf-8"))
    files = {one["caption"]: [c["file"] for c in one["chapters"]] for one in toc.get("parts", [])}
    return {name: [f.partition("/")[2] for f in listed if f.startswith("notebooks/")] for name, listed in files.items()}


def chapters(project: Project) -> list[str]:
    """Return every page that the table of contents names."""

    def walk(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (str(value) for key, value in node.items() if key in ("root", "file"))
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from walk(child)

    return list(walk(yaml.safe_load((project.root / "book/_toc.yml").read_text(encoding="utf-8"))))


def fingerprint(project: Project) -> str:
    """Return a hash of all that Jupyter Book reads."""
    digest = hashlib.sha256((project.root / "_config.yml").read_bytes())
    digest.update(project.lock.read_bytes() if project.lock.is_file() else b"")
    files = [path for path in (project.build / "book").rglob("*") if path.is_file()]
    # The pages on the library show its docstrings, set by our own machinery.
    documented = [path for path in (project.root / "alignlib").rglob("*.py") if path.parent.name not in ("lm", "cli")]
    described = [
        *(project.root / "alignlib").rglob("*.json"),
        *(project.root / "book" / "sphinx_extensions").glob("*.py"),
    ]
    for path in sorted([*files, *documented, *described, *Path(__file__).parent.glob("*.py")]):
        digest.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
