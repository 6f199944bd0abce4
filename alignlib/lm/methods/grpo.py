"""GRPO as trl implements it: group-relative advantages and a token-level KL penalty in the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.palette import FOURTH
from alignlib.lm.methods import Ablation, Checkpoint, Look, Method, Settings, register
from alignlib.lm.methods._training import check_reward
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from alignlib.lm.base_model import EnumerableLM

__all__ = ["GRPO", "train"]


@dataclass(frozen=True)
class GRPO(Settings):
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

    scale_rewards: str = "group"
    bias_correction: bool = True
    loss_type: str = "dapo"

    def __post_init__(self) -> None:
        allowed = ("group", "none")
        require(
            self.scale_rewards in allowed,
            f"scale_rewards must be one of {', '.join(allowed)}; got {self.scale_rewards!r}.",
        )


def train(
    base: EnumerableLM, task: Task, reward: FloatArray, beta: float, seed: int, *, settings: GRPO
) -> Iterator[Checkpoint]:
    """Train with trl's ``GRPOTrainer``; arguments as in `Train`."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from alignlib.lm.methods._trl import Keeper, as_text, common_arguments, id_tokenizer, run, saved_reference
    from alignlib.lm.torch_runtime import quiet

    budget = settings.budget
    table = check_reward(reward, task, beta)
    length = task.space.length
    prompts = np.asarray(task.prompts)
    batch = len(prompts) * budget.group

    def reward_of(completion_ids: Sequence[list[int]], row: Sequence[int], **_: object) -> list[float]:
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


register(
    Method(
        name="grpo",
        label="GRPO",
        train=train,
        settings=GRPO,
        look=Look(FOURTH, "^"),
        learning_rate=3e-3,
        # Division by the group's standard deviation takes the reward's scale away: the same KLs need other penalties.
        # From 0.8 to 0.4 the KL leaps from under one nat to nearly four: the last two penalties lie in that leap.
        penalties=(1.6, 1.1, 0.8, 0.4, 0.2, 0.6, 0.5),
        aims_at_optimum=False,
        seconds_per_step=0.1,
        ablations=(
            Ablation("no scaling", (1.0, 0.25), {"scale_rewards": "none"}),
            Ablation("no scaling, k3 as published", (1.0,), {"scale_rewards": "none", "bias_correction": False}),
        ),
        place=20,
    )
)
