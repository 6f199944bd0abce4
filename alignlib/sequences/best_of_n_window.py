"""Best-of-N from the sums that it can pick alone, where all of them would be too many.

Best-of-N with ``log N = mδ`` picks a sum within a few ``1/λ`` of the level that one sequence in N exceeds; of 50
million types at m = 10,000 these are some 100,000. What is left out is bounded: above, ``N P(S > high) <= N e^{-m I}``
by Chernoff; below, ``F^N <= e^{-N P(S >= low)}`` with a tail that was summed. Both are at most ``e^{-46}``, 1e-20.
"""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.laws import FiniteLaw
from alignlib.sequences.comparison import BestOfNAgainstOptimum
from alignlib.sequences.log_best_of_n import log_ratio
from alignlib.sequences.type_sums import sums_by_type

__all__ = ["compare_in_window"]

_NEGLIGIBLE = 46.0  # nats


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
