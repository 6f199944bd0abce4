"""The best policies within a total variation: mass is moved from the worst outcomes to the best."""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["moved_mass"]

_CERTIFICATE = 1e-12


def moved_mass(reward: FloatArray, prob: FloatArray, budgets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``∫_0^δ (max r - Q(u)) du`` for each budget δ, Q the reward's quantile function, and 1 over the slope.

    At a threshold q, no policy within δ gains more than ``δ (max r - q) + E_p max(q - r, 0)``; the reward of the last
    outcome from which mass is taken attains it.

    Parameters
    ----------
    reward, prob : arrays (k,)
        Rewards and positive base masses, summing to one.
    budgets : array (b,)
        Masses >= 0 that may be moved; what exceeds the mass below the top reward buys nothing.

    Returns
    -------
    gain : array (b,)
        The largest gain within each budget.
    lam : array (b,)
        One over the slope there.

    Raises
    ------
    ArithmeticError
        If primal and dual differ by more than 1e-12 of the range of the reward.

    Examples
    --------
    >>> gain, lam = moved_mass(np.array([0.0, 1.0, 3.0]), np.array([0.25, 0.5, 0.25]), np.array([0.25, 0.5, 1.0]))
    >>> gain.tolist(), lam.tolist()
    ([0.75, 1.25, 1.75], [0.5, 0.5, inf])
    """
    order = np.argsort(reward)
    gap = reward[order[-1]] - reward[order]  # from the worst on
    upto = np.cumsum(prob[order])
    sold = np.cumsum(prob[order] * gap)
    below = float(prob[reward < reward.max()].sum())
    moved = np.minimum(budgets, below)
    # The slope after a budget: an outcome that is used up is left behind.
    last = np.minimum(np.searchsorted(upto, moved, side="right"), gap.size - 1)
    gain = sold[last] - (upto[last] - moved) * gap[last]
    gain = np.where(budgets >= below, prob @ (reward.max() - reward), gain)
    taken = np.minimum(np.searchsorted(upto, moved, side="left"), gap.size - 1)
    for value, budget, q in zip(gain.tolist(), moved.tolist(), gap[taken].tolist(), strict=True):
        dual = budget * q + float(prob[order] @ np.maximum(gap - q, 0.0))
        if not abs(value - dual) <= _CERTIFICATE * float(gap[0]):
            raise ArithmeticError(f"the most that {budget:g} of moved mass gains is {value!r}, by its dual {dual!r}.")
    slope = np.where(budgets >= below, 0.0, gap[last])
    lam = np.divide(1.0, slope, out=np.full_like(slope, math.inf), where=slope > 0.0)
    return gain, np.where(budgets == 0.0, 0.0, lam)
