"""The frontier by its dual form, from log-partition functions tabulated on a grid of λ."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["lam_grid", "minimise_dual"]

_POINTS_PER_DECADE = 16
_AT_MOST = 0.01  # of the gain lies between two points of the grid, also where a curve has kinks and is no polynomial
_SETTLED = 1e-9  # of a point of the grid: Newton's next step would be its square
_NODES = np.arange(-4.0, 5.0)
_INTERPOLATE = np.linalg.inv(np.vander(_NODES, increasing=True))


def lam_grid(scale: float, low: float = 1e-2, high: float = 1e4) -> FloatArray:
    """Return geometric λ from ``low / scale`` to ``high / scale``; ``scale`` is a typical spread of reward."""
    decades = np.log10(high / low)
    return np.geomspace(low, high, round(decades * _POINTS_PER_DECADE) + 1) / scale


def minimise_dual(
    lam: FloatArray, log_partition: FloatArray, limit: FloatArray, kl: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the gain ``min_λ (Δ + Λ(λ))/λ`` at each budget Δ, and the λ that attains it.

    ``lam`` is geometric, shape (L,); ``log_partition`` holds centred Λ, shape (..., L); ``limit``, shape
    (...,), is the largest gain, reached at λ = ∞; ``kl`` has shape (K,) or (..., K). Both results have shape
    (..., K).
    Between grid points the minimum is that of the polynomial in log λ through the nine nearest points. Below
    the KL of the first, Λ is continued as ``λ²(a + bλ)``.

    Source: theory of the KL-regularised optimum, dual form (Y24, P26).

    >>> lam = lam_grid(1.0)
    >>> gain, best = minimise_dual(lam, lam**2 / 2, np.array(np.inf), np.array([0.5, 2.0]))
    >>> np.round(gain, 7).tolist(), np.round(best, 3).tolist()
    ([1.0, 2.0], [1.0, 2.0])
    """
    log_partition = np.asarray(log_partition, dtype=np.float64)
    curvature = log_partition[..., :2] / lam[:2] ** 2
    slope = np.diff(curvature, axis=-1) / (lam[1] - lam[0])
    start = curvature[..., :1] - slope * lam[0]
    first_kl = lam[0] ** 2 * (start + 2.0 * slope * lam[0])
    budget = np.maximum(kl, first_kl)
    inverse = 1.0 / lam
    objective = budget[..., :, None] * inverse
    objective += (log_partition * inverse)[..., None, :]
    at = np.clip(np.argmin(objective, axis=-1), 4, len(lam) - 5)
    near = np.take_along_axis(objective, at[..., None] + _NODES.astype(np.int64), axis=-1)
    # Coefficients of rising powers, those of the first derivative and of the second; one power is one array.
    coefficients = np.ascontiguousarray(np.moveaxis(near @ _INTERPOLATE.T, -1, 0))
    powers = np.arange(9.0).reshape(-1, *[1] * at.ndim)
    first = coefficients[1:] * powers[1:]
    second = first[1:] * powers[1:-1]
    step = np.zeros(at.shape)
    for _ in range(6):
        bend = _polynomial(second, step)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a step is cut below
            move = np.where(bend > 0, _polynomial(first, step) / bend, 0.0)
        before, step = step, np.clip(step - move, -4.0, 4.0)
        if bool((np.abs(step - before) <= _SETTLED).all()):
            break
    lowest = near.min(axis=-1)
    gain = np.clip(_polynomial(coefficients, step), lowest - _AT_MOST * np.abs(lowest), lowest)
    best = lam[at] * (lam[1] / lam[0]) ** step
    at_limit = gain >= limit[..., None]
    gain = np.where(at_limit, limit[..., None], gain)
    best = np.where(at_limit, np.inf, best)
    small = kl < first_kl
    root = np.sqrt(np.divide(kl, start, out=np.zeros_like(gain), where=small & (start > 0.0)))
    tilt = slope * root
    gain = np.where(small, root * (2.0 * start + tilt), gain)
    return gain, np.where(small, root * np.divide(start, start + tilt, out=np.ones_like(gain), where=start > 0.0), best)


def _polynomial(coefficients: FloatArray, x: FloatArray) -> FloatArray:
    """Evaluate polynomials, coefficients of rising powers along the first axis, by Horner's rule."""
    value: FloatArray = coefficients[-1].copy()
    for coefficient in coefficients[-2::-1]:
        value *= x
        value += coefficient
    return value
