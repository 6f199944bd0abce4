"""What trainers call their KL, reward and length, and in which unit: a file a trainer, put into this folder.

A log is recognised by its keys, wherever it was exported to: the same names stand in a trainer's own files, on its
console, and in what wandb, MLflow, trackio or TensorBoard hand out.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from alignlib._core.checks import require

__all__ = ["KLKey", "Trainer", "known_trainers", "recognise", "register"]

Mean = Literal["tokens", "responses", "parts", "scaled", ""]


@dataclass(frozen=True)
class KLKey:
    """A key that holds the KL to the base.

    Parameters
    ----------
    name : str
        The key, without a prefix such as ``train/``.
    unit : "token", "sequence" or ""
        Nats per what; "" where the reader must say.
    why : str
        A clause that says how it is known, after "because".
    estimator : str
        ``"k1"`` (mean log-ratio), ``"k2"`` (half its square), ``"k3"`` (ratio - 1 - log-ratio), or "" where the log
        does not tell.
    mean_over : "tokens", "responses", "parts", "scaled" or ""
        What a KL per token is the mean over: all tokens of the batch, responses of their own mean, or parts of the
        batch weighted by their mean length; "scaled" for a loss on a scale that the log does not tell; "" if unknown.
    beside : str
        Another key that tells this version of the trainer: without it in the log, this one is not meant.
    """

    name: str
    unit: str
    why: str
    estimator: str = ""
    mean_over: Mean = ""
    beside: str = ""


@dataclass(frozen=True)
class Trainer:
    """The vocabulary of one trainer; of several keys the first that is in the log is taken.

    Parameters
    ----------
    name : str
        What it is called.
    marks : tuple of str
        Keys by which a log is known as this trainer's.
    weak : tuple of str
        Keys that others write too: two of them make a log this trainer's, one does not.
    kl : tuple of KLKey
        Keys of the KL to the base.
    reward, length, shortest, longest, step : tuple of str
        Keys of the mean reward without penalty, of the mean, least and largest length in tokens, and of the step.
    kl_step : mapping
        Counters of keys of the KL that are logged by another count than ``step``.
    other_kl : mapping
        Keys that look like a KL to the base, and what they are.
    no_kl : str
        A clause that says when the trainer logs no KL to the base.
    mismatch : tuple of str
        Keys of how far the engine that samples and the trainer are apart, in nats per token.
    turns : tuple of str
        Keys of how many messages a conversation has, two in a single turn: of more, lengths count tools' tokens too.
    turns_each : tuple of str
        Keys of how many turns a response has, where ``length`` counts the tokens of one turn.
    cut : tuple of str
        Keys of the part of responses that were cut at the largest length, which may be left out of the KL.
    reward_notes : mapping
        What must be said where a key of ``reward`` is taken.
    """

    name: str
    marks: tuple[str, ...]
    kl: tuple[KLKey, ...]
    reward: tuple[str, ...]
    length: tuple[str, ...] = ()
    shortest: tuple[str, ...] = ()
    longest: tuple[str, ...] = ()
    step: tuple[str, ...] = ()
    kl_step: Mapping[str, str] = field(default_factory=dict)
    other_kl: Mapping[str, str] = field(default_factory=dict)
    no_kl: str = "it is logged only where training compares with a reference model"
    mismatch: tuple[str, ...] = ()
    turns: tuple[str, ...] = ()
    reward_notes: Mapping[str, str] = field(default_factory=dict)
    weak: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    turns_each: tuple[str, ...] = ()

    def known(self) -> set[str]:
        """Return every key that this trainer writes and we know."""
        rest = self.marks + self.weak + self.reward + self.length + self.shortest + self.longest
        return {*rest, *(key.name for key in self.kl), *self.other_kl}


_TRAINERS: dict[str, Trainer] = {}


def register(new: Trainer) -> Trainer:
    """Make a trainer known by its name, which must be free, and return it.

    Parameters
    ----------
    new : Trainer
        The trainer.

    Raises
    ------
    InputError
        If its name is taken.
    """
    require(new.name not in _TRAINERS, f"name must be new; there is a trainer {new.name!r} already.")
    _TRAINERS[new.name] = new
    return new


def known_trainers() -> tuple[Trainer, ...]:
    """Return every trainer by name, after importing the files of this folder."""
    _import_all()
    return tuple(_TRAINERS[name] for name in sorted(_TRAINERS))


def recognise(keys: Collection[str]) -> Trainer | None:
    """Return the trainer that writes such keys, or None.

    Parameters
    ----------
    keys : collection of str
        Keys or columns of a log.

    Examples
    --------
    >>> recognise(["step", "actor/kl_loss", "critic/score/mean"]).name
    'verl'
    >>> recognise(["step", "kl", "reward", "response_length"]) is None  # anybody's
    True
    """
    held = set(keys)
    found = [one for one in known_trainers() if not held.isdisjoint(one.marks) or len(held.intersection(one.weak)) > 1]
    return max(found, key=lambda one: len(held & one.known()), default=None)


@cache
def _import_all() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
