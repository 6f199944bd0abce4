"""Estimates of a policy's KL as a frozen result: what each estimates, in which unit, and what the numbers warn of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ESTIMATORS", "Estimator", "KLEstimate", "PolicyKL"]

_HEAVY = 0.1  # one response that carries this much of a mean makes its interval doubtful
_FEW = 10  # prompts


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

    @property
    def messages(self) -> tuple[str, ...]:
        """What the numbers warn of, in sentences."""
        said = [*self.notes, *self._source_messages()]
        for one in self.estimates:
            if math.isinf(one.value):
                said.append(
                    f"{one.about.label}: a log-ratio is so large that its exponential is no float; the estimate is "
                    "useless here, take k1 or Rao–Blackwell."
                )
            elif one.largest_share > _HEAVY and self.n_samples >= 5 / _HEAVY:
                said.append(
                    f"{one.about.label}: one response of {self.n_samples} carries {100 * one.largest_share:.0f} % of "
                    "it, so its interval is not to be trusted."
                )
        if self.n_prompts is not None and 1 < self.n_prompts < _FEW and not self.fixed_prompts:
            said.append(
                f"With {self.n_prompts} prompts the intervals are rough; sample more prompts, or ask about these only "
                "(--fixed-prompts)."
            )
        return tuple(said)

    def _source_messages(self) -> list[str]:
        """Say what speaks against the samples coming from where they are said to, and explain a negative estimate."""
        said = []
        wrong = (
            "check that they were scored at the temperature, top-p and top-k they were sampled with, that the columns "
            "of policy and base are not exchanged, and that prompt and padding are masked alike"
        )
        value, _, high = self.checks["log_ratio"]
        off = high < 0.0
        if off and self.sampled_from == "policy":
            said.append(
                f"k1 is {value:.3g}, below 0 by more than chance, which no divergence is: the responses do not come "
                f"from the policy whose log-probabilities are given; {wrong}. If the base wrote them, say so "
                "(--sampled-from base)."
            )
        elif off:
            said.append(
                f"log(policy/base) averages {-value:.3g}, above 0 by more than chance: the base did not write these "
                f"responses; {wrong}."
            )
        elif value < 0.0 and self.sampled_from == "policy":
            said.append(
                f"k1 is {value:.3g} by chance: it is unbiased, so where the KL is small beside the error it must fall "
                "below 0 as often as needed. Average it as it is; clipped at 0 it would be too large."
            )
        martingale = self.checks.get("martingale")
        if martingale is not None and not off and not martingale[1] <= 0.0 <= martingale[2]:
            said.append(
                f"k1 and Rao–Blackwell differ by {martingale[0]:.3g} ({martingale[1]:.3g} to {martingale[2]:.3g}), "
                f"more than chance: the tokens were not drawn from the policy that scored them; {wrong}."
            )
            off = True
        weight = self.checks.get("mean_weight")
        if weight is not None and not off and weight[1] > 1.0:
            said.append(
                f"The weights average {weight[0]:.3g} ({weight[1]:.3g} to {weight[2]:.3g}) but must not exceed 1: the "
                f"responses do not come from the {self.sampled_from}; {wrong}."
            )
        return said

    def to_lines(self) -> list[str]:
        """Return the table of estimators as text, the answer last."""
        prompts = "" if self.n_prompts is None else f" to {self.n_prompts} prompts"
        tokens = "" if self.mean_length is None else f", {self.mean_length:.4g} tokens on average"
        interval = f"{100 * self.level:g} % interval"
        lines = [
            f"{self.n_samples} responses{prompts} sampled from the {self.sampled_from}{tokens}.",
            "",
            f"{'estimator':<24} {'nats/sequence':>13}  {interval:<20} {'nats/token':>10}  remark",
        ]
        for name in ESTIMATORS:
            for one in (estimate for estimate in self.estimates if estimate.name == name):
                token = "unknown" if one.per_token is None else f"{one.per_token[0]:.4g}"
                bounds = f"[{one.low:.4g}, {one.high:.4g}]"
                lines.append(f"{one.about.label:<24} {one.value:>13.4g}  {bounds:<20} {token:>10}  {one.about.remark}")
        best = self.best
        said = [f"- {message}" for message in self.messages]
        answer = (
            f"KL to the base model: {best.value:.4g} nats per sequence ({100 * self.level:g} % interval {best.low:.4g} "
            f"to {best.high:.4g}), by {best.about.label}."
        )
        return [*lines, *(["", *said] if said else []), "", answer]

    def record(self) -> dict[str, Any]:
        """Return the numbers for JSON; what is unknown or infinite is None."""
        return {
            "sampled_from": self.sampled_from,
            "n_samples": self.n_samples,
            "n_prompts": self.n_prompts,
            "fixed_prompts": self.fixed_prompts,
            "mean_length": self.mean_length,
            "level": self.level,
            "best": self.best.name,
            "estimates": [_record(one) for one in self.estimates],
            "checks": {name: [_finite(v) for v in values] for name, values in self.checks.items()},
            "messages": list(self.messages),
        }


def _record(one: KLEstimate) -> dict[str, Any]:
    token = (None, None, None) if one.per_token is None else one.per_token
    return {
        "name": one.name,
        "estimates": "KL(base‖policy)" if one.name == "reverse_k1" else "KL(policy‖base)",
        "remark": one.about.remark,
        "unbiased": one.about.unbiased,
        "kl": _finite(one.value),
        "low": _finite(one.low),
        "high": _finite(one.high),
        "standard_error": _finite(one.standard_error),
        "kl_per_token": _finite(token[0]),
        "kl_per_token_low": _finite(token[1]),
        "kl_per_token_high": _finite(token[2]),
        "largest_share": one.largest_share,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
