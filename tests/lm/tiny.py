"""A world of 85 responses and 36 prompts, on which every method trains within a second or two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from alignlib.lm.experiment.grid import Run
from alignlib.lm.methods import Settings, find
from alignlib.lm.space import ResponseSpace
from alignlib.lm.tasks import Features, Grammar, Task

SPACE = ResponseSpace(n_content=4, length=3)


@dataclass(frozen=True)
class Tiny(Grammar):
    """Prompts of two words: the first says which token is wanted, the second how much; each token costs an eighth."""

    name: ClassVar[str] = "safety"  # a laboratory takes only names that it knows

    @classmethod
    def of(cls, space: ResponseSpace) -> Self:
        return cls()

    @property
    def response_words(self) -> tuple[str, ...]:
        return ("a", "b", "c", "d")

    @property
    def prompt_words(self) -> tuple[str, ...]:
        return (*(f"w{k}" for k in range(12)), "once", "twice", "thrice")

    @property
    def n_distinct(self) -> int:
        return 36

    def draw_prompts(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return np.column_stack([5 + rng.integers(12, size=n), 17 + rng.integers(3, size=n)])

    def prompt_features(self, prompts: np.ndarray) -> np.ndarray:
        wanted = (prompts[:, :1] - 5) % 4 == np.arange(4)
        return 0.25 * wanted * (prompts[:, 1:] - 15)

    def response_features(self, space: ResponseSpace) -> np.ndarray:
        counts = [(np.asarray(space.tokens) == token).sum(axis=1) for token in range(1, 5)]
        return np.column_stack([*counts, -0.125 * np.asarray(space.lengths)])

    def pay(self, prompt: Features, response: Features) -> Features:
        return (prompt * response[..., :-1]).sum(-1) + response[..., -1]

    def written(self, prompts: np.ndarray, rng: np.random.Generator) -> Iterator[list[int]]:
        for _ in prompts:
            yield rng.integers(1, 5, size=int(rng.integers(4))).tolist()


def tiny_task() -> Task:
    return Tiny.task(SPACE, n_prompts=6, n_validation=4, n_test=8)


def tiny_base(seed: int = 0) -> Any:
    import torch

    from alignlib.lm.base_model import PretrainingSettings, new_model

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return new_model(tiny_task(), PretrainingSettings(n_layer=2, n_embd=16, n_head=2)).eval()


def tiny_grid(steps: int = 4) -> tuple[Run, ...]:
    """A grid of two methods, three seeds, two lengths."""
    return tuple(
        Run("main", "safety", method, find(method).middle, Settings(n, 3e-3), seed)
        for method in ("rloo", "grpo")
        for seed in (0, 1, 2)
        for n in (steps, 2)
    )
