"""Checkpoints of trl's ``trainer_state.json``, whose keys are known with their units.

GRPO and RLOO log ``kl`` in nats per token (k3 of each token in GRPO, the log-ratio in RLOO), PPO and online DPO
``objective/kl`` in nats per sequence. ``objective/rlhf_reward`` has the penalty in it and is not the reward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.tables import check_depth, check_file, not_utf8, parse_json, short
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, no_length, register

__all__ = ["find_trl", "read_trl"]

# (KL, unit, reward, mean length) as trl names them; the first whose KL is in the log is taken.
_TRL_KEYS = (
    ("objective/kl", "sequence", "objective/scores", ""),
    ("kl", "token", "reward", "completions/mean_length"),
)
Entry: TypeAlias = Mapping[str, object]
_OLD_LENGTH = "completion_length"
_PREFERENCE = {"logps/chosen", "rewards/chosen"}


def find_trl(path: Path) -> Path | None:
    """Take a ``.json`` file, or a folder with trl's log in it or in a checkpoint: then the one that is furthest on."""
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
    """Read the checkpoints that logged a KL or a reward."""
    return _TrlLog(path, query).rows()


class _TrlLog:
    """What trl logged, by its ``log_history``, and the names under which it is asked for."""

    def __init__(self, path: Path, query: LogQuery) -> None:
        self.path, self.step, self.length = path, query.step or "step", query.length
        self.prefix = "eval_" if query.evaluation else ""
        self.history = _history(path)
        self.keys = set().union(*self.history)
        self.kl, self.unit, self.reward, self.own_length = self._names(query.kl, query.reward, query.kl_unit)

    def _names(self, kl: str | None, reward: str | None, kl_unit: str | None) -> tuple[str, str, str, str]:
        own = [(*(name and self.prefix + name for name in (k, r, n)), u) for k, u, r, n in _TRL_KEYS]
        chosen = next((keys for keys in own if keys[0] in self.keys), None)
        if kl is None and (chosen is None or (chosen is own[1] and _PREFERENCE & self.keys)):
            raise InputError(self._no_kl())
        unit = kl_unit or next((keys[3] for keys in own if keys[0] == (kl or (chosen and chosen[0]))), None)
        if unit is None:
            raise InputError(f"{self.path}: say whether {kl!r} is in nats per sequence or per token (kl_unit).")
        if reward is None and chosen is None:
            raise InputError(f"{self.path}: name the key of the reward (reward); it has {self._listed()}.")
        names = (kl or (chosen[0] if chosen else ""), reward or (chosen[1] if chosen else ""))
        for option, name in zip(("kl", "reward"), names, strict=True):
            if name not in self.keys:
                raise InputError(f"{self.path} logs no {name!r} ({option}); it has {self._listed()}.")
        return names[0], unit, names[1], chosen[2] if chosen else ""

    def _listed(self) -> str:
        return ", ".join(repr(key) for key in sorted(self.keys)[:40])

    def _no_kl(self) -> str:
        where = f"evaluations of {self.path} log" if self.prefix else f"{self.path} logs"
        advice = "sample from its checkpoints with `alignlib sample`, naming the base, and measure with `alignlib kl`"
        if _PREFERENCE & self.keys:
            return (
                f"{self.path} is a log of preference training (DPO, KTO), which never samples: it holds no KL of the "
                f"policy to the base (KTO's 'kl' is another quantity), nor a reward of its responses; {advice}."
            )
        if self.prefix + "reward" in self.keys:
            return (
                f"{where} rewards but no KL: with beta = 0, trl's default, GRPO has no reference model; "
                f"train with a beta above 0, however small, or {advice}."
            )
        return f"{where} no KL ('kl' or 'objective/kl'); {advice}, or name the key (kl)."

    def rows(self) -> LogRows:
        """Return the checkpoints that logged a KL or a reward."""
        told = [row for row in self.history if row.get(self.kl) is not None or row.get(self.reward) is not None]
        length, notes = self._lengths(told)
        return LogRows(
            self.kl,
            self.unit,
            self.reward,
            self._column(told, self.step),
            self._column(told, self.kl),
            self._column(told, self.reward),
            length,
            np.full(len(told), self.path.stem, dtype=object),
            notes,
        )

    def _lengths(self, told: list[Entry]) -> tuple[FloatArray | None, tuple[str, ...]]:
        if self.unit == "sequence":
            return None, ()
        if isinstance(self.length, int | float):
            return np.full(len(told), float(self.length)), ()
        names = [self.length] if self.length else [self.own_length, self.prefix + _OLD_LENGTH]
        name = next((name for name in names if name in self.keys), None)
        if name is None:
            raise InputError(no_length(self.path, self.kl))
        return self._column(told, name), (f"Mean lengths are the log's {name!r}.",)

    def _column(self, told: list[Entry], name: str) -> FloatArray:
        values = [math.nan if row.get(name) is None else row[name] for row in told]
        numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < len(values):
            odd = next(i for i, v in enumerate(values) if isinstance(v, bool) or not isinstance(v, int | float))
            step = told[odd].get(self.step)
            raise InputError(
                f"{self.path}: {name!r} holds {values[odd]!r:.40} at step {step!r:.40}, not a number; correct it, or "
                "name another key."
            )
        return np.array(numbers)


def _history(path: Path) -> list[Entry]:
    try:
        check_file(path)
        text = path.read_bytes()
        check_depth(str(path), text)
        state = parse_json(text.decode("utf-8-sig"))
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
                f"{path} holds {row!r:.60} as entry {place} of its 'log_history', not an object; correct or remove it."
            )
    if not history:
        raise InputError(f"{path} logged nothing: its 'log_history' is empty; lower logging_steps and train.")
    return history


register(LogFormat("trl", find_trl, read_trl))
