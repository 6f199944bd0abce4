"""A task of the enumerable world: prompts, the gold reward of every response to them, and noisy demonstrations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, as_rng, require
from alignlib.lm.space import END, ResponseSpace

__all__ = ["Grammar", "Task"]


class Grammar(ABC):
    """What a task is made from: how prompts arise, what a good response is, and how people respond on a bad day.

    A subclass says these; `task` and `demonstrate` follow from them.
    """

    name: ClassVar[str]
    """Name of the task."""

    @classmethod
    @abstractmethod
    def of(cls, space: ResponseSpace) -> Self:
        """Return the grammar whose responses are those of ``space``."""

    @property
    @abstractmethod
    def response_words(self) -> tuple[str, ...]:
        """Words of the content tokens 1 … C."""

    @property
    @abstractmethod
    def prompt_words(self) -> tuple[str, ...]:
        """Words of the prompt tokens, which follow those of the responses: C + 1, C + 2, …"""

    @abstractmethod
    def draw_prompts(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw n prompts of one length, shape (n, prompt_length)."""

    @abstractmethod
    def gold(self, prompts: IntArray, space: ResponseSpace) -> FloatArray:
        """Gold reward of every response to each prompt, shape (P, space.size), on a lattice of few levels."""

    @abstractmethod
    def written(self, prompts: IntArray, rng: np.random.Generator) -> Iterator[list[int]]:
        """Yield one noisy response to each prompt, its content tokens, of any length."""

    def demonstrate(self, prompts: IntArray, space: ResponseSpace, rng: np.random.Generator) -> IntArray:
        """One noisy response to each prompt, cut at the space's length, shape (n, space.length), padded with 0."""
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
        n_held_out: int = 12,
    ) -> Task:
        """Return the task: distinct prompts of this grammar, the first to train on and the rest held out.

        Parameters
        ----------
        space : ResponseSpace, optional
            The responses; by default 9 content tokens and length 5.
        rng : Generator or int
            Source of the prompts, or its seed.
        n_prompts, n_held_out : int
            Prompts to train on, at least 1, and held out.

        Raises
        ------
        InputError
            If the grammar does not have that many prompts.

        Examples
        --------
        >>> from alignlib.lm.tasks import Safety
        >>> task = Safety.task()
        >>> task.prompts.shape, task.held_out.shape, task.gold().shape
        ((24, 5), (12, 5), (24, 66430))
        """
        require(n_prompts >= 1 and n_held_out >= 0, f"n_prompts must be at least 1; got {n_prompts} and {n_held_out}.")
        space = ResponseSpace() if space is None else space
        grammar, wanted = cls.of(space), n_prompts + n_held_out
        drawn = grammar.draw_prompts(50 * wanted, as_rng(rng))
        _, first = np.unique(drawn, axis=0, return_index=True)
        distinct = drawn[np.sort(first)]
        require(
            len(distinct) >= wanted,
            f"n_prompts + n_held_out must not exceed the {len(distinct)} distinct prompts found; got {wanted}.",
        )
        return Task(cls.name, space, grammar, distinct[:n_prompts], distinct[n_prompts:wanted])


@dataclass(frozen=True)
class Task:
    """Prompts to train on, others held out, and the rules of the grammar they come from.

    ``prompts`` has shape (P, prompt_length), ``held_out`` (H, prompt_length); no prompt occurs twice.
    """

    name: str
    space: ResponseSpace
    grammar: Grammar
    prompts: IntArray
    held_out: IntArray

    @property
    def prompt_length(self) -> int:
        """Tokens of a prompt."""
        return int(self.prompts.shape[1])

    @property
    def vocab_size(self) -> int:
        """Tokens a model reads: end, content tokens and prompt tokens."""
        return self.space.n_outputs + len(self.grammar.prompt_words)

    @property
    def words(self) -> tuple[str, ...]:
        """The word of every token, the end first."""
        return ("<end>", *self.grammar.response_words, *self.grammar.prompt_words)

    def gold(self, prompts: IntArray | None = None) -> FloatArray:
        """Gold reward of every response, shape (P, space.size); to the training prompts if none are given."""
        return self.grammar.gold(self.prompts if prompts is None else prompts, self.space)

    def reference(self, n: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Draw n prompts from the grammar and a noisy demonstration of each: what the base is pretrained on."""
        prompts = self.grammar.draw_prompts(n, rng)
        return prompts, self.grammar.demonstrate(prompts, self.space, rng)

    def decode(self, tokens: IntArray) -> str:
        """Write a prompt or a response in words, up to its end.

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
