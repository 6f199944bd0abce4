"""What several methods share when they train: the optimiser, copies of models, the reward as a checked table."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib.lm.methods._method import Budget
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

    from alignlib.lm.base_model import EnumerableLM

__all__ = ["Optimiser", "check_reward", "frozen_copy", "trainable_copy"]


class Optimiser:
    """AdamW without decay, with gradient clipping and the budget's schedule; ``updates`` of them in all."""

    def __init__(self, parameters: Iterable[Parameter], budget: Budget, updates: int | None = None) -> None:
        import torch

        self._parameters = [p for p in parameters if p.requires_grad]
        self._clip = budget.max_grad_norm
        self._adam = torch.optim.AdamW(
            self._parameters, lr=budget.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, foreach=True
        )
        total = budget.steps if updates is None else updates
        fade = (lambda k: 1.0) if budget.schedule == "constant" else (lambda k: max(0.0, 1.0 - k / total))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._adam, fade)

    def step(self, loss: Tensor) -> None:
        """Take one step down the gradient of ``loss``."""
        self.step_sum([loss])

    def step_sum(self, losses: Iterable[Tensor]) -> None:
        """Take one step down the gradient of the sum of losses, whose graphs are freed one by one."""
        import torch

        self._adam.zero_grad(set_to_none=True)
        for loss in losses:
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._adam.step()
        self._schedule.step()


def frozen_copy(model: EnumerableLM) -> EnumerableLM:
    """Return a copy that no later training step can change."""
    copied: EnumerableLM = copy.deepcopy(model).requires_grad_(False).eval()
    return copied


def trainable_copy(base: EnumerableLM) -> EnumerableLM:
    """Return a copy of the base model to train, which leaves the base as it is."""
    copied: EnumerableLM = copy.deepcopy(base).requires_grad_(True).eval()  # dropout is zero by construction
    return copied


def check_reward(reward: FloatArray, task: Task, beta: float) -> FloatArray:
    """Return the reward table as floats, or say what is wrong with it or with β."""
    table = np.asarray(reward, dtype=np.float64)
    shape = (len(task.prompts), task.space.size)
    require(table.shape == shape, f"reward must have one row per prompt, {shape}; got {table.shape}.")
    require(bool(np.isfinite(table).all()), "reward must be finite; give every response a number.")
    require(bool(np.isfinite(beta)) and beta > 0, f"beta must be positive and finite; got {beta}.")
    return table
