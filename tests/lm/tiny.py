"""A world of 85 responses and three prompts, on which every method trains within a second or two."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from alignlib.lm.experiment.grid import Run
from alignlib.lm.methods import Budget, Settings
from alignlib.lm.space import ResponseSpace

SPACE = ResponseSpace(n_content=4, length=3)
PROMPTS = np.array([[5, 6], [7, 8], [9, 10]])


def tiny_reward() -> np.ndarray:
    """One token is wanted by each prompt, others cost a little."""
    tokens = np.asarray(SPACE.tokens)
    wanted = np.stack([(tokens == 1 + row).sum(axis=1) for row in range(len(PROMPTS))])
    return 0.5 * wanted - 0.125 * np.asarray(SPACE.lengths)


def tiny_task() -> Any:
    return SimpleNamespace(name="tiny", space=SPACE, prompts=PROMPTS, prompt_length=2, vocab_size=11)


def tiny_base(seed: int = 0) -> Any:
    import torch

    from alignlib.lm.base_model import PretrainingSettings, new_model

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return new_model(tiny_task(), PretrainingSettings(n_layer=1, n_embd=16, n_head=2)).eval()


def tiny_grid(steps: int = 6) -> tuple[Run, ...]:
    """A grid of six small runs."""
    budget = Budget(steps, 2, 1e-3, "linear", (1,))
    return tuple(
        Run("main", "safety", method, Settings(budget), 0.5, seed)
        for method in ("group_kl", "cross_entropy")
        for seed in (0, 1, 2)
    )
