"""Where to stop optimising a proxy, from an estimated gold curve, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import BoolArray, FloatArray
from alignlib.estimation.bootstrap import FEW_CELLS, Cells

__all__ = ["Hedge", "hedge"]
_UNKNOWN = (math.inf, math.inf, "undecided")


@dataclass(frozen=True)
class Hedge:
    """The parameter of a path (λ or N) with the most gold, estimated; gains are over the base model.

    Attributes
    ----------
    parameter : float
        Where gold is largest.
    low, high : float
        They enclose every place at which gold does not lie significantly below gold further on, nor below gold before
        it, from the place told last on either side: a confidence interval for the turning point of a curve that turns
        once. ``high`` is ``inf`` where the samples do not show gold falling.
    spent : float
        KL to the base there, in nats.
    gold_gain, gold_low, gold_high : float
        Gold gain there, with its interval.
    turns_down : str
        ``"yes"`` where gold at the end of what the samples support lies significantly below gold before it (tested at
        all places at once), ``"no"`` where every step up to that end rises significantly, else ``"undecided"``.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> from alignlib.rules import BestOfN
    >>> from alignlib.tables import example_table
    >>> fit = fit_frontier(example_table(60, 16, 0.7, np.random.default_rng(1)), "reward", n_boot=100)
    >>> found = fit.gold("gold", BestOfN.along([2, 4, 8])).hedge
    >>> found.parameter, found.low <= found.parameter <= found.high
    (8.0, True)
    """

    parameter: float
    low: float
    high: float
    spent: float
    gold_gain: float
    gold_low: float
    gold_high: float
    turns_down: str


def hedge(
    parameter: FloatArray,
    spent: FloatArray,
    cell_gold: FloatArray,
    bounds: Sequence[FloatArray],
    supported: BoolArray,
    cells: Cells,
    weights: FloatArray,
    level: float,
) -> Hedge:
    """Estimate the argmax of gold along a path, from the gold gain of each cell of prompts at each parameter.

    A place is compared with all places on one side of it at once: gold that is larger further on tells that a curve
    that turns once turns later. The first place from either end at which nothing is told ends the interval, so that
    there is one test of each side at the turning point itself and no more. Neighbours alone would tell less: their
    slopes are lost in noise long before the fall is. A maximum of estimates is biased up a little: its interval does
    not know that it was chosen.

    Parameters
    ----------
    parameter, spent : array (k,)
        Increasing λ or N, and what each spends.
    cell_gold : array (cells, k)
        Gold gain on each cell.
    bounds : sequence of arrays (cells, k)
        The same, or how far down and up its bias may take it, if it has one. The interval and the verdict are those
        that hold for each.
    supported : array (k,)
        Where the samples support the curve; must be True at first.
    cells : Cells
        Cells of prompts.
    weights : array (replicates, cells)
        Their bootstrap weights.
    level : float
        Nominal coverage, in (0, 1).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> n = np.arange(1.0, 10.0)
    >>> gold = n - n**2 / 8 + 0.1 * rng.standard_normal((50, 1))
    >>> cells = Cells.of(np.full(50, 64), rng)
    >>> found = hedge(n, np.log(n), gold, [gold], np.ones(9, dtype=bool), cells, cells.resample(200, rng), 0.95)
    >>> found.parameter, found.low, found.high, found.turns_down
    (4.0, 3.0, 5.0, 'yes')

    Source: the question is K25's; the interval is derived here, of comparisons with the best as in Hsu (1984).
    """
    known = int(np.argmin(supported)) if not supported.all() else supported.size
    places, golds = parameter[:known], [gold[:, :known] for gold in bounds]
    value = weights[0] @ cell_gold[:, :known]
    ends = [cells.interval(weights, gold, level=level) for gold in golds]
    best = int(value.argmax())
    turns = [_turn(gold, places, weights, cells, level) for gold in golds] if known > 1 else [_UNKNOWN]
    verdicts = {verdict for _, _, verdict in turns}
    return Hedge(
        parameter=float(places[best]),
        low=min(float(places[0]) if known == 1 else math.inf, *(low for low, _, _ in turns), float(places[best])),
        high=max(high for _, high, _ in turns),
        spent=float(spent[best]),
        gold_gain=float(value[best]),
        gold_low=min(float(low[best]) for low, _ in ends),
        gold_high=max(float(high[best]) for _, high in ends),
        turns_down=verdicts.pop() if len(verdicts) == 1 else "undecided",
    )


def _turn(
    gold: FloatArray, places: FloatArray, weights: FloatArray, cells: Cells, level: float
) -> tuple[float, float, str]:
    """Return the interval of the turning point, and whether gold turns."""
    last = len(places) - 1

    def told(place: int, others: slice) -> bool:
        return _larger(gold[:, others] - gold[:, [place]], weights, cells, level)

    # Nothing lies above the most gold that is estimated, so the first place is never beyond the second.
    start = next((i for i in range(last) if not told(i, slice(i + 1, None))), last)
    end = next((i for i in range(last, 0, -1) if not told(i, slice(i))), 0)
    falls = end < last
    slope_low, _ = cells.interval(weights, np.diff(gold, axis=1), level=level)
    verdict = "yes" if falls else "no" if bool((slope_low > 0.0).all()) else "undecided"
    # The turning point lies beyond the places that are told, anywhere up to the next of them.
    return float(places[max(start - 1, 0)]), float(places[end + 1]) if falls else math.inf, verdict


def _larger(above: FloatArray, weights: FloatArray, cells: Cells, level: float) -> bool:
    """Test whether a mean over cells is above 0 anywhere: the largest t statistic against its bootstrap law.

    Replicates of very few cells often show no spread: Student's quantile is then asked for too. Of several fixed
    prompts it takes as much more as an arm of their intervals is longer.
    """
    if not (weights[0] @ above > 0.0).any():
        return False
    value, error = weights @ above, cells.standard_error(weights, above)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.nan_to_num(value[0] / error[0], nan=0.0, posinf=np.inf, neginf=-np.inf).max()
        null = np.nan_to_num((value[1:] - value[0]) / error[1:], nan=0.0, posinf=0.0, neginf=0.0).max(axis=1)
    side = (1.0 + level) / 2.0
    least = float(scipy.special.stdtrit(max(cells.size.size - 1, 1), side)) if cells.size.size < FEW_CELLS else 0.0
    more = float(cells.stretch(value[0], error[0])[0]) if cells.fixed_prompts else 1.0
    return bool(seen > more * max(np.quantile(null, side), least))
