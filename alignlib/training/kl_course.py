"""The course of a run's KL along its steps, where the KL is noisy: the reward at a noisy KL is not that at the KL.

A fit of the reward against noisy KLs flattens what is steep or bent, and takes the largest of them for the last.
Against the KL's own course along the steps, which have no noise, it does neither, if the KL is one that moves smoothly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.smoothing import noise_memory

__all__ = ["Course", "beside", "kl_course", "scatter_of_kl"]

_SHARE, _NEAREST = 0.6, 8  # of the checkpoints, at least, that a piece of the course goes through
_FEWEST = 5  # checkpoints, of which a scatter is known
_NOISY = 0.03  # of the KL: below that its noise moves no interval
_TOLD = 0.1  # of the largest KL: of smaller ones the scatter is another
_FLOOR = 0.03  # of the largest KL: smaller ones weigh as much


@dataclass(frozen=True, eq=False)
class Course(SameFields):
    """The KL of each checkpoint by its neighbours along the steps.

    Attributes
    ----------
    kl : array (k,)
        In nats, none negative.
    variance : array (k,)
        Of each: over prompts where the log holds them; else by the scatter of the logged ones and how far that may go
        on from one to the next.
    alone : array (k,)
        The same if the scatter of no two were alike, which a dozen checkpoints cannot show.
    scatter : float
        Standard deviation of a logged KL around its course, as a part of itself.
    """

    kl: FloatArray
    variance: FloatArray
    alone: FloatArray
    scatter: float


def scatter_of_kl(log: TrainingLog) -> float:
    """Return how far the KL scatters around its course, as a part of itself, where it is not small; 0 if unknown.

    Parameters
    ----------
    log : TrainingLog
        One run.
    """
    return log.noise(np.log(np.where(log.kl > _TOLD * log.kl.max(), log.kl, np.nan))) or 0.0


def kl_course(log: TrainingLog) -> Course | None:
    """Return the course of a run's KL by local parabolas along the steps; None where it is hardly noisy or too short.

    Parameters
    ----------
    log : TrainingLog
        One run, its KLs not negative.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from alignlib.training.example_run import example_run
    >>> rng = np.random.default_rng(0)
    >>> log = example_run(2, 3, rng, n_checkpoints=40)[0]
    >>> truth = np.linspace(0.0, 1.0, 40) ** 1.5
    >>> found = kl_course(replace(log, kl=truth * np.exp(0.1 * rng.standard_normal(40))))
    >>> bool(0.07 < found.scatter < 0.13), bool(abs(found.kl - truth).max() < 0.1)
    (True, True)

    Source: local regression is Cleveland and Devlin's; errors in variables with a noiseless instrument are classical.
    """
    part = scatter_of_kl(log)
    order = np.argsort(log.step, kind="stable")
    kl = log.kl[order]
    if part <= _NOISY or kl.size < _FEWEST:
        return None
    place = np.linspace(0.0, 1.0, kl.size)
    near = min(max(_NEAREST, math.ceil(_SHARE * kl.size)), kl.size)
    level = np.maximum(beside(kl, 2), _FLOOR * kl.max())
    away = np.abs(place - place[:, None])
    width = np.sort(away, axis=1)[:, near - 1, None] * (1.0 + 1e-9)
    weight = np.sqrt(np.clip(1.0 - (away / width) ** 3, 0.0, None) ** 3) / level  # the noise is relative
    powers = ((place - place[:, None]) / width)[:, :, None] ** np.arange(3)
    hat = np.linalg.pinv(weight[:, :, None] * powers)[:, 0] * weight
    smooth = np.maximum(hat @ kl, 0.0)
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    if (of_prompts := _over_prompts(log, hat[:, back])) is not None:
        return Course(smooth[back], of_prompts[back], of_prompts[back], part)
    own = hat * level / level[:, None]
    law, wide = noise_memory(own, (kl - hat @ kl) / level, kl > _TOLD * kl.max())
    tied = max(part**2, wide) * np.einsum("ij,jk,ik->i", own, law, own)
    alone = hat**2 @ (part * smooth) ** 2
    variance = np.maximum(tied * smooth**2, alone)
    return Course(smooth[back], variance[back], alone[back], part)


def _over_prompts(log: TrainingLog, hat: FloatArray) -> FloatArray | None:
    """Return the variance over prompts of sums of checkpoints' KLs; None where the log does not tell it."""
    error = np.array([np.inf]) if log.per_prompt is None else log.per_prompt.errors_of_kl(hat)
    return error**2 if np.isfinite(error).all() else None


def beside(values: FloatArray, reach: int) -> FloatArray:
    """Return the mean of each value and those that are no further from it, however few there are.

    Parameters
    ----------
    values : array (k,)
        In order.
    reach : int
        How far.

    Examples
    --------
    >>> beside(np.array([1.0, 3.0]), 2).tolist(), beside(np.array([1.0, 3.0, 8.0]), 1).tolist()
    ([2.0, 2.0], [2.0, 4.0, 5.5])
    """
    width, own = np.ones(2 * reach + 1), slice(reach, reach + values.size)  # "same" is as long as the longer of both
    return np.asarray(np.convolve(values, width)[own] / np.convolve(np.ones(values.size), width)[own])
