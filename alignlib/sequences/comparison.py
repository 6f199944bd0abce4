"""Best-of-N with ``log N = mδ`` beside the optimum of the same budget, exactly at length m.

Where all sums would be too many, those that best-of-N can pick alone: it picks a sum within a few ``1/λ`` of the level
that one sequence in N exceeds; of 50 million types at m = 10,000 these are some 100,000. What is left out is bounded:
above, ``N P(S > high) <= N e^{-m I}`` by Chernoff; below, ``F^N <= e^{-N P(S >= low)}`` with a tail that was summed.
Both are at most ``e^{-46}``, 1e-20.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, as_float_array, require
from alignlib.laws import FiniteLaw, Law
from alignlib.sequences.log_best_of_n import log_ratio
from alignlib.sequences.sum_law import SumLaw
from alignlib.sequences.type_sums import sums_by_type

__all__ = ["BestOfNAgainstOptimum", "checked_length", "compare", "compare_in_window", "lam_at_delta"]

_NEGLIGIBLE = 46.0  # nats


@dataclass(frozen=True)
class BestOfNAgainstOptimum:
    """Best-of-N against the optimum ``π_λ`` with ``KL(π_λ‖p) = mδ = log N``; totals of the sequence, not per token.

    Attributes
    ----------
    length : int
        Tokens m.
    delta : float
        Budget δ in nats per token.
    lam : float
        The λ that spends it.
    base_reward : float
        Mean reward of the base.
    gain, optimal_gain : float
        Mean rewards of best-of-N and of the optimum, above the base's.
    kl_to_base, kl_to_optimum : float
        ``KL(π_N‖p)`` and ``KL(π_N‖π_λ)`` in nats.

    Examples
    --------
    >>> from alignlib.sequences import MemorylessModel
    >>> found = MemorylessModel([0.5, 0.5], [0.0, 1.0], 50).best_of_n(0.1)  # e^5 draws of sequences of 50 tokens
    >>> found.length, found.delta, bool(found.gain < found.optimal_gain)
    (50, 0.1, True)
    """

    length: int
    delta: float
    lam: float
    base_reward: float
    gain: float
    optimal_gain: float
    kl_to_base: float
    kl_to_optimum: float

    @property
    def log_n(self) -> float:
        """``log N = mδ``."""
        return self.length * self.delta

    @property
    def reward_gap(self) -> float:
        """Optimum's mean reward minus best-of-N's, per token."""
        return (self.optimal_gain - self.gain) / self.length


def compare(law: SumLaw, delta: float, lam: float) -> BestOfNAgainstOptimum:
    """Return best-of-N with ``log N = mδ`` beside the tilt by ``lam`` of the same exact law.

    Parameters
    ----------
    law : SumLaw
        The law of the reward of a whole sequence of m tokens.
    delta : float
        Budget δ in nats per token; ``log N = mδ``.
    lam : float
        λ of the optimum beside it.

    Examples
    --------
    >>> from alignlib.sequences import MemorylessModel
    >>> law = MemorylessModel([0.5, 0.5], [0.0, 1.0], 50).sum_law()
    >>> found = compare(law, 0.1, float(law.lam_at_kl(5.0)))
    >>> round(found.gain / found.optimal_gain, 3), found.kl_to_base < found.log_n
    (0.842, True)
    """
    best, optimum = law.best_of_n(law.length * delta), law.tilted(lam)
    return BestOfNAgainstOptimum(
        length=law.length,
        delta=delta,
        lam=lam,
        base_reward=law.base_reward,
        gain=best.mean_excess - law.mean_excess,
        optimal_gain=optimum.mean_excess - law.mean_excess,
        kl_to_base=best.kl_to(law),
        kl_to_optimum=best.kl_to(optimum),
    )


def lam_at_delta(law: Law, delta: float, length: int = 1) -> float:
    """Return the λ that spends ``delta`` nats per token of a law of ``length`` tokens, if a finite one does.

    Parameters
    ----------
    law : Law
        The law of a sequence's reward.
    delta : float
        Budget in nats per token.
    length : int
        Tokens.

    Raises
    ------
    InputError
        If the budget is not below the largest, or too close to it.
    """
    most = law.max_kl / length
    budget = float(as_float_array("delta", delta))
    require(
        0 < budget < most,
        f"delta must lie in (0, {most:.6g}), the nats per token that a finite tilt can spend; got {budget:g}.",
    )
    lam = float(law.lam_at_kl(length * budget))
    require(math.isfinite(lam), f"delta = {budget!r} is too close to the largest budget {most!r}; lower it.")
    return lam


def checked_length(length: int) -> int:
    """Return a whole number of tokens >= 1 as an int.

    Parameters
    ----------
    length : int
        Tokens.

    Raises
    ------
    InputError
        If it is no whole number from 1 on.
    """
    whole = not isinstance(length, bool) and isinstance(length, int | np.integer)
    require(whole and length >= 1, f"length must be a whole number of tokens, at least 1; got {length!r}.")
    return int(length)


def compare_in_window(
    reward: FloatArray, prob: FloatArray, length: int, delta: float, lam: float, *, max_types: int
) -> BestOfNAgainstOptimum:
    """Return best-of-N with ``log N = mδ`` beside the optimum, from the sums that best-of-N can pick.

    The optimum's reward and normaliser are a token's times m, so its law is not needed.

    Parameters
    ----------
    reward, prob : arrays (k,)
        Distinct token rewards, lowest first, and their positive masses.
    length : int
        Number of tokens m.
    delta, lam : float
        Budget δ in nats per token, and the λ that spends it.
    max_types : int
        Most types to visit.

    Raises
    ------
    TooManyLevelsError
        If best-of-N can pick more types than that.
    """
    token = FiniteLaw(reward - reward[0], prob)  # sums are counted from the lowest one
    high = _high(token, length, delta)
    for low in _lower_ends(token, length, delta):
        sums, logs = sums_by_type(token.reward, token.prob, length, low, high, max_types=max_types)
        log_tail = float(np.logaddexp.reduce(logs, initial=-math.inf))
        if low == 0.0 or length * delta + log_tail >= math.log(_NEGLIGIBLE):
            break
    if sums[0] > 0.0:  # everything below, as one level that best-of-N never picks
        log_below = math.log(-math.expm1(min(log_tail, -1e-300)))
        ratio = log_ratio(np.concatenate([[log_below], logs]), length * delta)[1:]
    else:
        ratio = log_ratio(logs, length * delta)
    picked = np.exp(logs + ratio)
    if abs(float(picked.sum()) - 1.0) > 1e-8:
        raise ArithmeticError(f"best-of-N's masses sum to {float(picked.sum())!r} at length {length}.")
    # Differences to numbers known per token: the rounding of masses, which m amplifies, then multiplies small numbers.
    optimal = length * float(token.mean_reward(lam))
    shortfall = float(picked @ (optimal - sums))
    unspent = float(picked @ (length * delta - ratio))
    log_optimum = lam * sums - length * float(token.log_partition(lam))
    base = length * token.base_reward
    return BestOfNAgainstOptimum(
        length=length,
        delta=delta,
        lam=lam,
        base_reward=length * float(reward[0]) + base,
        gain=optimal - base - shortfall,
        optimal_gain=optimal - base,
        kl_to_base=length * delta - unspent,
        kl_to_optimum=float(picked @ (ratio - log_optimum)),
    )


def _high(token: FiniteLaw, length: int, delta: float) -> float:
    """The sum s with ``m I(s/m) = mδ + 46``; the largest sum where there is none."""
    kl = delta + _NEGLIGIBLE / length
    return length * (token.max_reward if kl >= token.max_kl else float(token.mean_reward(token.lam_at_kl(kl))))


def _lower_ends(token: FiniteLaw, length: int, delta: float) -> list[float]:
    """Ever lower sums from which to try; from the last of them on, nothing is missed whatever the tail is.

    By Chernoff's bound on the other side ``F^N <= e^{-N m I(s/m)}`` for s below the mean.
    """
    tries, short = [], 4.0 + 0.5 * math.log(length)
    while short < length * delta:
        tries.append(length * float(token.mean_reward(token.lam_at_kl(delta - short / length))))
        short *= 2
    mirrored = FiniteLaw(-token.reward, token.prob)
    kl = _NEGLIGIBLE / length * math.exp(-length * delta)
    last = 0.0 if kl >= mirrored.max_kl else -length * float(mirrored.mean_reward(mirrored.lam_at_kl(kl)))
    return [*tries, last]
