"""The frontier: the largest reward at each KL budget, one frozen result for exact and estimated curves."""

from __future__ import annotations

from dataclasses import dataclass

from alignlib._checks import BoolArray, FloatArray

__all__ = ["Frontier"]


@dataclass(frozen=True)
class Frontier:
    """Points ``(kl, gain)`` of the frontier, all arrays of one shape ``(k,)``.

    ``gain = reward - base_reward``. An estimated frontier also carries its interval and says where the
    samples support it; an exact one has ``None`` there.
    """

    kl: FloatArray
    gain: FloatArray
    lam: FloatArray
    base_reward: float
    gain_low: FloatArray | None = None
    gain_high: FloatArray | None = None
    supported: BoolArray | None = None
    level: float | None = None

    @property
    def reward(self) -> FloatArray:
        """The largest mean reward within the budget ``kl``."""
        return self.base_reward + self.gain
