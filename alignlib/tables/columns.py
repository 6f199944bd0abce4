"""Columns of a table file: which ones a name, a pattern or an average means."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from alignlib._core.errors import InputError
from alignlib.tables.table_file import TableFile

__all__ = [
    "RewardColumn",
    "combines",
    "expand",
    "is_pattern",
    "listed",
    "match",
    "require_column",
    "split_names",
]

_MAX_LISTED = 40
_MANY_MEANT = re.compile(r"(?<!\\)(?:\\\\)*[*?]")
How: TypeAlias = Literal["", "mean", "nanmean", "sum", "nansum"]


@dataclass(frozen=True)
class RewardColumn:
    """One reward asked for.

    Attributes
    ----------
    name : str
        Its name in the table.
    members : tuple of str
        The columns that it is made from.
    how : str
        How: ``""`` of one column, else ``mean``, ``nanmean``, ``sum`` or ``nansum``.
    """

    name: str
    members: tuple[str, ...]
    how: How = ""


def require_column(file: TableFile, name: str, argument: str) -> str:
    r"""Return ``name`` if the file has exactly one such column, else suggest the nearest and list them all.

    A backslash before ``*``, ``?``, ``,`` or a backslash may be left out of the name, as in a pattern.

    Parameters
    ----------
    file : TableFile
        The table.
    name : str
        The column asked for.
    argument : str
        The argument that asked for it, which the sentence names.

    Raises
    ------
    InputError
        If no column has that name, or several.

    Examples
    --------
    >>> require_column(TableFile("t", ("prompt", "r,1"), lambda names: None), r"r\,1", "reward")
    'r,1'
    """
    if name not in file.names and "\\" in name:
        name = _plain(name)
    count = file.names.count(name)
    if count == 1:
        return name
    if count > 1:
        raise InputError(
            f"{file.path} has {count} columns named {name!r} ({argument}); rename all but one.", column=name
        )
    if not any(file.names):
        none = "no column with a name" if file.names else "no columns"
        where = "write their names into the first row" if file.is_text else "write it again, each column with its name"
        raise InputError(f"{file.path} has {none}; {where}.", column=name)
    folded = {other.strip().lower(): other for other in file.names}
    asked = name[:200].strip().lower()
    begun = [other for other in folded if len(asked) > 1 and other.startswith(asked)]
    near = begun[:1] or difflib.get_close_matches(asked, list(folded)[:1000], n=1, cutoff=0.5)
    comma = r" (write its comma as \,)" if near and "," in near[0] and "," not in name else ""
    hint = f"did you mean {folded[near[0]]!r}{comma}? It has" if near else "it has"
    raise InputError(
        f"{file.path} has no column {name!r} ({argument}); {hint} {listed(file.names)}. "
        "Name one of these, or add the column.",
        column=name,
    )


def split_names(text: str) -> list[str]:
    r"""Split a list of names at its commas; a backslash before a comma keeps it.

    Parameters
    ----------
    text : str
        Names with commas between them, as they are typed.

    Examples
    --------
    >>> split_names(r"a,b\,c")
    ['a', 'b\\,c']
    """
    parts = [""]
    for piece in _pieces(text):
        if piece == ",":
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def is_pattern(file: TableFile, entry: str) -> bool:
    """Whether ``entry`` has wildcards and is not itself the name of a column.

    Parameters
    ----------
    file : TableFile
        The table whose columns are meant.
    entry : str
        What was asked for.

    Examples
    --------
    >>> file = TableFile("t", ("score_a", "score_b"), lambda names: None)
    >>> is_pattern(file, "score_*"), is_pattern(file, "score_a")
    (True, False)
    """
    return entry not in file.names and _MANY_MEANT.search(entry) is not None


def match(file: TableFile, pattern: str, skip: Sequence[str] = ()) -> dict[str, str]:
    r"""Columns that a pattern means, keyed by the text its wildcards stand for.

    ``*`` is any text, ``?`` one character, ``\*`` and ``\?`` these characters; columns in ``skip`` are passed over.

    Parameters
    ----------
    file : TableFile
        The table.
    pattern : str
        What was asked for.
    skip : sequence of str
        Columns that are passed over.

    Raises
    ------
    InputError
        If it fits no column, or one whose name comes twice.
    """
    wild = {"*": "(.*)", "?": "(.)"}
    regex = re.compile("".join(wild.get(c) or re.escape(_plain(c)) for c in _pieces(pattern)), re.DOTALL)
    hits = {name: regex.fullmatch(name) for name in file.names if name not in skip}
    count = Counter(file.names)
    found = {
        "\0".join(hit.groups()): name if count[name] == 1 else require_column(file, name, "reward")
        for name, hit in hits.items()
        if hit
    }
    if not found:
        raise InputError(
            f"No column of {file.path} matches {pattern!r} (reward), where * is any text and ? one character; "
            f"it has {listed(file.names)}. Name one of these.",
            column=pattern,
        )
    return found


def combines(entry: str) -> bool:
    """Whether ``entry`` asks for an average or a sum of columns by its prefix.

    Parameters
    ----------
    entry : str
        What was asked for.

    Examples
    --------
    >>> combines("mean:a,b"), combines("nansum:reward_*"), combines("reward")
    (True, True, False)
    """
    prefix, colon, inner = entry.partition(":")
    return bool(colon and inner) and prefix in get_args(How)


def expand(file: TableFile, entries: Sequence[str], skip: Sequence[str] = ()) -> list[RewardColumn]:
    """Resolve what was asked for: a column, a pattern, or ``mean:``, ``nanmean:``, ``sum:``, ``nansum:`` of either.

    Parameters
    ----------
    file : TableFile
        The table whose columns are meant.
    entries : sequence of str
        What was asked for, one reward or pattern each.
    skip : sequence of str
        Columns that no pattern takes, such as the prompt's.

    Returns
    -------
    list of RewardColumn
        One for each reward, in the order asked for, none twice.

    Raises
    ------
    InputError
        If a column is missing, a pattern fits none, or a name comes twice.

    Examples
    --------
    >>> file = TableFile("t", ("score_a", "score_b"), lambda names: None)
    >>> [found.name for found in expand(file, ["score_*", "mean:score_*"])]
    ['score_a', 'score_b', 'mean:score_*']
    """
    found: dict[str, RewardColumn] = {}
    for entry in entries:
        prefix, _, inner = entry.partition(":")
        if entry not in file.names and combines(entry):
            members = [name for part in split_names(inner) for name in _named(file, part, skip)]
            how: How = next(how for how in get_args(How) if how == prefix)
            found[entry] = RewardColumn(entry, tuple(dict.fromkeys(members)), how)
        else:
            found.update({name: RewardColumn(name, (name,)) for name in _named(file, entry, skip)})
    return list(found.values())


def listed(names: Sequence[str]) -> str:
    """Return the names of columns for a sentence, the first of many.

    Parameters
    ----------
    names : sequence of str
        Columns of a table.
    """
    shown = ", ".join(repr(name) for name in names[:_MAX_LISTED])
    return shown + (f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else "")


def _named(file: TableFile, entry: str, skip: Sequence[str]) -> list[str]:
    if is_pattern(file, entry):
        return list(match(file, entry, skip).values())
    return [require_column(file, entry, "reward")]


def _pieces(text: str) -> Iterator[str]:
    """Yield the characters of a name, each backslash together with what it keeps."""
    yield from re.findall(r"\\[*?,\\]|.", text, re.DOTALL)


def _plain(text: str) -> str:
    return re.sub(r"\\([*?,\\])", r"\1", text)
