"""Bad input of a command: one sentence on standard error that names the options as typed, exit code 2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

import click

from alignlib._core.errors import InputError, bounded
from alignlib._core.safe_text import for_terminal

__all__ = ["BadInput", "foreign_texts", "in_options"]

# Text that came from the reader, as Python quotes it; an apostrophe inside a word opens nothing.
_QUOTED = r"(?<!\w)(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")(?!\w)"
# A value that was given, as Python writes how it is made: ``got tensor([1.0], dtype=torch.bfloat16)``.
_MADE = r"(?<=\bgot )[\w.]+\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
_CAUSES = 20  # looked at, of an error; `raise error from error` makes a ring of them
# A short name is also a word of English: it is an argument only where a sentence treats it as one.
_VERBS = ("[Pp]ass", "[Gg]ive", "lower", "raise", "leave out", "name", "name in", "say", "shorten")
_ORDERS = "|".join(f"(?<={verb} )" for verb in _VERBS)


class BadInput(click.ClickException):
    """What was asked for cannot be done: nothing was run, nothing written."""

    exit_code = 2

    def format_message(self) -> str:
        """Return the sentence on one line of bounded length, safe for a terminal."""
        return for_terminal(bounded(self.message.strip()))


def foreign_texts(error: BaseException) -> list[str]:
    """Return what other programs said that an error came from, in the forms in which sentences repeat it.

    Parameters
    ----------
    error : BaseException
        A sentence of ours, with its causes.

    Examples
    --------
    >>> error = InputError("it failed")
    >>> error.__cause__ = ConnectionError("refused (status=503)")
    >>> error.__cause__.__cause__ = error
    >>> foreign_texts(error)
    ['refused (status=503)']
    """
    found: list[str] = []
    seen: BaseException | None = error
    for _ in range(_CAUSES):
        if seen is None:
            break
        cause: BaseException | None = None
        with suppress(Exception, SystemExit):  # a reader's own exception may do anything when asked for its text
            cause = seen.__cause__
            if not isinstance(seen, (BadInput, InputError)):
                from alignlib.tables import short

                found += [short(seen), " ".join(str(seen).split())]
        seen = cause
    return list(dict.fromkeys(filter(None, found)))


def in_options(text: str, options: Mapping[str, str], kept: Iterable[str] = ()) -> str:
    """Name options as typed where ``text`` names arguments of the library.

    Parameters
    ----------
    text : str
        A sentence of the library. An argument is one where it is set (``wide=True``), in parentheses (``(sample)``), at
        the start of a clause (``kl must …``), after a verb such as "pass" or "lower", or has an underscore.
    options : mapping
        The option for each argument, as `alignlib.cli._command.options_of` gives it; a key may also be a setting, such
        as ``"check=False"``. What is quoted in ``text`` stays as it is; a setting in parentheses
        that has no option goes.
    kept : iterable of str
        What stays as it is unquoted too: files that were typed, what other programs said. One that is called like an
        argument does not count.

    Examples
    --------
    >>> in_options("kl must not exceed 2; lower kl, or pass drop_missing=True for 'kl must'.", {
    ...     "kl": "--kl", "drop_missing": "--drop-missing", "drop_missing=True": "--drop-missing"})
    "--kl must not exceed 2; lower --kl, or pass --drop-missing for 'kl must'."
    >>> in_options("say kl_unit='token', or base=2.", {"kl_unit": "--kl-unit", "base": "--run-base"})
    'say --kl-unit token, or --run-base 2.'
    >>> in_options("my (kl).csv is empty; lower kl.", {"kl": "--kl"}, ["my (kl).csv"])
    'my (kl).csv is empty; lower --kl.'
    >>> in_options("leave them out (least=3), or take another (kl=2).", {"kl": "--kl"})
    'leave them out, or take another (--kl 2).'
    >>> in_options("kl= is no number.", {"kl": "--kl"})
    "--kl '' is no number."
    """
    settings = [name for name in options if "=" in name]
    names = sorted((name for name in options if "=" not in name), key=len, reverse=True)
    if not names:
        return text
    word = "|".join(map(re.escape, names))
    plain = "|".join(re.escape(name) for name in names if "_" in name) or "(?!)"
    setting = "|".join(rf"(?<![\w.]){re.escape(name)}(?!\w)" for name in settings) or "(?!)"
    files = sorted({name for name in kept if name not in names and not name.isspace()} - {""}, key=len, reverse=True)
    kept_ones = "|".join(map(re.escape, files)) or "(?!)"
    pattern = re.compile(
        rf"(?P<kept>(?<!\w)(?:{kept_ones})(?!\w))"
        rf"|(?P<setting>{setting})"
        rf"|(?<![\w.=])(?P<set>{word})=(?:'(?P<value>[\w-]+)'|(?=\S)|(?P<empty>))"
        rf"|(?P<quoted>{_QUOTED}|{_MADE})"
        rf"|\((?P<named>{word})\)"
        rf"|(?P<foreign> \((?!(?:{word})=)[a-z_]+=\w+\))"
        rf"|(?:^|(?<=[.;:,] )|(?<=\band ))(?P<start>{word})(?= must\b|: | has no say\b| and (?:{word})\b)"
        rf"|(?:{_ORDERS})(?P<ordered>{word})\b(?![=\w])"
        rf"|(?<![\w.`-])(?P<plain>{plain})\b(?!=)"
    )

    def option(match: re.Match[str]) -> str:
        kind, found = next((kind, found) for kind, found in match.groupdict().items() if found is not None)
        if kind in ("kept", "quoted"):
            return found
        if kind == "foreign":  # a setting that this command has no option for
            return ""
        said = options[found]
        if kind == "set":
            return f"{said} {match['value'] or ('' if match['empty'] is None else repr(''))}"
        return f"({said})" if kind == "named" else said

    return pattern.sub(option, text)
