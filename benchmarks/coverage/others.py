"""Other rules for the same intervals, to compare widths with: bootstrap-t, percentiles and the delta method.

They resample the same prompts of the same estimates; none stretches an arm or allows for a bias that may be left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation import Fit
from alignlib.estimation.curve import AveragedCurve
from alignlib.rules import BestOfN, prepare

__all__ = ["OTHERS", "OtherIntervals", "other_intervals", "other_limits"]

OTHERS = ("bootstrap-t", "percentile", "delta")
_Z = 1.959964
Ends = dict[str, tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, eq=False)
class OtherIntervals:
    """Ends of the gain of best-of-N, of its gold and of its share of the limit (empty where there is none)."""

    gain: Ends
    gold: Ends
    share: Ends


def other_limits(fit: Fit, kl: FloatArray) -> Ends:
    """Return the intervals of the limit at budgets."""
    assert isinstance(fit.curve, AveragedCurve)
    value, error, _ = fit.curve.gains(fit.weights, kl)
    return _ends(value, error)


def other_intervals(fit: Fit, draws: FloatArray) -> OtherIntervals:
    """Return those of best-of-N, whose gold is the column gold."""
    gains, golds, spent = (np.empty((fit.table.n_prompts, draws.size)) for _ in range(3))
    for (where, rows), (_, gold) in zip(fit.table.blocks("reward"), fit.table.blocks("gold"), strict=True):
        own, other = prepare(rows), prepare(rows, gold)
        for k, n in enumerate(draws):
            found = BestOfN(n).evaluate(own)
            gains[where, k], spent[where, k] = found.mean - rows.mean(axis=1), found.spent
            golds[where, k] = BestOfN(n).evaluate(other).mean - gold.mean(axis=1)
    cells = [fit.cells.mean(values) for values in (gains, golds)]
    both = [_ends(fit.weights @ one, fit.cells.standard_error(fit.weights, one)) for one in cells]
    share: Ends = {}
    if isinstance(fit.curve, AveragedCurve) and fit.supported_end > 0.0:
        kl = fit.weights @ fit.cells.mean(spent)
        limit, _, _ = fit.curve.gains(fit.weights, np.minimum(kl, fit.supported_end))
        value = np.divide(fit.weights @ cells[0], limit, out=np.ones_like(limit), where=limit > 0.0)
        share = dict(_ends(value, np.broadcast_to(value[1:].std(axis=0), value.shape)))
        share.pop("bootstrap-t")  # asks for an error of every replicate
    return OtherIntervals(gain=both[0], gold=both[1], share=share)


def _ends(value: FloatArray, error: FloatArray) -> Ends:
    return dict(zip(OTHERS, _of_each(value, error), strict=True))


def _of_each(value: FloatArray, error: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    estimate, spread = value[0], error[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num((value[1:] - estimate) / error[1:], nan=0.0, posinf=0.0, neginf=0.0)
    low, high = np.quantile(t, [0.025, 0.975], axis=0)
    yield estimate - high * spread, estimate - low * spread
    low, high = np.quantile(value[1:], [0.025, 0.975], axis=0)
    yield low, high
    yield estimate - _Z * spread, estimate + _Z * spread
