"""A folder whose files are starts of one run, one after the other, as the reader says: the later one replaces."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import InputError
from alignlib._core.names import counted, listed
from alignlib.tables import is_table_name
from alignlib.training.logs.halves import assumed_of_starts, halves_of_starts, with_halves
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, find_log
from alignlib.training.logs.rollouts import read_tables, tables_of
from alignlib.training.logs.table import has_column, named_by
from alignlib.training.policy_kl.run_files import by_number, of_starts

__all__ = ["Start", "read_starts", "starts_in"]

_SHOWN = 4  # names
_LOGS = {".json", ".log", ".out", ".txt"}


@dataclass(frozen=True)
class Start:
    """One start of a run.

    Attributes
    ----------
    name : str
        The file or folder in the run's folder.
    path : Path
        What is read.
    log_format : LogFormat
        What reads it.
    """

    name: str
    path: Path
    log_format: LogFormat


def starts_in(path: Path) -> tuple[list[Start], list[str]]:
    """Return the logs in a folder, then the folders in it that hold one, each in the order of names as numbers.

    Parameters
    ----------
    path : Path
        A folder, or a file, which is one start.

    Returns
    -------
    starts : list of Start
        In order.
    notes : list of str
        What in the folder is no start.

    Raises
    ------
    InputError
        For a folder without logs, or one that holds several of means.
    """
    inside = _inside(path)
    starts = [one for one in map(_start_in, inside) if one is not None]
    if not starts:
        return [Start(path.name, *find_log(path))], []
    left = [one.name for one in inside if one.name not in {start.name for start in starts}]
    if not left:
        return starts, []
    names = [*map(repr, left[:_SHOWN]), *([counted(len(left) - _SHOWN, "other")] if len(left) > _SHOWN else [])]
    said = f"Not read in the folder, for they end as no log does, or hold none: {listed(names)}. A start that is among "
    return starts, [f"{said}these needs the ending of a table, or {', '.join(sorted(_LOGS))}, unpacked."]


def _inside(path: Path) -> list[Path]:
    """Return what is in a folder and not hidden, files before folders, in the order of names as numbers."""
    held = [one for one in path.iterdir() if one.name[:1] not in "._"] if path.is_dir() else []
    return sorted(held, key=lambda one: (one.is_dir(), by_number(one.name)))


def _logs_in(path: Path) -> list[Path]:
    logs = [one for one in _inside(path) if one.is_file()]
    return [one for one in logs if is_table_name(one) or one.suffix.lower() in _LOGS or "tfevents" in one.name]


def _start_in(path: Path) -> Start | None:
    """Return what a file or a folder within that of a run is, None where it is no log."""
    if path.is_file():
        return Start(path.name, *find_log(path)) if path in _logs_in(path.parent) else None
    logs = _logs_in(path)
    try:
        return Start(path.name, *find_log(logs[0] if len(logs) == 1 else path))
    except InputError as error:
        if not logs:
            return None
        raise InputError(
            f"{path}, a start of the run (files), holds {listed([*map(repr, (one.name for one in logs[:_SHOWN]))])}"
            f"{' and more' if len(logs) > _SHOWN else ''}, which cannot be read as one: of means a start is one log, "
            f"of single responses it may be a file for each process. {error}",
            argument="files",
        ) from error


def read_starts(path: Path, starts: Sequence[Start], query: LogQuery) -> LogRows:
    """Read the starts of one run, each of which replaces what earlier ones hold from its first step on.

    Parameters
    ----------
    path : Path
        What was named.
    starts : sequence of Start
        In order.
    query : LogQuery
        What is asked of them.

    Raises
    ------
    InputError
        For logs of unlike kind or unit.
    """
    if all(one.log_format.name == "rollouts" for one in starts):
        return read_tables(path, [table for one in starts for table in tables_of(one.path)], query)
    query = replace(query, files="processes", run=query.run or _column_of_runs(starts))
    read = [with_halves(one.log_format.read(one.path, query), one.path) for one in starts]
    for one, rows in zip(starts, read, strict=True):
        require(
            (rows.kl_name, rows.kl_unit, rows.reward_name) == (read[0].kl_name, read[0].kl_unit, read[0].reward_name),
            f"{path}: KL and reward are {rows.kl_name!r} per {rows.kl_unit} and {rows.reward_name!r} in {one.name!r}, "
            f"{read[0].kl_name!r} per {read[0].kl_unit} and {read[0].reward_name!r} in {starts[0].name!r}; starts of "
            "one run are logged alike. Name the columns that all have (kl, reward), or read the files one by one.",
            "files",
        )
    if not query.splits and all(len(set(rows.run.tolist())) == 1 for rows in read):
        read = [replace(rows, run=np.full(rows.run.size, path.stem, dtype=object)) for rows in read]
    trained = [_of_training(one, rows, query) for one, rows in zip(starts, read, strict=True)]
    runs = sorted({str(run) for rows in trained for run in rows.run.tolist()}, key=len, reverse=True)
    runs = runs if any(len(set(rows.run.tolist())) > 1 for rows in trained) else []
    later: dict[str, float] = {}
    kept: list[LogRows] = []
    for rows, training in zip(reversed(read), reversed(trained), strict=True):
        whose = [_run_of(name, runs) for name in rows.run.tolist()]
        kept.append(
            rows.keep(np.array([at < later.get(run, np.inf) for at, run in zip(rows.step, whose, strict=True)]))
        )
        whose += [_run_of(name, runs) for name in training.run.tolist()]
        for run, at in zip(whose, np.append(rows.step, training.step).tolist(), strict=True):
            later[run] = min(later.get(run, np.inf), at)
    kept = kept[::-1]
    lost = [rows.step.size - left.step.size for rows, left in zip(read, kept, strict=True)]
    said = of_starts([one.name for one in starts], [rows.step.size for rows in read], lost, "checkpoint")
    return _joined(kept, [*said, *assumed_of_starts([one.name for one in starts], kept)])


def _column_of_runs(starts: Sequence[Start]) -> str | None:
    """Return the column that tells the runs of a start apart, and is in all; of one run each, they are of the same."""
    if any(one.log_format.name != "table" for one in starts):
        return None
    found = next((name for name in map(named_by, (one.path for one in starts)) if name is not None), None)
    return found if found is not None and all(has_column(one.path, found) for one in starts) else None


def _of_training(one: Start, rows: LogRows, query: LogQuery) -> LogRows:
    """Return the training of a start whose evaluations are read, too: it may begin before the first of them."""
    if not query.held_out and not query.splits:
        return rows
    alone = replace(query, evaluation=False, held_out=False, splits=False)
    with contextlib.suppress(InputError):
        return one.log_format.read(one.path, alone)
    return rows


def _run_of(name: str, runs: Sequence[str]) -> str:
    """Return the run that a run or one of its splits is of; "" where there is but one."""
    return "" if len(runs) < 2 else next((run for run in runs if name == run or name.startswith(f"{run} ")), name)


def _joined(parts: Sequence[LogRows], said: Sequence[str]) -> LogRows:
    def every(name: str) -> FloatArray | None:
        held = [getattr(one, name) for one in parts]
        return None if any(one is None for one in held) else np.concatenate(held)

    def same(name: str) -> str:
        held = {str(getattr(one, name)) for one in parts}
        return held.pop() if len(held) == 1 else ""

    first, printed = parts[0], [one.decimals for one in parts]
    return LogRows(
        first.kl_name,
        first.kl_unit,
        first.reward_name,
        np.concatenate([one.step for one in parts]),
        np.concatenate([one.kl for one in parts]),
        np.concatenate([one.reward for one in parts]),
        every("length"),
        np.concatenate([one.run for one in parts]),
        (first.notes[0], *said, *dict.fromkeys(note for one in parts for note in one.notes[1:])),
        estimator=same("estimator"),
        mean_over=same("mean_over"),
        shortest=every("shortest"),
        longest=every("longest"),
        decimals=None if None in printed else min(one for one in printed if one is not None),
        half=halves_of_starts(parts),
    )
