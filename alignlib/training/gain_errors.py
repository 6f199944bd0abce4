"""The error of a point's gain, and of its KL: over prompts, or by the scatter of checkpoints along the run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.estimation import EstimatedFrontier, Fit
from alignlib.training.kl_course import beside
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.response_scatter import ResponseScatter
from alignlib.training.run_base import error_of_these
from alignlib.training.run_prompts import pair_prompts
from alignlib.training.strict_ends import NEIGHBOURS, few_levels, responses_of, student_reach

__all__ = ["GainErrors", "distance_to_limit", "kl_error", "noise_near", "noise_of_distance"]

_TOLD = 0.1  # of the largest KL: of less the scatter is another
_FEWEST = 3  # second differences that tell a noise


@dataclass(frozen=True, eq=False)
class GainErrors(SameFields):
    """What is needed to tell the error of a gain over the base.

    Attributes
    ----------
    log : TrainingLog
        The runs.
    fit : Fit
        Their limit.
    noise : float, optional
        Scatter of one checkpoint's distance to the limit; None for short logs.
    base_error : float
        Standard error of the base's mean reward.
    paired : bool
        Whether gains are over the base's mean on the run's own prompts.
    scatter : ResponseScatter
        How much means scatter where the log does not hold what they are of.
    near : array (checkpoints,)
        How much of the noise each checkpoint's own part of the run has, 1 at least.
    slope : bool
        Whether an error of the KL counts by the slope of the limit, as it does for share and waste.
    """

    log: TrainingLog
    fit: Fit
    noise: float | None
    base_error: float
    paired: bool
    scatter: ResponseScatter
    near: FloatArray
    slope: bool = True

    def of_gain(self, gain: FloatArray) -> GainErrors:
        """Return the errors of gains by themselves, as these are those of a distance to the limit.

        The log-ratio of a response rises with its reward, so the errors of a KL and a reward of the same responses
        cancel in the distance, and an error of the KL by itself counts there only.

        Parameters
        ----------
        gain : array (checkpoints,)
            Gain of each checkpoint over the base.
        """
        noise = self.noise if (own := self.log.noise(gain)) is None else own  # too short, beside longer runs
        return replace(self, noise=noise, near=noise_near(self.log, gain), slope=False)

    def reach(self, points: TrainingLog, width: int, z: float) -> FloatArray:
        """Return half the width of the interval of each point's gain, (k,).

        A dozen checkpoints tell little of their noise, by Student's law, and it may grow along the run, as prompts come
        apart that have been learnt and that have not; but no more is needed than sixteen responses scatter.

        Parameters
        ----------
        points : TrainingLog
            Means of checkpoints.
        width : int
            How many each is the mean of.
        z : float
            Standard errors of an interval by the normal law.
        """
        error, free = self.of(points, width)
        if self.paired or self.noise is None:
            return np.asarray(student_reach(z, free) * error if self.paired else z * error)
        usual = z * self.noise * replace(self.log, reward=self.near).pooled(width).reward
        most = z * self.scatter.of_a_step(points.reward)
        noise = np.maximum(usual, np.minimum(usual / z * student_reach(z, free), most)) / math.sqrt(width)
        return np.asarray(np.hypot(z * self.base_error, noise))

    def of(self, points: TrainingLog, width: int) -> tuple[FloatArray, FloatArray]:
        """Return the standard error of the gain of points, and its degrees of freedom, (k,) each.

        Over prompts, where these stand for others, an error of the KL taken in by the slope of the limit; where a few
        prompts are all that the limit is of, how they differ is no error, and their responses scatter along the run.

        Parameters
        ----------
        points : TrainingLog
            Means of checkpoints.
        width : int
            How many each is the mean of.

        Returns
        -------
        error : array (k,)
            In units of the reward.
        free : array (k,)
            Degrees of freedom of that.
        """
        size, noise = points.kl.size, (self.noise or 0.0) / math.sqrt(width)
        along, free = np.full(size, math.hypot(self.base_error, noise)), np.full(size, self._freedom)
        if not self.paired:
            return along, free
        if self.fit.fixed_prompts and self.noise is not None:
            own = np.full(size, math.hypot(error_of_these(self.fit.table, self.fit.reward), noise))
        else:
            own, free = self._over_prompts(points, along)
        levels = few_levels(self.fit.table, self.fit.reward)
        if levels is not None:
            many = responses_of(points)
            own = own if many is None else np.maximum(own, levels.least_error(points.reward, many))
        return own, free

    def _over_prompts(self, points: TrainingLog, along: FloatArray) -> tuple[FloatArray, FloatArray]:
        pairs, _, _ = pair_prompts(points, self.fit.table, self.fit.reward)
        everything = np.full(along.size, np.inf)
        if pairs is None:
            return along, everything
        lam = self.fit.at(np.maximum(points.kl, 0.0), strict=False).lam
        steep = (lam > 0.0) & (points.kl > 0.0) & self.slope
        own, free = pairs.errors(np.where(steep, 1.0 / np.maximum(lam, 1e-300), 0.0))
        return np.where(np.isfinite(own), own, along), np.where(np.isfinite(own), free, everything)

    @property
    def _freedom(self) -> float:
        second = sum(max(int((self.log.run == name).sum()) - 2, 0) for name in self.log.runs)
        return max(second / NEIGHBOURS, 1.0)


def kl_error(log: TrainingLog, points: TrainingLog, width: int) -> FloatArray:
    """Return the standard error of each point's KL, (k,): over prompts, or by its scatter, which grows with the KL.

    The mean log-ratio (k1) scatters as the root of the KL, k3 or a KL over other prompts each time as the KL itself:
    the larger of both is taken, around the mean of a point and its neighbours, for a KL that is small by chance
    scatters no less.

    Parameters
    ----------
    log : TrainingLog
        The run.
    points : TrainingLog
        Means of its checkpoints.
    width : int
        How many each is the mean of.
    """
    if points.per_prompt is not None:
        return np.nan_to_num(points.per_prompt.errors(points.kl.size)[0])
    own, told = np.maximum(points.kl, 0.0), log.kl > _TOLD * log.kl.max()
    level = np.maximum(own, beside(own, 1))
    as_kl = log.noise(np.log(np.where(told, log.kl, np.nan))) or 0.0
    as_root = log.noise(2.0 * np.sqrt(np.maximum(log.kl, 0.0))) or 0.0
    return np.asarray(np.maximum(as_kl * level, as_root * np.sqrt(level)) / math.sqrt(width))


def noise_near(log: TrainingLog, values: FloatArray) -> FloatArray:
    """Return the noise of the half of the run that is nearest to each checkpoint beside that of all, 1 at least, (k,).

    Parameters
    ----------
    log : TrainingLog
        One run.
    values : array (k,)
        Of each checkpoint: its gain, or its distance to the limit.
    """
    second = np.diff(values, 2)
    place = np.flatnonzero(np.isfinite(second))
    square, size = second[place] ** 2, max(math.ceil(place.size / 2), _FEWEST)
    if place.size < size or not square.any():
        return np.ones(log.kl.size)
    away = np.abs(np.arange(log.kl.size)[:, None] - 1 - place)
    near = square[np.argsort(away, axis=1, kind="stable")[:, :size]].mean(axis=1)
    return np.asarray(np.sqrt(np.maximum(near / square.mean(), 1.0)))


def noise_of_distance(log: TrainingLog, gain: FloatArray, frontier: EstimatedFrontier) -> float | None:
    """Return the standard deviation of a checkpoint's distance to the limit: noise of reward and of KL together.

    An error dK of the KL moves the limit by its slope times dK, so that share and waste depend on this distance only.

    Parameters
    ----------
    log : TrainingLog
        The runs.
    gain : array (k,)
        Gain of each checkpoint over the base.
    frontier : EstimatedFrontier
        Their limit.

    Returns
    -------
    float or None
        In units of the reward; None for short logs.
    """
    both = log.noise(distance_to_limit(log, gain, frontier))
    alone = log.noise()
    if both is None or alone is None or log.kl_low is None:
        return alone if both is None else both
    return max(both, alone)  # where the KL is not told, neither is the slope at it


def distance_to_limit(log: TrainingLog, gain: FloatArray, frontier: EstimatedFrontier) -> FloatArray:
    """Return how far each checkpoint lies from the limit, NaN beyond it, (k,).

    Parameters
    ----------
    log : TrainingLog
        The runs.
    gain : array (k,)
        Gain of each checkpoint over the base.
    frontier : EstimatedFrontier
        Their limit.
    """
    root = np.sqrt(np.clip(log.kl, 0.0, None))
    limit = np.interp(root, np.sqrt(frontier.spent), frontier.gain)
    return np.where(log.kl <= frontier.spent[-1], gain - limit, np.nan)
