"""What commands on notebooks of the book share: the words that name one and its parameters, and where they write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from alignbook.extra import require_extra
from alignlib._core.errors import InputError
from alignlib._core.names import unknown_name
from alignlib._core.safe_text import for_terminal
from alignlib.cli._bad_input import BadInput, in_options
from alignlib.cli._command import Command, option
from alignlib.cli._options import Whole

if TYPE_CHECKING:
    from alignbook.project import Notebook, Project

__all__ = [
    "OnNotebook",
    "check_names",
    "check_output",
    "name_and_parameters",
    "notebook_words",
    "say_other_clone",
    "workers_option",
]

# Where a sentence speaks of a parameter that is not its subject, or is said to be given in a way of its own.
_BESIDE = (
    r"^(?:{word})(?= is given twice\b| has the value\b| names a folder\b)"
    r"|(?:(?<=\bbelow )|(?<=\bvalues as )|(?<=\d for ))(?:{word})\b"
)
F = TypeVar("F", bound=Callable[..., Any])


class OnNotebook(Command):
    """A command whose options depend on the notebook: completion offers the notebook's parameters too."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete options, those of the notebook named so far first.

        Parameters
        ----------
        ctx : Context
            Of click, with the words before.
        incomplete : str
            The word that is being typed.

        Returns
        -------
        list of CompletionItem
            Options of the command and parameters of the notebook.
        """
        found = super().shell_complete(ctx, incomplete)
        notebook = _named(ctx)
        if notebook is None or not incomplete.startswith("-"):
            return found
        offered = [(f"--{p.name.replace('_', '-')}", p.meaning) for p in notebook.parameters.values()]
        return [CompletionItem(name, help=what) for name, what in offered if name.startswith(incomplete)] + found

    def said(self, text: str, kept: Iterable[str] = ()) -> str:
        """Return a sentence with options for arguments, and parameters as they were typed, ``--n-max`` for ``n_max``.

        Parameters
        ----------
        text : str
            A sentence of the library, or of the notebook's checks.
        kept : iterable of str
            What stays as it is, besides the files that were typed.
        """
        typed = _typed()
        text = in_options(super().said(text, kept), typed, kept)
        word = "|".join(map(re.escape, typed)) or "(?!)"
        return re.sub(_BESIDE.format(word=word), lambda match: typed[match[0]], text)


def _typed() -> dict[str, str]:
    """Return how each parameter was typed: ``--n-max`` or, in a grid, ``n-max`` for ``n_max``."""
    given = click.get_current_context().params
    swept = [str(word).partition("=")[0].strip() for word in given.get("grid") or ()]
    options = [word.partition("=")[0] for word in map(str, given.get("words") or ()) if word.startswith("--")]
    return {word.removeprefix("--").replace("-", "_"): word for word in (*swept, *options)}


def check_names(notebook: Notebook, parameters: list[tuple[str, str]], grid: tuple[str, ...] = ()) -> None:
    """Refuse, as it was typed, what is no parameter of the notebook.

    Parameters
    ----------
    notebook : Notebook
        The one that was named.
    parameters : list of (str, str)
        As `name_and_parameters` gives them.
    grid : tuple of str
        What was given to run over, ``NAME=V1,V2`` each.

    Raises
    ------
    BadInput
        With the nearest parameter.
    """
    for name, _ in parameters:
        if name not in notebook.parameters:
            options = [f"--{one.replace('_', '-')}" for one in notebook.parameters]
            raise BadInput(unknown_name("parameter", _typed().get(name, name), options))
    for typed in (word.partition("=")[0].strip() for word in grid if "=" in word):
        if typed.replace("-", "_") not in notebook.parameters:
            raise BadInput(unknown_name("parameter", typed, notebook.parameters))


def notebook_words(metavar: str) -> Callable[[F], F]:
    """Add the words that name a notebook and its parameters; with ``-p`` a parameter may have the name of an option.

    Parameters
    ----------
    metavar : str
        What the help calls them.

    Returns
    -------
    callable
        The decorator.
    """

    def add(command: F) -> F:
        pairs = option(
            "-p", "pairs", nargs=2, multiple=True, metavar="PARAMETER VALUE", help="The same as --PARAMETER VALUE."
        )
        return click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar=metavar, shell_complete=_complete)(
            pairs(command)
        )

    return add


workers_option = option(
    "--workers", type=Whole(1, 256), help="Runs side by side on this machine.  [default: as many as cores]"
)


def _complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
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


def say_other_clone(project: Project) -> None:
    """Say whose notebooks are run, where another clone is around.

    Parameters
    ----------
    project : Project
        The clone, or the package, whose notebooks are run.
    """
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

    Parameters
    ----------
    words : tuple of str
        All that stood after the command but its options.

    Returns
    -------
    name : str or None
        The notebook, if one was named.
    parameters : list of (str, str)
        Names and values, as they were typed.

    Raises
    ------
    BadInput
        For a parameter without a value, or two notebooks.

    Examples
    --------
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
        raise BadInput(f"One notebook at a time; got {', '.join(names)}. Give one name.")
    return (names[0] if names else None), pairs


def check_output(output: Path, project: Project, *suffixes: str) -> None:
    """Refuse, before anything runs, an output of another kind, or one that would touch the sources.

    Parameters
    ----------
    output : Path
        Where the command is to write.
    project : Project
        The sources that it must leave alone.
    *suffixes : str
        The endings that it may have.

    Raises
    ------
    BadInput
        For another ending, or a place among the sources.
    """
    if output.suffix.lower() not in suffixes:
        raise BadInput(f"--output must end in {' or '.join(suffixes)}; got {output}.")
    folder = output.resolve().parent
    if project.folder.resolve() in (folder, *folder.parents):
        raise BadInput(f"{output} lies among the sources in {project.folder}; write it elsewhere.")
