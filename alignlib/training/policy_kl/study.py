"""What estimators of a policy's KL do on a model that can be enumerated: exact means and spreads, and simulations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.doors import guard
from alignlib.training.policy_kl.estimate import estimate_policy_kl
from alignlib.training.policy_kl.estimators import estimator_values
from alignlib.training.policy_kl.samples import KLSamples
from alignlib.training.policy_kl.token_model import TokenModel, next_token_kl

__all__ = [
    "Moments",
    "conditioned_pair",
    "exact_moments",
    "interval_coverage",
    "mean_k3_by_normalisation",
    "score",
    "simulated_means",
    "tail_shares",
]


@dataclass(frozen=True)
class Moments:
    """What an estimator says of one response.

    Attributes
    ----------
    mean, sd : float
        Mean and standard deviation, in nats.
    """

    mean: float
    sd: float


def score(tokens: IntArray, policy: TokenModel, base: TokenModel) -> KLSamples:
    """Return responses (n, length) with their log-probabilities under both models, by token.

    Parameters
    ----------
    tokens : int array (n, length)
        Responses, padded with 0.
    policy, base : TokenModel
        Both models; responses must be possible under both.

    Examples
    --------
    >>> model = TokenModel(np.log([[0.5, 0.5], [0.5, 0.5]]), 2)
    >>> score(model.sequences(), model, model).log_ratio.tolist()
    [0.0, 0.0, 0.0]
    """
    mask = policy.is_token(tokens)
    offsets = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    exact = next_token_kl(policy, base)[policy.states(tokens)]
    return KLSamples.from_flat(
        policy.token_log_prob(tokens)[mask], base.token_log_prob(tokens)[mask], offsets, exact[mask]
    )


def _reachable(sampler: TokenModel) -> tuple[IntArray, FloatArray]:
    tokens = sampler.sequences()
    mass = np.exp(sampler.token_log_prob(tokens).sum(axis=1))
    return tokens[mass > 0.0], mass[mass > 0.0]


def exact_moments(policy: TokenModel, base: TokenModel, sampler: TokenModel | None = None) -> dict[str, Moments]:
    """Return mean and spread of each estimator over all responses, by enumeration.

    ``sampler`` writes the responses, the policy itself by default; they are scored by ``policy`` and ``base``.

    Parameters
    ----------
    policy, base : TokenModel
        Who is measured, and from what.
    sampler : TokenModel, optional
        Who writes the responses.

    Examples
    --------
    >>> from alignlib.training.policy_kl.token_model import perturbed_model, random_model, sequence_kl
    >>> rng = np.random.default_rng(0)
    >>> base = random_model(4, 3, 1.0, rng)
    >>> policy = perturbed_model(base, 0.5, rng)
    >>> bool(abs(exact_moments(policy, base)["k3_tokens"].mean - sequence_kl(policy, base)) < 1e-12)
    True
    """
    tokens, mass = _reachable(policy if sampler is None else sampler)
    found = {}
    for name, values in estimator_values(score(tokens, policy, base)).items():
        mean = float(mass @ values)
        found[name] = Moments(mean, float(np.sqrt(mass @ (values - mean) ** 2)))
    return found


def simulated_means(
    policy: TokenModel,
    base: TokenModel,
    n: int,
    n_rep: int,
    rng: np.random.Generator,
    sampler: TokenModel | None = None,
) -> dict[str, FloatArray]:
    """Return the estimates from ``n`` responses, drawn anew ``n_rep`` times, (n_rep,) by estimator.

    Parameters
    ----------
    policy : TokenModel
        Who is measured.
    base : TokenModel
        From what.
    n : int
        Responses to an estimate, >= 1.
    n_rep : int
        Number of estimates, >= 1.
    rng : Generator
        Source of randomness.
    sampler : TokenModel, optional
        Who writes the responses; the policy itself by default.

    Raises
    ------
    InputError
        If a number is below 1.

    Examples
    --------
    >>> means = simulated_means(*conditioned_pair(), 4, 3, np.random.default_rng(0))
    >>> means["k1"].shape, bool(np.ptp(means["k1"]) < 1e-12)
    ((3,), True)
    """
    require(n >= 1 and n_rep >= 1, f"n and n_rep must be at least 1; got {n} and {n_rep}.")
    tokens = (policy if sampler is None else sampler).sample(n * n_rep, rng)
    values = estimator_values(score(tokens, policy, base))
    return {name: of.reshape(n_rep, n).mean(axis=1) for name, of in values.items()}


def interval_coverage(
    policy: TokenModel, base: TokenModel, truth: float, n: int, n_rep: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return how often the 95 % interval of each estimator from ``n`` responses holds ``truth``, in ``n_rep`` draws.

    Parameters
    ----------
    policy : TokenModel
        Who is measured.
    base : TokenModel
        From what.
    truth : float
        The KL in nats.
    n : int
        Responses to an estimate.
    n_rep : int
        Number of estimates.
    rng : Generator
        Source of randomness.

    Examples
    --------
    >>> sorted(interval_coverage(*conditioned_pair(), 0.9, 8, 1, np.random.default_rng(0)))[:2]
    ['k1', 'k2']
    """
    held: dict[str, int] = {}
    for _ in range(n_rep):
        found = estimate_policy_kl(score(policy.sample(n, rng), policy, base), n_boot=200, rng=rng)
        for one in found.estimates:
            held[one.name] = held.get(one.name, 0) + (one.low <= truth <= one.high)
    return {name: count / n_rep for name, count in held.items()}


