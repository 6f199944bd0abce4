"""Gaussian rewards: the law whose frontier is ``σ √(2Δ)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, as_number, require
from alignlib.laws.continuous import ContinuousLaw, check_unit

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
        If ``sd`` is not positive, or a parameter no finite number.

    Examples
    --------
    >>> Gaussian(sd=2.0).gain_at_kl(0.5)
    2.0
    """

    mean: float = 0.0
    sd: float = 1.0

    def __post_init__(self) -> None:
        for name in ("mean", "sd"):
            object.__setattr__(self, name, as_number(name, getattr(self, name)))
        require(self.sd > 0, f"sd must be positive; got {self.sd:g}.")
        check_unit("sd", self.sd, self.mean)

    @property
    def base_reward(self) -> float:
        """The mean."""
        return self.mean

    @property
    def _sd(self) -> float:
        return self.sd

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self.sd * (self.sd * lam)

    def _kl(self, lam: FloatArray) -> FloatArray:
        return (self.sd * lam) ** 2 / 2

    _reverse_kl = _kl

    def _variance(self, lam: FloatArray) -> FloatArray:
        return np.full_like(lam, self.sd * self.sd)

    def _lam_at_kl(self, budgets: FloatArray) -> FloatArray:
        return np.asarray(np.sqrt(2 * budgets) / self.sd)

    def _lam_at_gain(self, gains: FloatArray) -> FloatArray:
        return np.asarray(gains / self.sd / self.sd)

    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray:
        return np.asarray(self.mean + self._deviation(u, upper))

    def _deviation(self, u: FloatArray, upper: bool) -> FloatArray:
        z = scipy.special.ndtri(u)
        return np.asarray(self.sd * (-z if upper else z))
