"""What every analytic reward law offers: the doors of a tilted family, its frontier, best-of-N and samples."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import integrate, optimize

from alignlib._core.checks import FloatArray, FloatOrArray, like, require, require_range

__all__ = ["RewardLaw", "convex_root"]

# e^-60 of the mass: what is left beyond cannot be seen next to the integral.
_FAR = -60.0


class RewardLaw(ABC):
    """A reward law on the line; ``lam`` must lie in ``[0, lam_max)``, beyond which ``Λ = ∞``."""

    base_reward: float
    lam_max: float = math.inf
    max_kl: float = math.inf

    @abstractmethod
    def _gain(self, lam: FloatArray) -> FloatArray: ...
    @abstractmethod
    def _kl(self, lam: FloatArray) -> FloatArray: ...
    @abstractmethod
    def _reverse_kl(self, lam: FloatArray) -> FloatArray: ...
    @abstractmethod
    def _variance(self, lam: FloatArray) -> FloatArray: ...
    @abstractmethod
    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Reward below which the mass is ``u`` (above which, if ``upper``: accurate in the top tail)."""

    def _lam(self, lam: npt.ArrayLike) -> FloatArray:
        lams = require_range("lam", lam, 0.0)
        require(
            bool((lams < self.lam_max).all()),
            f"lam must stay below {self.lam_max:g} for this law: its log-partition is infinite from there on; "
            f"got {np.max(lams):g}.",
        )
        return lams

    def gain(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``R(λ) - R(0)``, for each λ."""
        return like(lam, self._gain(self._lam(lam)))

    def mean_reward(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``R(λ)``, for each λ."""
        return like(lam, self.base_reward + self._gain(self._lam(lam)))

    def kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``D(λ) = KL(π_λ‖p)`` in nats, for each λ."""
        return like(lam, self._kl(self._lam(lam)))

    def reverse_kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(p‖π_λ)`` in nats, for each λ: the centred log-partition."""
        return like(lam, self._reverse_kl(self._lam(lam)))

    def jeffreys(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(π_λ‖p) + KL(p‖π_λ)`` in nats, for each λ."""
        lams = self._lam(lam)
        return like(lam, self._kl(lams) + self._reverse_kl(lams))

    def variance(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``Λ''(λ)``, for each λ."""
        return like(lam, self._variance(self._lam(lam)))

    def log_partition(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``Λ(λ)`` in nats, for each λ."""
        lams = self._lam(lam)
        return like(lam, lams * self.base_reward + self._reverse_kl(lams))

    def lam_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The λ with ``D(λ) = kl`` (nats)."""
        budgets = require_range("kl", kl, 0.0)
        return like(kl, np.array([self._solve(b) for b in budgets.reshape(-1).tolist()]).reshape(budgets.shape))

    def _solve(self, budget: float) -> float:
        if budget == 0:
            return 0.0
        guess = math.sqrt(2 * budget / self.variance(0.0))
        low, high = guess, guess
        while self.kl(low) > budget:
            low /= 2
        while self.kl(high) < budget:
            high *= 2
        if low == high:
            return low
        root = optimize.toms748(
            lambda v: math.log(self.kl(math.exp(v)) / budget), math.log(low), math.log(high), xtol=1e-15, rtol=1e-15
        )
        return math.exp(root)

    def gain_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The frontier: the largest gain for a KL budget (nats)."""
        return self.gain(self.lam_at_kl(kl))

    def best_of_n_gain(self, n: npt.ArrayLike) -> FloatOrArray:
        """Gain of best-of-N, ``∫ Q(u) n u^{n-1} du`` minus the mean, for real ``n >= 1``."""
        ns = require_range("n", n, 1.0)
        return like(n, np.array([self._expected_max(v) for v in ns.reshape(-1).tolist()]).reshape(ns.shape))

    def _expected_max(self, n: float) -> float:
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

    def sample(self, rng: np.random.Generator, size: int | tuple[int, ...]) -> FloatArray:
        """Independent rewards of shape ``size``."""
        return np.asarray(self.quantile(rng.random(size)), dtype=np.float64)


def convex_root(
    value: Callable[[FloatArray], FloatArray],
    slope: Callable[[FloatArray], FloatArray],
    target: FloatArray,
    start: FloatArray,
) -> FloatArray:
    """Root of an increasing convex function by Newton from above, where every step goes down to the root."""
    v = np.array(start, dtype=np.float64)
    for _ in range(100):
        with np.errstate(invalid="ignore", divide="ignore"):
            new = np.where(v > 0, v - (value(v) - target) / slope(v), 0.0)
        # From above the iterates only fall, so the first that does not has met rounding.
        if (new >= v * (1 - 2e-15)).all():
            return np.asarray(np.minimum(new, v))
        v = np.minimum(new, v)
    raise ArithmeticError(f"Newton did not settle for KL budgets {target!r}; the last iterate is {v!r}.")
