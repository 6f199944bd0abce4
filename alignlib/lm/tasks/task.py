"""A task of the enumerable world: prompts, the gold reward of every response to them, and noisy demonstrations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray, as_rng, require
from alignlib._core.same import SameFields
from alignlib.lm.space import END, ResponseSpace

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPLITS", "Features", "Grammar", "Task", "mostly_many"]

SPLITS = ("train", "validation", "test")
"""Prompts on which policies are judged exactly: some that training may see, and two kinds that it never does."""

Features = TypeVar("Features", FloatArray, "Tensor")
"""An array of NumPy or a tensor of torch: `Grammar.pay` uses only what both have."""


def mostly_many(most: int, n: int, rng: np.random.Generator) -> IntArray:
    """Draw numbers from 1 up, the larger the likelier: there are few prompts of one thing.

    Parameters
    ----------
    most : int
        The largest.
    n : int
        How many.
    rng : Generator
        Source of randomness.

    Returns
    -------
    array of int (n, 1)
        The chance of k is in proportion to k².
    """
    weight = np.arange(1, most + 1, dtype=np.float64) ** 2
    return rng.choice(np.arange(1, most + 1), size=(n, 1), p=weight / weight.sum())


class Grammar(ABC):
    """What a task is made from: how prompts arise, what a good response is, and how people respond on a bad day.

    A subclass says these; `task` and `demonstrate` follow from them.
    """

    name: ClassVar[str]
    """Name of the task."""

    @classmethod
    @abstractmethod
    def of(cls, space: ResponseSpace) -> Self:
        """Return the grammar whose responses are those of ``space``.

        Parameters
        ----------
        space : ResponseSpace
            The responses.
        """

    @property
    @abstractmethod
    def response_words(self) -> tuple[str, ...]:
        """Words of the content tokens 1 … C."""

    @property
    @abstractmethod
    def prompt_words(self) -> tuple[str, ...]:
        """Words of the prompt tokens, which follow those of the responses: C + 1, C + 2, …"""

    @property
    @abstractmethod
    def n_distinct(self) -> int:
        """How many different prompts there are."""

    @abstractmethod
    def draw_prompts(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw prompts of one length.

        Parameters
        ----------
        n : int
            How many.
        rng : Generator
            Source of randomness.

        Returns
        -------
        array of int (n, prompt_length)
            One may come twice.
        """

    @abstractmethod
    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """What gold knows of each prompt.

        Parameters
        ----------
        prompts : array of int (P, prompt_length)
            Prompts.

        Returns
        -------
        array (P, k)
            As `pay` takes it.
        """

    @abstractmethod
    def response_features(self, space: ResponseSpace) -> FloatArray:
        """What gold knows of each response.

        Parameters
        ----------
        space : ResponseSpace
            The responses.

        Returns
        -------
        array (space.size, m)
            As `pay` takes it.
        """

    @abstractmethod
    def pay(self, prompt: Features, response: Features) -> Features:
        """Gold, on a lattice of few levels, from features of prompts and of responses.

        Parameters
        ----------
        prompt : array or tensor (…, k)
            As `prompt_features` gives them.
        response : array or tensor (…, m)
            As `response_features` gives them; the two broadcast.
        """

    def gold(self, prompts: IntArray, space: ResponseSpace) -> FloatArray:
        """Gold reward of every response to each prompt.

        Parameters
        ----------
        prompts : array of int (P, prompt_length)
            Prompts.
        space : ResponseSpace
            The responses.

        Returns
        -------
        array (P, space.size)
            In units of gold.
        """
        responses = self.response_features(space)
        return np.stack([self.pay(one, responses) for one in self.prompt_features(np.asarray(prompts))])

    @abstractmethod
    def written(self, prompts: IntArray, rng: np.random.Generator) -> Iterator[list[int]]:
        """Yield one noisy response to each prompt, its content tokens, of any length.

        Parameters
        ----------
        prompts : array of int (P, prompt_length)
            Prompts.
        rng : Generator
            Source of randomness.
        """

    def demonstrate(self, prompts: IntArray, space: ResponseSpace, rng: np.random.Generator) -> IntArray:
        """One noisy response to each prompt, cut at the space's length.

        Parameters
        ----------
        prompts : array of int (n, prompt_length)
            Prompts.
        space : ResponseSpace
            The responses.
        rng : Generator
            Source of randomness.

        Returns
        -------
        array of int (n, space.length)
            Padded with 0.
        """
        responses = np.zeros((len(prompts), space.length), dtype=np.int64)
        for row, tokens in enumerate(self.written(prompts, rng)):
            responses[row, : min(len(tokens), space.length)] = tokens[: space.length]
        return responses

    @classmethod
    def task(
        cls,
        space: ResponseSpace | None = None,
        rng: np.random.Generator | int = 0,
        *,
        n_prompts: int = 24,
        n_validation: int = 48,
        n_test: int = 144,
    ) -> Task:
        """Return the task: distinct prompts of this grammar, set apart by what they are for.

        Parameters
        ----------
        space : ResponseSpace, optional
            The responses; by default 9 content tokens and length 5.
        rng : Generator or int
            Source of the prompts, or its seed.
        n_prompts, n_validation, n_test : int
            Prompts that training may see, at least 1; for choosing settings; for the verdict.

        Raises
        ------
        InputError
            If the grammar does not have that many prompts.

        Examples
        --------
        >>> from alignlib.lm.tasks import Safety
        >>> task = Safety.task()
        >>> [len(task.of_split(split)) for split in SPLITS]
        [24, 48, 144]
        """
        require(
            n_prompts >= 1 and n_validation >= 0 and n_test >= 0,
            f"n_prompts must be at least 1, n_validation and n_test 0; got {n_prompts}, {n_validation}, {n_test}.",
        )
        space = ResponseSpace() if space is None else space
        grammar, wanted = cls.of(space), n_prompts + n_validation + n_test
        drawn = grammar.draw_prompts(50 * wanted, as_rng(rng))
        # Each prompt as one number, which sorts ten times as fast as a row.
        numbers = drawn @ ((int(drawn.max()) + 1) ** np.arange(drawn.shape[1], dtype=np.int64))
        _, first = np.unique(numbers, return_index=True)
        distinct = drawn[np.sort(first)]
        require(
            len(distinct) >= wanted,
            f"n_prompts + n_validation + n_test must not exceed the {len(distinct)} distinct prompts found; got "
            f"{wanted}.",
        )
        test, validation, prompts = np.split(distinct[:wanted], [n_test, n_test + n_validation])
        return Task(cls.name, space, grammar, prompts, validation, test)


