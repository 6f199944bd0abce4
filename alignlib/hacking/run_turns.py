"""Turning points of training runs: where gold peaks along the KL of a run's checkpoints, and whether that is noise.

The best of k checkpoints of pure noise lies inside the run, neither first nor last, with probability ``(k - 2)/k``: a
count of inner maxima is to be held against that. A turn is shown where a parabola in ``√KL`` rises at the first
checkpoint and falls at the last, each beyond its error, and so does a line through the checkpoints on each side of its
vertex: gold that only levels off bends a parabola down, but not a line past the bend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_level, as_vector, require

__all__ = ["RunTurns", "TurningPoint", "turning_runs"]

_LEAST = 6  # checkpoints: three coefficients, and three degrees of freedom for the error


@dataclass(frozen=True)
class TurningPoint:
    """The best checkpoint of a run by KL.

    Attributes
    ----------
    kl : float
        Its KL in nats.
    gold : float
        Its gold.
    drop : float
        How far gold falls from it to the checkpoint of most KL.
    inside : bool
        Whether checkpoints of less and of more KL have less gold.
    shown : bool, optional
        Whether a parabola in ``√KL`` rises at the run's start and falls at its end significantly, and lines on either
        side of its vertex do so too; None where the run has fewer than six checkpoints.
    n_points : int
        Its checkpoints.

    Examples
    --------
    >>> kl = np.arange(1.0, 9.0)
    >>> (point,) = turning_runs(kl, 4 * np.sqrt(kl) - kl + 0.01 * np.cos(kl**2), [0] * 8).points
    >>> point.kl, point.inside, point.n_points
    (4.0, True, 8)
    """

    kl: float
    gold: float
    drop: float
    inside: bool
    shown: bool | None
    n_points: int


@dataclass(frozen=True)
class RunTurns:
    """Turning points of all runs.

    Attributes
    ----------
    points : tuple of TurningPoint
        One for each run.
    by_chance : float
        How many inner maxima pure noise would have.

    Examples
    --------
    >>> kl = np.arange(1.0, 9.0)
    >>> found = turning_runs(kl, 4 * np.sqrt(kl) - kl + 0.01 * np.cos(kl**2), [0] * 8)
    >>> len(found.points), found.points[0].shown
    (1, True)
    """

    points: tuple[TurningPoint, ...]
    by_chance: float

    @property
    def inside(self) -> int:
        """Runs whose best checkpoint is neither first nor last by KL."""
        return sum(point.inside for point in self.points)

    @property
    def testable(self) -> int:
        """Runs with enough checkpoints to test."""
        return sum(point.shown is not None for point in self.points)

    @property
    def shown(self) -> int:
        """Runs that are shown to turn down."""
        return sum(point.shown is True for point in self.points)


def turning_runs(kl: npt.ArrayLike, gold: npt.ArrayLike, run: Sequence[object], *, level: float = 0.95) -> RunTurns:
    """Return the turning point of each run, in order of appearance.

    Parameters
    ----------
    kl, gold : array (k,)
        KL in nats, >= 0, and gold score of each checkpoint.
    run : sequence (k,)
        The run each checkpoint belongs to.
    level : float
        Confidence with which a turn counts as shown.

    Raises
    ------
    InputError
        For lengths that differ, or a negative KL.

    Examples
    --------
    >>> kl = np.tile(np.arange(1.0, 9.0), 2)
    >>> noise = 0.01 * np.cos(np.arange(16.0) ** 2)
    >>> gold = np.where(np.arange(16) < 8, 4 * np.sqrt(kl) - kl, np.sqrt(kl)) + noise
    >>> found = turning_runs(kl, gold, [0] * 8 + [1] * 8)
    >>> [point.shown for point in found.points], found.by_chance
    ([True, False], 1.5)

    Source: derived here.
    """
    kls, golds = as_vector("kl", kl), as_vector("gold", gold)
    require(len(run) == kls.size, f"run must name the run of each of the {kls.size} checkpoints; got {len(run)}.")
    labels = np.array([str(label) for label in run])
    points = tuple(
        _turning_point(kls[labels == label], golds[labels == label], level=level)
        for label in dict.fromkeys(labels.tolist())
    )
    return RunTurns(points, sum(max(point.n_points - 2, 0) / point.n_points for point in points))


def _turning_point(kl: npt.ArrayLike, gold: npt.ArrayLike, *, level: float = 0.95) -> TurningPoint:
    """Return the checkpoint of a run with the most gold, and whether gold falls beyond it."""
    kls, golds = as_vector("kl", kl), as_vector("gold", gold)
    require(
        kls.shape == golds.shape, f"kl and gold must have one value per checkpoint; got {kls.size} and {golds.size}."
    )
    require(bool((kls >= 0).all()), f"kl must not be negative; got {kls.min():g}.")
    as_level(level)
    order = np.argsort(kls, kind="stable")
    best = int(golds[order].argmax())
    top, last = float(golds[order][best]), float(golds[order][-1])
    shown = _shown(np.sqrt(kls[order]), golds[order], level) if kls.size >= _LEAST else None
    return TurningPoint(float(kls[order][best]), top, top - last, 0 < best < kls.size - 1, shown, int(kls.size))


def _shown(d: FloatArray, gold: FloatArray, level: float) -> bool:
    """Test the slopes of a parabola at both ends, then of a line on each side of its vertex."""
    if np.ptp(d) == 0.0:
        return False
    u = (d - d.mean()) / np.ptp(d)
    design = np.column_stack([np.ones(u.size), u, u * u])
    inverse = np.linalg.pinv(design.T @ design)
    coefficients = inverse @ (design.T @ gold)
    residual = gold - design @ coefficients
    free = u.size - 3
    quantile = float(scipy.special.stdtrit(free, (1.0 + level) / 2.0))
    noise = float(residual @ residual) / free
    slopes = np.array([[0.0, 1.0, 2.0 * u[0]], [0.0, 1.0, 2.0 * u[-1]]])
    value = slopes @ coefficients
    error = quantile * np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, inverse, slopes) * noise, 0.0))
    if not (value[0] > error[0] and value[1] < -error[1]):
        return False
    vertex = -coefficients[1] / (2.0 * coefficients[2])
    up, down = (_steepness(u[side], gold[side], noise) for side in (u <= vertex, u >= vertex))
    return up > quantile and down < -quantile


def _steepness(u: FloatArray, gold: FloatArray, noise: float) -> float:
    """Return the t statistic of a line's slope, where ``noise`` is the variance of a point; 0 for too few points.

    Where gold never falls the slope of the best line is never negative, whatever the shape.
    """
    spread = float(((u - u.mean()) ** 2).sum()) if u.size > 1 else 0.0
    if spread == 0.0:
        return 0.0
    rise = float((u - u.mean()) @ gold)
    return rise / math.sqrt(noise * spread) if noise > 0.0 else math.copysign(math.inf, rise)
