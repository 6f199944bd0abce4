"""The KL of a trained policy to its base model from sampled responses: estimates, intervals, and what to doubt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, as_rng, require
from alignlib.estimation.bootstrap import Cells, check_resampling
from alignlib.training.policy_kl.estimators import ESTIMATORS, Estimator, estimator_values
from alignlib.training.policy_kl.samples import KLSamples
from alignlib.training.resting_penalty import RestingPenalty

__all__ = ["KLEstimate", "PolicyKL", "estimate_policy_kl", "interval_of_mean", "interval_of_ratio"]

Interval: TypeAlias = tuple[float, float, float]
"""A value with its bounds: (value, low, high)."""
_LARGEST_EXPONENT = 700.0
_SURE = 0.9995  # an accusation that is wrong once in a thousand tables
_FARTHER = 1.5  # times the farthest unit: one more so far out is allowed for; by simulation of 0.2 to 40 nats
# Of the intervals of means.
_MANY = 5000  # from so many values on the two agree to what can be seen
_AT_ONCE = 2_000_000
_SKEWED = 500  # of more values the bootstrap-t says the same
_NEGATIVE = 0.05  # of the sum of magnitudes, at most, for the logarithm to be the scale


@dataclass(frozen=True)
class KLEstimate:
    """One estimate of the KL, infinite where a log-ratio is too large for a float.

    Attributes
    ----------
    name : str
        The estimator's.
    about : Estimator
        What it is.
    value, low, high : float
        In nats per sequence, with its interval, cut at 0; one that lies below 0 altogether is left, as of an error.
    standard_error : float
        Its standard error.
    per_token : (float, float, float), optional
        The same in nats per token, where lengths are known.
    largest_share : float
        The part of the sum of magnitudes that one response carries.
    largest_prompt_share : float
        The same of one prompt (of one response, where prompts are not resampled).
    """

    name: str
    about: Estimator
    value: float
    low: float
    high: float
    standard_error: float
    per_token: Interval | None
    largest_share: float
    largest_prompt_share: float


@dataclass(frozen=True)
class PolicyKL:
    """Every estimate that the samples allow; ``self["k1"]`` is one of them.

    Attributes
    ----------
    estimates : tuple of KLEstimate
        One for each estimator.
    sampled_from : str
        Who wrote the responses: the policy or the base.
    n_samples : int
        Responses.
    n_prompts : int, optional
        Prompts; None where they are not named.
    fixed_prompts : bool
        Whether the intervals take the prompts as given.
    mean_length : float, optional
        Mean tokens of a response.
    level : float
        Coverage that the intervals aim at.
    checks : mapping of str to Interval
        99.9 % intervals that tell whether the samples come from whom they are said to: ``log_ratio`` (policy to base
        over the policy's samples, base to policy over the base's) is not negative on average, ``mean_weight`` not above
        1, ``martingale`` and ``surprise`` are 0; ``out_of_reach``, the base's mass that the policy never draws summed
        over the tokens of a response, is 0 unless the policy's law is cut or nearly sure.
    notes : tuple of str
        Sentences on what was left out.
    effective_samples : float, optional
        How many responses of the base the weights ``w = π/p`` are worth, ``(Σw)²/Σw²``; None for samples of the policy.
    resting : tuple of RestingPenalty
        The penalties at which the policy would go no further, where rewards are known: see `resting_penalties`.

    Examples
    --------
    >>> found = estimate_policy_kl(KLSamples.from_sequences([-1.0, -2.0, -1.5] * 20, [-1.5, -2.0, -2.5] * 20))
    >>> round(found["k1"].value, 3), found.sampled_from, found.n_samples
    (0.5, 'policy', 60)
    """

    estimates: tuple[KLEstimate, ...]
    sampled_from: str
    n_samples: int
    n_prompts: int | None
    fixed_prompts: bool
    mean_length: float | None
    level: float
    checks: Mapping[str, Interval]
    notes: tuple[str, ...]
    effective_samples: float | None = None
    resting: tuple[RestingPenalty, ...] = ()

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
        order = ["rao_blackwell", "k1", "given", "rao_blackwell_weighted", "k3_tokens_weighted", "k3_weighted"]
        have = {estimate.name: estimate for estimate in self.estimates}
        return next(have[name] for name in order if name in have)


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

    Prompts count equally and are resampled for the intervals (responses, where there is at most one prompt). These
    allow for one more value as large as the largest seen; prompts or responses of large KL that are rarer than one in
    the sample are not seen, and no interval knows of them. Nats per token are the ratio of mean KL to mean length, that
    is, a mean over all tokens and not over responses.

    Parameters
    ----------
    samples : KLSamples
        Responses with log-probabilities under both models, at least two.
    sampled_from : "policy" or "base"
        Who wrote the responses; from the base, all but ``reverse_k1`` weight them by ``π/p``.
    fixed_prompts : bool
        Intervals for these very prompts: responses are resampled within them, and none stands for others like it.
    level : float
        Nominal coverage, in (0, 1).
    n_boot : int
        Bootstrap replicates.
    rng : Generator or int
        Source of randomness, or its seed.

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
    require(
        isinstance(samples, KLSamples),
        "samples must be KLSamples, which hold log-probabilities under both models; make them with "
        f"KLSamples.from_sequences(policy, base) or from_tokens. Got {type(samples).__name__}.",
        "samples",
    )
    how = "".join(f" {note}" for note in samples.notes)  # which step's, where a table has several
    require(samples.size >= 2, f"samples must hold at least two responses; got {samples.size}.{how}")
    level, n_boot, generator = check_resampling(level, n_boot, rng)
    values = estimator_values(samples, sampled_from)
    units = _Units(samples, fixed_prompts)
    cells = Cells.of(np.ones(units.count, dtype=np.int64), generator)
    weights, start = cells.resample(n_boot, generator), int(generator.integers(2**32))
    draws = _Draws(len(cells.size), n_boot, start)
    length = None if samples.n_tokens is None else cells.mean(units.mean(samples.n_tokens))

    def estimate(name: str, of: FloatArray) -> KLEstimate:
        about = ESTIMATORS[name]
        if not np.isfinite(of).all():
            return KLEstimate(name, about, float("inf"), 0.0, float("inf"), float("inf"), None, 1.0, 1.0)
        mean = cells.mean(units.mean(of))
        *found, error = _interval_of_mean(mean, level, draws)
        value, low, high = _from_zero(*found)
        per_token = None if length is None else _from_zero(*_interval_of_ratio(mean, length, level, draws))
        total = float(np.abs(of).sum())
        share = float(np.abs(of).max()) / total if total > 0.0 else 0.0
        whole = float(np.abs(mean).sum())
        of_prompt = float(np.abs(mean).max()) / whole if whole > 0.0 else 0.0
        return KLEstimate(name, about, value, low, high, error, per_token, share, of_prompt)

    far = float(scipy.special.stdtrit(max(units.count - 1, 1), _SURE))  # of few prompts the error itself is unsure

    def interval(of: FloatArray, farther: float = 0.0) -> Interval:
        """Of a mean; its lower end with one unit more, so many times as far below 0 as any: of a long lower tail."""
        mean = cells.mean(units.mean(of))[:, None]
        value, error = float((weights[:1] @ mean)[0, 0]), float(cells.standard_error(weights[:1], mean)[0, 0])
        more = np.append(mean[:, 0], farther * min(float(mean.min()), 0.0))
        low = float(more.mean()) - far * float(more.std(ddof=1)) / math.sqrt(more.size) if farther > 0.0 else math.inf
        return value, min(value - far * error, low), value + far * error

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
        effective_samples=None if sampled_from == "policy" else _effective(samples.log_ratio),
    )


def _from_zero(value: float, low: float, high: float) -> Interval:
    """Return an interval without what lies below 0, where no divergence is; all of one below 0 tells of an error."""
    return value, max(low, 0.0) if high >= 0.0 else low, high


def _effective(log_weight: FloatArray) -> float:
    """Kish's effective number of weighted samples."""
    weight = np.exp(log_weight - log_weight.max())
    return float(weight.sum() ** 2 / (weight @ weight))


