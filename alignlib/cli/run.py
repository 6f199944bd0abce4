"""``alignlib run``: a notebook of the book with other parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignbook.extra import require_extra
from alignlib._core.safe_text import for_terminal, lines_for_terminal
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import option
from alignlib.cli._notebooks import (
    OnNotebook,
    check_names,
    check_output,
    name_and_parameters,
    notebook_words,
    say_other_clone,
)
from alignlib.cli._options import Output, claim

if TYPE_CHECKING:
    from alignbook.project import Notebook

__all__ = ["command"]


@click.command(
    "run",
    cls=OnNotebook,
    short_help="Rerun a notebook of the book with other parameters.",
    examples=[
        "alignlib run --list",
        "alignlib run best_of_n --help",
        "alignlib run best_of_n --n-max 32 -o out.ipynb --html",
        "alignlib run best_of_n --sweep n_max=8,16,32 -o sweep.csv",
    ],
    context_settings={"ignore_unknown_options": True, "show_default": True},
    add_help_option=False,
)
@notebook_words("[NAME] [--PARAMETER VALUE]...")
@option(
    "-o",
    "--output",
    type=Output(".ipynb", ".csv", ".parquet"),
    help="The executed notebook, OUT.ipynb; with --sweep a table, OUT.csv.",
)
@option(
    "--sweep",
    argument="grid",
    multiple=True,
    metavar="PARAMETER=V1,V2,...",
    help="Run at every value and write one table of all claims and numbers, as `alignlib sweep --grid` does.",
)
@option("--html", is_flag=True, help="Also write OUT.html, one file that needs no network.")
@option(
    "--crate",
    type=Output(folder=True),
    help="Also leave a folder with the run's Workflow Run RO-Crate, which `verify` checks.",
)
@option("--force", is_flag=True, help="Replace files that are there under these names.")
@option("--list", "listing", is_flag=True, help="Show every notebook with its parameters.")
@option("-h", "--help", "helping", is_flag=True, help="Show this message, or the parameters of NAME, and exit.")
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    output: Path | None,
    sweep: tuple[str, ...],
    html: bool,
    crate: Path | None,
    force: bool,
    listing: bool,
    helping: bool,
) -> None:
    """Rerun the notebook NAME (10, best_of_n or 10_best_of_n) with other parameters; lists as 1,2,3."""
    if helping and not words:
        click.echo(ctx.get_help())
        return
    if sweep and not (helping or listing):
        from alignlib.cli.sweep import command as swept

        if html or crate is not None:
            raise BadInput(f"--sweep leaves one table of all runs; leave {'--html' if html else '--crate'} out.")
        ctx.invoke(
            swept, words=words, pairs=pairs, grid=sweep, workers=None, scheduler=None, output=output, force=force
        )
        return
    name, more = name_and_parameters(words)
    require_extra("alignlib run")
    from alignbook.parameters import resolve_texts
    from alignbook.project import own_project

    project = own_project()
    say_other_clone(project)
    if helping and name is not None:
        _say_parameters(project.find(name))
        return
    if listing:
        typed: dict[str, object] = {"-o": output, "--sweep": sweep, "--html": html, "--crate": crate, "--force": force}
        typed |= {f"--{parameter}": True for parameter, _ in (*pairs, *more)}
        spare = next((option for option, value in typed.items() if value), None)
        if spare is not None:
            raise BadInput(f"--list shows notebooks and runs none; leave {spare} out.")
        for notebook in [project.find(name)] if name else project.notebooks():
            click.echo(lines_for_terminal(describe(notebook)))
        return
    if name is None:
        raise BadInput("Say which notebook and where to: alignlib run NAME -o out.ipynb, or --list.")
    notebook = project.find(name)
    check_names(notebook, more)
    values = resolve_texts(notebook.parameters, (*pairs, *more), Path.cwd())
    if output is None:
        raise BadInput(f"Say where to: alignlib run {name} -o out.ipynb, or --list.")
    check_output(output, project, ".ipynb")
    notebook.check(values)
    # Here, not above: Jupyter takes a second that `--list` need not wait for.
    from alignbook.rerun import check_outputs, rerun

    claim(output, output.with_suffix(".html") if html else None, crate)
    check_outputs(notebook, values, output, html=html, force=force, crate=crate)
    good = rerun(project, notebook, values, output, html=html, force=force, crate=crate)
    if not good:
        raise SystemExit(1)


def describe(notebook: Notebook) -> list[str]:
    """Return the lines of ``run --list`` for one notebook.

    Parameters
    ----------
    notebook : Notebook
        With its title and parameters.
    """
    lines = [f"{notebook.name}  {notebook.title}"]
    for parameter in notebook.parameters.values():
        limits = "" if parameter.range.text == "any" else f", {parameter.range.text}"
        lines.append(f"  {parameter.name}: {parameter.type} = {parameter.default!r}")
        lines.append(f"      {parameter.meaning}{limits}")
    return lines


def _say_parameters(notebook: Notebook) -> None:
    """Print the help of one notebook: its parameters as options."""
    rows: list[tuple[str, str]] = []
    for parameter in notebook.parameters.values():
        limits = "" if parameter.range.text == "any" else f", {parameter.range.text}"
        default: Any = parameter.default
        shown = ",".join(map(str, default)) or "none" if isinstance(default, list) else default
        typed = f"--{parameter.name.replace('_', '-')} {parameter.type.upper()}"
        rows.append((typed, for_terminal(f"{parameter.meaning}{limits}  [default: {shown}]")))
    formatter = click.HelpFormatter(width=min(click.get_current_context().terminal_width or 100, 100))
    formatter.write_usage(for_terminal(f"alignlib run {notebook.name}"), "[--PARAMETER VALUE]... -o OUT.ipynb [--html]")
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(for_terminal(notebook.title))
    with formatter.section("Parameters"):
        formatter.write_dl(rows)
    click.echo(formatter.getvalue(), nl=False)
