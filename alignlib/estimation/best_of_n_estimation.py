"""Best-of-N, best-of-Poisson and soft best-of-n estimated from sampled rewards, against the limit at equal KL."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray, require, require_range
from alignlib.estimation._checks import check_resampling, single_column
from alignlib.estimation.bootstrap import Cells, studentised_interval
from alignlib.estimation.estimates import BestOfNEstimate
from alignlib.estimation.limit_share import share_of_limit
from alignlib.rules import BestOfN, BestOfPoisson, Rule, SoftBestOfN
from alignlib.rules.samples import prepare
from alignlib.tables.rewards import RewardTable

__all__ = ["estimate_best_of_n", "estimate_best_of_poisson", "estimate_soft_best_of_n"]


def estimate_best_of_n(
    table: RewardTable,
    reward: str | None = None,
    *,
    n: npt.ArrayLike | None = None,
    gold: str | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
) -> BestOfNEstimate:
    """Estimate KL, reward and win rate of best-of-N and its share of what any policy can gain at equal KL.

    The reward is unbiased for whole N. The KL is ``log N - (N-1)/N`` on prompts without ties among their samples
    and estimated from the tied levels elsewhere. Intervals resample prompts, jointly for rule and limit.

    Parameters
    ----------
    table : RewardTable
        Sampled rewards of several prompts.
    reward : str, optional
        The column that picks the best; may be left out where the table has only one.
    n : array (k,), optional
        Numbers of draws N ≥ 1, whole or not; by default the powers of two up to the fewest samples of a prompt.
    gold : str, optional
        The column that gain and limit are measured in, ``reward`` itself by default; ties of ``reward`` are
        broken at random, that is, averaged.
    level, n_boot, rng
        Nominal coverage, bootstrap replicates, and generator or seed.

    Raises
    ------
    InputError
        Where N exceeds the samples of a prompt, or an argument is out of its range.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((100, 64))
    >>> result = estimate_best_of_n(RewardTable.from_arrays(rows), n=[2, 4])
    >>> result.kl.round(4).tolist(), bool((result.share_low < [0.9077, 0.9125]).all())
    ([0.1931, 0.6363], True)

    Source: B24 (KL formula as an upper bound); the estimator of the reward is a U-statistic.
    """
    fewest = int(table.n_samples.min())
    default = 2.0 ** np.arange(int(np.log2(fewest)) + 1)
    ns = default if n is None else np.atleast_1d(require_range("n", n, 1.0))
    return _estimate(table, reward, gold, [BestOfN(v) for v in ns.tolist()], level, n_boot, rng)


def estimate_best_of_poisson(
    table: RewardTable,
    reward: str | None = None,
    *,
    mu: npt.ArrayLike,
    gold: str | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
) -> BestOfNEstimate:
    """Estimate the best of ``1 + Poisson(μ)`` draws, as `estimate_best_of_n`; ``mu`` ≥ 0 has shape (k,).

    >>> rows = np.random.default_rng(0).random((50, 16))
    >>> estimate_best_of_poisson(RewardTable.from_arrays(rows), mu=[1.0]).kl.round(6).tolist()
    [0.107154]

    Source: K25.
    """
    mus = np.atleast_1d(require_range("mu", mu, 0.0))
    return _estimate(table, reward, gold, [BestOfPoisson(v) for v in mus.tolist()], level, n_boot, rng)


def estimate_soft_best_of_n(
    table: RewardTable,
    reward: str | None = None,
    *,
    n: npt.ArrayLike,
    lam: npt.ArrayLike,
    gold: str | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
) -> BestOfNEstimate:
    """Estimate soft best-of-n, which keeps one of n draws with probability ∝ ``e^{λr}``, as `estimate_best_of_n`.

    ``n`` ≥ 1 and ``lam`` ≥ 0 broadcast to shape (k,).

    >>> rows = np.random.default_rng(0).random((20, 16))
    >>> result = estimate_soft_best_of_n(RewardTable.from_arrays(rows), n=4, lam=[0.0, 3.0])
    >>> bool(abs(result.gain[0]) < 1e-9 < result.gain[1])
    True

    Source: V25.
    """
    ns, lams = np.broadcast_arrays(np.atleast_1d(require_range("n", n, 1.0)), require_range("lam", lam, 0.0))
    rules = [SoftBestOfN(a, b) for a, b in zip(ns.tolist(), lams.tolist(), strict=True)]
    return _estimate(table, reward, gold, rules, level, n_boot, rng)


def _estimate(
    table: RewardTable,
    reward: str | None,
    gold: str | None,
    rules: Sequence[Rule],
    level: float,
    n_boot: int,
    rng: np.random.Generator | int,
) -> BestOfNEstimate:
    picking = single_column(table, reward)
    counted = picking if gold is None else single_column(table, gold)
    generator = check_resampling(level, n_boot, rng)
    fewest = int(table.n_samples.min())
    cells = Cells.of(table.n_samples, generator)
    if cells.one_prompt:
        fewest -= int(np.bincount(cells.index).max())
    most = max(rule.needs for rule in rules)
    require(
        most <= fewest,
        f"n must not exceed {fewest}, what the fewest samples of a prompt allow; got {most}. "
        "Draw more samples or lower n.",
    )
    kl, gain, win = _cell_values(table, picking, counted, rules, cells)
    weights = cells.resample(n_boot, generator)
    low, high = studentised_interval(weights @ gain, cells.standard_error(weights, gain), level)
    limit = share_of_limit(table, counted, cells, weights, kl, gain, level, generator)
    whole = weights[0]
    formula = [rule.spent_formula() for rule in rules]
    return BestOfNEstimate(
        n=np.array([rule.draws for rule in rules]),
        kl=whole @ kl,
        kl_formula=None if None in formula else np.array(formula, dtype=np.float64),
        gain=whole @ gain,
        gain_low=low,
        gain_high=high,
        win_rate=whole @ win,
        base_reward=float(np.mean(np.add.reduceat(table.column(counted), table.offsets[:-1]) / table.n_samples)),
        level=level,
        limit_gain=limit[0],
        share=limit[1],
        share_low=limit[2],
        share_high=limit[3],
        supported=limit[4],
    )


def _cell_values(
    table: RewardTable, picking: str, counted: str, rules: Sequence[Rule], cells: Cells
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return KL, gain and win rate of every rule on every cell, each of shape (cells, rules)."""
    values = np.empty((3, table.n_prompts, len(rules)))
    for (where, rows), (_, gold) in zip(table.blocks(picking), table.blocks(counted), strict=True):
        values[:, where] = _prompt_values(rows, rows if counted == picking else gold, rules)
    if not cells.one_prompt:
        return cells.mean(values[0]), cells.mean(values[1]), cells.mean(values[2])
    order = np.argsort(-table.column(picking), kind="stable")  # once, and not again for every group left out
    rows, gold = (table.column(name)[None, order] for name in (picking, counted))

    def without(kept: BoolArray) -> FloatArray:
        chosen = kept[order]
        picked = rows[:, chosen]
        return _prompt_values(picked, picked if counted == picking else gold[:, chosen], rules)[:, 0]

    pseudo = cells.pseudo_values(without, values[:, 0])
    return pseudo[:, 0], pseudo[:, 1], pseudo[:, 2]


def _prompt_values(rows: FloatArray, gold: FloatArray, rules: Sequence[Rule]) -> FloatArray:
    samples = prepare(rows, None if gold is rows else gold)
    base = gold.mean(axis=1)
    found = [rule.evaluate(samples) for rule in rules]
    return np.array(
        [np.stack(part, axis=1) for part in zip(*((v.spent, v.mean - base, v.win_rate) for v in found), strict=True)]
    )