def _checks(
    samples: KLSamples, values: dict[str, FloatArray], interval: Callable[..., Interval]
) -> dict[str, Interval]:
    """Return 99.9 % intervals of what the samples' source decides; see `PolicyKL`.

    The mean of ``p/π`` over the policy's samples (of ``π/p`` over the base's) is 1 if no mass is out of reach, that of
    ``k1 - Σ_t KL_t`` over the policy's is 0 whatever the policy is.
    """
    if samples.given:
        return {"log_ratio": interval(samples.log_ratio)}
    sign = -1.0 if "k1" in values else 1.0
    exponent = sign * samples.log_ratio
    found: dict[str, Interval] = {"log_ratio": interval(-exponent)}
    if samples.surprise is not None and "k1" in values:
        found["surprise"] = interval(samples.surprise)
    if exponent.max() < _LARGEST_EXPONENT:
        found["mean_weight"] = interval(np.exp(exponent))
    if "rao_blackwell" in values:
        found["martingale"] = interval(values["k1"] - values["rao_blackwell"])
    elif "k1" in values and samples.token_log_ratio is not None and samples.token_log_ratio.min() > -_LARGEST_EXPONENT:
        found["out_of_reach"] = interval(samples.sum_tokens(-np.expm1(-samples.token_log_ratio)), _FARTHER)
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


