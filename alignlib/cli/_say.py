"""Print an answer in the form that was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import click

from alignlib._core.safe_text import lines_for_terminal
from alignlib.answers.output.render import Row, to_csv, to_json
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import Command

__all__ = ["csv_for", "json_for", "say"]

_SENTENCES = {"messages", "notes", "why_no_lam"}  # fields in which the library may name its arguments
Found = TypeVar("Found", contravariant=True)


class Question(Protocol[Found]):
    """A module of `alignlib.answers.output`."""

    @property
    def COLUMNS(self) -> Sequence[str]:
        """Columns of the CSV."""

    def lines(self, found: Found, /) -> list[str]:
        """Return the answer as text.

        Parameters
        ----------
        found : object
            The answer.

        Returns
        -------
        list of str
            Lines without breaks inside.
        """

    def record(self, found: Found, /) -> dict[str, Any]:
        """Return the numbers for JSON.

        Parameters
        ----------
        found : object
            The answer.

        Returns
        -------
        dict
            What its schema says.
        """

    def points(self, found: Found, /) -> list[dict[str, Any]]:
        """Return the points for CSV.

        Parameters
        ----------
        found : object
            The answer.

        Returns
        -------
        list of dict
            A row each, all with the same keys.
        """


def say(form: str | None, name: str, question: Question[Found], found: Found, **about: Any) -> None:
    """Print an answer as lines, or as JSON or CSV; ``about`` is what the command adds to the JSON.

    Parameters
    ----------
    form : str, optional
        ``"json"`` or ``"csv"``; lines if None.
    name : str
        The command, whose schema the JSON has.
    question : object
        What turns the answer into each form.
    found : object
        The answer.
    **about : object
        What the command adds to the JSON.
    """
    command = click.get_current_context().command
    assert isinstance(command, Command)
    if form == "json":
        click.echo(json_for(to_json(name, _in_options({**about, **question.record(found)}, command))), nl=False)
    elif form == "csv":
        click.echo(csv_for(to_csv(question.points(found), question.COLUMNS)), nl=False)
    else:
        lines = question.lines(found)
        click.echo(lines_for_terminal(line if isinstance(line, Row) else command.said(line) for line in lines))


def json_for(text: str, encoding: str | None = None) -> str:
    r"""Return JSON with escapes for what standard output (or an ``encoding``) has no letters for: the same document.

    Parameters
    ----------
    text : str
        JSON.
    encoding : str, optional
        That of standard output if None.

    Returns
    -------
    str
        The same document.

    Examples
    --------
    >>> print(json_for('"é μ 🔬"', "latin-1"))
    "é \u03bc \ud83d\udd2c"
    """
    encoding = encoding or _encoding()
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(c if _has(encoding, c) else json.dumps(c)[1:-1] for c in text)
    return text


def csv_for(text: str, encoding: str | None = None) -> str:
    """Return CSV as it is, or refuse: it has no escapes for what standard output (or an ``encoding``) cannot hold.

    Parameters
    ----------
    text : str
        CSV.
    encoding : str, optional
        That of standard output if None.

    Returns
    -------
    str
        The same text.

    Raises
    ------
    BadInput
        Where the encoding lacks a letter of it.
    """
    encoding = encoding or _encoding()
    lacking = next((c for c in text if not _has(encoding, c)), None) if not text.isascii() else None
    if lacking is not None:
        raise BadInput(
            f"Standard output is {encoding}, which has no {lacking!r}; set PYTHONIOENCODING=utf-8 or take --json."
        )
    return text


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _in_options(record: Any, command: Command, spoken: bool = False) -> Any:
    """Return a record whose sentences name options."""
    if isinstance(record, dict):
        return {name: _in_options(value, command, name in _SENTENCES) for name, value in record.items()}
    if isinstance(record, list):
        return [_in_options(value, command, spoken) for value in record]
    return command.said(record) if spoken and isinstance(record, str) else record
