"""A rule draws responses from the base model and keeps one: what every rule offers, and what a rule of ranks adds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, cast, overload

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib.divergences import KL, Divergence
from alignlib.laws import ContinuousLaw, FiniteLaw, Law, Levels, PromptAverage
from alignlib.rules.on_law import OnContinuous, OnLaw, OnLevels, OnPrompts, RuleCurve
from alignlib.rules.order_weights import jackknifed_weights
from alignlib.rules.samples import Prepared, PromptValues, by_groups

__all__ = ["RankRule", "Rule", "Rules"]

_CERTIFICATE = 1e-9
_CANCELS = 0.01  # a level across which G changes by a smaller share is integrated instead of subtracted
_STEP = 1e-30
_FAR = -60.0  # e^-60 of the mass: what is left beyond cannot be seen next to the integral
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


class Rule(ABC):
    """An inference-time way to choose a response; a subclass is a frozen dataclass whose fields are its parameters.

    It defines `draws`, `log_ratio` and `choose`. Everything else follows: the exact policy on a law (`on`), and the
    estimate from samples (`evaluate`).

    Attributes
    ----------
    name : str
        What text calls it, such as ``"best-of-N"``.
    parameter, symbol : str
        The field that grows along a curve, such as ``"n"``, and how a point is labelled, such as ``"N"``.
    start : float
        The parameter's value at which the rule is the base model.
    """

    name: ClassVar[str]
    parameter: ClassVar[str]
    symbol: ClassVar[str]
    start: ClassVar[float]

    @property
    @abstractmethod
    def draws(self) -> float:
        """Mean number of draws."""

    @property
    def needs(self) -> int:
        """Samples of a prompt that the estimate takes."""
        return math.ceil(self.draws)

    @abstractmethod
    def log_ratio(self, levels: Levels) -> FloatArray:
        """``log(policy/base)`` on each reward level of a finite law, exactly."""

    @abstractmethod
    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        """Which of the drawn rewards, shape (m,), it keeps."""

    def number_of_draws(self, rng: np.random.Generator) -> int:
        """How many responses it draws this time; random for some rules."""
        require(
            self.draws == round(self.draws),
            f"{self.parameter} must be whole to draw responses with {self.name}; got {self.value:g}.",
        )
        return round(self.draws)

    @property
    def value(self) -> float:
        """Value of the parameter."""
        return float(getattr(self, self.parameter))

    @property
    def label(self) -> str:
        """How a point of a curve is labelled, such as ``"N=4"``."""
        return f"{self.symbol}={self.value:g}"

    @property
    def title(self) -> str:
        """What a sentence calls it, such as ``"best-of-4"``."""
        return f"{self.name} ({self.label})"

    @property
    def is_base(self) -> bool:
        """Whether it is the base model: its parameter at its start, or a single draw."""
        return self.value == self.start or self.draws == 1.0

    def spent_formula(self, divergence: Divergence = KL) -> float | None:
        """Divergence from the base on a law without ties, where that is one number for all such laws; else None."""
        return None

    @overload
    def on(self, law: FiniteLaw) -> OnLevels: ...
    @overload
    def on(self, law: Law) -> OnLaw: ...
    def on(self, law: Law) -> OnLaw:
        """Return what the rule does on a law: ``.kl``, ``.gain``, ``.win_rate``, ``.spent(divergence)``.

        Parameters
        ----------
        law : FiniteLaw, PromptAverage or ContinuousLaw
            On a finite law the result also has ``.policy`` and ``.log_policy``, ties shared. On a law without atoms
            only a rule of ranks is exact.

        Raises
        ------
        ValueError
            For another law, or for a rule that sees values on a law that is not finite.

        Examples
        --------
        >>> from alignlib.rules import BestOfN
        >>> coin = BestOfN(2).on(FiniteLaw([0.0, 1.0]))
        >>> round(coin.kl, 6), coin.gain, coin.win_rate
        (0.130812, 0.25, 0.625)
        """
        if isinstance(law, PromptAverage):
            return OnPrompts(tuple(self.on(family) for family in law.families))
        if isinstance(law, FiniteLaw):
            return OnLevels(law.levels, self.log_ratio(law.levels), np.asarray(law.log_policy(0.0)))
        require(
            isinstance(self, RankRule) and isinstance(law, ContinuousLaw),
            f"law must be finite, or an average of finite laws, for {self.name}, or a law without atoms for a rule of "
            f"ranks; got {law!r:.80}.",
        )
        return OnContinuous(cast(RankRule, self), cast(ContinuousLaw, law))

    def evaluate(self, samples: Prepared, divergence: Divergence = KL) -> PromptValues:
        """Estimate what the rule spends, its mean reward and its win rate on each prompt, from the prompt's samples.

        The exact policy on the empirical law, jackknifed over groups of samples.
        """
        return by_groups(samples, self.log_ratio, divergence)

    @classmethod
    def along(cls, values: npt.ArrayLike, **fixed: Any) -> Rules:
        """Return the rules at several values of the parameter, the other fields ``fixed``.

        >>> from alignlib.rules import BestOfN
        >>> BestOfN.along([1, 2]).on(FiniteLaw([0.0, 1.0])).mean_reward.tolist()
        [0.5, 0.75]
        """
        make: Any = cls
        return Rules(make(**{cls.parameter: value}, **fixed) for value in as_vector(cls.parameter, values).tolist())


class Rules(tuple[Rule, ...]):
    """Rules in a row, such as the points of a curve."""

    __slots__ = ()

    def on(self, law: Law) -> RuleCurve:
        """Return what they do on a law, as `Rule.on`: arrays with one entry a rule."""
        return RuleCurve(tuple(rule.on(law) for rule in self))

    def spent_formula(self, divergence: Divergence = KL) -> FloatArray:
        """Return what each spends on a law without ties, NaN where that depends on the law."""
        found = [rule.spent_formula(divergence) for rule in self]
        return np.array([math.nan if value is None else value for value in found])

    @property
    def values(self) -> FloatArray:
        """Values of their parameters."""
        return np.array([rule.value for rule in self])

    @property
    def name(self) -> str:
        """Their name where they share one, else ``"the rules"``."""
        return self[0].name if len({rule.name for rule in self}) == 1 else "the rules"

    @property
    def column(self) -> tuple[str, list[str]]:
        """A heading and entries for a table: values of the parameter where they share one, else titles."""
        if len({rule.name for rule in self}) == 1:
            return self[0].symbol, [f"{rule.value:g}" for rule in self]
        return "rule", [rule.title for rule in self]


class RankRule(Rule):
    """A rule that sees ranks only, given by `cdf`: the kept response's rank has distribution function ``G(F)``.

    A subclass defines `cdf`, `draws`, and `number_of_draws` where that is random; what is kept is the best, ties broken
    at random, unless `choose` says otherwise. The defaults below are accurate for smooth ``G``; where more is known,
    override.
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
