"""What policies that can be named attain: best-of-N, and its mixtures with the base model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.divergences import Divergence, Renyi
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.rule_values import cell_values, samples_tell
from alignlib.rules import BestOfN, Rule
from alignlib.tables import RewardTable

__all__ = ["attained", "rules_along", "upper_hull"]

_HIGH_ORDER = 2.0  # of Rényi divergences: beyond it few samples of rewards that tie do not tell the moments


def rules_along(most: int) -> list[Rule]:
    """Return best-of-N for N = 2 to 8, and on to ``most`` in steps of a third and a half.

    Best-of-N is nearest to the limit at small N, where an estimate of the limit may fall below it by chance.

    Parameters
    ----------
    most : int
        The largest N.

    Examples
    --------
    >>> [rule.draws for rule in rules_along(20)]
    [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 12.0, 16.0]
    """
    steps = (part * 2**k for k in range(2, most.bit_length()) for part in (2, 3))
    draws = sorted({n for n in (*range(2, 9), *steps) if n <= most})
    return list(BestOfN.along(np.array(draws, dtype=np.float64))) if draws else []


def upper_hull(spent: FloatArray, gain: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the corners of the smallest concave curve from (0, 0) that lies on or above points, both of shape (k,).

    A mixture of two policies has the mean of their gains, and spends no more than the mean of what they spend.

    Parameters
    ----------
    spent, gain : array (k,)
        The points.

    Returns
    -------
    spent, gain : array (corners,)
        From (0, 0) on, rising.

    Examples
    --------
    >>> [part.tolist() for part in upper_hull(np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.2, 2.0]))]
    [[0.0, 1.0, 4.0], [0.0, 1.0, 2.0]]
    """
    corners = [(0.0, 0.0)]
    for x, y in sorted(zip(spent.tolist(), gain.tolist(), strict=True)):
        # An unbiased estimate of a KL may fall short of 0; a lost outcome may cost more than any budget.
        if not 0.0 < x < math.inf or y <= corners[-1][1]:
            continue
        if x == corners[-1][0]:
            corners.pop()
        while len(corners) > 1 and _slope(corners[-2], corners[-1]) <= _slope(corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    found = np.array(corners)
    return found[:, 0], found[:, 1]


def _slope(one: tuple[float, float], other: tuple[float, float]) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])


def attained(
    table: RewardTable,
    column: str,
    rules: Sequence[Rule],
    divergence: Divergence,
    *,
    win_rate: bool,
) -> tuple[FloatArray, FloatArray]:
    """Return what rules that pick by a column spend and gain on average.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward that picks and counts.
    rules : sequence of Rule
        What picks.
    divergence : Divergence
        What is spent is measured in.
    win_rate : bool
        Whether win rates count.

    Returns
    -------
    spent : array (rules,)
        ``E_p f``.
    gain : array (rules,)
        In the unit of the reward, or the win rate above one half.
    """
    prompts = table.n_prompts
    together = Cells(np.zeros(prompts, dtype=np.int64), np.array([float(prompts)]))
    spent, gain, win, open_ = cell_values(table, column, column, rules, together, divergence, bounds=win_rate)
    if isinstance(divergence, Renyi):  # too little spent would lift the limit
        noise = np.where(open_.spent > 0.0, math.inf, 0.0) if divergence.alpha > _HIGH_ORDER else open_.spent
        samples_tell(spent, np.ones(1), rules, open_.spent, noise, divergence)
        spent = spent + open_.spent
    return spent[0], (win - 0.5 if win_rate else gain)[0]
