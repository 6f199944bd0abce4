"""A folder whose files are starts of one run, one after the other, as the reader says: the later one replaces."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import InputError
from alignlib.tables import is_table_name
from alignlib.training.logs.decimals import shared_decimals, with_decimals
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, find_log
from alignlib.training.logs.rollouts import read_tables, tables_of
from alignlib.training.policy_kl.run_files import by_number, of_starts

__all__ = ["Start", "read_starts", "starts_in"]

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


def starts_in(path: Path) -> list[Start]:
    """Return the logs in a folder, or its folders where it has no logs, in the order of their names as numbers.

    Parameters
    ----------
    path : Path
        A folder, or a file, which is one start.

    Raises
    ------
    InputError
        For a folder without logs, or one of what is no log.
    """
    files = _logs_in(path)
    folders = [one for one in _inside(path) if one.is_dir()] if not files else []
    alone = {one: _logs_in(one) for one in folders}
    where = {one: alone[one][0] if one in alone and len(alone[one]) == 1 else one for one in files or folders or [path]}
    return [Start(one.name, *find_log(log)) for one, log in where.items()]


def _inside(path: Path) -> list[Path]:
    """Return what is in a folder and not hidden, in the order of names as numbers."""
    return sorted((one for one in path.iterdir() if one.name[:1] not in "._"), key=by_number) if path.is_dir() else []


def _logs_in(path: Path) -> list[Path]:
    logs = [one for one in _inside(path) if one.is_file()]
    return [one for one in logs if is_table_name(one) or one.suffix.lower() in _LOGS or "tfevents" in one.name]


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
    alone = replace(query, files="processes")
    read = [with_decimals(one.log_format.read(one.path, alone), one.path) for one in starts]
    for one, rows in zip(starts, read, strict=True):
        require(
            (rows.kl_name, rows.kl_unit, rows.reward_name) == (read[0].kl_name, read[0].kl_unit, read[0].reward_name),
            f"{path}: KL and reward are {rows.kl_name!r} per {rows.kl_unit} and {rows.reward_name!r} in {one.name!r}, "
            f"{read[0].kl_name!r} per {read[0].kl_unit} and {read[0].reward_name!r} in {starts[0].name!r}; starts of "
            "one run are logged alike. Name the columns that all have (kl, reward), or read the files one by one.",
            "files",
        )
    if all(len(set(rows.run.tolist())) == 1 for rows in read):
        read = [replace(rows, run=np.full(rows.run.size, path.stem, dtype=object)) for rows in read]
    later: dict[object, float] = {}
    kept: list[LogRows] = []
    for one, rows in zip(reversed(starts), reversed(read), strict=True):
        kept.append(
            rows.keep(np.array([rows.step[i] < later.get(run, np.inf) for i, run in enumerate(rows.run)], bool))
        )
        for run in set(rows.run.tolist()):
            least = rows.step[rows.run == run].min()
            later[run] = min([later.get(run, np.inf), least, *_of_training(one, alone, len(set(rows.run.tolist())))])
    kept = kept[::-1]
    lost = [rows.step.size - left.step.size for rows, left in zip(read, kept, strict=True)]
    said = of_starts([one.name for one in starts], [rows.step.size for rows in read], lost, "checkpoint")
    return _joined(kept, said)


def _of_training(one: Start, query: LogQuery, runs: int) -> list[float]:
    """Return the first step of training of a start whose evaluations are read."""
    if query.held_out and runs == 1:
        with contextlib.suppress(InputError):
            return [float(one.log_format.read(one.path, replace(query, evaluation=False, held_out=False)).step.min())]
    return []


def _joined(parts: Sequence[LogRows], said: Sequence[str]) -> LogRows:
    def every(name: str) -> FloatArray | None:
        held = [getattr(one, name) for one in parts]
        return None if any(one is None for one in held) else np.concatenate(held)

    def same(name: str) -> str:
        held = {str(getattr(one, name)) for one in parts}
        return held.pop() if len(held) == 1 else ""

    first = parts[0]
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
        decimals=shared_decimals([(one.kl, one.decimals) for one in parts]),
    )
