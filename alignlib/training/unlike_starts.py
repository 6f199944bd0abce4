"""Runs that differ at the base itself, where methods cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alignlib.training.logs.training_log import TrainingLog

__all__ = ["unlike_starts"]

_AT_BASE = 0.02  # nats: so near the base a run has the base's reward
_SURE = 4.0  # standard errors


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
        i, noise = int(np.argmin(np.abs(log.kl))), log.noise()
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
