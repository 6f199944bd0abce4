"""Ends that an honest run practically never leaves: what it takes to call a point impossible, or a start another one.

An interval of 95 % is left by one point in forty on either side, and a run has a dozen. Rewards of few levels, such as
right and wrong, may all be alike in a few samples, which then show no spread at all: there ends are those of binomial
means (Clopper and Pearson's), and the limit is that of samples with one more of the largest reward on each prompt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields
from alignlib.tables import RewardTable
from alignlib.training.logs.training_log import TrainingLog

__all__ = ["NEIGHBOURS", "RESPONSES", "Levels", "few_levels", "responses_of", "strict_quantile", "student_reach"]

NEIGHBOURS = 1.94  # second differences of noise go together: so many tell as much as one by itself
RESPONSES = 16  # of a checkpoint at least, where the log does not tell
_ACCUSED = 1e-3  # chance that an honest run is accused
_FEW = 16  # levels of a reward, of which samples may well be all alike
_DRAWS, _LEAST, _AT_ONCE = 1000, 64, 400_000
_PRICES = np.geomspace(0.02, 200.0, 48)  # λ times the range of the reward
_SEED = 0  # of the draws: an end belongs to its table
_LARGEST = 50_000  # counts, of more of which the normal law is good enough


def strict_quantile(points: int) -> float:
    """Return the quantile in standard errors that practically no honest run of so many points passes.

    Parameters
    ----------
    points : int
        How many are looked at.
    """
    return float(-scipy.special.ndtri(_ACCUSED / 2.0 / max(points, 1)))


def student_reach(z: float, df: npt.ArrayLike) -> FloatArray:
    """Return the quantile of Student's law at the chance that ``z`` has under the normal one.

    Parameters
    ----------
    z : float
        Standard errors.
    df : float or array
        Degrees of freedom, infinite for the normal law.

    Examples
    --------
    >>> student_reach(1.96, [1.0, 1e9, np.inf]).round(1).tolist()
    [12.7, 2.0, 2.0]
    """
    free = np.minimum(np.asarray(df, dtype=np.float64), 1e9)
    return np.asarray(-scipy.special.stdtrit(free, scipy.special.ndtr(-z)))


@dataclass(frozen=True, eq=False)
class Levels(SameFields):
    """A reward of few levels in the base samples.

    Attributes
    ----------
    level : array (L,)
        The levels, increasing.
    count : array (prompts, L)
        How often each prompt has each.
    """

    level: FloatArray
    count: FloatArray

    def within(self, reward: FloatArray) -> BoolArray:
        """Say which mean rewards lie between the ends.

        Parameters
        ----------
        reward : array (k,)
            Mean rewards.
        """
        return np.asarray((reward >= self.level[0]) & (reward <= self.level[-1]))

    def least_error(self, reward: npt.ArrayLike, responses: npt.ArrayLike) -> FloatArray:
        """Return the least standard error of means of two levels, one of either more allowed for; 0 of more levels.

        Parameters
        ----------
        reward : array (k,)
            Mean rewards.
        responses : array (k,)
            How many each is the mean of.
        """
        if self.level.size > 2:
            return np.zeros(np.shape(reward))
        many, size = np.asarray(responses, dtype=np.float64), float(self.level[1] - self.level[0])
        part = np.clip((np.asarray(reward) - self.level[0]) / size, 0.0, 1.0)
        part = (many * part + 1.0) / (many + 2.0)
        return np.asarray(size * np.sqrt(part * (1.0 - part) / many))

    def arms(self, reward: FloatArray, responses: FloatArray, z: float) -> tuple[FloatArray, FloatArray]:
        """Return how far below and above a mean of so many responses the mean of their law may lie.

        Of all laws between two ends that of the ends alone scatters most: so this is Clopper and Pearson's.

        Parameters
        ----------
        reward : array (k,)
            Mean rewards between the ends.
        responses : array (k,)
            How many each is the mean of.
        z : float
            The chance of either side, in standard errors.

        Returns
        -------
        below, above : array (k,)
            In units of the reward.

        Examples
        --------
        >>> found = Levels(np.array([0.0, 1.0]), np.ones((1, 2)))
        >>> below, above = found.arms(np.array([1.0]), np.array([60.0]), 1.96)
        >>> round(1.0 - float(below[0]), 3), float(above[0])
        (0.94, 0.0)
        """
        low, size = float(self.level[0]), float(self.level[-1] - self.level[0])
        part = np.clip((reward - low) / size, 0.0, 1.0)
        tail = float(scipy.special.ndtr(-z))
        right, wrong = responses * part, responses * (1.0 - part)
        least = np.where(right > 0.0, scipy.special.betaincinv(np.fmax(right, 1e-12), wrong + 1.0, tail), 0.0)
        most = np.where(wrong > 0.0, 1.0 - scipy.special.betaincinv(np.fmax(wrong, 1e-12), right + 1.0, tail), 1.0)
        return size * np.maximum(part - least, 0.0), size * np.maximum(most - part, 0.0)

    def most_reward(self, kl: FloatArray, resampled: bool) -> FloatArray:
        """Return mean rewards that no policy exceeds at each KL, practically whatever the law of the samples, (k,).

        Weights of the samples are drawn as gaps of ordered uniform numbers, with one sample more at the largest reward:
        for a single prompt of zeros and ones, Clopper and Pearson's end; of several it lies further out.

        Parameters
        ----------
        kl : array (k,)
            In nats, on average over prompts.
        resampled : bool
            Whether prompts stand for others, which the run may have had.

        Examples
        --------
        >>> always = Levels(np.array([0.0, 1.0]), np.array([[1.0, 7.0]]))
        >>> bool(0.9 < always.most_reward(np.zeros(1), False)[0] <= 1.0)
        True
        """
        rng = np.random.default_rng(_SEED)
        draws = int(np.clip(_AT_ONCE // self.count.size, _LEAST, _DRAWS))
        counts = self.count + np.eye(self.level.size)[-1]
        if resampled:
            weight = rng.multinomial(len(counts), np.full(len(counts), 1.0 / len(counts)), size=draws) / len(counts)
        else:
            weight = np.full((draws, len(counts)), 1.0 / len(counts))
        part = (self.level - self.level[0]) / (self.level[-1] - self.level[0])
        gaps = rng.standard_gamma(np.broadcast_to(counts, (draws, *counts.shape)))
        total = gaps.sum(axis=2)
        most = np.ones((draws, kl.size))
        for price in _PRICES.tolist():  # any λ bounds the reward by the dual, the best one nearly attains it
            worth = np.log(np.maximum(gaps @ np.exp(price * (part - 1.0)), 1e-300) / total)
            most = np.minimum(most, 1.0 + (kl + (weight * worth).sum(axis=1)[:, None]) / price)
        return np.asarray(self.level[0] + (self.level[-1] - self.level[0]) * most.max(axis=0))


def few_levels(table: RewardTable, column: str) -> Levels | None:
    """Return the levels of a reward that has few, with their counts; None for one of many, or of one only.

    Parameters
    ----------
    table : RewardTable
        Samples of the base.
    column : str
        The reward.
    """
    values = table.column(column)
    level, code = np.unique(values, return_inverse=True)
    if not 1 < level.size <= _FEW or not math.isfinite(float(level[-1] - level[0])):
        return None
    prompt = np.repeat(np.arange(table.n_prompts), table.n_samples)
    if table.n_prompts * level.size > _LARGEST:
        return None
    count = np.bincount(prompt * level.size + code, minlength=table.n_prompts * level.size)
    return Levels(level, count.reshape(table.n_prompts, level.size).astype(np.float64))


def responses_of(log: TrainingLog) -> FloatArray | None:
    """Return how many responses each mean reward is of, (k,), where the log holds them; else None.

    Parameters
    ----------
    log : TrainingLog
        The runs.
    """
    if log.per_prompt is None:
        return None
    return np.asarray(np.bincount(log.per_prompt.checkpoint, log.per_prompt.count, log.kl.size), dtype=np.float64)
