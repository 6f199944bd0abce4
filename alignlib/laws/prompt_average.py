"""Several prompts under one penalty β: their tilted families averaged, with the doors of a single one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import optimize

from alignlib._core.checks import FloatArray, FloatOrArray, as_float_array, like, require, require_range
from alignlib.laws.finite import FiniteLaw

__all__ = ["PromptAverage"]


class PromptAverage:
    """Averages over prompts of equal weight at one λ: the optimum for a budget on the *average* KL.

    ``exact_frontier``, ``dual_gain`` and ``kl_to_optimum`` take it as they take a single family.

    Parameters
    ----------
    families : sequence of FiniteLaw
        One for each prompt, at least one.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> narrow, wide = FiniteLaw([0.0, 1.0]), FiniteLaw([0.0, 4.0])
    >>> both = PromptAverage([narrow, wide])
    >>> round(both.gain_at_kl(0.1), 4), round(both.gain_on_every_prompt(0.1), 4)
    (0.6319, 0.5495)

    Source: Lagrange duality for an average budget (theory of Y24 and P26, prompt by prompt).
    """

    def __init__(self, families: Sequence[FiniteLaw]) -> None:
        require(len(families) > 0, "families must hold at least one prompt's family; got none.")
        self.families = tuple(families)
        self.base_reward = self._mean([family.base_reward for family in families])
        self.max_reward = self._mean([family.max_reward for family in families])
        self.max_kl = self._mean([family.max_kl for family in families])

    @staticmethod
    def _mean(values: list[float]) -> float:
        return math.fsum(values) / len(values)

    def _average(self, door: str, lam: npt.ArrayLike) -> FloatOrArray:
        lams = as_float_array("lam", lam, allow_inf=True)
        rows: list[FloatArray] = [np.asarray(getattr(family, door)(lams)) for family in self.families]
        return like(lam, np.asarray(np.mean(rows, axis=0)))

    def gain(self, lam: npt.ArrayLike) -> FloatOrArray:
        """Mean gain over the base at each λ."""
        return self._average("gain", lam)

    def kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """Mean KL to the base at each λ, in nats."""
        return self._average("kl", lam)

    def reverse_kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """Mean KL of the base to the optimum at each λ, in nats."""
        return self._average("reverse_kl", lam)

    def lam_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The λ whose mean KL is each budget (nats); 0 at 0 and ``inf`` from ``max_kl`` on."""
        budgets = require_range("kl", kl, 0.0, allow_inf=True)
        return like(kl, np.array([self._solve(b) for b in budgets.reshape(-1).tolist()]).reshape(budgets.shape))

    def _solve(self, budget: float) -> float:
        if budget == 0.0:
            return 0.0
        if budget >= self.max_kl:
            return math.inf
        # Each prompt alone would spend the budget at its own λ; the common one lies between the extremes.
        own = [family.lam_at_kl(budget) for family in self.families]
        low, high = min(own), max(own)
        if low == high or self.kl(low) >= budget:
            return float(low)
        while math.isinf(high) or self.kl(high) < budget:
            high = 2.0 * low if math.isinf(high) else 2.0 * high
        found = optimize.toms748(
            lambda v: self.kl(math.exp(v)) / budget - 1.0, math.log(low), math.log(high), xtol=1e-14, rtol=1e-14
        )
        return math.exp(found)

    def gain_at_kl(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The frontier: the largest mean gain for a budget on the mean KL (nats)."""
        return self.gain(self.lam_at_kl(kl))

    def gain_on_every_prompt(self, kl: npt.ArrayLike) -> FloatOrArray:
        """The largest mean gain for the same budget on every prompt (nats); never above `gain_at_kl`."""
        rows: list[FloatArray] = [np.asarray(family.gain(family.lam_at_kl(kl))) for family in self.families]
        return like(kl, np.asarray(np.mean(rows, axis=0)))

    def kl_at_gain(self, gain: npt.ArrayLike) -> FloatOrArray:
        """The least mean KL (nats) that buys a mean gain: what a method with that gain need not have exceeded.

        Raises
        ------
        InputError
            If a gain lies outside [0, the largest gain].
        """
        most = self.max_reward - self.base_reward
        gains = require_range("gain", gain, 0.0, most)

        def one(target: float) -> float:
            if target == 0.0:
                return 0.0
            if target >= most:
                return self.max_kl
            low = high = 1.0
            while self.gain(low) > target:
                low /= 4.0
            while self.gain(high) < target:
                high *= 4.0
            if low == high:
                return float(self.kl(low))
            found = optimize.toms748(
                lambda v: self.gain(math.exp(v)) / target - 1.0, math.log(low), math.log(high), xtol=1e-14, rtol=1e-14
            )
            return float(self.kl(math.exp(found)))

        return like(gain, np.array([one(g) for g in gains.reshape(-1).tolist()]).reshape(gains.shape))
