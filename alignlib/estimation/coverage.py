"""How often the intervals of the estimated frontier cover the truth, by simulation on laws whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, FloatOrArray, IntArray, require, require_range
from alignlib._core.doors import guard
from alignlib._core.same import SameFields
from alignlib.estimation.estimated_frontier import UnsupportedBudgetError
from alignlib.estimation.fitting import fit_frontier
from alignlib.tables import RewardTable

__all__ = ["Coverage", "KnownLaw", "simulate_coverage"]


class KnownLaw(Protocol):
    """A reward law whose frontier is known: any of :mod:`alignlib.laws`."""

    def gain_at_kl(self, kl: npt.ArrayLike, /) -> FloatOrArray: ...  # noqa: D102
    def sample(self, rng: np.random.Generator, size: tuple[int, int], /) -> FloatArray: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Coverage(SameFields):
    """What simulated tables showed at each budget.

    Attributes
    ----------
    kl : array (k,)
        Budgets in nats.
    gain : array (k,)
        The true limit.
    supported : array (k,)
        Share of tables that support the budget.
    n_supported : array of int (k,)
        How many those are.
    covered : array (k,)
        Share of these whose interval holds the truth.
    bias : array (k,)
        Mean error of the estimate.
    width : array (k,)
        Mean width of the interval.
    n_rep : int
        Tables.
    """

    kl: FloatArray
    gain: FloatArray
    supported: FloatArray
    n_supported: IntArray
    covered: FloatArray
    bias: FloatArray
    width: FloatArray
    n_rep: int

    @property
    def covered_error(self) -> FloatArray:
        """Standard error of ``covered`` were the true coverage 95 %."""
        return np.asarray(np.sqrt(0.95 * 0.05 / np.maximum(self.n_supported, 1)))


def simulate_coverage(
    law: KnownLaw,
    n_samples: int,
    n_prompts: int,
    kl: npt.ArrayLike,
    n_rep: int,
    rng: np.random.Generator,
    *,
    bias_correction: bool = True,
    n_boot: int = 500,
) -> Coverage:
    """Estimate the frontier of ``n_rep`` tables drawn from ``law`` and compare with its true frontier.

    Parameters
    ----------
    law : Law
        The reward of every prompt.
    n_samples, n_prompts : int
        Size of each table, >= 3 and >= 2.
    kl : array (k,)
        Budgets in nats, > 0.
    n_rep : int
        Number of tables, >= 1.
    rng : Generator
        Source of randomness.
    bias_correction : bool
        False simulates the plug-in estimate and its interval, at every budget.
    n_boot : int
        Bootstrap replicates of each table.

    Raises
    ------
    InputError
        If an argument lies outside its range.

    Examples
    --------
    >>> from alignlib.laws import Uniform
    >>> result = simulate_coverage(Uniform(), 32, 40, [0.1], 20, np.random.default_rng(0))
    >>> bool(result.covered[0] > 0.7), result.n_rep
    (True, 20)
    """
    budgets = np.atleast_1d(require_range("kl", kl, 0.0, open_low=True))
    require(n_rep >= 1, f"n_rep must be at least 1; got {n_rep}.")
    truth = np.asarray(law.gain_at_kl(budgets))
    error, width = (np.full((n_rep, budgets.size), np.nan) for _ in range(2))
    held = np.zeros((n_rep, budgets.size), dtype=bool)
    for i in range(n_rep):
        table = RewardTable.from_arrays(law.sample(rng, (n_prompts, n_samples)))
        try:
            found = fit_frontier(table, bias_correction=bias_correction, n_boot=n_boot, rng=rng).at(budgets)
        except UnsupportedBudgetError:
            continue
        use = found.supported if bias_correction else np.ones(budgets.size, dtype=bool)
        error[i, use] = (found.gain - truth)[use]
        width[i, use] = (found.gain_high - found.gain_low)[use]
        held[i, use] = ((found.gain_low <= truth) & (truth <= found.gain_high))[use]
    counted = np.isfinite(error)
    n_supported = counted.sum(axis=0)

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(np.where(counted, values, 0.0).sum(axis=0) / n_supported)

    with np.errstate(invalid="ignore"):
        return Coverage(
            kl=budgets,
            gain=truth,
            supported=n_supported / n_rep,
            n_supported=n_supported,
            covered=mean(held.astype(np.float64)),
            bias=mean(error),
            width=mean(width),
            n_rep=n_rep,
        )


guard(globals())
