"""Which tokens of padded lists are a response's: by a mask, by its number of tokens, or by how the lists end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.tables import TableFile, holds_lists, load
from alignlib.training.policy_kl.response_columns import same_lengths, token_counts, token_lists
from alignlib.training.policy_kl.response_names import MASKS, first_of

__all__ = ["Tokens", "tokens_of_responses"]

_LONGEST = 3  # zeros in a row: fewer may be sure tokens, such as the end of a template
_ROWS = "one row per response"

Tokens = tuple[BoolArray | None, list[str]]
"""True for a token of a response, None for all; and what is to be said."""


def tokens_of_responses(
    file: TableFile, name: str, n_tokens: str, values: Sequence[FloatArray], offsets: IntArray
) -> Tokens:
    """Tell which tokens of lists are a response's, and which are padding, tools' or the prompt's.

    A mask tells it, by the name of a known trainer's or any other list of zeros and ones that is called one; where its
    name is of padding, as torch's ``key_padding_mask``, the tokens are those that it leaves out. Else tells it the
    number of tokens, past which lists go on with zeros or nothing; else such ends themselves, where zeros stand nowhere
    else.

    Parameters
    ----------
    file : TableFile
        The table.
    name : str
        The column of lists.
    n_tokens : str
        The column of the number of tokens, if it is there.
    values : sequence of array (tokens,)
        What the lists hold, one after another, under policy and base.
    offsets : array of int (rows + 1,)
        Where each list begins.

    Returns
    -------
    chosen : array of bool (tokens,), optional
        True for a token of a response.
    notes : list of str
        What is to be said.

    Raises
    ------
    InputError
        If a mask has other lengths than the lists, or leaves nothing of a response.
    """
    empty = np.logical_and.reduce([(one == 0.0) | np.isnan(one) for one in values])
    mask, chosen, notes = _mask(file, name, offsets, empty)
    if chosen is None:
        if n_tokens in file.names:
            count = token_counts(file, n_tokens, load(file, [n_tokens], _ROWS))
            chosen, said = _up_to(file, name, n_tokens, count, empty, offsets)
        else:
            chosen, said = _ends(name, empty, offsets)
        notes += said
    if chosen is not None:
        require(
            bool(np.add.reduceat(chosen, offsets[:-1]).all()),
            f"column {mask!r} of {file.path} leaves no token of a response; correct the mask, or leave it out.",
            mask or n_tokens,
        )
    return chosen, notes


def _mask(file: TableFile, name: str, offsets: IntArray, empty: BoolArray) -> tuple[str, BoolArray | None, list[str]]:
    """Return the mask of the lists, with a sentence where it is no known trainer's; masks that say the same are one."""
    known = first_of(MASKS, file.names)
    if known is not None:
        held, same = token_lists(file, known, load(file, [known], _ROWS))
        same_lengths(file, name, known, offsets, same)
        return known, held != 0.0, []
    found: dict[str, BoolArray] = {}
    of_padding: set[str] = set()
    for other in file.names:
        low = other.lower()
        if not ("mask" in low or "padding" in low) or "prompt" in low or other in file.nested:
            continue
        table = load(file, [other], _ROWS)
        try:
            if not holds_lists(file, other, table.column(other)):
                continue
            held, same = token_lists(file, other, table)
        except InputError:  # of something else
            continue
        if np.array_equal(offsets, same) and np.isin(held, (0.0, 1.0)).all():
            found[other] = held != 0.0
            if "pad" in low and _marks_padding(found[other], offsets, empty):
                found[other] = ~found[other]
                of_padding.add(other)
    if not found:
        return "", None, []
    first = next(iter(found))
    if all(np.array_equal(found[first], one) for one in found.values()):
        told = " and ".join(f"{one!r} is {0 if one in of_padding else 1}" for one in found)
        why = ", as what it names is padding" if of_padding else ""
        return first, found[first], [f"The tokens are those where {told}{why}."]
    said = f"The lists {', '.join(map(repr, found))} look like masks; none is taken, for which is not told: leave one."
    return "", None, [said]


def _marks_padding(ones: BoolArray, offsets: IntArray, empty: BoolArray) -> bool:
    """Whether the ones of a mask called after padding stand on the padding: unless what it leaves shows the contrary.

    Parameters
    ----------
    ones : array of bool (tokens,)
        Where the mask is 1.
    offsets : array of int (rows + 1,)
        Where each list begins.
    empty : array of bool (tokens,)
        Where policy and base are zero, or nothing.

    Examples
    --------
    >>> _marks_padding(np.array([False, False, True]), np.array([0, 3]), np.array([False, False, True]))
    True
    >>> _marks_padding(np.array([True, True, False]), np.array([0, 3]), np.array([False, False, True]))
    False
    """
    if empty[~ones].all() and not empty[ones].all():
        return False
    leaves = np.add.reduceat(~ones, offsets[:-1]).all()
    return bool(leaves or not np.add.reduceat(ones, offsets[:-1]).all())


def _up_to(file: TableFile, name: str, n_tokens: str, count: FloatArray, empty: BoolArray, offsets: IntArray) -> Tokens:
    """Return the tokens up to the number of each response, where what follows is padding."""
    size = np.diff(offsets)
    apart = int((size != count).sum())
    if not apart:
        return None, []
    beyond = np.arange(offsets[-1]) - np.repeat(offsets[:-1], size) >= np.repeat(count, size)
    if (count <= size).all() and empty[beyond].all():
        return ~beyond, [
            f"Lists of {apart} of {size.size} responses go on with zeros, or nothing, past {n_tokens!r}: left out."
        ]
    said = (
        f"{n_tokens!r} is not the number of tokens in {name!r} in {apart} of {size.size} rows of {file.path}: the "
        "lists count; correct one of them."
    )
    return None, [said]


def _ends(name: str, empty: BoolArray, offsets: IntArray) -> Tokens:
    """Return the tokens before the zeros, or nothing, with which lists end, if such stand nowhere else."""
    size = np.diff(offsets)
    row, place = np.repeat(np.arange(size.size), size), np.arange(offsets[-1]) - np.repeat(offsets[:-1], size)
    last = np.full(size.size, -1, dtype=np.int64)
    np.maximum.at(last, row[~empty], place[~empty])
    run = size - 1 - last
    beyond = place > last[row]
    padded = int((run > 0).sum())
    if (last < 0).any() or (empty & ~beyond).any() or run.max(initial=0) < _LONGEST or padded < 2:
        return None, []
    said = (
        f"Lists of {padded} of {counted(size.size, 'response')} in {name!r} end in zeros, or nothing, which stand "
        "nowhere else: taken for padding and left out. The number of tokens of each (n_tokens) would tell."
    )
    return ~beyond, [said]
