"""What the first of tied samples is worth: a tie broken by position borrows from the order of the table.

Where the better samples stand first, as in tables of one right and several wrong answers, ``argmax`` reads the answer
off the order. The mean over the tied samples cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import require
from alignlib.estimation.bootstrap import Cells, check_resampling, studentised_interval
from alignlib.estimation.gold import check_pair
from alignlib.tables import RewardTable

__all__ = ["TieBreaking", "tie_breaking"]


@dataclass(frozen=True)
class TieBreaking:
    """Mean gold of the proxy-best of all samples of each prompt, with intervals over prompts.

    Attributes
    ----------
    reward : str
        The column that picks.
    base : float
        Gold of a random sample.
    averaged, averaged_low, averaged_high : float
        Mean over samples tied for the best, with its interval.
    first, first_low, first_high : float
        Gold of the one that stands first in the table.
    flattery, flattery_low, flattery_high : float
        By how much the order of the table raises gold, ``first - averaged``.
    tied_prompts : int
        Prompts with more than one best sample.

    Examples
    --------
    >>> from dataclasses import replace
    >>> table = RewardTable.from_arrays(judge=[[2.0, 2.0, 1.0], [1.0, 3.0, 3.0]])
    >>> table = replace(table, columns={**table.columns, "right": np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])})
    >>> found = tie_breaking(table, "judge", "right", n_boot=100)
    >>> round(found.base, 3), found.flattery
    (0.333, 0.5)
    """

    reward: str
    base: float
    averaged: float
    averaged_low: float
    averaged_high: float
    first: float
    first_low: float
    first_high: float
    flattery: float
    flattery_low: float
    flattery_high: float
    tied_prompts: int


def tie_breaking(
    table: RewardTable,
    reward: str,
    gold: str,
    *,
    level: float = 0.95,
    n_boot: int = 1000,
    rng: np.random.Generator | int = 0,
) -> TieBreaking:
    """Compare both ways to pick the best of all samples of a prompt where the proxy ties.

    Parameters
    ----------
    table : RewardTable
        Samples of at least two prompts scored by both rewards, in the order of the file.
    reward, gold : str
        Columns of the proxy and of the reward that counts.
    level : float
        Nominal coverage, in (0, 1).
    n_boot : int
        Bootstrap replicates.
    rng : Generator or int
        Source of randomness, or its seed.

    Raises
    ------
    InputError
        For columns that cannot be told apart or do not vary, or a single prompt.

    Examples
    --------
    >>> from dataclasses import replace
    >>> table = RewardTable.from_arrays(judge=[[2.0, 2.0, 1.0], [1.0, 3.0, 3.0]])
    >>> table = replace(table, columns={**table.columns, "right": np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])})
    >>> found = tie_breaking(table, "judge", "right", n_boot=100)
    >>> found.averaged, found.first, found.tied_prompts
    (0.5, 1.0, 2)

    Source: derived here.
    """
    level, n_boot, generator = check_resampling(level, n_boot, rng)
    check_pair(table, reward, gold)
    require(table.n_prompts >= 2, f"tie_breaking needs at least 2 prompts to resample; got {table.n_prompts}.")
    scores, golds, starts = table.column(reward), table.column(gold), table.offsets[:-1]
    best = scores == np.repeat(np.maximum.reduceat(scores, starts), table.n_samples)
    count = np.add.reduceat(best.astype(np.int64), starts)
    averaged = np.add.reduceat(np.where(best, golds, 0.0), starts) / count
    place = np.arange(scores.size)
    first = golds[np.minimum.reduceat(np.where(best, place, scores.size), starts)]
    cells = Cells.of(table.n_samples, generator)
    weights = cells.resample(n_boot, generator)
    values = cells.mean(np.stack([averaged, first, first - averaged], axis=1))
    means = weights @ values
    low, high = studentised_interval(means, cells.standard_error(weights, values), level, len(cells.size))
    return TieBreaking(
        reward=reward,
        base=float(np.mean(np.add.reduceat(golds, starts) / table.n_samples)),
        averaged=float(means[0, 0]),
        averaged_low=float(low[0]),
        averaged_high=float(high[0]),
        first=float(means[0, 1]),
        first_low=float(low[1]),
        first_high=float(high[1]),
        flattery=float(means[0, 2]),
        flattery_low=float(low[2]),
        flattery_high=float(high[2]),
        tied_prompts=int((count > 1).sum()),
    )
