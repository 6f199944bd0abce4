"""trackio's database of a project: a table ``metrics`` with run, step and an object of values, in SQLite."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

from alignlib._core.errors import InputError
from alignlib.tables import check_depth, parse_json
from alignlib.training.logs.choose import choose
from alignlib.training.logs.columns import columns_of_rows, flat
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.sqlite_file import are_tables, reading

__all__ = ["find_trackio", "read_trackio"]

_MAGIC = b"SQLite format 3\0"


def find_trackio(path: Path) -> Path | None:
    """Take a file that is an SQLite database.

    Parameters
    ----------
    path : Path
        What was named.
    """
    try:
        if not path.is_file():
            return None
        with path.open("rb") as start:
            return path if start.read(len(_MAGIC)) == _MAGIC else None
    except OSError:
        return None


def read_trackio(path: Path, query: LogQuery) -> LogRows:
    """Read the checkpoints of every run; the database is opened for reading only.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.

    Raises
    ------
    InputError
        If it is no database of trackio's, or its metrics are damaged.
    """
    refusal = f"{path} is no database of trackio's: it has no table of 'metrics' with 'run_name', 'step' and 'metrics'"
    try:
        with reading(path) as base:
            if not are_tables(base, ("metrics",)):
                raise InputError(f"{refusal}; name trackio's own file of the project, or export the run as CSV.")
            known = {name for _, name, *_ in base.execute("PRAGMA table_info(metrics)")}
            own = "run_id" if "run_id" in known else "run_name"  # by which newer ones tell runs of one name apart
            found = base.execute(
                f"SELECT run_name, {own}, step, metrics FROM metrics ORDER BY run_name, {own}, id"
            ).fetchall()
    except (sqlite3.Error, OSError) as error:
        raise InputError(f"{refusal}; name trackio's own file of the project, or export the run as CSV.") from error
    names = Counter(run for run, _ in {(run, own) for run, own, _, _ in found})
    rows, runs = [], []
    for run, own, step, cell in found:
        try:
            text = cell.decode() if isinstance(cell, bytes) else str(cell)  # trackio itself writes bytes
            check_depth(str(path), text.encode())
            held = parse_json(text)
        except (InputError, ValueError) as error:
            raise InputError(f"{path}: the metrics of run {run!r:.60} at step {step!r:.20} are not JSON.") from error
        if isinstance(held, dict):
            rows.append({**flat(held), "step": step})
            runs.append(f"{run} ({own})" if names[run] > 1 else str(run))
    return choose(columns_of_rows(path, "trackio's database", rows, runs), query)


register(LogFormat("trackio", find_trackio, read_trackio, place=-10))
