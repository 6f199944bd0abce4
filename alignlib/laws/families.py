"""Analytic reward laws behind the same doors as :class:`alignlib.laws.finite.FiniteLaw`: the book's exact answers.

Each law knows its centred log-partition, gain, variance and KL in closed form, stable near ``λ = 0``, its
quantile function (so best-of-N is one integral) and how to sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from alignlib._core.checks import FloatArray, FloatOrArray, as_float_array, like, require, require_range
from alignlib._core.special import log1p_excess
from alignlib.laws import _langevin
from alignlib.laws.finite import FiniteLaw
from alignlib.laws.reward_law import RewardLaw, convex_root

__all__ = ["Exponential", "Gaussian", "HeavyTailed", "Laplace", "RewardLaw", "Uniform", "bernoulli"]


@dataclass(frozen=True)
class Gaussian(RewardLaw):
    """Normal reward: the frontier is ``σ √(2Δ)``, the equality case of the sub-Gaussian bound (M24).

    >>> Gaussian(sd=2.0).gain_at_kl(0.5)
    2.0
    """

    mean: float = 0.0
    sd: float = 1.0

    def __post_init__(self) -> None:
        require(self.sd > 0, f"sd must be positive; got {self.sd:g}.")
        object.__setattr__(self, "base_reward", self.mean)

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self.sd**2 * lam

    def _kl(self, lam: FloatArray) -> FloatArray:
        return (self.sd * lam) ** 2 / 2

    _reverse_kl = _kl

    def _variance(self, lam: FloatArray) -> FloatArray:
        return np.full_like(lam, self.sd**2)

    def _solve(self, budget: float) -> float:
        return math.sqrt(2 * budget) / self.sd

    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Normal quantile."""
        z = special.ndtri(np.asarray(u, dtype=np.float64))
        return np.asarray(self.mean + self.sd * (-z if upper else z))


@dataclass(frozen=True)
class Uniform(RewardLaw):
    """Uniform reward on ``[low, high]``: ``Λ = log((e^{λw} - 1)/(λw)) + λ low``, w the width.

    >>> round(Uniform(0.0, 1.0).gain_at_kl(1.0), 6)
    0.364579
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        require(self.high > self.low, f"high must exceed low, {self.low:g}; got {self.high:g}.")
        object.__setattr__(self, "base_reward", (self.low + self.high) / 2)

    @property
    def _half(self) -> float:
        return (self.high - self.low) / 2

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self._half * _langevin.langevin(self._half * lam)

    def _kl(self, lam: FloatArray) -> FloatArray:
        return _langevin.kl(self._half * lam)

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return _langevin.log_sinhc(self._half * lam)

    def _variance(self, lam: FloatArray) -> FloatArray:
        return self._half**2 * _langevin.slope(self._half * lam)

    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Linear quantile."""
        step = 2 * self._half * np.asarray(u, dtype=np.float64)
        return self.high - step if upper else self.low + step

    def _expected_max(self, n: float) -> float:
        return 2 * self._half * (n - 1) / (2 * (n + 1))


@dataclass(frozen=True)
class Exponential(RewardLaw):
    """Exponential reward of the given rate: ``Λ = -log(1 - λ/rate)``, finite for ``λ < rate`` only.

    With ``v = u/(1-u)``, ``u = λ/rate``: gain ``v/rate`` and KL ``v - log(1+v)``.

    >>> round(Exponential().gain_at_kl(1.0), 6)
    2.146193
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        require(self.rate > 0, f"rate must be positive; got {self.rate:g}.")
        object.__setattr__(self, "base_reward", 1 / self.rate)
        object.__setattr__(self, "lam_max", self.rate)

    def _gain(self, lam: FloatArray) -> FloatArray:
        return lam / self.rate / (self.rate - lam)

    def _kl(self, lam: FloatArray) -> FloatArray:
        return log1p_excess(-lam / (self.rate - lam))

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return log1p_excess(lam / self.rate)

    def _variance(self, lam: FloatArray) -> FloatArray:
        return 1 / (self.rate - lam) ** 2

    def _odds(self, kl: FloatArray) -> FloatArray:
        """v with ``v - log(1+v) = kl``."""
        return convex_root(lambda v: log1p_excess(-v), lambda v: v / (1 + v), kl, kl + np.sqrt(2 * kl) + np.log1p(kl))

    def lam_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The λ with ``D(λ) = kl`` (nats)."""
        v = self._odds(require_range("kl", kl, 0.0))
        return like(kl, self.rate * v / (1 + v))

    def gain_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The frontier, solved in v so that it holds where λ is within rounding of the rate."""
        return like(kl, self._odds(require_range("kl", kl, 0.0)) / self.rate)

    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Exponential quantile."""
        mass = np.asarray(u, dtype=np.float64)
        return np.asarray(-(np.log(mass) if upper else np.log1p(-mass)) / self.rate)

    def _expected_max(self, n: float) -> float:
        return (float(special.digamma(n + 1)) + np.euler_gamma - 1) / self.rate


