"""Best-of-N with ``log N = mδ`` beside the optimum of the same budget, exactly at length m."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import as_float_array, require
from alignlib.laws import Law
from alignlib.sequences.sum_law import SumLaw

__all__ = ["BestOfNAgainstOptimum", "checked_length", "compare", "lam_at_delta"]


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
