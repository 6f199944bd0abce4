"""Estimates of a policy's KL as a frozen result: what each estimates, in which unit, and what the numbers warn of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ESTIMATORS", "Estimator", "KLEstimate", "PolicyKL"]


@dataclass(frozen=True)
class Estimator:
    """Name for print, a remark, and whether its mean over the samples is a divergence: KL(policy‖base) if not said.

    k3 is unbiased if the policy can say all that the base can; otherwise it misses the base mass out of reach.
    """

    label: str
    remark: str
    unbiased: bool = True


ESTIMATORS: Mapping[str, Estimator] = {
    "rao_blackwell": Estimator("Rao–Blackwell", "exact next-token KLs, summed"),
    "k1": Estimator("k1", "mean log-ratio, may be negative"),
    "k3_tokens": Estimator("k3 by token", "k3 of each token, summed"),
    "k3": Estimator("k3 by sequence", "heavy tail"),
    "k2_tokens": Estimator("k2 by token", "biased", False),
    "k2": Estimator("k2 by sequence", "biased, by KL²/2 if normal", False),
    "rao_blackwell_weighted": Estimator("Rao–Blackwell, weighted", "prefixes weighted by policy/base"),
    "k3_tokens_weighted": Estimator("k3 by token, weighted", "prefixes weighted by policy/base"),
    "k3_weighted": Estimator("k3, weighted", "weighted by policy/base, heavy tail"),
    "k1_weighted": Estimator("k1, weighted", "weighted by policy/base, may be negative"),
    "reverse_k1": Estimator("k1, reversed", "the other direction, KL(base‖policy)"),
}


@dataclass(frozen=True)
class KLEstimate:
    """One estimate in nats per sequence with its interval, and in nats per token where lengths are known.

    ``per_token`` is (value, low, high). ``largest_share`` is the part of the sum of magnitudes that one response
    carries. Infinite where a log-ratio is too large for a float.
    """

    name: str
    about: Estimator
    value: float
    low: float
    high: float
    standard_error: float
    per_token: tuple[float, float, float] | None
    largest_share: float


@dataclass(frozen=True)
class PolicyKL:
    """Every estimate that the samples allow; ``self["k1"]`` is one of them.

    ``n_prompts`` is None where prompts are not named. ``checks`` holds 99.9 % intervals (value, low, high) that tell
    whether the samples come from whom they are said to: ``log_ratio`` (policy to base over the policy's samples, base
    to policy over the base's) is not negative on average, ``mean_weight`` not above 1 and ``martingale`` 0.
    """

    estimates: tuple[KLEstimate, ...]
    sampled_from: str
    n_samples: int
    n_prompts: int | None
    fixed_prompts: bool
    mean_length: float | None
    level: float
    checks: Mapping[str, tuple[float, float, float]]
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> KLEstimate:
        for estimate in self.estimates:
            if estimate.name == name:
                return estimate
        names = ", ".join(estimate.name for estimate in self.estimates)
        raise KeyError(f"these samples give no {name!r}; they give {names}")

    @property
    def best(self) -> KLEstimate:
        """The estimate to report: unbiased, with a tail light enough to trust its interval.

        Not the one with the smallest interval: k3's is smallest when its rare large values were not drawn.
        """
        order = ["rao_blackwell", "k1", "rao_blackwell_weighted", "k3_tokens_weighted", "k3_weighted"]
        have = {estimate.name: estimate for estimate in self.estimates}
        return next(have[name] for name in order if name in have)
