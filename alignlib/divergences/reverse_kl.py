"""KL of the base to the policy, in nats: what a k3 penalty in the loss measures."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.special import exp_excess
from alignlib.divergences.divergence import Divergence

__all__ = ["REVERSE_KL"]


class _ReverseKL(Divergence):
    """``KL(p‖φ) = Σ p log p/φ``, ``f(t) = t - 1 - log t``; the optimum is ``φ ∝ p/(ν - r)``."""

    name = "reverse_kl"
    label = "KL of the base model to the policy (nats)"
    slope_at_infinity = 1.0

    def f(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(ratio - 1.0 - np.log(ratio))

    def slope(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 - 1.0 / ratio)

    def ratio_at(self, price: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.where(price < 1.0, 1.0 / np.maximum(1.0 - price, 0.0), np.inf))

    def margin(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(1.0 / ratio)

    def ratio_within(self, margin: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(1.0 / margin)

    def response(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(ratio * ratio)

    def conjugate(self, price: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.where(price < 1.0, -np.log1p(-np.minimum(price, 1.0)), np.inf))

    def f_of_log(self, log_ratio: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return exp_excess(log_ratio)


REVERSE_KL = _ReverseKL()
