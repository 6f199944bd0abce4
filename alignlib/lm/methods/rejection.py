"""Rejection-sampling fine-tuning: draw k, keep the best, raise its likelihood; again from the new policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from alignlib._core.checks import FloatArray, require
from alignlib.lm.methods.rollout import sample, sequence_log_prob
from alignlib.lm.methods.training import Budget, Checkpoint, Optimiser, check_reward, frozen_copy, trainable_copy

__all__ = ["Rejection", "train"]


@dataclass(frozen=True)
class Rejection:
    """Settings: ``k`` draws per kept response, ``rounds`` of drawing; there is no β.

    With perfect fits R rounds give best-of-``k^R``: the distribution function is raised to the power k each time.
    The budget's steps, so its completions, are divided evenly among the rounds; the rate is annealed in each.
    """

    budget: Budget
    k: int = 4
    rounds: int = 1

    def __post_init__(self) -> None:
        require(self.k >= 2, f"k must be at least 2; got {self.k}.")
        require(
            1 <= self.rounds <= self.budget.steps,
            f"rounds must lie between 1 and the number of steps, {self.budget.steps}; got {self.rounds}.",
        )
        require(
            self.budget.group % self.k == 0 or self.k % self.budget.group == 0,
            f"k must divide the group or be a multiple of it, {self.budget.group}; got {self.k}.",
        )


def train(
    base: Any, task: Any, reward: FloatArray, beta: float, seed: int, *, settings: Rejection
) -> Iterator[Checkpoint]:
    """Fit each round's policy to the best of ``k`` draws of the last round's; β is not used.

    Arguments as in ``group_kl.train``. A checkpoint is handed out after every round.
    """
    budget, k, space = settings.budget, settings.k, task.space
    del beta  # the knob here is k
    table = torch.from_numpy(check_reward(reward, task, 1.0))
    prompts = torch.as_tensor(task.prompts, dtype=torch.long)
    n_prompts = len(prompts)
    model = trainable_copy(base)
    generator = torch.Generator().manual_seed(seed)
    # So many steps make one group of k for every prompt; the responses of a step are those of the budget.
    draws = max(budget.group, k)
    steps_per_draw = draws // budget.group
    step = 0
    for number in range(settings.rounds):
        ends = round(budget.steps * (number + 1) / settings.rounds)
        updates = max(1, (ends - step) // steps_per_draw)
        sampler = frozen_copy(model)
        optimiser = Optimiser(model.parameters(), budget, updates)
        for _ in range(updates):
            tokens = sample(sampler, prompts, draws, space.length, generator)
            index = torch.from_numpy(space.index_of(tokens.numpy()))
            row = torch.arange(n_prompts).repeat_interleave(draws)
            value = table[row, index].view(n_prompts, draws // k, k)
            # Ties go to the first draw, which is any of them.
            best = (value.argmax(dim=2) + torch.arange(draws // k) * k).flatten()
            best = best + torch.arange(n_prompts).repeat_interleave(draws // k) * draws
            kept = tokens[best]
            optimiser.step(-sequence_log_prob(model, prompts[row[best]], kept).mean())
        step = ends
        yield Checkpoint(step, (number + 1) * updates * draws * n_prompts, frozen_copy(model))
