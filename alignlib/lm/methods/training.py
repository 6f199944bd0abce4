"""What all training methods share: the budget, the optimiser, the checkpoints they hand out."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from alignlib._core.checks import FloatArray, require

__all__ = ["Budget", "Checkpoint", "Optimiser", "check_reward", "frozen_copy", "trainable_copy"]

SCHEDULES = ("constant", "linear")


@dataclass(frozen=True)
class Checkpoint:
    """A policy on its way: ``completions`` counts the responses that training has consumed so far."""

    step: int
    completions: int
    model: Any


@dataclass(frozen=True)
class Budget:
    """How long and how hard a method trains; every step sees each prompt ``group`` times.

    Parameters
    ----------
    steps : int
        Optimiser rounds, >= 1: one batch of responses each.
    group : int
        Responses per prompt and step, >= 2.
    learning_rate : float
        AdamW's peak rate, > 0.
    schedule : str
        ``"constant"`` or ``"linear"`` (annealed to zero at the last step).
    checkpoints : tuple of int
        Steps after which the policy is handed out, increasing; the last step always is.
    max_grad_norm : float
        The gradient is scaled down to this norm, > 0.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    steps: int
    group: int = 8
    learning_rate: float = 1e-3
    schedule: str = "linear"
    checkpoints: tuple[int, ...] = ()
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"steps must be at least 1; got {self.steps}.")
        require(self.group >= 2, f"group must be at least 2, for a baseline needs others; got {self.group}.")
        require(self.learning_rate > 0, f"learning_rate must be positive; got {self.learning_rate}.")
        require(self.max_grad_norm > 0, f"max_grad_norm must be positive; got {self.max_grad_norm}.")
        require(self.schedule in SCHEDULES, f"schedule must be one of {', '.join(SCHEDULES)}; got {self.schedule!r}.")
        inner = self.checkpoints
        require(
            list(inner) == sorted(set(inner)) and all(1 <= step <= self.steps for step in inner),
            f"checkpoints must be increasing steps from 1 to {self.steps}; got {inner}.",
        )

    @property
    def handed_out(self) -> frozenset[int]:
        """Every step after which a checkpoint is due."""
        return frozenset((*self.checkpoints, self.steps))


class Optimiser:
    """AdamW without decay, with gradient clipping and the budget's schedule; ``updates`` of them in all."""

    def __init__(self, parameters: Iterable[Any], budget: Budget, updates: int | None = None) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._clip = budget.max_grad_norm
        self._adam = torch.optim.AdamW(
            self._parameters, lr=budget.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, foreach=True
        )
        total = budget.steps if updates is None else updates
        fade = (lambda k: 1.0) if budget.schedule == "constant" else (lambda k: max(0.0, 1.0 - k / total))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._adam, fade)

    def step(self, loss: Any) -> None:
        """Take one step down the gradient of ``loss``."""
        self.step_sum([loss])

    def step_sum(self, losses: Iterable[Any]) -> None:
        """Take one step down the gradient of the sum of losses, whose graphs are freed one by one."""
        self._adam.zero_grad(set_to_none=True)
        for loss in losses:
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._adam.step()
        self._schedule.step()


def frozen_copy(model: Any) -> Any:
    """Return a copy that no later training step can change."""
    return copy.deepcopy(model).requires_grad_(False).eval()


def trainable_copy(base: Any) -> Any:
    """Return a copy of the base model to train, which leaves the base as it is."""
    model = copy.deepcopy(base).requires_grad_(True)
    return model.eval()  # dropout is zero by construction; eval says so


def check_reward(reward: FloatArray, task: Any, beta: float) -> FloatArray:
    """Return the reward table as floats, or say what is wrong with it or with β."""
    table = np.asarray(reward, dtype=np.float64)
    shape = (len(task.prompts), task.space.size)
    require(table.shape == shape, f"reward must have one row per prompt, {shape}; got {table.shape}.")
    require(bool(np.isfinite(table).all()), "reward must be finite; give every response a number.")
    require(bool(np.isfinite(beta)) and beta > 0, f"beta must be positive and finite; got {beta}.")
    return table
