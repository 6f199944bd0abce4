"""Laws without atoms, known by their quantiles."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, like, require_range
from alignlib.laws.law import Law

__all__ = ["ContinuousLaw"]


class ContinuousLaw(Law):
    """A law on the line without atoms: rules of ranks are exact on it, by its quantiles, which `_quantile` gives."""

    @abstractmethod
    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray: ...

    def deviation(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatOrArray:
        """Return the `quantile` minus the mean; `_deviation` says it without the mean, however large that is."""
        mass = require_range("u", u, 0.0, 1.0)
        with np.errstate(divide="ignore"):
            return like(u, self._deviation(mass, upper))

    def _deviation(self, u: FloatArray, upper: bool) -> FloatArray:
        return np.asarray(self._quantile(u, upper) - self.base_reward)
