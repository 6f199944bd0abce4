"""trl: GRPO and RLOO, PPO and online DPO, and what wraps them (Unsloth, ms-swift, open-r1, LLaMA-Factory)."""

from __future__ import annotations

from alignlib.training.logs.trainers import KLKey, Trainer, register

__all__ = ["TRL", "TRL_BEFORE_0_12"]

TRL = register(
    Trainer(
        name="trl",
        marks=(
            "objective/scores",
            "objective/rlhf_reward",
            "completions/mean_length",
            "frac_reward_zero_std",
        ),
        weak=("reward_std", "completion_length", "clip_ratio", "zero_std_ratio"),
        kl=(
            KLKey("objective/kl", "sequence", "trl's PPO sums log-ratios over a response", "k1"),
            KLKey(
                "kl",
                "token",
                "trl's GRPO averaged it over each response's tokens, then over responses, while it called the length "
                "'completion_length'",
                "k3",
                "responses",
                "completion_length",
            ),
            KLKey("kl", "token", "trl's GRPO and RLOO log the mean over tokens", "", "tokens"),
        ),
        reward=("objective/scores", "reward"),
        length=("completions/mean_length", "completion_length"),
        shortest=("completions/min_length",),
        longest=("completions/max_length",),
        step=("step", "global_step"),
        other_kl={"policy/approxkl_avg": "the distance to the policy before the update"},
        mismatch=("sampling/sampling_logp_difference/mean",),
        cut=("completions/clipped_ratio",),
        no_kl="with beta = 0, trl's default, GRPO has no reference model",
    )
)

TRL_BEFORE_0_12 = register(
    Trainer(
        name="trl before 0.12 (PPO)",
        marks=("ppo/mean_scores", "env/reward_mean", "ppo/mean_non_score_reward"),
        kl=(KLKey("objective/kl", "sequence", "the older PPOTrainer sums over a response", ""),),
        reward=("env/reward_mean", "ppo/mean_scores"),
        length=("tokens/responses_len_mean",),
        step=("step", "global_step"),
        other_kl={
            "ppo/policy/policykl": "the distance to the policy before the update",
            "ppo/policy/approxkl": "the distance to the policy before the update",
        },
    )
)
