"""Gaussian rewards: the law whose frontier is ``σ √(2Δ)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, require
from alignlib.laws.continuous import ContinuousLaw

__all__ = ["Gaussian"]


@dataclass(frozen=True)
class Gaussian(ContinuousLaw):
    """Normal reward: the frontier is ``σ √(2Δ)``, the equality case of the sub-Gaussian bound (M24).

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation σ > 0, in units of the reward.

    Raises
    ------
    InputError
        If ``sd`` is not positive.

    Examples
    --------
    >>> Gaussian(sd=2.0).gain_at_kl(0.5)
    2.0
    """

    mean: float = 0.0
    sd: float = 1.0

    def __post_init__(self) -> None:
        require(self.sd > 0, f"sd must be positive; got {self.sd:g}.")

    @property
    def base_reward(self) -> float:
        """The mean."""
        return self.mean

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self.sd**2 * lam

    def _kl(self, lam: FloatArray) -> FloatArray:
        return (self.sd * lam) ** 2 / 2

    _reverse_kl = _kl

    def _variance(self, lam: FloatArray) -> FloatArray:
        return np.full_like(lam, self.sd**2)

    def _lam_at_kl(self, budgets: FloatArray) -> FloatArray:
        return np.asarray(np.sqrt(2 * budgets) / self.sd)

    def _lam_at_gain(self, gains: FloatArray) -> FloatArray:
        return np.asarray(gains / self.sd**2)

    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Normal quantile."""
        return np.asarray(self.mean + self.deviation(u, upper=upper))

    def deviation(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """``σ`` times the standard quantile."""
        z = scipy.special.ndtri(np.asarray(u, dtype=np.float64))
        return np.asarray(self.sd * (-z if upper else z))
