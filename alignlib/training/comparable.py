"""At which KLs runs can be compared, for all have surely passed these, and whether they begin alike at the base."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib._core.errors import InputError
from alignlib._core.shown import between
from alignlib.training.kl_course import kl_course
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.strict_ends import NEIGHBOURS, student_reach

__all__ = ["common_kls", "unlike_starts"]

_SHOWN = 4  # budgets, where none are named
_AT_BASE = 0.02  # nats: so near the base a run has the base's reward
_SURE = 4.0  # standard errors
_EARLY = 5  # checkpoints, which tell a scatter


def common_kls(every: Sequence[tuple[str, TrainingLog]], at: npt.ArrayLike | None) -> tuple[FloatArray, list[str]]:
    """Return KLs at which every run has checkpoints on both sides, and sentences on what was left out.

    Parameters
    ----------
    every : sequence of (str, TrainingLog)
        The runs by name.
    at : array (k,), optional
        KLs in nats per sequence that are asked for; by default four over the range that all runs have in common.

    Returns
    -------
    kl : array (k,)
        In nats per sequence.
    notes : list of str
        Names the KLs that not all runs reach.

    Raises
    ------
    InputError
        For runs without a KL in common, or whose KL is not known of any to be passed.
    """
    ends = {title: _passed(log) for title, log in every}
    low, high = max(a for a, _ in ends.values()), min(b for _, b in ends.values())
    open_ones = [(title, log) for title, log in every if log.kl_low is not None]
    endless = [(title, log) for title, log in open_ones if np.isinf(log.ends[1]).any()]
    if endless or (open_ones and not low < high):
        title, log = (endless or open_ones)[0]
        why = (
            "is logged with few decimals: it is "
            if log.length is None
            else "is in nats per token, and means bound its KL per sequence at most: it is "
        )
        raise InputError(
            f"runs cannot be compared at equal KL: {log.kl_name!r} of {title!r} {why}"
            f"{between(*_widest(log))} nats at its furthest, and none is known to be passed by all: "
            f"{log.remedy}.",
            argument="runs",
        )
    first = max(ends, key=lambda title: ends[title][0])
    least = min(ends, key=lambda title: ends[title][1])
    passed = [(float(log.ends[1].min()), float(log.ends[0].max())) for _, log in every]
    require(
        low < high or (first != least and not max(a for a, _ in passed) < min(b for _, b in passed)),
        f"runs cannot be compared at equal KL: the KL of {first!r} scatters so much around its course that none is "
        "known to be passed. Log more checkpoints, or more responses at each.",
        "runs",
    )
    require(
        low < high,
        f"runs have no KL in common: {first!r} begins at {low:.3g} nats, where {least!r} has ended at {high:.3g}. "
        "Compare runs that reach the same KLs.",
        "runs",
    )
    if at is None:
        root = math.sqrt(low) + (math.sqrt(high) - math.sqrt(low)) * np.linspace(0.25, 1.0, _SHOWN)
        return np.minimum(root**2, high), []
    asked = as_vector("at", np.atleast_1d(np.asarray(at, dtype=np.float64)))
    inside = (asked >= low) & (asked <= high)
    require(
        bool(inside.any()),
        f"at must name KLs that all runs reach, {low:.3g} to {high:.3g} nats; got "
        f"{', '.join(map('{:g}'.format, asked))}.",
        "at",
    )
    out = ", ".join(f"{x:g}" for x in asked[~inside])
    said = [f"Not all runs reach {out} nats: all have {low:.3g} to {high:.3g} in common."] if out else []
    return np.asarray(asked[inside]), said


def _passed(log: TrainingLog) -> tuple[float, float]:
    """Return the ends of the KLs that a run has passed by a standard error of its course.

    That the noise of means may go on from one checkpoint to the next, beyond what they show, is in the intervals at
    these KLs: taken into the ends, it would refuse runs of a dozen checkpoints for noise that no one has seen.
    """
    kept = log.keep(log.kl >= 0.0)
    course = None if log.kl_low is not None else kl_course(kept)
    if course is None:
        return float(kept.ends[1].min()), float(kept.ends[0].max())
    error = np.sqrt(course.alone)  # the largest of noisy KLs is so by chance
    return float((course.kl + error).min()), float((course.kl - error).max())


def _widest(log: TrainingLog) -> tuple[float, float]:
    """Return the ends of the KL of the checkpoint furthest from the base."""
    i = int(np.argmax(log.kl))
    return float(log.ends[0][i]), float(log.ends[1][i])


def _at_start(log: TrainingLog) -> float | None:
    """Return the scatter of a checkpoint at the start, a quarter of how far chance goes; None for short logs.

    A run may scatter less later, as where it unlearns a rare penalty, and few checkpoints tell little.
    """
    noise, early, free = log.noise(), np.zeros(log.kl.size, dtype=bool), 0
    for name in log.runs:
        mine = np.flatnonzero(log.run == name)
        early[mine[: max(mine.size // 2, _EARLY)]] = True
        free += max(mine.size - 2, 0)
    first = log.keep(early).noise()
    if noise is None or first is None:
        return None
    return max(noise * float(student_reach(_SURE, max(free / NEIGHBOURS, 1.0))) / _SURE, first)


def unlike_starts(every: Sequence[tuple[str, TrainingLog]], remedy: str | None) -> list[str]:
    """Point out runs that differ at the base itself, where methods cannot: by prompts, base or reward.

    ``remedy`` ends the sentence on single responses; None where rewards are gains over the base's on the same prompts.

    Parameters
    ----------
    every : sequence of (str, TrainingLog)
        The runs by name.
    remedy : str, optional
        What single responses do with the prompts, as a clause.
    """
    known = []
    for title, log in every:
        i, noise = int(np.argmin(np.abs(log.kl))), _at_start(log)
        if noise is not None and abs(log.kl[i]) <= _AT_BASE:
            moved = float(np.ptp(log.reward)) * math.sqrt(max(float(log.kl[i]), 0.0) / float(log.kl.max()))
            known.append((title, float(log.reward[i]), float(log.kl[i]), noise, moved))
    for i, one in enumerate(known):
        for other in known[:i]:
            if abs(one[1] - other[1]) > _SURE * math.hypot(one[3], other[3]) + one[4] + other[4]:
                over = " over the base on its prompts" if remedy is None else ""
                ends = [
                    f"{title!r} has {reward:.4g}{over} at {max(kl, 0.0):.2g} nats"
                    for title, reward, kl, *_ in (one, other)
                ]
                said = f"{ends[0]}, {ends[1]}: further apart than chance. Unless one gained so much within so few "
                which = "base or reward" if remedy is None else "prompts, base or reward"
                said += f"nats, their {which} are not the same, and that is part of every difference."
                if remedy is not None:
                    said += f" Single responses with the names of prompts{remedy}."
                return [said]
    return []
