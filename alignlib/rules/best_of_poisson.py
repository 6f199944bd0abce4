"""Best-of-Poisson: keep the best of ``1 + Poisson(μ)`` draws.

Its distribution function in ``F`` is ``G(F) = F e^{-μ(1-F)}``, so without ties its density in ``u = F(r)`` is
``(1 + μu) e^{-μ(1-u)}``: nearly the exponential tilt of ``u`` itself. Source: K25.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_plain
from alignlib._core.special import exp_excess
from alignlib.laws import Levels
from alignlib.rules.rank_rule import RankRule

__all__ = ["BestOfPoisson"]


@dataclass(frozen=True)
class BestOfPoisson(RankRule):
    """Keep the best of ``1 + Poisson(μ)`` draws.

    Parameters
    ----------
    mu : float
        Mean μ >= 0 of the number of draws beyond the first.

    Raises
    ------
    InputError
        If ``mu`` is negative.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> coin = BestOfPoisson(1.0).on(FiniteLaw([0.0, 1.0]))
    >>> coin.policy.round(6).tolist(), round(coin.kl, 6), round(BestOfPoisson(1.0).spent_formula(), 6)
    ([0.303265, 0.696735], 0.079542, 0.107154)

    Source: K25.
    """

    mu: float

    name = "best-of-Poisson"
    parameter = "mu"
    symbol = "μ"
    start = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mu", as_plain("mu", self.mu, self.start))

    @property
    def draws(self) -> float:
        """``1 + μ``."""
        return 1.0 + self.mu

    def number_of_draws(self, rng: np.random.Generator) -> int:
        """``1 + Poisson(μ)``."""
        return 1 + int(rng.poisson(self.mu))

    def cdf(self, f: FloatArray) -> FloatArray:
        """``F e^{-μ(1-F)}``."""
        return np.asarray(f * np.exp(-self.mu * (1.0 - f)))

    def log_density(self, f: FloatArray) -> FloatArray:
        """``log(1 + μF) - μ(1-F)``."""
        return np.asarray(np.log1p(self.mu * f) - self.mu * (1 - f))

    def log_density_below_top(self, tail: FloatArray) -> FloatArray:
        """``log(1 + μ(1-t)) - μt`` at tail t."""
        return np.asarray(np.log1p(self.mu * (1.0 - tail)) - self.mu * tail)

    def log_ratio(self, levels: Levels) -> FloatArray:
        """``G(F_i) - G(F_{i-1}) = e^{-μ above_i} (P_i + F_{i-1} (1 - e^{-μ P_i}))``: no term is negative."""
        rest = levels.below * -np.expm1(-self.mu * levels.mass) / levels.mass
        return np.asarray(-self.mu * levels.above + np.log1p(rest))

    def cdf_below_top(self, levels: Levels) -> FloatArray:
        """``F_i e^{-μ above_i}``."""
        with np.errstate(under="ignore"):
            return np.asarray(np.exp(levels.log_at_or_below[:-1] - self.mu * levels.above[:-1]))

    def cdf_slope(self, levels: Levels) -> FloatArray:
        """``-above_i F_i e^{-μ above_i}``."""
        return -levels.above[:-1] * self.cdf_below_top(levels)

    def win_rate_formula(self) -> float:
        """``1 - (1 - (1 - e^{-μ})/μ)/μ``."""
        """``1 - (e^{-μ} - 1 + μ)/μ²``."""
        mu = self.mu
        lost = 0.5 - mu / 6.0 if mu < 1e-8 else float(exp_excess(np.asarray(-mu))) / mu / mu
        return 1.0 - lost
