"""Threshold stopping: draw until a response is among the best 1/N of the base model.

Of all rules that draw one response at a time, N on average, it has the highest mean reward: their policies are those
with ``π ≤ N p``, and it moves all mass as high as that allows. B24 studies rules of this kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy

from alignlib._core.checks import FloatArray
from alignlib.divergences import KL, Divergence, as_divergence
from alignlib.laws import ContinuousLaw, Levels
from alignlib.rules.one_by_one import OneByOne
from alignlib.rules.order_weights import halved_weights
from alignlib.rules.rank_rule import RankRule, spread
from alignlib.rules.samples import Prepared, PromptValues, by_halves

__all__ = ["ThresholdStopping"]

_FAR = -60.0  # e^-60 of the mass: what is left beyond cannot be seen next to the integral


@dataclass(frozen=True)
class ThresholdStopping(OneByOne, RankRule):
    """Stop at the first response among the best ``1/N`` of the base model; ``n >= 1`` draws on average.

    ``π(y) = N p(y)`` on the best ``1/N``, 0 elsewhere; a level that the threshold parts is accepted at times. Without
    ties its KL is ``log N`` and its win rate ``1 - 1/(2N)``.

    Parameters
    ----------
    n : float
        Mean number of draws.

    Raises
    ------
    InputError
        If ``n`` is below 1.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> found = ThresholdStopping(2.0).on(FiniteLaw([0.0, 1.0, 2.0]))
    >>> found.policy.round(6).tolist(), round(ThresholdStopping(4.0).win_rate_formula(), 6)
    ([0.0, 0.333333, 0.666667], 0.875)

    Source: B24 for such rules; their optimality among rules that accept one by one is derived here.
    """

    name = "threshold stopping"

    @property
    def needs(self) -> int:
        """Twice the draws: it is estimated by halves of the samples."""
        return 2 * math.ceil(self.n)

    def cdf(self, f: FloatArray) -> FloatArray:
        """``1 - N(1 - F)``, at least 0."""
        return np.asarray(np.maximum(1.0 - self.n * (1.0 - f), 0.0))

    def log_density(self, f: FloatArray) -> FloatArray:
        """``log N`` on the best ``1/N``."""
        return self.log_density_below_top(1.0 - f)

    def log_density_below_top(self, tail: FloatArray) -> FloatArray:
        """The same, from the tail."""
        return np.where(self.n * np.asarray(tail) < 1.0, math.log(self.n), -np.inf)

    def log_ratio(self, levels: Levels) -> FloatArray:
        """The part of each level that is among the best ``1/N``, times N."""
        share = np.clip((1.0 / self.n - levels.above) / levels.mass, 0.0, 1.0)
        if share[-1] < 1.0:  # the best level alone is more likely than 1/N
            with np.errstate(divide="ignore"):
                return np.where(np.arange(share.size) == share.size - 1, -np.log(levels.mass), -np.inf)
        with np.errstate(divide="ignore"):
            return np.log(share) - math.log(float(levels.mass @ share))

    def cdf_below_top(self, levels: Levels) -> FloatArray:
        """``1 - N·above``, at least 0."""
        return np.asarray(np.maximum(1.0 - self.n * levels.above[:-1], 0.0))

    def spent_formula(self, divergence: Divergence = KL) -> float:
        """``f(N)/N + (1 - 1/N) f(0)``: ``log N`` for KL."""
        divergence = as_divergence(divergence)
        if self.n == 1.0:
            return 0.0
        if divergence == KL:
            return math.log(self.n)
        inside, outside = divergence.f_of_log(np.array([math.log(self.n), -np.inf]))
        return float(divergence.of_mean(np.asarray(inside / self.n + (1.0 - 1.0 / self.n) * outside)))

    def win_rate_formula(self) -> float:
        """``1 - 1/(2N)``."""
        return 1.0 - 0.5 / self.n

    def evaluate(self, samples: Prepared, divergence: Divergence = KL) -> PromptValues:
        """Estimate from samples by halves of them: at the threshold the deletion of one sample tells nothing."""
        found = super().evaluate(replace(samples, tied=np.zeros_like(samples.tied)), divergence)
        if samples.tied.any():
            spent, wins, off = by_halves(samples.picking[samples.tied], self.cdf, divergence)
            found.spent[samples.tied], found.win_rate[samples.tied] = spent, wins
            spent_off = np.zeros(len(samples.tied))
            spent_off[samples.tied] = off
            return replace(found, spent_off=spent_off)
        return found

    def mean_kept(self, samples: Prepared) -> FloatArray:
        """Mean value of the best ``1/N``, by halves."""
        return np.asarray(samples.values @ halved_weights(samples.values.shape[1], self.cdf))

    def gain_on(self, law: ContinuousLaw) -> float:
        """The mean of the best ``1/N`` minus the mean."""
        if self.n == 1.0:
            return 0.0
        scale, end = spread(law), -math.log(self.n)

        def above(log_tail: float) -> float:
            tail = math.exp(log_tail)
            side = law.deviation(tail, upper=True) if tail < 0.5 else law.deviation(-math.expm1(log_tail))
            return float(side) / scale * tail * self.n

        # The median, where a law may have a kink, is a limit of integration.
        ends = sorted({end + _FAR, end} | ({math.log(0.5)} if end > math.log(0.5) else set()))
        options: Any = {"epsabs": 1e-14, "epsrel": 1e-11, "limit": 300}
        return scale * sum(float(scipy.integrate.quad(above, a, b, **options)[0]) for a, b in pairwise(ends))
