"""The frontier estimated from sampled rewards, with its interval and the range that the samples support."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alignlib._checks import as_vector, require
from alignlib._estimation import check_resampling, check_samples, single_column, supported_end
from alignlib.best_of_n_estimation import (
    estimate_best_of_n,
    estimate_best_of_poisson,
    estimate_soft_best_of_n,
)
from alignlib.bootstrap import Cells, studentised_interval
from alignlib.estimates import EstimatedFrontier
from alignlib.prompt_curves import averaged_curves
from alignlib.rewards import RewardTable
from alignlib.tails import HeavyTailError, tail_test

__all__ = [
    "UnsupportedKLError",
    "estimate_best_of_n",
    "estimate_best_of_poisson",
    "estimate_frontier",
    "estimate_soft_best_of_n",
]

_DEFAULT_POINTS = 40


class UnsupportedKLError(ValueError):
    """No requested KL budget lies in the supported range; ``largest_supported`` says where that ends."""

    def __init__(self, message: str, largest_supported: float) -> None:
        super().__init__(message)
        self.largest_supported = largest_supported


def estimate_frontier(
    table: RewardTable,
    reward: str | None = None,
    *,
    kl: npt.ArrayLike | None = None,
    bias_correction: bool = True,
    allow_heavy_tail: bool = False,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
) -> EstimatedFrontier:
    """Estimate ``max {E r - E_p r : mean over prompts of KL ≤ Δ}`` from samples of the base model.

    The gain is ``min_λ (Δ + Λ(λ))/λ`` with Λ the average over prompts of ``log mean e^{λ(r - r̄)}``, its O(1/n)
    and O(1/n²) biases removed by a second-order jackknife within each prompt. The interval resamples prompts
    (or, where there is one prompt, groups of its samples).

    A budget is supported as long as the bias that the jackknife may leave is at most a quarter of the standard
    error, the effective sample size averages at least 5 (and adds up to 100 over the prompts), and λ is at most
    a third of the rate of the upper tail unless that tail is lighter than exponential. Beyond, ``gain`` is held
    at its last supported value, a floor, and the interval is what monotony and concavity still guarantee.

    Parameters
    ----------
    table : RewardTable
        Sampled rewards of several prompts.
    reward : str, optional
        The column; may be left out where the table has only one.
    kl : array (k,), optional
        Budgets Δ in nats; by default a grid over the supported range.
    bias_correction : bool
        False gives the plug-in curve, which lies too low, and its interval, at every budget.
    allow_heavy_tail : bool
        Go on where the tail looks heavier than exponential, for a reward known to be bounded.
    level : float
        Nominal coverage of the interval.
    n_boot : int
        Number of bootstrap replicates.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    UnsupportedKLError
        Where no budget asked for is supported; it carries the largest that is.
    HeavyTailError
        Where the tail is heavier than exponential, so that any KL budget buys unbounded reward.
    ValueError
        For constant rewards, fewer than 3 samples of a prompt, or an argument out of its range.

    Examples
    --------
    >>> rows = np.random.default_rng(1).standard_normal((100, 64))
    >>> result = estimate_frontier(RewardTable.from_arrays(rows), kl=[0.5])
    >>> bool(result.gain_low[0] < 1.0 < result.gain_high[0])
    True

    Source: P26 (estimation from base samples); bias correction, interval and support rule are derived here.
    """
    column = single_column(table, reward)
    generator = check_resampling(level, n_boot, rng)
    check_samples(table, 3, "The frontier")
    tail = tail_test(table, column)
    if tail.heavy and not allow_heavy_tail:
        raise HeavyTailError(column, tail)
    cells = Cells.of(table.n_samples, generator)
    curves = averaged_curves(table, column, cells, bias_correction=bias_correction)
    weights = cells.resample(n_boot, generator)
    kl_end = supported_end(curves, weights[:1], table.n_prompts, tail)
    budgets = np.linspace(0.0, 1.0, _DEFAULT_POINTS) ** 2 * kl_end if kl is None else np.atleast_1d(as_vector("kl", kl))
    require(bool((budgets >= 0.0).all()), f"kl must not be negative; got {budgets.min():g} nats.")
    supported = budgets <= kl_end * (1.0 + 1e-12)
    if kl_end == 0.0 or not supported.any():
        raise UnsupportedKLError(
            f"kl must not exceed the largest supported budget, {kl_end:.3g} nats for these samples of {column!r}; got "
            f"{budgets.min():.3g}. Ask for less, or draw more samples per prompt.",
            kl_end,
        )
    held = np.minimum(budgets, kl_end) if bias_correction else budgets
    gain, error, lam = curves.gains(weights, np.append(held, kl_end))
    low, high = studentised_interval(gain, error, level)
    beyond = budgets - held
    place = np.searchsorted(curves.lam, np.minimum(lam[0, :-1], curves.lam[-1]) * (1.0 - 1e-9))
    return EstimatedFrontier(
        kl=budgets,
        gain=gain[0, :-1],
        lam=lam[0, :-1],
        base_reward=curves.base_reward,
        gain_low=low[:-1],
        gain_high=high[:-1] + beyond / lam[0, -1],
        supported=supported,
        level=level,
        supported_kl=kl_end,
        ess=curves.ess[place],
        largest_weight=curves.largest_weight[place],
        budget="average",
        n_prompts=table.n_prompts,
        tail=tail,
    )
