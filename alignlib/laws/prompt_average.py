"""Several prompts under one penalty β: their laws averaged, as one law."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, like, require
from alignlib._core.errors import InputError, quoted
from alignlib.laws.law import SMALLEST_BUDGET, Law
from alignlib.laws.roots import rising_roots
from alignlib.laws.side_by_side import SideBySide

__all__ = ["PromptAverage"]

_AT_ONCE = {"_gain": "gain", "_kl": "kl", "_reverse_kl": "log_partition"}


class PromptAverage(Law):
    """Averages over prompts of equal weight at one λ: the optimum for a budget on the *average* KL.

    Its gains, KLs and log-partitions are means over prompts; its draws are those of a prompt drawn at random.

    Parameters
    ----------
    laws : sequence of Law
        One for each prompt, at least one.

    Raises
    ------
    InputError
        If there is none, or one that is no law or has a heavy tail.

    Examples
    --------
    >>> from alignlib.laws import FiniteLaw
    >>> narrow, wide = FiniteLaw([0.0, 1.0]), FiniteLaw([0.0, 4.0])
    >>> both = PromptAverage([narrow, wide])
    >>> round(both.gain_at_kl(0.1), 4), round(both.gain_on_every_prompt(0.1), 4)
    (0.6319, 0.5495)

    Source: Lagrange duality for an average budget (theory of Y24 and P26, prompt by prompt).
    """

    def __init__(self, laws: Sequence[Law]) -> None:
        require(
            not isinstance(laws, Law), f"laws must be a sequence of laws, one a prompt; got {quoted(laws)}.", "laws"
        )
        try:
            self.laws = tuple(laws)
        except TypeError as error:
            raise InputError(f"laws must be a sequence of laws; got {quoted(laws)}.", argument="laws") from error
        require(len(self.laws) > 0, "laws must hold at least one prompt's law; got none.", "laws")
        for x, law in enumerate(self.laws):
            require(
                isinstance(law, Law),
                f"laws must hold laws, such as FiniteLaw(rewards); got {quoted(law)} at {x}.",
                "laws",
            )
            require(
                law.lam_max > 0.0,
                f"laws must have tilts; that of prompt {x}, {quoted(law, 60)}, has none: any budget buys any reward "
                "there.",
            )

    def __repr__(self) -> str:
        return f"<PromptAverage of {len(self.laws)} laws, mean {self.base_reward:g}>"

    def _mean_of(self, name: str) -> float:
        return math.fsum(getattr(law, name) for law in self.laws) / len(self.laws)

    @cached_property
    def base_reward(self) -> float:
        """Mean over prompts of the base's reward."""
        return self._mean_of("base_reward")

    @cached_property
    def max_reward(self) -> float:
        """Mean over prompts of the largest reward."""
        return self._mean_of("max_reward")

    @cached_property
    def min_reward(self) -> float:
        """Mean over prompts of the smallest reward."""
        return self._mean_of("min_reward")

    @cached_property
    def max_gain(self) -> float:
        """Mean over prompts of the largest gain."""
        return self._mean_of("max_gain")

    @cached_property
    def _max_loss(self) -> float:
        return self._mean_of("_max_loss")

    @cached_property
    def _sd(self) -> float:
        return math.hypot(*(law._sd for law in self.laws)) / math.sqrt(len(self.laws))

    @cached_property
    def max_kl(self) -> float:
        """Mean over prompts of the largest useful budget, in nats."""
        return self._mean_of("max_kl")

    @cached_property
    def lam_max(self) -> float:
        """The smallest of the prompts' ends."""
        return min(law.lam_max for law in self.laws)

    @cached_property
    def lam_min(self) -> float:
        """The largest of the prompts' beginnings."""
        return max(law.lam_min for law in self.laws)

    @cached_property
    def _finite(self) -> SideBySide | None:
        """The laws for one pass over all of them, where they are finite and of much the same size."""
        return SideBySide.of(self.laws)

    def _average(self, name: str, lam: FloatArray) -> FloatArray:
        if self._finite is not None and name in _AT_ONCE:
            return np.asarray(self._finite.each(_AT_ONCE[name], lam.reshape(-1)).mean(axis=0)).reshape(lam.shape)
        rows: list[FloatArray] = [np.asarray(getattr(law, name)(lam)) for law in self.laws]
        return np.asarray(np.mean(rows, axis=0))

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self._average("_gain", lam)

    def _kl(self, lam: FloatArray) -> FloatArray:
        return self._average("_kl", lam)

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return self._average("_reverse_kl", lam)

    def _variance(self, lam: FloatArray) -> FloatArray:
        return self._average("_variance", lam)

    def _log_partition(self, lam: FloatArray) -> FloatArray:
        return self._average("_log_partition", lam)

    def _lam_at_kl(self, budgets: FloatArray) -> FloatArray:
        tiny = (budgets > 0.0) & (budgets < SMALLEST_BUDGET)
        if tiny.any():  # one by one, by the expansion near 0
            return np.where(tiny, super()._lam_at_kl(np.where(tiny, budgets, 0.0)), self._lam_at_kl(budgets * ~tiny))
        return self._roots(self._kl, budgets, self._most_spent(), lambda kl: np.sqrt(2.0 * kl) / self._sd)

    def _lam_at_gain(self, gains: FloatArray) -> FloatArray:
        up = self._roots(self._gain, np.maximum(gains, 0.0), self.max_gain, self._lam_of_small_gain)
        if (gains >= 0.0).all():
            return up
        return up - self._roots(
            lambda lam: -self._gain(-lam), np.maximum(-gains, 0.0), self._max_loss, self._lam_of_small_gain
        )

    def _lam_of_small_gain(self, gains: FloatArray) -> FloatArray:
        return gains / self._sd / self._sd

    def _roots(
        self,
        value: Callable[[FloatArray], FloatArray],
        targets: FloatArray,
        most: float,
        start: Callable[[FloatArray], FloatArray],
    ) -> FloatArray:
        """The λ of each value, all at once: 0 at 0, ``inf`` from ``most`` on."""
        out = np.where(targets >= most, math.inf, 0.0)
        if (within := (targets > 0.0) & (targets < most)).any():
            out[within] = rising_roots(value, targets[within], start(targets[within]), end=self.lam_max)
        return out

    def gain_on_every_prompt(self, kl: npt.ArrayLike) -> FloatOrArray:
        """Return the largest mean gain for one budget on every prompt; never above `gain_at_kl`, which shares it out.

        Parameters
        ----------
        kl : array
            Budget of every prompt in nats, >= 0.

        Raises
        ------
        InputError
            If a budget is negative or not a number.
        """
        rows: list[FloatArray] = [np.asarray(law.gain_at_kl(kl)) for law in self.laws]
        return like(kl, np.asarray(np.mean(rows, axis=0)))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        prompt = np.asarray(rng.integers(len(self.laws), size=shape))
        out = np.empty(shape)
        for x, law in enumerate(self.laws):
            out[prompt == x] = law.sample(rng, int((prompt == x).sum()))
        return out
