"""A training run against the limit: its KL from samples, its log on the frontier of its base model.

`policy_kl` measures the KL of a policy, `logs` reads what a trainer logged, `overlay` puts a log on the frontier
estimated from samples of the base, `compare_runs` compares several at equal KL (`compare_splits` on
training and on held-out prompts), `achieved_envelope` says what is known
without samples, `example_run` makes a run up. `pick` says which checkpoint to keep, by gold that was measured (a
`RunGold`, of a log or by `gold_of_scores`) or is predicted, `choose_beta` which β aims at a KL. `beta_to_set` turns the
penalty of the optimum into what a trainer must be given, `resting_penalties` says from a policy's responses at which
penalty of which charge it would rest (a `RestingPenalty`), `KLController` says where an adaptive penalty settles.
`Rollouts`, and for trl `rollout_callback`, write down what all this reads while a trainer is at work.
"""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.training.beta_choice import BetaChoice, choose_beta
from alignlib.training.callback import rollout_callback
from alignlib.training.comparing import Comparison, compare_runs, compare_splits
from alignlib.training.envelope import Envelope, Floor, achieved_envelope
from alignlib.training.kl_controller import KLController, Settled
from alignlib.training.logs.training_log import TrainingLog, read_training_log
from alignlib.training.penalty import beta_to_set, effective_beta, group_gap
from alignlib.training.picking import Pick, pick
from alignlib.training.placing import Overlay, overlay
from alignlib.training.policy_kl.estimate import PolicyKL, estimate_policy_kl
from alignlib.training.policy_kl.samples import KLSamples
from alignlib.training.predicted_gold import Predicted
from alignlib.training.resting_penalty import RestingPenalty, resting_penalties
from alignlib.training.rollouts import Rollouts
from alignlib.training.run_gold import RunGold, gold_of_log, gold_of_scores

__all__ = [
    "BetaChoice",
    "Comparison",
    "Envelope",
    "Floor",
    "KLController",
    "KLSamples",
    "Overlay",
    "Pick",
    "PolicyKL",
    "Predicted",
    "RestingPenalty",
    "Rollouts",
    "RunGold",
    "Settled",
    "TrainingLog",
    "achieved_envelope",
    "beta_to_set",
    "choose_beta",
    "compare_runs",
    "compare_splits",
    "effective_beta",
    "estimate_policy_kl",
    "gold_of_log",
    "gold_of_scores",
    "group_gap",
    "overlay",
    "pick",
    "read_training_log",
    "resting_penalties",
    "rollout_callback",
]

guard(globals())
