"""How many draws to give to each prompt, where the mean reward of what is kept is known for every number of draws.

With ``v_x(n)`` the mean reward of best-of-n on prompt x, the most of ``Σ_x v_x(n_x)`` under ``Σ_x n_x <= T``. Best-of-n
has falling returns: ``v(n+1) - v(n) = ∫ F^n (1-F) dr`` falls in n, and so does its unbiased estimate. Then giving the
next draw to whoever gains most by it is optimal at every T (marginal analysis, classical). Where returns rise for a
while, as a gold reward's can when a proxy picks, the same is done on the concave envelopes, whose steps may be of
several draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray, as_float_array, as_whole, require
from alignlib._core.same import SameFields

__all__ = ["DrawAllocation", "allocate_draws"]

_ROUNDING = 1e-13  # of the values: a smaller gain is none


@dataclass(frozen=True, eq=False)
class DrawAllocation(SameFields):
    """How many draws each prompt gets, and what they give.

    No allocation of as many draws has a mean reward above ``bound``, which ``mean_reward`` equals where returns fall.

    Attributes
    ----------
    n : array of int (prompts,)
        Draws of each prompt.
    draws : int
        Their sum.
    mean_reward : float
        Mean over prompts of the expected best reward.
    bound : float
        What no allocation of as many draws exceeds.
    price : float
        Mean reward that the next draw would add, 0 where none would.

    Examples
    --------
    >>> found = allocate_draws([[0.0, 1.0, 1.5], [0.0, 0.2, 0.3]], 4)
    >>> found.draws, found.n.tolist(), found.mean_reward <= found.bound
    (4, [3, 1], True)
    """

    n: IntArray
    draws: int
    mean_reward: float
    bound: float
    price: float


def allocate_draws(mean_kept: npt.ArrayLike, total: int) -> DrawAllocation:
    """Return the whole numbers of draws, at least one of each prompt and ``total`` together, that keep the most reward.

    Parameters
    ----------
    mean_kept : array (prompts, k)
        Mean reward of what is kept of 1, 2, …, k draws of each prompt.
    total : int
        Draws of all prompts together, from one a prompt to k a prompt.

    Returns
    -------
    DrawAllocation
        With ``total`` draws where returns fall; fewer where they do not and the next step does not fit, or where no
        further draw adds to the reward.

    Raises
    ------
    InputError
        For values that are no table of finite numbers, or a total out of its range.

    Examples
    --------
    >>> found = allocate_draws([[0.0, 1.0, 1.5], [0.0, 0.2, 0.3]], 4)
    >>> found.n.tolist(), found.mean_reward
    ([3, 1], 0.75)

    Source: the greedy rule is classical; that best-of-N has falling returns, and the envelopes, are derived here.
    """
    value = as_float_array("mean_kept", mean_kept)
    require(
        value.ndim == 2 and value.size > 0,
        f"mean_kept must have a row for each prompt and a column for each number of draws; got shape {value.shape}.",
        "mean_kept",
    )
    prompts, most = value.shape
    asked = as_whole("total", total, prompts, prompts * most)
    rows, ends, width, rise = _steps(value)
    with np.errstate(invalid="ignore"):
        slope = rise / width
    # In order of what a draw adds; within a prompt its steps stand in order already, and equal ones stay so.
    order = np.argsort(-slope, kind="stable")
    order = order[slope[order] > 0.0]
    spent = prompts + np.cumsum(width[order])
    taken = int(np.searchsorted(spent, asked, side="right"))
    n = np.ones(prompts, np.int64)
    np.maximum.at(n, rows[order[:taken]], ends[order[:taken]])
    kept, left = float(value[np.arange(prompts), n - 1].sum()), asked - int(n.sum())
    price = float(slope[order[taken]]) if taken < order.size else 0.0
    return DrawAllocation(n, int(n.sum()), kept / prompts, (kept + left * price) / prompts, price)


def _steps(value: FloatArray) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Return the steps of the concave envelope of each row: row, draws at its end, draws it takes and what it adds."""
    gain = np.diff(value, axis=1)
    noise = _ROUNDING * np.abs(value).max(axis=1, keepdims=True)
    falls = (np.diff(gain, axis=1) <= noise).all(axis=1)
    gain = np.where(np.abs(gain) <= noise, 0.0, gain)
    plain = np.flatnonzero(falls)
    most = value.shape[1]
    rows = [np.repeat(plain, most - 1)]
    ends = [np.tile(np.arange(2, most + 1), plain.size)]
    widths, rises = [np.ones(rows[0].size, np.int64)], [np.minimum.accumulate(gain[plain], axis=1).reshape(-1)]
    for row in np.flatnonzero(~falls):
        corner = [0]
        for k in range(1, most):
            while len(corner) > 1 and _below(value[row], corner[-2], corner[-1], k):
                corner.pop()
            corner.append(k)
        at = np.array(corner)
        rows.append(np.full(at.size - 1, row))
        ends.append(at[1:] + 1)
        widths.append(np.diff(at))
        rises.append(np.diff(value[row][at]))
    return np.concatenate(rows), np.concatenate(ends), np.concatenate(widths), np.concatenate(rises)


def _below(value: FloatArray, a: int, b: int, c: int) -> bool:
    """Whether the middle of three points lies on or below the chord of the outer ones."""
    return bool((value[b] - value[a]) * (c - a) <= (value[c] - value[a]) * (b - a))