def tail_shares(policy: TokenModel, base: TokenModel, n: int) -> dict[str, float]:
    """Return the part of each estimator's mean that the largest values carry, those of total probability 1/n.

    ``n`` responses hold one of them once on average, and none with probability 1/e: where the part is large a
    typical estimate falls short by it, and its interval does not show that.

    Parameters
    ----------
    policy : TokenModel
        Who is measured.
    base : TokenModel
        From what.
    n : int
        Number of responses, >= 1.

    Raises
    ------
    InputError
        If ``n`` is below 1.

    Examples
    --------
    >>> round(tail_shares(*conditioned_pair(), 10)["k1"], 6)  # every response has the same log-ratio
    0.1
    """
    require(n >= 1, f"n must be at least 1; got {n}.")
    tokens, mass = _reachable(policy)
    found = {}
    for name, values in estimator_values(score(tokens, policy, base)).items():
        order = np.argsort(-values, kind="stable")
        ranked = mass[order]
        taken = np.clip(1.0 / n - (np.cumsum(ranked) - ranked), 0.0, ranked)
        found[name] = float(taken @ values[order] / (mass @ values))
    return found


def mean_k3_by_normalisation(policy: TokenModel, base: TokenModel) -> dict[str, float]:
    """Return mean length times mean k3 per token, the latter averaged over all tokens and over responses first.

    The first is the KL per sequence; the second misses it by the covariance of length and k3 per token.

    Parameters
    ----------
    policy : TokenModel
        Who is measured.
    base : TokenModel
        From what.

    Returns
    -------
    dict of str to float
        ``length``, in tokens, and both products in nats, by where the mean per token is taken.

    Examples
    --------
    >>> found = mean_k3_by_normalisation(*conditioned_pair())  # all responses are of one length
    >>> {name: round(value, 4) for name, value in found.items()}
    {'length': 2.0, 'over tokens': 0.5202, 'over responses': 0.5202}
    """
    tokens, mass = _reachable(policy)
    samples = score(tokens, policy, base)
    assert samples.n_tokens is not None
    total, length = estimator_values(samples)["k3_tokens"], samples.n_tokens
    mean_length = float(mass @ length)
    return {
        "length": mean_length,
        "over tokens": float(mass @ total),
        "over responses": float(mass @ (total / length)) * mean_length,
    }


def conditioned_pair() -> tuple[TokenModel, TokenModel]:
    """Return a base of two tokens and its law given that the second token is 1, the optimum at λ = ∞ of a 0/1 reward.

    Its log-ratio is ``-log p(second token is 1)`` on every response, so that k1 has no variance; the next-token
    divergences depend on the first token, so that Rao–Blackwell has some.

    Returns
    -------
    policy, base : TokenModel
        In this order.

    Examples
    --------
    >>> policy, base = conditioned_pair()
    >>> policy.length, base.length
    (2, 2)
    """
    prob = np.array([[0.2, 0.4, 0.4], [0.6, 0.2, 0.2], [0.1, 0.45, 0.45]])
    chance = prob[0] * [0.0, *prob[1:, 1]]
    with np.errstate(divide="ignore"):
        policy = np.log([chance / chance.sum(), [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    return TokenModel(policy, 2), TokenModel(np.log(prob), 2)


guard(globals())
