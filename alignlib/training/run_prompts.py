"""A run's own prompts beside those of the base samples: the same ones, some of them, or others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import quoted
from alignlib._core.same import SameFields
from alignlib.tables import RewardTable
from alignlib.training.logs.per_prompt import PerPrompt
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.run_base import NO_KL
from alignlib.training.strict_ends import few_levels

__all__ = ["Paired", "pair_prompts", "prompts_of"]

_NEAR = 0.1  # nats: so close to the base a prompt's mean reward is nearly that of its base samples
_FEWEST, _MOST_PROMPTS, _MOST_SAMPLES = 5, 1000, 256
_SPLITS, _FAR = 60, 5.0  # standard deviations: by chance in fewer than one of a million
_OF_SPREAD = 1.6  # errors of a mean, of the distance of quartiles of normal ones
_LEAST_SPREAD = 0.02  # of Fisher's transform, as of 2,500 prompts
_ALIKE = 0.9999
_AT_BASE = 0.01  # nats
_TRIMMED = 0.1  # of each side
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Paired(SameFields):
    """A run's prompts beside those of the base samples.

    Attributes
    ----------
    held : PerPrompt
        What each prompt had.
    base : array (m,)
        The base's mean reward on it.
    at : array (k,)
        The base's mean reward on the prompts of each checkpoint.
    """

    held: PerPrompt
    base: FloatArray
    at: FloatArray

    def errors(self, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the standard error of gain less ``slope`` times KL at each checkpoint, over prompts.

        An error of the KL moves the limit by its slope, so share and waste depend on this difference only.

        Parameters
        ----------
        slope : array (k,)
            Slope of the limit at each checkpoint, in reward per nat.

        Returns
        -------
        error : array (k,)
            In units of the reward.
        free : array (k,)
            Its degrees of freedom.
        """
        place, size = self.held.checkpoint, self.at.size
        value = self.held.reward - self.base - slope[place] * self.held.kl
        count = np.bincount(place, minlength=size).astype(np.float64)
        mean = np.bincount(place, value, size) / np.maximum(count, 1.0)
        square = np.bincount(place, (value - mean[place]) ** 2, size)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.where(count > 1.0, np.sqrt(square / (count - 1.0) / count), np.nan)
        return error, np.maximum(count - 1.0, 1.0)


def prompts_of(log: TrainingLog, table: RewardTable) -> IntArray | None:
    """Return the place in the table of the prompt of each row of single responses; None where one is not there.

    Parameters
    ----------
    log : TrainingLog
        The run.
    table : RewardTable
        Samples of its base.

    Returns
    -------
    array of int (m,), optional
        None too where the log holds no single responses.
    """
    if log.per_prompt is None:
        return None
    known = {str(name): i for i, name in enumerate(table.prompts.tolist())}
    place = np.array([known.get(str(name), -1) for name in log.per_prompt.prompt.tolist()], dtype=np.int64)
    return None if (place < 0).any() else place


def pair_prompts(log: TrainingLog, table: RewardTable, reward: str) -> tuple[Paired | None, list[str], bool]:
    """Match the prompts of a run with those of the base samples by name; say what is to be said, and whether to doubt.

    Without single responses in the log nothing is known of its prompts. Prompts that share names but not rewards are
    other prompts: near the base the mean reward of each must be that of its base samples, up to sampling.

    Parameters
    ----------
    log : TrainingLog
        The run.
    table : RewardTable
        Samples of its base.
    reward : str
        The column with the run's reward.

    Returns
    -------
    paired : Paired, optional
        None where the prompts are not the same, or not known.
    notes : list of str
        What is to be said.
    doubted : bool
        Whether rewards of one name differ.
    """
    held = log.per_prompt
    if held is None:
        return None, [], False
    known = {str(name) for name in table.prompts.tolist()}
    place = prompts_of(log, table)
    names = dict.fromkeys(str(name) for name in held.prompt.tolist())
    lost = [name for name in names if name not in known]
    if place is None:
        some = f"{len(lost)} of the run's {len(names)}" if len(lost) < len(names) else f"None of the run's {len(names)}"
        verb = "prompts are not among" if len(lost) < len(names) else "prompts is among"
        said = (
            f"{some} {verb} the table's {table.n_prompts} (the run has {quoted(lost[0], 40)}, the table "
            f"{quoted(table.prompts[0], 40)}): the limit is that of the table's prompts, and the run's only if both "
            "are drawn alike. Sample the base on the run's prompts, under the same names."
        )
        return None, [said], True
    values = table.column(reward)
    means = np.add.reduceat(values, table.offsets[:-1]) / table.n_samples
    count = np.bincount(held.checkpoint, minlength=log.kl.size)
    found = Paired(held, means[place], np.bincount(held.checkpoint, means[place], log.kl.size) / np.maximum(count, 1))
    others = _other_rewards(log, table, reward, means, place)
    notes = [others] if others else []
    return found, notes, bool(others)


