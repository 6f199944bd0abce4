"""Heavy tails: laws that no KL budget bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_rng, require_range
from alignlib.laws.continuous import ContinuousLaw

if TYPE_CHECKING:  # importing scipy.stats takes longer than everything else here
    from scipy.stats import rv_continuous

__all__ = ["HeavyTailed"]


@dataclass(frozen=True)
class HeavyTailed(ContinuousLaw):
    """A law whose tail outweighs every exponential: ``Λ(λ) = ∞`` for all λ > 0, any KL budget buys any reward.

    Its tilts do not exist. What is returned at λ > 0 is the limit of the law cut off ever further out, which is
    infinite; any gain costs next to no KL, since a speck of the far tail suffices, and the λ of every budget is 0.

    Parameters
    ----------
    dist : frozen scipy distribution
        Such as ``scipy.stats.t(3)`` or ``scipy.stats.lognorm(1.0)``.

    Examples
    --------
    >>> from scipy import stats
    >>> law = HeavyTailed(stats.t(3))
    >>> law.gain_at_kl([0.0, 1e-6]).tolist(), law.kl_at_gain(100.0)
    ([0.0, inf], 0.0)
    """

    dist: rv_continuous

    @property
    def base_reward(self) -> float:
        """The mean, infinite or NaN where the law has none."""
        return float(self.dist.mean())

    @property
    def min_reward(self) -> float:
        """The lower end of the distribution's support."""
        return float(self.dist.support()[0])

    @property
    def lam_max(self) -> float:
        """0: there is no tilt."""
        return 0.0

    def _lams(self, lam: npt.ArrayLike) -> FloatArray:
        return require_range("lam", lam, 0.0)

    def _gain(self, lam: FloatArray) -> FloatArray:
        return np.where(lam > 0, math.inf, 0.0)

    _kl = _reverse_kl = _gain

    def _log_partition(self, lam: FloatArray) -> FloatArray:
        return self._gain(lam)

    def _variance(self, lam: FloatArray) -> FloatArray:
        return np.where(lam > 0, math.inf, float(self.dist.var()))

    def _lam_at_kl(self, budgets: FloatArray) -> FloatArray:
        return np.zeros_like(budgets)

    def _lam_at_gain(self, gains: FloatArray) -> FloatArray:
        return np.zeros_like(gains)

    def _kl_of_gains(self, gains: FloatArray) -> FloatArray:
        return np.zeros_like(gains)

    def _gain_of_budgets(self, budgets: FloatArray, lam: FloatArray) -> FloatArray:
        return self._gain(budgets)

    def quantile(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatArray:
        """Quantile of the distribution."""
        mass = np.asarray(u, dtype=np.float64)
        return np.asarray(self.dist.isf(mass) if upper else self.dist.ppf(mass))

    def sample(self, rng: np.random.Generator | int, size: int | tuple[int, ...]) -> FloatArray:
        """Return independent rewards, of shape ``size``."""
        return np.asarray(self.dist.rvs(size=size, random_state=as_rng(rng)), dtype=np.float64)
