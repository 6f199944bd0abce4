"""The share of the limit at equal KL that a method reaches, with its interval, from samples of the base model."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib.estimation._checks import supported_end
from alignlib.estimation.averaging import averaged_curves
from alignlib.estimation.bootstrap import Cells, studentised_interval
from alignlib.estimation.prompt_curves import AveragedCurves
from alignlib.estimation.tails import tail_test
from alignlib.tables.rewards import RewardTable

__all__ = ["share_of_limit"]

# More constant prompts than this and the share is not supported; and no share is known to better than half a percent,
# for the bias that the limit may keep (simulated on 0/1 rewards with rare successes).
_MOST_CONSTANT = 1 / 3
_LEAST_WIDTH = 0.005
_NO_KL = 1e-12  # a rule that spends less is the base model, and has all of the limit


def share_of_limit(
    table: RewardTable,
    column: str,
    cells: Cells,
    weights: FloatArray,
    kl: FloatArray,
    gain: FloatArray,
    level: float,
    rng: np.random.Generator,
) -> tuple[FloatArray | None, FloatArray | None, FloatArray | None, FloatArray | None, BoolArray | None]:
    """Return the limit's gain at the KL spent, the share of it, its interval, and where that is supported."""
    nothing = (None, None, None, None, None)
    if table.n_samples.min() < 3 or table.constant_prompts(column).all():
        return nothing
    tail = tail_test(table, column)
    if tail.heavy:
        return nothing
    curves = averaged_curves(table, column, cells, rng, tail, bias_correction=True)
    kl_end = supported_end(curves, weights[:1], table.n_prompts, tail)
    if kl_end == 0.0:
        return nothing
    spent, gained = weights @ kl, weights @ gain
    held = np.where(spent < _NO_KL, 0.0, np.minimum(spent, kl_end))
    limit, _, lam = curves.gains(weights, held)
    limit += np.divide(np.maximum(spent - kl_end, 0.0), lam, out=np.zeros_like(lam), where=lam > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(limit > 0.0, gained / limit, 1.0)
    error = _share_error(curves, weights, kl, gain, share, limit, lam[0])
    low, high = studentised_interval(share, error, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = curves.excess_bias(weights[:1], lam[0]) / limit[0] * np.abs(share[0])
    wider = np.where(held[0] > 0.0, np.maximum(excess, _LEAST_WIDTH * np.abs(share[0])), 0.0)
    # Prompts without variation say nothing of their rare rewards, which the limit would use and best-of-N may miss.
    varied = table.constant_prompts(column).mean() <= _MOST_CONSTANT
    supported = (spent[0] <= kl_end * (1.0 + 1e-12)) & varied
    return limit[0], share[0], low - wider, np.where(supported, high + wider, 1.0), supported


def _share_error(
    curves: AveragedCurves,
    weights: FloatArray,
    kl: FloatArray,
    gain: FloatArray,
    share: FloatArray,
    limit: FloatArray,
    lam: FloatArray,
) -> FloatArray:
    """Return the delta-method error of ``gain / limit``: by the envelope theorem λ may be held at the estimate's."""
    place = np.clip(np.searchsorted(curves.lam, lam), 0, len(curves.lam) - 1)
    flat = np.isinf(lam)
    slope = np.where(flat, 0.0, 1.0 / np.maximum(lam, curves.lam[0]))
    reach = np.where(flat, curves.cell_limit[:, None], (curves.cell_curve[:, place] + kl) * slope)
    mean_gain, mean_reach = weights @ gain, weights @ reach
    variance = (
        weights @ gain**2
        - mean_gain**2
        - 2.0 * share * (weights @ (gain * reach) - mean_gain * mean_reach)
        + share**2 * (weights @ reach**2 - mean_reach**2)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.maximum(variance, 0.0) / max(len(curves.cells.size) - 1, 1)) / limit
    return np.where(limit > 0.0, error, 0.0)
