"""The command line: rerun a notebook with other parameters, print the scorecard, read a table of rewards."""

from __future__ import annotations

import os
from pathlib import Path

import click

from alignbook.page import PageError, require_page_tools
from alignbook.pairing import PairingError, disagreement
from alignbook.pairing import sync as sync_pair
from alignbook.parameters import ParameterError, resolve_texts
from alignbook.project import Notebook, Project, find_clone, find_project
from alignlib import __version__
from alignlib.cli.capacity import capacity_command
from alignlib.cli.models import sample_command, score_command
from alignlib.cli.rewards import frontier, report
from alignlib.cli.training import kl_command, overlay_command

__all__ = ["main"]


class Refusal(click.ClickException):
    """Asked for something that cannot be done: one sentence, exit 2, nothing run."""

    exit_code = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="alignment-limits")
def main() -> None:
    """Limits of language-model alignment: rerun the book's notebooks, or ask about your own rewards."""


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[NAME] [--PARAMETER VALUE]...")
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="PARAMETER VALUE", help="The same as --PARAMETER VALUE.")
@click.option("-o", "output", type=click.Path(path_type=Path), help="The executed notebook, OUT.ipynb.")
@click.option("--html", is_flag=True, help="Also write OUT.html, one file that needs no network.")
@click.option("--list", "listing", is_flag=True, help="Show every notebook with its parameters.")
def run(
    words: tuple[str, ...], pairs: tuple[tuple[str, str], ...], output: Path | None, html: bool, listing: bool
) -> None:
    """Rerun the notebook NAME (03, bounds or 03_bounds) with other parameters; lists as 1,2,3."""
    try:
        name, more = name_and_parameters(words)
        project = find_project()
        if listing:
            for notebook in [project.find(name)] if name else project.notebooks():
                click.echo("\n".join(describe(notebook)))
            return
        if name is None or output is None:
            raise Refusal("Say which notebook and where to: alignlib run NAME -o out.ipynb, or --list.")
        notebook = project.find(name)
        values = resolve_texts(notebook.parameters, (*pairs, *more), Path.cwd())
        check_output(output, project)
        if html:
            require_page_tools()
    except (ParameterError, PageError) as error:
        raise Refusal(str(error)) from error
    from alignbook.rerun import (
        rerun,
    )  # here, not above: Jupyter takes a second that `--list` need not wait for

    try:
        good = rerun(project, notebook, values, output, html=html)
    except PageError as error:
        raise click.ClickException(str(error)) from error
    if not good:
        raise SystemExit(1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def claims(as_json: bool) -> None:
    """Print what the last build of the book verified; exit 1 when a claim that must hold does not."""
    from alignbook.scorecard import read_claims, to_lines

    try:
        project = find_clone()
    except ParameterError as error:
        raise Refusal(str(error)) from error
    if not project.claims_file.is_file():
        raise Refusal(f"{project.claims_file} is not there yet; run `make book` first.")
    book = read_claims(project.claims_file)
    if as_json:
        click.echo(project.claims_file.read_text(encoding="utf-8"), nl=False)
    else:
        click.echo("\n".join(to_lines(book)))
    missing = [notebook.name for notebook in project.notebooks() if notebook.name not in book]
    if missing:
        click.echo(f"No record of {', '.join(missing)}; run `make book`.", err=True)
    if missing or any(claim.must_hold and not claim.holds for _, found in book.values() for claim in found):
        raise SystemExit(1)


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a pair disagrees.")
def sync(check: bool) -> None:
    """Bring every notebook's .py and its paired .ipynb into agreement."""
    try:
        scripts = find_clone().scripts()
    except ParameterError as error:
        raise Refusal(str(error)) from error
    if check:
        said = [sentence for script in scripts if (sentence := disagreement(script))]
        click.echo("\n".join(said) or f"{len(scripts)} pairs agree.")
        raise SystemExit(bool(said))
    refused: list[str] = []
    for script in scripts:
        try:
            taken = sync_pair(script)
        except PairingError as error:
            refused.append(str(error))
            continue
        if taken:
            click.echo(f"Paired {script.stem}, from {taken}")
    if refused:
        raise Refusal("\n".join(refused))


main.add_command(capacity_command)
main.add_command(frontier)
main.add_command(kl_command)
main.add_command(overlay_command)
main.add_command(report)
main.add_command(sample_command)
main.add_command(score_command)


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
            raise ParameterError(f"{word} is no option, nor a parameter with a value; see --help.")
        pairs.append((parameter.replace("-", "_"), found))
    if len(names) > 1:
        raise ParameterError(f"One notebook at a time; got {', '.join(names)}.")
    return (names[0] if names else None), pairs


def describe(notebook: Notebook) -> list[str]:
    """Return the lines of ``run --list`` for one notebook."""
    lines = [f"{notebook.name}  {notebook.title}"]
    for parameter in notebook.parameters.values():
        limits = "" if parameter.range.text == "any" else f", {parameter.range.text}"
        lines.append(f"  {parameter.name}: {parameter.type} = {parameter.default!r}")
        lines.append(f"      {parameter.meaning}{limits}")
    return lines


def check_output(output: Path, project: Project) -> None:
    """Refuse, before anything runs, an output that cannot be written or would touch the sources."""
    if output.suffix != ".ipynb":
        raise ParameterError(f"The output must end in .ipynb; got {output}.")
    folder = output.resolve().parent
    if project.folder.resolve() in (folder, *folder.parents):
        raise ParameterError(f"{output} lies among the sources in {project.folder}; write it elsewhere.")
    if not folder.is_dir():
        raise ParameterError(f"The folder {folder} does not exist; make it first.")
    if not os.access(folder, os.W_OK) or output.is_dir():
        raise ParameterError(f"{output} cannot be written; choose another place.")
