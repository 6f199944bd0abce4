"""What the few prompts of a run's steps do by chance: how far their mean lies from that of all, and how they scatter.

A log of means does not tell of how many prompts a step is. Single prompts of the table, drawn for each step, lie as far
from the mean of all as the table's do, and scatter as they do: where a log lies that far off and yet scatters that
little, its steps are of more prompts or it is no chance. Both are looked at together, for one prompt a step, for two,
four and so on, by few responses or many, and no normal law is taken for prompts, of which a kind may be rare.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation import Fit
from alignlib.tables import RewardTable
from alignlib.training.logs.training_log import TrainingLog

__all__ = ["SEVERAL", "StepPrompts", "deviation_within"]

SEVERAL = 3  # prompts
_PLAINLY, _SURE = 3.0, 4.0  # times, and standard errors
_RESPONSES = (4.0, 16.0, 64.0)  # of a prompt: groups are seldom smaller
_STILL_APART = 0.3  # of how far prompts lay apart at the base: of less their scatter tells little
_MOST, _FEWEST = 32, 2  # points that are drawn, and second differences that tell
_PROMPTS = (1, 2, 4, 8, 16, 32)
_DRAWN = 10_000
_SEED = 0  # of the draws: an answer belongs to its table and log


@dataclass(frozen=True, eq=False)
class StepPrompts(SameFields):
    """The table's prompts, of which each point of a run takes some.

    Attributes
    ----------
    means : array (prompts,)
        Mean reward of each prompt of the base samples.
    apart : float
        How far their responses lie apart at most.
    within : float
        The deviation of the responses of one prompt, of which a step has four at least, or more.
    course : array (k,)
        What the points of the run have, in order, beside what a policy may have at their KL.
    scatter : array (k - 2,)
        Its second differences, each over how far prompts lie apart there beside the base; NaN where that is too little.
    width : int
        Steps of a point.
    prompts : float, optional
        Prompts of a step, if that is known; infinite where each is set beside itself.
    fixed : bool
        Whether the table's prompts are all that there are.

    Examples
    --------
    >>> means = np.array([0.0] * 19 + [1.0])
    >>> quiet, loud = (StepPrompts.plain(means, np.array(course)) for course in ([0.9] * 12, [0.9, 0.0] * 6))
    >>> first = np.arange(12) == 0
    >>> quiet.reach(first, 0.01)[1] < loud.reach(first, 0.01)[1]
    np.True_
    """

    means: FloatArray
    apart: float
    within: float
    course: FloatArray
    scatter: FloatArray
    width: int
    prompts: float | None
    fixed: bool = False

    @classmethod
    def of(
        cls, points: TrainingLog, fit: Fit, course: FloatArray, between: FloatArray, width: int, *, known: bool
    ) -> StepPrompts:
        """Return those of one run.

        Parameters
        ----------
        points : TrainingLog
            Its points.
        fit : Fit
            Its reward, fitted on samples of its base.
        course : array (k,)
            The gain of each, less what a policy may have at its KL.
        between : array (k,)
            How far prompts lie apart there, beside the base: training changes it.
        width : int
            Steps of a point.
        known : bool
            Whether prompts are set beside themselves.
        """
        values = fit.table.column(fit.reward)
        means = np.add.reduceat(values, fit.table.offsets[:-1]) / fit.table.n_samples
        prompts = math.inf if known or means.size == 1 else None
        if prompts is None and points.per_prompt is not None:
            held = points.per_prompt
            names = np.unique(held.prompt.astype(str), return_inverse=True)[1]
            pairs = np.unique(np.stack([held.checkpoint, names]), axis=1)
            prompts = max(float(np.bincount(pairs[0], minlength=points.kl.size).min()) / width, 1.0)
        least = np.minimum(np.minimum(between[:-2], between[1:-1]), between[2:])
        with np.errstate(invalid="ignore", divide="ignore"):  # a KL that nothing bounds, prompts all alike
            scatter = np.where(least >= _STILL_APART, np.diff(course, 2) / np.minimum(least, 1.0), np.nan)
        within = deviation_within(fit.table, fit.reward)
        return cls(means, float(np.ptp(values)), within, course, scatter, width, prompts, fit.fixed_prompts)

    @classmethod
    def plain(cls, means: FloatArray, course: FloatArray, within: float = 0.0) -> StepPrompts:
        """Return those of a run whose prompts differ as at the base all along.

        Parameters
        ----------
        means : array (prompts,)
            Mean reward of each prompt of the base samples.
        course : array (k,)
            What the points of the run have beside what a policy may.
        within : float
            The deviation of the responses of one prompt.
        """
        return cls(means, math.inf, within, course, np.diff(course, 2), 1, None)

    def reach(self, part: BoolArray, chance: float) -> FloatArray:
        """Return how far the mean of some points lies below and above that of all prompts, with that chance each.

        Parameters
        ----------
        part : array of bool (k,)
            Which points; of many, as many of the first stand for them.
        chance : float
            That it lies further, on that side, while the run scatters as little as it does.
        """
        if self.prompts is not None and math.isinf(self.prompts):
            return np.zeros(2)
        numbers = _PROMPTS if self.prompts is None else (int(self.prompts),)
        kinds = itertools.product(numbers, _RESPONSES if self.within > 0.0 else _RESPONSES[:1])
        return np.asarray(np.max([self._reach(part, chance, *one) for one in kinds], axis=0))

    def _reach(self, part: BoolArray, chance: float, prompts: int, responses: float) -> FloatArray:
        held, centred = self._held, self.means - self.means.mean()
        unit = max(float(np.abs(centred).max()), self.within) or 1.0  # rewards may be of any scale
        told = np.flatnonzero(np.isfinite(self.scatter[: held.size - 2])) if held.size > _FEWEST else held[:0]
        noise = self.within / unit / math.sqrt(responses)
        drawn, scattered = _drawn(
            (centred / unit).tobytes(), held.size, prompts * self.width, noise, tuple(told.tolist())
        )
        chosen = part[held] if part[held].any() else held < min(int(part.sum()), held.size)
        level = drawn[:, chosen].mean(axis=1)
        # The table's own mean is one of draws, too, where there are other prompts.
        own = 0.0 if self.fixed else float(centred.std()) / unit / math.sqrt(centred.size)
        level = level + own * np.random.default_rng(_SEED).standard_normal(_DRAWN)
        if told.size >= _FEWEST:
            level = level[scattered <= float(((self.scatter[told] / unit) ** 2).sum())]
        beyond = chance * _DRAWN  # so many of all draws lie further and scatter no more
        if level.size <= beyond:
            return np.zeros(2)
        low, high = np.quantile(level, [beyond / level.size, 1.0 - beyond / level.size])
        return unit * np.array([max(-float(low), 0.0), max(float(high), 0.0)])

    @property
    def _held(self) -> IntArray:
        """The points that are drawn: the first ones."""
        return np.arange(min(self.course.size, _MOST))

    def explain(self, chance: float) -> bool:
        """Say whether prompts drawn by chance may lift points so far: all, the first or the last half of them.

        They do not where the first two both lie beyond every prompt of the table, nor where a single point lies beyond
        by several times what all of the table's responses lie apart.

        Parameters
        ----------
        chance : float
            Below which they do not.
        """
        excess, size = self.course, self.course.size
        if float(excess.max()) > _PLAINLY * self.apart:
            return False
        furthest = float(self.means.max() - self.means.mean()) + _SURE * self.within / math.sqrt(_RESPONSES[0])
        if size > 1 and float(excess[:2].min()) > furthest:
            return False
        place = np.arange(size)
        parts = (place >= 0, place < (size + 1) // 2, place >= size // 2)
        return all(float(excess[part].mean()) <= self.reach(part, chance)[1] for part in parts)

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
        if self.fixed or (self.prompts is not None and math.isinf(self.prompts)):
            return float(over == 0)  # there are no others
        place = np.arange(over)
        return float(np.prod((of - place) / (self.means.size + of - place)))


def deviation_within(table: RewardTable, column: str) -> float:
    """Return the root mean square of the deviations of rewards from their prompt's mean, of any scale.

    Parameters
    ----------
    table : RewardTable
        Samples of the base model.
    column : str
        A reward of the table.
    """
    values = table.column(column)
    means = np.add.reduceat(values, table.offsets[:-1]) / table.n_samples
    apart = values - np.repeat(means, table.n_samples)
    unit = float(np.abs(apart).max()) or 1.0
    return unit * math.sqrt(float(((apart / unit) ** 2).mean()))


@functools.lru_cache(maxsize=len(_PROMPTS) * len(_RESPONSES))
def _drawn(
    means: bytes, points: int, prompts: int, noise: float, told: tuple[int, ...]
) -> tuple[FloatArray, FloatArray]:
    """Return draws of what points have, (draws, points), and the sums of squares of their second differences, (draws,).

    ``noise`` is that of the responses of one prompt, and ``told`` says which of the differences are summed up.
    """
    of_prompts, normal = _drawn_prompts(means, points, prompts)
    found = of_prompts + noise / math.sqrt(prompts) * normal
    second = np.diff(found, 2, axis=1)[:, list(told)] if points > _FEWEST else found[:, :0]
    return found, np.asarray((second**2).sum(axis=1))


@functools.lru_cache(maxsize=1)  # one number of prompts is asked for with each noise before the next number is
def _drawn_prompts(means: bytes, points: int, prompts: int) -> tuple[FloatArray, FloatArray]:
    """Return draws of what the prompts of points have, (draws, points), and normal numbers for their responses."""
    rng, values = np.random.default_rng(_SEED), np.frombuffer(means)
    found, size = rng.choice(values, (_DRAWN, points)), 1
    while 2 * size <= prompts:  # twice as many: the mean of a draw and of another
        found = 0.5 * (found + np.roll(found, int(rng.integers(1, _DRAWN)), axis=0))
        size *= 2
    # What is left over scatters as a mean does.
    return found * math.sqrt(size / prompts), rng.standard_normal(found.shape)
