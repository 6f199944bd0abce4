"""``alignlib run``: a notebook of the book with other parameters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from alignbook.extra import require_extra
from alignlib._core.errors import InputError
from alignlib._core.text import for_terminal
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import Command, option
from alignlib.cli._options import FILE

if TYPE_CHECKING:
    from alignbook.project import Notebook, Project

__all__ = ["check_output", "command", "complete_words", "name_and_parameters", "say_other_clone"]


class Run(Command):
    """The command, whose options depend on the notebook: completion offers the notebook's parameters too."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete options, those of the notebook named so far first."""
        found = super().shell_complete(ctx, incomplete)
        notebook = _named(ctx)
        if notebook is None or not incomplete.startswith("-"):
            return found
        offered = [(f"--{p.name.replace('_', '-')}", p.meaning) for p in notebook.parameters.values()]
        return [CompletionItem(name, help=what) for name, what in offered if name.startswith(incomplete)] + found


def complete_words(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a notebook, or the value of the parameter before it."""
    words = [str(word) for word in ctx.params.get("words") or ()]
    notebook = _named(ctx)
    if words and words[-1].startswith("--") and "=" not in words[-1]:
        name = words[-1].removeprefix("--").replace("-", "_")
        parameter = None if notebook is None else notebook.parameters.get(name)
        if parameter is None or parameter.range.file:
            return [CompletionItem(incomplete, type="file")]
        if parameter.range.folder:
            return [CompletionItem(incomplete, type="dir")]
        values = ("true", "false") if parameter.type == "bool" else parameter.range.options
        return [CompletionItem(str(value)) for value in values if str(value).startswith(incomplete)]
    if notebook is not None:
        return []
    try:
        require_extra("alignlib run")
        from alignbook.project import own_project

        notebooks = own_project().notebooks()
    except InputError:  # no names to offer
        return []
    return [CompletionItem(one.name, help=one.title) for one in notebooks if _matches(one.name, incomplete)]


def _matches(name: str, incomplete: str) -> bool:
    return name.startswith(incomplete) or name.split("_", 1)[-1].startswith(incomplete)


def _named(ctx: click.Context) -> Notebook | None:
    """Return the notebook that the words so far name, if one."""
    words = [str(word) for word in ctx.params.get("words") or ()]
    names = [w for i, w in enumerate(words) if not w.startswith("-") and (i == 0 or not words[i - 1].startswith("--"))]
    if not names:
        return None
    try:
        require_extra("alignlib run")
        from alignbook.project import own_project

        return own_project().find(names[0])
    except InputError:
        return None


@click.command(
    "run",
    cls=Run,
    short_help="Rerun a notebook of the book with other parameters.",
    examples=[
        "alignlib run --list",
        "alignlib run best_of_n --help",
        "alignlib run best_of_n --n-max 32 -o out.ipynb --html",
    ],
    context_settings={"ignore_unknown_options": True, "show_default": True},
    add_help_option=False,
)
@click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[NAME] [--PARAMETER VALUE]...",
    shell_complete=complete_words,
)
@option("-p", "pairs", nargs=2, multiple=True, metavar="PARAMETER VALUE", help="The same as --PARAMETER VALUE.")
@option("-o", "--output", type=FILE, help="The executed notebook, OUT.ipynb.")
@option("--html", is_flag=True, help="Also write OUT.html, one file that needs no network.")
@option("--crate", type=FILE, help="Also leave a folder with the run's Workflow Run RO-Crate, which `verify` checks.")
@option("--force", is_flag=True, help="Replace files that are there under these names.")
@option("--list", "listing", is_flag=True, help="Show every notebook with its parameters.")
@option("-h", "--help", "helping", is_flag=True, help="Show this message, or the parameters of NAME, and exit.")
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    output: Path | None,
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
        typed: dict[str, object] = {"-o": output, "--html": html, "--crate": crate, "--force": force}
        typed |= {f"--{parameter}": True for parameter, _ in (*pairs, *more)}
        spare = next((option for option, value in typed.items() if value), None)
        if spare is not None:
            raise BadInput(f"--list shows notebooks and runs none; leave {spare} out.")
        for notebook in [project.find(name)] if name else project.notebooks():
            click.echo("\n".join(describe(notebook)))
        return
    if name is None:
        raise BadInput("Say which notebook and where to: alignlib run NAME -o out.ipynb, or --list.")
    notebook = project.find(name)
    if output is None:
        raise BadInput(f"Say where to: alignlib run {name} -o out.ipynb, or --list.")
    values = resolve_texts(notebook.parameters, (*pairs, *more), Path.cwd())
    check_output(output, project)
    notebook.check(values)
    # Here, not above: Jupyter takes a second that `--list` need not wait for.
    from alignbook.rerun import check_outputs, rerun

    check_outputs(notebook, values, output, html=html, force=force, crate=crate)
    good = rerun(project, notebook, values, output, html=html, force=force, crate=crate)
    if not good:
        raise SystemExit(1)


def say_other_clone(project: Project) -> None:
    """Say whose notebooks are run, where another clone is around."""
    from alignbook.project import another_clone

    if (other := another_clone()) is not None:
        click.echo(
            for_terminal(
                f"The notebooks are those of {project.folder}. Those of {other}, the folder around you, are not run: "
                f"to run them, type `PYTHONPATH={other}:{other / 'book'} python -m alignlib run …`."
            ),
            err=True,
        )


def name_and_parameters(words: tuple[str, ...]) -> tuple[str | None, list[tuple[str, str]]]:
    """Split what is no option of ``run``: the notebook's name, and ``--PARAMETER VALUE`` or ``--PARAMETER=VALUE``.

    >>> name_and_parameters(("--text", "book.txt", "markov", "--delta=0.1"))
    ('markov', [('text', 'book.txt'), ('delta', '0.1')])
    """
    names: list[str] = []
    pairs: list[tuple[str, str]] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            names.append(word)
            continue
        parameter, sign, value = word.removeprefix("--").partition("=")
        found = value if sign else next(rest, None)
        if not word.startswith("--") or found is None:
            raise BadInput(f"{word} is no option, nor a parameter with a value; see --help.")
        pairs.append((parameter.replace("-", "_"), found))
    if len(names) > 1:
        raise BadInput(f"One notebook at a time; got {', '.join(names)}.")
    return (names[0] if names else None), pairs


def describe(notebook: Notebook) -> list[str]:
    """Return the lines of ``run --list`` for one notebook."""
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
        rows.append((typed, f"{parameter.meaning}{limits}  [default: {shown}]"))
    formatter = click.HelpFormatter(width=min(click.get_current_context().terminal_width or 100, 100))
    formatter.write_usage(f"alignlib run {notebook.name}", "[--PARAMETER VALUE]... -o OUT.ipynb [--html]")
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(notebook.title)
    with formatter.section("Parameters"):
        formatter.write_dl(rows)
    click.echo(formatter.getvalue(), nl=False)


def check_output(output: Path, project: Project, suffix: str = ".ipynb") -> None:
    """Refuse, before anything runs, an output that cannot be written or would touch the sources."""
    if output.suffix != suffix:
        raise BadInput(f"The output must end in {suffix}; got {output}.")
    folder = output.resolve().parent
    if project.folder.resolve() in (folder, *folder.parents):
        raise BadInput(f"{output} lies among the sources in {project.folder}; write it elsewhere.")
    if not folder.is_dir():
        raise BadInput(f"The folder {folder} does not exist; make it first.")
    if not os.access(folder, os.W_OK) or output.is_dir():
        raise BadInput(f"{output} cannot be written; choose another place.")
