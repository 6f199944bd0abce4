"""Laws without atoms, known by their quantiles: best-of-N on them is one integral."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatOrArray, like, require_range
from alignlib.laws.law import Law

__all__ = ["ContinuousLaw"]

# e^-60 of the mass: what is left beyond cannot be seen next to the integral.
_FAR = -60.0


class ContinuousLaw(Law):
    """A law on the line without atoms; a subclass defines `quantile` besides what `Law` asks for."""

    def best_of_n_gain(self, n: npt.ArrayLike) -> FloatOrArray:
        """Gain of best-of-N, ``∫ Q(u) n u^{n-1} du`` minus the mean, for real ``n >= 1``."""
        ns = require_range("n", n, 1.0)
        return like(n, np.array([self._expected_max(v) for v in ns.reshape(-1).tolist()]).reshape(ns.shape))

    def _expected_max(self, n: float) -> float:
        from scipy import integrate

        # v = u^n is uniform; the top is written by its tail mass so that the integrand stays accurate there.
        def upper(log_tail: float) -> float:
            tail = math.exp(log_tail)
            u_tail = -math.expm1(math.log1p(-tail) / n)
            return float(self.quantile(u_tail, upper=True)) * tail

        def lower(log_v: float) -> float:
            return float(self.quantile(math.exp(log_v / n))) * math.exp(log_v)

        # The median, where a law may have a kink, is a limit of integration.
        median = n * math.log(0.5)
        ends = sorted({_FAR, math.log(0.5)} | ({median} if median > _FAR else set()))
        pieces = [(upper, _FAR, math.log(0.5)), *((lower, a, b) for a, b in pairwise(ends))]
        total = sum(integrate.quad(f, a, b, epsabs=1e-14, epsrel=1e-11, limit=300)[0] for f, a, b in pieces)
        return float(total) - self.base_reward
