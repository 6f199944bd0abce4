"""How far best-of-N is from being an optimum: the nearest tilt, and rewards at a chosen distance (B26's question)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, coincident_reward
from alignlib.sequences.memoryless import MemorylessModel
from alignlib.sequences.sum_law import SumLaw

__all__ = ["NearestTilt", "largest_distance", "nearest_tilt", "reward_at_distance"]


@dataclass(frozen=True)
class NearestTilt:
    """The tilt ``π_λ`` nearest to best-of-N.

    Attributes
    ----------
    lam : float
        Its λ.
    distance : float
        ``KL(π_N‖π_λ)`` in nats.

    Examples
    --------
    >>> from alignlib.sequences import MemorylessModel
    >>> found = nearest_tilt(MemorylessModel([0.5, 0.5], [0.0, 1.0], 1).sum_law(), math.log(2))
    >>> found.distance < 1e-9, found.lam > 0.0
    (True, True)
    """

    lam: float
    distance: float


def nearest_tilt(law: SumLaw, log_n: float) -> NearestTilt:
    """Return the λ that minimises ``KL(π_N‖π_λ)``: the one whose tilt earns what best-of-N earns.

    The divergence is ``KL(π_N‖p) - λ E_{π_N} r + Λ(λ)``, convex in λ, and its derivative vanishes where
    ``Λ'(λ) = E_{π_N} r``. So the distance is what best-of-N spends beyond the cheapest policy of equal reward.

    Parameters
    ----------
    law : SumLaw
        Base law of the reward, of one token or of a sequence; two levels or more.
    log_n : float
        ``log N > 0`` in nats.

    Raises
    ------
    InputError
        If the law has one level only or ``log_n`` is not positive.

    Examples
    --------
    >>> law = MemorylessModel([0.5, 0.3, 0.2], [0.0, 1.0, 2.0], 1).sum_law()
    >>> round(nearest_tilt(law, math.log(8)).distance, 6)
    0.015661
    """
    require(law.excess.size > 1, "law must have two levels of reward or more.")
    require(log_n > 0, f"log_n must be positive; got {log_n:g}.")
    best = law.best_of_n(log_n)
    gain = best.mean_excess - law.mean_excess
    lam = float(law.lam_at_gain(min(gain, law.max_gain)))
    if math.isinf(lam):  # best-of-N is the top level to the last digit
        return NearestTilt(math.inf, 0.0)
    return NearestTilt(lam, best.kl_to(law.tilted(lam)))


def largest_distance(prob: npt.ArrayLike, n: float) -> float:
    """Return the distance that raising the top reward approaches: ``Σ_{i<k} π_N(i) log(π_N(i|<k)/p(i|<k))`` in nats.

    With one reward far above all others, tilts keep the base's proportions among the others; best-of-N does not.

    Parameters
    ----------
    prob : array (k,)
        Positive base masses of the responses in increasing order of reward.
    n : float
        Number of draws N >= 1.

    Raises
    ------
    InputError
        If a mass is not positive, the masses do not sum to one, or ``n`` is below 1.

    Examples
    --------
    >>> largest_distance([0.4, 0.6], 5)
    0.0
    """
    masses = as_vector("prob", prob)
    require(bool(masses.min() > 0.0), f"prob must be positive; its smallest value is {masses.min():g}.")
    law = FiniteLaw(np.arange(masses.size), masses)
    log_q, log_p = BestOfN(n).on(law).log_policy[:-1], law.log_policy(0.0)[:-1]
    # In logarithms: what best-of-N leaves below the top may be less than any double.
    moved = log_q - np.logaddexp.reduce(log_q) - (log_p - np.logaddexp.reduce(log_p))
    return float(np.exp(log_q) @ moved) if masses.size > 1 else 0.0


def reward_at_distance(prob: npt.ArrayLike, n: float, distance: float) -> FloatArray:
    """Return a reward for which best-of-N is exactly ``distance`` nats from the nearest tilt.

    It starts from the coinciding reward of B26, scaled to [0, 1], and moves towards the indicator of the top
    response; the order, and so best-of-N itself, does not change.

    Parameters
    ----------
    prob : array (k,)
        Positive base masses of the responses in increasing order of reward, k >= 3.
    n : float
        Number of draws N > 1.
    distance : float
        Nats, from 0 to below :func:`largest_distance`.

    Returns
    -------
    array (k,)
        Rewards from 0 to 1, increasing.

    Raises
    ------
    InputError
        If there are fewer than three responses or the distance is not attainable this way.

    Examples
    --------
    >>> reward = reward_at_distance([0.5, 0.3, 0.2], 4, 0.01)
    >>> law = MemorylessModel([0.5, 0.3, 0.2], reward, 1).sum_law()
    >>> round(nearest_tilt(law, math.log(4)).distance, 12)
    0.01
    >>> np.array_equal(reward_at_distance([0.5, 0.3, 0.2], 4, 1e-300), reward_at_distance([0.5, 0.3, 0.2], 4, 0.0))
    True
    """
    masses = as_vector("prob", prob)
    require(masses.size >= 3, f"prob must have three responses or more; with {masses.size} best-of-N is always a tilt.")
    require(n > 1, f"n must exceed 1; got {n:g}.")
    most = largest_distance(masses, n)
    require(0 <= distance < most, f"distance must lie in [0, {most:.6g}) for this law and N; got {distance:g}.")
    coincident = coincident_reward(masses, n)
    unit = (coincident - coincident[0]) / np.ptp(coincident)
    top = np.arange(masses.size) == masses.size - 1

    def reward(share: float) -> FloatArray:
        return np.where(top, 1.0, (1 - share) * unit)

    def excess(share: float) -> float:
        law = MemorylessModel(masses, reward(share), 1).sum_law()
        return nearest_tilt(law, math.log(n)).distance - distance

    if distance == 0 or excess(0.0) >= 0.0:  # so small that the coinciding reward has it, to rounding
        return reward(0.0)
    # From 1 - 2^-30 on the lower rewards would stop being distinct in places; that close the distance is at its limit.
    last = 1 - 2.0**-30
    require(excess(last) > 0, f"distance must lie further below {most:.6g}; got {distance!r}.")
    return reward(float(scipy.optimize.toms748(excess, 0.0, last, xtol=1e-15, rtol=1e-15)))
