"""A rule draws responses from the base model and keeps one: what every rule offers."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, cast, overload

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib._core.errors import InputError, quoted
from alignlib.divergences import KL, Divergence
from alignlib.laws import ContinuousLaw, FiniteLaw, Law, Levels, PromptAverage
from alignlib.rules.on_law import OnLaw, OnLevels, OnPrompts, RuleCurve
from alignlib.rules.samples import Prepared, PromptValues, by_groups

__all__ = ["Rule", "Rules"]


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
        The parameter's value at which the rule is the base model; NaN where there is none.
    """

    name: ClassVar[str]
    parameter: ClassVar[str]
    symbol: ClassVar[str]
    start: ClassVar[float] = math.nan

    @property
    @abstractmethod
    def draws(self) -> float:
        """Mean number of draws."""

    @property
    def needs(self) -> int:
        """Samples of a prompt that the estimate takes."""
        return math.ceil(self.draws)

    @property
    def lacks(self) -> str:
        """What has to be given before samples tell of the rule, a sentence; empty where nothing has."""
        return ""

    @abstractmethod
    def log_ratio(self, levels: Levels) -> FloatArray:
        """``log(policy/base)`` on each reward level of a finite law, exactly.

        Parameters
        ----------
        levels : Levels
            The base law, sorted by reward.

        Returns
        -------
        array (levels,)
            In nats, ``-inf`` on a level that it never keeps.
        """

    @abstractmethod
    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        """Which of the drawn rewards it keeps.

        Parameters
        ----------
        rewards : array (m,)
            Rewards of the responses drawn, in the order of drawing.
        rng : Generator
            Source of randomness, for ties and for rules that choose at random.

        Returns
        -------
        int
            The index of the kept response.
        """

    def number_of_draws(self, rng: np.random.Generator) -> int:
        """How many responses it draws this time; random for some rules.

        Parameters
        ----------
        rng : Generator
            Source of randomness; unused where the number is fixed.

        Raises
        ------
        InputError
            If the parameter is not whole, so that no number of draws is meant.
        """
        require(
            self.draws == round(self.draws),
            f"n must be whole to draw responses with {self.name}; got {self.draws:g}.",
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
        """Whether it is the base model: its parameter at its start, if there is one, or a single draw."""
        return self.value == self.start or self.draws == 1.0

    def spent_formula(self, divergence: Divergence = KL) -> float | None:
        """Divergence from the base on a law without ties, where that is one number for all such laws; else None.

        Parameters
        ----------
        divergence : Divergence
            What it is measured in; KL in nats by default.
        """
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
        InputError
            For another law, or for a rule that sees values on a law that is not finite.

        Examples
        --------
        >>> from alignlib.rules import BestOfN
        >>> coin = BestOfN(2).on(FiniteLaw([0.0, 1.0]))
        >>> round(coin.kl, 6), coin.gain, coin.win_rate
        (0.130812, 0.25, 0.625)
        """
        require(
            isinstance(law, Law),
            f"law must be a law, such as FiniteLaw or Gaussian; got {quoted(law)}. What a rule does to sampled "
            "rewards, fit_frontier(table).share(rule) estimates.",
            "law",
        )
        if isinstance(law, PromptAverage):
            return OnPrompts(tuple(self.on(family) for family in law.laws))
        if (levels := law.levels) is not None:
            log_prob = np.asarray(law.log_policy(0.0)) if isinstance(law, FiniteLaw) else np.log(levels.prob)
            return OnLevels(levels, self.log_ratio(levels), log_prob)
        require(
            isinstance(law, ContinuousLaw),
            f"law must be finite, an average of such laws, or one without atoms; got {quoted(law)}.",
        )
        return self._on_continuous(cast(ContinuousLaw, law))

    def _on_continuous(self, law: ContinuousLaw) -> OnLaw:
        raise InputError(f"law must be finite for {self.name}, which sees values and not ranks; got {quoted(law)}.")

    def evaluate(self, samples: Prepared, divergence: Divergence = KL) -> PromptValues:
        """Estimate what the rule spends, its mean reward and its win rate on each prompt, from the prompt's samples.

        The exact policy on the empirical law, jackknifed over groups of samples.

        Parameters
        ----------
        samples : Prepared
            Samples of prompts, sorted by what picks, with the values that count.
        divergence : Divergence
            What it spends is measured in; KL in nats by default.
        """
        return by_groups(samples, self.log_ratio, divergence)

    @classmethod
    def along(cls, values: npt.ArrayLike, **fixed: Any) -> Rules:
        """Return the rules at several values of the parameter, the other fields ``fixed``.

        Parameters
        ----------
        values : array
            Values of the field that the rule calls its ``parameter``, such as N.
        **fixed : object
            The other fields, by name.

        Raises
        ------
        InputError
            If a field without a default is missing, or a value is not one that the rule takes.

        Examples
        --------
        >>> from alignlib.rules import BestOfN
        >>> BestOfN.along([1, 2]).on(FiniteLaw([0.0, 1.0])).mean_reward.tolist()
        [0.5, 0.75]
        """
        make: Any = cls
        parameters = inspect.signature(cls).parameters.values()
        lacking = [p.name for p in parameters if p.default is p.empty and p.name not in (cls.parameter, *fixed)]
        require(
            not lacking,
            f"{' and '.join(lacking)} must be given by name for {cls.name} along {cls.parameter}: "
            f"{cls.__name__}.along({cls.parameter}, {', '.join(f'{name}=…' for name in lacking)}).",
            lacking[0] if lacking else "",
        )
        return Rules(make(**{cls.parameter: value}, **fixed) for value in as_vector(cls.parameter, values).tolist())


class Rules(tuple[Rule, ...]):
    """Rules in a row, such as the points of a curve.

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> Rules([BestOfN(1), BestOfN(2)]).spent_formula().round(4).tolist()
    [0.0, 0.1931]
    """

    __slots__ = ()

    def on(self, law: Law) -> RuleCurve:
        """Return what they do on a law, as `Rule.on`: arrays with one entry a rule.

        Parameters
        ----------
        law : Law
            The base law.

        Raises
        ------
        InputError
            If one of the rules does not work on such a law.
        """
        return RuleCurve(tuple(rule.on(law) for rule in self))

    def spent_formula(self, divergence: Divergence = KL) -> FloatArray:
        """Return what each spends on a law without ties, NaN where that depends on the law.

        Parameters
        ----------
        divergence : Divergence
            What it is measured in; KL in nats by default.

        Returns
        -------
        array (rules,)
            In the unit of the divergence.
        """
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
