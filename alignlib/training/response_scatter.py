"""How much a checkpoint's mean reward scatters: by the spread of responses under the law that has it, along the run.

Responses do not scatter alike along a run: where a rare penalty is unlearnt, or all are right in the end, hardly at
all; at the start as those of the base. What a run scatters on average tells how many responses its means are of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.estimation import Fit
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.strict_ends import NEIGHBOURS, RESPONSES, responses_of

__all__ = ["ResponseScatter", "response_scatter"]

_PRICES = np.geomspace(0.02, 50.0, 24)  # λ times the deviation of the reward
_MOST = 1 << 16  # samples on which deviations are found
_LEAST = 1e-3  # of the base's deviation: no law that a policy has is all of one reward for sure


@dataclass(frozen=True, eq=False)
class ResponseScatter(SameFields):
    """Deviations of single responses, and what a run's scatter tells of their number.

    Attributes
    ----------
    mean, deviation : array (L,)
        Of tilted laws, the means rising; the deviation over all responses.
    within : array (L,)
        The deviation within prompts: a batch may hold other prompts each time, or all of them always.
    base : float
        The deviation over all responses under the base.
    noise : float, optional
        Scatter of a checkpoint on average; None for short logs.
    typical, typical_within : float
        The root mean squares of these along the run.
    free : float
        Degrees of freedom of the noise.
    fixed : bool
        Whether a few prompts are all that there are, so that each checkpoint has them all.
    due : array (k,)
        The mean of each checkpoint, the most that a policy has at its KL where it is more, and that of the base where
        no policy has so little.
    """

    mean: FloatArray
    deviation: FloatArray
    within: FloatArray
    base: float
    noise: float | None
    typical: float
    typical_within: float
    free: float
    fixed: bool
    due: FloatArray

    def at(self, reward: FloatArray) -> FloatArray:
        """Return the deviation of a response where their mean is ``reward``, (k,).

        Parameters
        ----------
        reward : array (k,)
            Mean rewards.
        """
        return np.maximum(np.interp(reward, self.mean, self.deviation), _LEAST * self.base)

    def of_a_step(self, reward: FloatArray, log: TrainingLog | None = None) -> FloatArray:
        """Return the deviation of a checkpoint of sixteen responses, all of one prompt as the log may not tell, (k,).

        Parameters
        ----------
        reward : array (k,)
            Mean rewards.
        log : TrainingLog, optional
            The checkpoints, where it holds their prompts and responses.
        """
        whole, prompts = self.at(reward), np.ones(reward.size)
        counted = None if log is None else responses_of(log)
        many = np.full(reward.size, float(RESPONSES)) if counted is None else np.maximum(counted, 1.0)
        if log is not None and log.per_prompt is not None:
            prompts = np.maximum(np.bincount(log.per_prompt.checkpoint, minlength=reward.size), 1.0)
        if self.fixed:
            return np.asarray(whole / np.sqrt(many))
        within = np.minimum(np.interp(reward, self.mean, self.within), whole)
        return np.asarray(np.sqrt((whole**2 - within**2) / prompts + within**2 / many))

    def between(self, reward: FloatArray) -> FloatArray:
        """Return the deviation of prompts' means where the mean of all is ``reward``, over that of the base, (k,).

        Parameters
        ----------
        reward : array (k,)
            Mean rewards.
        """
        square = np.maximum(self.deviation**2 - self.within**2, 0.0)
        own = np.interp(np.append(reward, self.centre), self.mean, np.sqrt(square))
        return np.asarray(own[:-1] / own[-1]) if own[-1] > 0.0 else np.ones(reward.size)

    def noise_at(self, reward: FloatArray) -> FloatArray:
        """Return the scatter of a checkpoint's mean where their mean is ``reward``, (k,); 0 where not known.

        Parameters
        ----------
        reward : array (k,)
            Mean rewards.
        """
        kinds, noise = ((self.deviation, self.typical), (self.within, self.typical_within)), self.noise or 0.0
        parts = [np.maximum(np.interp(reward, self.mean, own), _LEAST * self.base) / usual for own, usual in kinds]
        # Few samples tilted far are nearly all alike, where the policy's responses are not: no ratio tells more than
        # that the means of so few responses as any has scatter no more than these.
        return np.asarray(np.minimum(noise * np.maximum(*parts), np.maximum(noise, self.of_a_step(reward))))

    @property
    def centre(self) -> float:
        """The mean under the base."""
        return float(self.mean[self.mean.size // 2])

    @property
    def responses(self) -> float:
        """How many responses a mean is of, at least sixteen."""
        return max(float(RESPONSES), (self.typical / self.noise) ** 2) if self.noise else float(RESPONSES)


def response_scatter(
    log: TrainingLog, fit: Fit, gain: FloatArray, allowed: FloatArray, noise: float | None
) -> ResponseScatter:
    """Return how much the means of a run scatter.

    Parameters
    ----------
    log : TrainingLog
        The runs.
    fit : Fit
        Their limit.
    gain, allowed : array (k,)
        Gain of each checkpoint, and the most that a policy gains at its KL: no more is due to a policy. What is less
        than the law tilted downwards has at that KL is of another scale, and scatters as the least do not.
    noise : float, optional
        Scatter of a checkpoint on average; None for short logs.
    """
    mean, whole, within, spent, base = _tilted(fit)
    centre = mean.size // 2
    least = np.interp(log.ends[1], spent[centre::-1], mean[centre::-1])
    due = mean[centre] + np.minimum(gain, allowed)
    due = np.where(due < least, mean[centre], due)
    second = sum(max(int((log.run == name).sum()) - 2, 0) for name in log.runs)
    usual, free = [], []
    for kind in (whole, within):
        own = np.maximum(np.interp(due, mean, kind), _LEAST * base)
        top = float(own.max()) or 1.0
        square = (own / top) ** 2 if own.any() else np.ones(own.size)  # of any unit
        usual.append(top * math.sqrt(float(square.mean())))
        free.append(second * float(square.sum() ** 2 / (square**2).sum()) / square.size / NEIGHBOURS)
    fewest = max(min(free), 1.0)
    return ResponseScatter(mean, whole, within, base, noise, usual[0], usual[1], fewest, fit.fixed_prompts, due)


def _tilted(fit: Fit) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]:
    """Return mean, deviation over all responses and within prompts and KL of tilted laws, the base's in the middle."""
    table = fit.table
    every = max(math.ceil(int(table.n_samples.sum()) / _MOST), 1)
    sizes, start = table.n_samples[::every], table.offsets[:-1][::every]
    rows = np.concatenate(
        [np.arange(one, one + size) for one, size in zip(start.tolist(), sizes.tolist(), strict=True)]
    )
    values, first = table.column(fit.reward)[rows], np.append(0, np.cumsum(sizes)[:-1])
    base = float(values.std())
    prices = np.concatenate([-_PRICES[::-1], [0.0], _PRICES]) / (base or 1.0)
    mean, deviation, within, spent = (np.empty(prices.size) for _ in range(4))
    for i, price in enumerate(prices.tolist()):
        top = np.maximum.reduceat(price * values, first)
        weight = np.exp(price * values - np.repeat(top, sizes))
        total = np.add.reduceat(weight, first)
        each = np.add.reduceat(weight * values, first) / total
        mean[i] = each.mean()
        square = np.add.reduceat(weight * (values - mean[i]) ** 2, first) / total
        deviation[i] = math.sqrt(float(square.mean()))
        within[i] = math.sqrt(max(float((square - (each - mean[i]) ** 2).mean()), 0.0))
        spent[i] = float((price * each - top - np.log(total / sizes)).mean())
    return np.maximum.accumulate(mean), deviation, within, spent, base
