"""The rate function of the large-deviation principle for the reward per token (Y24)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatOrArray, as_float_array, as_number, as_whole, like, require
from alignlib.laws import Law

__all__ = ["exact_asymptotics", "rate_function"]


def rate_function(law: Law, mean: npt.ArrayLike) -> FloatOrArray:
    """Return ``I(x) = sup_θ [θx - Λ(θ)] = KL(tilt with mean x ‖ base)`` in nats per token, for each x.

    The base is the law that ``law`` tilts: for the rate function under ``π_λ`` give the law whose base is
    ``π_λ`` (the model's ``rate`` does). ``inf`` outside the range of the reward.

    Parameters
    ----------
    law : Law
        A token law, or a twisted chain.
    mean : array
        Rewards per token x.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> round(rate_function(FiniteLaw([0.0, 1.0]), 1.0), 6)
    0.693147
    >>> rate_function(FiniteLaw([0.0, 1.0]), 1.5)
    inf

    Source: Y24 (large-deviation principle and its rate function).
    """
    at = as_float_array("mean", mean)
    return like(mean, np.array([_rate(law, x) for x in at.reshape(-1).tolist()]).reshape(at.shape))


def _rate(law: Law, x: float) -> float:
    if not law.min_reward <= x <= law.max_reward:
        return math.inf
    return float(law.kl(law.lam_at_gain(x - law.base_reward)))


def exact_asymptotics(law: Law, mean: float, length: int, step: float | None = None) -> float:
    """Return the ``log P(S >= m x)`` of Bahadur and Rao: the rate function with its first finite-length correction.

    ``-m I(x) - log(θ σ √(2πm))`` with θ the tilt of mean x and σ² its variance; on a lattice of spacing ``step``
    (``m x`` a lattice point) θ is replaced by ``(1 - e^{-θ step})/step``.

    Parameters
    ----------
    law : Law
        A token law, or a twisted chain.
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

    Examples
    --------
    >>> from alignlib.sequences import MemorylessModel
    >>> model = MemorylessModel([0.5, 0.5], [0.0, 1.0], 1000)
    >>> round(exact_asymptotics(model.token, 0.6, 1000, step=1.0), 3), round(model.sum_law().log_tail(600.0), 3)
    (-22.696, -22.715)

    Source: Bahadur and Ranga Rao (1960).
    """
    require(
        law.base_reward < mean < law.max_reward,
        f"mean must lie in ({law.base_reward:g}, {law.max_reward:g}); got {mean:g}.",
    )
    length = as_whole("length", length, 1)
    step = None if step is None else as_number("step", step, 0.0, open_low=True)
    theta = law.lam_at_gain(mean - law.base_reward)
    fall = 0.0 if step is None else theta * step  # of the weights from one lattice point to the next
    slope = theta if fall == 0.0 else theta * -math.expm1(-fall) / fall
    spread = math.sqrt(2 * math.pi * length * float(law.variance(theta)))
    return -length * float(law.kl(theta)) - math.log(slope * spread)
