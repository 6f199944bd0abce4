"""Soft best-of-n: draw n responses, keep one with probability ∝ e^{λ r}. Source of the policy: V25."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_vector
from alignlib.laws import Levels
from alignlib.rules.weighted_choice import WeightedRule, one_by_weight, weighted_choice

__all__ = ["SoftBestOfN"]


@dataclass(frozen=True)
class SoftBestOfN(WeightedRule):
    """Draw n, keep one with probability ∝ ``e^{λ r}``; its curve runs along λ at a fixed n.

    Parameters
    ----------
    n : float
        Number of draws, >= 1; whole, to draw responses.
    lam : float
        Inverse temperature λ >= 0 of the choice among the draws; 0 is the base, ∞ would be best-of-N.

    Raises
    ------
    InputError
        If a parameter is out of its range, or on a law with so many levels that λ times the range of some that lie
        close together exceeds 1e4.
    ArithmeticError
        On a law where the quadrature does not sum to one within 1e-11.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> SoftBestOfN(2, 1.0).on(FiniteLaw([0.0, 1.0])).policy.round(6).tolist()
    [0.384471, 0.615529]

    Source: V25.
    """

    name = "soft best-of-n"

    @property
    def title(self) -> str:
        """Such as ``"soft best-of-8 (λ=2)"``."""
        return f"soft best-of-{self.n:g} ({self.label})"

    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        """One of them with probability ∝ ``e^{λ r}``."""
        rewards = as_vector("rewards", rewards)
        return one_by_weight(np.exp(self.lam * (rewards - np.max(rewards))), rng)

    def log_ratio(self, levels: Levels) -> FloatArray:
        """Quadrature of an integral, level by level."""
        return weighted_choice(levels, levels.reward, float(self.lam), float(self.n), self.name)
