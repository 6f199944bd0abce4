"""Checkpoints from a table with one row each: columns of a trainer's own names, or of KL and reward as you name them.

wandb's whole history, trackio's Parquet and data frames of any log are such tables.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import counted
from alignlib.tables import TableFile, identifiers, load, numbers, open_table_file, require_column
from alignlib.tables.columns import listed
from alignlib.training.logs.choose import choose, empty
from alignlib.training.logs.column_choice import ADVICE, PREFERENCE, called_kl, of_preference, plain_names
from alignlib.training.logs.columns import Columns, text_of
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.splits import SPLIT
from alignlib.training.logs.trainers import KLKey, Trainer, recognise

__all__ = ["find_table", "has_column", "named_by", "read_table"]

_ANYBODY = Trainer("", (), (KLKey("kl", "", ""),), ("reward",), length=("n_tokens",), step=("step",))
_RUNS = ("run_name", "run_id", "Run")  # as trackers name them
_ANY_RUNS = ("run", *_RUNS)
_TEXTS = {".log", ".out"}  # as what a console printed is called
_INSTEAD = "Write step, KL and reward as columns of a CSV instead."
_PAIR = r"\b[A-Za-z][\w./-]{0,80}\s?[:=]\s?[-+]?\d[\d.eE+-]*"
_PAIRS = re.compile(rf"{_PAIR}[\s,;|]+{_PAIR}")  # two, one after the other: no header of a table
_LINES = {".log": 20, ".out": 20, ".txt": 1}  # looked at: cells of a table may hold pairs, its header does not
_ROWS = "a row for each checkpoint"


def find_table(path: Path) -> Path | None:
    """Take any file but what a console printed; what reads tables says what is wrong with one that is none.

    Parameters
    ----------
    path : Path
        What was named.

    Raises
    ------
    InputError
        If it is a text that no trainer's keys are in.
    """
    suffix = path.suffix.lower()
    if suffix in _LINES and path.is_file():
        lines = (text_of(path) or "").lstrip().splitlines()[: _LINES[suffix]]
        pairs = next((found for found in map(_PAIRS.search, lines) if found), None)
        if pairs is not None:
            raise InputError(
                f"{path} holds lines of keys and values, as {quoted(pairs[0], 60)}, which are read of the console of a "
                f"known trainer only. {_INSTEAD}",
                argument="path",
            )
    if suffix in _TEXTS and path.is_file():
        raise InputError(
            f"{path} is no table by its extension, and what was sought in its lines is not there: a KL or a reward by "
            f"the key of a known trainer, such as 'actor/kl_loss' (verl) or 'objective/kl' (trl). {_INSTEAD}",
            argument="path",
        )
    return None if path.is_dir() else path


def read_table(path: Path, query: LogQuery) -> LogRows:
    """Read checkpoints from a table of any known format; it must be told the unit of a KL that is no trainer's.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.

    Raises
    ------
    InputError
        If a column is missing, empty, or in a unit that is not said.
    """
    file = open_table_file(path, unfinished=True)
    trainer = recognise(plain_names(file.names, query.evaluation))
    own = {"kl": "kl", "reward": "reward"} if trainer is None else {}
    if set(file.names) == {"Wall time", "Step", "Value"}:
        raise InputError(
            f"{path} is TensorBoard's CSV of one scalar; name the folder of its event files, in which KL and reward "
            "stand together."
        )

    @cache
    def column(name: str) -> FloatArray:
        require_column(file, name, "column")
        cells = load(file, [name], _ROWS).column(name)
        if pa.types.is_boolean(cells.type) or _is_truth(cells):
            raise InputError(
                f"column {name!r} of {path} holds true and false, which are no numbers of a log; correct it, or name "
                "another column.",
                column=name,
            )
        return numbers(file, name, cells)

    def holds_nothing(name: str) -> BoolArray:
        cells = load(file, [name], _ROWS).column(name)
        nothing = pc.is_null(cells)
        if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
            nothing = pc.or_(nothing, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(cells), ""), True))
        return np.asarray(nothing.to_numpy(), dtype=bool)

    for argument in ("kl", "reward", "step", "run"):
        given = getattr(query, argument)
        name = given if given is not None else own.get(argument)
        if name is not None:
            if argument == "kl" and given is None and PREFERENCE & set(plain_names(file.names, query.evaluation)):
                raise InputError(of_preference(path))
            if argument == "kl" and given is None and name not in file.names:
                raise InputError(_unnamed_kl(file), column=name)
            require_column(file, name, argument)
            if argument == "kl" and column(name).size and np.isnan(column(name)).all():
                raise InputError(empty(path, name, column(name).size))
    tracker = next((name for name in _RUNS if trainer and name in file.names), None)
    run = query.run if query.run is not None else tracker
    if isinstance(query.length, str):
        require_column(file, query.length, "length")
    size = load(file, [file.names[0]], _ROWS).num_rows
    kind = f"a table ({path.suffix.lower().lstrip('.')})"
    runs, notes = None if run is None else _runs(file, path, run), list(file.notes)
    if run is None:
        runs, said = _named_runs(file, path)
        notes += said
    split = None
    if SPLIT in file.names and run != SPLIT:
        split = _runs(file, path, SPLIT, "split" if query.splits else "")
    columns = Columns(
        path, kind, tuple(file.names), size, column, runs, tuple(notes), lambda row: file.where([row]),
        holds_nothing=holds_nothing, split=split,
    )  # fmt: skip
    return choose(columns, query, trainer or _ANYBODY)


def _unnamed_kl(file: TableFile) -> str:
    """Say that no column of a table is called ``kl``, and which are called much like it; coefficients are not."""
    near = ", ".join(map(repr, called_kl(file.names)[:8]))
    if near:
        said = f"called like one: {near}. Name the one that is the KL to the base (kl) and its unit (kl_unit)"
    else:
        said = f"nor is another called like one. Name that of the KL to the base (kl), or where there is none, {ADVICE}"
    return f"{file.path} has no column 'kl' (kl); {said}. It has {listed(file.names)}."


def _is_truth(cells: pa.ChunkedArray) -> bool:
    """Tell whether a column of text, as of CSV, holds true and false."""
    if not pa.types.is_string(cells.type):
        return False
    words = {str(word).strip().lower() for word in pc.unique(cells).to_pylist()} - {"", "none"}
    return bool(words) and words <= {"true", "false"}


def named_by(path: Path) -> str | None:
    """Return the column that tells the runs of a table apart, None where it is of one run.

    Parameters
    ----------
    path : Path
        The table.
    """
    file = open_table_file(path, unfinished=True)
    held = (name for name in _ANY_RUNS if name in file.names)
    return next((name for name in held if len(set(_runs(file, path, name, "").tolist()) - {""}) > 1), None)


def has_column(path: Path, name: str) -> bool:
    """Tell whether a table has a column.

    Parameters
    ----------
    path : Path
        The table.
    name : str
        The column.
    """
    return name in open_table_file(path, unfinished=True).names


def _named_runs(file: TableFile, path: Path) -> tuple[npt.NDArray[np.object_] | None, list[str]]:
    """Return the runs of a table of no trainer where a column is called so and holds several, and say so."""
    for name in _ANY_RUNS:
        if name in file.names and not load(file, [name], _ROWS).column(name).null_count:
            found = _runs(file, path, name)
            if len(set(found.tolist())) > 1:
                return found, [f"{counted(len(set(found.tolist())), 'run')}, told apart by column {name!r}."]
    return None, []


def _runs(file: TableFile, path: Path, run: str, what: str = "run") -> npt.NDArray[np.object_]:
    """Return the names in a column; a cell without one is refused, or "" where it need not be ``what``."""
    found = identifiers(file, run, load(file, [run], _ROWS).column(run))
    if what and found.null_count:
        rows = np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False)).tolist()
        raise InputError(
            f"column {run!r} of {path} names no {what} in {file.where(rows[:5], len(rows))}"
            f"{file.word_for_missing(run)}; fill it in, or remove these checkpoints.",
            column=run,
            rows=rows,
        )
    names = np.empty(len(found), dtype=object)
    names[:] = ["" if name is None else str(name) for name in found.to_pylist()]
    return names


register(LogFormat("table", find_table, read_table, place=100))
