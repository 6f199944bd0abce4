"""Sequences of independent tokens: every quantity of the alignment problem per token, and the exact law at length m.

The base law of a sequence is ``Π p(y_t)``, its reward ``Σ ρ(y_t)``, so that the optimum tilts each token alone with
the same λ and all of :mod:`alignlib.laws` holds per token. What is not a token's affair, the law of the sum and
best-of-N, is computed exactly at each length; so is the law of a token where the best of N sequences is kept, and what
tokens then know of each other. Sequences with memory are in :mod:`alignlib.sequences.markov`.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, as_vector, frozen, require
from alignlib.laws import FiniteLaw, Law
from alignlib.sequences.comparison import (
    BestOfNAgainstOptimum,
    checked_length,
    compare,
    compare_in_window,
    lam_at_delta,
)
from alignlib.sequences.large_deviations import cumulants, log_target, rate_function, scaled_cgf
from alignlib.sequences.lattice_sums import Lattice, log_power
from alignlib.sequences.sum_law import SumLaw
from alignlib.sequences.type_sums import TooManyLevelsError, number_of_types, sums_by_type

__all__ = ["MemorylessModel", "token_law", "total_correlation"]


class MemorylessModel(Law):
    r"""Sequences of ``m`` independent tokens with law p and reward ``Σ_t ρ(y_t)``.

    As a `Law` it is that of the whole sequence, m times ``token``'s numbers; ``token`` is the law of one token, whose
    frontier is that per token.

    Source: Y24 (memoryless model, linear reward).

    Parameters
    ----------
    token_prob : array (k,)
        Law of a token, summing to one.
    token_reward : array (k,)
        Reward of each token; two values or more where ``token_prob`` is positive.
    length : int
        Number of tokens m >= 1.

    Raises
    ------
    InputError
        If the law is not one, the reward is constant, or the length is below 1.

    Examples
    --------
    >>> model = MemorylessModel([0.5, 0.3, 0.2], [0.0, 1.0, 2.0], 1000)
    >>> law = model.sum_law()
    >>> round(law.base_reward, 9), round(law.log_tail(2000.0), 6)
    (700.0, -1609.437912)
    >>> model.best_of_n(delta=0.1).kl_to_base < 100
    True
    """

    def __init__(self, token_prob: npt.ArrayLike, token_reward: npt.ArrayLike, length: int) -> None:
        self.token_prob = frozen(as_vector("token_prob", token_prob))
        self.token_reward = frozen(as_vector("token_reward", token_reward))
        self.length = checked_length(length)
        self.token = FiniteLaw(self.token_reward, self.token_prob)
        require(
            self.token.max_reward > self.token.min_reward,
            f"token_reward must take two values or more where token_prob is positive; it is {self.token.min_reward:g} "
            "throughout, so every policy earns the same.",
        )

    def __repr__(self) -> str:
        return f"<MemorylessModel of {self.length:,} tokens, {self.token_prob.size} letters, mean {self.base_reward:g}>"

    @classmethod
    def towards(cls, token_prob: npt.ArrayLike, target: npt.ArrayLike, length: int) -> MemorylessModel:
        """Return the model with reward ``log q``: its tilts ``∝ p q^λ`` are Y24's mismatched tilts of p towards q.

        Parameters
        ----------
        token_prob : array (k,)
            Base masses p of one token.
        target : array (k,)
            Masses q of the law aimed at, positive where p is.
        length : int
            Tokens of a sequence, m >= 1.

        Raises
        ------
        InputError
            If the shapes differ, masses do not sum to one, or ``target`` has no mass where the base has.

        Examples
        --------
        >>> model = MemorylessModel.towards([0.5, 0.5], [0.2, 0.8], 10)
        >>> np.exp(model.token.log_policy(1.0)).round(6).tolist()
        [0.2, 0.8]
        """
        prob = as_vector("token_prob", token_prob)
        return cls(prob, log_target(as_vector("target", target), prob), length)

    # ------------------------------------------------------------------ the optimum
    def tilted(self, lam: float) -> MemorylessModel:
        """Return the optimum ``π_λ``, itself memoryless: every token tilted by the same λ.

        Parameters
        ----------
        lam : float
            Inverse temperature λ of either sign.
        """
        return MemorylessModel(np.exp(self.token.log_policy(lam)), self.token_reward, self.length)

    @property
    def base_reward(self) -> float:
        """``E S`` of the base."""
        return self.length * self.token.base_reward

    @property
    def max_reward(self) -> float:
        """The largest sum."""
        return self.length * self.token.max_reward

    @property
    def min_reward(self) -> float:
        """The smallest sum."""
        return self.length * self.token.min_reward

    @property
    def max_gain(self) -> float:
        """m times the largest gain of a token."""
        return self.length * self.token.max_gain

    @property
    def _max_loss(self) -> float:
        return self.length * self.token._max_loss

    @property
    def _sd(self) -> float:
        return math.sqrt(self.length) * self.token._sd

    @property
    def max_kl(self) -> float:
        """``-m log p(argmax ρ)`` in nats."""
        return self.length * self.token.max_kl

    @property
    def lam_min(self) -> float:
        """``-inf``: every λ has a tilt."""
        return self.token.lam_min

    def _log_partition(self, lam: FloatArray) -> FloatArray:
        return self.length * np.asarray(self.token.log_partition(lam))

    def _mean_reward(self, lam: FloatArray) -> FloatArray:
        return self.length * np.asarray(self.token.mean_reward(lam))

    def _gain(self, lam: FloatArray) -> FloatArray:
        return self.length * np.asarray(self.token.gain(lam))

    def _variance(self, lam: FloatArray) -> FloatArray:
        return self.length * np.asarray(self.token.variance(lam))

    def _kl(self, lam: FloatArray) -> FloatArray:
        return self.length * np.asarray(self.token.kl(lam))

    def _reverse_kl(self, lam: FloatArray) -> FloatArray:
        return self.length * np.asarray(self.token.reverse_kl(lam))

    def _lam_at_kl(self, budgets: FloatArray) -> FloatArray:
        return np.asarray(self.token.lam_at_kl(budgets / self.length))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        counts = rng.multinomial(self.length, self.token.prob, size=shape)
        return np.asarray(counts @ self.token.reward)

    # ------------------------------------------------------------------ per token
    def rate(self, mean: npt.ArrayLike, lam: float = 0.0) -> FloatOrArray:
        """``I_λ(x) = sup_θ [θx - (Λ(λ+θ) - Λ(λ))]``, the rate function of ``S/m`` under ``π_λ``, in nats per token.

        Parameters
        ----------
        mean : array
            Rewards per token, x.
        lam : float
            Inverse temperature λ; 0 is the base.
        """
        return rate_function((self if lam == 0 else self.tilted(lam)).token, mean)

    def cumulants(self, order: int, lam: float = 0.0) -> FloatArray:
        """Cumulants per token of orders 1 to ``order`` under ``π_λ``: those of S divided by m.

        Parameters
        ----------
        order : int
            The highest order, at least 1.
        lam : float
            Inverse temperature λ; 0 is the base.

        Returns
        -------
        array (order,)
            The first is the mean reward per token, the second the variance per token.
        """
        return cumulants(self.token_reward, self.token_prob, order, lam)

    def scaled_cgf(self, s: npt.ArrayLike, lam: float = 0.0) -> FloatOrArray:
        """``(1/m) log E_{π_λ} e^{sS} = Λ(λ+s) - Λ(λ)`` in nats per token.

        Parameters
        ----------
        s : array
            Arguments s of the generating function.
        lam : float
            Inverse temperature λ; 0 is the base.
        """
        return scaled_cgf(self.token, s, lam)

    # ------------------------------------------------------------------ the law at length m
    @cached_property
    def _letters(self) -> tuple[FloatArray, FloatArray]:
        """Distinct rewards with mass, and their masses."""
        values, index = np.unique(self.token.reward, return_inverse=True)
        return values, np.bincount(index, weights=self.token.prob).astype(np.float64)

    def sum_law(self, *, max_levels: int = 10_000_000) -> SumLaw:
        """Return the exact law of ``S``.

        On a lattice it is the m-th power of the token law; otherwise, or where the lattice is finer than the types are
        many, one mass per type.

        Parameters
        ----------
        max_levels : int
            Most levels to compute; ten million take about 640 MB.

        Raises
        ------
        TooManyLevelsError
            If the law has more levels; the message says how many and what to do.
        """
        rewards, masses = self._letters
        if self._levels > max_levels:
            what = f"The exact law of {self.length:,} tokens with {rewards.size} distinct rewards"
            raise TooManyLevelsError(self._levels, max_levels, what)
        lowest = self.length * float(rewards[0])
        lattice = self._lattice
        if lattice is None:
            return SumLaw(self.length, lowest, *sums_by_type(rewards, masses, self.length))
        log_mass = np.full(lattice.width + 1, -np.inf)
        np.logaddexp.at(log_mass, lattice.index, np.log(masses))  # rewards may be equal to rounding
        log_law = log_power(log_mass, self.length)
        held = np.isfinite(log_law)
        return SumLaw(self.length, lowest, lattice.sums(self.length)[held], log_law[held])

    @cached_property
    def _types(self) -> int:
        return number_of_types(self.length, self._letters[0].size)

    @cached_property
    def _lattice(self) -> Lattice | None:
        """The lattice of the rewards, unless it is finer than the types are many."""
        lattice = Lattice.of(self._letters[0])
        return None if lattice is None or self.length * lattice.width + 1 > self._types else lattice

    @property
    def _levels(self) -> int:
        return self._types if self._lattice is None else self.length * self._lattice.width + 1

    def best_of_n(self, delta: float, *, max_levels: int = 10_000_000) -> BestOfNAgainstOptimum:
        """Return best-of-N with ``log N = mδ`` beside the optimum that spends the same δ nats per token.

        Parameters
        ----------
        delta : float
            Budget δ in nats per token, between 0 and ``-log p(argmax ρ)``.
        max_levels : int
            Most sums to visit: on a lattice all, otherwise those that best-of-N can pick. What is then left out
            changes no figure by more than rounding does.

        Raises
        ------
        InputError
            If δ is not attainable.
        TooManyLevelsError
            If there are more; the message says how many and what to do.
        """
        lam = lam_at_delta(self.token, delta)
        if self._lattice is None or self._levels > max_levels:
            return compare_in_window(*self._letters, self.length, delta, lam, max_types=max_levels)
        return compare(self.sum_law(max_levels=max_levels), delta, lam)


def token_law(model: MemorylessModel, log_n: float) -> FloatArray:
    """Return the law of one token when the best of N sequences is kept.

    Given the sum, a token of letter a leaves ``S - ρ(a)`` to the others:
    ``π_N(y_1=a) = Σ_s p(a) P_{m-1}(s - ρ(a)) π_N(s)/P_m(s)``.

    Parameters
    ----------
    model : MemorylessModel
        Base model of m tokens.
    log_n : float
        ``log N >= 0`` in nats.

    Examples
    --------
    >>> import math
    >>> token_law(MemorylessModel([0.5, 0.5], [0.0, 1.0], 2), math.log(2)).round(6).tolist()
    [0.3125, 0.6875]
    """
    reward, prob = model.token_reward, model.token_prob
    whole = model.sum_law()
    log_ratio = whole.best_of_n(log_n).log_prob - whole.log_prob
    if model.length == 1:
        rest_sums, rest_log = np.zeros(1), np.zeros(1)
        rest_lowest = 0.0
    else:
        rest = MemorylessModel(prob, reward, model.length - 1).sum_law()
        rest_sums, rest_log, rest_lowest = rest.excess, rest.log_prob, rest.lowest
    out = np.zeros(prob.size)
    for a in np.flatnonzero(prob > 0):
        at = rest_sums + (rest_lowest + reward[a] - whole.lowest)
        # Each such sum is one of the whole's up to rounding: the nearest.
        place = np.clip(np.searchsorted(whole.excess, at), 1, whole.excess.size - 1)
        place -= at - whole.excess[place - 1] < whole.excess[place] - at
        with np.errstate(under="ignore"):
            out[a] = prob[a] * float(np.exp(rest_log + log_ratio[place]).sum())
    return np.asarray(out / out.sum())


def total_correlation(model: MemorylessModel, log_n: float) -> float:
    """Return ``KL(π_N ‖ Π_t π_{N,t}) = KL(π_N‖p) - m KL(π_{N,1}‖p)`` in nats: what tokens know of each other.

    Parameters
    ----------
    model : MemorylessModel
        Base model of m tokens.
    log_n : float
        ``log N >= 0`` in nats.

    Examples
    --------
    >>> import math
    >>> round(total_correlation(MemorylessModel([0.5, 0.5], [0.0, 1.0], 2), math.log(2)), 6)
    0.014067
    """
    law = model.sum_law()
    token = token_law(model, log_n)
    held = token > 0
    single = float((token[held] * np.log(token[held] / model.token_prob[held])).sum())
    return law.best_of_n(log_n).kl_to(law) - model.length * single
