"""What may be fitted: the table, the column of the reward, known bounds of it, and why there may be no limit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from alignlib._core.checks import as_vector, require
from alignlib._core.errors import InputError, quoted
from alignlib.divergences import TOTAL_VARIATION, Divergence, Renyi
from alignlib.tables import RewardTable
from alignlib.tables.reward_range import LARGEST_REWARD

__all__ = ["as_table", "check_beyond", "check_bounds", "single_column", "why_no_limit"]


def check_beyond(bounded: Any, budget: str, divergence: Divergence, win_rate: bool) -> None:
    """Refuse what has no finite optimum or is not known for win rates and divergences other than KL.

    Parameters
    ----------
    bounded : (float, float), optional
        Known ends of the reward.
    budget : str
        How the budget is spread over prompts.
    divergence : Divergence
        What it is measured in.
    win_rate : bool
        Whether the win rate counts.

    Raises
    ------
    InputError
        If no estimate is known for the combination.

    Examples
    --------
    >>> from alignlib.divergences import CHI_SQUARED
    >>> check_beyond(None, "average", CHI_SQUARED, False)
    """
    if divergence != TOTAL_VARIATION:  # whose optimum is known by another way
        divergence.check_strictly_convex()
    require(
        win_rate or not isinstance(divergence, Renyi) or divergence.alpha <= Renyi.largest_from_samples,
        f"divergence must be Rényi's of an order up to {Renyi.largest_from_samples:g} where it is estimated from "
        f"samples; got {divergence.called}. Of higher orders the best policy rests on which response is just kept, "
        "which samples do not tell. Take a lower order, count wins with win_rate=True, or take "
        "FiniteLaw(...).frontier for a known law.",
        "divergence",
    )
    require(
        budget == "average",
        "budget must be 'average' for win rates and for divergences other than KL; no estimate is known for the same "
        "budget on every prompt.",
        "budget",
    )
    require(
        not win_rate or divergence != TOTAL_VARIATION,
        f"divergence must not be {divergence.called} where win rates count: no estimate is known, for its "
        "optimum moves whole levels. Take another divergence, or count the reward itself.",
        "divergence",
    )
    require(
        bounded is None or not win_rate,
        "bounded must be left out for win rates: they lie between 0 and 1 by themselves.",
        "bounded",
    )
    require(
        win_rate or bounded is not None or math.isinf(divergence.slope_at_infinity),
        f"divergence must have a finite optimum; {divergence.called} has none where the reward has no upper end: it "
        "charges a bounded price for mass moved into the upper tail, whose end no sample shows. Give bounded, the "
        "least and the largest reward there can be, count wins with win_rate=True, or take kl, chi2 or renyi of order "
        "above 1.",
        "divergence",
    )


def check_bounds(
    bounded: Any, budget: str, table: RewardTable | None = None, column: str = ""
) -> tuple[float, float] | None:
    """Return known bounds of a reward, or say what is wrong with them, with a table also whether they hold its samples.

    Parameters
    ----------
    bounded : (float, float), optional
        Known ends of the reward.
    budget : str
        How the budget is spread over prompts.
    table : RewardTable, optional
        Whose samples must lie between them.
    column : str
        The reward there.

    Returns
    -------
    (float, float) or None
        The ends as numbers.

    Raises
    ------
    InputError
        If they are no two rising numbers, or a sample lies outside.

    Examples
    --------
    >>> check_bounds([0, 1], "average")
    (0.0, 1.0)
    """
    if bounded is None:
        return None
    given = as_vector("bounded", bounded)
    require(
        given.size == 2 and given[0] < given[1],
        f"bounded must be the least and the largest reward there can be, low < high; got {quoted(given.tolist())}.",
        "bounded",
    )
    largest = float(np.abs(given).max())
    require(
        largest <= LARGEST_REWARD,
        f"bounded must not exceed {LARGEST_REWARD:g} in size, as rewards; got {largest:g}.",
        "bounded",
    )
    require(
        budget == "average",
        "bounded must be left out for budget='per_prompt': it gives a limit for an average budget, which lies above "
        "that for the same KL on every prompt.",
        "bounded",
    )
    low, high = float(given[0]), float(given[1])
    if table is None:
        return low, high
    least, most = table.extremes(column)
    # The samples may have been held in single precision, or, where they are the end itself, in half.
    single = float(np.finfo(np.float32).eps) * largest
    with np.errstate(over="ignore"):  # of what half precision cannot hold
        held = np.array([low, high]).astype(np.float16).astype(np.float64).tolist()
    low, high = (one if seen == one else end for end, seen, one in zip((low, high), (least, most), held, strict=True))
    require(
        low - single <= least and most <= high + single,
        f"bounded must hold every sample: {column!r} reaches from {_whole(least)} to {_whole(most)}, beyond "
        f"{_whole(low)} to {_whole(high)}. Correct the bounds, or leave them out.",
        "bounded",
    )
    return min(low, least), max(high, most)


def _whole(value: float) -> str:
    """Write a number with all its digits: what lies beyond a bound may differ from it in the last.

    >>> _whole(0.5), _whole(-2.286192874426649)
    ('0.5', '-2.286192874426649')
    """
    return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))


def as_table(table: Any, reward: str | None) -> RewardTable:
    """Return what was given, arrays or a data frame, as a table.

    Parameters
    ----------
    table : RewardTable, arrays or data frame
        What was given.
    reward : str, optional
        The column that is meant.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if isinstance(table, RewardTable):
        return table
    if hasattr(table, "columns"):  # a data frame
        require(
            reward is None or isinstance(reward, str),
            f"reward must be the name of one column; got {quoted(reward)}.",
            "reward",
        )
        return RewardTable.from_frame(table, reward=reward or "reward")
    return RewardTable.from_arrays(table)


def single_column(table: RewardTable, reward: str | None) -> str:
    """Return the column that ``reward`` names, or the only one.

    Parameters
    ----------
    table : RewardTable
        The samples.
    reward : str, optional
        The column that is meant.

    Raises
    ------
    InputError
        If there is no such column, or several and none is named.
    """
    names = list(table.columns)
    if reward is None:
        require(len(names) == 1, f"reward must name one of the columns {names}; got None.")
        return names[0]
    require(
        isinstance(reward, str), f"reward must be the name of one column of {names}; got {quoted(reward)}.", "reward"
    )
    table.check_column(reward)
    return reward


def why_no_limit(table: RewardTable, column: str, least: int) -> InputError | None:
    """Return why there is no limit to estimate, if so.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    least : int
        The fewest samples of a prompt that tell a limit.
    """
    try:
        table.check_varies(column)
    except InputError as error:
        return error.with_traceback(None)
    short = np.flatnonzero(table.n_samples < least)
    if short.size:
        first = short[0]
        return InputError(
            f"The frontier needs at least {least} samples of every prompt; {short.size} of {table.n_prompts} prompts "
            f"have fewer, the first is {table.prompts[first]!r} with {table.n_samples[first]}. Sample more, or "
            f"leave them out where the table is read (drop_below={least})."
        )
    return None
