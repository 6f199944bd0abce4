"""The over-optimisation curve predicted from base samples that both rewards have scored: nothing is trained or drawn.

Along λ it is the mean of gold under the tilt by the proxy, along N the gold of the proxy-best of N samples, proxy ties
averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, as_vector, require, require_range
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib._core.shown import span
from alignlib.divergences import KL
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.gold_by_cell import GoldCurves, rule_curves, tilted_curves
from alignlib.estimation.hedge import Hedge, hedge
from alignlib.estimation.rules import check_needs
from alignlib.rules import BestOfN, Rule
from alignlib.tables import RewardTable

__all__ = ["GoldEstimate", "check_pair", "gold_of_rules", "tilted_gold"]

_POINTS, _FROM = 40, 0.02  # of λ, from so much of the largest that is supported
_TILT = "tilting by λ"


@dataclass(frozen=True, eq=False)
class GoldEstimate(SameFields):
    """Gains over the base model as a proxy is optimised, estimated from base samples.

    Attributes
    ----------
    path : str
        The parameter that grows: ``"lam"`` for the tilt, ``"n"`` for best-of-N.
    name, symbol : str
        What text calls the method and its parameter.
    parameter : array (k,)
        Its values.
    spent : array (k,)
        KL to the base in nats, on average over prompts.
    spent_off : array (k,)
        How far from it that of the samples may be, where these are in bins; 0 where they are held.
    proxy_gain, proxy_off : array (k,)
        What the proxy reports, and the same of it.
    gold_gain, gold_low, gold_high : array (k,)
        What is gained in truth, with its interval.
    gold_error : array (k,)
        Its standard error.
    behind_error : array (k,)
        Standard error of its distance to the most gold of the path.
    ess : array (k,)
        Effective sample size per prompt.
    supported : array of bool (k,)
        Where the samples carry the estimate: draw nothing solid beyond.
    base_gold : float
        Mean gold of the base.
    level : float
        Coverage that the intervals aim at.
    hedge : Hedge
        Where to stop.
    tied_prompts : int
        Prompts with ties of the proxy.
    fixed_prompts : bool
        That all intervals are of these very prompts, too few to stand for others.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> from alignlib.rules import BestOfN
    >>> from alignlib.tables import example_table
    >>> fit = fit_frontier(example_table(60, 16, 0.7, np.random.default_rng(1)), "reward", n_boot=100)
    >>> found = fit.gold("gold", BestOfN.along([2, 8]))
    >>> found.symbol, found.parameter.tolist(), bool((found.gold_low < found.gold_gain).all())
    ('N', [2.0, 8.0], True)
    """

    path: str
    name: str
    symbol: str
    parameter: FloatArray
    spent: FloatArray
    spent_off: FloatArray
    proxy_gain: FloatArray
    proxy_off: FloatArray
    gold_gain: FloatArray
    gold_low: FloatArray
    gold_high: FloatArray
    gold_error: FloatArray
    behind_error: FloatArray
    ess: FloatArray
    supported: BoolArray
    base_gold: float
    level: float
    hedge: Hedge
    tied_prompts: int
    fixed_prompts: bool = False

    def __repr__(self) -> str:
        """Return the path, its ends, and where gold is largest."""
        at = self.hedge
        return (
            f"<GoldEstimate along {self.path}, {counted(self.parameter.size, 'point')}: {self.path} "
            f"{span(self.parameter)}, gold gain {span(self.gold_gain)}, most ({at.gold_gain:.3g}) at {self.path} "
            f"{at.parameter:.3g}>"
        )

    def off_at(self, parameter: float) -> float:
        """Return how far from what is said what is spent at N or λ may be.

        Parameters
        ----------
        parameter : float
            One of `parameter`, or between two.
        """
        return float(np.interp(parameter, self.parameter, self.spent_off))

    @property
    def tilts(self) -> bool:
        """Whether the path is the tilt along λ, and not a rule."""
        return self.path == "lam" and self.name == _TILT


def check_pair(table: RewardTable, reward: str, gold: str) -> None:
    """Refuse a pair of columns that cannot be told apart or cannot be optimised.

    Parameters
    ----------
    table : RewardTable
        What holds the columns.
    reward, gold : str
        The proxy, and the reward that counts.

    Raises
    ------
    InputError
        For a proxy that is gold itself, one that is constant within every prompt, or a gold reward with a single value.

    Examples
    --------
    >>> check_pair(RewardTable.from_arrays(proxy=[[0.0, 1.0]], gold=[[1.0, 0.0]]), "proxy", "gold")
    """
    ends = [table.extremes(name) for name in (reward, gold)]
    if reward == gold:
        raise InputError(
            f"reward and gold are both {reward!r}: a reward is no proxy of itself; name two columns.", column=gold
        )
    table.check_varies(reward)
    size, (least, most) = int(table.n_samples.sum()), ends[1]
    if least == most:
        raise InputError(
            f"gold {gold!r} is {least:g} on all {size} samples, so nothing can be gained or lost; choose a "
            "gold reward that tells samples apart.",
            column=gold,
        )
    if bool(table.constant_prompts(gold).all()):
        raise InputError(
            f"gold {gold!r} has a single value within each of the {table.n_prompts} prompts, so no choice among "
            "samples gains or loses any; choose a gold reward that tells the samples of a prompt apart.",
            column=gold,
        )
    if ends[0] == ends[1] and table.all_held and np.array_equal(table.column(reward), table.column(gold)):
        raise InputError(
            f"reward {reward!r} equals gold {gold!r} on all {size} samples: there is no error to study; name "
            "another proxy.",
            column=reward,
        )


def gold_of_rules(
    table: RewardTable,
    reward: str,
    gold: str,
    rules: Sequence[Rule] | None,
    cells: Cells,
    weights: FloatArray,
    level: float,
) -> GoldEstimate:
    """Estimate the gold of what rules pick by ``reward``; see `alignlib.estimation.fit.Fit.gold`.

    Parameters
    ----------
    table : RewardTable
        The samples.
    reward, gold : str
        The proxy, and the reward that counts.
    rules : sequence of Rule, optional
        What picks; best-of-N for powers of two if None.
    cells : Cells
        The units that are resampled.
    weights : array (replicates, cells)
        Rows of `Cells.resample`.
    level : float
        Coverage aimed at, in (0, 1).

    Raises
    ------
    InputError
        If the columns are no pair, a rule draws more than there are samples, or a prompt by itself has two of these.
    """
    check_pair(table, reward, gold)
    fewest = int(table.n_samples.min())
    most = fewest // 2 if cells.fixed_prompts else fewest
    chosen = BestOfN.along(np.unique(np.round(np.geomspace(1, most, 50)))) if rules is None else rules
    values = np.array([rule.value for rule in chosen])
    require(
        len({rule.name for rule in chosen}) == 1 and bool((np.diff(values) > 0).all()),
        f"rules must be one rule along its growing parameter; got {', '.join(rule.title for rule in chosen):.80}.",
    )
    check_needs(chosen, fewest)
    require(
        not cells.fixed_prompts or fewest > 2 or all(rule.is_base for rule in chosen),
        f"gold of a prompt by itself needs at least 3 samples, for two do not show their error; it has {fewest}. Draw "
        "more samples.",
        "rules",
    )
    curves, tied = rule_curves(table, reward, gold, chosen, cells)
    every = np.ones(values.size, dtype=bool)
    path = (chosen[0].parameter, chosen[0].name, chosen[0].symbol)
    formula = [rule.spent_formula(KL) for rule in chosen]
    spent = np.array([np.inf if one is None else one for one in formula])
    return _result(path, values, curves, every, cells, weights, level, table, gold, tied, spent)


def tilted_gold(
    table: RewardTable,
    reward: str,
    gold: str,
    lam: npt.ArrayLike | None,
    cells: Cells,
    weights: FloatArray,
    most: float,
    level: float,
) -> GoldEstimate:
    """Estimate gold along the tilt by ``reward``; see `Fit.tilted_gold`.

    Parameters
    ----------
    table : RewardTable
        The samples.
    reward, gold : str
        The proxy, and the reward that counts.
    lam : array (k,), optional
        Inverse temperatures λ > 0, rising.
    cells : Cells
        The units that are resampled.
    weights : array (replicates, cells)
        Rows of `Cells.resample`.
    most : float
        The largest λ that the samples support.
    level : float
        Coverage aimed at, in (0, 1).

    Raises
    ------
    InputError
        If the columns are no pair, a prompt has fewer than three samples, or no λ is supported.
    """
    check_pair(table, reward, gold)
    fewest = int(table.n_samples.min())
    require(fewest >= 3, f"The curve along λ needs at least 3 samples of every prompt; one has {fewest}. Sample more.")
    require(
        most > 0.0, "The samples support no point of the curve: draw more samples per prompt, or from more prompts."
    )
    grid = most * np.geomspace(_FROM, 1.0, _POINTS) if lam is None else as_vector("lam", np.atleast_1d(lam))
    grid = require_range("lam", grid, 0.0, open_low=True)
    require(bool((np.diff(grid) > 0).all()), f"lam must increase; got {quoted(grid.tolist())}.")
    supported = grid <= most * (1.0 + 1e-12)
    require(bool(supported[0]), f"lam must not exceed {most:.3g}, what the samples support; got {grid[0]:g}.")
    curves = tilted_curves(table, reward, gold, grid, cells)
    return _result(("lam", _TILT, "λ"), grid, curves, supported, cells, weights, level, table, gold, 0)


def _result(
    path: tuple[str, str, str],
    parameter: FloatArray,
    curves: GoldCurves,
    supported: BoolArray,
    cells: Cells,
    weights: FloatArray,
    level: float,
    table: RewardTable,
    gold: str,
    tied: int,
    most: FloatArray | float = np.inf,
) -> GoldEstimate:
    whole = weights[0]
    spent = np.minimum(whole @ curves.kl, most)  # of few samples that tie an estimate may exceed what is possible
    biased = bool(curves.gold_up.any() or curves.gold_down.any())
    bounds = (curves.gold + curves.gold_down, curves.gold + curves.gold_up) if biased else (curves.gold,)
    low, high = cells.interval(weights, *bounds, level=level)
    stop = hedge(parameter, spent, curves.gold, bounds, supported, cells, weights, level)
    apart = curves.gold - curves.gold[:, [int(np.argmin(np.abs(parameter - stop.parameter)))]]
    return GoldEstimate(
        path=path[0],
        name=path[1],
        symbol=path[2],
        parameter=parameter,
        spent=spent,
        spent_off=curves.kl_off,
        proxy_gain=whole @ curves.proxy,
        proxy_off=curves.proxy_off,
        gold_gain=whole @ curves.gold,
        gold_low=low,
        gold_high=high,
        gold_error=cells.standard_error(weights[:1], curves.gold)[0],
        behind_error=cells.standard_error(weights[:1], apart)[0],
        ess=curves.ess,
        supported=supported,
        base_gold=float(table.prompt_means(gold).mean()),
        level=level,
        hedge=stop,
        tied_prompts=tied,
        fixed_prompts=cells.fixed_prompts,
    )
