"""Where to stop optimising a proxy, from an estimated gold curve, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib.estimation.bootstrap import Cells

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
        They enclose every place where the estimated slope does not tell up from down: a confidence interval for the
        turning point of a curve that turns once. ``high`` is ``inf`` where the samples do not show gold falling.
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

    The slope between neighbouring parameters is a mean over cells like gold itself, with the same studentised interval;
    the interval for the turning point inverts it. A maximum of estimates is biased up a little: its interval does not
    know that it was chosen.

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

    Source: the question is K25's; the interval is derived here.
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
    steps, last_place = np.diff(gold, axis=1), len(places) - 1
    slope_low, slope_high = cells.interval(weights, steps, level=level)
    unsure = np.flatnonzero(slope_low <= 0.0)
    rising = np.flatnonzero(slope_high >= 0.0)
    falls = _falls(gold, weights, cells, level)
    # A step tells on which side of its start a rise, of its end a fall, puts the turning point.
    first, last = (int(unsure[0]) if unsure.size else last_place), (int(rising[-1]) if rising.size else -1)
    start = float(places[max(first - 1, 0)])
    end = float(places[min(last + 2, last_place)]) if falls else math.inf
    return start, end, "yes" if falls else "no" if unsure.size == 0 else "undecided"


def _falls(gold: FloatArray, weights: FloatArray, cells: Cells, level: float) -> bool:
    """Test whether gold somewhere lies above gold at the end: the largest t statistic against its bootstrap law."""
    above = gold[:, :-1] - gold[:, -1:]
    value, error = weights @ above, cells.standard_error(weights, above)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.nan_to_num(value[0] / error[0], nan=0.0, posinf=np.inf, neginf=-np.inf).max()
        null = np.nan_to_num((value[1:] - value[0]) / error[1:], nan=0.0, posinf=0.0, neginf=0.0).max(axis=1)
    return bool(seen > max(np.quantile(null, (1.0 + level) / 2.0), 0.0))
