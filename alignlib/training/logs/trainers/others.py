"""Trainers of which a few keys say all: Open Instruct, SkyRL, slime, AReaL, Tinker's cookbook, prime-rl."""

from __future__ import annotations

from alignlib.training.logs.trainers import KLKey, Trainer, register

__all__: list[str] = []

_ENGINE = "the distance between the sampling engine and the trainer"

register(
    Trainer(
        name="Open Instruct",
        marks=("objective/kl_avg", "objective/kl0_avg", "objective/verifiable_reward", "val/sequence_lengths"),
        kl=(
            KLKey("objective/kl", "sequence", "Open Instruct sums log-ratios over a response", "k1"),
            KLKey("objective/kl_avg", "token", "Open Instruct averages over tokens", "k1", "tokens"),
            KLKey("objective/kl0_avg", "token", "Open Instruct averages over tokens", "k1", "tokens"),
        ),
        reward=("scores", "objective/scores", "objective/verifiable_reward"),
        length=("val/sequence_lengths",),
        shortest=("val/sequence_lengths_min",),
        longest=("val/sequence_lengths_max",),
        step=("training_step", "step"),
        other_kl={"policy/approxkl_avg": "the distance to the policy before the update"},
    )
)
register(
    Trainer(
        name="SkyRL",
        marks=("reward/avg_raw_reward", "policy/policy_kl", "generate/avg_num_tokens"),
        kl=(
            KLKey(
                "policy/policy_kl", "token", "SkyRL averages within each response, then over responses", "", "responses"
            ),
        ),
        reward=("reward/avg_raw_reward", "loss/avg_raw_rewards"),
        length=("generate/avg_num_tokens",),
        shortest=("generate/min_num_tokens",),
        longest=("generate/max_num_tokens",),
        step=("trainer/global_step", "step"),
        no_kl="SkyRL compares with a reference only where use_kl_loss or use_kl_in_reward is set",
    )
)
register(
    Trainer(
        name="slime",
        marks=("rollout/raw_reward", "rollout/response_lengths", "rollout/response_len/mean"),
        kl=(
            KLKey("kl_loss", "token", "slime averages within each response, then over responses", "", "responses"),
            KLKey(
                "rollout/kl",
                "token",
                "slime averages within each response or over the tokens of each worker, then over these",
                "",
                "responses",
            ),
        ),
        reward=("rollout/raw_reward",),
        length=("rollout/response_len/mean", "rollout/response_lengths"),
        shortest=("rollout/response_len/min",),
        longest=("rollout/response_len/max",),
        step=("rollout/step", "step"),
        kl_step={"kl_loss": "train/step"},
        other_kl={"ppo_kl": "the distance to the policy before the update"},
        no_kl="slime compares with a reference only where use_kl_loss or kl_coef is set",
    )
)
register(
    Trainer(
        name="AReaL",
        marks=("ppo_actor/task_reward/avg", "ppo_actor/kl_rewards/avg"),
        kl=(),
        reward=("ppo_actor/task_reward/avg",),
        length=("ppo_actor/seq_len/avg",),
        other_kl={"ppo_actor/kl_rewards/avg": "minus the KL times its coefficient"},
        no_kl="AReaL logs 'ppo_actor/kl_rewards/avg', which is the KL per token times minus its coefficient (kl_ctl)",
    )
)
register(
    Trainer(
        name="Tinker cookbook",
        marks=("kl_policy_base", "env/all/reward/total", "optim/kl_sample_train_v1"),
        kl=(KLKey("kl_policy_base", "token", "the cookbook divides by the number of sampled tokens", "k1", "tokens"),),
        reward=("env/all/reward/total",),
        length=("env/all/ac_tokens_per_turn",),
        turns_each=("env/all/turns_per_episode",),
        step=("progress/batch", "step"),
        other_kl={
            "optim/kl_sample_train_v1": "the distance between the sampling engine and the trainer",
            "optim/kl_sample_train_v2": "the distance between the sampling engine and the trainer",
        },
        no_kl="the cookbook measures it only where kl_penalty_coef is above 0",
    )
)
register(
    Trainer(
        name="prime-rl",
        marks=("mismatch_kl/mean", "Max. Off-Policy Level"),
        weak=("Seq. Length", "seq_len/mean", "reward/mean", "mismatch_kl", "Reward"),
        kl=(),
        reward=("reward/mean", "Reward"),
        length=("seq_len/mean", "Seq. Length"),
        step=("step", "Step"),
        other_kl={"mismatch_kl/mean": _ENGINE, "mismatch_kl": _ENGINE},
        no_kl="prime-rl trains without a reference model, and 'mismatch_kl' is " + _ENGINE,
    )
)
