"""The over-optimisation curve predicted from base samples that both rewards have scored: nothing is trained or drawn.

Along λ it is the mean of gold under the tilt by the proxy, along N the gold of the proxy-best of N samples, proxy ties
averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, require, require_range
from alignlib.estimation._checks import check_resampling, check_samples
from alignlib.estimation.bootstrap import Cells, studentised_interval
from alignlib.estimation.tails import HeavyTailError, tail_test
from alignlib.hacking.gold_curves import GoldCurves, best_of_n_curves, supported_range, tilted_curves
from alignlib.hacking.hedging import Hedge, hedge
from alignlib.hacking.proxy_table import check_pair
from alignlib.tables.rewards import RewardTable

__all__ = ["OverOptimisationEstimate", "estimate_best_of_n_gold", "estimate_tilted_gold"]

_POINTS = 49


@dataclass(frozen=True)
class OverOptimisationEstimate:
    """Gains over the base model as a proxy is optimised, estimated from base samples; arrays of shape (k,).

    ``path`` is ``"lam"`` or ``"n"`` and ``parameter`` its values; ``kl`` is what the policy spends in nats on average,
    ``proxy_gain`` what the proxy reports, ``gold_gain`` with ``gold_low`` and ``gold_high`` what is gained in truth.
    ``ess`` is the effective sample size per prompt. ``supported`` tells where the samples carry the estimate: draw
    nothing solid beyond. ``hedge`` is where to stop. ``tied_prompts`` counts prompts with proxy ties.
    """

    path: str
    parameter: FloatArray
    kl: FloatArray
    proxy_gain: FloatArray
    gold_gain: FloatArray
    gold_low: FloatArray
    gold_high: FloatArray
    ess: FloatArray
    supported: BoolArray
    base_gold: float
    level: float
    hedge: Hedge
    tied_prompts: int


def estimate_tilted_gold(
    table: RewardTable,
    reward: str,
    gold: str,
    *,
    lam: npt.ArrayLike | None = None,
    allow_heavy_tail: bool = False,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
) -> OverOptimisationEstimate:
    """Predict gold along the tilt by a proxy: ``E_π̂ r - E_p r = Cov_p(r, e^{λr̂}) / E_p e^{λr̂}``, averaged over prompts.

    Biases of O(1/n) and O(1/n²) are removed within each prompt; the interval resamples prompts and is widened by the
    bias that may be left. A λ is supported while that is at most a quarter of the standard error, or 0.5 % of the
    value, and the proxy's own curve is supported as `estimate_frontier` has it.

    Parameters
    ----------
    table : RewardTable
        Base samples, at least 3 of each prompt, scored by both rewards.
    reward, gold : str
        Columns of the proxy and of the reward that counts.
    lam : array (k,), optional
        Increasing λ > 0; by default a geometric grid up to where the samples give out.
    allow_heavy_tail : bool
        Go on where the proxy looks heavier-tailed than exponential, if it is bounded by design.
    level, n_boot, rng
        Nominal coverage, bootstrap replicates, and generator or seed.

    Raises
    ------
    HeavyTailError
        Where the proxy's tail is heavier than exponential: its tilt does not exist for any λ > 0, best-of-N does.
    InputError
        For a proxy or gold that does not vary, too few samples, or an argument out of its range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> from alignlib.tables.example_table import example_table
    >>> table = example_table(150, 64, 0.7, rng)
    >>> result = estimate_tilted_gold(table, "reward", "gold", lam=[0.2, 0.4])
    >>> bool((result.gold_low < [0.2 * 1.377, 0.4 * 1.377]).all())
    True

    Source: P26 (covariance form); bias correction, interval and support are derived here.
    """
    generator = check_resampling(level, n_boot, rng)
    check_pair(table, reward, gold)
    check_samples(table, 3, "The curve along λ")
    tail = tail_test(table, reward)
    if tail.heavy and not allow_heavy_tail:
        raise HeavyTailError(reward, tail)
    scale = float(np.sqrt(np.mean([np.var(rows, axis=1).mean() for _, rows in table.blocks(reward)])))
    grid = np.geomspace(0.03, 30.0, _POINTS) / scale if lam is None else np.atleast_1d(np.asarray(lam, dtype=float))
    grid = require_range("lam", grid, 0.0, open_low=True)
    require(bool((np.diff(grid) > 0).all()), f"lam must increase; got {grid.tolist()!r:.80}.")
    cells = Cells.of(table.n_samples, generator)
    weights = cells.resample(n_boot, generator)
    curves = tilted_curves(table, reward, gold, grid, cells, stop=lam is None)
    used = curves.ess.size
    supported, left = supported_range(curves, grid[:used], cells, weights, table.n_prompts, tail)
    base = float(np.mean(np.add.reduceat(table.column(gold), table.offsets[:-1]) / table.n_samples))
    return _result("lam", grid[:used], curves, supported, left, cells, weights, level, base, 0)


def estimate_best_of_n_gold(
    table: RewardTable,
    reward: str,
    gold: str,
    *,
    n: npt.ArrayLike | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
) -> OverOptimisationEstimate:
    """Predict the gold of the proxy-best of N, without bias for whole N, for any tail; proxy ties are averaged.

    Arguments as :func:`estimate_tilted_gold`; ``n`` holds increasing N >= 1, by default about fifty of the whole
    numbers up to the fewest samples of a prompt (for a single prompt, half of that). KL with ties is estimated as by
    `estimate_best_of_n`, which also gives the limit at equal KL.

    >>> from alignlib.tables.example_table import example_table
    >>> table = example_table(100, 32, 0.7, np.random.default_rng(1))
    >>> result = estimate_best_of_n_gold(table, "reward", "gold", n=[1, 4, 16])
    >>> result.hedge.parameter, bool(result.gold_gain[0] == 0.0)
    (16.0, True)

    Source: a U-statistic; B24 for the KL.
    """
    generator = check_resampling(level, n_boot, rng)
    check_pair(table, reward, gold)
    most = int(table.n_samples.min()) // (2 if table.n_prompts == 1 else 1)
    default = np.unique(np.round(np.geomspace(1, most, 50)))
    ns = require_range("n", default if n is None else np.atleast_1d(np.asarray(n, dtype=float)), 1.0)
    require(bool((np.diff(ns) > 0).all()), f"n must increase; got {ns.tolist()!r:.80}.")
    require(
        float(ns[-1]) <= most,
        f"n must not exceed {most}, what the fewest samples of a prompt allow; got {ns[-1]:g}. "
        "Draw more samples or lower n.",
    )
    cells = Cells.of(table.n_samples, generator)
    weights = cells.resample(n_boot, generator)
    curves, tied = best_of_n_curves(table, reward, gold, ns, cells)
    base = float(np.mean(np.add.reduceat(table.column(gold), table.offsets[:-1]) / table.n_samples))
    every, unbiased = np.ones(ns.size, dtype=bool), np.zeros(ns.size)
    return _result("n", ns, curves, every, unbiased, cells, weights, level, base, tied)


def _result(
    path: str,
    parameter: FloatArray,
    curves: GoldCurves,
    supported: BoolArray,
    bias: FloatArray,
    cells: Cells,
    weights: FloatArray,
    level: float,
    base: float,
    tied: int,
) -> OverOptimisationEstimate:
    whole = weights[0]
    low, high = studentised_interval(weights @ curves.gold, cells.standard_error(weights, curves.gold), level)
    kl = whole @ curves.kl
    require(
        bool(supported[0]),
        "The samples support no point of the curve: draw more samples per prompt, or from more prompts.",
    )
    return OverOptimisationEstimate(
        path=path,
        parameter=parameter,
        kl=kl,
        proxy_gain=whole @ curves.proxy,
        gold_gain=whole @ curves.gold,
        gold_low=low - bias,
        gold_high=high + bias,
        ess=curves.ess,
        supported=supported,
        base_gold=base,
        level=level,
        hedge=hedge(parameter, kl, curves.gold, supported, cells, weights, level),
        tied_prompts=tied,
    )
