"""The frontier estimated from sampled rewards, with its interval and the range that the samples support."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alignlib._checks import as_vector, require
from alignlib.bootstrap import Cells, studentised_interval
from alignlib.estimates import EstimatedFrontier
from alignlib.prompt_curves import AveragedCurves, averaged_curves
from alignlib.rewards import RewardTable
from alignlib.support import supported_prefix
from alignlib.tails import HeavyTailError, TailTest, tail_test

__all__ = ["UnsupportedKLError", "estimate_frontier"]

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
        False gives the plug-in curve, which lies too low.
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
    tail = checked_tail(table, column, allow_heavy_tail)
    cells = Cells.of(table.n_prompts, generator)
    curves = averaged_curves(table, column, cells, bias_correction=bias_correction, rng=generator)
    weights = curves.cells.resample(n_boot, generator)
    kl_end = supported_end(curves, weights[:1], tail)
    budgets = np.linspace(0.0, 1.0, _DEFAULT_POINTS) ** 2 * kl_end if kl is None else as_vector("kl", kl)
    require(bool((budgets >= 0.0).all()), f"kl must not be negative; got {budgets.min():g} nats.")
    supported = budgets <= kl_end * (1.0 + 1e-12)
    if kl_end == 0.0 or not supported.any():
        raise UnsupportedKLError(
            f"kl must not exceed the largest supported budget, {kl_end:.3g} nats for these samples of {column!r}; got "
            f"{budgets.min():.3g}. Ask for less, or draw more samples per prompt.",
            kl_end,
        )
    gain, error, lam = curves.gains(weights, np.append(np.minimum(budgets, kl_end), kl_end))
    low, high = studentised_interval(gain, error, level)
    beyond = np.maximum(budgets - kl_end, 0.0)
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


def single_column(table: RewardTable, reward: str | None) -> str:
    """Return the column that ``reward`` names, or the only one."""
    names = list(table.columns)
    if reward is None:
        require(len(names) == 1, f"reward must name one of the columns {names}; got None.")
        return names[0]
    table.column(reward)
    return reward


def check_resampling(level: float, n_boot: int, rng: np.random.Generator | int) -> np.random.Generator:
    """Check what every interval needs and return the generator."""
    require(0.0 < level < 1.0, f"level must lie in (0, 1); got {level!r}.")
    require(n_boot >= 100, f"n_boot must be at least 100 for an interval; got {n_boot!r}.")
    return np.random.default_rng(rng)


def checked_tail(table: RewardTable, column: str, allow_heavy_tail: bool) -> TailTest:
    """Refuse tables whose frontier the samples cannot show, for want of samples or of a finite Λ."""
    table.check_varies(column)
    short = np.flatnonzero(table.n_samples < 3)
    if short.size:
        raise ValueError(
            f"The frontier needs at least 3 samples of every prompt; {short.size} of {table.n_prompts} prompts have "
            f"fewer, the first is {table.prompts[short[0]]!r} with {table.n_samples[short[0]]}. Sample more, or drop "
            "them."
        )
    tail = tail_test(table, column)
    if tail.heavy and not allow_heavy_tail:
        raise HeavyTailError(
            f"{column!r} has a heavier than exponential upper tail (Greenwood ratio {tail.ratio:.2f}, "
            f"z = {tail.z:.1f}), so Λ(λ) = ∞ for every λ > 0 and any KL budget buys unbounded reward: there is no "
            "frontier to print. Bound or transform the reward, or pass allow_heavy_tail=True if bounded by design.",
            tail,
        )
    return tail


def supported_end(curves: AveragedCurves, whole: npt.NDArray[np.float64], tail: TailTest) -> float:
    """Return the largest supported KL, 0 where there is none."""
    error = curves.cells.standard_error(whole, curves.cell_curve)[0]
    good = supported_prefix(
        curves.lam,
        curves.plug_in,
        curves.first_order,
        curves.second_order,
        error,
        curves.ess,
        len(curves.cells.index),
        tail,
    )
    return curves.kl_at(int(good.sum()) - 1) if good.any() else 0.0
