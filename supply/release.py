"""A release: pages, PDF, EPUB, executed notebooks, results, what they were made from, and the metadata and sums of all.

The same sources give the same bytes. What has been left is opened and verified before it is called a release.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import click
import yaml

from alignbook.build import alone, build
from alignbook.bundle import Crate, RunOf, open_bundle, results, verify
from alignbook.bundle.contents import finish, pack, put, versions
from alignbook.bundle.results import record_of
from alignbook.bundle.sums import digest_of, sums_text
from alignbook.citation import Citation, read_citation
from alignbook.project import Project
from alignbook.runner import Run
from alignbook.volume import write_epub, write_pdf
from alignbook.volume.articles import contents
from alignbook.volume.browser import find_browser
from alignlib._core.files import write_whole
from alignlib._core.version import __version__
from alignlib._core.working import working_folder
from supply.reproducible import ROOT
from supply.reproducible import build as build_packages
from supply.reproducible import copy as copy_packed

__all__ = ["NAME", "fill", "release"]

NAME = f"alignment-limits-{__version__}"
_VOLUME = "limits-of-alignment"
_MAIN = "Makefile"
# Copied as they are.
_PLAIN = (
    "Makefile", "CITATION.cff", ".zenodo.json", "codecheck.yml", "CHANGELOG.md", "LICENSE", "LICENSE-CC-BY-4.0",
    "requirements.lock",
)  # fmt: skip
_README = """# {title}

Version {version}, {date}. {licences}

| what | where |
|---|---|
{rows}

Check it, and run any chapter again:

    sha256sum --check SHA256SUMS
    pip install 'dist/{wheel}[report]'
    alignlib verify .
    alignlib verify . --rerun 01

`Makefile` and `codecheck.yml` are the repository's, and the files that they name are made there; of these, this release
holds `build/claims.json` as `results/claims.json` and `build/_build/html` as `html`.

