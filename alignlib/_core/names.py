"""Names and numbers in sentences, and numbers as a reader spells them in an option or a cell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from alignlib._core.errors import InputError
from alignlib._core.safe_text import hide_password

__all__ = [
    "Address",
    "as_address",
    "as_path",
    "by_name",
    "counted",
    "listed",
    "look_alike",
    "number_or_name",
    "spelled",
    "spelled_whole",
    "unknown_name",
    "within_a_file",
]

if TYPE_CHECKING:
    from pathlib import Path as PathOfHere
else:
    PathOfHere = type(Path())  # of which there are subclasses

_KIND = r"[A-Za-z][A-Za-z0-9+.-]+"
_ADDRESS = re.compile(rf"((?:{_KIND}::)*({_KIND})):/+(.*)", re.DOTALL)  # kinds in a row are caches and the like
_HERE = ("file", "local")  # kinds of this machine, of whose paths the first slash is one
_ARCHIVES = ("zip", "tar", "libarchive")


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Return the sentence for an unknown ``name`` of some ``kind``.

    Parameters
    ----------
    kind : str
        What it was to be the name of.
    name : str
        What was given.
    allowed : iterable of str
        The names there are.

    Returns
    -------
    str
        One sentence, with the nearest of them.

    Examples
    --------
    >>> unknown_name("parameter", "n_mx", ["n_max", "seed"])
    "Unknown parameter 'n_mx'; did you mean 'n_max'? Allowed: n_max, seed."
    >>> unknown_name("parameter", "--k", ["--n"])
    "Unknown parameter '--k'. Allowed: --n."
    """
    names = list(allowed)
    bare = {one.removeprefix("--"): one for one in names}  # two options are not alike by their dashes
    near = get_close_matches(name.removeprefix("--"), bare, n=1, cutoff=0.5)
    hint = f"; did you mean {bare[near[0]]!r}?" if near else "."
    return f"Unknown {kind} {name!r}{hint} Allowed: {', '.join(names) if names else 'none'}."


def counted(number: float, noun: str) -> str:
    """Write a number of things, the noun in its form.

    Parameters
    ----------
    number : float
        How many.
    noun : str
        In the singular.

    Returns
    -------
    str
        Such as ``"2 runs"``.

    Examples
    --------
    >>> counted(1, "run"), counted(0, "run"), counted(12, "response")
    ('1 run', '0 runs', '12 responses')
    """
    return f"{number:g} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Write names in a row.

    Parameters
    ----------
    names : sequence of str
        At least one.

    Returns
    -------
    str
        With commas, and "and" before the last.

    Examples
    --------
    >>> listed(["PPO"]), listed(["PPO", "GRPO"]), listed(["PPO", "GRPO", "RLOO"])
    ('PPO', 'PPO and GRPO', 'PPO, GRPO and RLOO')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def number_or_name(text: str | None) -> float | str | None:
    """Read what is a number or else the name of something.

    Parameters
    ----------
    text : str, optional
        What was typed.

    Returns
    -------
    float, str or None
        A number where the text is one.

    Examples
    --------
    >>> number_or_name("0.5"), number_or_name("tokens"), number_or_name(None)
    (0.5, 'tokens', None)
    """
    try:
        return None if text is None else spelled(text)
    except ValueError:
        return text


class Address(PathOfHere):
    """An address, where a path is asked for: it is called as it was typed, with the slashes that a path would lose.

    Parameters
    ----------
    typed : str
        With its kind and ``://``.

    Examples
    --------
    >>> str(Address("s3://b//k/./t.csv")), str(Path("s3://b//k/./t.csv")), str(Address("s3://b//t.csv").parent)
    ('s3://b//k/./t.csv', 's3:/b/k/t.csv', 's3:/b')
    """

    typed = ""

    def __new__(cls, typed: str) -> Address:
        """Keep what was typed."""
        self = super().__new__(cls, typed)
        self.typed = typed
        return self

    def with_segments(self, *segments: str) -> Path:
        """Return what is above or below it as a path, which was not typed.

        Parameters
        ----------
        *segments : str
            Its pieces.
        """
        return Path(*segments)

    def __str__(self) -> str:
        """Return what was typed."""
        return self.typed or super().__str__()

    def __repr__(self) -> str:
        """Return what was typed, named."""
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[type[Address], tuple[str]]:
        """Return what makes a copy, for another process."""
        return Address, (str(self),)


def as_address(path: Path | str) -> str:
    """Return an address as it was typed, of which a path has lost a slash, or nothing of what is none.

    Parameters
    ----------
    path : Path or str
        What was typed.

    Examples
    --------
    >>> as_address(Path("https://example.org/t.csv")), as_address("t.csv"), as_address(Path("file:///t.csv"))
    ('https://example.org/t.csv', '', 'file:///t.csv')
    """
    text = str(path)
    found = _ADDRESS.match(text)
    if found and text.startswith(f"{found[1]}://"):  # it has lost nothing
        return text
    return f"{found[1]}://{'/' * (found[2].lower() in _HERE)}{found[3]}" if found else ""


