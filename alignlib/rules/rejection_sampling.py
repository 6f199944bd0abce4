"""Rejection sampling of the KL-regularised optimum: accept a draw with probability ``e^{-λ (max r - r)}``.

The policy is ``π_λ`` exactly, and a response takes ``1 / E_p e^{-λ (max r - r)}`` draws on average: the rule is
named by that number, which sets λ. It needs to know the largest reward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, as_number, require
from alignlib.divergences import KL, Divergence
from alignlib.laws import Levels
from alignlib.rules.one_by_one import OneByOne
from alignlib.rules.samples import Prepared, PromptValues, law_by_halves

__all__ = ["RejectionSampling"]

_LAST = 700.0  # λ times the gap to the next level, in nats: the levels below have gone by then


@dataclass(frozen=True)
class RejectionSampling(OneByOne):
    """Sample ``π_λ`` by rejection, with the λ that takes ``n >= 1`` draws on average.

    Of all policies that as many draws by rejection can give, ``π ≤ N p``, this one is on the frontier of its own KL,
    while `ThresholdStopping` has the highest reward. Once the best level alone is more likely than ``1/N``, λ is ∞.

    Parameters
    ----------
    n : float
        Mean number of draws.
    highest : float, optional
        The largest reward there can be, where it is known to lie above the largest of the law, such as 1
        for a score; by default that of the law is taken for it. From samples it has to be given.

    Raises
    ------
    InputError
        If ``n`` is below 1, or, on a law, a reward lies above ``highest``.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> law = FiniteLaw([0.0, 1.0, 2.0])
    >>> found = RejectionSampling(2.0).on(law)
    >>> float(round((found.policy * 3).max(), 6)), bool(np.isclose(found.gain, law.gain_at_kl(found.kl)))
    (2.0, True)

    Source: rejection sampling is von Neumann's; the policy is Y24's and P26's optimum.
    """

    highest: float | None = None

    name = "rejection sampling"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.highest is not None:
            object.__setattr__(self, "highest", as_number("highest", self.highest))

    @property
    def lacks(self) -> str:
        """The largest reward there can be, on which λ rests: the largest sample is not it."""
        if self.highest is not None:
            return ""
        return (
            "rejection sampling needs the largest reward there can be, which samples do not show: give it as the "
            f"second number, such as rejection-sampling:{self.n:g}:1, RejectionSampling({self.n:g}, 1), for a score "
            "that ends at 1."
        )

    def log_ratio(self, levels: Levels) -> FloatArray:
        """``-λ gap - log E_p e^{-λ gap}`` with the gap to the highest reward."""
        gap = self._gap(levels)
        lam = self._lam(gap, levels.mass)
        if math.isinf(lam):
            with np.errstate(divide="ignore"):
                return np.where(gap == gap[-1], -np.log(levels.mass), -np.inf)
        return np.asarray(-lam * (gap - gap[-1]) - _log_mean(lam, gap - gap[-1], levels.mass))

    def draws_on(self, levels: Levels) -> float:
        """Return the mean number of draws on a law, which the gap to ``highest`` adds to."""
        gap = self._gap(levels)
        lam = self._lam(gap, levels.mass)
        return 1.0 / float(levels.mass[-1]) if math.isinf(lam) else math.exp(-_log_mean(lam, gap, levels.mass))

    def evaluate(self, samples: Prepared, divergence: Divergence = KL) -> PromptValues:
        """Estimate from samples: with ties by halves, for λ jumps to ∞ where the best level is more likely than 1/N."""
        tied = np.asarray(samples.tied, dtype=np.bool_)
        if not tied.any():
            return super().evaluate(samples, divergence)
        some = replace(samples, picking=samples.picking[tied], values=samples.values[tied])
        rest = replace(samples, picking=samples.picking[~tied], values=samples.values[~tied])
        parts = law_by_halves(some, self.log_ratio, divergence), super().evaluate(rest, divergence)
        found = np.zeros((5, len(tied)))
        for where, part in zip((tied, ~tied), parts, strict=True):
            rows = (part.spent, part.mean, part.win_rate, part.spent_off, part.mean_off)
            found[:, where] = [np.zeros(int(where.sum())) if row is None else row for row in rows]
        return PromptValues(*found)

    def acceptance(self, levels: Levels) -> FloatArray:
        """``e^{-λ gap}``."""
        gap = self._gap(levels)
        lam = self._lam(gap, levels.mass)
        return np.where(gap == gap[-1], 1.0, 0.0) if math.isinf(lam) else np.exp(-lam * gap)

    def _gap(self, levels: Levels) -> FloatArray:
        top = float(levels.reward[-1])
        if self.highest is None:
            return np.asarray(top - levels.reward)
        require(
            top <= self.highest,
            f"highest must be no less than every reward; got {self.highest:g}, and a reward of {top:g}. Raise it, or "
            "leave it out.",
            "highest",
        )
        return np.asarray(self.highest - levels.reward)

    def _lam(self, gap: FloatArray, mass: FloatArray) -> float:
        """Solve ``-log E_p e^{-λ gap} = log N``, which rises in λ."""
        wanted = math.log(self.n)
        if wanted == 0.0 or gap[0] == 0.0:
            return 0.0
        if gap[-1] == 0.0 and wanted >= -math.log(mass[-1]):
            return math.inf

        def over(lam: float) -> float:
            return -_log_mean(lam, gap, mass) - wanted

        low, high = 0.0, wanted / float(gap[0])  # no λ below takes so many: the gap is no larger than gap[0]
        next_gap = float(gap[-2] if gap.size > 1 and gap[-1] == 0.0 else gap[-1])
        while over(high) < 0.0:
            low, high = high, 2.0 * high
            if high * next_gap > _LAST:  # within rounding of the best level alone
                return math.inf
        return float(scipy.optimize.brentq(over, low, high, xtol=1e-300, rtol=1e-15))


def _log_mean(lam: float, gap: FloatArray, mass: FloatArray) -> float:
    """``log E_p e^{-λ gap}``, accurate where hardly anything is lost and far out."""
    lost = float(mass @ -np.expm1(-lam * gap))
    if lost < 0.5:
        return math.log1p(-lost)
    least = lam * float(gap[-1])
    return math.log(float(mass @ np.exp(least - lam * gap))) - least
