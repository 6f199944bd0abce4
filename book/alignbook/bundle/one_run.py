"""The crate that one run of a notebook leaves beside its output."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from alignbook.bundle.contents import finish, put, versions
from alignbook.bundle.crate import Crate, RunOf
from alignbook.bundle.results import record_of, results
from alignbook.bundle.sums import digest_of
from alignbook.citation import read_citation
from alignbook.parameters import Value
from alignbook.places import without_places
from alignbook.project import Notebook, Project
from alignbook.runner import Run
from alignlib._core.errors import InputError
from alignlib._core.version import __version__
from alignlib._core.working import naming, working_folder

__all__ = ["check_crate", "write_run_crate"]


def check_crate(folder: Path) -> None:
    """Refuse, before anything runs, a folder for a crate that is there already or cannot be made.

    Raises
    ------
    InputError
        In a sentence.
    """
    if os.path.lexists(folder):
        raise InputError(f"{folder} exists; choose another folder for the crate.", argument="crate")
    parent = folder.resolve().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{parent} is no folder that can be written; choose another for the crate.", argument="crate")


def write_run_crate(
    folder: Path, project: Project, notebook: Notebook, values: Mapping[str, Value], run: Run, started: float
) -> None:
    """Write the crate of a run, whole or not at all: script, executed notebook, results, metadata and sums.

    Files that the run read for the reader stay where they are; the crate has their names, sizes and hashes.

    Parameters
    ----------
    folder : Path
        The folder to make.
    project, notebook, values, run
        What was run.
    started : float
        When, in seconds since 1970.
    """
    paths = {
        name: Path(str(values[name]))
        for name, parameter in notebook.parameters.items()
        if (parameter.range.file or parameter.range.folder) and values.get(name)
    }
    text = without_places(run.notebook, {str(path): path.name for path in paths.values()})
    record = record_of(text)
    citation = read_citation(project.root, __version__)
    script, page = f"{notebook.script.stem}.py", f"notebooks/{notebook.name}.ipynb"
    made = results({notebook.name: notebook.title}, {notebook.name: record})
    of = RunOf(
        notebook.name,
        notebook.title,
        script,
        page,
        notebook.parameters,
        record["parameters"],
        outputs=tuple(made),
        given={name: _said(path) for name, path in paths.items() if path.is_file()},
        started=_time(started),
        ended=_time(started + run.seconds),
    )
    with working_folder(folder.resolve().parent) as place, naming(place / folder.name, folder):
        inside = place / folder.name
        put(inside, {script: notebook.script.read_bytes(), page: text, **made})

        def describe(files: Mapping[str, tuple[int, str]]) -> Crate:
            return Crate(
                name=f"Run of {notebook.name}: {notebook.title}",
                description=f"A notebook of '{citation.title}', executed with the parameters that this crate names.",
                date=_time(started)[:10],
                licence=citation.licence,
                authors=citation.authors,
                files=files,
                runs=[of],
                versions=versions(),
                main=script,
            )

        finish(inside, describe)
        check_crate(folder)  # another run may have made it meanwhile
        os.replace(inside, folder)


def _said(path: Path) -> str:
    return f"The file {path.name}, {path.stat().st_size} bytes, SHA-256 {digest_of(path)}; it is not in this crate."


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
