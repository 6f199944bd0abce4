"""A training run against the limit: its KL from samples, its log on the frontier of its base model."""

from __future__ import annotations

from alignlib.training.estimators import estimate_policy_kl, estimator_values, k1, k2, k3
from alignlib.training.placing import Overlay, overlay

__all__ = ["Overlay", "estimate_policy_kl", "estimator_values", "k1", "k2", "k3", "overlay"]
