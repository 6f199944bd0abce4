"""What each estimator of a policy's KL says of one response: k1, k2, k3, by token, weighted, Rao–Blackwell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, as_float_array, like, require
from alignlib._core.special import exp_excess, kl_integrand
from alignlib.training.policy_kl.samples import KLSamples

__all__ = ["ESTIMATORS", "Estimator", "estimator_values", "k1", "k2", "k3"]


@dataclass(frozen=True)
class Estimator:
    """What is to be known of an estimator.

    k3 is unbiased if the policy can say all that the base can; otherwise it misses the base mass out of reach.

    Parameters
    ----------
    label : str
        Name for print.
    remark : str
        What to mind.
    unbiased : bool
        Whether its mean over the samples is a divergence, ``KL(policy‖base)`` if not said.
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
    "given": Estimator("as given", "the trainer's own KL of each response, by its estimator", False),
    "reverse_k1": Estimator("k1, reversed", "the other direction, KL(base‖policy)"),
}


def k1(log_ratio: npt.ArrayLike) -> FloatOrArray:
    """Return the log-ratio ``ℓ = log π - log p`` itself, whose mean over the policy π is ``KL(π‖p)``.

    Parameters
    ----------
    log_ratio : array
        ``ℓ`` in nats.

    Examples
    --------
    >>> k1(-0.5)
    -0.5

    Source: the definition of the divergence; the name is Schulman's (2020).
    """
    return like(log_ratio, as_float_array("log_ratio", log_ratio).copy())


def k2(log_ratio: npt.ArrayLike) -> FloatOrArray:
    """Return ``ℓ²/2``; its mean over π exceeds ``KL(π‖p)`` by ``E_p h(ℓ)``, ``h(ℓ) = ∫₀^ℓ ½s²e^s ds``.

    The excess is of third order in ``π/p - 1`` and has the sign of its skewness; for a normal ℓ it is ``KL²/2``.

    Parameters
    ----------
    log_ratio : array
        ``ℓ`` in nats.

    Examples
    --------
    >>> k2(-0.5)
    0.125

    Source: the name is Schulman's (2020); the excess is derived in the book.
    """
    values = as_float_array("log_ratio", log_ratio)
    with np.errstate(over="ignore"):
        return like(log_ratio, np.asarray(0.5 * values * values))


def k3(log_ratio: npt.ArrayLike) -> FloatOrArray:
    """Return ``e^{-ℓ} - 1 + ℓ ≥ 0``; its mean over π is ``KL(π‖p)`` less the base mass that π cannot reach.

    Its variance is finite only if ``E_p[p/π]`` is. Infinite where ``e^{-ℓ}`` is beyond the largest float.

    Parameters
    ----------
    log_ratio : array
        ``ℓ`` in nats.

    Examples
    --------
    >>> round(k3(-0.5), 6)
    0.148721

    Source: the name is Schulman's (2020); GRPO's penalty.
    """
    values = as_float_array("log_ratio", log_ratio)
    with np.errstate(over="ignore"):
        return like(log_ratio, exp_excess(-np.atleast_1d(values)).reshape(values.shape))


def estimator_values(samples: KLSamples, sampled_from: str = "policy") -> dict[str, FloatArray]:
    """Return what each estimator says of each response, (n,) in nats, by its name in `ESTIMATORS`.

    Sampled from the policy, with token log-ratios ``ℓ_t`` and ``KL_t`` the divergence of the next-token laws:
    ``k1 = ℓ``, ``k2 = ℓ²/2``, ``k3``, ``Σ_t ℓ_t²/2``, ``Σ_t k3(ℓ_t)`` and ``Σ_t KL_t``. Sampled from the base, with
    weights ``w_t = e^{ℓ_1+…+ℓ_t}``: ``-ℓ``, ``wℓ``, ``wℓ - w + 1``, ``Σ_t w_{t-1}(ℓ_t e^{ℓ_t} - e^{ℓ_t} + 1)`` and
    ``Σ_t w_{t-1} KL_t``.

    Parameters
    ----------
    samples : KLSamples
        Responses with log-probabilities under both models.
    sampled_from : "policy" or "base"
        Who wrote the responses.

    Raises
    ------
    InputError
        If ``sampled_from`` is neither, or only KLs are given for samples of the base.

    Examples
    --------
    >>> samples = KLSamples.from_tokens([[-1.0, -0.5]], [[-1.5, -0.5]])
    >>> {name: round(float(v[0]), 4) for name, v in estimator_values(samples).items()}
    {'k1': 0.5, 'k2': 0.125, 'k3': 0.1065, 'k2_tokens': 0.125, 'k3_tokens': 0.1065}
    """
    require(sampled_from in ("policy", "base"), f"sampled_from must be 'policy' or 'base'; got {sampled_from!r}.")
    ratio, token, token_kl = samples.log_ratio, samples.token_log_ratio, samples.token_kl
    if samples.given:
        require(sampled_from == "policy", "sampled_from must be 'policy' where only KLs are given; got 'base'.")
        return {"given": ratio}
    if sampled_from == "policy":
        values: dict[str, FloatArray] = {"k1": ratio, "k2": k2(ratio), "k3": k3(ratio)}
        if token is not None:
            values["k2_tokens"] = samples.sum_tokens(np.asarray(k2(token)))
            values["k3_tokens"] = samples.sum_tokens(np.asarray(k3(token)))
        if token_kl is not None:
            values["rao_blackwell"] = samples.sum_tokens(token_kl)
        elif samples.exact_kl is not None:
            values["rao_blackwell"] = samples.exact_kl
        return values
    with np.errstate(over="ignore"):
        weight = np.exp(ratio)
        values = {"reverse_k1": -ratio, "k1_weighted": weight * ratio, "k3_weighted": kl_integrand(ratio)}
        if token is not None:
            before = np.exp(_before(samples, token))
            values["k3_tokens_weighted"] = samples.sum_tokens(before * kl_integrand(token))
            if token_kl is not None:
                values["rao_blackwell_weighted"] = samples.sum_tokens(before * token_kl)
    return values


def _before(samples: KLSamples, token: FloatArray) -> FloatArray:
    """Return the log-ratio of the prefix before each token."""
    assert samples.offsets is not None
    total = np.cumsum(token) - token
    start = samples.offsets[:-1]
    return np.asarray(total - np.repeat(total[start], np.diff(samples.offsets)))
