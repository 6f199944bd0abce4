"""The KL of a trained policy to its base model, from sampled responses with log-probabilities under both.

`KLSamples` holds the responses (`read_kl_samples` reads them from a table), `estimate_policy_kl` gives every estimate
with its interval, `estimator_values` what each estimator says of one response. `TokenModel` is a model of responses
small enough to enumerate, on which the estimators are studied (`study`).
"""

from __future__ import annotations

from alignlib.training.policy_kl.estimate import KLEstimate
from alignlib.training.policy_kl.estimators import ESTIMATORS, Estimator, estimator_values, k1, k2, k3
from alignlib.training.policy_kl.sample_table import read_kl_samples
from alignlib.training.policy_kl.samples_of_table import KLColumns
from alignlib.training.policy_kl.token_model import TokenModel

__all__ = [
    "ESTIMATORS",
    "Estimator",
    "KLColumns",
    "KLEstimate",
    "TokenModel",
    "estimator_values",
    "k1",
    "k2",
    "k3",
    "read_kl_samples",
]
