"""Laws without atoms, known by their quantiles."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray
from alignlib.laws.law import Law

__all__ = ["ContinuousLaw"]


class ContinuousLaw(Law):
    """A law on the line without atoms: rules of ranks are exact on it, by its quantiles."""

    @abstractmethod
    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Return the reward below which the base's mass is ``u`` (above which, if ``upper``)."""

    def deviation(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Return that reward minus the mean; overridden where it does not depend on the mean, however large that is."""
        return np.asarray(self.quantile(u, upper=upper) - self.base_reward)
