"""Columns of a table of responses: numbers, counts, log-probabilities and lists of tokens, or which row is wrong."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from alignlib._core.checks import BoolArray, FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib.tables import TableFile, identifiers, is_list, list_cells, numbers, plain_cells, require_column
from alignlib.training.policy_kl.sample_arrays import IMPOSSIBLE, LEAST_LOG_PROB, MOST_LOG_PROB, MOST_TOKENS, OF_SUMS

__all__ = [
    "log_probs",
    "none_missing",
    "not_negative",
    "numbers_of",
    "prompts_of",
    "same_lengths",
    "sizes_in_nats",
    "token_counts",
    "token_lists",
]

# Rows that come out below 0 are no worse than the others: without them a mean would be too high.
_RECOMPUTE = (
    "compute it anew with logits, softmax and sums in float32 (logits.float() first), or leave that column out: the "
    "log-probabilities are enough"
)


def numbers_of(file: TableFile, name: str, table: pa.Table, missing: bool = False) -> FloatArray:
    """Return a column of numbers, or say in which row there is none.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column.
    table : Table
        What was loaded of it.
    missing : bool
        Whether cells may lack one, NaN then.

    Raises
    ------
    InputError
        If a cell holds no number.
    """
    values = numbers(file, name, _scalars(file, name, table))
    bad = np.flatnonzero(np.isnan(values))
    if bad.size and not missing:
        raise InputError(
            f"column {name!r} of {file.path} lacks a number in {bad.size} of {values.size} rows, "
            f"{file.where(bad[:5].tolist(), bad.size)}; score these responses again, or remove them.",
            column=name,
            rows=bad.tolist(),
        )
    return values


def token_counts(file: TableFile, name: str, table: pa.Table) -> FloatArray:
    """Return numbers of tokens, or say in which row there is none.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column.
    table : Table
        What was loaded of it.

    Raises
    ------
    InputError
        If a cell holds no whole number from 1 on.
    """
    values = numbers_of(file, name, table)
    bad = np.flatnonzero(~((values >= 1.0) & (values <= MOST_TOKENS) & (values == np.floor(values))))
    if bad.size:
        raise InputError(
            f"column {name!r} of {file.path} must count tokens in whole numbers, at least one, the end token; "
            f"got {values[bad[0]]:g} in "
            f"{file.where(bad[:5].tolist(), bad.size)}; count these again, or remove these responses.",
            column=name,
            rows=bad.tolist(),
        )
    return values


def log_probs(
    file: TableFile, name: str, values: FloatArray, whose: str, offsets: IntArray | None = None
) -> FloatArray:
    """Return log-probabilities, or say in which row one is none, or is one of what a model cannot produce.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column.
    values : array
        Its numbers, in nats.
    whose : str
        ``policy`` or ``base``.
    offsets : array of int, optional
        Where the tokens of each row begin, for lists.

    Raises
    ------
    InputError
        If one is positive, or impossible.
    """
    below = (values < LEAST_LOG_PROB) & ~np.isneginf(values)
    for bad, problem in (
        (values > MOST_LOG_PROB, "must not be positive"),
        (np.isneginf(values), "is -inf"),
        (below, f"must not lie below {LEAST_LOG_PROB:g}"),
    ):
        rows = _rows(bad, offsets)
        if rows.size:
            value, where = values[int(np.argmax(bad))], file.where(rows[:5].tolist(), rows.size)
            said = f"; got {value:g} in {where}; give logarithms of probabilities, in nats"
            if problem == "is -inf":
                said = f" in {where}: {IMPOSSIBLE[whose]}"
            raise InputError(f"column {name!r} of {file.path} {problem}{said}.", column=name, rows=rows.tolist())
    return values


def _rows(bad: BoolArray, offsets: IntArray | None) -> IntArray:
    """Return the rows in which something is bad."""
    places = np.flatnonzero(bad)
    return np.unique(places if offsets is None else np.searchsorted(offsets, places, "right") - 1)


def sizes_in_nats(file: TableFile, name: str, values: FloatArray, offsets: IntArray | None = None) -> FloatArray:
    """Return divergences or entropies, or say in which row one is infinite, or larger than any can be.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column.
    values : array
        Its numbers, in nats; NaN where one is padding.
    offsets : array of int, optional
        Where the tokens of each row begin, for lists.

    Raises
    ------
    InputError
        If one is.
    """
    bad = np.abs(values) > -LEAST_LOG_PROB
    return _without(bad, f"hold at most {-LEAST_LOG_PROB:g} nats in size", file, name, values, offsets)


def not_negative(
    file: TableFile,
    name: str,
    values: FloatArray,
    offsets: IntArray | None = None,
    of_tokens: FloatArray | None = None,
) -> list[str]:
    """Return what exact divergences or entropies lose to rounding, or say in which row one is negative beyond that.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column.
    values : array
        Its numbers, in nats.
    offsets : array of int, optional
        Where the tokens of each row begin, for lists.
    of_tokens : array, optional
        Over how many tokens each number is a sum; one, where none says so.

    Returns
    -------
    list of str
        A sentence where a response has a sum below 0 that is more than the rounding of one token.

    Raises
    ------
    InputError
        If one is, by more than sums in single precision.
    """
    least = -OF_SUMS * (np.ones(values.size) if of_tokens is None else of_tokens)
    bad = values < least
    must = (
        f"not be negative beyond the rounding of single precision, {OF_SUMS:g} nats a token, here "
        f"{-least[int(np.argmax(bad))] if bad.any() else OF_SUMS:g} (half precision leaves more)"
    )
    if of_tokens is None and offsets is None:
        must += "; no column says of how many tokens these are sums (name it, n_tokens), so one is assumed"
    _without(bad, must, file, name, values, offsets, _RECOMPUTE)
    sums = values if offsets is None else np.add.reduceat(values, offsets[:-1])
    below = sums < -OF_SUMS
    if not below.any():
        return []
    said = (
        f"{name!r} is exact and cannot be negative, and in {below.sum()} of {sums.size} responses it adds up to less "
        f"than 0, at the least to {sums.min():.3g} nats: within what single precision leaves ({OF_SUMS:g} a token), "
        "which the means here hold as it is. Compute it in double precision."
    )
    return [said]


def _without(
    bad: BoolArray,
    must: str,
    file: TableFile,
    name: str,
    values: FloatArray,
    offsets: IntArray | None,
    remedy: str = "remove or correct it",
) -> FloatArray:
    """Return values of which none is bad, or say what they must and in which rows they do not."""
    rows = _rows(bad, offsets)
    if rows.size:
        raise InputError(
            f"column {name!r} of {file.path} must {must}; got {values[int(np.argmax(bad))]:g} in "
            f"{file.where(rows[:5].tolist(), rows.size)}; {remedy}.",
            column=name,
            rows=rows.tolist(),
        )
    return values


def _scalars(file: TableFile, name: str, table: pa.Table) -> pa.ChunkedArray:
    """Return a column of scalars, or say that its cells are lists."""
    require_column(file, name, "column")
    column = plain_cells(file, name, table.column(name))
    if is_list(column.type):
        raise InputError(f"column {name!r} of {file.path} holds lists; name the column of sums.", column=name)
    return column


def token_lists(file: TableFile, name: str, table: pa.Table, padded: bool = False) -> tuple[FloatArray, IntArray]:
    """Return the values of a column of lists one after another, and where each list begins.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column.
    table : Table
        What was loaded of it.
    padded : bool
        Whether tokens may lack a number, as padding does, NaN then.

    Returns
    -------
    values : array (tokens,)
        One list after another.
    offsets : array of int (rows + 1,)
        Where each begins.

    Raises
    ------
    InputError
        If a list is missing, empty, or holds no numbers.
    """
    values, counts = list_cells(file, name, table.column(name))
    missing = np.flatnonzero(counts == 0)
    if missing.size:
        where = file.where(missing[:5].tolist(), missing.size)
        raise InputError(
            f"column {name!r} of {file.path} has no tokens in {where}; every response has at least one token, the end: "
            "score these responses again, or remove them.",
            column=name,
            rows=missing.tolist(),
        )
    offsets = np.concatenate([[0], np.cumsum(counts)])
    if not padded:
        none_missing(file, name, values, offsets)
    return values, offsets


def none_missing(file: TableFile, name: str, values: FloatArray, offsets: IntArray) -> None:
    """Refuse tokens that lack a number.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column.
    values : array (tokens,)
        What its lists hold, one after another.
    offsets : array of int (rows + 1,)
        Where each begins.

    Raises
    ------
    InputError
        With the row of the first.
    """
    bad = np.flatnonzero(np.isnan(values))
    if bad.size:
        row = int(np.searchsorted(offsets, bad[0], side="right")) - 1
        raise InputError(
            f"column {name!r} of {file.path} lacks a number for {bad.size} of {values.size} tokens, the first in "
            f"{file.where([row])}; score that response again.",
            column=name,
            rows=[row],
        )


def same_lengths(file: TableFile, one: str, other: str, offsets: IntArray, same: IntArray) -> None:
    """Refuse two columns of lists that differ in length, by the first row.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    one, other : str
        The columns.
    offsets, same : array of int (rows + 1,)
        Where their lists begin.

    Raises
    ------
    InputError
        If they differ.
    """
    apart = np.flatnonzero(np.diff(offsets) != np.diff(same))
    if apart.size:
        row = int(apart[0])
        raise InputError(
            f"{file.path}: {one!r} and {other!r} have {np.diff(offsets)[row]} and {np.diff(same)[row]} tokens in "
            f"{file.where([row])}; score the same tokens with both models.",
            rows=apart.tolist(),
        )


def prompts_of(file: TableFile, name: str, table: pa.Table) -> pa.Array:
    """Return the names of prompts, none of which may be missing.

    Parameters
    ----------
    file : TableFile
        The table, for messages.
    name : str
        The column.
    table : Table
        What was loaded of it.

    Raises
    ------
    InputError
        If one is missing.
    """
    values = identifiers(file, name, table.column(name))
    require(values.null_count == 0, f"column {name!r} of {file.path} lacks {values.null_count} prompts; fill them in.")
    return values
