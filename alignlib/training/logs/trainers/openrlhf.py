"""OpenRLHF, by its console lines, TensorBoard and wandb."""

from __future__ import annotations

from alignlib.training.logs.trainers import KLKey, Trainer, register

__all__ = ["OPENRLHF"]

OPENRLHF = register(
    Trainer(
        name="OpenRLHF",
        marks=("actor_lr", "vllm_kl"),
        weak=("response_length", "total_length"),
        kl=(
            KLKey(
                "kl",
                "token",
                "OpenRLHF averages it over each response's tokens, then over responses, parts of a batch weighted by "
                "their mean length",
                "",
                "parts",
            ),
        ),
        reward=("reward",),
        length=("response_length",),
        step=("global_step", "step"),
        other_kl={
            "ppo_kl": "the distance to the policy that sampled",
            "vllm_kl": "the distance between the sampling engine and the trainer",
        },
        mismatch=("vllm_kl",),
        no_kl="OpenRLHF has no reference model where init_kl_coef is 0",
    )
)
