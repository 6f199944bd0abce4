"""Several prompts under one penalty β: their laws averaged, as one law.

Finite laws stand side by side, one a row, so that each λ is done for all of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, like, require
from alignlib._core.errors import InputError, quoted
from alignlib.laws.finite import FiniteLaw
from alignlib.laws.law import SMALLEST_BUDGET, Law
from alignlib.laws.roots import rising_roots
from alignlib.laws.tilt_moments import (
    NEARLY_SATURATED,
    OF_EACH,
    SCALE_ABOVE,
    Extremes,
    moments_of_each,
    moments_of_each_near_saturation,
)

__all__ = ["PromptAverage", "SideBySide"]

_OF_LAWS = {"_gain": "gain", "_kl": "kl", "_reverse_kl": "log_partition"}
_AT_ONCE = 1 << 14  # outcomes of the laws that are done together: what a core keeps at hand
_PADDED = 4  # times the outcomes that there are, at most: else each law is better by itself


class SideBySide:
    """The moments of many finite laws at one λ, as each law has them by itself.

    A row with fewer outcomes than the longest is filled with outcomes of no mass at the base mean.

    Parameters
    ----------
    laws : sequence of FiniteLaw
        One a row.
    """

    def __init__(self, laws: Sequence[FiniteLaw]) -> None:
        self._laws = laws
        self._unit = np.array([law._unit for law in laws])
        self._prob = _rows([law.prob for law in laws])
        self._centred = _rows([law._e for law in laws])
        self._high, self._low = self._centred.max(axis=1), self._centred.min(axis=1)
        self._ends: dict[bool, Extremes] = {}

    @classmethod
    def of(cls, laws: Sequence[Law]) -> SideBySide | None:
        """Put laws side by side; None where they are not finite, or too different in size for it to pay.

        Parameters
        ----------
        laws : sequence of Law
            At least one.
        """
        finite = [law for law in laws if isinstance(law, FiniteLaw)]
        if len(finite) < max(len(laws), 2):
            return None
        sizes = [law.prob.size for law in finite]
        return cls(finite) if max(sizes) <= min(_AT_ONCE, _PADDED * sum(sizes) / len(sizes)) else None

    def each(self, name: str, lam: FloatArray) -> FloatArray:
        """Return a moment of each law at each λ.

        Parameters
        ----------
        name : str
            ``log_partition`` (centred), ``gain`` or ``kl``.
        lam : array (L,)
            Inverse temperatures λ of either sign.

        Returns
        -------
        array (laws, L)
            In nats; a gain in the unit of the reward.

        Examples
        --------
        >>> laws = [FiniteLaw([0.0, 1.0]), FiniteLaw([0.0, 4.0, 5.0])]
        >>> together = SideBySide(laws).each("kl", np.array([0.5]))[:, 0]
        >>> bool(np.allclose(together, [law.kl(0.5) for law in laws], rtol=1e-14))
        True
        """
        out = np.empty((len(self._laws), lam.size))
        step = max(1, _AT_ONCE // self._prob.shape[1])
        for start in range(0, len(self._laws), step):
            rows = np.arange(start, min(start + step, len(self._laws)))
            for place, value in enumerate(lam.tolist()):
                out[rows, place] = self._of_rows(name, rows, value)
        return out

    def _of_rows(self, name: str, rows: npt.NDArray[np.intp], lam: float) -> FloatArray:
        out, kl = np.full(rows.size, np.nan), np.full(rows.size, np.inf)
        with np.errstate(over="ignore"):
            which, scaled = OF_EACH.index(name), lam * self._unit[rows]
        if lam and np.isfinite(scaled).all():
            with np.errstate(over="ignore"):
                within = np.maximum(scaled * self._high[rows], scaled * self._low[rows]) <= SCALE_ABOVE
            some = rows if within.all() else rows[within]  # of a slice of rows, no copy is made
            if some.size:
                found = moments_of_each(self._prob[some], self._centred[some], scaled[within])
                out[within], kl[within] = found[which], found[2]
            end = self._end(lam > 0.0)
            near = np.flatnonzero(kl >= NEARLY_SATURATED * end.saturation[rows])
            if near.size:
                from_end = moments_of_each_near_saturation(self._prob[rows[near]], end.of(rows[near]), scaled[near])[
                    which
                ]
                out[near] = -from_end if name == "gain" and lam < 0.0 else from_end
        if name == "gain":
            out *= self._unit[rows]
        for place in np.flatnonzero(np.isnan(out)).tolist():  # no λ, infinite ones, and where it takes another way
            law, at = self._laws[rows[place]], np.array([lam])
            out[place] = (law._gain(at) if name == "gain" else law._each(at, name))[0]
        return out

    def _end(self, up: bool) -> Extremes:
        if up not in self._ends:
            ends = [law._top(up) for law in self._laws]
            numbers = np.array([(end.mass, end.saturation, end.gain) for end in ends]).T
            self._ends[up] = Extremes(_rows([end.gap for end in ends]), *numbers)
        return self._ends[up]


def _rows(parts: Sequence[FloatArray]) -> FloatArray:
    """Put parts below each other, filled with zeros to the longest."""
    out = np.zeros((len(parts), max(part.size for part in parts)))
    for row, part in zip(out, parts, strict=True):
        row[: part.size] = part
    return out


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
        if self._finite is not None and name in _OF_LAWS:
            return np.asarray(self._finite.each(_OF_LAWS[name], lam.reshape(-1)).mean(axis=0)).reshape(lam.shape)
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
