"""The reward of a run at a KL between its checkpoints: a parabola through those near by, as weights of them.

`noise_memory` tells how far noise goes on from one checkpoint to the next, by what a smoother leaves of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields

__all__ = ["Scatter", "bend_weights", "local_weights", "noise_memory", "scatter_of"]

_MEMORIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_ERRORS_MORE = 0.5  # by simulation of noise of any memory
_SHARE, _FEWEST = 0.6, 7  # of the checkpoints, at least, that a parabola goes through
_FREE = 1.5  # residuals, of which variances can be told


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


def local_weights(kl: FloatArray, at: float) -> tuple[FloatArray, FloatArray]:
    """Return weights w and v with ``Σ w r`` the reward at a KL and ``Σ v r`` its slope in the KL, (k,) each.

    The parabola is drawn in √KL, in which limit and runs are nearly straight, by least squares with tricube weights of
    the distance; of fewer than six different KLs it is a line, of two one through both. ``Σ w = 1`` and ``Σ v = 0``.

    Parameters
    ----------
    kl : array (k,)
        KL of the checkpoints, >= 0, two different ones at least.
    at : float
        KL within their range.

    Returns
    -------
    w, v : array (k,)
        In the order of the checkpoints.

    Examples
    --------
    >>> kl = np.array([0.0, 0.25, 1.0, 2.25, 4.0, 6.25])
    >>> w, v = local_weights(kl, 1.44)
    >>> round(float(w @ (1.0 + 2.0 * np.sqrt(kl) - kl)), 6), round(float(v @ np.sqrt(kl)), 6) == round(0.5 / 1.2, 6)
    (1.96, True)
    """
    (rows,), _, (width,) = _fitted(np.sqrt(kl), np.sqrt([at]), _degree(kl), _FEWEST)
    return rows[0], rows[1] / width / (2.0 * max(math.sqrt(at), 1e-9))


def bend_weights(kl: FloatArray, at: float) -> FloatArray:
    """Return weights d with ``Σ d r`` how far a curve of one degree more lies above the parabola, (k,).

    That is what the course of a run puts between its reward and the parabola; it is 0 where the course is one in √KL.

    Parameters
    ----------
    kl : array (k,)
        KL of the checkpoints, >= 0.
    at : float
        KL within their range.

    Examples
    --------
    >>> kl = np.linspace(0.0, 2.0, 9) ** 2
    >>> d = bend_weights(kl, 1.0)
    >>> abs(float(d @ kl)) < 1e-9, abs(float((d + local_weights(kl, 1.0)[0]) @ kl**1.5) - 1.0) < 1e-9
    (True, True)
    """
    degree = _degree(kl)
    if np.unique(kl).size < degree + 2:
        return np.zeros(kl.size)
    (rows,), _, _ = _fitted(np.sqrt(kl), np.sqrt([at]), degree + 1, _FEWEST + 1)
    return np.asarray(rows[0] - local_weights(kl, at)[0])


@dataclass(frozen=True, eq=False)
class Scatter(SameFields):
    """How far checkpoints scatter around the course of their run.

    Attributes
    ----------
    kl : array (k,)
        Where they are.
    variance : array (k,)
        Variance at each.
    free : array (k,)
        How much of each residual the course leaves.
    law : array (k, k)
        How alike the scatter of any two is.
    alone : array (k,)
        Variance at each if no two were alike.
    """

    kl: FloatArray
    variance: FloatArray
    free: FloatArray
    law: FloatArray
    alone: FloatArray

    def of_sum(self, weights: FloatArray) -> float:
        """Return the variance of a weighted sum of the checkpoints.

        Parameters
        ----------
        weights : array (k,)
            Their weights.
        """
        parts = weights * np.sqrt(self.variance)
        return float(max(parts @ self.law @ parts, parts @ parts))

    def wider(self, at: float) -> float:
        """Return how many times as large as for independent scatter the error of the reward at a KL is.

        Parameters
        ----------
        at : float
            The KL.
        """
        weights = local_weights(self.kl, at)[0]
        return math.sqrt(self.of_sum(weights) / max(float(weights**2 @ self.alone), 1e-300))

    def freedom(self, at: float) -> float:
        """Return the degrees of freedom of the variances near a KL, by Satterthwaite's rule.

        Parameters
        ----------
        at : float
            The KL.
        """
        _, (near,), _ = _fitted(np.sqrt(self.kl), np.sqrt([at]), _degree(self.kl), _FEWEST)
        return max(float((near @ self.free) ** 2 / (near**2 @ self.free**2)), 1.0)


def scatter_of(kl: FloatArray, reward: FloatArray, step: FloatArray | None = None) -> Scatter | None:
    """Return how checkpoints scatter around their course, by residuals near by; None for too few.

    Where a KL is noisy, so is the reward at it, the more the steeper the run is: so the variance is one of the place,
    but nowhere below that of the whole run, for few residuals can be small by chance.

    Parameters
    ----------
    kl : array (k,)
        KL of the checkpoints, >= 0.
    reward : array (k,)
        Their rewards.
    step : array (k,), optional
        Their steps, along which scatter may go on; their order by default.

    Examples
    --------
    >>> kl = np.linspace(0.0, 1.0, 40)
    >>> found = scatter_of(kl, 0.1 * np.random.default_rng(0).standard_normal(40))
    >>> bool(0.05 < np.sqrt(found.variance.mean()) < 0.15), scatter_of(kl[:4], kl[:4]) is None
    (True, True)

    Source: local regression with its degrees of freedom is Cleveland and Devlin's; the floor is ours.
    """
    root, degree = np.sqrt(kl), _degree(kl)
    rows, near, _ = _fitted(root, root, degree, _FEWEST)
    hat = rows[:, 0]
    rest = np.eye(kl.size) - hat
    left = rest @ reward
    free, square = (rest**2).sum(axis=1), left**2
    if kl.size < 5 or free.sum() < _FREE:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        local = near @ square / (near @ free)
    variance = np.fmax(local, square.sum() / free.sum())
    order = np.arange(kl.size) if step is None else np.argsort(step, kind="stable")
    back = np.argsort(order)
    deviation = np.sqrt(np.maximum(variance, 1e-300))
    own = (hat * deviation / deviation[:, None])[np.ix_(order, order)]
    law, wide = noise_memory(own, (left / deviation)[order], np.ones(kl.size, dtype=bool))
    return Scatter(kl, variance * max(wide, 1.0), free, law[np.ix_(back, back)], variance)


def _degree(kl: FloatArray) -> int:
    distinct = np.unique(kl).size
    return 2 if distinct >= 6 else 1


def _fitted(
    root: FloatArray, centres: FloatArray, degree: int, fewest: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return weights of each coefficient around c places, (c, degree + 1, k), those of distances, and their widths."""
    away = np.abs(root - centres[:, None])
    nearest = min(root.size, max(fewest, math.ceil(_SHARE * root.size)))
    width = np.sort(away, axis=1)[:, nearest - 1] * (1.0 + 1e-9)
    distinct = np.unique(root)
    from_distinct, wanted = np.abs(distinct - centres[:, None]), min(degree + 2, distinct.size)
    while (few := (from_distinct < width[:, None]).sum(axis=1) < wanted).any():
        farther = (away >= width[:, None]) & (away > 0.0)  # most checkpoints may be at the place itself
        wider = np.where(farther, away, math.inf).min(axis=1) * (1.0 + 1e-9)
        width = np.where(few, wider, width)
    weight = np.clip(1.0 - (away / width[:, None]) ** 3, 0.0, None) ** 3  # of an infinite width 1
    weight = np.maximum(weight, 1e-6 * (away <= width[:, None]))
    scale = np.where(np.isinf(width), away.max(axis=1), width)
    square_root = np.sqrt(weight)
    powers = ((root - centres[:, None]) / scale[:, None])[:, :, None] ** np.arange(degree + 1)
    return np.linalg.pinv(square_root[:, :, None] * powers) * square_root[:, None, :], weight, scale
