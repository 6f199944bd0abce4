"""Which columns of a log are KL, reward, length and step, and in which unit: by the trainer that wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alignlib._core.errors import InputError
from alignlib.training.logs.columns import Columns
from alignlib.training.logs.log_format import LogQuery, no_length
from alignlib.training.logs.trainers import KLKey, Trainer

__all__ = [
    "ADVICE",
    "PREFERENCE",
    "Chosen",
    "called_kl",
    "choose_columns",
    "of_preference",
    "plain_names",
    "prefixes",
    "step_names",
]

_PREFIXES = ("", "train/", "Train/", "train_")
_EVALUATION = ("eval_", "eval/", "train/eval_", "val/")
_STEPS = ("train/global_step", "global_step", "step", "training/global_step", "_step", "Step")
PREFERENCE = {"logps/chosen", "rewards/chosen"}
_NO_KL = {  # beside "kl": of another policy than the base, or no KL at all
    "ppo", "old", "policykl", "coefficient", "controller", "target", "std", "min", "max", "timestamp", "corr",
    "mismatch", "sqrt",
}  # fmt: skip
_NO_KL_IN = ("approx", "coef", "ctl")  # of a word
ADVICE = "sample from its checkpoints with `alignlib sample`, naming the base, and measure with `alignlib kl`"


def prefixes(evaluation: bool) -> tuple[str, ...]:
    """Return what may stand before the names of columns, of training or of evaluations.

    Parameters
    ----------
    evaluation : bool
        Whether those of evaluations are meant.
    """
    return _EVALUATION if evaluation else _PREFIXES


def plain_names(names: Sequence[str], evaluation: bool = False) -> dict[str, str]:
    """Return the columns by their names without a prefix such as ``train/``; the shortest prefix wins.

    Parameters
    ----------
    names : sequence of str
        Columns of a log.
    evaluation : bool
        Whether those of evaluations are meant.

    Examples
    --------
    >>> plain_names(["train/kl", "train/kl__MIN", "_step"])
    {'train/kl': 'train/kl', '_step': '_step', 'kl': 'train/kl'}
    """
    found: dict[str, str] = {}
    for prefix in prefixes(evaluation):
        for name in names:
            if name.startswith(prefix) and not name.endswith(("__MIN", "__MAX")):
                found.setdefault(name.removeprefix(prefix), name)
    return found


def called_kl(names: Iterable[str]) -> list[str]:
    """Return the columns that are called a KL, without coefficients and distances to other policies than the base.

    Parameters
    ----------
    names : iterable of str
        Columns of a log.

    Examples
    --------
    >>> called_kl(["step", "actor/train/kl", "policy/approx_kl", "kl_ctl_value", "rollout_info/kl_div_mean", "weekly"])
    ['actor/train/kl', 'rollout_info/kl_div_mean']
    """
    found = []
    for name in dict.fromkeys(names):
        words = re.split(r"[^a-z]+", name.lower())
        other = any(word in _NO_KL or any(part in word for part in _NO_KL_IN) for word in words)
        if not other and any(word.startswith("kl") or word.endswith("kl") for word in words):
            found.append(name)
    return found


def of_preference(path: Path) -> str:
    """Say that a log is of preference training, which has no KL to the base.

    Parameters
    ----------
    path : Path
        The log.
    """
    return (
        f"{path} is a log of preference training (DPO, KTO), which never samples: it holds no KL of the "
        f"policy to the base (KTO's 'kl' is another quantity), nor a reward of its responses; {ADVICE}."
    )


@dataclass(frozen=True)
class Chosen:
    """What was chosen: columns as the log names them, the unit, and what the trainer says of the KL.

    Attributes
    ----------
    kl : str
        The column of the KL.
    unit : str
        What the KL is per: ``"sequence"`` or ``"token"``.
    key : KLKey, optional
        What the trainer says of it.
    reward : str
        The column of the reward.
    length : float or str, optional
        Mean tokens of a response, or their column, where the KL is per token.
    step : str, optional
        The column of the step.
    """

    kl: str
    unit: str
    key: KLKey | None
    reward: str
    length: float | str | None
    step: str | None


def choose_columns(columns: Columns, query: LogQuery, trainer: Trainer | None, plain: dict[str, str]) -> Chosen:
    """Return the columns to read, by what is asked and the vocabulary of the trainer.

    Parameters
    ----------
    columns : Columns
        The log.
    query : LogQuery
        What is asked of it.
    trainer : Trainer, optional
        Who wrote it.
    plain : dict of str to str
        Its columns by their names without a prefix (`plain_names`).

    Raises
    ------
    InputError
        If there is no KL or no reward in it, or the unit or a length is not known.
    """
    return _Choice(columns, query, trainer, plain).made()


class _Choice:
    """The choice of columns, and what is said where one is missing."""

    def __init__(self, columns: Columns, query: LogQuery, trainer: Trainer | None, plain: dict[str, str]) -> None:
        self.columns, self.query, self.trainer, self.plain = columns, query, trainer, plain

    def made(self) -> Chosen:
        if not self.columns.names:
            raise InputError(self._no_kl())
        kl, key = self._kl()
        reward = self._reward()
        for option, name in (("kl", kl), ("reward", reward)):
            if name not in self.columns.names:
                raise InputError(
                    f"{self._path} logs no {name!r} ({option}); it has {self._listed()}. Name one of these."
                )
        unit = self.query.kl_unit or (key.unit if key else None)
        if not unit:
            raise InputError(
                f"{self._path}: say whether {kl!r} is in nats per sequence or per token (kl_unit='sequence' or "
                "kl_unit='token').",
                argument="kl_unit",
            )
        return Chosen(kl, unit, key, reward, self._length(kl) if unit == "token" else None, self._step())

    @property
    def _path(self) -> str:
        return str(self.columns.path)

    def _listed(self) -> str:
        return ", ".join(repr(name) for name in sorted(self.columns.names)[:40])

    def _kl(self) -> tuple[str, KLKey | None]:
        keys = self.trainer.kl if self.trainer else ()
        keys = tuple(one for one in keys if not one.beside or one.beside in self.plain)
        if self.query.kl is not None:
            return self.query.kl, next((one for one in keys if self.plain.get(one.name) == self.query.kl), None)
        held = [one for one in keys if one.name in self.plain]
        if PREFERENCE & set(self.plain):
            held = [one for one in held if one.unit == "sequence"]  # what online DPO logs; KTO's 'kl' is none
        if not held:
            raise InputError(self._no_kl())
        filled = [one for one in held if np.isfinite(self.columns.numbers(self.plain[one.name])).any()]
        key = (filled or held)[0]
        return self._beside_reward(key.name), key

    def _beside_reward(self, name: str) -> str:
        """Return the column of a key, of several prefixes that of the reward: one's own column may be called so."""
        keys = self.trainer.reward if self.trainer else ()
        held = self.query.reward or next((self.plain[key] for key in keys if key in self.plain), "")
        prefix = max((one for one in prefixes(self.query.evaluation) if held.startswith(one)), key=len, default="")
        return prefix + name if prefix + name in self.columns.names else self.plain[name]

    def _no_kl(self) -> str:
        where = f"evaluations of {self._path} log" if self.query.evaluation else f"{self._path} logs"
        if PREFERENCE & set(self.plain):
            return of_preference(self.columns.path)
        if not self.columns.names:
            return f"{where} nothing yet: there is no row in it, as of a run that has just begun."
        if self.trainer is None:
            return (
                f"{where} {self._listed()}, the keys of no trainer that is known here; name that of the KL to the base "
                f"(kl), or where there is none, {ADVICE}."
            )
        keys = list(dict.fromkeys(repr(one.name) for one in self.trainer.kl))
        known = {self.plain[name] for name in self.trainer.known() if name in self.plain}
        others = [repr(name) for name in called_kl(self.plain.values()) if name not in known]
        if others:
            return (
                f"{where} no KL by a key of {self.trainer.name} ({' or '.join(sorted(keys)) or 'it has none'}); called "
                f"like one: {', '.join(others[:8])}. Name the one that is the KL to the base (kl) and its unit "
                f"(kl_unit), or where none is, {ADVICE}."
            )
        if any(name in self.plain for name in self.trainer.reward):
            return (
                f"{where} rewards but no KL: {self.trainer.no_kl}; train with a reference model, however small its "
                f"weight, or {ADVICE}."
            )
        names = " or ".join(sorted(keys)) or "to the base"
        return f"{where} no KL ({names}); {ADVICE}, or name the key (kl)."

    def _reward(self) -> str:
        if self.query.reward is not None:
            return self.query.reward
        keys = self.trainer.reward if self.trainer else ("reward",)
        found = [self.plain[key] for key in keys if key in self.plain]
        if not found:
            raise InputError(
                f"{self._path} logs no {keys[-1]!r} (reward): name the key of the reward; it has {self._listed()}."
            )
        filled = [name for name in found if np.isfinite(self.columns.numbers(name)).any()]
        return (filled or found)[0]

    def _length(self, kl: str) -> float | str:
        asked = self.query.length
        if asked is not None:
            if isinstance(asked, str) and asked not in self.columns.names:
                raise InputError(
                    f"{self._path} logs no {asked!r} (length); it has {self._listed()}. Name one of these."
                )
            return asked
        keys = self.trainer.length if self.trainer else ()
        found = next((self.plain[key] for key in keys if key in self.plain), None)
        if found is None:
            raise InputError(no_length(self.columns.path, kl))
        return found

    def _step(self) -> str | None:
        if self.query.step is not None:
            if self.query.step not in self.columns.names:
                raise InputError(
                    f"{self._path} logs no {self.query.step!r} (step); it has {self._listed()}. Name one of these."
                )
            return self.query.step
        found = step_names(self.columns, self.trainer, self.plain)
        return next((name for name in found if np.isfinite(self.columns.numbers(name)).any()), None)


def step_names(columns: Columns, trainer: Trainer | None, plain: dict[str, str]) -> list[str]:
    """Return the columns that may be the step, the best first.

    Parameters
    ----------
    columns : Columns
        The log.
    trainer : Trainer, optional
        Who wrote it.
    plain : dict of str to str
        Its columns by their names without a prefix.
    """
    own = [plain[key] for key in (trainer.step if trainer else ()) if key in plain]
    every = [*(name for name in _STEPS[:1] if name in columns.names), *own]
    return list(dict.fromkeys([*every, *(name for name in _STEPS if name in columns.names)]))
