"""A training run against the limit: its KL from samples, its log on the frontier of its base model.

`policy_kl` measures the KL of a policy, `logs` reads what a trainer logged, `overlay` puts a log on the frontier
estimated from samples of the base, `achieved_envelope` says what is known without them, `example_run` makes a run up.
"""

from __future__ import annotations

from alignlib.training.envelope import Envelope, Floor, achieved_envelope
from alignlib.training.logs import TrainingLog, read_training_log
from alignlib.training.placing import Overlay, overlay
from alignlib.training.policy_kl import KLSamples, PolicyKL, estimate_policy_kl

__all__ = [
    "Envelope",
    "Floor",
    "KLSamples",
    "Overlay",
    "PolicyKL",
    "TrainingLog",
    "achieved_envelope",
    "estimate_policy_kl",
    "overlay",
    "read_training_log",
]
