"""What prompts with constant rewards may add to the limit: bounded by what their samples leave open."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatOrArray, as_level, like, require_range
from alignlib.laws import Bernoulli
from alignlib.tables import RewardTable

__all__ = ["most_of_constant_prompts"]


def most_of_constant_prompts(
    table: RewardTable, reward: str, kl: npt.ArrayLike, *, level: float = 0.95, highest: float | None = None
) -> FloatOrArray:
    """Return how much prompts with constant rewards may add to the limit, averaged over all prompts, at each KL.

    Where all n samples of a prompt earn ``v``, the chance of anything else is at most ``q = 1 - (1 - level)^{1/n}``
    with the confidence ``level``, prompt by prompt. A reward that is ``highest`` with chance q and v otherwise gains
    most, so that a budget of ``kl`` on each of these prompts adds no more than this. A prompt whose rewards are at
    ``highest`` already adds nothing.

    Parameters
    ----------
    table : RewardTable
        The samples.
    reward : str
        Column.
    kl : array
        KL in nats on each of these prompts, >= 0.
    level : float
        Confidence of the bound on a chance that no sample has shown, in (0, 1).
    highest : float, optional
        The largest reward there can be; by default the largest in the table, which is an assumption.

    Raises
    ------
    InputError
        If a KL is negative, ``level`` outside (0, 1), or a sample above ``highest``.

    Examples
    --------
    >>> table = RewardTable.from_arrays([[0.0] * 8, [0.0, 1.0] * 4])
    >>> round(most_of_constant_prompts(table, "reward", 0.1), 3)
    0.108

    Source: the chance is that of Clopper and Pearson (1934), the gain that of two outcomes; derived here.
    """
    as_level(level)
    budgets = require_range("kl", kl, 0.0)
    top = table.extremes(reward)[1] if highest is None else float(highest)
    sizes, constant = table.n_samples, table.constant_prompts(reward)
    room = top - table.prompt_maxima(reward)[constant]
    total = np.zeros(budgets.shape)
    for n in np.unique(sizes[constant]):
        chance = -math.expm1(math.log1p(-level) / float(n))
        total += float(room[sizes[constant] == n].sum()) * np.asarray(Bernoulli(chance).gain_at_kl(budgets))
    return like(kl, np.asarray(total / table.n_prompts))
