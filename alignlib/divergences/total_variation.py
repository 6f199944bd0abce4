"""Total variation: the mass that a policy moves."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.divergences.divergence import Divergence

__all__ = ["TOTAL_VARIATION"]


class _TotalVariation(Divergence):
    """``½ Σ |φ - p|``, ``f(t) = ½|t - 1|``: the mass moved; the optimum moves it from the worst outcomes to the best.

    It is neither strictly convex nor differentiable at 1: `slope` and `ratio_at` give one of the values in between.
    """

    name = "total_variation"
    label = "total variation from the base model (mass moved)"
    slope_at_zero = -0.5
    slope_at_infinity = 0.5

    def f(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(0.5 * np.abs(ratio - 1.0))

    def slope(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(0.5 * np.sign(ratio - 1.0))

    def ratio_at(self, price: FloatArray) -> FloatArray:
        return np.asarray(np.where(price < -0.5, 0.0, np.where(price <= 0.5, 1.0, np.inf)))

    def response(self, ratio: FloatArray) -> FloatArray:
        return np.zeros_like(ratio)

    def conjugate(self, price: FloatArray) -> FloatArray:
        return np.asarray(np.where(price <= 0.5, np.maximum(price, -0.5), np.inf))

    def f_of_log(self, log_ratio: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.asarray(0.5 * np.abs(np.expm1(log_ratio)))


TOTAL_VARIATION = _TotalVariation()
