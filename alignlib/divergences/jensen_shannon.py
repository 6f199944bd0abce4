"""Jensen-Shannon divergence: the mean KL of policy and base to their mixture."""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.divergences.divergence import Divergence

__all__ = ["JENSEN_SHANNON"]


class _JensenShannon(Divergence):
    """``½ KL(φ‖m) + ½ KL(p‖m)`` with ``m = (φ + p)/2``, at most log 2; the optimum is ``φ ∝ p/(e^{λ(ν-r)} - 1)``.

    ``f(t) = ½ [t log t - (1 + t) log((1 + t)/2)]``.
    """

    name = "jensen_shannon"
    label = "Jensen–Shannon divergence from the base model (nats)"
    slope_at_infinity = 0.5 * math.log(2.0)

    def f(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return self.f_of_log(np.log(ratio))

    def slope(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(-0.5 * np.log(0.5 + 0.5 / ratio))

    def ratio_at(self, price: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", under="ignore"):
            # 2e^{-2s} - 1 = 1 + 2(e^{-2s} - 1): no digit is lost near s = 0
            below = np.minimum(price, self.slope_at_infinity)
            with np.errstate(over="ignore"):
                return np.asarray(1.0 / np.maximum(1.0 + 2.0 * np.expm1(-2.0 * below), 0.0))

    def margin(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(0.5 * np.log1p(1.0 / ratio))

    def ratio_within(self, margin: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / np.expm1(2.0 * margin))

    def response(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(2.0 * ratio * (1.0 + ratio))

    def conjugate(self, price: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = -0.5 * np.log1p(-np.expm1(2.0 * np.minimum(price, self.slope_at_infinity)))
            return np.asarray(np.where(price < self.slope_at_infinity, inside, np.inf))

    def f_of_log(self, log_ratio: FloatArray) -> FloatArray:
        # With v = |log t|/2: f = ½ (1 + t)(v tanh v - log cosh v), in a form for each side of v = 1.
        v = np.abs(0.5 * np.asarray(log_ratio, dtype=np.float64))
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            shrink = np.exp(-2.0 * v)
            far = math.log(2.0) - np.log1p(shrink) - np.where(np.isinf(v), 0.0, 2.0 * v * shrink / (1.0 + shrink))
            small = np.minimum(v, 1.0)
            near = small * np.tanh(small) - np.log1p(2.0 * np.sinh(0.5 * small) ** 2)
            return np.asarray(0.5 * (1.0 + np.exp(log_ratio)) * np.where(v < 1.0, near, far))


JENSEN_SHANNON = _JensenShannon()
