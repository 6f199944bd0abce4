"""trackio's database of a project: a table ``metrics`` with run, step and an object of values, in SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from alignlib._core.errors import InputError
from alignlib.tables import check_depth, parse_json
from alignlib.training.logs.choose import choose
from alignlib.training.logs.columns import columns_of_rows, flat
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register

__all__ = ["find_trackio", "read_trackio"]

_MAGIC = b"SQLite format 3\0"


def find_trackio(path: Path) -> Path | None:
    """Take a file that is an SQLite database."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as start:
            return path if start.read(len(_MAGIC)) == _MAGIC else None
    except OSError:
        return None


def read_trackio(path: Path, query: LogQuery) -> LogRows:
    """Read the checkpoints of every run; the database is opened for reading only."""
    refusal = f"{path} is no database of trackio's: it has no table of 'metrics' with 'run_name', 'step' and 'metrics'"
    try:
        base = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True)
        try:
            found = base.execute("SELECT run_name, step, metrics FROM metrics ORDER BY run_name, id").fetchall()
        finally:
            base.close()
    except sqlite3.Error as error:
        raise InputError(f"{refusal}; name trackio's own file of the project, or export the run as CSV.") from error
    rows, runs = [], []
    for run, step, text in found:
        try:
            check_depth(str(path), str(text).encode())
            held = parse_json(str(text))
        except (InputError, ValueError) as error:
            raise InputError(f"{path}: the metrics of run {run!r:.60} at step {step!r:.20} are not JSON.") from error
        if isinstance(held, dict):
            rows.append({**flat(held), "step": step})
            runs.append(str(run))
    return choose(columns_of_rows(path, "trackio's database", rows, runs), query)


register(LogFormat("trackio", find_trackio, read_trackio, place=-10))
