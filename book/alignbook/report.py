"""A report on a reader's own rewards: the notebook of that name executed, its page, pictures and numbers together."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from alignbook.page import require_page_tools, write_page
from alignbook.parameters import Value, resolve
from alignbook.progress import show
from alignbook.project import Project, find_project
from alignbook.runner import Failure, Job, execute_all
from alignlib._core.files import whole_folder

__all__ = ["PAGE", "ReportError", "check_folder", "write_report"]

PAGE = "report.html"
_KINDS = {".html", ".png", ".svg", ".csv", ".json"}


class ReportError(RuntimeError):
    """A report that cannot be made, or not where it was asked for; nothing is left behind."""


def check_folder(folder: Path, force: bool) -> None:
    """Refuse, before anything runs, a folder that cannot be written or holds what a report did not write."""
    if folder.exists() and not folder.is_dir():
        raise ReportError(f"{folder} is a file; name a folder for the report.")
    parent = folder.resolve().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ReportError(f"{folder} cannot be made: {parent} does not exist or is not writable; choose another place.")
    inside = sorted(folder.iterdir()) if folder.exists() else []
    if inside and not force:
        raise ReportError(
            f"{folder} is not empty; choose another folder, or pass --force to replace an earlier report."
        )
    foreign = [path.name for path in inside if path.suffix not in _KINDS or not path.is_file()]
    if inside and (foreign or not (folder / PAGE).is_file()):
        what = f"{foreign[0]!r}, which no report wrote" if foreign else f"no {PAGE} of an earlier report"
        raise ReportError(f"{folder} holds {what}, so --force would delete what is yours; choose another folder.")


def write_report(values: Mapping[str, Value], folder: Path, project: Project | None = None) -> tuple[Failure, ...]:
    """Execute the notebook into ``folder``, whole or not at all; return the claims that do not hold on this table.

    Parameters
    ----------
    values : mapping
        Parameters of the notebook, without its ``folder``.
    folder : Path
        Where the report goes; what an earlier report left there is replaced.
    project : Project, optional
        Where the notebook is, by default the project around the working directory.

    Raises
    ------
    ReportError
        Where the notebook raises; the folder is then as it was.
    ParameterError, PageError
        Where a value does not suit the notebook, or its page cannot be made.
    """
    require_page_tools()
    project = project or find_project()
    notebook = project.find("your_own_rewards")
    folder = folder.resolve()
    with whole_folder(folder) as made:
        given = resolve(notebook.parameters, {**values, "folder": str(made)})
        (run,) = show(execute_all([Job(notebook, given)]), [notebook.name])
        raised = [failure for failure in run.failures if failure.claim is None]
        if raised:
            raise ReportError(f"The report failed: {raised[0]}")
        places = {str(made): folder.name, str(values["table"]): Path(str(values["table"])).name}
        write_page(_without_places(run.notebook, places), made / PAGE, project.root)
        numbers = made / "numbers.json"
        numbers.write_text(_without_places(numbers.read_text(encoding="utf-8"), places), encoding="utf-8")
    return run.failures


def _without_places(text: str, places: Mapping[str, str]) -> str:
    """Put names for the folders of this machine into JSON, so that the same rewards leave the same report anywhere."""
    for place, name in places.items():
        text = text.replace(json.dumps(place, ensure_ascii=False)[1:-1], name)
    return text
