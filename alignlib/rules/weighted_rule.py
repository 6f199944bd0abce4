"""Rules that keep one of n draws by a weight of its reward: their number of draws and their λ."""

from __future__ import annotations

from dataclasses import dataclass

from alignlib._core.checks import as_plain
from alignlib.rules.rule import Rule

__all__ = ["WeightedRule"]


@dataclass(frozen=True)
class WeightedRule(Rule):
    """Draw n, keep one by a weight that λ >= 0 makes steeper; the curve runs along λ at a fixed n, from the base at 0.

    A subclass defines `log_ratio`, by `alignlib.rules.weighted_choice.weighted_choice`, and `choose`.

    Parameters
    ----------
    n : float
        Number of draws, >= 1.
    lam : float
        λ >= 0; 0 is the base model.
    """

    n: float
    lam: float

    parameter = "lam"
    symbol = "λ"
    start = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", as_plain("n", self.n, 1.0))
        object.__setattr__(self, "lam", as_plain("lam", self.lam, self.start))

    @property
    def draws(self) -> float:
        """The number n itself."""
        return float(self.n)
