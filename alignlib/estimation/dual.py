"""The frontier by its dual form, from log-partition functions tabulated on a grid of λ."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray, IntArray

__all__ = ["lam_grid", "minimise_dual"]

_POINTS_PER_DECADE = 16
_AT_MOST = 0.01  # of the gain lies between two points of the grid, also where a curve has kinks and is no polynomial
_NODES = np.arange(-4, 5)
_INTERPOLATE = np.linalg.inv(np.vander(_NODES.astype(np.float64), increasing=True))
_NEWTON_STEPS = 6
_AT_ONCE = 16384  # polynomials: the coefficients of as many fit into the cache of a processor
_SETTLED = 1e-9  # of a point of the grid: Newton's next step would be its square


def lam_grid(scale: float, low: float = 1e-2, high: float = 1e4) -> FloatArray:
    """Return geometric λ from ``low / scale`` to ``high / scale``; ``scale`` is a typical spread of reward.

    Parameters
    ----------
    scale : float
        A typical spread of the reward.
    low, high : float
        Ends of λ times the scale.
    """
    decades = np.log10(high / low)
    return np.geomspace(low, high, round(decades * _POINTS_PER_DECADE) + 1) / scale


def minimise_dual(
    lam: FloatArray, log_partition: FloatArray, limit: FloatArray, kl: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the gain ``min_λ (Δ + Λ(λ))/λ`` at each budget Δ, and the λ that attains it.

    Between grid points the minimum is that of the polynomial in log λ through the nine nearest points. Below
    the KL of the first, Λ is continued as ``λ²(a + bλ)``.

    Parameters
    ----------
    lam : array (L,)
        A geometric grid.
    log_partition : array (..., L)
        Centred, convex Λ in nats.
    limit : array (...,)
        The largest gain, reached at λ = ∞.
    kl : array (K,) or (..., K)
        Budgets.

    Returns
    -------
    gain : array (..., K)
        In the unit of the reward.
    lam : array (..., K)
        Where it is attained.

    Examples
    --------
    >>> lam = lam_grid(1.0)
    >>> gain, best = minimise_dual(lam, lam**2 / 2, np.array(np.inf), np.array([0.5, 2.0]))
    >>> np.round(gain, 7).tolist(), np.round(best, 3).tolist()
    ([1.0, 2.0], [1.0, 2.0])

    Source: theory of the KL-regularised optimum, dual form (Y24, P26).
    """
    curves = np.asarray(log_partition, dtype=np.float64)
    shape, last = curves.shape[:-1], len(lam) - 1
    curves = curves.reshape(-1, len(lam))
    curvature = curves[:, :2] / lam[:2] ** 2
    slope = np.diff(curvature, axis=1) / (lam[1] - lam[0])
    start = curvature[:, :1] - slope * lam[0]
    first_kl = lam[0] ** 2 * (start + 2.0 * slope * lam[0])
    asked = np.broadcast_to(kl, (*shape, np.shape(kl)[-1])).reshape(len(curves), -1)
    budget, inverse, cost = np.maximum(asked, first_kl), 1.0 / lam, curves / lam
    # Of a convex curve the budgets rise from which the next λ is better.
    turns = np.full(curves.shape, np.inf)
    np.divide(np.diff(cost, axis=1), inverse[:-1] - inverse[1:], out=turns[:, :-1])
    turns[np.isnan(turns)] = -np.inf  # of a cost that overflows: no place to turn
    turns = np.maximum.accumulate(turns, axis=1)
    first = len(lam) * np.arange(len(curves))[:, None]
    at = np.clip(_first_not_below(turns, budget, first), 4, last - 4)
    place = at + first
    near: FloatArray = np.empty((len(_NODES), *at.shape))
    for one, node in zip(near, _NODES, strict=True):
        np.multiply(budget, inverse[at + node], out=one)
        one += cost.ravel()[place + node]
    lowest, flat = near.min(axis=0), near.reshape(len(_NODES), -1)
    coefficients = _INTERPOLATE @ flat
    step = _lowest_of(coefficients).reshape(at.shape)
    gain = _polynomial(coefficients, step.reshape(-1)).reshape(at.shape)
    gain = np.clip(gain, lowest - _AT_MOST * np.abs(lowest), lowest)
    best = lam[at] * (lam[1] / lam[0]) ** step
    most = np.broadcast_to(limit, shape).reshape(-1, 1)
    at_limit = gain >= most
    gain = np.where(at_limit, most, gain)
    best = np.where(at_limit, np.inf, best)
    small = asked < first_kl
    if small.any():
        root = np.sqrt(np.divide(asked, start, out=np.zeros_like(gain), where=small & (start > 0.0)))
        tilt = slope * root
        gain = np.where(small, root * (2.0 * start + tilt), gain)
        below = root * np.divide(start, start + tilt, out=np.ones_like(gain), where=start > 0.0)
        best = np.where(small, below, best)
    return gain.reshape(*shape, -1), best.reshape(*shape, -1)


def _first_not_below(turns: FloatArray, budget: FloatArray, first: IntArray) -> IntArray:
    """Return where in its row of rising numbers, which begins at ``first``, each budget is reached.

    All are halved at once: of thousands of rows with a few budgets each, a call for every row takes ten times as long.
    """
    at, last = np.zeros(budget.shape, dtype=np.int64), turns.shape[1] - 1
    for bit in reversed(range(last.bit_length())):
        ahead = at + (1 << bit)
        reached = turns.ravel()[first + np.minimum(ahead - 1, last)] >= budget
        at = np.where(reached, at, ahead)
    return at


def _lowest_of(coefficients: FloatArray) -> FloatArray:
    """Return where polynomials, coefficients of rising powers along the first axis, are lowest within the nodes."""
    lowest = np.zeros(coefficients.shape[1])
    for first in range(0, len(lowest), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        lowest[part] = _lowest_of_some(coefficients[:, part])
    return lowest


def _lowest_of_some(coefficients: FloatArray) -> FloatArray:
    """Do that for so many that a processor's cache holds them."""
    powers = np.arange(1.0, len(coefficients))[:, None]
    rises = coefficients[1:] * powers
    bends = rises[1:] * powers[:-1]
    step = np.zeros(coefficients.shape[1])
    for _ in range(_NEWTON_STEPS):
        moved, bend = _polynomial(rises, step), _polynomial(bends, step)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a step is cut below
            moved /= bend
            moved[~(bend > 0.0)] = 0.0
            np.clip(np.subtract(step, moved, out=moved), -4.0, 4.0, out=moved)
        settled = bool((np.abs(moved - step) <= _SETTLED).all())
        step = moved
        if settled:
            break
    return step


def _polynomial(coefficients: FloatArray, x: FloatArray) -> FloatArray:
    """Evaluate polynomials, coefficients of rising powers along the first axis, by Horner's rule."""
    value = coefficients[-1].copy()
    for part in coefficients[-2::-1]:
        value *= x
        value += part
    return np.asarray(value)
