"""verl and what is built on it (rLLM, EasyR1, SimpleRL, DAPO recipes)."""

from __future__ import annotations

from alignlib.training.logs.trainers import KLKey, Trainer, register

__all__ = ["EASY_R1", "VERL"]

_PPO_KL = "the distance to the policy before the update, not to the base"

VERL = register(
    Trainer(
        name="verl",
        marks=("critic/score/mean", "critic/rewards/mean", "actor/pg_clipfrac", "actor/kl_loss", "actor/ppo_kl"),
        kl=(
            KLKey(
                "actor/reward_kl_penalty",
                "token",
                "verl averages the penalty in the reward over each response's tokens, then over responses",
                "",
                "responses",
            ),
            KLKey("critic/kl", "token", "older verl averages it over tokens, then over responses", "", "responses"),
            KLKey(
                "actor/kl_loss",
                "token",
                "verl's loss is a mean over tokens by default (loss_agg_mode), up to a factor of the version's",
                "",
                "scaled",
            ),
        ),
        reward=("critic/score/mean", "critic/rewards/mean"),
        length=("response_length/mean",),
        shortest=("response_length/min",),
        longest=("response_length/max",),
        step=("step", "training/global_step"),
        turns=("num_turns/max", "num_turns/mean"),
        mismatch=("rollout_corr/kl", "mismatch/mismatch_kl"),
        other_kl={"actor/ppo_kl": _PPO_KL},
        no_kl="verl compares with a reference only under use_kl_loss or use_kl_in_reward, and 'actor/ppo_kl' is "
        + _PPO_KL,
        reward_notes={
            "critic/rewards/mean": "'critic/rewards/mean' has the KL penalty in it where use_kl_in_reward is set; "
            "'critic/score/mean' would not."
        },
    )
)

EASY_R1 = register(
    Trainer(
        name="EasyR1",
        marks=("reward/overall",),
        kl=(
            KLKey(
                "actor/kl_loss",
                "token",
                "EasyR1 logs the loss on the last micro-batch of a step alone, a mean over tokens by default "
                "(loss_avg_mode)",
            ),
            KLKey("critic/kl", "token", "EasyR1 averages it over tokens, then over responses", "", "responses"),
        ),
        reward=("critic/score/mean", "reward/overall"),
        length=("response_length/mean",),
        shortest=("response_length/min",),
        longest=("response_length/max",),
        step=("step",),
        other_kl={"actor/ppo_kl": _PPO_KL},
    )
)
