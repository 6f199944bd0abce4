"""Rejection-sampling fine-tuning: draw k, keep the best, raise its likelihood; again from the new policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alignlib._core.checks import FloatArray, require
from alignlib._core.palette import BEST_OF_N
from alignlib.lm.methods import Budget, Checkpoint, Look, Method, Settings, register
from alignlib.lm.methods._training import Optimiser, check_reward, frozen_copy, trainable_copy
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from alignlib.lm.base_model import EnumerableLM

__all__ = ["Rejection", "train"]


@dataclass(frozen=True)
class Rejection(Settings):
    """Settings: ``k`` draws per kept response, ``rounds`` of drawing; there is no β.

    With perfect fits R rounds give best-of-``k^R``: the distribution function is raised to the power k each time.
    The budget's steps, so its completions, are divided evenly among the rounds; the rate is annealed in each.
    """

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
    base: EnumerableLM, task: Task, reward: FloatArray, beta: float, seed: int, *, settings: Rejection
) -> Iterator[Checkpoint]:
    """Fit each round's policy to the best of ``k`` draws of the last round's; β is not used.

    Arguments as in `Train`. A checkpoint is handed out after every round.
    """
    import torch

    from alignlib.lm.rollout import sample, sequence_log_prob

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


def _configure(budget: Budget, knob: float) -> Rejection:
    """Two rounds where training is long and annealed, one where it is short; a checkpoint after each."""
    return Rejection(replace(budget, checkpoints=()), k=int(knob), rounds=2 if budget.schedule == "linear" else 1)


register(
    Method(
        name="rejection",
        label="rejection sampling",
        train=train,
        settings=Rejection,
        look=Look(BEST_OF_N, "o"),
        learning_rate=3e-3,
        penalties=(2.0, 4.0, 8.0, 16.0, 32.0),
        knob="k",
        configure=_configure,
        aims_at_optimum=False,
        seconds_per_step=0.04,
        place=50,
    )
)
