"""The exact law of a sequence's reward, known by the logarithms of its masses: tilts, best-of-N, tails."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, as_float_array, as_number, as_vector, frozen, like, require
from alignlib.laws import FiniteLaw, Law, Levels
from alignlib.sequences.log_best_of_n import log_cumulative, log_kl, log_ratio

__all__ = ["SumLaw"]

_MASS_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class SumLaw(Law):
    """The law of a sum of ``length`` token rewards; every method takes and returns numbers of the whole sequence.

    Parameters
    ----------
    length : int
        Number of tokens m.
    lowest : float
        The smallest sum.
    excess : array (s,)
        The attainable sums above ``lowest``, increasing from 0.
    log_prob : array (s,)
        Log mass of each, in nats; masses far below the smallest double are as accurate as any other.

    Raises
    ------
    InputError
        If the arrays do not match, the sums do not increase from 0, or the masses do not sum to one within 1e-8.

    Examples
    --------
    >>> law = SumLaw(2, 0.0, np.array([0.0, 1.0, 2.0]), np.log([0.25, 0.5, 0.25]))
    >>> law.base_reward, round(law.best_of_n(math.log(2)).base_reward, 6)
    (1.0, 1.375)
    """

    length: int
    lowest: float
    excess: FloatArray
    log_prob: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "lowest", as_number("lowest", self.lowest))
        object.__setattr__(self, "excess", frozen(as_vector("excess", self.excess)))
        object.__setattr__(self, "log_prob", frozen(as_vector("log_prob", self.log_prob, allow_inf=True)))
        require(
            self.excess.shape == self.log_prob.shape,
            f"excess and log_prob must be vectors of one length; got {self.excess.shape} and {self.log_prob.shape}.",
        )
        require(
            bool((np.diff(self.excess) > 0).all() and self.excess[0] == 0.0),
            "excess must increase from 0; merge equal sums first.",
        )
        total = _log_sum(self.log_prob)
        require(
            abs(total) <= _MASS_TOLERANCE,
            f"log_prob must be the logarithm of masses that sum to one; their sum is {math.exp(total)!r}.",
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SumLaw)
            and (self.length, self.lowest) == (other.length, other.lowest)
            and np.array_equal(self.excess, other.excess)
            and np.array_equal(self.log_prob, other.log_prob)
        )

    def __hash__(self) -> int:
        return hash((self.length, self.lowest, self.log_prob.tobytes()))

    def __repr__(self) -> str:
        return f"<SumLaw of {self.length:,} tokens, {self.excess.size:,} sums, mean {self.base_reward:g}>"

    @property
    def reward(self) -> FloatArray:
        """The attainable sums, lowest first."""
        return self.lowest + self.excess

    @cached_property
    def _log_cumulative(self) -> tuple[FloatArray, FloatArray]:
        return log_cumulative(self.log_prob)

    # ------------------------------------------------------------------ moments
    @property
    def base_reward(self) -> float:
        """``E S``."""
        return self.lowest + self.mean_excess

    @cached_property
    def mean_excess(self) -> float:
        """``E S`` above the lowest sum, which keeps its digits under any offset of the reward."""
        return self._expectation(self.excess)

    def _expectation(self, value: FloatArray) -> float:
        """A weighted mean: the rounding that all masses share, some ``m ε``, divides out."""
        with np.errstate(under="ignore"):
            mass = np.exp(self.log_prob)
            return float(mass @ value / mass.sum())

    @property
    def min_reward(self) -> float:
        """The smallest sum."""
        return self.lowest

    @property
    def max_reward(self) -> float:
        """The largest sum."""
        return self.lowest + float(self.excess[-1])

    @cached_property
    def max_gain(self) -> float:
        """``E (max S - S)``."""
        return self._expectation(self.excess[-1] - self.excess)

    @property
    def _max_loss(self) -> float:
        return self.mean_excess

    @property
    def max_kl(self) -> float:
        """``-log P(S = max)`` in nats, the largest useful budget of the sequence."""
        return -float(self.log_prob[-1])

    @property
    def lam_min(self) -> float:
        """``-inf``: every λ has a tilt."""
        return -math.inf

    # ------------------------------------------------------------------ policies
    def tilted(self, lam: float) -> SumLaw:
        """Return the law of the reward under ``π_λ``: masses times ``e^{λS}``, normalised; one sum at ``λ = ±∞``.

        Parameters
        ----------
        lam : float
            Inverse temperature λ of either sign, ``±∞`` included.
        """
        tilt = float(as_float_array("lam", lam, allow_inf=True))
        if tilt == 0.0:
            return self
        if math.isinf(tilt):
            lifted = np.where(self.excess == self.excess[-1 if tilt > 0 else 0], 0.0, -np.inf)
        else:
            lifted = self.log_prob + tilt * self.excess
        total = _log_sum(lifted)
        if not math.isfinite(total):  # λ times a sum is beyond the doubles: the constructor refuses
            return SumLaw(self.length, self.lowest, self.excess, lifted - total)
        found = object.__new__(SumLaw)  # a root takes dozens of tilts of sums that were checked once
        values = {"length": self.length, "lowest": self.lowest, "excess": self.excess}
        found.__dict__.update(values, log_prob=frozen(lifted - total))
        return found

    def best_of_n(self, log_n: float) -> SumLaw:
        """Return the law of the reward of the best of N sequences.

        Parameters
        ----------
        log_n : float
            ``log N`` in nats, >= 0: N itself may be no double.
        """
        return SumLaw(self.length, self.lowest, self.excess, self.log_prob + log_ratio(self.log_prob, log_n))

    def kl_to(self, other: SumLaw) -> float:
        """``KL(self ‖ other)`` in nats.

        For policies that are functions of the reward times one base (tilts, best-of-N, the base itself) it is the
        divergence of the sequence laws too, since within a level of reward both are the base conditioned on it.

        Parameters
        ----------
        other : SumLaw
            A law on the same sums.

        Raises
        ------
        InputError
            If it is on other sums.
        """
        require(
            self.excess.shape == other.excess.shape and self.lowest == other.lowest,
            "other must be a law on the same sums: a tilt or a best-of-N of the same base.",
        )
        return log_kl(self.log_prob, other.log_prob)

    @cached_property
    def _plain(self) -> FiniteLaw:
        """The law by masses, without those below the smallest double: what a tilt needs that hardly moves any."""
        with np.errstate(under="ignore"):
            mass = np.exp(self.log_prob)
        return FiniteLaw(self.excess, mass / mass.sum())

    @cached_property
    def levels(self) -> Levels:
        """The law by masses, as rules see it; `best_of_n` takes N, and masses, of any size."""
        with np.errstate(under="ignore"):
            mass = np.exp(self.log_prob)
        held = mass > 0
        return Levels.of(self.reward[held], mass[held] / mass.sum())

    def _of_tilts(self, lam: FloatArray, value: Callable[[SumLaw], float]) -> FloatArray:
        return np.array([value(self.tilted(v)) for v in lam.reshape(-1).tolist()]).reshape(lam.shape)

    def _by_size(
        self, lam: FloatArray, near: Callable[[FloatArray], FloatArray], value: Callable[[SumLaw], float]
    ) -> FloatArray:
        """By masses near the base, whose logarithms are too coarse for that; elsewhere by the logarithms."""
        small = np.abs(lam) * float(self.excess[-1]) < 1.0
        out = np.empty(lam.shape)
        out[small] = near(lam[small])
        out[~small] = self._of_tilts(lam[~small], value)
        return out

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self._by_size(lam, self._plain._gain, self._rise)

    def _rise(self, tilt: SumLaw) -> float:
        """Mean of a tilt above the base's: where masses hardly differ, by their differences."""
        with np.errstate(under="ignore", invalid="ignore"):
            step = np.where(np.isneginf(tilt.log_prob), -np.inf, tilt.log_prob - self.log_prob)
            near = np.exp(self.log_prob) * np.expm1(np.minimum(step, 1.0))
            moved = np.where(step < 1.0, near, np.exp(tilt.log_prob) - np.exp(self.log_prob))
        return float(moved @ (self.excess - self.mean_excess))

    def _kl(self, lam: FloatArray) -> FloatArray:
        return self._by_size(lam, self._plain._kl, lambda tilt: tilt.kl_to(self))

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return self._by_size(lam, self._plain._reverse_kl, self.kl_to)

    def _variance(self, lam: FloatArray) -> FloatArray:
        return self._of_tilts(lam, lambda tilt: tilt._expectation((tilt.excess - tilt.mean_excess) ** 2))

    def _log_partition(self, lam: FloatArray) -> FloatArray:
        values = [v * self.lowest + _log_sum(self.log_prob + v * self.excess) for v in lam.reshape(-1).tolist()]
        return np.array(values).reshape(lam.shape)

    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray:
        with np.errstate(divide="ignore"):
            log_mass = np.log(u)
        at_or_below, above = self._log_cumulative
        if upper:
            return np.asarray(self.reward[::-1][np.searchsorted(above[::-1], log_mass, side="right") - 1])
        return np.asarray(self.reward[np.minimum(np.searchsorted(at_or_below, log_mass, side="right"), above.size - 1)])

    # ------------------------------------------------------------------ tails
    def log_tail(self, threshold: npt.ArrayLike) -> FloatOrArray:
        """``log P(S >= threshold)``, summed from the top; ``-inf`` above the largest sum.

        Parameters
        ----------
        threshold : array
            Total rewards; within rounding of a sum they count as that sum.

        Returns
        -------
        array
            In nats.
        """
        at = as_float_array("threshold", threshold)
        _, above = self._log_cumulative
        tails = np.concatenate([[0.0], above])
        return like(threshold, tails[np.searchsorted(self.excess, at - self.lowest - self._slack, side="left")])

    def log_head(self, threshold: npt.ArrayLike) -> FloatOrArray:
        """``log P(S <= threshold)``, summed from the bottom; ``-inf`` below the smallest sum.

        Parameters
        ----------
        threshold : array
            Total rewards; within rounding of a sum they count as that sum.

        Returns
        -------
        array
            In nats.
        """
        at = as_float_array("threshold", threshold)
        heads = np.concatenate([[-np.inf], self._log_cumulative[0]])
        return like(threshold, heads[np.searchsorted(self.excess, at - self.lowest + self._slack, side="right")])

    @property
    def _slack(self) -> float:
        """A threshold that equals a sum up to rounding counts as that sum."""
        return 16 * float(np.finfo(np.float64).eps) * max(abs(self.lowest), abs(self.lowest + float(self.excess[-1])))


def _log_sum(logs: FloatArray) -> float:
    """``log Σ e^x``, all but the largest term added to 1; scipy's takes longer to look at its arguments than to add."""
    at = int(logs.argmax())
    top = float(logs[at])
    if not math.isfinite(top):
        return top
    with np.errstate(under="ignore"):
        terms = np.exp(logs - top)
    terms[at] = 0.0
    return top + math.log1p(float(terms.sum()))
