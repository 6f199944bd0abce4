"""RLOO: REINFORCE with a group baseline and the sequence log-ratio in the reward; its fixed point is the optimum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from alignlib._core.checks import FloatArray
from alignlib._core.palette import THIRD
from alignlib.lm.methods import Checkpoint, Look, Method, Settings, register
from alignlib.lm.methods._training import Optimiser, check_reward, frozen_copy, trainable_copy
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from alignlib.lm.base_model import EnumerableLM

__all__ = ["train"]


def train(
    base: EnumerableLM, task: Task, reward: FloatArray, beta: float, seed: int, *, settings: Settings
) -> Iterator[Checkpoint]:
    """Follow the gradient of ``E_π[r - β log(π/p)]`` with the other responses' mean as baseline.

    The score ``r - β log(π(y)/p(y))`` is constant over responses exactly where ``π = π_λ``: there every advantage,
    and so every update, is zero, not only its mean. Arguments as in `Train`.
    """
    import torch

    from alignlib.lm.rollout import sample, sequence_log_prob

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


register(
    Method(
        name="group_kl",  # what the committed table calls it
        label="RLOO",
        train=train,
        settings=Settings,
        look=Look(THIRD, "s"),
        learning_rate=3e-3,
        seconds_per_step=0.06,
        place=10,
    )
)
