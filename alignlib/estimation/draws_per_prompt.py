"""Which N, per prompt: best-of-N with as many draws as pay on each prompt, against the same N on all, from samples.

The numbers are chosen on one half of the samples of every prompt and judged on the other, both ways round: judged on
the samples that chose them, they would look better than they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, as_whole, require
from alignlib._core.names import counted as counting
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells, check_resampling
from alignlib.rules import allocate_draws, prepare, subset_means
from alignlib.tables import RewardTable

__all__ = ["DrawsPerPrompt", "draws_per_prompt", "shown_numbers"]

_BLOCK = 1 << 18  # samples in work at a time
_BUDGETS = 24  # mean draws at which the reward of chosen numbers is judged


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawsPerPrompt(SameFields):
    """Best-of-N with chosen numbers of draws, against ``n`` draws on every prompt.

    It is judged on samples that did not choose.

    Attributes
    ----------
    n : int
        Draws on every prompt of what it is compared with.
    prompts : tuple of str
        The prompts.
    each : array of int (prompts,)
        Draws of each, chosen on all samples, up to ``n`` on average.
    gain, gain_low, gain_high : float
        Mean reward that chosen numbers have over that at equal draws, with its interval.
    saved, saved_low, saved_high : float
        Share of the draws that they do without at equal reward, 0 where they save none, with its interval.
    level : float
        Coverage that the intervals aim at.
    judged_up_to : int
        The most draws of one prompt, half of its samples.

    Examples
    --------
    >>> table = RewardTable.from_arrays(np.array([[0.1], [3.0]]) * np.random.default_rng(0).standard_normal((2, 64)))
    >>> found = draws_per_prompt(table, "reward", n=4)
    >>> found.each.tolist(), found.judged_up_to
    ([1, 7], 32)
    """

    n: int
    prompts: tuple[str, ...]
    each: IntArray
    gain: float
    gain_low: float
    gain_high: float
    saved: float
    saved_low: float
    saved_high: float
    level: float
    judged_up_to: int


def draws_per_prompt(
    table: RewardTable,
    picking: str,
    counted: str | None = None,
    n: int | None = None,
    *,
    level: float = 0.95,
    n_boot: int = 1000,
    rng: np.random.Generator | int = 0,
) -> DrawsPerPrompt:
    """Say how many responses to draw on each prompt for the most mean reward at n draws a prompt on average.

    Parameters
    ----------
    table : RewardTable
        Sampled rewards, at least four of each of two prompts or more.
    picking, counted : str
        The reward by which the best is picked, and the one that counts (the same by default).
    n : int, optional
        Draws a prompt on average, >= 2, at most half the fewest samples of a prompt; by default a quarter of them.
    level : float
        Coverage of the intervals, in (0, 1).
    n_boot : int
        Bootstrap replicates.
    rng : Generator or int
        Source of their randomness, or its seed.

    Raises
    ------
    InputError
        For a single prompt, too few samples, or an n out of its range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scale = np.exp(rng.standard_normal((300, 1)))  # prompts differ in how much there is to gain
    >>> table = RewardTable.from_arrays(scale * rng.standard_normal((300, 64)))
    >>> found = draws_per_prompt(table, "reward", n=4)
    >>> int(found.each.sum()), found.gain_low > 0.0, found.saved > 0.2
    (1200, True, True)

    Source: the allocation is `allocate_draws`; judging it on the other half, and the interval, are derived here.
    """
    counts = picking if counted is None else counted
    table.check_varies(picking)
    table.check_varies(counts)
    fewest = int(table.n_samples.min())
    require(table.n_prompts > 1, "table must have two prompts or more, to choose draws between; got 1.", "table")
    require(
        fewest >= 4,
        f"table must have four samples of every prompt or more, two to choose and two to judge; got {fewest}.",
        "table",
    )
    half = fewest // 2
    mean = max(2, half // 2) if n is None else as_whole("n", n, 2)
    require(
        mean <= half,
        f"n must not exceed {half}, half of the fewest samples of a prompt; got {mean}. Draw more samples or lower n.",
        "n",
    )
    level, n_boot, generator = check_resampling(level, n_boot, rng)
    values, parts = _values(table, picking, counts, half)
    budgets = np.unique(np.round(np.geomspace(1.0, mean, _BUDGETS) * table.n_prompts).astype(np.int64))
    reward, draws = (np.zeros((table.n_prompts, budgets.size)) for _ in range(2))
    for choose, judge in (parts, parts[::-1]):
        for j, total in enumerate(budgets):
            chosen = allocate_draws(choose, int(total)).n
            reward[:, j] += judge[np.arange(len(judge)), chosen - 1] / 2
            draws[:, j] += chosen / 2
    uniform = (parts[0][:, mean - 1] + parts[1][:, mean - 1]) / 2
    cells = Cells.of(table.n_samples, generator)
    weights = cells.resample(n_boot, generator)
    gain = cells.mean(reward[:, -1] - uniform)[:, None]
    low, high = cells.interval(weights, gain, level=level)
    saved = _saved(weights @ cells.mean(reward), weights @ cells.mean(draws), weights @ cells.mean(uniform), mean)
    ends = np.quantile(saved[1:], [0.5 - level / 2, 0.5 + level / 2])
    return DrawsPerPrompt(
        n=mean,
        prompts=tuple(map(str, table.prompts)),
        each=allocate_draws(values, mean * table.n_prompts).n,
        gain=float((weights[0] @ gain)[0]),
        gain_low=float(low[0]),
        gain_high=float(high[0]),
        saved=float(saved[0]),
        saved_low=float(ends[0]),
        saved_high=float(ends[1]),
        level=level,
        judged_up_to=half,
    )


def _values(
    table: RewardTable, picking: str, counts: str, half: int
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """Return the mean reward of best-of-1 … best-of-half on each prompt, of all samples and of two random halves."""
    found = np.empty((3, table.n_prompts, half))
    sizes = np.arange(1, half + 1)
    of_both = (table.blocks(name, _BLOCK, by=picking) for name in (picking, counts))
    for (where, rows), (_, gold) in zip(*of_both, strict=True):
        order = np.random.default_rng(0).permutation(rows.shape[1])  # files may list samples from the best down
        middle = rows.shape[1] // 2
        for k, part in enumerate((order, order[:middle], order[middle:])):
            samples = prepare(rows[:, part], None if counts == picking else gold[:, part])
            found[k, where] = subset_means(samples.values, sizes)
    return found[0], (found[1], found[2])


def _saved(reward: FloatArray, draws: FloatArray, uniform: FloatArray, mean: int) -> FloatArray:
    """Return, for each replicate, the share of draws that chosen numbers do without at the reward of uniform ones."""
    saved = np.empty(len(reward))
    for b, (curve, cost, goal) in enumerate(zip(np.maximum.accumulate(reward, axis=1), draws, uniform, strict=True)):
        at = int(np.searchsorted(curve, goal))
        if at == curve.size:
            saved[b] = 0.0  # chosen numbers are no better than uniform ones, at any budget up to theirs
            continue
        step = curve[at] - curve[at - 1] if at else 0.0
        part = (goal - curve[at - 1]) / step if step > 0.0 else 1.0
        needed = cost[at] if at == 0 else cost[at - 1] + part * (cost[at] - cost[at - 1])
        saved[b] = max(0.0, 1.0 - needed / mean)
    return saved


def shown_numbers(found: DrawsPerPrompt, most: int = 8) -> str:
    """Return how many prompts get how many draws, such as ``"1 draw on 40 prompts, 2 to 3 on 30, 4 to 7 on 20"``.

    Parameters
    ----------
    found : DrawsPerPrompt
        The choice.
    most : int
        Most groups of prompts that are told apart.

    Examples
    --------
    >>> from alignlib.tables import example_table
    >>> shown_numbers(draws_per_prompt(example_table(8, 8, 0.5, 0), "reward", n=2, n_boot=100))
    'draws: 1 on 1, 2 to 3 on 7 of 8 prompts'
    """
    ends = 2 ** np.arange(0, max(1, math.ceil(math.log2(found.each.max() + 1))) + 1)
    said = []
    for low, high in zip(ends[:-1], ends[1:] - 1, strict=True):
        many = int(((found.each >= low) & (found.each <= high)).sum())
        if many:
            said.append(f"{low if low == high else f'{low} to {high}'} on {many}")
    most = as_whole("most", most, 1)
    return f"draws: {', '.join(said[:most])} of {counting(found.each.size, 'prompt')}"
