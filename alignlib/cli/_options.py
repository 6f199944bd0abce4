"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from alignlib._core.claims import claimed
from alignlib._core.errors import InputError
from alignlib._core.names import as_address, as_path, spelled, spelled_whole
from alignlib._core.safe_text import hide_password
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import option

__all__ = [
    "DISTINCT",
    "FILE",
    "NUMBER",
    "NUMBERS",
    "Output",
    "Range",
    "Whole",
    "bounded_option",
    "budget_option",
    "claim",
    "draws_seed_option",
    "files_option",
    "form_options",
    "json_option",
    "level_option",
    "prompt_option",
    "seed_option",
]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # fsspec takes file:/x too
_OF_HERE = re.compile(r"(file|local):/(?:/+)?(?=.)", re.IGNORECASE)  # followed by a path of this machine
_OF_A_MACHINE = re.compile(r"(file|local)://[^/]", re.IGNORECASE)
_NAMELESS = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://+")
F = TypeVar("F", bound=Callable[..., Any])


class File(click.Path):
    """The name of a file or a folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what can be no name; an address of this machine is its path, any other stays as it was typed.

        Parameters
        ----------
        value : str or Path
            The word.
        param : Parameter, optional
            The option it was given to.
        ctx : Context, optional
            Of click.

        Returns
        -------
        Path
            Not yet opened.

        Raises
        ------
        BadParameter
            For a name that no file can have, or a file that is not there, where it must be.
        """
        hide_password(os.fsdecode(value))
        if "\0" in os.fsdecode(value):
            self.fail("a name of a file cannot hold the character NUL.", param, ctx)
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            self.fail(f"no file can be called {value!r}, which holds half a character; rename it.", param, ctx)
        if not os.fspath(value):
            self.fail("give the name of a file; got nothing.", param, ctx)
        typed = os.fsdecode(value)
        if _NAMELESS.fullmatch(typed):
            self.fail(f"{typed} is the beginning of an address; give all of it, or a path.", param, ctx)
        if _OF_A_MACHINE.match(typed):
            self.fail(f"{typed} begins with the name of a machine; give the path alone, or three slashes.", param, ctx)
        if _OF_HERE.match(typed) and not os.path.lexists(typed):  # read as what it names, whichever command it is given
            value = _OF_HERE.sub("/", typed)
        try:
            os.stat(value)
        except OSError as error:  # of what is not there, whoever opens it says so
            if error.errno == errno.ELOOP:
                self.fail(f"{os.fsdecode(value)} is a link that leads back to itself; correct the link.", param, ctx)
        typed = os.fsdecode(value)  # click makes a path of it, which loses slashes of an address
        if not as_address(typed):
            return super().convert(value, param, ctx)
        try:
            return as_path(typed)
        except InputError as error:
            self.fail(str(error), param, ctx)


FILE = File(path_type=Path)


