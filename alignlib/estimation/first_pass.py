"""What the samples of a table tell before any λ: means, spreads, largest gains and an order of the prompts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.halves import (
    MANY_PROMPTS,
    canonical_class,
    canonical_rank,
    sort_keys,
)
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["FirstPass", "first_pass", "from_the_top"]

_BLOCK = 1 << 17  # samples in work at a time


@dataclass(frozen=True, eq=False)
class FirstPass(SameFields):
    """What the samples tell before any λ.

    Attributes
    ----------
    base : array (prompts,)
        The mean reward of each prompt.
    unit : array (prompts,)
        The unit of reward of each prompt.
    limit : array (cells,)
        The largest gain of each cell.
    scale : float
        The spread of reward within a prompt, in the unit of each.
    kl_at_limit : float
        The KL of λ = ∞ in nats, summed over prompts.
    common_ceiling : bool
        Whether every prompt has a sample of the largest reward.
    rank : array (prompts,)
        The place of each prompt in an order that the rewards define, or its class.
    """

    base: FloatArray
    unit: FloatArray
    limit: FloatArray
    scale: float
    kl_at_limit: float
    common_ceiling: bool
    rank: npt.NDArray[Any]


def from_the_top(rewards: FloatArray) -> FloatArray:
    """Return the rewards of each prompt from the top down.

    Parameters
    ----------
    rewards : array (prompts, n)
        Rewards of samples.
    """
    return np.sort(rewards, axis=1)[:, ::-1]


def first_pass(table: RewardTable, column: str, given: FloatArray | None, cells: Cells) -> FirstPass:
    """Read the table once.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    given : array (prompts,), optional
        A unit of reward for each prompt; 1 by default.
    cells : Cells
        The units that are resampled.
    """
    n_prompts = table.n_prompts
    many = n_prompts > MANY_PROMPTS  # nothing is kept of each but its mean and a byte
    base, keys = np.empty(n_prompts), np.empty((0 if many else 4, n_prompts))
    classes, limit = np.zeros(n_prompts if many else 0, dtype=np.uint8), np.zeros(len(cells.size))
    squares = kl_at_limit = 0.0
    lowest, ceiling = table.extremes(column)
    unit = np.broadcast_to(1.0, n_prompts) if given is None else given
    span = ceiling - lowest if given is None else 1.0
    reached = True
    top = ceiling - 1e-9 * abs(ceiling)

    def add_limit(where: IntArray, most: FloatArray) -> None:
        if cells.fixed_prompts:
            limit[:] += most.sum() / n_prompts
        else:
            limit[:] += np.bincount(cells.index[where], most, len(limit)) / cells.size

    work = partial(_first_of_block, top=top, span=span, many=many)
    for where, found in table.each(work, [column], _BLOCK, unit):
        base[where], most, told, some, spent, reach = found
        (classes if many else keys)[..., where] = told
        add_limit(where, most)
        squares, kl_at_limit, reached = squares + some, kl_at_limit + spent, reached and reach
    for one, its in table.each_counted(partial(_first_of_counted, top=top, span=span), column, unit):
        base[one], most, some, spent, reach = its
        add_limit(np.array([one]), np.array([most]))
        if not many:
            keys[:, one] = 0.0
        squares, kl_at_limit, reached = squares + some, kl_at_limit + spent, reached and reach
    scale = span * float(np.sqrt(squares / n_prompts))
    rank: npt.NDArray[Any] = classes if many else canonical_rank(keys, scale)
    return FirstPass(base, unit, limit, scale, kl_at_limit, reached, rank)


def _first_of_block(
    rewards: FloatArray, unit: FloatArray, *, top: float, span: float, many: bool
) -> tuple[FloatArray, FloatArray, npt.NDArray[Any], float, float, bool]:
    """Return of a block base, limit, keys, and its part of the spread, of the KL at λ = ∞, and of what is reached."""
    rows = from_the_top(rewards)
    reached = bool((rows[:, 0] >= top).all())
    kl_at_limit = float(np.log(rows.shape[1] / (rows == rows[:, :1]).sum(axis=1)).sum())
    base = rows.mean(axis=1)
    rows = (rows - base[:, None]) / unit[:, None]
    squares = float(np.square(rows / span).mean(axis=1).sum())
    told = canonical_class(rows) if many else sort_keys(rows)
    return base, rows[:, 0] * unit, told, squares, kl_at_limit, reached


def _first_of_counted(
    samples: CountedSamples, unit: float, *, top: float, span: float
) -> tuple[float, float, float, float, bool]:
    """Return the same of one prompt whose samples are in bins, which has no keys."""
    base, n = samples.mean, samples.size
    centred = (samples.value - base) / unit
    kl_at_limit = float(np.log(n / samples.count[samples.value == samples.value[0]].sum()))
    squares = float(samples.count @ np.square(centred / span)) / n
    return base, float(centred[0]) * unit, squares, kl_at_limit, bool(samples.value[0] >= top)
