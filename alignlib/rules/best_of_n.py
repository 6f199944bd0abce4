"""Best-of-N: draw N responses, keep the best. Ties share: among equal rewards each keeps its base proportion.

With ``F_i`` the base mass at or below reward level i, level i gets ``F_i^N - F_{i-1}^N``. All work is done on
``t = log(policy / base)`` of each level, which stays accurate where that difference cancels or underflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, FloatOrArray, as_plain, as_vector, like, require, require_range
from alignlib._core.special import exp_excess
from alignlib.divergences import KL, Divergence, Renyi, as_divergence
from alignlib.laws import ContinuousLaw, Exponential, Levels, Uniform
from alignlib.rules.order_weights import subset_means
from alignlib.rules.rank_rule import RankRule, spread
from alignlib.rules.samples import Prepared

__all__ = ["BestOfN", "best_of_n_mean", "coincident_reward", "gain_of_largest"]

_LEAST = 5e-324  # the smallest positive number
_FAINT = 1e-290  # a level's share of the mass up to it, below which 1/share may overflow
_PLAIN_N, _PLAIN_ORDER = 1.5, 0.05  # N, and distance of an order to 1, from which on a difference keeps its digits
_FAR = -60.0  # e^-60 of the mass: what is left beyond cannot be seen next to the integral


@dataclass(frozen=True)
class BestOfN(RankRule):
    """Keep the best of N draws; ``n >= 1`` is real, to draw responses it must be whole.

    ``π_N(y) = p(y) (F_i^N - F_{i-1}^N) / P_i`` on reward level i; its KL never exceeds ``log N - (N-1)/N``, which it is
    without ties, and tends to ``-log p(argmax r)``.

    Parameters
    ----------
    n : float
        Number of draws.

    Raises
    ------
    InputError
        If ``n`` is below 1.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> best = BestOfN(2).on(FiniteLaw([0.0, 1.0, 2.0]))
    >>> best.policy.round(4).tolist(), round(best.kl, 6) <= round(BestOfN(2).spent_formula(), 6)
    ([0.1111, 0.3333, 0.5556], True)

    Source: B24 (law and formula; finite form derived here).
    """

    n: float

    name = "best-of-N"
    parameter = "n"
    symbol = "N"
    start = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", as_plain("n", self.n, self.start))

    @property
    def title(self) -> str:
        """Such as ``"best-of-4"``."""
        return f"best-of-{self.n:g}"

    @property
    def draws(self) -> float:
        """N itself."""
        return float(self.n)

    def cdf(self, f: FloatArray) -> FloatArray:
        """``F^N``."""
        return np.asarray(f**self.n)

    def log_density(self, f: FloatArray) -> FloatArray:
        """``log N + (N-1) log F``."""
        with np.errstate(divide="ignore"):
            return np.asarray(math.log(self.n) + (self.n - 1.0) * np.log(f)) if self.n > 1 else np.zeros_like(f)

    def log_density_below_top(self, tail: FloatArray) -> FloatArray:
        """The same, from the tail."""
        with np.errstate(divide="ignore"):
            return np.asarray(math.log(self.n) + (self.n - 1.0) * np.log1p(-tail))

    def log_ratio(self, levels: Levels) -> FloatArray:
        """With ``δ = N-1`` and ``ρ = F_{i-1}/F_i``: ``(F_i^N - F_{i-1}^N)/P_i = F_i^δ (1 + (ρ - ρ^N)/(1 - ρ))``."""
        delta = self.n - 1.0
        if delta == 0.0:
            return np.zeros_like(levels.mass)
        log_f = levels.log_at_or_below
        share = levels.mass / (levels.below + levels.mass)  # 1 - ρ
        with np.errstate(divide="ignore", invalid="ignore", under="ignore", over="ignore"):
            log_rho = np.where(share < 0.5, np.log1p(-share), np.log(levels.below) - log_f)
            rest = np.where(levels.below > 0, -(levels.below / levels.mass) * np.expm1(delta * log_rho), 0.0)
            rest = np.where((share < _FAINT) & (levels.below > 0), delta, rest)  # δ(1-ρ)/(1-ρ), without its overflow
        return delta * log_f + np.log1p(rest)

    def cdf_below_top(self, levels: Levels) -> FloatArray:
        """``F_i^N``, from the tail where F is near 1."""
        with np.errstate(under="ignore"):
            return np.exp(self.n * levels.log_at_or_below[:-1])

    def cdf_slope(self, levels: Levels) -> FloatArray:
        """``F_i^N log F_i``."""
        log_f = levels.log_at_or_below[:-1]
        with np.errstate(under="ignore"):
            return np.asarray(np.exp(self.n * log_f) * log_f)

    def spent_formula(self, divergence: Divergence = KL) -> float:
        """``log N - (N-1)/N`` nats for KL (B24), ``[α log N - log(1 + α(N-1))]/(α - 1)`` for Rényi's.

        >>> round(BestOfN(16).spent_formula(), 6)
        1.835089
        """
        divergence = as_divergence(divergence)
        if divergence == KL:
            return float(exp_excess(np.asarray(-np.log(float(self.n)))))
        if isinstance(divergence, Renyi) and self.n >= _PLAIN_N and abs(divergence.alpha - 1.0) >= _PLAIN_ORDER:
            alpha = divergence.alpha
            return (alpha * math.log(self.n) - math.log1p(alpha * (self.n - 1.0))) / (alpha - 1.0)
        return super().spent_formula(divergence)

    def win_rate_formula(self) -> float:
        """``N/(N+1)``."""
        return self.n / (self.n + 1.0)

    def gain_on(self, law: ContinuousLaw) -> float:
        """``∫ Q(u) N u^{N-1} du`` minus the mean."""
        return gain_of_largest(law, float(self.n))

    def wins_with_ties(self, samples: Prepared) -> FloatArray:
        """Whole N below the samples without bias, others by the jackknife."""
        if self.n == round(self.n) and self.n < samples.values.shape[1]:
            return samples.levels.win_rate_of_best(round(self.n))
        return super().wins_with_ties(samples)

    def mean_kept(self, samples: Prepared) -> FloatArray:
        """Whole N up to the samples by the unbiased mean over subsets, others by the jackknifed V-statistic."""
        if self.n == round(self.n) and self.n <= samples.values.shape[1]:
            return subset_means(samples.values, np.array([round(self.n)]))[:, 0]
        return super().mean_kept(samples)


@singledispatch
def gain_of_largest(law: ContinuousLaw, n: float) -> float:
    """Return the mean of the largest of n draws of a law without atoms, minus the mean of one.

    Parameters
    ----------
    law : ContinuousLaw
        The law drawn from; what is known in closed form is registered for its class.
    n : float
        Number of draws N >= 1, whole or not.

    Examples
    --------
    >>> from alignlib.laws import Gaussian
    >>> round(gain_of_largest(Gaussian(), 2.0), 6)
    0.56419
    """

    if n == 1.0:
        return 0.0
    scale = spread(law)

    # v = u^n is uniform; the top is written by its tail mass so that the integrand stays accurate there.
    def at(log_u: float) -> float:
        u_tail = -math.expm1(log_u)
        if u_tail < 0.5:
            return float(law.deviation(max(u_tail, _LEAST), upper=True)) / scale
        return float(law.deviation(math.exp(log_u))) / scale

    def upper(log_tail: float) -> float:
        tail = math.exp(log_tail)
        return at(math.log1p(-tail) / n) * tail

    def lower(log_v: float) -> float:
        return at(log_v / n) * math.exp(log_v)

    # The median, where a law may have a kink, is a limit of integration.
    median = n * math.log(0.5)
    ends = sorted({_FAR, math.log(0.5)} | ({median} if median > _FAR else set()))
    pieces = [(upper, _FAR, math.log(0.5)), *((lower, a, b) for a, b in pairwise(ends))]
    total = sum(scipy.integrate.quad(f, a, b, epsabs=1e-14, epsrel=1e-11, limit=300)[0] for f, a, b in pieces)
    return scale * float(total)


@gain_of_largest.register
def _(law: Uniform, n: float) -> float:
    return (law.high - law.low) * (n - 1) / (2 * (n + 1))


@gain_of_largest.register
def _(law: Exponential, n: float) -> float:
    return (float(scipy.special.digamma(n + 1)) + np.euler_gamma - 1) / law.rate


def coincident_reward(prob: npt.ArrayLike, n: float) -> FloatArray:
    """Return the reward, unique up to scale and shift, for which best-of-N *is* the optimum with ``λ = 1``.

    Outcomes are taken in increasing order of reward: ``r_i = log((F_i^N - F_{i-1}^N) / p_i)``. For two
    outcomes every reward is of this form for some λ; for three or more it is one direction only.

    Parameters
    ----------
    prob : array (k,)
        Positive base masses, in increasing order of the reward that is sought.
    n : float
        Number of draws N >= 1.

    Returns
    -------
    array (k,)
        The rewards, rising.

    Raises
    ------
    InputError
        If a mass is not positive, the masses do not sum to one, or ``n`` is below 1.

    Examples
    --------
    >>> coincident_reward([0.5, 0.5], 2).round(6).tolist()
    [-0.693147, 0.405465]

    Source: the question is Y24's, answered for one token by B26.
    """
    masses = as_vector("prob", prob)
    require(masses.min() > 0, f"prob must be positive here; its smallest value is {masses.min():g}.")
    return BestOfN(n).log_ratio(Levels.of(np.arange(masses.size), masses))


def best_of_n_mean(rewards: npt.ArrayLike, n: npt.ArrayLike) -> FloatOrArray:
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
    >>> best_of_n_mean([3.0, 1.0, 2.0], 2)
    2.6666666666666665
    """
    values = -as_vector("rewards", rewards)
    values.sort()  # in place: for a million rewards fresh memory costs as much as the sort
    np.negative(values, out=values)
    ns = require_range("n", n, 1.0)
    require(ns.size > 0, f"n must hold at least one number of draws; got {n!r}.", "n")
    require(bool((ns == np.round(ns)).all()), f"n must be whole numbers for the unbiased estimate; got {n!r}.")
    require(
        ns.max() <= values.size,
        f"n must not exceed the number of rewards, {values.size}; got {ns.max():g}. Draw more samples or lower n.",
    )
    means = subset_means(values[None, :], ns.reshape(-1).astype(np.int64))
    return like(n, means.reshape(ns.shape))
