"""Threshold stopping with a threshold learnt from draws of the same prompt.

Draw n responses to learn from and take the j-th best of them as threshold; then draw until a response is above it. The
tail mass x above the threshold is Beta(j, n-j+1) whatever the reward, and a response then takes 1/x more draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, as_plain, as_vector, as_whole, require
from alignlib.rules.rank_rule import RankRule

__all__ = ["LearntThreshold"]


@dataclass(frozen=True)
class LearntThreshold(RankRule):
    """Stop at the first response above the j-th best of n earlier ones.

    It draws ``n/responses + n/(j-1)`` responses on average, where the n are shared by so many responses to the prompt;
    with ``j = 1`` the number has no mean. Without ties its win rate is ``1 - j/(2(n+1))``.

    Parameters
    ----------
    n : int
        Draws to learn from, at least ``place``.
    place : int
        Which of them is the threshold, j >= 2 from the best down.
    responses : float
        Responses wanted of the prompt, >= 1, with the same threshold.

    Raises
    ------
    InputError
        If a parameter is out of its range.

    Examples
    --------
    >>> rule = LearntThreshold(8, 2)
    >>> rule.draws, round(rule.win_rate_formula(), 6)
    (16.0, 0.888889)

    Source: thresholds learnt while drawing are studied in Kalayci2025; this rule and its law are derived here.
    """

    n: int
    place: int = 2
    responses: float = 1.0

    name = "learnt threshold"
    parameter = "n"
    symbol = "n"
    start = 1.0

    def __post_init__(self) -> None:
        n, place = as_whole("n", self.n, 2), as_whole("place", self.place, 2)
        object.__setattr__(self, "n", n)
        object.__setattr__(self, "place", place)
        require(place <= n, f"place must be one of the n draws to learn from; got {place}, of {n}.", "place")
        object.__setattr__(self, "responses", as_plain("responses", self.responses, 1.0))

    @property
    def title(self) -> str:
        """Such as ``"learnt threshold (2 of 8)"``."""
        return f"learnt threshold ({self.place} of {self.n})"

    @property
    def is_base(self) -> bool:
        """Never: the threshold is one of several draws."""
        return False

    @property
    def draws(self) -> float:
        """``n/responses + n/(j-1)``."""
        return self.n / self.responses + self.n / (self.place - 1.0)

    def number_of_draws(self, rng: np.random.Generator) -> int:
        """The draws to learn from, and as many more as it takes."""
        return self.n + int(rng.geometric(rng.beta(self.place, self.n - self.place + 1)))

    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        """The first after n that is above the j-th best of those before; ties in an order drawn at random."""
        given = as_vector("rewards", rewards)
        order = np.lexsort((rng.random(given.size), given))  # rising
        rank = np.empty(given.size, np.int64)
        rank[order] = np.arange(given.size)
        require(
            given.size > self.n,
            f"rewards must hold more draws than the {self.n} to learn from; got {given.size}.",
            "rewards",
        )
        above = np.flatnonzero(rank[self.n :] > np.sort(rank[: self.n])[-self.place])
        require(above.size > 0, "rewards must go on until one is above the threshold; none is. Draw more.", "rewards")
        return self.n + int(above[0])

    def cdf(self, f: FloatArray) -> FloatArray:
        """``P(x < t) + t n/(j-1) P(x' > t)`` is the mass kept in the tail ``t = 1 - F``; x' is Beta(j-1, n-j+1)."""
        tail = 1.0 - np.asarray(f)
        if not np.iscomplexobj(tail):
            tail = np.clip(tail, 0.0, 1.0)
        a, b = float(self.place), self.n - self.place + 1.0
        inside = scipy.special.betainc(a, b, tail) + tail * self.n / (a - 1.0) * scipy.special.betaincc(
            a - 1.0, b, tail
        )
        return np.asarray(1.0 - inside)

    def log_density(self, f: FloatArray) -> FloatArray:
        """``log n/(j-1) + log P(x' > 1 - F)``."""
        return self._log_density(scipy.special.betainc(self.n - self.place + 1.0, self.place - 1.0, f))

    def log_density_below_top(self, tail: FloatArray) -> FloatArray:
        """The same, from the tail."""
        return self._log_density(scipy.special.betaincc(self.place - 1.0, self.n - self.place + 1.0, tail))

    def _log_density(self, upper: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.n / (self.place - 1.0)) + np.log(upper))

    def win_rate_formula(self) -> float:
        """``1 - j/(2(n+1))``."""
        return 1.0 - self.place / (2.0 * (self.n + 1.0))
