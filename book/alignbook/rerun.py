"""One notebook with a reader's parameters: executed, written whole or not at all, shown as a page."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import click

from alignbook.bundle.one_run import check_crate, write_run_crate
from alignbook.manifest import check_folder, filling
from alignbook.page import write_page
from alignbook.parameters import Value
from alignbook.places import without_places
from alignbook.progress import show
from alignbook.project import Notebook, Project
from alignbook.runner import Job, Run, execute_all
from alignlib._core.errors import InputError
from alignlib._core.files import check_new, check_place, write_whole
from alignlib._core.safe_text import for_terminal, lines_for_terminal

__all__ = ["check_outputs", "rerun"]


class _RaisedError(Exception):
    """A notebook that raised: what it left so far is not to be kept."""


def check_outputs(
    notebook: Notebook,
    values: Mapping[str, Value],
    output: Path,
    *,
    html: bool,
    force: bool,
    crate: Path | None = None,
) -> None:
    """Refuse, before anything runs, what would take the place of a file, or a folder that cannot be filled.

    Raises
    ------
    InputError
        With a sentence that names what is in the way.
    """
    check_place(output.with_suffix(".failed-9.ipynb"))  # the longest name that may be needed
    if crate is not None and crate.resolve() in (output.resolve(), output.with_suffix(".html").resolve()):
        raise InputError(f"crate must lie beside the output, {crate}, not be it; name another place.", argument="crate")
    _check_free(output, html=html, force=force, crate=crate)
    for _, folder in _folders(notebook, values):
        inputs = [
            Path(str(values[name])) for name, p in notebook.parameters.items() if p.range.file and values.get(name)
        ]
        for table in [*inputs, None]:
            check_folder(folder, force, table)


def _check_free(output: Path, *, html: bool, force: bool, crate: Path | None) -> None:
    for path in (output, output.with_suffix(".html")) if html else (output,):
        check_new(path, force)
    if crate is not None:
        check_crate(crate)


def rerun(
    project: Project,
    notebook: Notebook,
    values: Mapping[str, Value],
    output: Path,
    *,
    html: bool = False,
    force: bool = False,
    crate: Path | None = None,
) -> bool:
    """Execute, write ``output`` (and page and crate beside it), say what happened; return whether all went well.

    A notebook that raises is kept as ``*.failed.ipynb``; ``output``, and a folder that it was to fill, are then left as
    they were.
    """
    run: Run | None = None
    started = time.time()
    with contextlib.suppress(_RaisedError), _filled(notebook, values, force) as (given, names):
        (run,) = show(execute_all([Job(notebook, given)]), [notebook.name])
        if any(failure.claim is None for failure in run.failures):
            raise _RaisedError
    assert run is not None
    text = without_places(run.notebook, names) if names else run.notebook
    raised = [failure for failure in run.failures if failure.claim is None]
    if raised:
        kept = _free(output)
        write_whole(kept, text, replace=False)
        said = [*f"{notebook.name} failed, {raised[0]}".split("\n"), f"What ran until then is in {kept}."]
        click.echo(lines_for_terminal(said), err=True)
        return False
    for _, folder in _folders(notebook, values):
        click.echo(for_terminal(f"Wrote {folder}"))
    _check_free(output, html=html, force=force, crate=crate)  # all, before the first is replaced
    write_whole(output, text, replace=force)
    click.echo(for_terminal(f"Wrote {output}"))
    if html:
        page = output.with_suffix(".html")
        write_page(text, page, project.root, replace=force)
        click.echo(for_terminal(f"Wrote {page}"))
    if crate is not None:
        write_run_crate(crate, project, notebook, values, replace(run, notebook=text), started)
        click.echo(for_terminal(f"Wrote {crate}"))
    for failure in run.failures:
        click.echo(for_terminal(f"With these parameters {failure}."), err=True)
    return not run.failures


def _folders(notebook: Notebook, values: Mapping[str, Value]) -> list[tuple[str, Path]]:
    """The parameters that name a folder to be filled, and the folder."""
    names = [name for name, parameter in notebook.parameters.items() if parameter.range.folder]
    return [(name, Path(str(values[name]))) for name in names if values.get(name)]


@contextlib.contextmanager
def _filled(
    notebook: Notebook, values: Mapping[str, Value], force: bool
) -> Iterator[tuple[dict[str, Value], dict[str, str]]]:
    """Yield the values with working folders in place of those to be filled, and what these are really called."""
    given, names = dict(values), {}
    with contextlib.ExitStack() as stack:
        for name, folder in _folders(notebook, values):
            made = str(stack.enter_context(filling(folder, force)))
            given[name] = made
            names[made] = str(values[name])
        yield given, names


def _free(output: Path) -> Path:
    """The first name for a notebook that failed under which there is no other."""
    names = (output.with_suffix(f".failed{'' if i == 1 else f'-{i}'}.ipynb") for i in count(1))
    return next(name for name in names if not name.exists())
