"""Bradley–Terry reward models: the base model with a scalar head, trained on preferences, and their reward tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, GPT2ForSequenceClassification

from alignlib._core.checks import FloatArray, require, require_range
from alignlib.lm.base_model import EnumerableConfig, EnumerableLM
from alignlib.lm.prefix_tree import exact_score
from alignlib.lm.raters import Pairs
from alignlib.lm.tasks import Task
from alignlib.lm.torch_runtime import annealed_adam, one_thread, seed_for_torch

__all__ = [
    "EnumerableRewardModel",
    "RewardSettings",
    "bradley_terry_loss",
    "reward_table",
    "round_to_lattice",
    "train_reward_model",
]

LATTICE = 1 / 16
"""Rewards of networks are rounded to multiples of this: part of the proxy's definition, so that levels are few."""


class EnumerableRewardModel(GPT2ForSequenceClassification):  # type: ignore[misc]
    """GPT-2 with a scalar read after the last token that is not padding."""

    config_class = EnumerableConfig

    def __init__(self, config: EnumerableConfig) -> None:
        super().__init__(config)
        self.transformer.wte = torch.nn.Embedding(config.n_inputs, config.n_embd)
        self.post_init()


AutoModelForSequenceClassification.register(EnumerableConfig, EnumerableRewardModel, exist_ok=True)


@dataclass(frozen=True)
class RewardSettings:
    """Training of a reward model: ``passes`` over the pairs in batches of ``batch``, but at least ``least_steps``.

    Few pairs are thus seen often, as where labels are scarce: 300 pairs thirteen times.
    """

    passes: float = 6.0
    least_steps: int = 60
    batch: int = 64
    learning_rate: float = 1e-3
    warm_up: float = 0.05
    weight_decay: float = 0.01

    def steps(self, n_pairs: int) -> int:
        """Number of steps for so many pairs."""
        return max(self.least_steps, math.ceil(self.passes * n_pairs / self.batch))


def bradley_terry_loss(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``-log σ(r(chosen) - r(rejected))``, which no constant added to a prompt's rewards changes.

    Parameters
    ----------
    chosen, rejected : tensor (n,)
        Scores of the preferred response of each pair, and of the other.
    """
    return -torch.nn.functional.logsigmoid(chosen - rejected).mean()


def train_reward_model(
    base: EnumerableLM,
    task: Task,
    pairs: Pairs,
    rng: np.random.Generator | int = 0,
    settings: RewardSettings | None = None,
) -> EnumerableRewardModel:
    """Train a reward model on labelled pairs of a task's training prompts, starting from the base's body.

    Parameters
    ----------
    base : EnumerableLM
        Its weights below the head are where training starts.
    task : Task
        Gives prompts and responses their tokens.
    pairs : Pairs
        From `alignlib.lm.raters.draw_pairs`.
    rng : Generator or int
        Source of the new head and of the order of the pairs, or its seed.
    settings : RewardSettings, optional
        Length and rate of training.

    Raises
    ------
    InputError
        If there are no pairs.
    """
    settings = settings or RewardSettings()
    n = len(pairs.prompt)
    require(n >= 1, "pairs must hold at least one pair; got none.")
    seed = seed_for_torch(rng)
    rng = np.random.default_rng(seed)
    tokens = task.space.tokens.astype(np.int64)
    with one_thread(seed):
        config = EnumerableConfig.from_dict(base.config.to_dict())
        config.num_labels = 1
        model: EnumerableRewardModel = EnumerableRewardModel(config)
        model.transformer.load_state_dict(base.transformer.state_dict())
        optimizer, schedule = annealed_adam(model, settings.steps(n), settings)
        model.train()
        waiting = np.empty(0, dtype=np.int64)
        for _ in range(settings.steps(n)):
            while waiting.size < settings.batch:
                waiting = np.concatenate([waiting, rng.permutation(n)])
            part, waiting = waiting[: settings.batch], waiting[settings.batch :]
            both = np.concatenate([pairs.chosen[part], pairs.rejected[part]])
            rows = np.concatenate([np.tile(task.prompts[pairs.prompt[part]], (2, 1)), tokens[both]], axis=1)
            score = _score(model, torch.as_tensor(rows), task.prompt_length)
            loss = bradley_terry_loss(*score.chunk(2))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()
    return model


def _score(model: EnumerableRewardModel, tokens: torch.Tensor, prompt_length: int) -> torch.Tensor:
    """Score prompts followed by responses padded with 0."""
    hidden = model.transformer(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
    last = prompt_length - 1 + (tokens[:, prompt_length:] != 0).sum(dim=1)
    return model.score(hidden[torch.arange(len(tokens)), last])[:, 0]


def reward_table(
    models: EnumerableRewardModel | Sequence[EnumerableRewardModel], task: Task, log_base: FloatArray
) -> FloatArray:
    """Return the reward of every response to each training prompt, of a network or the mean of several.

    A network's constant on each prompt means nothing, so each is shifted to a base mean of zero before the mean is
    taken; then the table is rounded to multiples of 1/16.

    Parameters
    ----------
    models : reward model or sequence of them
        One is a proxy, several an ensemble.
    task : Task
        The task they were trained on.
    log_base : array (P, size)
        The base's log-probabilities, in nats.

    Returns
    -------
    array (P, size)

    Raises
    ------
    InputError
        If no model is given, or ``log_base`` does not fit the task.
    """
    members = list(models) if isinstance(models, Sequence) else [models]
    require(len(members) > 0, "models must hold at least one reward model; got none.")
    require(
        log_base.shape == (len(task.prompts), task.space.size),
        f"log_base must have shape {(len(task.prompts), task.space.size)}; got {log_base.shape}.",
    )
    prob = np.exp(log_base)
    total = np.zeros_like(prob)
    for member in members:
        score = exact_score(member, task.prompts, task.space)
        total += score - (prob * score).sum(axis=1, keepdims=True)
    return round_to_lattice(total / len(members))


def round_to_lattice(reward: FloatArray, lattice: float = LATTICE) -> FloatArray:
    """Round rewards to multiples of ``lattice`` > 0.

    Parameters
    ----------
    reward : array
        Rewards of any shape.
    lattice : float
        Distance of the values left, > 0.

    Raises
    ------
    InputError
        If ``lattice`` is not positive.

    Examples
    --------
    >>> round_to_lattice(np.array([0.126, -0.01]), 0.125).tolist()
    [0.125, 0.0]
    """
    require_range("lattice", lattice, 0.0, open_low=True)
    return np.asarray(np.round(reward / lattice) * lattice + 0.0)
