"""Best-of-N on a finite law, exactly: policy, KL, reward and win rate; and its unbiased estimate from samples.

Best-of-N draws N responses and keeps the best. Ties share: among equal rewards each response keeps its base
proportion. With ``F_i`` the base mass at or below reward level i, level i gets ``F_i^N - F_{i-1}^N``. All work
is done on ``t = log(policy / base)`` of each level, which stays accurate where that difference cancels or
underflows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, as_vector, like, require, require_range
from alignlib._core.special import exp_excess
from alignlib.laws import Levels
from alignlib.rules.order_weights import subset_means

__all__ = [
    "coincident_reward",
    "estimate",
    "expected_reward",
    "gain",
    "kl",
    "kl_upper_bound",
    "log_policy",
    "policy",
    "win_rate",
]


def _log_ratio(levels: Levels, n: float) -> FloatArray:
    """``log(π_N / p)`` of each level, for real ``n >= 1``.

    With ``δ = n - 1`` and ``ρ = F_{i-1}/F_i``: ``(F_i^n - F_{i-1}^n) / P_i = F_i^δ (1 + (ρ - ρ^n)/(1 - ρ))``.
    """
    delta = n - 1.0
    if delta == 0.0:
        return np.zeros_like(levels.mass)
    log_f = levels.log_at_or_below
    share = levels.mass / (levels.below + levels.mass)  # 1 - ρ
    with np.errstate(divide="ignore", invalid="ignore", under="ignore", over="ignore"):
        log_rho = np.where(share < 0.5, np.log1p(-share), np.log(levels.below) - log_f)
        rest = np.where(levels.below > 0, -(levels.below / levels.mass) * np.expm1(delta * log_rho), 0.0)
    return delta * log_f + np.log1p(rest)


def _per_n(
    reward: npt.ArrayLike,
    prob: npt.ArrayLike | None,
    n: npt.ArrayLike,
    quantity: Callable[[Levels, FloatArray], float],
) -> FloatOrArray:
    levels = Levels.of(reward, prob)
    ns = _checked_n(n)
    values = [quantity(levels, _log_ratio(levels, v)) for v in ns.reshape(-1).tolist()]
    return like(n, np.array(values).reshape(ns.shape))


def _checked_n(n: npt.ArrayLike) -> FloatArray:
    return require_range("n", n, 1.0)


def policy(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: float) -> FloatArray:
    """Return ``π_N(y) = p(y) (F_i^N - F_{i-1}^N) / P_i``, the law of the best of N draws.

    Parameters
    ----------
    reward : array (k,)
        Reward of each outcome; equal rewards are ties.
    prob : array (k,) or None
        Base masses, summing to one; equal masses if None.
    n : float
        Number of draws N >= 1, whole or not.

    Raises
    ------
    InputError
        If the law or ``n`` is not valid.

    Examples
    --------
    >>> policy([0.0, 1.0, 2.0], None, 2).round(4).tolist()
    [0.1111, 0.3333, 0.5556]

    Source: B24 (finite form).
    """
    return np.exp(log_policy(reward, prob, n))


def log_policy(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: float) -> FloatArray:
    """Return ``log π_N``, finite where ``π_N`` itself underflows; arguments as :func:`policy`."""
    levels = Levels.of(reward, prob)
    return levels.log_policy_of(_log_ratio(levels, float(_checked_n(n))))


def kl(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: npt.ArrayLike) -> FloatOrArray:
    """Return ``KL(π_N ‖ p)`` in nats, exact with ties, for each ``n >= 1``.

    It never exceeds ``log N - (N-1)/N`` and tends to ``-log p(argmax r)``, where that formula diverges (B24).

    >>> round(kl([0.0, 1.0], [0.5, 0.5], 2), 6), round(kl_upper_bound(2), 6)
    (0.130812, 0.193147)
    """
    return _per_n(reward, prob, n, Levels.kl_of)


def gain(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: npt.ArrayLike) -> FloatOrArray:
    """Return ``E_{π_N} r - E_p r`` for each ``n >= 1``, accurate for N near 1 and under any offset of the reward."""
    return _per_n(reward, prob, n, Levels.gain_of)


def expected_reward(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: npt.ArrayLike) -> FloatOrArray:
    """Return ``E_{π_N} r``, the mean reward of the best of N draws, for each ``n >= 1``.

    >>> expected_reward([0.0, 1.0], [0.5, 0.5], 3)
    0.875
    """
    return _per_n(reward, prob, n, Levels.mean_of)


def win_rate(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: npt.ArrayLike) -> FloatOrArray:
    """Return the probability that the best of N beats one base draw, ties counted half; ``N/(N+1)`` without ties.

    >>> round(win_rate([0.0, 1.0], [0.5, 0.5], 2), 6)
    0.625
    """
    return _per_n(reward, prob, n, Levels.win_rate_of)


def kl_upper_bound(n: npt.ArrayLike) -> FloatOrArray:
    """Return ``log N - (N-1)/N`` in nats: the KL of best-of-N without ties, an upper bound with them (B24).

    >>> round(kl_upper_bound(16), 6)
    1.835089
    """
    return like(n, np.asarray(exp_excess(-np.log(_checked_n(n)))))


def coincident_reward(prob: npt.ArrayLike, n: float) -> FloatArray:
    """Return the reward, unique up to scale and shift, for which best-of-N *is* the optimum with ``λ = 1``.

    Outcomes are taken in increasing order of reward: ``r_i = log((F_i^N - F_{i-1}^N) / p_i)``. For two
    outcomes every reward is of this form for some λ; for three or more it is one direction only.

    >>> coincident_reward([0.5, 0.5], 2).round(6).tolist()
    [-0.693147, 0.405465]

    Source: the question is Y24's, answered for one token by B26.
    """
    masses = as_vector("prob", prob)
    require(masses.min() > 0, f"prob must be positive here; its smallest value is {masses.min():g}.")
    return _log_ratio(Levels.of(np.arange(masses.size), masses), float(_checked_n(n)))


def estimate(rewards: npt.ArrayLike, n: npt.ArrayLike) -> FloatOrArray:
    """Return the unbiased estimate of best-of-N's mean reward from i.i.d. rewards of one prompt.

    ``Σ_i C(i-1, N-1)/C(m, N) r_(i)`` for m rewards in increasing order: the mean of the best over all subsets
    of size N.

    Parameters
    ----------
    rewards : array (m,)
        Rewards of the samples.
    n : int or array of int
        Number of draws, 1 <= n <= m.

    Raises
    ------
    InputError
        If ``n`` is not whole or exceeds the number of rewards.

    Examples
    --------
    >>> estimate([3.0, 1.0, 2.0], 2)
    2.6666666666666665
    """
    values = -as_vector("rewards", rewards)
    values.sort()  # in place: for a million rewards fresh memory costs as much as the sort
    np.negative(values, out=values)
    ns = require_range("n", n, 1.0)
    require(bool((ns == np.round(ns)).all()), f"n must be whole numbers for the unbiased estimate; got {n!r}.")
    require(
        ns.max() <= values.size,
        f"n must not exceed the number of rewards, {values.size}; got {ns.max():g}. Draw more samples or lower n.",
    )
    means = subset_means(values[None, :], ns.reshape(-1).astype(np.int64))
    return like(n, means.reshape(ns.shape))