@dataclass(frozen=True, eq=False)
class Task(SameFields):
    """The prompts set apart, and the rules of the grammar that all prompts come from; no prompt occurs twice.

    Parameters
    ----------
    name : str
        What the task is called.
    space : ResponseSpace
        The responses.
    grammar : Grammar
        The rules.
    prompts : array of int (P, prompt_length)
        Training may see them.
    validation, test : array of int (n, prompt_length)
        Neither a base model nor a method ever sees them.
    """

    name: str
    space: ResponseSpace
    grammar: Grammar
    prompts: IntArray
    validation: IntArray
    test: IntArray

    @property
    def prompt_length(self) -> int:
        """Tokens of a prompt."""
        return int(self.prompts.shape[1])

    @property
    def length(self) -> int:
        """Most tokens of a response."""
        return self.space.length

    def features(self, prompts: IntArray) -> FloatArray:
        """What gold knows of each prompt.

        Parameters
        ----------
        prompts : array of int (P, prompt_length)
            Prompts.

        Returns
        -------
        array (P, k)
            As `Grammar.pay` takes it.
        """
        return self.grammar.prompt_features(prompts)

    @property
    def vocab_size(self) -> int:
        """Tokens a model reads: end, content tokens and prompt tokens."""
        return self.space.n_outputs + len(self.grammar.prompt_words)

    @property
    def words(self) -> tuple[str, ...]:
        """The word of every token, the end first."""
        return ("<end>", *self.grammar.response_words, *self.grammar.prompt_words)

    def of_split(self, split: str) -> IntArray:
        """The prompts of one of ``SPLITS``; of ``"pool3"`` the first of pool 3, as many as ``prompts``.

        Parameters
        ----------
        split : str
            One of ``SPLITS``, or such as ``"pool3"``.

        Raises
        ------
        InputError
            If there is no such split.
        """
        if split.startswith("pool") and split[4:].isdecimal():
            return self.pool(len(self.prompts), int(split[4:]))
        require(split in SPLITS, f"split must be one of {', '.join(SPLITS)}; got {split!r}.")
        return {"train": self.prompts, "validation": self.validation, "test": self.test}[split]

    @cached_property
    def _reserved(self) -> IntArray:
        return np.sort(self._numbers(np.concatenate([self.validation, self.test])))

    def _numbers(self, prompts: IntArray) -> IntArray:
        """Each prompt as one number."""
        return np.asarray(prompts @ (self.vocab_size ** np.arange(self.prompt_length, dtype=np.int64)))

    def is_reserved(self, prompts: IntArray) -> BoolArray:
        """Whether each prompt is kept for validation or test.

        Parameters
        ----------
        prompts : array of int (P, prompt_length)
            Prompts.

        Returns
        -------
        array of bool (P,)
            True for those that nothing may learn from.
        """
        return np.isin(self._numbers(np.asarray(prompts)), self._reserved)

    def fresh(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw prompts to learn from: any of the grammar but those of validation and test.

        Parameters
        ----------
        n : int
            How many.
        rng : Generator
            Source of randomness.

        Returns
        -------
        array of int (n, prompt_length)
            One may come twice.

        Examples
        --------
        >>> from alignlib.lm.tasks import Summarisation
        >>> task = Summarisation.task()
        >>> bool(task.is_reserved(task.fresh(10_000, np.random.default_rng(0))).any())
        False
        """
        found = np.empty((0, self.prompt_length), dtype=np.int64)
        while len(found) < n:
            drawn = self.grammar.draw_prompts(n - len(found) + 8, rng)
            found = np.concatenate([found, drawn[~self.is_reserved(drawn)]])
        return found[:n]

    def pool(self, n: int, number: int = 0) -> IntArray:
        """Return n distinct prompts to learn from; the first ones are the same for every n, in pool 0 ``prompts``.

        Parameters
        ----------
        n : int
            Prompts.
        number : int
            Which pool: others are drawn anew.

        Raises
        ------
        InputError
            If there are not that many.
        """
        rng = np.random.default_rng([7, number])
        few = len(self.prompts)
        first = self.prompts if number == 0 else self._distinct(self.fresh(12 * few, rng))[:few]
        if n <= few:
            return first[:n]
        distinct = self._distinct(np.concatenate([first, self.fresh(12 * n, rng)]))
        require(len(distinct) >= n, f"n must not exceed the {len(distinct)} distinct prompts found; got {n}.")
        return distinct[:n]

    def _distinct(self, prompts: IntArray) -> IntArray:
        """Each prompt once, where it first stands."""
        _, first = np.unique(self._numbers(prompts), return_index=True)
        return prompts[np.sort(first)]

    def gold(self, prompts: IntArray | None = None) -> FloatArray:
        """Gold reward of every response.

        Parameters
        ----------
        prompts : array of int (P, prompt_length), optional
            The training prompts if None.

        Returns
        -------
        array (P, space.size)
            In units of gold.
        """
        return self.grammar.gold(self.prompts if prompts is None else prompts, self.space)

    def reference(self, n: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Draw prompts to learn from and a noisy demonstration of each: what the base is pretrained on.

        Parameters
        ----------
        n : int
            How many.
        rng : Generator
            Source of randomness.

        Returns
        -------
        prompts : array of int (n, prompt_length)
            Their tokens.
        responses : array of int (n, space.length)
            Tokens of the demonstrations, padded with 0.
        """
        prompts = self.fresh(n, rng)
        return prompts, self.grammar.demonstrate(prompts, self.space, rng)

    def decode(self, tokens: IntArray) -> str:
        """Write a prompt or a response in words, up to its end.

        Parameters
        ----------
        tokens : array of int (length,)
            Of a prompt or a response.

        Examples
        --------
        >>> from alignlib.lm.tasks import Summarisation
        >>> task = Summarisation.task()
        >>> task.decode(np.array([1, 5, 0, 0, 0]))
        'river floods'
        """
        words = []
        for token in np.asarray(tokens).tolist():
            if token == END:
                break
            words.append(self.words[token])
        return " ".join(words)
