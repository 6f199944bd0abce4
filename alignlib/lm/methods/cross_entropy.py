"""Control: cross-entropy on samples of the exact optimum. What it misses, the network or its optimiser misses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax

from alignlib._core.checks import FloatArray
from alignlib.lm.methods import Checkpoint, Method, Settings, register
from alignlib.lm.methods._training import Optimiser, check_reward, frozen_copy, trainable_copy
from alignlib.lm.policy_law import draw
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from alignlib.lm.base_model import EnumerableLM

__all__ = ["train"]


def train(
    base: EnumerableLM, task: Task, reward: FloatArray, beta: float, seed: int, *, settings: Settings
) -> Iterator[Checkpoint]:
    """Minimise ``-E_{π_λ} log π`` from samples of ``π_λ ∝ p e^{r/β}``; arguments as in `Train`."""
    import torch

    from alignlib.lm.prefix_tree import exact_log_prob
    from alignlib.lm.rollout import as_tokens, sequence_log_prob

    budget = settings.budget
    table = check_reward(reward, task, beta)
    optimum = np.exp(log_softmax(exact_log_prob(base, task.prompts, task.space) + table / beta, axis=1))
    prompts = torch.as_tensor(task.prompts, dtype=torch.long)
    repeated = prompts.repeat_interleave(budget.group, dim=0)
    model = trainable_copy(base)
    optimiser = Optimiser(model.parameters(), budget)
    rng = np.random.default_rng(seed)
    for step in range(1, budget.steps + 1):
        tokens = as_tokens(task.space, draw(optimum, budget.group, rng).reshape(-1))
        optimiser.step(-sequence_log_prob(model, repeated, tokens).mean())
        if step in budget.handed_out:
            yield Checkpoint(step, step * len(repeated), frozen_copy(model))


register(
    Method(
        name="cross_entropy",
        label="cross-entropy on the optimum",
        train=train,
        settings=Settings,
        seconds_per_step=0.05,
        place=60,
    )
)
