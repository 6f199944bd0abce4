"""Laplace rewards: two exponential tails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, require
from alignlib.laws.continuous import ContinuousLaw
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
        If ``scale`` is not positive.

    Examples
    --------
    >>> round(Laplace().gain_at_kl(1.0), 6)
    2.381653
    """

    scale: float = 1.0
    base_reward: float = 0.0

    def __post_init__(self) -> None:
        require(self.scale > 0, f"scale must be positive; got {self.scale:g}.")

    @property
    def lam_max(self) -> float:
        """``1/b``."""
        return 1 / self.scale

    def _square(self, lam: FloatArray) -> FloatArray:
        return (lam * self.scale) ** 2

    def _gain(self, lam: FloatArray) -> FloatArray:
        return 2 * lam * self.scale**2 / (1 - self._square(lam))

    def _kl(self, lam: FloatArray) -> FloatArray:
        u = self._square(lam)
        return 2 * u / (1 - u) + np.log1p(-u)

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return -np.log1p(-self._square(lam))

    def _variance(self, lam: FloatArray) -> FloatArray:
        u = self._square(lam)
        return 2 * self.scale**2 * (1 + u) / (1 - u) ** 2

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

    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Laplace quantile."""
        return np.asarray(self.base_reward + self.deviation(u, upper=upper))

    def deviation(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Scale times the standard quantile."""
        mass = np.asarray(u, dtype=np.float64)
        near, sign = np.minimum(mass, 1 - mass), np.where((mass < 0.5) != upper, 1.0, -1.0)
        return np.asarray(sign * self.scale * np.log(2 * near))
