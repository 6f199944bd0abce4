"""Control: cross-entropy on samples of the exact optimum. What it misses, the network or its optimiser misses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax

from alignlib._core.checks import FloatArray, IntArray
from alignlib.lm.methods.rollout import as_tokens, sequence_log_prob
from alignlib.lm.methods.training import Budget, Checkpoint, Optimiser, check_reward, frozen_copy, trainable_copy
from alignlib.lm.prefix_tree import exact_log_prob

__all__ = ["CrossEntropy", "draw", "train"]


@dataclass(frozen=True)
class CrossEntropy:
    """Settings: the budget is all there is to choose."""

    budget: Budget


def draw(prob: FloatArray, n: int, rng: np.random.Generator) -> IntArray:
    """Draw ``n`` responses for each row of ``prob`` (prompts, responses); indices (prompts, n)."""
    upper = prob.cumsum(axis=1)
    uniform = rng.random((len(prob), n)) * upper[:, -1:]
    found = [np.searchsorted(row, u, side="right") for row, u in zip(upper, uniform, strict=True)]
    return np.asarray(np.minimum(np.stack(found), prob.shape[1] - 1), dtype=np.int64)


def train(
    base: Any, task: Any, reward: FloatArray, beta: float, seed: int, *, settings: CrossEntropy
) -> Iterator[Checkpoint]:
    """Minimise ``-E_{π_λ} log π`` from samples of ``π_λ ∝ p e^{r/β}``; arguments as in ``group_kl.train``."""
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
