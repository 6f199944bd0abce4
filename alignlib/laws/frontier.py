"""The frontier: the largest reward at each KL budget, one frozen result for exact and estimated curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import optimize

from alignlib._core.checks import BoolArray, FloatArray, FloatOrArray, as_float_array, like, require, require_range
from alignlib.divergences import KL, Divergence

__all__ = ["Frontier", "TiltedLaw", "dual_gain", "exact_frontier", "kl_to_optimum"]


class TiltedLaw(Protocol):
    """The doors shared by :class:`alignlib.laws.finite.FiniteLaw` and the analytic families."""

    @property
    def base_reward(self) -> float: ...  # noqa: D102
    @property
    def max_kl(self) -> float: ...  # noqa: D102
    def gain(self, lam: npt.ArrayLike, /) -> FloatOrArray: ...  # noqa: D102
    def kl(self, lam: npt.ArrayLike, /) -> FloatOrArray: ...  # noqa: D102
    def reverse_kl(self, lam: npt.ArrayLike, /) -> FloatOrArray: ...  # noqa: D102
    def lam_at_kl(self, kl: npt.ArrayLike, /) -> FloatOrArray: ...  # noqa: D102


@dataclass(frozen=True)
class Frontier:
    """Points ``(spent, gain)`` of the frontier, all arrays of one shape ``(k,)``.

    ``spent`` is each budget, in the units of ``divergence``; ``gain = reward - base_reward``. An estimated frontier
    also carries its interval and says where the samples support it; an exact one has ``None`` there.
    """

    spent: FloatArray
    gain: FloatArray
    lam: FloatArray
    base_reward: float
    gain_low: FloatArray | None = None
    gain_high: FloatArray | None = None
    supported: BoolArray | None = None
    level: float | None = None
    divergence: Divergence = KL

    @property
    def reward(self) -> FloatArray:
        """The largest mean reward within the budget ``spent``."""
        return self.base_reward + self.gain


def exact_frontier(family: TiltedLaw, kl: npt.ArrayLike | None = None) -> Frontier:
    """Return ``R(Δ) = max {E_φ r : KL(φ‖p) <= Δ}`` for each budget, attained by ``π_λ`` with ``D(λ) = Δ``.

    Parameters
    ----------
    family : FiniteLaw or an analytic law
        The base law and its reward.
    kl : array (k,), optional
        Budgets in nats, >= 0; by default 129 budgets from 0 to ``max_kl`` (to 8 nats where that is infinite),
        closer together near 0 where the curve rises like ``√Δ``.

    Raises
    ------
    InputError
        If a budget is negative or not a number.

    Examples
    --------
    >>> from alignlib.laws.finite import FiniteLaw
    >>> exact_frontier(FiniteLaw([0.0, 1.0]), [0.0, 0.1, 5.0]).reward.round(4).tolist()
    [0.5, 0.7198, 1.0]

    Source: Y24, P26 (closed form of the optimum).
    """
    if kl is None:
        ceiling = family.max_kl if math.isfinite(family.max_kl) and family.max_kl > 0 else 8.0
        budgets = ceiling * np.linspace(0.0, 1.0, 129) ** 2
    else:
        budgets = np.atleast_1d(require_range("kl", kl, 0.0))
    lam = np.asarray(family.lam_at_kl(budgets))
    return Frontier(spent=budgets, gain=np.asarray(family.gain(lam)), lam=lam, base_reward=family.base_reward)


def dual_gain(family: TiltedLaw, kl: npt.ArrayLike) -> FloatOrArray:
    """Return ``inf_{λ>0} (Δ + Λ_c(λ)) / λ``, ``Λ_c`` centred: the frontier's gain by its dual, for each budget.

    Any λ gives an upper bound, so this is a certificate that knows nothing of how the primal was solved.

    Parameters
    ----------
    family : FiniteLaw or an analytic law
        The base law and its reward.
    kl : array
        Budgets in nats, > 0.

    Raises
    ------
    InputError
        If a budget is not positive.

    Examples
    --------
    >>> from alignlib.laws.families import Gaussian
    >>> round(dual_gain(Gaussian(), 2.0), 12)
    2.0
    """
    budgets = require_range("kl", kl, 0.0, open_low=True)
    lam_max = getattr(family, "lam_max", math.inf)

    def one(budget: float) -> float:
        def value(log_lam: float) -> float:
            lam = math.exp(log_lam)
            # The family's own end of the line, if it has one, is approached through log(λ/(λ_max - λ)).
            lam = lam if math.isinf(lam_max) else lam_max * lam / (1.0 + lam)
            return (budget + float(family.reverse_kl(lam))) / lam if lam < lam_max else math.inf

        scan = np.linspace(-25.0, 30.0, 111)
        values = [value(float(x)) for x in scan]
        best = int(np.argmin(values))
        bracket = (float(scan[max(0, best - 1)]), float(scan[min(scan.size - 1, best + 1)]))
        found = optimize.minimize_scalar(value, bounds=bracket, method="bounded", options={"xatol": 1e-9})
        return min(float(found.fun), values[best])

    return like(kl, np.array([one(b) for b in budgets.reshape(-1).tolist()]).reshape(budgets.shape))


def kl_to_optimum(family: TiltedLaw, lam: float, kl: npt.ArrayLike, gain: npt.ArrayLike) -> FloatOrArray:
    """Return ``KL(φ‖π_λ) = KL(φ‖p) - D(λ) - λ (gain_φ - gain_λ)`` in nats for any method φ.

    So a method that overspends at most ε of KL and misses at most δ of reward is within ``ε + λδ`` nats of
    the optimum itself: methods good by these two numbers are all close to one policy.

    Parameters
    ----------
    family : FiniteLaw or an analytic law
        The base law and its reward.
    lam : float
        The optimum's λ, finite.
    kl, gain : arrays
        The method's KL to the base in nats and its reward above the base's.

    Raises
    ------
    InputError
        If ``lam`` is infinite or ``kl`` negative.

    Examples
    --------
    >>> from alignlib.laws.finite import FiniteLaw
    >>> family = FiniteLaw([0.0, 1.0, 3.0])
    >>> round(kl_to_optimum(family, 1.0, family.kl(1.0), family.gain(1.0)), 12)
    0.0

    Source: Y24 (closeness of comparable methods); the identity is derived in the book.
    """
    require(math.isfinite(lam), f"lam must be finite here; got {lam}. At λ = ∞ the optimum has smaller support.")
    spent = require_range("kl", kl, 0.0)
    value = spent - family.kl(lam) - lam * (as_float_array("gain", gain) - family.gain(lam))
    return like(kl, np.asarray(value))
