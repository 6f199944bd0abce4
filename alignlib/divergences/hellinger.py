"""Squared Hellinger distance: one minus the overlap of policy and base."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.divergences.divergence import Divergence

__all__ = ["HELLINGER"]


class _Hellinger(Divergence):
    """``H² = ½ Σ (√φ - √p)² = 1 - Σ √(φp)``, between 0 and 1; the optimum is ``φ ∝ p/(ν - r)²``."""

    name = "hellinger"
    label = "squared Hellinger distance to the base model"
    slope_at_infinity = 0.5

    def f(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(0.5 * (np.sqrt(ratio) - 1.0) ** 2)

    def slope(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(0.5 - 0.5 / np.sqrt(ratio))

    def ratio_at(self, price: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.maximum(1.0 - 2.0 * price, 0.0) ** -2.0)

    def margin(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(0.5 / np.sqrt(ratio))

    def ratio_within(self, margin: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            root = 0.5 / margin  # a power of -2 is ten times slower
            return np.asarray(root * root)

    def response(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(4.0 * ratio * np.sqrt(ratio))

    def conjugate(self, price: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(price < 0.5, price / (1.0 - 2.0 * price), np.inf))

    def f_of_log(self, log_ratio: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.asarray(0.5 * np.expm1(0.5 * log_ratio) ** 2)


HELLINGER = _Hellinger()