class _Draws:
    """Random weights of n values, drawn once for all estimates of the same samples where they fit into memory."""

    def __init__(self, n: int, n_draws: int, rng: np.random.Generator | int) -> None:
        self.n, self.n_draws, self.rng = n, n_draws, rng
        self._step = max(1, _AT_ONCE // n)
        self._kept: FloatArray | None = None
        self._after = as_rng(0)

    def means(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return each draw's weighted sum of the values, and the weight of one value more, (n_draws,) each."""
        if self._kept is not None:
            return self._kept[:, : self.n] @ values, self._kept[:, self.n]
        rng = as_rng(self.rng)
        inside, one_more = np.empty((2, self.n_draws))
        for start in range(0, self.n_draws, self._step):
            gaps = rng.standard_exponential(size=(min(self._step, self.n_draws - start), self.n + 1))
            gaps /= gaps.sum(axis=1, keepdims=True)
            inside[start : start + self._step] = gaps[:, : self.n] @ values
            one_more[start : start + self._step] = gaps[:, self.n]
            if self.n_draws <= self._step:
                self._kept = gaps
        self._after = rng
        return inside, one_more

    @cached_property
    def resampled(self) -> tuple[Cells, FloatArray]:
        """The values as cells, with bootstrap weights; drawn after the means."""
        cells = Cells.of(np.ones(self.n, dtype=np.int64), self._after)
        return cells, cells.resample(self.n_draws, self._after)


def interval_of_mean(
    values: FloatArray, level: float, n_draws: int, rng: np.random.Generator | int
) -> tuple[float, float, float, float]:
    """Return the mean of values that may be skewed, lower and upper end of its interval, and standard error.

    The t-interval errs where few large values make the mean. Weights drawn as the gaps of ordered uniform numbers (the
    Bayesian bootstrap), with one value more as large as the largest seen (as small as the smallest, for the lower end),
    give Clopper and Pearson's interval for a coin and nearly the t-interval for normal values. Where values are hardly
    ever negative, as the KL of a prompt, a bootstrap-t on the logarithm of the mean is added, with its upper arm
    stretched where few values make the mean: of twenty skewed prompts the others fall short. The hull of all is given.

    Parameters
    ----------
    values : array (k,)
        Independent values, two or more.
    level : float
        Nominal coverage, in (0, 1).
    n_draws : int
        Draws of weights.
    rng : Generator or int
        Source of the weights, or its seed.

    Returns
    -------
    mean, low, high, error : float
        In the unit of the values.

    Examples
    --------
    >>> mean, low, high, error = interval_of_mean(np.array([0.0] * 99 + [5.0]), 0.95, 2000, 0)
    >>> round(mean, 3), low < 0.01, 0.2 < high < 0.3
    (0.05, True, True)

    Source: the weights are Rubin's (1981); the value more is Clopper and Pearson's (1934) for a coin; the hull is ours,
    chosen by simulated coverage.
    """
    return _interval_of_mean(values, level, _Draws(values.size, n_draws, rng))


def _interval_of_mean(values: FloatArray, level: float, draws: _Draws) -> tuple[float, float, float, float]:
    n = values.size
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n)
    half = float(scipy.special.stdtrit(n - 1, 0.5 + level / 2.0)) * error
    low, high = mean - half, mean + half
    if n <= _MANY and error > 0.0:
        inside, one_more = draws.means(values)
        below, above = inside + one_more * values.min(), inside + one_more * values.max()
        low = min(low, float(np.quantile(below, 0.5 - level / 2.0)))
        high = max(high, float(np.quantile(above, 0.5 + level / 2.0)))
        if n <= _SKEWED and -float(values.clip(max=0.0).sum()) <= _NEGATIVE * float(np.abs(values).sum()):
            cells, weights = draws.resampled
            least, most = cells.interval(weights, values[:, None], level=level)
            low, high = min(low, float(least[0])), max(high, float(most[0]))
    return mean, low, high, error


def interval_of_ratio(
    values: FloatArray, sizes: FloatArray, level: float, n_draws: int, rng: np.random.Generator | int
) -> tuple[float, float, float]:
    """Return mean of values over mean of sizes with its interval, by the values' distances from that line.

    Parameters
    ----------
    values, sizes : array (k,)
        Of independent units.
    level : float
        Nominal coverage, in (0, 1).
    n_draws : int
        Draws of weights.
    rng : Generator or int
        Source of the weights, or its seed.

    Returns
    -------
    ratio, low, high : float
        In the unit of values over sizes.
    """
    return _interval_of_ratio(values, sizes, level, _Draws(values.size, n_draws, rng))


def _interval_of_ratio(values: FloatArray, sizes: FloatArray, level: float, draws: _Draws) -> Interval:
    ratio, size = float(values.mean() / sizes.mean()), float(sizes.mean())
    _, low, high, _ = _interval_of_mean((values - ratio * sizes) / size, level, draws)
    return ratio, ratio + low, ratio + high
