"""GRPO as trl implements it: group-relative advantages and a token-level KL penalty in the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from alignlib._core.checks import FloatArray, require
from alignlib.lm.methods.training import Budget, Checkpoint, check_reward
from alignlib.lm.methods.trl_trainer import Keeper, as_text, common_arguments, id_tokenizer, run, saved_reference
from alignlib.lm.quiet import quiet

__all__ = ["GRPO", "train"]


@dataclass(frozen=True)
class GRPO:
    """Settings of trl's ``GRPOTrainer``.

    Parameters
    ----------
    budget : Budget
        Steps, responses per prompt, learning rate.
    scale_rewards : str
        ``"group"`` divides advantages by the group's standard deviation (as published), ``"none"`` does not.
    bias_correction : bool
        True (trl's default): the penalty's gradient is that of the token's own reverse KL. False (as published): the
        gradient of k3 at the sampled token, whose mean is that of the *forward* KL.
    loss_type : str
        trl's normalisation: ``"dapo"`` (by the batch's tokens; trl's default), ``"grpo"`` (by each response's).
    """

    budget: Budget
    scale_rewards: str = "group"
    bias_correction: bool = True
    loss_type: str = "dapo"

    def __post_init__(self) -> None:
        allowed = ("group", "none")
        require(
            self.scale_rewards in allowed,
            f"scale_rewards must be one of {', '.join(allowed)}; got {self.scale_rewards!r}.",
        )


def train(base: Any, task: Any, reward: FloatArray, beta: float, seed: int, *, settings: GRPO) -> Iterator[Checkpoint]:
    """Train with trl's ``GRPOTrainer``; arguments as in ``group_kl.train``."""
    budget = settings.budget
    table = check_reward(reward, task, beta)
    length = task.space.length
    prompts = np.asarray(task.prompts)
    batch = len(prompts) * budget.group

    def reward_of(prompts: Any, completions: Any, completion_ids: Any, row: Any, **_: Any) -> list[float]:
        tokens = np.zeros((len(completion_ids), length), dtype=np.int64)
        for line, ids in zip(tokens, completion_ids, strict=True):
            line[: len(ids)] = ids
        values: list[float] = table[np.asarray(row), task.space.index_of(tokens)].tolist()
        return values

    with quiet(), saved_reference(base) as (model, folder):
        keeper = Keeper(budget.handed_out, batch)
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward_of,
            processing_class=id_tokenizer(model.get_input_embeddings().num_embeddings),
            train_dataset=Dataset.from_dict(
                {"prompt": [as_text(p) for p in prompts.tolist()], "row": list(range(len(prompts)))}
            ),
            callbacks=[keeper],
            args=GRPOConfig(
                **common_arguments(budget, batch, seed, folder),
                num_generations=budget.group,
                steps_per_generation=1,
                num_iterations=1,
                max_completion_length=length,
                beta=beta,
                epsilon=0.2,
                scale_rewards=settings.scale_rewards,
                use_bias_correction_kl=settings.bias_correction,
                loss_type=settings.loss_type,
                importance_sampling_level="token",
                temperature=1.0,
                top_p=1.0,
                top_k=0,
                min_p=None,
                repetition_penalty=1.0,
                mask_truncated_completions=False,
                disable_dropout=False,
                entropy_coef=0.0,
                sync_ref_model=False,
                use_vllm=False,
                shuffle_dataset=True,
                pad_to_multiple_of=None,
                log_completions=False,
            ),
        )
        run(trainer)
    yield from keeper.checkpoints(base)
