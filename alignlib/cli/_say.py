"""Print an answer in the form that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import click

from alignlib._core.text import lines_for_terminal
from alignlib.answers.output.render import to_csv, to_json
from alignlib.cli._command import Command

__all__ = ["say"]

_SENTENCES = {"messages", "notes", "why_no_lam"}  # fields in which the library may name its arguments
Found = TypeVar("Found", contravariant=True)


class Question(Protocol[Found]):
    """A module of `alignlib.answers.output`."""

    @property
    def COLUMNS(self) -> Sequence[str]:
        """Columns of the CSV."""

    def lines(self, found: Found, /) -> list[str]:
        """Return the answer as text."""

    def record(self, found: Found, /) -> dict[str, Any]:
        """Return the numbers for JSON."""

    def points(self, found: Found, /) -> list[dict[str, Any]]:
        """Return the points for CSV."""


def say(form: str | None, name: str, question: Question[Found], found: Found, **about: Any) -> None:
    """Print an answer as lines, or as JSON or CSV; ``about`` is what the command adds to the JSON."""
    command = click.get_current_context().command
    assert isinstance(command, Command)
    if form == "json":
        click.echo(to_json(name, _in_options({**about, **question.record(found)}, command)), nl=False)
    elif form == "csv":
        click.echo(to_csv(question.points(found), question.COLUMNS), nl=False)
    else:
        click.echo(lines_for_terminal(map(command.said, question.lines(found))))


def _in_options(record: Any, command: Command, spoken: bool = False) -> Any:
    """Return a record whose sentences name options."""
    if isinstance(record, dict):
        return {name: _in_options(value, command, name in _SENTENCES) for name, value in record.items()}
    if isinstance(record, list):
        return [_in_options(value, command, spoken) for value in record]
    return command.said(record) if spoken and isinstance(record, str) else record
