"""One notebook with a reader's parameters: executed, written whole or not at all, shown as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from alignbook.page import write_page
from alignbook.parameters import Value
from alignbook.progress import show
from alignbook.project import Notebook, Project
from alignbook.runner import Job, execute_all
from alignlib._core.files import write_whole
from alignlib._core.text import for_terminal, lines_for_terminal

__all__ = ["rerun"]


def rerun(
    project: Project, notebook: Notebook, values: Mapping[str, Value], output: Path, *, html: bool = False
) -> bool:
    """Execute, write ``output`` (and the page beside it), say what happened; return whether all went well.

    A notebook that raises is kept as ``*.failed.ipynb``; ``output`` is then left as it was.
    """
    (run,) = show(execute_all([Job(notebook, values)]), [notebook.name])
    raised = [failure for failure in run.failures if failure.claim is None]
    if raised:
        kept = output.with_suffix(".failed.ipynb")
        write_whole(kept, run.notebook)
        said = [*f"{notebook.name} failed, {raised[0]}".split("\n"), f"What ran until then is in {kept}."]
        click.echo(lines_for_terminal(said), err=True)
        return False
    write_whole(output, run.notebook)
    click.echo(for_terminal(f"Wrote {output}"))
    if html:
        page = output.with_suffix(".html")
        write_page(run.notebook, page, project.root)
        click.echo(for_terminal(f"Wrote {page}"))
    for failure in run.failures:
        click.echo(for_terminal(f"With these parameters {failure}."), err=True)
    return not run.failures
