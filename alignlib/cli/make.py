"""``alignlib make``: what ``make`` does in a clone, where there is no make."""

from __future__ import annotations

import click

from alignlib._core.make import find_make
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make

__all__ = ["command"]


@make(
    "make",
    short_help="Build or test the book in a clone, as make does.",
    examples=["alignlib make", "alignlib make book", "alignlib make test"],
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
def command(targets: tuple[str, ...]) -> None:
    """Do in a clone what `make TARGET` does; without TARGET, list them.

    In a clone that has no environment yet, type `python -m alignlib make book`: that needs Python alone.
    """
    found = find_make()
    if found is None:
        raise BadInput("This alignlib is not that of a clone; change into one and type `python -m alignlib make`.")
    found(list(targets))
