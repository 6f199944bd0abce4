"""The sources of the pages: prose, executed notebooks and generated pages, assembled in ``build/book``."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import yaml

from alignbook.api_pages import UNDOCUMENTED, ApiPages, code_of
from alignbook.bad_input import bad_input_page
from alignbook.citation import book_reference, chapter_references, read_citation
from alignbook.folding import fold
from alignbook.library import Library
from alignbook.project import Project
from alignbook.runner import Run
from alignbook.scorecard import read_claims, to_markdown
from alignbook.verdicts import headlines, verdicts_page
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
    for run in runs:
        used = library.used_by(run.name) if library else ""
        wanted[f"notebooks/{run.name}.ipynb"] = _as_page(run.notebook, used, names).encode()
    wanted |= {name: text.encode() for name, text in library.texts().items()} if library else {}
    wanted["scorecard.md"] = to_markdown(read_claims(project.claims_file), papers(project)).encode()
    if (sentences := prose / "verdicts.yml").is_file():
        claims = read_claims(project.claims_file)
        wanted["verdicts.md"] = verdicts_page(sentences, claims).encode()
        wanted["headlines.txt"] = headlines(sentences, claims).encode()
    wanted["versions.md"] = versions_page().encode()
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


def _as_page(notebook: str, line: str, names: Mapping[str, str]) -> str:
    """Return the text of a notebook as its page shows it: code folded, works by name, a last line on the library."""
    node = json.loads(notebook)
    fold(node, all_code=True)
    name_works(node, names)
    if line:
        node["cells"].append({"cell_type": "markdown", "id": "from-the-library", "metadata": {}, "source": line})
    return json.dumps(node, indent=1, ensure_ascii=False) + "\n"


def papers(project: Project) -> set[str]:
    """Return the keys of the bibliography."""
    bibliography = project.root / "book" / "references.bib"
    if not bibliography.is_file():
        return set()
    return set(re.findall(r"^@\w+\{([^,\s]+),", bibliography.read_text(encoding="utf-8"), re.MULTILINE))


def versions_page() -> str:
    """Return the page of versions that the numbers were computed with."""
    rows = [("Python", platform.python_version()), *((name, version(name)) for name in SHOWN)]
    lines = [
        "# Versions",
        "",
        "The pages were computed with these versions.",
        "",
        "| Package | Version |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| {name} | {number} |" for name, number in rows), ""])


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
    described = [*(project.root / "alignlib").rglob("*.json"), *(project.root / "book" / "_ext").glob("*.py")]
    for path in sorted([*files, *documented, *described, *Path(__file__).parent.glob("*.py")]):
        digest.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
