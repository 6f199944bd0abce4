"""The frontier estimated from sampled rewards, with its interval and the range that the samples support."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from alignlib._checks import FloatArray, as_vector, require
from alignlib.dual import dual_gain
from alignlib.frontier import Frontier
from alignlib.prompt_curves import AveragedCurves, averaged_curves
from alignlib.rewards import RewardTable
from alignlib.support import remaining_bias

__all__ = ["UnsupportedKLError", "estimate_frontier"]

_BIAS_SHARE = 0.25
_LEAST_MEAN_ESS = 5.0
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
    level: float = 0.95,
    n_boot: int = 1000,
    rng: np.random.Generator | int = 0,
) -> Frontier:
    """Estimate ``max {E r : mean KL ≤ Δ}`` from samples of the base model at several prompts.

    ``reward`` names the column (the only one by default); ``kl`` holds budgets Δ in nats, shape (k,), averaged
    over prompts (by default a grid over the supported range). The gain is ``min_λ (Δ + Λ(λ))/λ`` with Λ the
    average over prompts of the second-order jackknife of ``log mean e^{λ(r - r̄)}``; ``bias_correction=False``
    shows the biased plug-in curve instead. Intervals resample prompts ``n_boot`` times.

    A budget is supported as long as the bias that the jackknife may leave is at most a quarter of the standard
    error and the mean effective sample size at least 5; past that ``gain`` is held at its last supported value
    and the interval is what monotony and concavity still guarantee.

    Raises `UnsupportedKLError` where no budget asked for is supported, and ``ValueError`` for constant rewards
    or fewer than 3 samples of a prompt.

    >>> rows = np.random.default_rng(1).standard_normal((100, 64))
    >>> frontier = estimate_frontier(RewardTable.from_arrays(rows), kl=[0.5])
    >>> bool(frontier.gain_low[0] < 1.0 < frontier.gain_high[0])
    True

    Source: P26 (estimation from base samples); the bias correction and the support rule are derived here.
    """
    column = _column(table, reward)
    require(0.0 < level < 1.0, f"level must lie in (0, 1); got {level!r}.")
    short = np.flatnonzero(table.n_samples < 3)
    if short.size:
        raise ValueError(
            f"estimate_frontier needs at least 3 samples of every prompt; {short.size} of {table.n_prompts} "
            f"prompts have fewer, the first is {table.prompts[short[0]]!r} with "
            f"{table.n_samples[short[0]]}. Sample more, or drop them."
        )
    generator = np.random.default_rng(rng)
    curves = averaged_curves(table, column, bias_correction=bias_correction, rng=generator)
    lam_end, kl_end = _supported_end(curves)
    budgets = np.linspace(0.0, 1.0, _DEFAULT_POINTS) ** 2 * kl_end if kl is None else as_vector("kl", kl)
    require(bool((budgets >= 0).all()), f"kl must not be negative; got {budgets.min():g}.")
    supported = budgets <= kl_end * (1 + 1e-12)
    if not supported.any() or lam_end == 0.0:
        raise UnsupportedKLError(
            f"The samples support no KL of those asked for (the smallest is {budgets.min():g} nats): the largest "
            f"supported is {kl_end:.3g} nats. Ask for less, or draw more samples per prompt.",
            kl_end,
        )

    averaged = curves.cell_sum.sum(axis=0) / table.n_prompts
    point, lam = dual_gain(curves.lam, averaged, np.array(curves.limit), budgets)
    low, high = _interval(curves, budgets, level, n_boot, generator)
    if not supported.all():
        edge = np.array([kl_end])
        gain_edge, lam_edge = dual_gain(curves.lam, averaged, np.array(curves.limit), edge)
        low_edge, high_edge = _interval(curves, edge, level, n_boot, generator)
        point = np.where(supported, point, gain_edge)
        low = np.where(supported, low, low_edge)
        high = np.where(supported, high, high_edge + (budgets - kl_end) / lam_edge)
        lam = np.where(supported, lam, lam_edge)
    return Frontier(
        kl=budgets,
        gain=point,
        lam=lam,
        base_reward=curves.base_reward,
        gain_low=low,
        gain_high=high,
        supported=supported,
        level=level,
    )


def _column(table: RewardTable, reward: str | None) -> str:
    names = list(table.columns)
    if reward is None:
        require(len(names) == 1, f"reward must name one of the columns {names}; got None.")
        return names[0]
    require(reward in table.columns, f"reward must be one of the columns {names}; got {reward!r}.")
    return reward


def _supported_end(curves: AveragedCurves) -> tuple[float, float]:
    """Return (λ, KL) at the end of the supported range."""
    cells = curves.cell_sum / curves.cell_size[:, None]
    se = cells.std(axis=0, ddof=1) / math.sqrt(len(cells)) if len(cells) > 1 else np.full(len(curves.lam), np.inf)
    left = remaining_bias(curves.plug_in, curves.first_order, curves.second_order)
    good = np.logical_and.accumulate((left <= _BIAS_SHARE * se) & (curves.ess >= _LEAST_MEAN_ESS))
    if not good.any():
        return 0.0, 0.0
    last = int(np.flatnonzero(good)[-1])
    if curves.saturated and good[-1]:
        return float(curves.lam[-1]), curves.log_samples
    below = curves.cell_sum.sum(axis=0) / curves.cell_size.sum() - curves.lam * curves.limit
    slope = np.gradient(below, np.log(curves.lam))
    return float(curves.lam[last]), float(slope[last] - below[last])


def _interval(
    curves: AveragedCurves, kl: FloatArray, level: float, n_boot: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Resample cells of prompts; return the percentile interval of the gain at each budget."""
    n_cells = len(curves.cell_size)
    counts = rng.multinomial(n_cells, np.full(n_cells, 1.0 / n_cells), size=n_boot).astype(np.float64)
    total = counts @ curves.cell_size
    log_partition = counts @ curves.cell_sum / total[:, None]
    limit = counts @ curves.cell_limit / total
    gains, _ = dual_gain(curves.lam, log_partition, limit, kl)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(gains, [tail, 1.0 - tail], axis=0)
    return low, high
