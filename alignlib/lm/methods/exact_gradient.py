"""Control: the exact gradient of the regularised objective, summed over every response; no sampling of responses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib.lm.methods import Checkpoint, Method, Settings, register
from alignlib.lm.methods._training import Optimiser, check_reward, frozen_copy, trainable_copy
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

    from alignlib.lm.base_model import EnumerableLM

__all__ = ["ExactGradient", "train"]


@dataclass(frozen=True)
class ExactGradient(Settings):
    """Settings: each step takes ``prompts_per_step`` prompts in turn, all responses of each; ``group`` is not used."""

    prompts_per_step: int = 6

    def __post_init__(self) -> None:
        require(self.prompts_per_step >= 1, f"prompts_per_step must be at least 1; got {self.prompts_per_step}.")


def train(
    base: EnumerableLM, task: Task, reward: FloatArray, beta: float, seed: int, *, settings: ExactGradient
) -> Iterator[Checkpoint]:
    """Ascend ``Σ_y π(y) (r(y) - β log(π(y)/p(y)))``; the seed shuffles prompts. Arguments as in `Train`."""
    import torch

    from alignlib.lm.prefix_tree import exact_log_prob

    budget = settings.budget
    table = torch.from_numpy(check_reward(reward, task, beta))
    log_base = torch.from_numpy(exact_log_prob(base, task.prompts, task.space))
    per_step = min(settings.prompts_per_step, len(task.prompts))
    model = trainable_copy(base)
    optimiser = Optimiser(model.parameters(), budget)
    rng = np.random.default_rng(seed)
    order = np.empty(0, dtype=np.int64)
    for step in range(1, budget.steps + 1):
        if len(order) < per_step:
            order = np.concatenate([order, rng.permutation(len(task.prompts))])
        rows, order = order[:per_step], order[per_step:]
        optimiser.step_sum(_losses(model, task, table, log_base, beta, rows))
        if step in budget.handed_out:
            yield Checkpoint(step, step * per_step * task.space.size, frozen_copy(model))


def _losses(
    model: EnumerableLM, task: Task, table: Tensor, log_base: Tensor, beta: float, rows: IntArray
) -> Iterator[Tensor]:
    """Yield each prompt's share of the loss; one at a time, for memory."""
    from alignlib.lm.prefix_tree import tree_log_prob

    for row in rows.tolist():
        log_prob = tree_log_prob(model, task.prompts[row : row + 1], task.space)[0]
        yield -(log_prob.exp() * (table[row] - beta * (log_prob - log_base[row]))).sum() / len(rows)


def _all_responses(settings: ExactGradient, task: Task) -> int:
    return min(settings.prompts_per_step, len(task.prompts)) * task.space.size


register(
    Method(
        name="exact_gradient",
        label="exact gradient",
        train=train,
        settings=ExactGradient,
        learning_rate=1e-3,
        responses_per_step=_all_responses,
        seconds_per_step=1.1,
        place=70,
    )
)
