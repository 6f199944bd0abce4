"""A report on a reader's own rewards: the notebook of that name executed, its page, pictures and numbers together."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from alignbook.manifest import ALWAYS, check_folder, filling
from alignbook.page import write_page
from alignbook.parameters import Value, resolve
from alignbook.places import renamed, without_places
from alignbook.progress import show
from alignbook.project import own_project
from alignbook.runner import Job, execute_all
from alignlib._core.errors import InputError
from alignlib._core.files import write_whole
from alignlib._core.safe_text import for_json

__all__ = ["PAGE", "ReportError", "write_report"]

PAGE = "report.html"


class ReportError(InputError):
    """A report that cannot be made; nothing is left behind."""


def write_report(values: Mapping[str, Value], folder: Path, force: bool = False, *, found: object = None) -> None:
    """Execute the library's own notebook into ``folder``, whole or not at all.

    Its claims say what the samples of the table show; none of them must hold, so none is a failure.

    Parameters
    ----------
    values : mapping
        Parameters of the notebook, without its ``folder``.
    folder : Path
        Where the report goes.
    force : bool
        Whether files of an earlier report in that folder are replaced; all else in it stays in any case.
    found : Findings, optional
        What `alignlib.ask` answers with these values and ``curves``, so that the notebook need not ask.

    Raises
    ------
    ReportError
        Where the notebook raises; the folder is then as it was.
    FolderError
        Where the folder holds what is not a report's, or another report is being written there.
    ParameterError, PageError
        Where a value does not suit the notebook, or its page cannot be made.
    """
    table = Path(str(values["table"]))
    check_folder(folder, force, table, ALWAYS)
    project = own_project()
    notebook = project.find("your_own_rewards")
    with filling(folder, force) as made:
        chosen = resolve(notebook.parameters, {**values, "folder": str(made)})
        (run,) = show(execute_all([Job(notebook, chosen, given=found)]), [notebook.name])
        if run.failures:
            raise _failed(str(run.failures[0]), made, folder)
        # Without where they lie, so that the same rewards leave the same report anywhere.
        named = {str(values[key]) for key in ("table", "gold_table") if values.get(key) is not None}
        names = {str(made): folder.resolve().name, **{path: Path(path).name for path in named}}
        write_page(without_places(run.notebook, names), made / PAGE, project.root)
        numbers = made / "numbers.json"
        write_whole(numbers, for_json(renamed(json.loads(numbers.read_text(encoding="utf-8")), names)))


def _failed(said: str, made: Path, folder: Path) -> ReportError | OSError:
    """Return why the notebook failed, with the folder as it was typed; a full disk is a full disk."""
    full = re.search(r"OSError: \[Errno (\d+)\]", said)
    if full and int(full[1]) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OSError(int(full[1]), os.strerror(int(full[1])), str(folder))
    return ReportError(f"The report failed: {said.replace(str(made), str(folder))}")
