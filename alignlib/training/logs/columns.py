"""A log as named columns, wherever it came from: rows of objects, lines of a console, a table."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.errors import InputError, quoted
from alignlib._core.same import SameFields
from alignlib.tables import EXACT_INTEGERS, as_text, short, too_large
from alignlib.training.logs.splits import SPLIT

__all__ = ["LARGEST", "Columns", "columns_of_rows", "flat", "lines_of_csv", "text_of"]

LARGEST = 1e102  # as of rewards in a table
_MOST_BYTES = 256 * 2**20
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_WORDS = {"nan": math.nan, "infinity": math.inf, "inf": math.inf, "-infinity": -math.inf, "-inf": -math.inf}


@dataclass(frozen=True, eq=False)
class Columns(SameFields):
    """Columns of a log.

    Parameters
    ----------
    path : Path
        The log.
    kind : str
        What messages call it.
    names : tuple of str
        Its columns.
    size : int
        Its rows.
    numbers : callable
        Reads a column as numbers, NaN where missing.
    run : array (rows,), optional
        The run of each row, if known.
    notes : tuple of str
        Sentences on how it was read.
    where : callable
        Names a row for messages.
    lacks : callable, optional
        Tells in which rows a column is not there at all, which is no number that is none.
    again : mapping of str to int
        How many values of a column later ones have replaced already.
    holds_nothing : callable, optional
        Tells in which rows a column holds nothing, not even what is no number.
    split : array (rows,), optional
        The split of the data of each row, if they are named.
    """

    path: Path
    kind: str
    names: tuple[str, ...]
    size: int
    numbers: Callable[[str], FloatArray]
    run: npt.NDArray[np.object_] | None = None
    notes: tuple[str, ...] = ()
    where: Callable[[int], str] = lambda row: f"entry {row + 1}"
    lacks: Callable[[str], BoolArray] | None = None
    again: Mapping[str, int] = field(default_factory=dict)
    holds_nothing: Callable[[str], BoolArray] | None = None
    split: npt.NDArray[np.object_] | None = None

    def keep(self, rows: BoolArray) -> Columns:
        """Return some of the rows.

        Parameters
        ----------
        rows : array of bool (rows,)
            True for those that are kept.
        """
        at = np.flatnonzero(rows).tolist()
        numbers, where, lacks, holds_nothing = self.numbers, self.where, self.lacks, self.holds_nothing
        return replace(
            self,
            size=len(at),
            numbers=lambda name: numbers(name)[rows],
            run=None if self.run is None else self.run[rows],
            split=None if self.split is None else self.split[rows],
            where=lambda row: where(at[row]),
            lacks=None if lacks is None else lambda name: lacks(name)[rows],
            holds_nothing=None if holds_nothing is None else lambda name: holds_nothing(name)[rows],
        )

    def absent(self, name: str) -> BoolArray:
        """Tell in which rows a column is not there at all; in none where the log does not tell.

        Parameters
        ----------
        name : str
            The column.
        """
        return np.zeros(self.size, dtype=bool) if self.lacks is None else self.lacks(name)

    def empty(self, name: str) -> BoolArray:
        """Tell in which rows a column holds nothing, rather than NaN; in none where the log does not tell.

        Parameters
        ----------
        name : str
            The column.
        """
        return np.zeros(self.size, dtype=bool) if self.holds_nothing is None else self.holds_nothing(name)

    def bounded(self, name: str) -> FloatArray:
        """Return a column as numbers, none so large that its square, or its product with another, is none.

        Parameters
        ----------
        name : str
            The column.

        Raises
        ------
        InputError
            For a larger number, with its row.
        """
        found = self.numbers(name)
        large = (np.abs(found) > LARGEST) & np.isfinite(found)  # what is none is said, or dropped, as missing
        if large.any():
            row = int(np.argmax(large))
            raise InputError(
                f"{self.path} holds {found[row]:g} for {name!r} in {self.where(row)}; no number may exceed {LARGEST:g} "
                "in size: correct it.",
                column=name,
                rows=[row],
            )
        return found


def columns_of_rows(
    path: Path, kind: str, rows: Sequence[Mapping[str, object]], run: Sequence[str] | None = None
) -> Columns:
    """Return ``rows``, in which keys may be missing, as columns.

    Parameters
    ----------
    path : Path
        The log.
    kind : str
        What messages call it.
    rows : sequence of mapping
        Its entries, in which keys may be missing.
    run : sequence of str, optional
        The run of each row.

    Raises
    ------
    InputError
        If a column that is read holds what is no number.
    """

    def numbers(name: str) -> FloatArray:
        found = np.full(len(rows), math.nan)
        for place, row in enumerate(rows):
            value = row.get(name)
            if value is None:
                continue
            if isinstance(value, str) and value.strip().lower() in _WORDS:
                value = _WORDS[value.strip().lower()]
            if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
                value = float(value)
            if isinstance(value, bool) or not isinstance(value, int | float):
                at = f"at step {quoted(row['step'], 40)}" if name != "step" in row else f"in entry {place + 1}"
                raise InputError(
                    f"{path}: {name!r} holds {quoted(value, 40)} {at}, not a number; correct it, or name another key."
                )
            if isinstance(value, int) and EXACT_INTEGERS <= abs(value) <= LARGEST:
                raise too_large(str(path), name, value, f"entry {place + 1}", place)
            try:
                found[place] = value
            except OverflowError:
                found[place] = math.inf if value > 0 else -math.inf
        return found

    names = tuple(dict.fromkeys(name for row in rows for name in row))
    runs = None if run is None else np.array([*run, None], dtype=object)[:-1]

    def lacks(name: str) -> BoolArray:
        return np.array([name not in row for row in rows], dtype=bool)

    def empty(name: str) -> BoolArray:
        return np.array([row.get(name) is None for row in rows], dtype=bool)

    split = None
    if SPLIT in names:
        split = np.array([*(str(row.get(SPLIT) or "") for row in rows), None], dtype=object)[:-1]
    return Columns(path, kind, names, len(rows), numbers, runs, lacks=lacks, holds_nothing=empty, split=split)


def flat(value: Mapping[str, object]) -> dict[str, object]:
    """Return nested objects as one, keys joined by ``/``; what lies in ``data`` keeps its own keys.

    Parameters
    ----------
    value : mapping
        An object that may hold others.

    Examples
    --------
    >>> flat({"step": 1, "data": {"actor/kl_loss": 0.1}, "reward": {"overall": 2}})
    {'step': 1, 'actor/kl_loss': 0.1, 'reward/overall': 2}
    """
    found: dict[str, object] = {}
    for key, held in value.items():
        if isinstance(held, Mapping):
            inner = flat(held)
            found.update(inner if key == "data" else {f"{key}/{name}": one for name, one in inner.items()})
        else:
            found[key] = held
    return found


def lines_of_csv(path: Path) -> Iterator[list[str]]:
    """Yield the cells of each line of a CSV that a tracker wrote, its head first.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        For what is no text, or no CSV.
    """
    text = text_of(path)
    if text is None:
        raise InputError(f"{path} is no text in UTF-8, or too large for a log; export it again.")
    lines = csv.reader(text.splitlines())
    try:
        yield from lines
    except csv.Error as error:
        raise InputError(
            f"{path}: line {lines.line_num} is no CSV ({short(error)}); correct it, or export it again."
        ) from error


def text_of(path: Path) -> str | None:
    """Return the text of an ordinary file that is not too large for a log, or None.

    Parameters
    ----------
    path : Path
        The file.
    """
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        return as_text(path.read_bytes(), unfinished=True)
    except (OSError, UnicodeDecodeError, ValueError):
        return None
