"""NeMo-RL, by the keys of its logger."""

from __future__ import annotations

from alignlib.training.logs.trainers import KLKey, Trainer, register

__all__ = ["NEMO_RL"]

NEMO_RL = register(
    Trainer(
        name="NeMo-RL",
        marks=("mean_gen_tokens_per_sample", "token_mult_prob_error", "gen_kl_error"),
        kl=(KLKey("kl_penalty", "token", "NeMo-RL's loss averages over tokens (token_level_loss)", "k3", "tokens"),),
        reward=("reward",),
        length=("mean_gen_tokens_per_sample",),
        shortest=("min_gen_tokens_per_sample",),
        longest=("max_gen_tokens_per_sample",),
        step=("step",),
        mismatch=("gen_kl_error",),
        other_kl={
            "gen_kl_error": "the distance between the sampling engine and the trainer",
            "policy_kl_error": "the distance between the trainer and the sampling engine",
            "js_divergence_error": "the distance between the sampling engine and the trainer",
        },
        no_kl="NeMo-RL computes it only where reference_policy_kl_penalty is above 0, and its console prints none "
        "('gen_kl_error' is the distance between the sampling engine and the trainer): its TensorBoard, wandb or "
        "MLflow have 'train/kl_penalty'",
    )
)