@dataclass(frozen=True)
class Laplace(RewardLaw):
    """Laplace reward of the given scale b: ``Λ = -log(1 - λ²b²)``, finite for ``λ < 1/b`` only.

    With ``v = u/(1-u)``, ``u = λ²b²``: gain ``2b √(v(1+v))`` and KL ``2v - log(1+v)``.

    >>> round(Laplace().gain_at_kl(1.0), 6)
    2.381653
    """

    scale: float = 1.0
    base_reward: float = 0.0

    def __post_init__(self) -> None:
        require(self.scale > 0, f"scale must be positive; got {self.scale:g}.")
        object.__setattr__(self, "lam_max", 1 / self.scale)

    def _square(self, lam: FloatArray) -> FloatArray:
        return (lam * self.scale) ** 2

    def _gain(self, lam: FloatArray) -> FloatArray:
        return 2 * lam * self.scale**2 / (1 - self._square(lam))

    def _kl(self, lam: FloatArray) -> FloatArray:
        u = self._square(lam)
        return 2 * u / (1 - u) + np.log1p(-u)

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return -np.log1p(-self._square(lam))

    def _variance(self, lam: FloatArray) -> FloatArray:
        u = self._square(lam)
        return 2 * self.scale**2 * (1 + u) / (1 - u) ** 2

    def _odds(self, kl: FloatArray) -> FloatArray:
        """v with ``2v - log(1+v) = kl``."""
        return convex_root(lambda v: 2 * v - np.log1p(v), lambda v: 2 - 1 / (1 + v), kl, kl)

    def lam_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The λ with ``D(λ) = kl`` (nats)."""
        v = self._odds(require_range("kl", kl, 0.0))
        return like(kl, np.sqrt(v / (1 + v)) / self.scale)

    def gain_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The frontier, solved in v so that it holds where λ is within rounding of ``1/b``."""
        v = self._odds(require_range("kl", kl, 0.0))
        return like(kl, 2 * self.scale * np.sqrt(v * (1 + v)))

    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Laplace quantile."""
        mass = np.asarray(u, dtype=np.float64)
        near, sign = np.minimum(mass, 1 - mass), np.where((mass < 0.5) != upper, 1.0, -1.0)
        return np.asarray(sign * self.scale * np.log(2 * near))


@dataclass(frozen=True)
class HeavyTailed:
    """A law whose tail outweighs every exponential: ``Λ(λ) = ∞`` for all λ > 0, any KL budget buys any reward.

    ``dist`` is a frozen scipy distribution, such as ``scipy.stats.t(3)`` or ``scipy.stats.lognorm(1.0)``.
    """

    dist: stats.rv_continuous

    def log_partition(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``0`` at ``λ = 0``, infinite beyond."""
        lams = as_float_array("lam", lam)
        return like(lam, np.where(lams > 0, np.inf, 0.0))

    def gain_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """``0`` at ``kl = 0``, infinite beyond: mixing in a speck of the far tail costs next to no KL."""
        budgets = require_range("kl", kl, 0.0)
        return like(kl, np.where(budgets > 0, np.inf, 0.0))

    def sample(self, rng: np.random.Generator, size: int | tuple[int, ...]) -> FloatArray:
        """Independent rewards of shape ``size``."""
        return np.asarray(self.dist.rvs(size=size, random_state=rng), dtype=np.float64)


class _Bernoulli(FiniteLaw):
    """A 0/1 reward: a finite law with the extra doors of a family."""

    def __init__(self, success: float) -> None:
        super().__init__([0.0, 1.0], [1 - success, success])
        self.success = success

    def gain_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The frontier, flat at ``1 - success`` from ``-log success`` nats on."""
        return self.gain(self.lam_at_kl(kl))

    def sample(self, rng: np.random.Generator, size: int | tuple[int, ...]) -> FloatArray:
        """Independent rewards of shape ``size``."""
        return (rng.random(size) < self.success).astype(np.float64)


def bernoulli(success: float) -> _Bernoulli:
    """Return the law of a 0/1 reward that is 1 with probability ``success``.

    >>> round(bernoulli(0.25).gain_at_kl(0.2), 6)
    0.297077
    """
    require(0 < success < 1, f"success must lie in (0, 1); got {success:g}.")
    return _Bernoulli(success)
