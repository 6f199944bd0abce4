"""Laplace rewards: two exponential tails."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_number, require
from alignlib.laws.continuous import ContinuousLaw, check_unit
from alignlib.laws.roots import convex_root

__all__ = ["Laplace"]


@dataclass(frozen=True)
class Laplace(ContinuousLaw):
    """Laplace reward of the given scale b: ``Λ = -log(1 - λ²b²)``, finite for ``λ < 1/b`` only.

    With ``v = u/(1-u)``, ``u = λ²b²``: gain ``2b √(v(1+v))`` and KL ``2v - log(1+v)``; budgets and gains are solved in
    v, so that the frontier holds where λ is within rounding of ``1/b``.

    Parameters
    ----------
    scale, base_reward : float
        Scale b > 0 and the mean, in units of the reward.

    Raises
    ------
    InputError
        If ``scale`` is not positive, or a parameter no finite number.

    Examples
    --------
    >>> round(Laplace().gain_at_kl(1.0), 6)
    2.381653
    """

    scale: float = 1.0
    base_reward: float = 0.0

    def __post_init__(self) -> None:
        for name in ("scale", "base_reward"):
            object.__setattr__(self, name, as_number(name, getattr(self, name)))
        require(self.scale > 0, f"scale must be positive; got {self.scale:g}.")
        check_unit("scale", self.scale, self.base_reward)

    @property
    def lam_max(self) -> float:
        """``1/b``."""
        return 1 / self.scale

    @property
    def _sd(self) -> float:
        return math.sqrt(2) * self.scale

    def _square(self, lam: FloatArray) -> FloatArray:
        return (lam * self.scale) ** 2

    def _gain(self, lam: FloatArray) -> FloatArray:
        return 2 * (lam * self.scale) * self.scale / (1 - self._square(lam))

    def _kl(self, lam: FloatArray) -> FloatArray:
        u = self._square(lam)
        return 2 * u / (1 - u) + np.log1p(-u)

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return -np.log1p(-self._square(lam))

    def _variance(self, lam: FloatArray) -> FloatArray:
        u = self._square(lam)
        return 2 * self.scale * self.scale * (1 + u) / (1 - u) ** 2

    def _odds(self, kl: FloatArray) -> FloatArray:
        """v with ``2v - log(1+v) = kl``."""
        return convex_root(lambda v: 2 * v - np.log1p(v), lambda v: 2 - 1 / (1 + v), kl, kl)

    def _lam_at_kl(self, budgets: FloatArray) -> FloatArray:
        v = self._odds(budgets)
        return np.asarray(np.sqrt(v / (1 + v)) / self.scale)

    def _gain_of_budgets(self, budgets: FloatArray, lam: FloatArray) -> FloatArray:
        v = self._odds(budgets)
        return np.asarray(2 * self.scale * np.sqrt(v * (1 + v)))

    def _odds_of_gain(self, gains: FloatArray) -> FloatArray:
        """v with ``2b √(v(1+v)) = gain``."""
        square = (gains / self.scale) ** 2
        return np.asarray(square / 2 / (1 + np.sqrt(1 + square)))

    def _lam_at_gain(self, gains: FloatArray) -> FloatArray:
        v = self._odds_of_gain(gains)
        return np.asarray(np.sqrt(v / (1 + v)) / self.scale)

    def _kl_of_gains(self, gains: FloatArray) -> FloatArray:
        v = self._odds_of_gain(gains)
        return np.asarray(2 * v - np.log1p(v))

    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray:
        return np.asarray(self.base_reward + self._deviation(u, upper))

    def _deviation(self, u: FloatArray, upper: bool) -> FloatArray:
        near, sign = np.minimum(u, 1 - u), np.where((u < 0.5) != upper, 1.0, -1.0)
        return np.asarray(sign * self.scale * np.log(2 * near))
