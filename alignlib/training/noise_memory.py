"""How far noise goes on from one checkpoint to the next, told by what a smoother leaves of it."""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray

__all__ = ["noise_memory"]

_MEMORIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_ERRORS_MORE = 0.5  # by simulation of noise of any memory


def noise_memory(hat: FloatArray, rest: FloatArray, told: BoolArray) -> tuple[FloatArray, float]:
    """Return how alike the noise of any two checkpoints is, and the variance of one's.

    What goes on looks like the course and leaves little of itself in the residuals. So the noise is taken for one of
    the first order whose residuals would be as alike from one to the next as these, by half a standard error more.

    Parameters
    ----------
    hat : array (k, k)
        The smoother, of values in units of their noise, in the order of steps.
    rest : array (k,)
        Residuals, in the same unit and order.
    told : array of bool (k,)
        Which of these count.

    Returns
    -------
    law : array (k, k)
        Correlations.
    variance : float
        In units of the noise.

    Examples
    --------
    >>> rng, mean = np.random.default_rng(0), np.full((200, 200), 1.0 / 200.0)
    >>> walk = np.convolve(rng.standard_normal(800), 0.8 ** np.arange(40), "valid")[:200]
    >>> [bool(noise_memory(mean, x - x.mean(), x > -9.0)[0][0, 1] > 0.6) for x in (walk, rng.standard_normal(200))]
    [True, False]

    Source: moments of residuals, corrected for what a smoother takes; the margin is ours.
    """
    size, left = rest.size, np.eye(rest.size) - hat
    pairs = told[1:] & told[:-1]
    square = float((rest[told] ** 2).sum())
    alike = _ERRORS_MORE / math.sqrt(max(int(told.sum()), 1))
    if square > 0.0:
        alike += float((rest[1:] * rest[:-1])[pairs].sum()) / square
    away = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    law, free = np.eye(size), float(told.sum())
    for memory in _MEMORIES:
        law = memory ** away.astype(np.float64)
        seen = left @ law @ left.T
        free = float(np.diagonal(seen)[told].sum())
        if np.diagonal(seen, 1)[pairs].sum() >= alike * free:
            break
    return law, square / max(free, 1e-300)
