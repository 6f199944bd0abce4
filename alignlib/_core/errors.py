"""The one class of bad input: what a caller can correct, said in a sentence that names the argument."""

from __future__ import annotations

import re
from collections.abc import Sequence

from alignlib._core.safe_text import visible, without_password

__all__ = ["InputError", "bounded", "quoted"]

_CONTINUED = re.compile(r"\n\s+")
_ADDRESS = re.compile(r"(?: object)? at 0x[0-9a-fA-F]+")
_SHOWN_ADDRESS = re.compile(r"(?<=[\w>])(?: object)? at 0x[0-9a-f]{6,}(?=>)")  # in a sentence: of an object shown
_LONGEST = 1200  # characters of a sentence
_LONGEST_NAME = 160  # of what it quotes: a column, a cell, an option
# What is quoted, as Python does it (an apostrophe inside a word opens nothing), or has no space in it, as a path.
_QUOTED = re.compile(r"(?<!\w)(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")(?!\w)|\S+", re.DOTALL)


def bounded(sentence: str) -> str:
    """Return a sentence on one line and of bounded length: what is long loses its middle.

    What cannot be printed (half a character, a NUL in a path) is written out; an address of an object is left out.

    Parameters
    ----------
    sentence : str
        Any text, parts of which a reader may have typed.

    Returns
    -------
    str
        At most a few hundred characters, fit to be printed.

    Examples
    --------
    >>> len(bounded(f"no column {'x' * 10_000!r}; check the name.")) < 200
    True
    """
    sentence = _CONTINUED.sub(" ", sentence)  # an array is shown over several lines; a name holds a break as such
    sentence = visible(_SHOWN_ADDRESS.sub("", sentence[: 1000 * _LONGEST]))
    if len(sentence) <= _LONGEST_NAME:
        return sentence
    start = _without_middle(sentence, 100 * _LONGEST)
    return _without_middle(_QUOTED.sub(lambda found: _without_middle(found[0], _LONGEST_NAME), start), _LONGEST)


def quoted(value: object, most: int = 80) -> str:
    """Return how a sentence shows a value of any kind: the start of its `repr` on one line, without addresses.

    Parameters
    ----------
    value : object
        What was given.
    most : int
        Characters to show at most.

    Returns
    -------
    str
        The start of its ``repr``.

    Examples
    --------
    >>> quoted([1, 2]), quoted("a" * 100, 8), quoted(object())
    ('[1, 2]', "'aaaaaaa", '<object>')
    """
    if type(value) in (list, tuple) or (type(value).__module__ == "numpy" and getattr(value, "ndim", 0) == 1):
        value = value[: most // 3 + 1]  # type: ignore[index]  # no more fits, and an item costs a microsecond to show
    try:
        text = repr(value)
    except MemoryError:
        raise
    except Exception as error:  # lists within lists without end, or whatever the object's own library raises
        kind = type(value).__name__
        return f"a {kind} nested too deep to be shown" if isinstance(error, RecursionError) else f"a {kind}"
    if not isinstance(value, (str, bytes)):
        text = " ".join(_ADDRESS.sub("", text).split())
    return without_password(text)[:most]


def _without_middle(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"


class InputError(ValueError):
    """An argument or a file that cannot be used as given: one sentence with what is wrong and what to do.

    Where a mistake carries more data than this, its class derives from this one.

    Parameters
    ----------
    message : str
        The sentence, in terms of the library's arguments; commands translate them to their options.
    argument : str
        Name of the argument it is about, empty where several are.
    column : str, optional
        Column of a table it is about.
    rows : sequence of int
        Rows of a table it is about, positions counted from 0, the header not counted.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> try:
    ...     FiniteLaw([0.0, float("nan")])
    ... except InputError as error:
    ...     print(error.argument, "-", error)
    reward - reward must be finite; 1 of 2 values are not, the first is nan at position 1. Remove or correct them.
    """

    def __init__(
        self, message: str, *, argument: str = "", column: str | None = None, rows: Sequence[int] = ()
    ) -> None:
        super().__init__(bounded(message))
        self.argument = argument
        self.of_kind = False  # whether it is what a door says of a value of another kind (`alignlib._core.doors`)
        self.column = column
        self.rows = tuple(rows)


InputError.__module__ = "alignlib"  # the name under which a reader catches it, in tracebacks too
