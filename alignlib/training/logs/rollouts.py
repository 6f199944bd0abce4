"""Single responses of a training run with their log-probabilities or KLs: each step's mean is a checkpoint.

`alignlib.training.callback` writes such rows; what trainers dump (a file a step, or all in one) is read the same way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted, listed
from alignlib.tables import FolderError, TableFile, check_range, is_table_name, open_table_file, tables_in
from alignlib.training.logs.advantages import of_groups
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.per_prompt import per_prompt_means
from alignlib.training.logs.splits import of_split, with_split
from alignlib.training.policy_kl.larger_steps import of_larger_steps
from alignlib.training.policy_kl.response_marks import of_cut
from alignlib.training.policy_kl.response_names import (
    PROMPTS,
    REWARDS,
    RUNS,
    STEPS,
    TEXTS,
    first_of,
    known_pair,
)
from alignlib.training.policy_kl.responses import Responses
from alignlib.training.policy_kl.run_again import latest_of
from alignlib.training.policy_kl.run_files import STARTS, last_starts, of_shared_steps
from alignlib.training.policy_kl.sample_table import read_responses
from alignlib.training.policy_kl.samples_of_table import KLColumns

__all__ = ["find_rollouts", "read_rollouts", "read_tables", "tables_of"]

_TABLES = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".gz", ".feather", ".arrow"}
_OWN = ("log_prob", "base_log_prob"), ("token_log_prob", "base_token_log_prob")

_SHOWN = 4  # folders


def find_rollouts(path: Path) -> Path | None:
    """Take a table whose rows are responses by its columns, or a folder of such tables.

    Parameters
    ----------
    path : Path
        What was named.
    """
    tables = tables_of(path)
    return path if tables and all(_are_responses(names) for names in map(_names, tables)) else None


def read_rollouts(path: Path, query: LogQuery) -> LogRows:
    """Read the responses and average those of a step, prompts counting equally.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.

    Raises
    ------
    InputError
        If a column that is named, or the reward, is not there.
    """
    found = read_tables(path, tables_of(path), query)
    return replace(found, notes=(*found.notes, *_not_read(path)))


def _not_read(path: Path) -> list[str]:
    """Name the folders in that of a run which hold tables, too."""
    held = list[str]()
    for one in sorted(path.iterdir()) if path.is_dir() else []:
        with contextlib.suppress(OSError):  # may not be looked into
            if one.is_dir() and one.name[:1] not in "._" and any(map(is_table_name, one.iterdir())):
                held.append(repr(one.name))
    if not held:
        return []
    shown = listed([*held[:_SHOWN], *([counted(len(held) - _SHOWN, "other folder")] if len(held) > _SHOWN else [])])
    said = f"Not read: tables in {shown} within the folder. If each is a later start of the run, say files='starts'; "
    return [f"{said}else name what is to be read."]


def read_tables(path: Path, tables: Sequence[Path], query: LogQuery) -> LogRows:
    """Read responses as `read_rollouts` does, from tables that were found.

    Parameters
    ----------
    path : Path
        What was named.
    tables : sequence of Path
        The files.
    query : LogQuery
        What is asked of it.

    Raises
    ------
    InputError
        If a column that is named, or the reward, is not there.
    """
    names = _names(tables[0])
    reward = query.reward if query.reward is not None else first_of(REWARDS, names)
    if reward is None or reward not in names:
        listed = ", ".join(map(repr, names[:40]))
        wanted = repr(REWARDS[0] if reward is None else reward)
        raise InputError(f"{path} has no column {wanted} (reward): name that of the reward; it has {listed}.")
    kl = "kl" if query.kl is None else query.kl
    step = (first_of(STEPS, names) or "step") if query.step is None else query.step
    columns = KLColumns(kl=kl, kl_unit=query.kl_unit, step=step)
    if isinstance(query.length, str):
        columns = KLColumns(kl=columns.kl, kl_unit=query.kl_unit, step=columns.step, n_tokens=query.length)
    read, told = _read(tables, columns, reward, query.run)
    lost = 0
    parts: list[Responses] = []
    if query.files == STARTS:
        parts, said = last_starts(_by_run(read))
        told += said
    for own in [] if query.files == STARTS else _by_run(read):
        for one, kept in zip(own, latest_of(own), strict=True):
            assert kept is not None
            lost += int((~kept).sum())
            parts.append(one.take(np.flatnonzero(kept)) if not kept.all() else one)
    found = _averaged(path, parts, reward, columns, query, lost)
    return replace(found, notes=(*found.notes, *told))


def _read(
    tables: Sequence[Path], columns: KLColumns, reward: str, run: str | None
) -> tuple[list[Responses], list[str]]:
    """Return the responses of each file, with their runs where a column names several, and what is said of that."""
    if run is None:
        name = first_of(RUNS, _names(tables[0]))
        with contextlib.suppress(InputError):  # not in every file, or not in every row
            read = [read_responses(one, columns, reward, name) for one in tables if name is not None]
            several = {str(one) for part in read if part.run is not None for one in part.run.to_pylist()}
            if len(several) > 1:
                return read, [f"{counted(len(several), 'run')}, told apart by column {name!r}."]
            if read:
                return [replace(one, run=None) for one in read], []
    return [read_responses(one, columns, reward, run) for one in tables], []


def _by_run(read: list[Responses]) -> list[list[Responses]]:
    """Return the responses of each run, file by file: a resume of one is none of another."""
    named = [None if one.run is None else np.array([str(name) for name in one.run.to_pylist()]) for one in read]
    found = []
    for run in dict.fromkeys(name for one in named if one is not None for name in one.tolist()):
        rows = [np.flatnonzero(one == run) for one in named if one is not None]
        found.append([one.take(mine) for one, mine in zip(read, rows, strict=True) if mine.size])
    return found or [read]


def _averaged(
    path: Path, parts: Sequence[Responses], reward_name: str, columns: KLColumns, query: LogQuery, lost: int
) -> LogRows:
    step = np.concatenate([one.step for one in parts if one.step is not None])
    kl = np.concatenate([_best(one) for one in parts])
    reward = np.concatenate([one.reward for one in parts if one.reward is not None])
    check_range(f"{reward_name!r} of {path}", reward)  # before anything is squared, and with the row's own value
    prompt, split = _every(parts, "prompt"), _every(parts, "split")
    keep = np.ones(step.size, dtype=bool)
    notes = [_recognised(parts, columns, reward_name, prompt is not None)]
    notes += dict.fromkeys(note for one in parts for note in one.notes)
    if lost:
        notes.append(
            f"Steps were run again, as after a resume: {counted(lost, 'response')} of steps that were run again are "
            "left out, the later ones taken."
        )
        if all(one.process is None for one in parts):
            notes[-1] += " If several processes wrote them, say so in a column 'rank', or give each a file of its own."
    if query.files != STARTS:
        notes += of_larger_steps(parts)
    if split is not None and not query.splits:
        keep, more = of_split(split, query.held_out, "responses")
        notes += more
    rows = np.flatnonzero(keep)
    held_cut = [np.zeros(one.samples.size, dtype=bool) if one.cut is None else one.cut for one in parts]
    notes += of_cut([np.concatenate(held_cut)[rows]])
    split = None if split is None else split[rows]
    step, kl, reward = step[rows], kl[rows], reward[rows]
    names = np.arange(step.size).astype(object) if prompt is None else prompt[rows]
    own = _every(parts, "run")
    run = np.full(step.size, path.stem, dtype=object) if own is None else own[rows]
    if split is not None and query.splits:
        run = with_split(None if own is None else run, split)
    place, at, of_run = _checkpoints(step, run)
    if query.files != STARTS:
        paths = list(dict.fromkeys(one.path for one in parts))
        file = np.concatenate([np.full(one.samples.size, paths.index(one.path)) for one in parts])[rows]
        notes += of_shared_steps(file, [Path(one).name for one in paths], place, at)
    if prompt is not None:
        notes += of_groups(path, reward_name, reward, place, names, _advantages(parts, rows))
    held = per_prompt_means(place, names, kl, reward)
    count = np.bincount(held.checkpoint, minlength=at.size)
    return LogRows(
        _kl_name(parts, columns),
        "sequence",
        reward_name,
        at,
        np.bincount(held.checkpoint, held.kl, at.size) / count,
        np.bincount(held.checkpoint, held.reward, at.size) / count,
        None,
        of_run,
        tuple(notes),
        estimator="" if parts[0].samples.given else "k1" if parts[0].samples.exact_kl is None else "",
        per_prompt=held,
    )


def _advantages(parts: Sequence[Responses], rows: IntArray) -> FloatArray | None:
    held = [one.advantage for one in parts if one.advantage is not None]
    return np.concatenate(held)[rows] if len(held) == len(parts) else None


def _checkpoints(
    step: FloatArray, run: npt.NDArray[np.object_]
) -> tuple[IntArray, FloatArray, npt.NDArray[np.object_]]:
    """Return the checkpoint of each response, and step and run of each checkpoint, run by run, steps rising."""
    order = {name: i for i, name in enumerate(dict.fromkeys(run.tolist()))}
    pairs = sorted({(order[name], at) for name, at in zip(run.tolist(), step.tolist(), strict=True)})
    number = {pair: i for i, pair in enumerate(pairs)}
    place = np.array([number[order[name], at] for name, at in zip(run.tolist(), step.tolist(), strict=True)])
    names = list(order)
    of_run = np.empty(len(pairs), dtype=object)
    of_run[:] = [names[i] for i, _ in pairs]
    return place.astype(np.int64), np.array([at for _, at in pairs]), of_run


def _best(one: Responses) -> FloatArray:
    """Return the KL of each response: exact divergences summed where there are any, else the log-ratio."""
    samples = one.samples
    if samples.token_kl is not None:
        return samples.sum_tokens(samples.token_kl)
    return samples.log_ratio if samples.exact_kl is None else samples.exact_kl


def _every(parts: Sequence[Responses], name: str) -> npt.NDArray[np.object_] | None:
    held = [getattr(one, name) for one in parts]
    if any(one is None for one in held):
        return None
    found = np.empty(sum(map(len, held)), dtype=object)
    found[:] = [str(value) for one in held for value in one.to_pylist()]
    return found


def _kl_name(parts: Sequence[Responses], columns: KLColumns) -> str:
    if parts[0].samples.given:
        return columns.kl
    exact = parts[0].samples.token_kl is not None or parts[0].samples.exact_kl is not None
    return "KL of next-token laws" if exact else "log-ratio"


def _recognised(parts: Sequence[Responses], columns: KLColumns, reward: str, prompts: bool) -> str:
    """Say what was recognised, in which unit its KL is and why."""
    samples = parts[0].samples
    total = sum(one.samples.size for one in parts)
    what = f"{counted(total, 'response')} of a run, one a row"
    if samples.given:
        how = f"{columns.kl!r}, of each response in nats per sequence, as it was written"
        if columns.kl_unit == "token":
            how = f"{columns.kl!r}, of each response in nats per token, as you said, times its tokens"
    elif samples.token_kl is not None or samples.exact_kl is not None:
        how = "the sum of exact divergences of next-token laws, in nats per sequence"
    else:
        how = "the log-ratio of policy to base summed over a response (k1), in nats per sequence"
    each = "prompts count equally" if prompts else "no column names the prompts, so responses count equally"
    return (
        f"Recognised: {what}. The KL is {how}; the reward is {reward!r}, the step is {columns.step!r}, and a "
        f"checkpoint is the mean of a step's responses ({each})."
    )


def tables_of(path: Path) -> list[Path]:
    """Return the tables that a file or folder is, none where it is of other things.

    Parameters
    ----------
    path : Path
        What was named.

    Raises
    ------
    FolderError
        For a folder that holds tables, and not all of one.
    """
    try:
        found = tables_in(path)
    except FolderError:  # it holds tables, and not all of one
        raise
    except (InputError, OSError):
        return []
    return found if found and all(one.suffix.lower() in _TABLES and one.is_file() for one in found) else []


def _names(path: Path) -> tuple[str, ...]:
    try:
        file: TableFile = open_table_file(path, unfinished=True)
    except (InputError, OSError, ValueError):
        return ()
    return file.names


def _are_responses(names: Sequence[str]) -> bool:
    """Whether columns are those of single responses of a training run."""
    if first_of(STEPS, names) is None or first_of(REWARDS, names) is None:
        return False
    pair = any(set(own) <= set(names) for own in _OWN) or known_pair(names) is not None
    each = first_of((*PROMPTS, *TEXTS), names) is not None
    return pair or (each and "kl" in names)


register(LogFormat("rollouts", find_rollouts, read_rollouts, place=-20))
