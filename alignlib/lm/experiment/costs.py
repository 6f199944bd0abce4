"""What alignment costs: responses drawn once in training, against responses drawn for every query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib.lm.experiment.comparison import Comparison
from alignlib.lm.experiment.curves import Curves

__all__ = ["BreakEven", "break_even"]


@dataclass(frozen=True)
class BreakEven:
    """A trained policy against best-of-N of the same reward.

    ``draws`` is the N, real, with which best-of-N gains as much; ``queries`` how many must be served before the
    responses drawn in training are fewer than those that best-of-N draws more.
    """

    draws: float
    responses: int
    queries: float


def break_even(curves: Curves, found: Comparison, responses: int) -> BreakEven:
    """Return the number of queries from which training is cheaper than best-of-N, in responses drawn.

    Parameters
    ----------
    curves : Curves
        Limit and best-of-N.
    found : Comparison
        The policy.
    responses : int
        Drawn in training.
    """
    draws = float(curves.weighed().draws(np.array([found.gain.mean]))[0])
    queries = responses / (draws - 1.0) if draws > 1.0 else np.inf
    return BreakEven(draws, responses, 0.0 if np.isinf(draws) else queries)
