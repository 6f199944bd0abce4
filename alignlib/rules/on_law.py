"""What a rule does on a law, exactly: what it spends, what it gains, how often it wins."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib.divergences import KL, Divergence, as_divergence
from alignlib.laws import ContinuousLaw, Levels

__all__ = ["OnContinuous", "OnLaw", "OnLevels", "OnPrompts", "RuleCurve"]


class _ByRank(Protocol):
    def spent_formula(self, divergence: Divergence = KL) -> float: ...
    def win_rate_formula(self) -> float: ...
    def gain_on(self, law: ContinuousLaw) -> float: ...


class OnLaw(ABC):
    """The policy that a rule makes of a base law.

    Examples
    --------
    >>> from alignlib.laws import Uniform
    >>> from alignlib.rules import BestOfN
    >>> best = BestOfN(3).on(Uniform())
    >>> round(best.kl, 6), round(best.gain, 6), best.win_rate
    (0.431946, 0.25, 0.75)
    """

    @property
    @abstractmethod
    def base_reward(self) -> float:
        """The base's mean reward."""

    @abstractmethod
    def spent(self, divergence: Divergence = KL) -> float:
        """Divergence of the policy from the base.

        Parameters
        ----------
        divergence : Divergence
            What it is measured in; KL in nats by default.
        """

    @property
    @abstractmethod
    def gain(self) -> float:
        """Mean reward above the base's."""

    @property
    @abstractmethod
    def win_rate(self) -> float:
        """Probability to beat one base draw, ties counted half."""

    @property
    def kl(self) -> float:
        """KL to the base, in nats."""
        return self.spent(KL)

    @property
    def mean_reward(self) -> float:
        """Mean reward of what the rule keeps."""
        return self.base_reward + self.gain


@dataclass(frozen=True, eq=False)
class OnLevels(OnLaw, SameFields):
    """A rule on a finite law of k outcomes.

    Attributes
    ----------
    levels : Levels
        The law sorted by reward.
    log_ratio : array (levels,)
        ``log π/p`` of each reward level.
    log_prob : array (k,)
        ``log p`` of every outcome, ``-inf`` where the base has no mass.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> from alignlib.rules import BestOfN
    >>> BestOfN(2).on(FiniteLaw([0.0, 1.0])).policy.tolist()
    [0.25, 0.75]
    """

    levels: Levels
    log_ratio: FloatArray
    log_prob: FloatArray  # of every outcome, -inf where the base has no mass

    def spent(self, divergence: Divergence = KL) -> float:
        """``Σ P_i f(π_i/P_i)`` over the levels."""
        return as_divergence(divergence).of_log_ratio(self.log_ratio, self.levels.mass)

    @property
    def gain(self) -> float:
        """A sum of one sign: accurate near the base and under any offset of the reward."""
        return self.levels.gain_of(self.log_ratio)

    @property
    def win_rate(self) -> float:
        """``Σ π_i (F_{i-1} + F_i)/2``."""
        return self.levels.win_rate_of(self.log_ratio)

    @property
    def mean_reward(self) -> float:
        """``Σ π_i r_i``."""
        return self.levels.mean_of(self.log_ratio)

    @property
    def base_reward(self) -> float:
        """The base's mean reward."""
        return float(self.levels.mass @ self.levels.reward)

    @property
    def log_policy(self) -> FloatArray:
        """``log π`` of every outcome, finite where ``π`` itself underflows."""
        out = self.log_prob.copy()
        out[np.isfinite(out)] += self.log_ratio[self.levels.index]
        return out

    @property
    def policy(self) -> FloatArray:
        """``π`` of every outcome."""
        return np.exp(self.log_policy)


@dataclass(frozen=True)
class OnContinuous(OnLaw):
    """A rule of ranks on a law without ties, where what it spends and how often it wins do not depend on the law.

    Attributes
    ----------
    rule : RankRule
        The rule.
    law : ContinuousLaw
        The base law.
    """

    rule: _ByRank
    law: ContinuousLaw

    def spent(self, divergence: Divergence = KL) -> float:
        """The rule's formula without ties."""
        return self.rule.spent_formula(as_divergence(divergence))

    @cached_property
    def gain(self) -> float:
        """``∫ Q(u) dG(u)`` minus the mean; NaN where the law has no finite mean."""
        return math.nan if not math.isfinite(self.law.base_reward) else self.rule.gain_on(self.law)

    @property
    def win_rate(self) -> float:
        """``1 - ∫ G(u) du``."""
        return self.rule.win_rate_formula()

    @property
    def base_reward(self) -> float:
        """The base's mean reward."""
        return self.law.base_reward


@dataclass(frozen=True)
class OnPrompts(OnLaw):
    """The same rule on every prompt: averages over prompts of equal weight.

    Attributes
    ----------
    prompts : tuple of OnLaw
        What the rule does on each prompt.
    """

    prompts: tuple[OnLaw, ...]

    def spent(self, divergence: Divergence = KL) -> float:
        """Mean over prompts."""
        return float(np.mean([prompt.spent(divergence) for prompt in self.prompts]))

    @property
    def gain(self) -> float:
        """Mean over prompts."""
        return float(np.mean([prompt.gain for prompt in self.prompts]))

    @property
    def win_rate(self) -> float:
        """Mean over prompts."""
        return float(np.mean([prompt.win_rate for prompt in self.prompts]))

    @property
    def base_reward(self) -> float:
        """Mean over prompts."""
        return float(np.mean([prompt.base_reward for prompt in self.prompts]))


@dataclass(frozen=True)
class RuleCurve:
    """Several rules on one law: each property is an array with one entry a rule.

    Attributes
    ----------
    points : sequence of OnLaw
        What each rule does, in the order of the rules.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> from alignlib.rules import BestOfN
    >>> BestOfN.along([1, 2]).on(FiniteLaw([0.0, 1.0])).win_rate.tolist()
    [0.5, 0.625]
    """

    points: Sequence[OnLaw]

    def spent(self, divergence: Divergence = KL) -> FloatArray:
        """Divergence from the base.

        Parameters
        ----------
        divergence : Divergence
            What it is measured in; KL in nats by default.
        """
        return self._each(lambda point: point.spent(divergence))

    @cached_property
    def kl(self) -> FloatArray:
        """KL to the base, in nats."""
        return self.spent(KL)

    @cached_property
    def gain(self) -> FloatArray:
        """Mean reward above the base's."""
        return self._each(lambda point: point.gain)

    @cached_property
    def mean_reward(self) -> FloatArray:
        """Mean reward of what is kept."""
        return self._each(lambda point: point.mean_reward)

    @cached_property
    def win_rate(self) -> FloatArray:
        """Probability to beat one base draw, ties counted half."""
        return self._each(lambda point: point.win_rate)

    def _each(self, value: Callable[[OnLaw], float]) -> FloatArray:
        return np.array([value(point) for point in self.points], dtype=np.float64)
