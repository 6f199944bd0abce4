"""The rate function of the large-deviation principle for the reward per token (Y24)."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import optimize

from alignlib._core.checks import FloatOrArray, as_float_array, like, require

__all__ = ["TokenFamily", "exact_asymptotics", "rate_function", "tilt_to_mean"]


class TokenFamily(Protocol):
    """What a rate function needs of a family of tilts; a finite token law and a Markov chain both offer it."""

    @property
    def base_reward(self) -> float: ...  # noqa: D102
    @property
    def max_reward(self) -> float: ...  # noqa: D102
    @property
    def min_reward(self) -> float: ...  # noqa: D102
    def gain(self, lam: npt.ArrayLike, /) -> FloatOrArray: ...  # noqa: D102
    def kl(self, lam: npt.ArrayLike, /) -> FloatOrArray: ...  # noqa: D102
    def variance(self, lam: npt.ArrayLike, /) -> FloatOrArray: ...  # noqa: D102


def tilt_to_mean(family: TokenFamily, mean: float) -> float:
    """Return the θ, of either sign, whose tilt has the given mean reward; ``±inf`` at the extreme rewards.

    Raises
    ------
    InputError
        If ``mean`` lies outside the range of the reward.

    Examples
    --------
    >>> from alignlib.laws.finite import FiniteLaw
    >>> round(tilt_to_mean(FiniteLaw([0.0, 1.0]), 0.75), 6)
    1.098612
    """
    require(
        family.min_reward <= mean <= family.max_reward,
        f"mean must lie within the rewards, [{family.min_reward:g}, {family.max_reward:g}]; got {mean:g}.",
    )
    if mean in (family.min_reward, family.max_reward):
        return math.inf if mean == family.max_reward else -math.inf
    target = mean - family.base_reward
    if target == 0 or family.variance(0.0) == 0:
        return 0.0

    def miss(theta: float) -> float:
        return float(family.gain(theta)) / target - 1.0

    low = high = target / float(family.variance(0.0))
    while miss(low) > 0:
        low /= 2
    while miss(high) < 0:
        high *= 2
    if low == high:
        return low
    return float(optimize.toms748(miss, min(low, high), max(low, high), xtol=1e-300, rtol=1e-15))


def rate_function(family: TokenFamily, mean: npt.ArrayLike) -> FloatOrArray:
    """Return ``I(x) = sup_θ [θx - Λ(θ)] = KL(tilt with mean x ‖ base)`` in nats per token, for each x.

    The base is the law that ``family`` tilts: for the rate function under ``π_λ`` give the family whose base is
    ``π_λ`` (the model's ``rate`` does). ``inf`` outside the range of the reward.

    Parameters
    ----------
    family : FiniteLaw or TwistedFamily
        Token law and token reward.
    mean : array
        Rewards per token x.

    Examples
    --------
    >>> from alignlib.laws.finite import FiniteLaw
    >>> round(rate_function(FiniteLaw([0.0, 1.0]), 1.0), 6)
    0.693147
    >>> rate_function(FiniteLaw([0.0, 1.0]), 1.5)
    inf

    Source: Y24 (large-deviation principle and its rate function).
    """
    at = as_float_array("mean", mean)
    return like(mean, np.array([_rate(family, x) for x in at.reshape(-1).tolist()]).reshape(at.shape))


def _rate(family: TokenFamily, x: float) -> float:
    if not family.min_reward <= x <= family.max_reward:
        return math.inf
    return float(family.kl(tilt_to_mean(family, x)))


def exact_asymptotics(family: TokenFamily, mean: float, length: int, step: float | None = None) -> float:
    """Return the ``log P(S >= m x)`` of Bahadur and Rao: the rate function with its first finite-length correction.

    ``-m I(x) - log(θ σ √(2πm))`` with θ the tilt of mean x and σ² its variance; on a lattice of spacing ``step``
    (``m x`` a lattice point) θ is replaced by ``(1 - e^{-θ step})/step``.

    Parameters
    ----------
    family : FiniteLaw or TwistedFamily
        Token law and token reward.
    mean : float
        Reward per token x, above the base mean and below the top reward.
    length : int
        Number of tokens m.
    step : float, optional
        Spacing of the lattice of sums, for lattice rewards.

    Raises
    ------
    InputError
        If ``mean`` does not lie between the base mean and the top reward.
    """
    require(
        family.base_reward < mean < family.max_reward,
        f"mean must lie in ({family.base_reward:g}, {family.max_reward:g}); got {mean:g}.",
    )
    theta = tilt_to_mean(family, mean)
    slope = theta if step is None else -math.expm1(-theta * step) / step
    spread = math.sqrt(2 * math.pi * length * float(family.variance(theta)))
    return -length * float(family.kl(theta)) - math.log(slope * spread)
