"""Which prompts training on fresh ones met, and which rewards: the draws of the runs, repeated without a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from alignlib._core.checks import BoolArray, IntArray
from alignlib.lm.experiment.results import Results
from alignlib.lm.methods import RESPONSES, Settings
from alignlib.lm.tasks import TASKS, Task

__all__ = ["group_of", "has_twin", "met", "of_task", "same_reward"]

_BLOCK = 32  # steps whose prompts are drawn together in training


@lru_cache(maxsize=len(TASKS))
def of_task(name: str) -> Task:
    """The experiment's task."""
    return TASKS[name].task()


def group_of(results: Results, task: str, method: str) -> int:
    """Responses that a method took to each prompt of a step."""
    settings: Settings = results.tuning.taken(task, method)
    return settings.group


@lru_cache(maxsize=32)
def _drawn(task: str, group: int, steps: int, seed: int) -> IntArray:
    """Prompts of a run on fresh ones, as it drew them."""
    rng, blocks = np.random.default_rng([seed, 1]), -(-steps // _BLOCK)
    per_step = RESPONSES // group
    drawn = np.concatenate([of_task(task).fresh(_BLOCK * per_step, rng) for _ in range(blocks)])
    return drawn[: steps * per_step]


def met(results: Results, task: str, method: str, steps: int, seeds: Sequence[int]) -> list[int]:
    """How many of the task's training prompts each run on fresh prompts drew at least once."""
    group, found = group_of(results, task, method), []
    for seed in seeds:
        drawn = {tuple(row) for row in _drawn(task, group, steps, seed).tolist()}
        found.append(sum(tuple(row) in drawn for row in of_task(task).prompts.tolist()))
    return found


def same_reward(task: Task, prompts: IntArray, learnt: IntArray) -> BoolArray:
    """Whether some learnt prompt has the same reward of every response as each of these, shape (P,)."""
    known = {tuple(row) for row in task.features(learnt).round(9).tolist()}
    return np.array([tuple(row) in known for row in task.features(prompts).round(9).tolist()])


def has_twin(results: Results, task: str, method: str, steps: int, seed: int, n_prompts: int = 0) -> BoolArray:
    """Whether each test prompt's reward was met under another prompt: fresh ones, or a pool of so many."""
    of = of_task(task)
    if n_prompts:
        return same_reward(of, of.test, of.pool(n_prompts, seed))
    return same_reward(of, of.test, _drawn(task, group_of(results, task, method), steps, seed))
