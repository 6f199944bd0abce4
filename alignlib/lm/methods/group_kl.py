"""REINFORCE with a group baseline and the sequence log-ratio in the reward: its fixed point is the optimum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from alignlib._core.checks import FloatArray
from alignlib.lm.methods.rollout import sample, sequence_log_prob
from alignlib.lm.methods.training import Budget, Checkpoint, Optimiser, check_reward, frozen_copy, trainable_copy

__all__ = ["GroupKL", "train"]


@dataclass(frozen=True)
class GroupKL:
    """Settings: the budget is all there is to choose."""

    budget: Budget


def train(
    base: Any, task: Any, reward: FloatArray, beta: float, seed: int, *, settings: GroupKL
) -> Iterator[Checkpoint]:
    """Follow the gradient of ``E_π[r - β log(π/p)]`` with the other responses' mean as baseline.

    The score ``r - β log(π(y)/p(y))`` is constant over responses exactly where ``π = π_λ``: there every advantage,
    and so every update, is zero, not only its mean.

    Parameters
    ----------
    base : model
        The base model; it is left as it is.
    task : Task
        Prompts and response space.
    reward : array (prompts, responses)
        Reward of every response.
    beta : float
        KL penalty, > 0, in units of reward per nat.
    seed : int
        Seed of the sampled responses.
    settings : GroupKL
        The budget.
    """
    budget = settings.budget
    table = torch.from_numpy(check_reward(reward, task, beta))
    prompts = torch.as_tensor(task.prompts, dtype=torch.long)
    repeated = prompts.repeat_interleave(budget.group, dim=0)
    row = torch.arange(len(prompts)).repeat_interleave(budget.group)
    model, reference = trainable_copy(base), frozen_copy(base)
    optimiser = Optimiser(model.parameters(), budget)
    generator = torch.Generator().manual_seed(seed)
    for step in range(1, budget.steps + 1):
        tokens = sample(model, prompts, budget.group, task.space.length, generator)
        index = torch.from_numpy(task.space.index_of(tokens.numpy()))
        log_prob = sequence_log_prob(model, repeated, tokens)
        with torch.no_grad():
            log_ratio = log_prob - sequence_log_prob(reference, repeated, tokens)
            score = (table[row, index].float() - beta * log_ratio).view(-1, budget.group)
            others = (score.sum(dim=1, keepdim=True) - score) / (budget.group - 1)
            advantage = (score - others).flatten()
        optimiser.step(-(advantage * log_prob).mean())
        if step in budget.handed_out:
            yield Checkpoint(step, step * len(repeated), frozen_copy(model))
