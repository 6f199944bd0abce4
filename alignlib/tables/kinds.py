"""The few kinds of target or label that a channel needs: texts numbered, measured numbers put into bins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pyarrow as pa

from alignlib._core.checks import IntArray, as_whole
from alignlib._core.errors import InputError
from alignlib._core.names import counted, look_alike
from alignlib.tables.as_identifiers import spelled_number, texts
from alignlib.tables.columns import require_column
from alignlib.tables.table_file import TableFile, load

__all__ = ["categories", "check_kinds", "in_bins", "kinds_of", "renumbered"]

_WHOLE = re.compile(r"-?\d+(\.0*)?")
_FEW_ROWS = 20  # of so few any column is all different
_ALIKE = 2  # rows a value on average, below which nothing is a kind
_MANY, _ALIKE_OF_MANY = 30, 10  # different measured numbers, and rows a value below which they are not counted


def kinds_of(
    file: TableFile, wanted: Mapping[str, str | None], drop_missing: bool, truth: str = "", bins: int | None = None
) -> tuple[dict[str, tuple[tuple[str, ...], IntArray]], tuple[str, ...]]:
    """Read from a file of labels which kind each row has of what is wanted.

    Parameters
    ----------
    file : TableFile
        One row per label given.
    wanted : mapping of str to str
        The columns of ``target``, ``label``, ``context`` and ``rater``; what has none is the same in all rows.
    drop_missing : bool
        Go on without the rows where a cell is missing.
    truth : str
        The file in which targets were looked up, for messages.
    bins : int, optional
        Number of bins into which targets and labels that are numbers are put.

    Returns
    -------
    found : dict
        For each of the wanted, the different values, and the place of each row's among them.
    notes : tuple of str
        Sentences on what was left out, put into bins, or may be meant to be one.

    Raises
    ------
    InputError
        With one sentence that says what is wrong, where, and what to do.
    """
    named = {what: require_column(file, name, what) for what, name in wanted.items() if name is not None}
    for what, name in named.items():
        same = next(other for other, its in named.items() if its == name)
        if same != what:
            raise InputError(
                f"{same} and {what} must be different columns; both are {name!r}.", argument=what, column=name
            )
    data = load(file, list(named.values()), "one row per label")
    text = pa.table({what: texts(file, name, data[name], labels=True) for what, name in named.items()})
    whole = text.drop_null()
    notes: tuple[str, ...] = ()
    if whole.num_rows < text.num_rows:
        gap = np.any([column.is_null().to_numpy() for column in text.columns], axis=0)
        rows = np.flatnonzero(gap).tolist()
        said = f"{len(rows)} of {gap.size} rows"
        if not drop_missing:
            lacking = {name: int(text[what].null_count) for what, name in named.items() if text[what].null_count}
            which = ", ".join(f"{name!r} in {n}{file.word_for_missing(name)}" for name, n in lacking.items())
            if truth and named["target"] in lacking:
                which += f"; {named['target']!r} is looked up in {truth}, which lacks it for these items"
            raise InputError(
                f"{said} of {file.path} lack a target, label, context or rater: {which}; "
                f"{file.where(rows[:5], len(rows))}; fill them, or pass drop_missing=True.",
                rows=rows,
            )
        notes = (f"{said} were left out for want of a value.",)
    nobody = ("all",), np.zeros(whole.num_rows, dtype=np.int64)
    found: dict[str, tuple[tuple[str, ...], IntArray]] = dict.fromkeys(wanted, nobody)
    for what in wanted:
        if what in named:
            measured = file.is_text and what in ("target", "label")
            names, codes, said = categories(named[what], whole[what], measured=measured)
            found[what] = names, codes
            notes += (said,) if said else ()
    binned: list[str] = []
    for what in ("target", "label"):
        if bins is not None:
            names, codes, said = in_bins(named[what], found[what][0], found[what][1], bins)
            found[what] = names, codes
            binned += [said] if said else []
        check_kinds(file.path, what, named[what], found[what][0], found[what][1])
    if bins is not None and not binned:
        most = max(len(found[what][0]) for what in ("target", "label"))
        raise InputError(
            f"bins={bins}: nothing in {file.path} is put into bins, for they are for numbers of more different "
            f"values, and there are {most} targets or labels at most, or they are text; lower bins, or leave out bins.",
            argument="bins",
        )
    alike = tuple(note for what, name in named.items() if (note := look_alike(name, found[what][0])))
    return found, (*notes, *file.notes, *binned, *alike)


def categories(column: str, cells: pa.ChunkedArray, *, measured: bool = False) -> tuple[tuple[str, ...], IntArray, str]:
    """Number the texts; where all are numbers, in their order.

    Each text is a name of its own (1.1 and 1.10 may be versions). Of what may be ``measured``, and was written as text
    for want of numbers, as in CSV, whole numbers are one in any spelling: 4 and 4.0.

    Parameters
    ----------
    column : str
        Its name, for the sentence.
    cells : ChunkedArray
        Text, without gaps.
    measured : bool
        Whether spellings of a whole number are one.

    Returns
    -------
    names : tuple of str
        The different values in order.
    codes : array of int (rows,)
        Their places in the names.
    said : str
        A sentence where there are several spellings of one number; else nothing.

    Examples
    --------
    >>> categories("score", pa.chunked_array([["10", "9", "9.0"]]), measured=True)
    (('9', '10'), array([1, 0, 0]), "'9' and '9.0' in column 'score' are one number, and read as one.")
    >>> categories("who", pa.chunked_array([["10", "9", "9.0"]]))[:2]
    (('9', '9.0', '10'), array([2, 0, 1]))
    """
    encoded = cells.combine_chunks().dictionary_encode()
    values: list[str] = encoded.dictionary.to_pylist()
    numbers = [spelled for value in values if (spelled := spelled_number(value)) is not None]
    read, said = values, ""
    if len(numbers) == len(values):
        if measured:
            read = [n if _WHOLE.fullmatch(value) else value for value, n in zip(values, numbers, strict=True)]
        said = _spellings(column, values, numbers, read)
        names = sorted(set(read), key=lambda value: (Decimal(value), value))
    else:
        names = sorted(values)
    place = {name: code for code, name in enumerate(names)}
    places = np.array([place[value] for value in read], dtype=np.int64)
    return tuple(names), places[encoded.indices.to_numpy()], said


def _spellings(column: str, values: list[str], numbers: list[str], read: list[str]) -> str:
    """Say the first two texts that spell one number and are read as one, and the first two that are read as two."""
    first: dict[str, int] = {}
    found: dict[str, str] = {}
    for at, number in enumerate(numbers):
        before = first.setdefault(number, at)
        if before != at:
            one, other = sorted([values[before], values[at]])
            how = "one" if read[before] == read[at] else "two; spell them alike if they are one"
            found.setdefault(how, f"{one!r} and {other!r} in column {column!r} are one number, and read as {how}.")
    return " ".join(found[how] for how in sorted(found))


def renumbered(names: tuple[str, ...], codes: IntArray) -> tuple[tuple[str, ...], IntArray]:
    """Number anew what is left.

    Parameters
    ----------
    names : tuple of str
        The different values.
    codes : array of int (rows,)
        Their places in the names, some of which may no longer come.

    Returns
    -------
    names : tuple of str
        Those that come.
    codes : array of int (rows,)
        Their places.

    Examples
    --------
    >>> renumbered(("a", "b", "c"), np.array([2, 0]))
    (('a', 'c'), array([1, 0]))
    """
    held, places = np.unique(codes, return_inverse=True)
    return tuple(names[code] for code in held.tolist()), places.astype(np.int64)


def in_bins(column: str, names: tuple[str, ...], codes: IntArray, bins: int) -> tuple[tuple[str, ...], IntArray, str]:
    """Put numbers into at most ``bins`` bins with about as many rows each; return names, codes, and a sentence.

    Equal numbers stay together. What has no more different values than bins, or is no number throughout, stays as it
    is, without a sentence.

    Parameters
    ----------
    column : str
        Its name, for the sentence.
    names : tuple of str
        The different values, numbers in their order.
    codes : array (rows,)
        Their places in the names.
    bins : int
        At least 2.

    Examples
    --------
    >>> in_bins("score", ("0.1", "0.2", "0.4", "0.8"), np.array([0, 1, 2, 3, 3]), 2)[:2]
    (('0.1 to 0.2', '0.4 to 0.8'), array([0, 0, 1, 1, 1]))
    """
    bins = as_whole("bins", bins, 2)
    if len(names) <= bins or any(spelled_number(name) is None for name in names):
        return names, codes, ""
    size = np.bincount(codes, minlength=len(names))
    middle = (np.cumsum(size) - 0.5 * size) / size.sum()
    place = np.minimum((middle * bins).astype(np.int64), bins - 1)
    kept, place = np.unique(place, return_inverse=True)
    ends = [(int(np.argmax(place == i)), int(np.flatnonzero(place == i)[-1])) for i in range(kept.size)]
    called = tuple(names[a] if a == b else f"{names[a]} to {names[b]}" for a, b in ends)
    said = (
        f"{counted(len(names), 'different number')} of {column!r} were put into {counted(kept.size, 'bin')} of about "
        "equal size; bins can only lower a capacity, more of them lower it less and need more rows."
    )
    return called, place[codes], said


def check_kinds(path: str, what: str, column: str, names: tuple[str, ...], codes: IntArray) -> None:
    """Refuse a target or label that is different in nearly every row: what tells values apart cannot be counted there.

    Parameters
    ----------
    path : str
        The table, for messages.
    what : str
        ``target`` or ``label``.
    column : str
        The column that holds it.
    names : tuple of str
        Its values.
    codes : array of int (rows,)
        The value of each row, by number.

    Raises
    ------
    InputError
        With what to do.
    """
    numbers = all(spelled_number(name) is not None for name in names)
    measured = numbers and (what == "label" or any("." in name for name in names))  # whole targets may be identifiers
    alike = _ALIKE_OF_MANY if measured and len(names) > _MANY else _ALIKE
    if codes.size < _FEW_ROWS or codes.size >= alike * len(names):
        return
    remedy = (
        "it looks measured, not named: put it into bins (bins=5), which can only lower the capacity"
        if numbers
        else "a capacity needs a few kinds that come again: name such a column, or sort the texts into kinds first"
    )
    raise InputError(
        f"the {what} {column!r} of {path} has {len(names)} different values in {codes.size} rows; {remedy}.",
        column=column,
    )