The first compares the files with their sums, the third also the metadata and the claims with the notebooks; the last
runs chapter 01 again and compares every number. `requirements.lock` has the versions that everything was made with.
"""


def release(project: Project, *, volumes: bool = True) -> Path:
    """Build the book and leave ``build/release/NAME``, ``NAME.zip`` and its sum; return the folder.

    Parameters
    ----------
    project : Project
        The clone.
    volumes : bool
        Whether the PDF and the EPUB are made, which takes Chromium.
    """
    if volumes:
        find_browser()  # at once, rather than when the book is built
    citation = read_citation(project.root, __version__)
    target = project.build / "release"
    with alone(project):
        runs = build(project, force=False, jobs=None)
        with working_folder(project.build) as place:
            folder = place / NAME
            fill(folder, project, runs, citation, volumes=volumes)
            pack(folder, place / f"{NAME}.zip", citation.date)
            with open_bundle(place / f"{NAME}.zip") as bundle:
                found = verify(bundle)
            if not found.good:
                raise click.ClickException("The release does not verify: " + " ".join(found.problems))
            write_whole(place / f"{NAME}.zip.sha256", sums_text({f"{NAME}.zip": digest_of(place / f"{NAME}.zip")}))
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for path in sorted(place.iterdir()):
                os.replace(path, target / path.name)
    return target / NAME


def fill(folder: Path, project: Project, runs: list[Run], citation: Citation, *, volumes: bool) -> None:
    """Write everything of a release into an empty folder."""
    root = project.root
    shutil.copytree(project.build / "_build" / "html", folder / "html")
    put(folder, {name: (root / name).read_bytes() for name in _PLAIN if (root / name).is_file()})
    put(folder, {f"notebooks/{run.name}.ipynb": run.notebook for run in runs})
    scripts = {notebook.name: notebook for notebook in project.notebooks()}
    inputs = {run.name: _inputs(project, run) for run in runs}
    sources = {notebook.script for notebook in scripts.values()} | {path for some in inputs.values() for path in some}
    put(folder, {f"sources/{path.relative_to(root).as_posix()}": path.read_bytes() for path in sorted(sources)})
    records = {run.name: record_of(run.notebook) for run in runs}
    made = results({run.name: run.title for run in runs}, records)
    put(folder, made)
    wheel = _packages(root, folder / "dist")
    about = _about(volumes)
    if volumes:
        _volumes(folder, project, citation)
    rows = "\n".join(f"| {said} | `{name}` |" for name, said in about.items())
    readme = _README.format(**{**vars(citation), "licences": citation.licences}, rows=rows, wheel=wheel)
    write_whole(folder / "README.md", readme)

    def run_of(run: Run) -> RunOf:
        notebook = scripts[run.name]
        return RunOf(
            run.name,
            run.title,
            f"sources/notebooks/{notebook.script.name}",
            f"notebooks/{run.name}.ipynb",
            notebook.parameters,
            records[run.name]["parameters"],
            tuple(f"sources/{path.relative_to(root).as_posix()}" for path in inputs[run.name]),
        )

    def describe(files: Mapping[str, tuple[int, str]]) -> Crate:
        return Crate(
            name=citation.title,
            description=f"Release {citation.version} of the book: its pages, its notebooks as executed, their numbers.",
            date=citation.date,
            licence=citation.licence,
            authors=citation.authors,
            files=files,
            runs=[run_of(run) for run in runs],
            versions=versions(),
            main=_MAIN,
            folders={"html/": "The pages; open html/index.html."},
            about={name: said for name, said in about.items() if not name.endswith("/")},
        )

    finish(folder, describe)


def _inputs(project: Project, run: Run) -> list[Path]:
    """Tables and other data of ours that a run read: what it read beside modules."""
    root = project.root.resolve()
    paths = [Path(path) for path in run.read]
    return sorted(
        path
        for path in paths
        if (path.suffix not in (".py", ".so", "") and path.is_file() and path.is_relative_to(root / "notebooks"))
        or (path.is_relative_to(root / "benchmarks" / "recorded") and path.is_file())
    )


def _packages(root: Path, dist: Path) -> str:
    """Build wheel and sdist into ``dist``; return the name of the wheel."""
    with working_folder() as place:
        copy_packed(root, place / "source")
        build_packages(place / "source", dist.resolve())
    return next(path.name for path in sorted(dist.iterdir()) if path.suffix == ".whl")


def _volumes(folder: Path, project: Project, citation: Citation) -> None:
    settings = yaml.safe_load((project.root / "_config.yml").read_text(encoding="utf-8"))
    macros = settings["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
    html, parts = project.build / "_build" / "html", contents(project.root / "book" / "_toc.yml")
    click.echo("Printing the PDF")
    for wide in write_pdf(folder / f"{_VOLUME}.pdf", html, parts, citation, macros):
        click.echo(f"Wider than its column in the PDF: {wide}", err=True)
    click.echo("Writing the EPUB")
    write_epub(folder / f"{_VOLUME}.epub", html, parts, citation, macros)


def _about(volumes: bool) -> dict[str, str]:
    books = (
        {f"{_VOLUME}.pdf": "the book to print", f"{_VOLUME}.epub": "the book for a reading device"} if volumes else {}
    )
    return {
        "html/": "the pages; open `html/index.html`, no network is needed",
        **books,
        "notebooks/": "every notebook as it was executed",
        "results/claims.json": "every claim with its numbers and verdict; the same in `claims.csv`",
        "results/values.json": "parameters of each run and the numbers that its text quotes; the same in `values.csv`",
        "sources/": "the scripts of the notebooks and the data that they read",
        "dist/": "the library and its commands: wheel and sdist",
        "requirements.lock": "every version, with hashes",
        "ro-crate-metadata.json": "what each run took and left: a Workflow Run RO-Crate",
        "SHA256SUMS": "the sums of all files",
        "CITATION.cff": "how to cite",
    }


@click.command("release")
@click.option("--without-volumes", is_flag=True, help="Leave out the PDF and the EPUB, which are made with Chromium.")
def main(without_volumes: bool) -> None:
    """Leave a release in build/release: a folder and a ZIP archive, with the sums of both."""
    from alignlib._core.errors import InputError

    try:
        folder = release(Project(ROOT), volumes=not without_volumes)
    except InputError as error:
        raise click.ClickException(str(error)) from None
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    packed = folder.with_name(f"{NAME}.zip")
    click.echo(f"Left {folder} ({size / 1e6:.1f} MB) and {packed} ({packed.stat().st_size / 1e6:.1f} MB)")
    click.echo(packed.with_name(f"{NAME}.zip.sha256").read_text(encoding="utf-8"), nl=False)
