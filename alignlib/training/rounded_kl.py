"""A KL that a log prints with few decimals: known up to half of the last one, so a printed 0 is no base."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib.training.logs.decimals import unlike
from alignlib.training.logs.training_log import TrainingLog

__all__ = ["half_digit", "told_by_ends", "within_digits"]

_COARSE = 0.1  # of a KL
_NOTHING = 0.02  # of the run's largest KL
_REMEDY = "a log with more decimals of the KL tells more"


def half_digit(log: TrainingLog) -> FloatArray:
    """Return by how much the KL of each checkpoint may be larger than logged, as far as its digits show, (k,).

    Parameters
    ----------
    log : TrainingLog
        Runs; where no KL of one has many decimals, all are taken for rounded to these, and zeros alone to those that
        the log prints, or to as few as logs have.
    """
    return log.halves if log.length is None else log.halves * log.length


def within_digits(log: TrainingLog) -> TrainingLog:
    """Return a log with the ends of every KL that its digits leave; the same where they leave none.

    Parameters
    ----------
    log : TrainingLog
        Runs.

    Examples
    --------
    >>> from alignlib.training.example_run import example_run
    >>> log = example_run(2, 3, np.random.default_rng(0), n_checkpoints=5)[0]
    >>> kl = np.array([0.0, 0.2, 0.6, 0.8, 1.2])
    >>> within_digits(replace(log, kl=kl, logged_kl=kl, length=None)).ends[1].round(3).tolist()
    [0.05, 0.25, 0.65, 0.85, 1.25]
    """
    half = half_digit(log)
    if not half.any():
        return log
    low, high = log.ends
    low = np.where(low < 0.0, low, np.maximum(low - half, 0.0))
    return replace(log, kl_low=low, kl_high=high + half, half=np.zeros(half.size))


def told_by_ends(points: TrainingLog, within: TrainingLog, moved: BoolArray | None = None) -> TrainingLog:
    """Return points with the ends of those KLs alone that half a digit makes another KL, others as they are printed.

    That is where it is much of the KL and not little of the run's, or where a point at 0 is surely none of the base.

    Parameters
    ----------
    points : TrainingLog
        Means of checkpoints.
    within : TrainingLog
        The same with the ends that digits leave.
    moved : array of bool (k,), optional
        Which have more reward than the base, or less, by more than chance.
    """
    if within.kl_low is None:
        return points
    kl, own, (low, high) = points.kl, points.ends, within.ends
    coarse = (kl >= 0.0) & (high - kl > np.maximum(_COARSE * kl, _NOTHING * float(kl.max())))
    if not kl.any():
        coarse[:] = False  # the base itself, where rewards are its, too
    coarse |= (kl == 0.0) & (False if moved is None else moved)
    coarse &= (high > own[1]) | (low < own[0])  # of others the ends that they have hold it
    if not coarse.any():
        return points
    notes = points.notes
    # A log too short to say so when it was read, or one whose starts print unlike decimals.
    if unlike(points.half) or not any("decimal" in note for note in notes):
        i = int(np.argmax(np.where(coarse, high - kl, -1.0)))
        said = (
            f"KLs are logged with few decimals: at step {points.step[i]:g} it is {low[i]:.2g} to {high[i]:.2g} nats "
            f"per sequence if they were rounded, and such ends are shown; {_REMEDY}."
        )
        notes = (*notes, said)
    return replace(
        points,
        kl_low=np.where(coarse, low, own[0]),
        kl_high=np.where(coarse, high, own[1]),
        remedy=points.remedy or _REMEDY,
        half=np.where(coarse, 0.0, points.halves),
        notes=notes,
    )
