"""Exponential rewards: a law whose tilts end at a finite λ, which no finite budget reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_number, require
from alignlib._core.special import log1p_excess
from alignlib.laws.continuous import ContinuousLaw, check_unit
from alignlib.laws.roots import convex_root

__all__ = ["Exponential"]


@dataclass(frozen=True)
class Exponential(ContinuousLaw):
    """Exponential reward of the given rate: ``Λ = -log(1 - λ/rate)``, finite for ``λ < rate`` only.

    With ``v = u/(1-u)``, ``u = λ/rate``: gain ``v/rate`` and KL ``v - log(1+v)``; budgets and gains are solved in v, so
    that the frontier holds where λ is within rounding of the rate.

    Parameters
    ----------
    rate : float
        Rate > 0, in one over units of the reward.

    Raises
    ------
    InputError
        If ``rate`` is not positive, or a parameter no finite number.

    Examples
    --------
    >>> round(Exponential().gain_at_kl(1.0), 6)
    2.146193
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", as_number("rate", self.rate))
        require(self.rate > 0, f"rate must be positive; got {self.rate:g}.")
        check_unit("rate", self.rate)

    @property
    def base_reward(self) -> float:
        """``1/rate``."""
        return 1 / self.rate

    @property
    def min_reward(self) -> float:
        """0."""
        return 0.0

    @property
    def lam_max(self) -> float:
        """The rate."""
        return self.rate

    @property
    def _sd(self) -> float:
        return 1 / self.rate

    def _gain(self, lam: FloatArray) -> FloatArray:
        return lam / self.rate / (self.rate - lam)

    def _kl(self, lam: FloatArray) -> FloatArray:
        return log1p_excess(-lam / (self.rate - lam))

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return log1p_excess(lam / self.rate)

    def _variance(self, lam: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", divide="ignore"):
            return np.asarray((1 / (self.rate - lam)) ** 2)

    def _odds(self, kl: FloatArray) -> FloatArray:
        """v with ``v - log(1+v) = kl``."""
        return convex_root(lambda v: log1p_excess(-v), lambda v: v / (1 + v), kl, kl + np.sqrt(2 * kl) + np.log1p(kl))

    def _lam_at_kl(self, budgets: FloatArray) -> FloatArray:
        v = self._odds(budgets)
        return np.asarray(self.rate * v / (1 + v))

    def _gain_of_budgets(self, budgets: FloatArray, lam: FloatArray) -> FloatArray:
        return np.asarray(self._odds(budgets) / self.rate)

    def _lam_at_gain(self, gains: FloatArray) -> FloatArray:
        v = gains * self.rate
        return np.asarray(self.rate * v / (1 + v))

    def _kl_of_gains(self, gains: FloatArray) -> FloatArray:
        return log1p_excess(-gains * self.rate)

    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray:
        return np.asarray(-(np.log(u) if upper else np.log1p(-u)) / self.rate)
