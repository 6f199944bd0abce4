"""The KL of a trained policy to its base model from sampled responses: estimators, intervals, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, as_float_array, like, require
from alignlib._core.special import exp_excess, kl_integrand
from alignlib.estimation.bootstrap import Cells, studentised_interval
from alignlib.training.estimate import ESTIMATORS, KLEstimate, PolicyKL
from alignlib.training.samples import KLSamples

__all__ = ["estimate_policy_kl", "estimator_values", "k1", "k2", "k3"]

_LARGEST_EXPONENT = 700.0
_SURE = 3.29  # standard errors: an accusation that is wrong once in a thousand tables


def k1(log_ratio: npt.ArrayLike) -> FloatOrArray:
    """Return the log-ratio ``ℓ = log π - log p`` itself, whose mean over the policy π is ``KL(π‖p)``.

    >>> k1(-0.5)
    -0.5

    Source: the definition of the divergence; the name is Schulman's (2020).
    """
    return like(log_ratio, as_float_array("log_ratio", log_ratio).copy())


def k2(log_ratio: npt.ArrayLike) -> FloatOrArray:
    """Return ``ℓ²/2``; its mean over π exceeds ``KL(π‖p)`` by ``E_p h(ℓ)``, ``h(ℓ) = ∫₀^ℓ ½s²e^s ds``.

    The excess is of third order in ``π/p - 1`` and has the sign of its skewness; for a normal ℓ it is ``KL²/2``.

    >>> k2(-0.5)
    0.125

    Source: the name is Schulman's (2020); the excess is derived in the book.
    """
    values = as_float_array("log_ratio", log_ratio)
    return like(log_ratio, np.asarray(0.5 * values * values))


def k3(log_ratio: npt.ArrayLike) -> FloatOrArray:
    """Return ``e^{-ℓ} - 1 + ℓ ≥ 0``; its mean over π is ``KL(π‖p)`` less the base mass that π cannot reach.

    Its variance is finite only if ``E_p[p/π]`` is. Infinite where ``e^{-ℓ}`` is beyond the largest float.

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

    >>> samples = KLSamples.from_tokens([[-1.0, -0.5]], [[-1.5, -0.5]])
    >>> {name: round(float(v[0]), 4) for name, v in estimator_values(samples).items()}
    {'k1': 0.5, 'k2': 0.125, 'k3': 0.1065, 'k2_tokens': 0.125, 'k3_tokens': 0.1065}
    """
    require(sampled_from in ("policy", "base"), f"sampled_from must be 'policy' or 'base'; got {sampled_from!r}.")
    ratio, token, token_kl = samples.log_ratio, samples.token_log_ratio, samples.token_kl
    if sampled_from == "policy":
        values: dict[str, FloatArray] = {"k1": ratio, "k2": k2(ratio), "k3": k3(ratio)}
        if token is not None:
            values["k2_tokens"] = samples.sum_tokens(np.asarray(k2(token)))
            values["k3_tokens"] = samples.sum_tokens(np.asarray(k3(token)))
        if token_kl is not None:
            values["rao_blackwell"] = samples.sum_tokens(token_kl)
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


def estimate_policy_kl(
    samples: KLSamples,
    *,
    sampled_from: str = "policy",
    fixed_prompts: bool = False,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
) -> PolicyKL:
    """Estimate ``KL(π‖p)`` of a policy π to its base p by every estimator that the samples allow.

    Prompts count equally and are resampled for the intervals (responses, where there is at most one prompt). Nats per
    token are the ratio of mean KL to mean length, that is, a mean over all tokens and not over responses.

    Parameters
    ----------
    samples : KLSamples
        Responses with log-probabilities under both models, at least two.
    sampled_from : "policy" or "base"
        Who wrote the responses; from the base, all but ``reverse_k1`` weight them by ``π/p``.
    fixed_prompts : bool
        Intervals for these very prompts: responses are resampled within them, and none stands for others like it.
    level, n_boot, rng
        Nominal coverage, bootstrap replicates, generator or seed.

    Raises
    ------
    InputError
        For fewer than two responses, or an argument out of its range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = 1.0 + rng.standard_normal(4000)  # policy N(1, 1), base N(0, 1): KL = 1/2
    >>> samples = KLSamples.from_sequences(-0.5 * (y - 1.0) ** 2 - 1.0, -0.5 * y**2 - 1.0)
    >>> found = estimate_policy_kl(samples)
    >>> bool(found["k1"].low < 0.5 < found["k1"].high), bool(found["k2"].low > 0.5)
    (True, True)

    Source: k1, k2, k3 are Schulman's (2020), Rao–Blackwell Amini, Vieira and Cotterell's (2025); what each estimates is
    derived in the book.
    """
    require(samples.size >= 2, f"samples must hold at least two responses; got {samples.size}.")
    require(0.0 < level < 1.0, f"level must lie in (0, 1); got {level!r}.")
    require(n_boot >= 100, f"n_boot must be at least 100 for an interval; got {n_boot!r}.")
    values = estimator_values(samples, sampled_from)
    generator = np.random.default_rng(rng)
    units = _Units(samples, fixed_prompts)
    cells = Cells.of(np.ones(units.count, dtype=np.int64), generator)
    weights = cells.resample(n_boot, generator)
    length = None if samples.n_tokens is None else cells.mean(units.mean(samples.n_tokens))

    def estimate(name: str, of: FloatArray) -> KLEstimate:
        about = ESTIMATORS[name]
        if not np.isfinite(of).all():
            return KLEstimate(name, about, float("inf"), 0.0, float("inf"), float("inf"), None, 1.0)
        mean = cells.mean(units.mean(of))
        value, low, high, error = _interval(weights, mean, cells, level)
        per_token = None if length is None else _ratio(weights, mean, length, level)
        total = float(np.abs(of).sum())
        share = float(np.abs(of).max()) / total if total > 0.0 else 0.0
        return KLEstimate(name, about, value, low, high, error, per_token, share)

    def interval(of: FloatArray) -> tuple[float, float, float]:
        mean = cells.mean(units.mean(of))[:, None]
        value, error = float((weights[:1] @ mean)[0, 0]), float(cells.standard_error(weights[:1], mean)[0, 0])
        return value, value - _SURE * error, value + _SURE * error

    return PolicyKL(
        estimates=tuple(estimate(name, of) for name, of in values.items()),
        sampled_from=sampled_from,
        n_samples=samples.size,
        n_prompts=units.n_prompts,
        fixed_prompts=fixed_prompts,
        mean_length=None if length is None else float(weights[0] @ length),
        level=level,
        checks=_checks(samples, values, interval),
        notes=samples.notes,
    )


def _checks(
    samples: KLSamples, values: dict[str, FloatArray], interval: Callable[[FloatArray], tuple[float, float, float]]
) -> dict[str, Any]:
    """Return 99.9 % intervals of what the samples' source decides; see `PolicyKL`.

    The mean of ``p/π`` over the policy's samples (of ``π/p`` over the base's) is 1 if no mass is out of reach, that of
    ``k1 - Σ_t KL_t`` over the policy's is 0 whatever the policy is.
    """
    sign = -1.0 if "k1" in values else 1.0
    exponent = sign * samples.log_ratio
    found: dict[str, Any] = {"log_ratio": interval(-exponent)}
    if exponent.max() < _LARGEST_EXPONENT:
        found["mean_weight"] = interval(np.exp(exponent))
    if "rao_blackwell" in values:
        found["martingale"] = interval(values["k1"] - values["rao_blackwell"])
    return found


class _Units:
    """What is resampled: prompts, or responses where there is at most one prompt or the prompts are fixed."""

    def __init__(self, samples: KLSamples, fixed: bool) -> None:
        prompt = samples.prompt
        self.n_prompts = None if prompt is None else int(prompt.max()) + 1
        several = prompt is not None and int(prompt.max()) > 0
        self._index = prompt if several and prompt is not None else np.arange(samples.size)
        self._within = fixed and several
        self._size = np.bincount(self._index).astype(np.float64)
        self.count = samples.size if self._within else len(self._size)
        require(
            not self._within or self._size.min() >= 2,
            "fixed_prompts needs at least two responses to every prompt; sample more, or leave it out.",
        )

    def mean(self, values: FloatArray) -> FloatArray:
        """Return the value of each unit; their mean is that over prompts."""
        means = np.bincount(self._index, values) / self._size
        if not self._within:
            return np.asarray(means)
        # Deviations from each prompt's own mean, scaled so that their variance is that of the mean over prompts.
        scale = len(self._index) / len(self._size) / np.sqrt(self._size * (self._size - 1.0))
        return np.asarray(means.mean() + (values - means[self._index]) * scale[self._index])


def _interval(weights: FloatArray, mean: FloatArray, cells: Cells, level: float) -> tuple[float, float, float, float]:
    column = mean[:, None]
    value, error = weights @ column, cells.standard_error(weights, column)
    low, high = studentised_interval(value, error, level)
    return float(value[0, 0]), float(low[0]), float(high[0]), float(error[0, 0])


def _ratio(weights: FloatArray, mean: FloatArray, length: FloatArray, level: float) -> tuple[float, float, float]:
    """Return mean over length with its interval, the error by the delta method."""
    size = weights @ length
    value = (weights @ mean) / size
    square = weights @ mean**2 - 2.0 * value * (weights @ (mean * length)) + value**2 * (weights @ length**2)
    error = np.sqrt(np.maximum(square, 0.0) / max(len(mean) - 1, 1)) / size
    low, high = studentised_interval(value[:, None], error[:, None], level)
    return float(value[0]), float(low[0]), float(high[0])
