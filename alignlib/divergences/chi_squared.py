"""Chi-squared to the base model: the variance of the ratio of policy and base."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.divergences.divergence import Divergence

__all__ = ["CHI_SQUARED"]


class _ChiSquared(Divergence):
    """``χ² = E_p (φ/p - 1)²``, ``f(t) = (t - 1)²``; the optimum is ``φ = p max(0, 1 + λ(r - ν)/2)``.

    The gain is ``σ √χ²``, σ the base's standard deviation of the reward, as long as no outcome is dropped.
    """

    name = "chi2"
    label = "χ² to the base model"
    slope_at_zero = -2.0

    def f(self, ratio: FloatArray) -> FloatArray:
        return np.asarray((ratio - 1.0) ** 2)

    def slope(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(2.0 * (ratio - 1.0))

    def ratio_at(self, price: FloatArray) -> FloatArray:
        return np.asarray(np.maximum(1.0 + 0.5 * price, 0.0))

    def response(self, ratio: FloatArray) -> FloatArray:
        return np.where(ratio > 0.0, 0.5, 0.0)

    def conjugate(self, price: FloatArray) -> FloatArray:
        held = np.maximum(price, -2.0)
        return np.asarray(held + 0.25 * held * held)

    def f_of_log(self, log_ratio: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.asarray(np.expm1(log_ratio) ** 2)


CHI_SQUARED = _ChiSquared()
