"""Rules that see the ranks of the rewards only, given by the distribution function of the kept response's rank."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy

from alignlib._core.checks import FloatArray
from alignlib.divergences import KL, Divergence
from alignlib.laws import ContinuousLaw, Levels
from alignlib.rules.on_law import OnContinuous, OnLaw
from alignlib.rules.order_weights import jackknifed_weights
from alignlib.rules.rule import Rule
from alignlib.rules.samples import Prepared, PromptValues

__all__ = ["RankRule"]

_CERTIFICATE = 1e-9
_CANCELS = 0.01  # a level across which G changes by a smaller share is integrated instead of subtracted
_STEP = 1e-30
_FAR = -60.0  # e^-60 of the mass: what is left beyond cannot be seen next to the integral
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


class RankRule(Rule):
    """A rule that sees ranks only, given by `cdf`: the kept response's rank has distribution function ``G(F)``.

    A subclass defines `cdf`, `draws`, and `number_of_draws` where that is random; what is kept is the best, ties broken
    at random, unless `choose` says otherwise. The defaults below are accurate for smooth ``G`` where it does not
    underflow; where more is known, override.
    """

    @abstractmethod
    def cdf(self, f: FloatArray) -> FloatArray:
        """``G(F)`` for F in [0, 1]: ``G(0) = 0``, ``G(1) = 1``."""

    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        """The best, ties broken at random."""
        return int(rng.choice(np.flatnonzero(rewards == np.max(rewards))))

    def log_density(self, f: FloatArray) -> FloatArray:
        """``log G'(F)``; by default from a complex step, so `cdf` must be arithmetic that holds for complex numbers."""
        beside: Any = f + _STEP * 1j
        with np.errstate(divide="ignore"):
            return np.log(np.imag(self.cdf(beside)) / _STEP)

    # ------------------------------------------------------------------ exact
    def log_ratio(self, levels: Levels) -> FloatArray:
        """``log [G(F_i) - G(F_{i-1})] / P_i``; the mean density over a level where the difference would cancel."""
        upto = np.minimum(levels.below + levels.mass, 1.0)
        top = self.cdf(upto)
        rise = top - self.cdf(levels.below)
        small = rise < _CANCELS * top
        with np.errstate(divide="ignore", invalid="ignore"):
            out = np.log(rise / levels.mass)
            if small.any():
                half = levels.mass[small, None] / 2
                inside = np.exp(self.log_density(levels.below[small, None] + half * (1.0 + _NODES)))
                out[small] = np.log(inside @ _WEIGHTS / 2)
        total = float(levels.mass @ np.exp(out))
        if not abs(total - 1.0) <= _CERTIFICATE:
            raise ArithmeticError(f"{self.name} lost accuracy: its law sums to {total!r} at {self.label}.")
        return out

    def cdf_below_top(self, levels: Levels) -> FloatArray:
        """``G(F_i)`` of every level but the highest."""
        return self.cdf((levels.below + levels.mass)[:-1])

    def cdf_slope(self, levels: Levels) -> FloatArray | None:
        """Its derivative in the parameter, where known in closed form *and* as a sum of exponentials in it; else None.

        Then a path of the rule turns no more often than what it is applied to, and thresholds along it are certified.
        """
        return None

    def _on_continuous(self, law: ContinuousLaw) -> OnLaw:
        return OnContinuous(self, law)

    def spent_formula(self, divergence: Divergence = KL) -> float:
        """``∫ f(g(u)) du`` with ``g = G'``: what it spends without ties. With ties it spends no more."""
        return self._integral(lambda u: float(divergence.f_of_log(np.asarray(self.log_density(u)))))

    def win_rate_formula(self) -> float:
        """``1 - ∫ G(u) du``: the win rate over one base draw without ties."""
        return 1.0 - self._integral(lambda u: float(self.cdf(u)))

    def _integral(self, value: Callable[[FloatArray], float]) -> float:
        many = self.draws - 1.0  # then all of it happens near u = 1
        points = [1.0 - 30.0 / many] if many > 30.0 else None
        found, _ = scipy.integrate.quad(
            lambda u: value(np.asarray(u)), 0.0, 1.0, epsabs=0.0, epsrel=1e-12, limit=400, points=points
        )
        return float(found)

    def gain_on(self, law: ContinuousLaw) -> float:
        """``∫ Q(u) dG(u)`` minus the mean, on a law without atoms and with quantile function Q."""

        # Each half in the logarithm of its own tail's mass, so that both tails keep their digits.
        def upper(log_tail: float) -> float:
            tail = math.exp(log_tail)
            above = float(law.quantile(tail, upper=True)) - law.base_reward
            return above * math.exp(float(self.log_density(np.asarray(1.0 - tail))) + log_tail)

        def lower(log_mass: float) -> float:
            mass = math.exp(log_mass)
            above = float(law.quantile(mass)) - law.base_reward
            return above * math.exp(float(self.log_density(np.asarray(mass))) + log_mass)

        halves = [
            scipy.integrate.quad(f, _FAR, math.log(0.5), epsabs=1e-14, epsrel=1e-11, limit=300) for f in (upper, lower)
        ]
        return float(halves[0][0] + halves[1][0])

    # ------------------------------------------------------------------ from samples
    def evaluate(self, samples: Prepared, divergence: Divergence = KL) -> PromptValues:
        """Estimate spending, mean and win rate on each prompt: by formulas without ties, else by jackknifed sums."""
        spent = np.full(len(samples.values), self.spent_formula(divergence))
        wins = np.full(len(samples.values), self.win_rate_formula())
        if samples.tied.any():
            spent[samples.tied] = samples.levels.spent(self.cdf, divergence)
            wins[samples.tied] = samples.levels.win_rate(self.cdf)
        return PromptValues(spent, self.mean_kept(samples), wins)

    def mean_kept(self, samples: Prepared) -> FloatArray:
        """Mean value of what it keeps on each prompt, shape (prompts,): the jackknifed V-statistic."""
        return np.asarray(samples.values @ jackknifed_weights(samples.values.shape[1], self.cdf))
