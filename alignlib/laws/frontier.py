"""The frontier: the largest reward at each budget, one frozen result for exact and estimated curves."""

from __future__ import annotations

from dataclasses import dataclass

from alignlib._core.checks import BoolArray, FloatArray
from alignlib.divergences import KL, Divergence

__all__ = ["Frontier"]


@dataclass(frozen=True)
class Frontier:
    """Points ``(spent, gain)`` of the frontier, all arrays of one shape ``(k,)``.

    ``spent`` is each budget, in the units of ``divergence``; ``gain = reward - base_reward``. An estimated frontier
    also carries its interval and says where the samples support it; an exact one has ``None`` there.
    """

    spent: FloatArray
    gain: FloatArray
    lam: FloatArray
    base_reward: float
    gain_low: FloatArray | None = None
    gain_high: FloatArray | None = None
    supported: BoolArray | None = None
    level: float | None = None
    divergence: Divergence = KL

    @property
    def reward(self) -> FloatArray:
        """The largest mean reward within the budget ``spent``."""
        return self.base_reward + self.gain