def as_path(typed: Path | str) -> Path:
    """Return a path, or an address as it was typed, unless a folder here is called like its kind.

    Parameters
    ----------
    typed : Path or str
        As typed.

    Raises
    ------
    InputError
        For an address that was typed with one slash: a path that lost the other is a path already.

    Examples
    --------
    >>> as_path("s3://b//t.csv"), str(as_path("a//t.csv"))
    (Address('s3://b//t.csv'), 'a/t.csv')
    """
    text = str(typed)
    hide_password(text)
    address, head = as_address(text), text.partition("/")[0]
    kind = head.lower().removesuffix(":")  # of this machine one slash is enough
    if isinstance(typed, str) and address not in ("", text) and kind not in _HERE and not os.path.lexists(head):
        raise InputError(
            f"{text} is neither an address nor in a folder {head} here; an address has two slashes after its kind "
            f"({address[:100]})."
        )
    if address != text or Path(head).is_dir():  # a folder's name may end in a colon
        return Path(text)
    return typed if isinstance(typed, Address) else Address(text)


def within_a_file(address: str) -> str:
    """Return the sentence for an address within a file, such as an archive's, or nothing for any other.

    Parameters
    ----------
    address : str
        As typed.

    Examples
    --------
    >>> within_a_file("https://example.org/t.csv"), within_a_file("ZIP://t.csv::a.zip")[:20]
    ('', 'ZIP://t.csv::a.zip i')
    """
    if "::" not in address and address.partition("://")[0].lower() not in _ARCHIVES:
        return ""
    return (
        f"{address} is an address within a file, an archive's or with '::', which is not read; unpack or copy what "
        "lies there, and name that."
    )


def look_alike(column: str, names: Iterable[str]) -> str:
    """Point out two names that differ in capitals or spaces only: they may be meant to be one.

    Parameters
    ----------
    column : str
        Where the names stand.
    names : iterable of str
        The names of that column.

    Returns
    -------
    str
        One sentence, or nothing where no two are alike.

    Examples
    --------
    >>> look_alike("answer", ["A", "B", "a"])
    "'A' and 'a' in column 'answer' differ in capitals or spaces only and are kept apart; write them alike if ..."
    >>> look_alike("answer", ["A", "B"])
    ''
    """
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(" ".join(name.split()).casefold(), name)
        if other != name:
            return (
                f"{other!r} and {name!r} in column {column!r} differ in capitals or spaces only and are kept apart; "
                "write them alike if they are one."
            )
    return ""


def spelled(text: str) -> float:
    """Read a number in ASCII digits with a decimal point, as CSV has it; ``nan`` and ``inf`` are read too.

    What only Python takes for a number (``1_000``, digits of other scripts) raises ValueError, as all other text.
    ``-0`` is 0: no answer repeats its sign.

    Parameters
    ----------
    text : str
        A cell or an option; spaces around the number do not count.

    Returns
    -------
    float
        NaN and infinities among them.

    Raises
    ------
    ValueError
        For all other text.

    Examples
    --------
    >>> spelled(" 2.5e-1"), spelled("-0")
    (0.25, 0.0)
    >>> spelled("1_000")
    Traceback (most recent call last):
    ValueError: '1_000' is no number
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no number")
    return float(text) + 0.0


def spelled_whole(text: str) -> int:
    """Read a whole number in ASCII digits, with or without a sign; all else raises ValueError.

    Parameters
    ----------
    text : str
        A cell or an option.

    Returns
    -------
    int
        Of any size.

    Raises
    ------
    ValueError
        For all other text.

    Examples
    --------
    >>> spelled_whole("-12")
    -12
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def by_name(steps: Sequence[float]) -> bool:
    """Tell whether steps, of which none comes back, are in the order of their names, as files in a folder are.

    Parameters
    ----------
    steps : sequence of float
        In the order of a log; one may stand several times in a row.

    Examples
    --------
    >>> by_name([1.0, 10.0, 11.0, 2.0, 3.0]), by_name([1.0, 2.0, 3.0]), by_name([1.0, 10.0, 2.0, 10.0])
    (True, False, False)
    """
    blocks = [float(step) for step, _ in groupby(steps)]
    if len(blocks) < 3 or len(set(blocks)) < len(blocks) or all(a < b for a, b in pairwise(blocks)):
        return False
    names = [f"{step:.0f}" if step.is_integer() else repr(step) for step in blocks]
    return all(a < b for a, b in pairwise(names))
