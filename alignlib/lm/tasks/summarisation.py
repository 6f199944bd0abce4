"""The summarisation task: report a short document's facts, the important ones first, invent none, be brief."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib.lm.space import ResponseSpace
from alignlib.lm.tasks.task import Features, Grammar, mostly_many

__all__ = ["Summarisation", "parse"]

_SUBJECTS = ("river", "mayor", "school", "market", "bridge", "museum", "harbour", "theatre")
_PREDICATES = ("floods", "resigns", "opens", "burns", "moves", "closes", "grows", "sinks", "wins", "falls")
_WEIGHTS = (1.0, 2.0, 4.0)
_WORD_COST = 0.25
_UNCLEAR = 0.25

# How a careless writer summarises. Chosen so that the base knows the task and is far from good at it.
_STOPS = 0.4  # before each statement
_WRONG_PREDICATE = 0.4
_WRONG_SUBJECT = 0.15
_LOOSE_WORD = 0.35


@dataclass(frozen=True)
class Summarisation(Grammar):
    """Documents of up to ``n_facts`` facts, each a subject, a predicate and an importance.

    A response is read from the left: a subject followed by a predicate states a fact, any other word is unclear.
    Gold adds a stated fact's importance (1, 2 or 4) once, takes the document's largest importance for each invented
    one, 1/4 for each word and another 1/4 for each unclear word. So important documents have a larger reward scale.

    Parameters
    ----------
    n_content : int
        Content tokens C >= 4: the first ``4C // 9`` (at least 2) are subjects, the others predicates.
    n_facts : int
        Largest number of facts of a document, at least 1 and at most the number of subjects.

    Raises
    ------
    InputError
        If a size is out of range.
    """

    n_content: int = 9
    n_facts: int = 3

    name: ClassVar[str] = "summarisation"

    def __post_init__(self) -> None:
        require(self.n_content >= 4, f"n_content must be at least 4 for summaries; got {self.n_content}.")
        require(
            1 <= self.n_facts <= self.n_subjects,
            f"n_facts must lie in [1, {self.n_subjects}], the number of subjects; got {self.n_facts}.",
        )

    @classmethod
    def of(cls, space: ResponseSpace) -> Summarisation:
        """Return the grammar of these content tokens with documents of up to three facts."""
        return cls(space.n_content, n_facts=min(3, cls(space.n_content, 1).n_subjects))

    @property
    def n_subjects(self) -> int:
        """Content tokens 1 … n_subjects are subjects, the rest predicates."""
        return max(2, 4 * self.n_content // 9)

    @property
    def n_predicates(self) -> int:
        """Number of predicates."""
        return self.n_content - self.n_subjects

    @property
    def response_words(self) -> tuple[str, ...]:
        """Words of the content tokens."""
        return (*_named(_SUBJECTS, self.n_subjects, "subject"), *_named(_PREDICATES, self.n_predicates, "predicate"))

    @property
    def prompt_words(self) -> tuple[str, ...]:
        """Each fact at each importance, as one word in capitals, and a dash for no further fact."""
        words = [word.upper() for word in self.response_words]
        subjects, predicates = words[: self.n_subjects], words[self.n_subjects :]
        marks = ["!" * k for k in range(len(_WEIGHTS))]
        return (*(f"{s}-{p}{mark}" for mark in marks for s in subjects for p in predicates), "-")

    @property
    def n_distinct(self) -> int:
        """Ordered facts about different subjects."""
        kinds = self.n_predicates * len(_WEIGHTS)
        return sum(math.perm(self.n_subjects, k) * kinds**k for k in range(1, self.n_facts + 1))

    def draw_prompts(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw n documents: one to ``n_facts`` facts about different subjects, mostly many, importances at random."""
        subject = rng.permuted(np.tile(np.arange(self.n_subjects), (n, 1)), axis=1)[:, : self.n_facts]
        level = rng.integers(len(_WEIGHTS), size=subject.shape)
        predicate = rng.integers(self.n_predicates, size=subject.shape)
        fact = (level * self.n_subjects + subject) * self.n_predicates + predicate
        absent = np.arange(self.n_facts) >= mostly_many(self.n_facts, n, rng)
        return self.n_content + 1 + np.where(absent, len(self.prompt_words) - 1, fact)

    def facts(self, prompts: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Read the facts of each document.

        Parameters
        ----------
        prompts : array of int (P, prompt_length)
            Documents.

        Returns
        -------
        subject, predicate : array of int (P, n_facts)
            As content tokens, 0 where there is none.
        importance : array (P, n_facts)
            0 where there is none.
        """
        facts = np.asarray(prompts) - self.n_content - 1
        there = facts < len(self.prompt_words) - 1
        rest, predicate = np.divmod(np.where(there, facts, 0), self.n_predicates)
        level, subject = np.divmod(rest, self.n_subjects)
        weight = np.where(there, np.asarray(_WEIGHTS)[level], 0.0)
        return np.where(there, subject + 1, 0), np.where(there, predicate + 1 + self.n_subjects, 0), weight

    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """What each statement is worth to each document, shape (P, n_subjects · n_predicates)."""
        subject, predicate, weight = self.facts(prompts)
        value = np.tile(-weight.max(axis=1, keepdims=True), (1, self.n_subjects * self.n_predicates))
        row, slot = np.nonzero(subject)
        at = (subject[row, slot] - 1) * self.n_predicates + predicate[row, slot] - 1 - self.n_subjects
        value[row, at] = weight[row, slot]
        return value

    def response_features(self, space: ResponseSpace) -> FloatArray:
        """Which statements each response makes, and last what its words cost, shape (size, statements + 1)."""
        stated, unclear = parse(space, self.n_subjects)
        said = np.zeros((space.size, self.n_subjects * self.n_predicates + 1))
        for place in stated.T:
            there = np.flatnonzero(place >= 0)
            said[there, place[there]] = 1.0
        said[:, -1] = -_WORD_COST * space.lengths - _UNCLEAR * unclear
        return said

    def pay(self, prompt: Features, response: Features) -> Features:
        """Gold of responses to prompts, from their features: the statements' worth and the words' cost."""
        gold: Features = (prompt * response[..., :-1]).sum(-1) + response[..., -1]
        return gold

    def written(self, prompts: IntArray, rng: np.random.Generator) -> Iterator[list[int]]:
        """Yield summaries by a careless writer: facts in any order, predicates and subjects mixed up, loose words."""
        subjects, predicates, _ = self.facts(prompts)
        for subject, predicate in zip(subjects, predicates, strict=True):
            said: list[int] = []
            for slot in rng.permutation(np.flatnonzero(subject)):
                if rng.random() < _STOPS:
                    break
                if rng.random() < _LOOSE_WORD:
                    said.append(int(rng.integers(1, self.n_content + 1)))
                wrong_subject, wrong_predicate = rng.random(2) < (_WRONG_SUBJECT, _WRONG_PREDICATE)
                said.append(int(rng.integers(1, self.n_subjects + 1)) if wrong_subject else int(subject[slot]))
                other = int(rng.integers(self.n_subjects + 1, self.n_content + 1))
                said.append(other if wrong_predicate else int(predicate[slot]))
            yield said


def _named(words: tuple[str, ...], n: int, kind: str) -> tuple[str, ...]:
    return words[:n] + tuple(f"{kind}{i}" for i in range(len(words) + 1, n + 1))


@lru_cache(maxsize=4)
def parse(space: ResponseSpace, n_subjects: int) -> tuple[IntArray, IntArray]:
    """Read every response: the statements made and the number of unclear words.

    Parameters
    ----------
    space : ResponseSpace
        The responses.
    n_subjects : int
        The first so many content tokens are subjects.

    Returns
    -------
    statements : array of int (size, length // 2)
        Numbered ``subject · n_predicates + predicate``; a place without one, or that repeats an earlier one, holds -1.
    unclear : array of int (size,)
        Unclear words.

    Examples
    --------
    >>> space = ResponseSpace(n_content=4, length=3)
    >>> stated, unclear = parse(space, 2)
    >>> i = space.index_of(np.array([4, 1, 3]))  # a loose predicate, then a statement
    >>> stated[i].tolist(), int(unclear[i])
    ([0], 1)
    """
    n_predicates = space.n_content - n_subjects
    stated = np.full((space.size, max(1, space.length // 2)), -1, dtype=np.int64)
    unclear = np.zeros(space.size, dtype=np.int64)
    n_stated = np.zeros(space.size, dtype=np.int64)
    tokens = np.pad(space.tokens.astype(np.int64), ((0, 0), (0, 1)))
    taken = np.zeros(space.size, dtype=bool)
    for place in range(space.length):
        here, after = tokens[:, place], tokens[:, place + 1]
        free = ~taken & (here > 0)
        states = free & (here <= n_subjects) & (after > n_subjects)
        unclear += free & ~states
        statement = (here - 1) * n_predicates + after - 1 - n_subjects
        rows = np.flatnonzero(states)
        new = rows[(stated[rows] != statement[rows, None]).all(axis=1)]
        stated[new, n_stated[new]] = statement[new]
        n_stated[new] += 1
        taken = states
    return stated, unclear
