"""KL of the policy to the base, in nats: the default budget."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray
from alignlib._core.special import kl_integrand
from alignlib.divergences.divergence import Divergence

__all__ = ["KL"]

_OVERFLOWS = 700.0  # e^t beyond is no double


class _KL(Divergence):
    """``KL(φ‖p) = Σ φ log φ/p``, ``f(t) = t log t - t + 1``; the optimum is the exponential tilt.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> FiniteLaw([0.0, 1.0]).frontier([0.1, 0.5], KL).gain.round(4).tolist()
    [0.2198, 0.4518]
    """

    name = "kl"
    label = "KL to the base model (nats)"

    def f(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(scipy.special.xlogy(ratio, ratio) - ratio + 1.0)

    def slope(self, ratio: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(ratio))

    def ratio_at(self, price: FloatArray) -> FloatArray:
        return np.asarray(np.exp(price))

    def response(self, ratio: FloatArray) -> FloatArray:
        return np.asarray(ratio)

    def conjugate(self, price: FloatArray) -> FloatArray:
        return np.asarray(np.expm1(price))

    def of_log_ratio(self, log_ratio: npt.ArrayLike, prob: npt.ArrayLike) -> float:
        t, p = np.asarray(log_ratio, dtype=np.float64), np.asarray(prob, dtype=np.float64)
        far = t > _OVERFLOWS
        if not (t.shape == p.shape and far.any() and np.isfinite(t[far]).all()):
            return super().of_log_ratio(t, p)
        policy = np.exp(np.log(p[far]) + t[far])  # of masses near the smallest double: the ratio itself overflows
        return super().of_log_ratio(t[~far], p[~far]) + float((policy * (t[far] - 1.0) + p[far]).sum())

    def f_of_log(self, log_ratio: FloatArray) -> FloatArray:
        return kl_integrand(log_ratio)


KL = _KL()
