"""MLflow's metrics: its CSV (``run_id,key,value,step,timestamp``), its folder ``mlruns`` and its database."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from alignlib._core.errors import InputError
from alignlib._core.names import counted, listed, spelled
from alignlib.tables import LEFT_OUT, as_text
from alignlib.training.logs.choose import choose
from alignlib.training.logs.columns import Columns, columns_of_rows, lines_of_csv, text_of
from alignlib.training.logs.log_format import BY_ID, LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.sqlite_file import are_tables, reading
from alignlib.training.logs.values_by_step import Value, of_no_times, rows_of_values

__all__ = ["find_mlflow", "read_mlflow"]

Line: TypeAlias = tuple[str, str, object, object, object]
"""Run, key, step, value and time."""

_HEADS = (("key", "value", "step"), ("metric", "value", "step"))
_RUNS = ("run_id", "run", "Run", "Run ID")
_METRICS = ("metrics", "*/metrics", "*/*/metrics")  # of a run, of an experiment, of the store
_DATABASE = b"SQLite format 3\0"
_STAGE = re.compile(r"^lifecycle_stage:\s*['\"]?deleted\b", re.MULTILINE)  # in the meta.yaml of a run
_SHOWN = 4  # names
_DELETED = "that MLflow holds as deleted (mlflow runs restore)."


def find_mlflow(path: Path) -> Path | None:
    """Take a CSV with MLflow's columns, a folder with a run's ``metrics`` in it, or MLflow's database.

    Parameters
    ----------
    path : Path
        What was named.
    """
    if path.is_dir():
        return path if any(_folders(path)) else None
    try:
        with path.open("rb") as file:
            start = file.read(10_000)
    except OSError:
        return None
    if start.startswith(_DATABASE):
        return path if _is_database(path) else None
    if path.suffix.lower() != ".csv":
        return None
    head = as_text(start, "replace").partition("\n")[0].strip().replace('"', "").split(",")
    return path if any(set(wanted) <= set(head) for wanted in _HEADS) else None


def read_mlflow(path: Path, query: LogQuery) -> LogRows:
    """Read the checkpoints, metrics of one run and step side by side.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.

    Raises
    ------
    InputError
        Where the log lacks what is asked for, with the runs that were deleted.
    """
    notes = list[str]()
    if path.is_dir():
        columns = _columns(path, "MLflow's folder of runs", _of_folders(path, notes))
    elif path.suffix.lower() == ".csv":
        columns = _columns(path, "MLflow's CSV", _of_lines(path))
    else:
        columns = _columns(path, "MLflow's database", _of_database(path, notes))
    columns = replace(columns, notes=tuple(dict.fromkeys([*columns.notes, *notes])))
    try:
        return choose(columns, query)
    except InputError as error:
        gone = [note for note in columns.notes if note.endswith(_DELETED)]
        if type(error) is not InputError or not gone:
            raise
        raise InputError(f"{error} {gone[0]}", argument=error.argument) from error


def _columns(path: Path, kind: str, lines: Iterable[Line]) -> Columns:
    written: dict[str, list[Value]] = {}
    for run, key, step, value, time in lines:
        at = _number(step)
        if at is not None:
            written.setdefault(run, []).append((_number(time), at, key, _number(value)))
    rows, runs, again, said = list[dict[str, object]](), list[str](), Counter[str](), list[str]()
    for run in sorted(written):
        own, replaced = rows_of_values(written[run])
        rows += own
        runs += [run] * len(own)
        again += replaced
        said += of_no_times(written[run])
    return replace(columns_of_rows(path, kind, rows, runs), again=again, notes=tuple(dict.fromkeys(said)))


def _of_lines(path: Path) -> Iterator[Line]:
    lines = lines_of_csv(path)
    head = next(lines, [])
    table = [dict(zip(head, cells, strict=False)) for cells in lines if cells]
    for line in table:
        run = next((line[name] for name in _RUNS if line.get(name)), path.stem)
        key = line.get("key") or line.get("metric") or ""
        yield run, key, line.get("step"), line.get("value"), line.get("timestamp", "")


def _folders(path: Path) -> Iterator[Path]:
    """Give the folders ``metrics`` in which a file holds lines of timestamp, value and step."""
    for pattern in _METRICS:
        for folder in sorted(path.glob(pattern)):
            first = next((one for one in sorted(folder.rglob("*")) if one.is_file()), None) if folder.is_dir() else None
            if first is not None and len((text_of(first) or "").partition("\n")[0].split()) == 3:
                yield folder


def _of_folders(path: Path, notes: list[str]) -> Iterator[Line]:
    """Give the lines of every metric; one without its end, which may be cut within the step, is left for later."""
    folders = list(_folders(path))
    deleted = [folder for folder in folders if _STAGE.search(text_of(folder.parent / "meta.yaml") or "")]
    _say_deleted(path, len(deleted), len(folders), notes)
    folders = [folder for folder in folders if folder not in deleted]
    names = [(text_of(folder.parent / "tags" / "mlflow.runName") or "").strip() for folder in folders]
    called = _told_apart({folder.parent.name: name for folder, name in zip(folders, names, strict=True)}, notes)
    for folder in folders:
        name = called[folder.parent.name]
        for file in sorted(folder.rglob("*")):
            whole, end, rest = (text_of(file) or "").rpartition("\n")
            if end and rest:
                notes.append(LEFT_OUT)
            for line in (whole if end else rest).splitlines():
                parts = line.split()
                if len(parts) != 3 or _number(parts[1]) is None:
                    raise InputError(
                        f"{file} holds {line[:60]!r}, where MLflow writes timestamp, value and step; correct that line."
                    )
                yield name, file.relative_to(folder).as_posix(), parts[2], parts[1], parts[0]


def _say_deleted(path: Path, deleted: int, runs: int, notes: list[str]) -> None:
    """Say how many runs were deleted: MLflow marks these, and shows them no more; refuse where all were."""
    if 0 < deleted == runs:
        raise InputError(f"{path}: every run with a metric was deleted in MLflow; restore one (mlflow runs restore).")
    if deleted:
        notes.append(f"Left out: {counted(deleted, 'run')} {_DELETED}")


def _is_database(path: Path) -> bool:
    try:
        with reading(path) as base:
            base.execute("SELECT run_uuid, key, step, value FROM metrics LIMIT 1").fetchall()
            return are_tables(base, ("metrics", "runs"))
    except sqlite3.Error:
        return False


def _told_apart(names: dict[str, str], notes: list[str]) -> dict[str, str]:
    """Return what to call each run by its id: its name, which is often that of others, too, or else the id."""
    of_name = Counter(names.values())
    shared = [repr(name) for name, many in of_name.items() if name and many > 1]
    if shared:
        notes.append(f"Several runs {BY_ID} {listed(shared[:_SHOWN])}: they go by their ids.")
    return {run: name if name and of_name[name] == 1 else run for run, name in names.items()}


def _of_database(path: Path, notes: list[str]) -> Iterator[Line]:
    """Give the lines of every metric, but of runs that were deleted."""
    try:
        with reading(path) as base:
            marked = "lifecycle_stage" in {name for _, name, *_ in base.execute("PRAGMA table_info(runs)")}
            stage = "lifecycle_stage" if marked else "NULL"
            runs = base.execute(f"SELECT run_uuid, name, {stage} FROM runs").fetchall()
            found = base.execute(
                "SELECT run_uuid, key, step, CASE WHEN is_nan THEN NULL ELSE value END, timestamp "
                "FROM metrics ORDER BY run_uuid, key, timestamp, step"
            ).fetchall()
    except sqlite3.Error as error:
        raise InputError(f"{path} cannot be read as MLflow's database; export the run as CSV.") from error
    own = {str(run) for run, *_ in found}
    deleted = own & {str(run) for run, _, stage in runs if stage == "deleted"}
    _say_deleted(path, len(deleted), len(own), notes)
    names = {str(run): str(name or "").strip() for run, name, _ in runs}
    called = _told_apart({run: names.get(run, "") for run in sorted(own - deleted)}, notes)
    for run, key, step, value, time in found:
        if str(run) in called:
            yield called[str(run)], str(key), step, value, time


def _number(text: object) -> float | None:
    try:
        return spelled(str(text))
    except ValueError:
        return None


register(LogFormat("mlflow", find_mlflow, read_mlflow, place=-10))