def _other_rewards(log: TrainingLog, table: RewardTable, reward: str, means: FloatArray, place: IntArray) -> str:
    """Say where order, level or spread of the prompts' rewards is not the table's, by far more than sampling explains.

    How well two samplings of the same prompts agree is seen in the table: some samples of each prompt, as many as the
    run has or half of them, beside the rest. Ranks, trimmed means and quartiles, for a sampling may hold a rare reward
    that the other lacks, and its variance tells little of it.
    """
    held, values = log.per_prompt, table.column(reward)
    assert held is not None
    first = int(np.argmin(np.abs(log.kl)))
    if log.kl[first] > _NEAR:
        return ""
    mine = np.flatnonzero((held.checkpoint == first) & (table.n_samples[place] > 1))[:_MOST_PROMPTS]
    at = place[mine]
    if np.unique(at).size < _FEWEST:
        return ""
    sizes = np.minimum(table.n_samples[at], _MOST_SAMPLES)  # of so many the rest scatters little
    own = np.minimum(held.count[mine].astype(np.int64), sizes // 2)
    rows = np.concatenate([table.offsets[i] + np.arange(n) for i, n in zip(at.tolist(), sizes.tolist(), strict=True)])
    start = np.append(0, np.cumsum(sizes)[:-1])
    group, inside = np.repeat(np.arange(at.size), sizes), np.arange(rows.size) - np.repeat(start, sizes)
    mean = np.add.reduceat(values[rows], start) / sizes
    deviation = np.sqrt(np.maximum(np.add.reduceat(values[rows] ** 2, start) / sizes - mean**2, 0.0))
    # So near the base a prompt may have moved by the square root of twice its KL in standard deviations.
    moved = math.sqrt(2.0 * max(float(log.kl[first]), 0.0)) * deviation
    rng, parts, rests = np.random.default_rng(0), np.empty((_SPLITS, at.size)), np.empty((_SPLITS, at.size))
    for i in range(_SPLITS):
        mixed = values[rows][np.lexsort((rng.random(rows.size), group))]
        chosen = inside < own[group]
        part = np.add.reduceat(np.where(chosen, mixed, 0.0), start) / np.maximum(own, 1)
        rests[i] = np.add.reduceat(np.where(chosen, 0.0, mixed), start) / (sizes - own)
        parts[i] = part + rng.choice((-1.0, 1.0), at.size) * moved
    seen = _compared(parts, rests)
    found, usual = _compared(held.reward[mine][None], means[at][None])[0], seen.mean(axis=0)
    scatter, resolved = seen.std(axis=0), 0.0
    levels = few_levels(table, reward)
    if levels is not None:  # of which most prompts may have one only in the table, and not in a run
        size, many = float(np.ptp(levels.level)), np.maximum(held.count[mine], 1.0)
        resolved = size / float(np.minimum(many, sizes).mean())  # one response of a prompt
        missed = size**2 / (float(sizes.sum()) + 2.0)  # one more of all, of another level
        square = deviation**2 * sizes / (sizes - 1.0) + missed
        within = math.sqrt(float((square * (1.0 / many + 1.0 / sizes)).mean()) / at.size)
        # Among few prompts that are not tied one more or less turns the order of ranks.
        untied = at.size - int(np.unique(means[at], return_counts=True)[1].max())
        scatter = np.maximum(scatter, [1.0 / max(untied, 1), within, _OF_SPREAD * within])
    far = np.maximum(_FAR * scatter, np.ptp(seen, axis=0))
    far[2] = max(float(far[2]), resolved)
    less = found[0] < usual[0] - max(float(far[0]), _FAR * _LEAST_SPREAD)
    shifted = wider = False
    spent = max(float(log.kl[first]), 0.0)
    if spent <= _AT_BASE:  # further out a policy may have moved levels and spreads by as much
        ranges = np.maximum.reduceat(values[rows], start) - np.minimum.reduceat(values[rows], start)
        allowed = math.sqrt(spent / 2.0) * float(ranges.mean()) + _ROUNDING * float(np.abs(means[at]).max())
        shifted = abs(found[1] - usual[1]) > float(far[1]) + allowed
        # Half of the samples scatter more than all of them, so that only a larger spread tells.
        wider = found[2] > usual[2] + float(far[2]) + 2.0 * allowed
    if not (less or shifted or wider):
        return ""
    unit = "" if spent <= NO_KL else ", or the KL is larger than logged, in another unit for instance"
    return (
        f"At step {log.step[first]:g}, {spent:.2g} nats from the base, prompts have other rewards than the table's "
        "prompts of the same names, by far more than sampling explains: they are other prompts, or another "
        f"reward{unit}."
    )


def _compared(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return how means of prompts agree in order with others, their level beside these, and their spread.

    Of several samplings at once, (samplings, prompts), they are (samplings, 3).
    """
    spread = np.subtract(*np.quantile(one, (0.75, 0.25), axis=1))
    return np.stack([_agreement(one, other), scipy.stats.trim_mean(one - other, _TRIMMED, axis=1), spread], axis=1)


def _agreement(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return Fisher's transform of the correlation of ranks, 0 where all are alike."""
    ranks = [scipy.stats.rankdata(values, axis=1) for values in (one, other)]
    spread = np.prod([part.std(axis=1) for part in ranks], axis=0)
    centred = [part - part.mean(axis=1, keepdims=True) for part in ranks]
    both = np.divide((centred[0] * centred[1]).mean(axis=1), spread, out=np.zeros(len(one)), where=spread != 0.0)
    return np.asarray(np.arctanh(np.clip(both, -_ALIKE, _ALIKE)))
