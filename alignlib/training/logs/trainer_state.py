"""Checkpoints of trl's ``trainer_state.json``, whose keys are known with their units.

GRPO and RLOO log ``kl`` in nats per token (k3 of each token in GRPO, the log-ratio in RLOO), PPO and online DPO
``objective/kl`` in nats per sequence. ``objective/rlhf_reward`` has the penalty in it and is not the reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from alignlib._core.errors import InputError, quoted
from alignlib.tables import as_text, check_depth, check_file, not_utf8, parse_json, short
from alignlib.training.logs.choose import choose
from alignlib.training.logs.column_choice import plain_names
from alignlib.training.logs.columns import columns_of_rows
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.trainers import recognise
from alignlib.training.logs.trainers.trl import TRL

__all__ = ["find_trl", "read_trl"]

Entry: TypeAlias = Mapping[str, object]


def find_trl(path: Path) -> Path | None:
    """Take a ``.json`` file, or a folder with trl's log in it or in a checkpoint: then the one that is furthest on.

    Parameters
    ----------
    path : Path
        What was named.
    """
    if not path.is_dir():
        return path if path.suffix.lower() == ".json" else None
    if (path / "trainer_state.json").is_file():
        return path / "trainer_state.json"
    found = path.glob("checkpoint-*/trainer_state.json")
    numbered = {log: log.parent.name.rpartition("-")[2] for log in found}
    return max(
        numbered, key=lambda log: (int(numbered[log]) if numbered[log].isdecimal() else -1, str(log)), default=None
    )


def read_trl(path: Path, query: LogQuery) -> LogRows:
    """Read the checkpoints that logged a KL or a reward.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.
    """
    history, state = _history(path)
    columns = columns_of_rows(path, "trl's trainer_state.json", history)
    found = choose(columns, query, recognise(plain_names(columns.names, query.evaluation)) or TRL)
    return _of_single_responses(found, state) if state.get("train_batch_size") == 1 else found


def _of_single_responses(rows: LogRows, state: Entry) -> LogRows:
    """Say of batches of one response that their mean over tokens is one within the response.

    The least and largest length of several steps are logged as means of theirs, which bound nothing.
    """
    if rows.mean_over != "tokens":
        return rows
    note = (
        "The log's train_batch_size is 1: a batch's mean over tokens is one within a response, and these are averaged "
        "over responses (over those of several devices together only in recent versions)."
    )
    each = state.get("logging_steps") == 1
    ends = (rows.shortest, rows.longest) if each else (None, None)
    return replace(rows, mean_over="responses", notes=(*rows.notes, note), shortest=ends[0], longest=ends[1])


def _history(path: Path) -> tuple[list[Entry], Entry]:
    try:
        check_file(path)
        text = path.read_bytes()
        check_depth(str(path), text)
        state = parse_json(as_text(text))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    except UnicodeDecodeError as error:
        raise not_utf8(str(path)) from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} is not whole JSON ({short(error)}); name trl's trainer_state.json.") from error
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list):
        raise InputError(
            f"{path} has no 'log_history'; name trl's trainer_state.json, or write (kl, reward) as CSV or .jsonl."
        )
    for place, row in enumerate(history, start=1):
        if not isinstance(row, dict):
            raise InputError(
                f"{path} holds {quoted(row, 60)} as entry {place} of its 'log_history', not an object; correct or "
                "remove it."
            )
    if not history:
        raise InputError(f"{path} logged nothing: its 'log_history' is empty; lower logging_steps and train.")
    assert isinstance(state, dict)
    return history, state


register(LogFormat("trl", find_trl, read_trl))
