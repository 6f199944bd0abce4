"""The exact law of a sequence's reward, known by the logarithms of its masses: tilts, best-of-N, tails, divergences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.special import logsumexp

from alignlib._core.checks import FloatArray, FloatOrArray, as_float_array, like, require, require_range
from alignlib.sequences.log_best_of_n import log_cumulative, log_kl, log_ratio

__all__ = ["SumLaw"]

_MASS_TOLERANCE = 1e-8


@dataclass(frozen=True)
class SumLaw:
    """The law of a sum of ``length`` token rewards; every door takes and returns numbers of the whole sequence.

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
        If the arrays do not match, the sums do not increase, or the masses do not sum to one within 1e-8.

    Examples
    --------
    >>> law = SumLaw(2, 0.0, np.array([0.0, 1.0, 2.0]), np.log([0.25, 0.5, 0.25]))
    >>> law.mean, round(law.best_of_n(math.log(2)).mean, 6)
    (1.0, 1.375)
    """

    length: int
    lowest: float
    excess: FloatArray
    log_prob: FloatArray

    def __post_init__(self) -> None:
        require(
            self.excess.ndim == 1 and self.excess.shape == self.log_prob.shape and self.excess.size > 0,
            f"excess and log_prob must be vectors of one length; got {self.excess.shape} and {self.log_prob.shape}.",
        )
        require(bool((np.diff(self.excess) > 0).all()), "excess must increase; merge equal sums first.")
        total = float(logsumexp(self.log_prob))
        require(
            abs(total) <= _MASS_TOLERANCE,
            f"log_prob must be the logarithm of masses that sum to one; their sum is {math.exp(total)!r}.",
        )

    @property
    def reward(self) -> FloatArray:
        """The attainable sums, lowest first."""
        return self.lowest + self.excess

    @cached_property
    def _log_cumulative(self) -> tuple[FloatArray, FloatArray]:
        return log_cumulative(self.log_prob)

    # ------------------------------------------------------------------ moments
    @property
    def mean(self) -> float:
        """``E S``."""
        return self.lowest + self.mean_excess

    @cached_property
    def mean_excess(self) -> float:
        """``E S`` above the lowest sum, which keeps its digits under any offset of the reward."""
        return self._expectation(self.excess)

    @property
    def variance(self) -> float:
        """``Var S``."""
        return self._expectation((self.excess - self.mean_excess) ** 2)

    def _expectation(self, value: FloatArray) -> float:
        """A weighted mean: the rounding that all masses share, some ``m ε``, divides out."""
        with np.errstate(under="ignore"):
            mass = np.exp(self.log_prob)
            return float(mass @ value / mass.sum())

    # ------------------------------------------------------------------ policies
    def log_partition(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``log E e^{λS}`` in nats, for each λ."""
        lams = as_float_array("lam", lam)
        values = [v * self.lowest + self._log_excess_partition(v) for v in lams.reshape(-1).tolist()]
        return like(lam, np.array(values).reshape(lams.shape))

    def _log_excess_partition(self, lam: float) -> float:
        return float(logsumexp(self.log_prob + lam * self.excess))

    def tilted(self, lam: float) -> SumLaw:
        """Return the law of the reward under ``π_λ``: masses times ``e^{λS}``, normalised."""
        as_float_array("lam", lam)
        lifted = self.log_prob + lam * self.excess
        return SumLaw(self.length, self.lowest, self.excess, lifted - float(logsumexp(lifted)))

    def best_of_n(self, log_n: float) -> SumLaw:
        """Return the law of the reward of the best of N sequences, by ``log N >= 0`` in nats."""
        return SumLaw(self.length, self.lowest, self.excess, self.log_prob + log_ratio(self.log_prob, log_n))

    def kl(self, other: SumLaw) -> float:
        """``KL(self ‖ other)`` in nats.

        For policies that are functions of the reward times one base (tilts, best-of-N, the base itself) it is the
        divergence of the sequence laws too, since within a level of reward both are the base conditioned on it.
        """
        require(
            self.excess.shape == other.excess.shape and self.lowest == other.lowest,
            "other must be a law on the same sums: a tilt or a best-of-N of the same base.",
        )
        return log_kl(self.log_prob, other.log_prob)

    @property
    def max_kl(self) -> float:
        """``-log P(S = max)`` in nats, the largest useful budget of the sequence."""
        return -float(self.log_prob[-1])

    def lam_at_kl(self, kl: float, *, guess: float = 1.0) -> float:
        """Return the λ whose tilt spends ``kl`` nats.

        Parameters
        ----------
        kl : float
            Budget of the whole sequence in nats, between 0 and ``max_kl``.
        guess : float
            Where to start the search, > 0.

        Raises
        ------
        InputError
            If the budget is not attainable.
        """
        require_range("guess", guess, 0.0, open_low=True)
        require(0 < kl < self.max_kl, f"kl must lie in (0, {self.max_kl:.6g}) for this law; got {kl:g}.")

        def miss(log_lam: float) -> float:
            return math.log(max(self.tilted(math.exp(log_lam)).kl(self), 1e-300) / kl)

        low = high = math.log(guess)
        while miss(low) > 0:
            low -= 1.0
        while miss(high) < 0:
            high += 1.0
        return math.exp(low if low == high else float(optimize.toms748(miss, low, high, xtol=1e-14, rtol=1e-14)))

    # ------------------------------------------------------------------ tails
    def log_tail(self, threshold: npt.ArrayLike) -> FloatOrArray:
        """``log P(S >= threshold)``, summed from the top; ``-inf`` above the largest sum."""
        at = as_float_array("threshold", threshold)
        _, above = self._log_cumulative
        tails = np.concatenate([[0.0], above])
        return like(threshold, tails[np.searchsorted(self.excess, at - self.lowest - self._slack, side="left")])

    def log_head(self, threshold: npt.ArrayLike) -> FloatOrArray:
        """``log P(S <= threshold)``, summed from the bottom; ``-inf`` below the smallest sum."""
        at = as_float_array("threshold", threshold)
        heads = np.concatenate([[-np.inf], self._log_cumulative[0]])
        return like(threshold, heads[np.searchsorted(self.excess, at - self.lowest + self._slack, side="right")])

    @property
    def _slack(self) -> float:
        """A threshold that equals a sum up to rounding counts as that sum."""
        return 16 * float(np.finfo(np.float64).eps) * max(abs(self.lowest), abs(self.lowest + float(self.excess[-1])))
