"""Heavy tails: laws that no KL budget bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, require, require_range
from alignlib._core.errors import InputError, quoted
from alignlib.divergences import Divergence
from alignlib.laws.continuous import ContinuousLaw

if TYPE_CHECKING:  # importing scipy.stats takes longer than everything else here
    from scipy.stats import rv_continuous

__all__ = ["HeavyTailed"]


# fmt: off
# Families of scipy with E e^{λr} < ∞ for some λ > 0, whatever their parameters.
_LIGHT = frozenset({
    "argus", "chi", "chi2", "crystalball", "dgamma", "erlang", "expon", "exponnorm", "fatiguelife",
    "foldnorm", "gamma", "genexpon", "geninvgauss", "genlogistic", "gompertz", "gumbel_l", "gumbel_r",
    "halflogistic", "halfnorm", "hypsecant", "invgauss", "laplace", "laplace_asymmetric", "loggamma",
    "logistic", "maxwell", "moyal", "nakagami", "norm", "norminvgauss", "pearson3", "powernorm",
    "exponpow", "genhyperbolic", "kstwobign", "ncx2", "rayleigh", "recipinvgauss", "rice", "skewnorm", "truncexpon",
    "truncnorm", "wald",
})
# Families where a shape decides: its name, and from where on the tail falls exponentially or faster.
_LIGHT_FROM = {
    "dweibull": ("c", 1.0), "exponweib": ("c", 1.0), "gengamma": ("c", 1.0), "gennorm": ("beta", 1.0),
    "halfgennorm": ("beta", 1.0), "levy_stable": ("alpha", 2.0), "weibull_min": ("c", 1.0),
}
# And families that are exponential or logistic at this one shape, bounded beyond it.
_LIGHT_AT = {"genextreme": ("c", 0.0), "genpareto": ("c", 0.0), "tukeylambda": ("lam", 0.0)}
# fmt: on


@dataclass(frozen=True)
class HeavyTailed(ContinuousLaw):
    """A law whose tail outweighs every exponential: ``Λ(λ) = ∞`` for all λ > 0, any KL budget buys any reward.

    Its tilts do not exist. What is returned at λ > 0 is the limit of the law cut off ever further out, which is
    infinite; any gain costs next to no KL, since a speck of the far tail suffices, and the λ of every budget is 0.

    Parameters
    ----------
    dist : frozen scipy distribution
        Such as ``scipy.stats.t(3)`` or ``scipy.stats.lognorm(1.0)``.

    Raises
    ------
    InputError
        If ``dist`` is no frozen continuous distribution, or one whose upper tail is known to be light: its support
        ends, or it is of a family such as the normal or the exponential.

    Examples
    --------
    >>> from scipy import stats
    >>> law = HeavyTailed(stats.t(3))
    >>> law.gain_at_kl([0.0, 1e-6]).tolist(), law.kl_at_gain(100.0)
    ([0.0, inf], 0.0)
    """

    dist: rv_continuous

    def __repr__(self) -> str:
        """By the distribution's name and parameters."""
        frozen: Any = self.dist  # scipy types a frozen distribution as its family
        given = [*map(str, frozen.args), *(f"{name}={value}" for name, value in frozen.kwds.items())]
        return f"HeavyTailed({frozen.dist.name}({', '.join(given)}))"

    def __post_init__(self) -> None:
        frozen_family = getattr(self.dist, "dist", None)
        require(
            all(hasattr(frozen_family, name) for name in ("ppf", "isf", "pdf")) and hasattr(self.dist, "ppf"),
            f"dist must be a frozen continuous distribution of scipy, such as scipy.stats.t(3); got "
            f"{quoted(self.dist)}.",
            argument="dist",
        )
        name = str(getattr(frozen_family, "name", ""))
        end = float(self.dist.support()[1])
        require(
            math.isinf(end) and name not in _LIGHT and not _light_by_shape(self.dist, name),
            f"dist must have a heavy upper tail; {name or 'this'} "
            f"{f'ends at {end:g}' if math.isfinite(end) else 'falls exponentially or faster'}. "
            "Use the law of its own, such as Gaussian, or a FiniteLaw of its samples.",
            argument="dist",
        )

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

    def _optima(self, budgets: FloatArray, divergence: Divergence) -> tuple[FloatArray, FloatArray]:
        raise InputError(
            f"divergence must be KL for {type(self).__name__}; got {divergence.called}. A FiniteLaw takes any.",
            argument="divergence",
        )

    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray:
        return np.asarray(self.dist.isf(u) if upper else self.dist.ppf(u))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        return np.asarray(self.dist.rvs(size=shape, random_state=rng))


def _light_by_shape(frozen: Any, name: str) -> bool:
    """Whether a shape parameter of a frozen scipy distribution makes its upper tail light.

    >>> from scipy import stats
    >>> [_light_by_shape(stats.weibull_min(c), "weibull_min") for c in (0.5, 1.0, 2.0)]
    [False, True, True]
    """
    if name not in _LIGHT_FROM and name not in _LIGHT_AT:
        return False
    parameter, least = _LIGHT_FROM.get(name) or _LIGHT_AT[name]
    shapes = [shape.strip() for shape in str(frozen.dist.shapes).split(",")]
    given = dict(zip(shapes, frozen.args, strict=False)) | frozen.kwds
    value = float(given[parameter])
    return value == least or (name in _LIGHT_FROM and value > least)
