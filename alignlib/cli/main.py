"""The command line: a group that loads each command only when it is asked for."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import MutableMapping
from importlib import import_module
from typing import Any

import click

from alignlib._core.names import unknown_name
from alignlib._core.version import __version__
from alignlib.cli._bad_input import BadInput
from alignlib.cli._ending import as_program, sentences

__all__ = ["main", "one_thread"]

# In the order of the help: a reader's own tables, own models, the book.
_COMMANDS = (
    "example", "frontier", "report", "passk", "capacity", "kl", "overlay", "compare", "pick", "certify", "sample",
    "score", "run", "sweep", "claims", "verify", "sync", "make",
)  # fmt: skip
_READ_TABLES_ONLY = ("example", "frontier", "passk", "capacity", "kl", "overlay", "compare", "pick")
_BETWEEN_LOOKS = 50_000  # objects: each look for circles of them goes through all that modules hold, and finds none
_THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")  # which OpenBLAS reads, in this order


class _NoPandas:
    """Keeps pandas out of a process that needs none.

    pyarrow imports it, where it is installed, as soon as it converts a value: a third of the time of a small table.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("left out, since this command needs no pandas", name=name)


def one_thread(environ: MutableMapping[str, str]) -> None:
    """Have OpenBLAS start no threads where the environment does not say how many.

    NumPy's and SciPy's start one a core when they are loaded, a third of the time of a small table, and no command that
    only reads tables multiplies matrices so large that more than one would work.

    Parameters
    ----------
    environ : mapping
        Variables of this process, before NumPy is imported.
    """
    if not any(environ.get(name) for name in _THREADS):
        environ[_THREADS[0]] = "1"


class Commands(click.Group):
    """The commands, each in the module of its name; every error of usage is one sentence."""

    is_program = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as the program that this process is, unless ``standalone_mode=False`` asks for the errors themselves."""
        self.is_program = True
        if not kwargs.get("standalone_mode", True):
            return self.main(*args, **kwargs)
        as_program(lambda: self.main(*args, **{**kwargs, "standalone_mode": False}))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help.

        Parameters
        ----------
        ctx : Context
            Of click.

        Returns
        -------
        list of str
            Names.
        """
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command, and no other.

        Parameters
        ----------
        ctx : Context
            Of click.
        cmd_name : str
            What was typed.

        Returns
        -------
        Command or None
            None where there is none of that name.
        """
        if cmd_name not in _COMMANDS:
            return None
        if self.is_program and cmd_name in _READ_TABLES_ONLY:
            sys.meta_path.insert(0, _NoPandas)
            one_thread(os.environ)
            gc.set_threshold(_BETWEEN_LOOKS)
        found = import_module(f"alignlib.cli.{cmd_name}").command
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is named, or say which one may have been meant.

        Parameters
        ----------
        ctx : Context
            Of click.
        args : list of str
            The words from the command on.

        Returns
        -------
        name : str or None
            As it was typed.
        command : Command or None
            What it names.
        rest : list of str
            The words after it.

        Raises
        ------
        BadInput
            For an unknown name, with the one that may have been meant.
        """
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise BadInput(unknown_name("command", name, _COMMANDS))
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the command.

        Parameters
        ----------
        ctx : Context
            Of click.
        args : list of str
            All words.

        Returns
        -------
        list of str
            From the command on.

        Raises
        ------
        ClickException
            As one sentence, for an option that there is not.
        """
        try:
            with sentences():  # the help may be written to whoever has enough
                return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _sentence(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Find the command and run it.

        Parameters
        ----------
        ctx : Context
            Of click.

        Returns
        -------
        object
            What the command returns.

        Raises
        ------
        ClickException
            As one sentence, where no command can be found.
        """
        try:
            with sentences():
                return super().invoke(ctx)
        except click.UsageError as error:
            raise _sentence(error) from error


def _sentence(error: click.UsageError) -> click.ClickException:
    """Return an error of usage as bad input: one sentence, and where to read on."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    said = re.sub(r"\s*\n\s*", " ", error.format_message()).rstrip(".")
    said = said.replace("Invalid value for ", "", 1).replace(". (", " (", 1)
    where = f"; see `{error.ctx.command_path} --help`" if error.ctx is not None else ""
    return BadInput(f"{said}{where}.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="alignment-limits")
def main() -> None:
    """Limits of language-model alignment: ask about your own rewards, or rerun the book's notebooks."""
