"""Print an answer in the form that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import click

from alignlib._core.text import lines_for_terminal
from alignlib.answers.output.render import to_csv, to_json
from alignlib.cli._command import Command

__all__ = ["say"]

Found = TypeVar("Found", contravariant=True)


class Question(Protocol[Found]):
    """A module of `alignlib.answers.output`."""

    COLUMNS: Sequence[str]

    @staticmethod
    def lines(found: Found, /) -> list[str]:
        """Return the answer as text."""

    @staticmethod
    def record(found: Found, /) -> dict[str, Any]:
        """Return the numbers for JSON."""

    @staticmethod
    def points(found: Found, /) -> list[dict[str, Any]]:
        """Return the points for CSV."""


def say(form: str | None, name: str, question: Question[Found], found: Found, **about: Any) -> None:
    """Print an answer as lines, or as JSON or CSV; ``about`` is what the command adds to the JSON."""
    if form == "json":
        click.echo(to_json(name, {**about, **question.record(found)}), nl=False)
    elif form == "csv":
        click.echo(to_csv(question.points(found), question.COLUMNS), nl=False)
    else:
        command = click.get_current_context().command
        assert isinstance(command, Command)
        click.echo(lines_for_terminal(map(command.said, question.lines(found))))
