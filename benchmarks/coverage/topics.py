"""Statements that are not made of a table of rewards: their laws, shapes and points, tried like the others.

A topic has laws by name. A law draws a table of a shape and returns, for each statement, the interval that the library
gives, the truth, and whether the library stands by it (``claimed``). Half of the laws of each topic are drawn by a rule
from fixed seeds (their names begin with "blind by rule"): the rule was written down, with what is public about the
functions, before their code was read.
"""

from __future__ import annotations

import hashlib
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import Generator

from benchmarks.coverage.tally import Tally
from benchmarks.coverage.version import code_version

__all__ = ["Said", "Topic", "Trial", "topic_of", "topic_version", "topics", "try_topic", "version_of"]


@dataclass(frozen=True)
class Said:
    """One interval, the truth, and whether the library stands by it."""

    low: float
    high: float
    truth: float
    claimed: bool = True


Trial = Callable[[str, Generator], Mapping[str, Said]]  # of a shape


@dataclass(frozen=True)
class Topic:
    """Laws by name, each made when it is asked for; the names of shapes, and how many tables a piece has.

    ``unseen`` is the chance that a table of a law and shape lacks what a third of the answer rests on.
    """

    name: str
    laws: Mapping[str, Callable[[], Trial]]
    shapes: tuple[str, ...]
    piece: int = 100
    unseen: Callable[[str, str], float] = lambda law, shape: 0.0


@lru_cache(maxsize=1)
def topics() -> tuple[Topic, ...]:
    """Return all topics."""
    from benchmarks.coverage import budgets, draws, feedback, opponents, passes, policies, promises, runs

    beyond = budgets.TOPIC, draws.TOPIC, opponents.TOPIC, promises.TOPIC, passes.TOPIC
    return runs.TOPIC, policies.TOPIC, feedback.RATINGS, feedback.RATERS, *beyond


def topic_of(law: str) -> Topic | None:
    """Return the topic of a law, None for a law of rewards."""
    return next((one for one in topics() if law in one.laws), None)


@lru_cache(maxsize=64)
def _trial(law: str) -> Trial:
    topic = topic_of(law)
    assert topic is not None
    return topic.laws[law]()


@lru_cache(maxsize=8)
def topic_version(name: str) -> str:
    """Return eight hexadecimal digits that change when what a topic's first laws say of their first tables does."""
    topic = next(one for one in topics() if one.name == name)
    said = [name]
    for law in list(topic.laws)[:3]:
        for shape in topic.shapes[:2]:
            found = try_topic(law, shape, 0, 1, spelled=said)
            assert found["tables"] == 1
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:8]


def version_of(law: str, part: str = "") -> str:
    """Return the version of the code that a count of a law belongs to: of its topic, or of tables of rewards."""
    topic = topic_of(law)
    return code_version(part) if topic is None else topic_version(topic.name)


def try_topic(law: str, shape: str, first: int, count: int, spelled: list[str] | None = None) -> dict[str, Any]:
    """Try a law's statements on tables number ``first`` to ``first + count - 1`` of a shape."""
    trial = _trial(law)
    tallies: dict[str, Tally] = {}
    for number in range(first, first + count):
        rng = np.random.default_rng([zlib.crc32(f"{law} {shape}".encode()), number])
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            found = trial(shape, rng)
        for what, said in found.items():
            tally = tallies.setdefault(what, Tally(np.zeros(1)))
            ends = (np.array([said.low]), np.array([said.high]), np.array([said.truth]), np.array([said.claimed]))
            tally.add(*ends)
            if spelled is not None:
                spelled.append(f"{what} {said.low:.3e} {said.high:.3e} {said.claimed}")
    statements = {what: one.record() for what, one in tallies.items()}
    return {
        "law": law,
        "shape": shape,
        "first": first,
        "tables": count,
        "ends": [0.0] * count,
        "statements": statements,
    }
