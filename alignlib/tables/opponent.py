"""Win rates against the samples of a fixed opponent: a reward of its own, one number for every response."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.tables.rewards import RewardTable

__all__ = ["against_opponent"]


def against_opponent(table: RewardTable, reward: str, opponent: RewardTable, name: str = "win rate") -> RewardTable:
    """Return the table with one reward more: how often each response beats the opponent's to the same prompt.

    ``w(y) = mean of 1[z < r(y)] + ½ 1[z = r(y)]`` over the opponent's rewards z on the prompt of y. The mean of what a
    rule keeps is then its win rate against the opponent, without bias.

    Parameters
    ----------
    table : RewardTable
        Samples of the base model.
    reward : str
        Column of both tables.
    opponent : RewardTable
        The opponent's responses, one or more to each prompt of ``table``. Its other prompts are not used; a note of
        the table counts them. Another note says where its rewards are the table's own.
    name : str
        Of the new column.

    Raises
    ------
    InputError
        Where the opponent has no response to a prompt of the table.

    Examples
    --------
    >>> base = RewardTable.from_arrays([[0.0, 1.0, 2.0]])
    >>> against_opponent(base, "reward", RewardTable.from_arrays([[1.0, 0.5]])).column("win rate").tolist()
    [0.0, 0.75, 1.0]
    """
    values, other = table.column(reward), opponent.column(reward)
    place = {str(prompt): k for k, prompt in enumerate(opponent.prompts)}
    lacking = [prompt for prompt in table.prompts if str(prompt) not in place]
    if lacking:
        raise InputError(
            f"opponent must have a response to every prompt of the table; it has none to {len(lacking)} of "
            f"{table.n_prompts}, the first is {str(lacking[0])!r}. Add them, or remove these prompts from the table.",
            argument="opponent",
        )
    wins: FloatArray = np.empty(values.size)
    same = True
    for k, prompt in enumerate(table.prompts):
        at = place[str(prompt)]
        theirs = np.sort(other[opponent.offsets[at] : opponent.offsets[at + 1]])
        ours = slice(int(table.offsets[k]), int(table.offsets[k + 1]))
        below = np.searchsorted(theirs, values[ours], side="left")
        upto = np.searchsorted(theirs, values[ours], side="right")
        same = same and np.array_equal(theirs, np.sort(values[ours]))
        wins[ours] = (below + upto) / (2.0 * theirs.size)
    more = opponent.n_prompts - table.n_prompts
    notes: tuple[str, ...] = (
        (f"{counted(more, 'prompt')} of the opponent {'is' if more == 1 else 'are'} not in the table.",) if more else ()
    )
    if same:
        own = (
            "The opponent's rewards are the table's own, so that each response is compared with itself too; win rates "
            "over the base model need no opponent, and then no response meets itself."
        )
        notes += (own,)
    return replace(table, columns={**table.columns, name: wins}, notes=(*table.notes, *notes))
