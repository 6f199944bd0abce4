"""The share of the limit that rules have at equal KL, with its interval."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib.estimation.bootstrap import narrowed, student_interval, studentised_interval
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.win_rate_curve import WinRateCurve

__all__ = ["NOTHING_KNOWN", "NO_KL", "Share", "share_of_limit"]

# Of few prompts the ratio of two means is skewed; the limit's bias is in it once, while the limit itself allows for
# twice the step from halves to all. Both by simulation.
_FEW_PROMPTS = 4.0
_OF_BIAS = 0.5
_UPPER_HULL = 0.5  # a share is skewed downwards: with the whole of it no truth lay above the interval
NO_KL = 1e-12  # a rule that spends less is the base model, and has all of the limit
_LEAST_WIDTH = 0.001
Share = tuple[FloatArray | None, FloatArray | None, FloatArray | None, FloatArray | None, BoolArray | None]
NOTHING_KNOWN: Share = (None, None, None, None, None)


def share_of_limit(
    curve: AveragedCurve,
    weights: FloatArray,
    kl: FloatArray,
    gain: FloatArray,
    level: float,
    end: float,
    further: FloatArray,
) -> Share:
    """Return the limit's gain at the KL spent, the share of it, its interval, and where that is supported.

    A rule is a policy itself, so the limit at its KL is at least its gain, and no share exceeds 1.

    Parameters
    ----------
    curve : AveragedCurve
        The limit.
    weights : array (replicates, cells)
        Rows of `Cells.resample`.
    kl, gain : array (cells, rules)
        What each rule spends and gains, cell by cell.
    level : float
        Coverage aimed at, in (0, 1).
    end : float
        The largest supported budget.
    further : array
        By how much the KL may be biased.
    """
    spent, gained = weights @ kl, weights @ gain

    def beside(cells: FloatArray, rows: FloatArray, spent: FloatArray) -> tuple[FloatArray, ...]:
        held = np.where(spent < NO_KL, 0.0, np.minimum(spent, end))
        limit, own_error, lam = curve.gains(rows, held, cells)
        limit += np.divide(np.maximum(spent - end, 0.0), lam, out=np.zeros_like(lam), where=lam > 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(limit > 0.0, gained[: len(rows)] / limit, 1.0)
        return share, limit, lam, own_error

    few = 1.0 if curve.cells.fixed_prompts else 1.0 + _FEW_PROMPTS / len(curve.cells.size)
    # The lowest limit goes with the least that the rule may have spent, the highest with the most.
    budgets = (np.maximum(spent - further, 0.0), spent + further) if further.any() else (spent, spent)
    bounds = _bounds(curve)
    found = []
    for cells, used in zip(bounds, budgets[-len(bounds) :], strict=True):
        share, limit, lam, own_error = beside(cells, weights, used)
        error = _share_error(curve, weights, kl, gain, share, limit, lam[0], cells)
        # A higher limit makes the share lower.
        found.append((share, error, few * curve.stretch(limit[0], own_error[0], lam[0], used[0])))
    arms = narrowed([share[0] for share, _, _ in found], [error[0] for _, error, _ in found], level)
    ends = [
        student_interval(share[0], error[0], level, curve.uneven)
        if isinstance(curve, WinRateCurve)
        else studentised_interval(
            share, error, level, len(curve.cells.size), up=arms, down=down * arms, upper_hull=_UPPER_HULL
        )
        for share, error, down in found
    ]
    share, limit, *_ = beside(curve.cell_curve, weights[:1], spent[:1])
    least = np.where(spent[0] < NO_KL, 0.0, _LEAST_WIDTH * share[0])
    # The ends are of the curves that bound the limit; the share shown is that of the estimate, and lies between.
    low = np.minimum(np.min([low for low, _ in ends], axis=0), np.minimum(share[0], 1.0) - least)
    high = np.maximum(np.max([high for _, high in ends], axis=0), share[0] + least)
    supported = spent[0] <= end * (1.0 + 1e-12)
    return (
        np.maximum(limit[0], gained[0]),
        np.minimum(share[0], 1.0),
        np.minimum(low, 1.0),
        np.where(supported, np.minimum(high, 1.0), 1.0),
        supported,
    )


def _bounds(curve: AveragedCurve) -> tuple[FloatArray, ...]:
    """Return the curves between which the limit lies: for a share, the estimate and its bias once."""
    if curve.hard_bounds:
        return curve.cell_bounds
    return tuple(curve.cell_curve + _OF_BIAS * (bound - curve.cell_curve) for bound in curve.cell_bounds)


def _share_error(
    curve: AveragedCurve,
    weights: FloatArray,
    kl: FloatArray,
    gain: FloatArray,
    share: FloatArray,
    limit: FloatArray,
    lam: FloatArray,
    cell_curve: FloatArray,
) -> FloatArray:
    """Return the delta-method error of ``gain / limit``: by the envelope theorem λ may be held at the estimate's."""
    place = np.clip(np.searchsorted(curve.lam, lam), 0, len(curve.lam) - 1)
    flat = np.isinf(lam)
    slope = np.where(flat, 0.0, 1.0 / np.maximum(lam, curve.lam[0]))
    reach = np.where(flat, curve.limit_of(cell_curve)[:, None], (cell_curve[:, place] + kl) * slope)
    mean_gain, mean_reach = weights @ gain, weights @ reach
    variance = (
        weights @ gain**2
        - mean_gain**2
        - 2.0 * share * (weights @ (gain * reach) - mean_gain * mean_reach)
        + share**2 * (weights @ reach**2 - mean_reach**2)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.maximum(variance, 0.0) / max(len(curve.cells.size) - 1, 1)) / limit
    return np.where(limit > 0.0, error, 0.0)
