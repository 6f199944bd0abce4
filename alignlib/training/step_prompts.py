"""Of how many prompts a step of a run is, at least, and how far the mean of so few lies from that of all by chance."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.estimation import Fit
from alignlib.training.logs.training_log import TrainingLog

__all__ = ["SEVERAL", "StepPrompts"]

SEVERAL = 3  # prompts
_NEAR = 0.25  # nats: training has hardly changed yet how much prompts differ
_MOST, _FEWEST = 32, 4  # checkpoints that tell of how many prompts they are
_PLAINLY = 3.0
_REJECTED = 1e-3  # chance that so many prompts scatter so little
_SIMULATED, _DRAWN = 4_000, 200_000
_SEED = 0  # of the draws: an answer belongs to its table and log


@dataclass(frozen=True, eq=False)
class StepPrompts(SameFields):
    """The table's prompts, of which a step of a run takes some.

    A log of means does not tell of how many. Steps of one prompt each scatter as these do, so that a log which scatters
    far less is of more; a rare kind of prompts need not show in it, which is why the prompts themselves are drawn from,
    and no normal law is taken for them.

    Attributes
    ----------
    means : array (prompts,)
        Mean reward of each prompt of the base samples.
    apart : float
        How far their responses lie apart at most.
    least : float
        Prompts of a step at least; infinite where steps are known to be of the table's prompts.

    Examples
    --------
    >>> few = StepPrompts(np.array([0.0] * 19 + [1.0]), 1.0, 1.0)
    >>> few.reach(1, 0.01)[1].round(2), few.reach(1, 0.01, of=4).round(2).tolist()
    (np.float64(0.95), [0.05, 0.45])
    """

    means: FloatArray
    apart: float
    least: float

    @classmethod
    def of(cls, log: TrainingLog, fit: Fit, *, known: bool) -> StepPrompts:
        """Return those of a run.

        Parameters
        ----------
        log : TrainingLog
            The run.
        fit : Fit
            Its reward, fitted on samples of its base.
        known : bool
            Whether its steps are known to be of the table's prompts.
        """
        values = fit.table.column(fit.reward)
        means, apart = np.add.reduceat(values, fit.table.offsets[:-1]) / fit.table.n_samples, float(np.ptp(values))
        if known or means.size == 1:
            return cls(means, apart, math.inf)
        if log.per_prompt is not None:
            held = log.per_prompt
            names = np.unique(held.prompt.astype(str), return_inverse=True)[1]
            pairs = np.unique(np.stack([held.checkpoint, names]), axis=1)
            return cls(means, apart, float(np.bincount(pairs[0], minlength=log.kl.size).min()))
        return cls(means, apart, _least(means, log))

    def reach(self, steps: int, chance: float, of: int = 1) -> FloatArray:
        """Return how far the mean of so many steps lies below and above that of all prompts, with that chance each.

        Parameters
        ----------
        steps : int
            How many steps.
        chance : float
            That it lies further, on either side.
        of : int
            How many prompts a step is of, where that is more than is known.
        """
        if math.isinf(self.least):
            return np.zeros(2)
        return _reach(self.means.tobytes(), int(steps * max(self.least, of)), chance)

    def explain(self, excess: FloatArray, width: int, chance: float) -> bool:
        """Say whether prompts drawn by chance may lift points so far: all, the first or the last half of them.

        They do not where the first two both lie beyond every prompt of the table, nor where a single point lies beyond
        by several times what all of the table's responses lie apart.

        Parameters
        ----------
        excess : array (k,)
            By how much the points of a run lie above what its policy can have, in order.
        width : int
            Steps of a point.
        chance : float
            Below which they do not.
        """
        half = (excess.size + 1) // 2
        if float(excess.max()) > _PLAINLY * self.apart:
            return False
        if excess.size > 1 and float(excess[:2].min()) > float(self.means.max() - self.means.mean()):
            return False
        parts = (excess, excess[:half], excess[-half:])
        return all(float(one.mean()) <= self.reach(one.size * width, chance)[1] for one in parts)

    def further(self, over: int, of: int) -> float:
        """Return the chance that so many of so many steps lie beyond all prompts of the table, whatever their law.

        Of prompts drawn alike any are the furthest with the same chance.

        Parameters
        ----------
        over : int
            How many do.
        of : int
            Of how many steps.
        """
        if math.isinf(self.least):
            return 0.0
        place = np.arange(over)
        return float(np.prod((of - place) / (self.means.size + of - place)))


@functools.lru_cache(maxsize=64)
def _reach(means: bytes, size: int, chance: float) -> FloatArray:
    values = np.frombuffer(means)
    draws = np.random.default_rng(_SEED).choice(values, (max(_DRAWN // size, 2 * math.ceil(1.0 / chance)), size))
    low, high = np.quantile(draws.mean(axis=1), [chance, 1.0 - chance]) - values.mean()
    return np.array([max(-float(low), 0.0), max(float(high), 0.0)])


def _least(means: FloatArray, log: TrainingLog) -> float:
    """Return the least number of prompts a step whose scatter may well be as small as the log's is near the base."""
    near = np.flatnonzero((np.abs(log.kl) <= _NEAR) & (log.run == log.run[0]))
    near = near[np.argsort(log.step[near], kind="stable")][:_MOST]
    second = np.diff(log.reward[near], 2)
    if second.size < _FEWEST:
        return 1.0
    seen, rng = float((second**2).sum()), np.random.default_rng(_SEED)
    least, draws = 1, rng.choice(means, (_SIMULATED, near.size))
    while least < _MOST:
        found = (np.diff(draws, 2, axis=1) ** 2).sum(axis=1)
        if float((found <= seen).mean()) >= _REJECTED:
            break
        # Twice as many prompts: the mean of what was drawn and of as many others.
        draws = 0.5 * (draws + rng.permuted(draws, axis=0))
        least *= 2
    return float(least)
