"""What all commands share: options that know their arguments, examples in the help, one way to fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from alignlib._core.errors import InputError
from alignlib._core.safe_text import hide_password
from alignlib.cli._bad_input import BadInput, foreign_texts, in_options
from alignlib.cli._ending import refused
from alignlib.cli._memory import check_memory

__all__ = ["Command", "Option", "command", "naming", "option", "options_of", "refuse_typed"]

_DATE = "SOURCE_DATE_EPOCH"  # numpy makes a number of it as it is imported, pictures later
F = TypeVar("F", bound=Callable[..., Any])


class Option(click.Option):
    """An option that the library knows by other names than its own.

    ``argument`` is such a name, or a setting (``check=False``), or several; a mapping says what is typed for each.

    Parameters
    ----------
    *names : str
        As they are typed, with their dashes.
    argument : str, sequence of str or mapping
        Names of the library's arguments, or settings of one.
    **settings : object
        What click takes.
    """

    def __init__(self, *names: Any, argument: str | Sequence[str] | Mapping[str, str] = (), **settings: Any) -> None:
        super().__init__(*names, **settings)
        typed = max(self.opts, key=len)
        if isinstance(argument, Mapping):
            self.arguments = dict(argument)
        else:
            self.arguments = dict.fromkeys((argument,) if isinstance(argument, str) else argument, typed)


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """Decorate a command with an `Option`.

    Parameters
    ----------
    *names : str
        As they are typed, with their dashes.
    **settings : object
        What click takes, and ``argument``: the library's argument that the option gives.

    Returns
    -------
    callable
        The decorator.
    """
    return click.option(*names, cls=Option, **settings)


class Command(click.Command):
    """A command whose errors of input are sentences, and whose help ends with examples.

    Parameters
    ----------
    *arguments : object
        What click takes.
    examples : sequence of str
        Whole command lines that the help shows.
    **settings : object
        What click takes.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is given twice, and what contradicts itself: one of the two would win in silence.

        Parameters
        ----------
        ctx : Context
            Of click.
        args : list of str
            The words after the command.

        Returns
        -------
        list of str
            What no option took.

        Raises
        ------
        BadInput
            For options given twice, or two that contradict each other.
        """
        if not ctx.resilient_parsing:
            if not {"-h", "--help"} & set(args):
                check_memory(self.name or "")
                _check_date()
            _refuse_contradictions(self, ctx, args)
        words = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:  # which may name an address in a wrong place
            for one in words:
                if one in error.format_message():
                    hide_password(one)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the library says of its arguments is said of the options.

        Parameters
        ----------
        ctx : Context
            Of click, with the values of the options.

        Returns
        -------
        object
            What the function of the command returns.

        Raises
        ------
        BadInput
            For what the library, or the system, refuses.
        """
        try:
            return super().invoke(ctx)
        except BadInput as error:
            raise BadInput(self.said(error.message, foreign_texts(error))) from error
        except InputError as error:
            raise BadInput(self.said(str(error), foreign_texts(error))) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads has enough
                raise
            raise refused(error) from error

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples.

        Parameters
        ----------
        ctx : Context
            Of click.
        formatter : HelpFormatter
            What the help is written to.
        """
        with formatter.section("Examples"):
            formatter.write("".join(f"  $ {example}\n" for example in self.examples))

    def said(self, text: str, kept: Iterable[str] = ()) -> str:
        """Return a sentence or a line of output with options for the library's arguments.

        Parameters
        ----------
        text : str
            A sentence or a line of the library.
        kept : iterable of str
            What stays as it is, besides the files that were typed.

        Returns
        -------
        str
            With the options in place of arguments and settings.
        """
        return in_options(text, options_of(self), [*_files(click.get_current_context()), *kept])


def command(name: str, *, examples: Sequence[str], **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a `Command`; defaults are shown in its help.

    Parameters
    ----------
    name : str
        As it is typed.
    examples : sequence of str
        Whole command lines that the help shows.
    **settings : object
        What click takes.

    Returns
    -------
    callable
        The decorator.
    """
    context = {"show_default": True, "help_option_names": ["-h", "--help"]}
    return click.command(name, cls=Command, examples=examples, context_settings=context, **settings)


