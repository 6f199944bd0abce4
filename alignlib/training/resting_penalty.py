"""At which penalty a policy neither leaves its base further nor returns, from rewards and log-ratios of its responses.

With ``ℓ`` the log-ratio of a response, a charge acts as if ``β g(ℓ)`` were taken off its reward: ``g = ℓ`` for k1 in
the reward and k2 in the loss, ``1 - e^-ℓ`` for k3 in the loss. A policy that may have any law on the responses is at
rest where ``r - β g(ℓ)`` is the same for all of a prompt's; then it does not move along its own log-ratio either:
``Cov(r, ℓ) = β Cov(g, ℓ)``. This tells β, of a policy that is not at rest too: a smaller β leads it further from the
base, a larger one back. ``Cov(g, ℓ)`` is ``Var ℓ`` of k1 and ``E ℓ - E_base ℓ`` of k3, whose own responses hardly show
it: it rests on those that the policy has given up. k2 and k3 in the reward have no stable rest, and k1 in the loss
holds nothing back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_level, as_vector, require

__all__ = ["RestingPenalty", "resting_penalties"]

_PLAIN, _REVERSE = "k1 in the reward, k2 in the loss", "k3 in the loss"


@dataclass(frozen=True)
class RestingPenalty:
    """The penalty of one charge at which a policy stays as far from its base as it is.

    Attributes
    ----------
    charge : str
        Such as ``"k3 in the loss"``, of whole responses.
    beta, beta_low, beta_high : float
        The penalty, with its interval. One of 0 or less says that the policy went where rewards are lower.
    level : float
        Coverage that the interval aims at.
    n_prompts : int
        Prompts that count: those with two responses or more.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reward, prompt = rng.random(400), np.repeat(np.arange(50), 8)
    >>> found = resting_penalties(reward, reward / 0.5, prompt)[0]
    >>> found.charge, found.beta_low <= 0.5 <= found.beta_high, found.n_prompts
    ('k1 in the reward, k2 in the loss', True, 50)
    """

    charge: str
    beta: float
    beta_low: float
    beta_high: float
    level: float
    n_prompts: int


def resting_penalties(
    reward: npt.ArrayLike,
    log_ratio: npt.ArrayLike,
    prompt: npt.ArrayLike,
    *,
    base_log_ratio: npt.ArrayLike | None = None,
    base_prompt: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[RestingPenalty, ...]:
    """Estimate the penalty at which a policy neither leaves its base further nor returns, for each charge.

    ``β = Σ Cov(r, ℓ) / Σ Cov(g, ℓ)`` over prompts, with unbiased covariances of a prompt's responses. The interval
    takes prompts as drawn from many: it holds the ratios that Student's law of the residuals does not refute.

    Parameters
    ----------
    reward : array (n,)
        Rewards of the policy's own responses.
    log_ratio : array (n,)
        ``log policy(y|x) - log base(y|x)`` in nats.
    prompt : array (n,)
        A name or a number of the prompt of each.
    base_log_ratio : array (m,), optional
        The same of responses of the base to these prompts.
    base_prompt : array (m,), optional
        The prompt of each of those.
    level : float
        Coverage aimed at, in (0, 1).

    Returns
    -------
    tuple of RestingPenalty
        Of k1 in the reward, where k2 in the loss leads too; with responses of the base also of k3 in the loss.

    Raises
    ------
    InputError
        If lengths differ, fewer than two prompts have two responses, log-ratios do not vary, or a prompt that counts
        has no response of the base.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reward, prompt = rng.random(400), np.repeat(np.arange(50), 8)
    >>> (one,) = resting_penalties(reward, reward / 0.5 - 0.1 * prompt, prompt)  # the optimum at β = 0.5
    >>> round(one.beta, 6)
    0.5

    Source: the fixed points are those of `alignlib.lm.charged_policies`; the interval of a ratio is Fieller's (1954).
    """
    rewards, ratios, names = _of_prompts("reward", reward, "log_ratio", log_ratio, "prompt", prompt)
    level = as_level(level)
    known, place, count = np.unique(names, return_inverse=True, return_counts=True)
    kept = count > 1
    n = int(kept.sum())
    require(n > 1, f"prompt must name two prompts or more that have two responses; {n} of {count.size} do.", "prompt")
    mean = np.bincount(place, ratios) / count
    apart = ratios - mean[place]
    require(bool(apart.any()), "log_ratio must vary within a prompt; it is the same for all responses.", "log_ratio")

    def with_ratio(values: FloatArray) -> FloatArray:
        """Unbiased covariances with the log-ratio, of the prompts that have any."""
        about = values - values.mean()
        return np.asarray(np.bincount(place, apart * about)[kept] / (count[kept] - 1.0))

    quantile = float(scipy.stats.t.ppf(0.5 + 0.5 * level, n - 1))
    gained, moved = with_ratio(rewards), {_PLAIN: with_ratio(ratios)}
    if base_log_ratio is not None:
        of_base, _, base_names = _of_prompts(
            "base_log_ratio", base_log_ratio, "base_log_ratio", base_log_ratio, "base_prompt", base_prompt
        )
        at = {name: k for k, name in enumerate(known.tolist())}
        where = np.array([at.get(name, -1) for name in base_names.tolist()])
        responses = np.bincount(where[where >= 0], minlength=known.size)
        lacking = known[kept & (responses == 0)]
        require(
            lacking.size == 0,
            f"base_prompt must name every prompt of two responses; {lacking.size} of {n} have none of the base.",
            "base_prompt",
        )
        base_mean = np.bincount(where[where >= 0], of_base[where >= 0], known.size) / np.maximum(responses, 1)
        moved[_REVERSE] = (mean - base_mean)[kept]
    return tuple(RestingPenalty(charge, *_ratio(gained, one, quantile), level, n) for charge, one in moved.items())


def _of_prompts(
    first: str, a: npt.ArrayLike, second: str, b: npt.ArrayLike, third: str, prompt: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.generic]]:
    """Return two columns of numbers and one of prompts, of one length."""
    one, other, names = as_vector(first, a), as_vector(second, b), np.asarray(prompt)
    for name, values in ((second, other), (third, names)):
        require(
            values.shape == one.shape,
            f"{name} must have one entry for each {first}, {one.size}; got shape {values.shape}.",
            name,
        )
    return one, other, names


def _ratio(top: FloatArray, bottom: FloatArray, quantile: float) -> tuple[float, float, float]:
    """Return the ratio of two means and the ends of Fieller's interval; infinite ones where it has none."""
    a, b = float(top.mean()), float(bottom.mean())
    (v_a, c), (_, v_b) = (quantile**2 / top.size * np.cov(top, bottom, ddof=1)).tolist()
    square = b * b - v_b  # of β² in the inequality; positive where the bottom differs from 0
    root = (a * b - c) ** 2 - square * (a * a - v_a)
    if square <= 0.0:
        return a / b if b else np.inf, -np.inf, np.inf
    half = max(root, 0.0) ** 0.5
    return a / b, min((a * b - c - half) / square, a / b), max((a * b - c + half) / square, a / b)