class Output(File):
    """A file, or a folder, that is written in the end: whether it can be is found before anything else is done.

    Parameters
    ----------
    *suffixes : str
        The endings that it may have; any if there is none.
    folder : bool
        Whether it is a folder.
    parents : bool
        Whether folders above it are made.
    """

    def __init__(self, *suffixes: str, folder: bool = False, parents: bool = False) -> None:
        super().__init__(path_type=Path)
        self.suffixes, self.folder, self.parents = suffixes, folder, parents

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse another kind of file, and a place where none can be."""
        typed = "--output" if param is None else max(param.opts, key=len)
        hide_password(os.fsdecode(value))
        if _ADDRESS.match(os.fsdecode(value)):
            raise BadInput(f"{typed} is written to a disk of this machine; got the address {value}. Give a path.")
        path = super().convert(value, param, ctx)
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            *others, last = self.suffixes
            raise BadInput(f"{typed} must end in {' or '.join(filter(None, [', '.join(others), last]))}; got {path}.")
        from alignlib._core.files import check_place  # here, since help does without what it imports

        try:
            check_place(path, folder=self.folder, parents=self.parents)
        except InputError as error:
            raise BadInput(str(error)) from None
        return path


class Number(click.ParamType[float]):
    """One number."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read ``0.5``.

        Parameters
        ----------
        value : str or float
            The word.
        param : Parameter, optional
            The option it was given to.
        ctx : Context, optional
            Of click.

        Returns
        -------
        float
            The number.

        Raises
        ------
        BadParameter
            For what is no number in ASCII digits.
        """
        try:
            return spelled(str(value))
        except ValueError:
            self.fail(f"give a number, such as 0.5; got {value!r}.", param, ctx)


NUMBER = Number()


class Range(click.FloatRange):
    """One number in a range, in which what is not a number is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read ``0.5``.

        Parameters
        ----------
        value : str or float
            The word.
        param : Parameter, optional
            The option it was given to.
        ctx : Context, optional
            Of click.

        Returns
        -------
        float
            The number.

        Raises
        ------
        BadParameter
            For what is no number, or lies outside.
        """
        number = NUMBER.convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"give a number, such as 0.5; got {value!r}.", param, ctx)
        return float(super().convert(number, param, ctx))


class Whole(click.IntRange):
    """One whole number in a range, spelled as in a table."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read ``4``.

        Parameters
        ----------
        value : str or int
            The word.
        param : Parameter, optional
            The option it was given to.
        ctx : Context, optional
            Of click.

        Returns
        -------
        int
            The number.

        Raises
        ------
        BadParameter
            For what is no whole number, or lies outside.
        """
        if isinstance(value, str):
            try:
                value = spelled_whole(value)
            except ValueError:
                self.fail(f"give a whole number, such as 4; got {value!r}.", param, ctx)
        return int(super().convert(value, param, ctx))


class Numbers(click.ParamType[list[float]]):
    """Numbers separated by commas, each once where they are ``distinct``.

    Parameters
    ----------
    distinct : bool
        Whether a number that comes twice is refused.
    """

    name = "numbers"

    def __init__(self, distinct: bool = False) -> None:
        self.distinct = distinct

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        """Read ``0.5,1,2``.

        Parameters
        ----------
        value : str or list
            The word, with commas.
        param : Parameter, optional
            The option it was given to.
        ctx : Context, optional
            Of click.

        Returns
        -------
        list of float
            In the order typed.

        Raises
        ------
        BadParameter
            For a part that is no number, or, where they are ``distinct``, one that comes twice.
        """
        if isinstance(value, list):
            return value
        try:
            found = [spelled(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"give numbers separated by commas, such as 0.5,1,2; got {value!r}.", param, ctx)
        twice = next((one for i, one in enumerate(found) if one in found[:i]), None)
        if self.distinct and twice is not None:
            self.fail(f"{twice:g} is given more than once; give it once.", param, ctx)
        return found


NUMBERS, DISTINCT = Numbers(), Numbers(distinct=True)


class Level(click.ParamType[float]):
    """A coverage of intervals."""

    name = "level"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number and check its range.

        Parameters
        ----------
        value : str or float
            The word.
        param : Parameter, optional
            The option it was given to.
        ctx : Context, optional
            Of click.

        Returns
        -------
        float
            Coverage in (0, 1).

        Raises
        ------
        BadParameter
            For what is no number, or no coverage that an interval can have.
        """
        from alignlib._core.checks import as_level  # here, since numpy is slow to import and help does without

        try:
            return as_level(NUMBER.convert(value, param, ctx), "a level")
        except InputError as error:
            self.fail(str(error), param, ctx)


level_option = option(
    "--level",
    default=0.95,
    type=Level(),
    help="Coverage of the intervals.",
)
seed_option = option(
    "--seed",
    default=0,
    type=Whole(min=0),
    argument="rng",
    help="Seed of the intervals; another order of the rows is another seed.",
)
draws_seed_option = option("--seed", default=0, type=Whole(min=0), help="Seed of the draws.")
bounded_option = option(
    "--bounded", type=NUMBERS, help="Known least and largest reward, such as 0,1: no end of support."
)
files_option = option(
    "--files",
    type=click.Choice(["processes", "starts"]),
    default="processes",
    help="What files that hold the same steps are of: processes of one run, averaged, or starts of one, as after a "
    "resume: in the order of their names, a later file replaces everything from its first step on.",
)
json_option = option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
prompt_option = option("--prompt", default="prompt_id", help="Column that names the prompt.")
budget_option = option(
    "--budget",
    type=click.Choice(["average", "per-prompt"]),
    default="average",
    argument={"budget='per_prompt'": "--budget per-prompt"},
    help="Whether a KL budget holds on average over prompts, or on every prompt.",
)


def claim(*paths: Path | None) -> None:
    """Keep other commands from making the same outputs until this one ends.

    Parameters
    ----------
    *paths : Path, optional
        What it is to make.

    Raises
    ------
    InputError
        Where another is at work on one of them.
    """
    click.get_current_context().with_resource(claimed(*(path for path in paths if path is not None)))


def form_options(command: F) -> F:
    """Add the options that say in which form the answer is printed; lines without any.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with ``--json`` and ``--csv``.
    """
    command = option(
        "--csv", "form", flag_value="csv", argument="to_csv", help="Print every point as CSV instead of lines."
    )(command)
    return option("--json", "form", flag_value="json", help="Print JSON instead of lines.")(command)