def _refuse_contradictions(command: click.Command, ctx: click.Context, args: Sequence[str]) -> None:
    typed = [one for one in command.make_parser(ctx).parse_args(args=list(args))[2] if isinstance(one, click.Option)]
    if any(one.is_eager for one in typed):  # help, which answers whatever else is there
        return
    forms = list(dict.fromkeys(max(one.opts, key=len) for one in typed if one.name == "form"))
    if len(forms) > 1:
        raise click.UsageError(f"{' and '.join(forms)} are two forms of one answer; give one of them.", ctx)
    once = [one for one in typed if not (one.multiple or one.is_flag or one.count)]
    twice = next((one for one in once if once.count(one) > 1), None)
    if twice is not None:
        raise click.UsageError(f"{max(twice.opts, key=len)} is given more than once; give it once.", ctx)
    given = {one.name: max(one.opts, key=len) for one in typed}
    for one in typed:  # --pool is prompt=None, which --prompt contradicts
        for setting in one.arguments if isinstance(one, Option) else ():
            name, _, value = setting.partition("=")
            if value == "None" and name in given:
                raise click.UsageError(f"{given[one.name]} contradicts {given[name]}; leave out one of them.", ctx)


def _check_date() -> None:
    """Refuse a time of builds that is none: libraries read it wherever they are first imported."""
    said = os.environ.get(_DATE, "0")
    if not (said.isascii() and said.isdecimal() and len(said) < 12):
        raise BadInput(
            f"{_DATE} must be a whole number of seconds since 1970, of at most 11 digits; got {said!r}. Correct or "
            "unset it."
        )


def refuse_typed(*names: str, remedy: str) -> None:
    """Refuse options that were typed but would have no say, by their names as parameters; ``remedy`` says why.

    Parameters
    ----------
    *names : str
        Parameters of the running command.
    remedy : str
        Why they have no say here, and what to do.

    Raises
    ------
    BadInput
        Where one of them was typed, whatever its value.
    """
    context = click.get_current_context()
    for one in context.command.params:
        if one.name in names and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE:
            raise BadInput(f"{max(one.opts, key=len)} {remedy}.")


@contextmanager
def naming(**typed: str) -> Iterator[None]:
    """Name the options of a part of a command, where another part gives them to the library under the same names.

    Parameters
    ----------
    **typed : str
        The option, as typed, of each argument of the library.

    Raises
    ------
    BadInput
        In place of an `InputError` of the block, with its options.
    """
    try:
        yield
    except InputError as error:
        context = click.get_current_context()
        options = {**options_of(context.command), **typed}
        raise BadInput(in_options(str(error), options, [*_files(context), *foreign_texts(error)])) from error


def _files(context: click.Context) -> Iterator[str]:
    """Yield the files and folders that were typed, in the forms in which sentences name them."""
    for value in context.params.values():
        if isinstance(value, Path) or (isinstance(value, str) and "/" in value):
            paths = [Path(value)]
            with suppress(OSError):  # the working folder may be gone
                paths.append(Path(os.path.abspath(value)))
            for path in paths:
                yield from map(str, (path, path.parent, path.name))


def options_of(command: click.Command) -> dict[str, str]:
    """Return the option of a command, as typed, for each argument of the library and each setting of one.

    Parameters
    ----------
    command : Command
        Any command of click.

    Returns
    -------
    dict of str to str
        The option for ``name``, or for ``name=value``.

    Examples
    --------
    >>> @click.command()
    ... @option("--no-check", is_flag=True, argument="check=False")
    ... @option("-o", "--output")
    ... def a(no_check, output): pass
    >>> options_of(a)
    {'no_check': '--no-check', 'no_check=True': '--no-check', 'check=False': '--no-check', 'output': '--output'}
    """
    found: dict[str, str] = {}
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or parameter.name is None:
            continue
        typed = max(parameter.opts, key=len)
        names = {parameter.name: typed} | (parameter.arguments if isinstance(parameter, Option) else {})
        for name, typed in names.items():
            found[name] = typed
            if parameter.is_flag and "=" not in name and not parameter.secondary_opts:
                found[f"{name}=True"] = typed
    return found
