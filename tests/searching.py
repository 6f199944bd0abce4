"""A search for counterexamples: a statement "excess ≤ 0 everywhere" is climbed towards, from many starts.

Each test of a theorem writes its statement as an excess over what it allows, as a function of unconstrained numbers
``z``; `law`, `channel` and `positive` turn them into what the theorem speaks of. Random draws alone rarely come near
the worst case; climbing does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["Worst", "channel", "law", "positive", "worst_case"]

_REACH = 30.0  # of the numbers searched: masses down to e^-60, odds up to e^30


@dataclass(frozen=True)
class Worst:
    """The largest excess that was found, and the numbers it was found at."""

    excess: float
    at: FloatArray


def law(z: FloatArray) -> FloatArray:
    """Return a law on the outcomes: positive masses that sum to one."""
    mass = np.exp(z - z.max())
    return np.asarray(mass / mass.sum())


def channel(z: FloatArray, inputs: int) -> FloatArray:
    """Return a channel, one law a row."""
    return np.stack([law(row) for row in z.reshape(inputs, -1)])


def positive(z: float, low: float, high: float) -> float:
    """Return a number between ``low`` and ``high``, even on the logarithmic scale as z goes from -2 to 2."""
    share = 1.0 / (1.0 + np.exp(-1.7 * z))
    return float(np.exp(np.log(low) + share * (np.log(high) - np.log(low))))


def worst_case(
    excess: Callable[[FloatArray], float],
    size: int,
    *,
    seed: int = 0,
    starts: int = 12,
    steps: int = 80,
    width: float = 1.5,
) -> Worst:
    """Climb to the largest excess over ``size`` numbers: random starts, then steps that grow where they succeed.

    A statement that is false is found out where its counterexamples are not too rare; see `tests/test_searching.py`.
    """
    rng = np.random.default_rng(seed)
    best = Worst(-np.inf, np.zeros(size))
    for _ in range(starts):
        z, step = width * rng.standard_normal(size), 0.7
        value = excess(z)
        for _ in range(steps):
            # one coordinate as often as all: theorems on mixed objects are tight along single ones
            move = rng.standard_normal(size) * (rng.random(size) < (1.0 if rng.random() < 0.5 else 2.0 / size))
            moved = np.clip(z + step * move, -_REACH, _REACH)
            tried = excess(moved)
            if tried > value:
                z, value, step = moved, tried, 1.6 * step
            else:
                step = max(0.87 * step, 1e-3)
        assert not np.isnan(value), f"the excess is NaN at {z.tolist()}"
        if value > best.excess:
            best = Worst(float(value), z)
    return best
