"""What else a table of responses tells of each: who wrote it and when, its advantage, and whether it was cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib.tables import EXACT_INTEGERS, TableFile, load, numbers
from alignlib.training.policy_kl.response_columns import numbers_of
from alignlib.training.policy_kl.response_names import ADVANTAGES, OPENED, PROCESSES, first_of

__all__ = ["TRUNCATED", "advantages_of", "cut_of", "of_cut", "opened_again", "processes_of"]

TRUNCATED = "truncated"  # column of `alignlib sample`: no end token within the largest length


def opened_again(file: TableFile) -> FloatArray | None:
    """Return how often `Rollouts` had opened its file again when it wrote a row; rows of the first time do not say.

    Parameters
    ----------
    file : TableFile
        The table.
    """
    if OPENED not in file.names:
        return None
    return np.nan_to_num(numbers_of(file, OPENED, load(file, [OPENED], "one row per response"), missing=True))


def processes_of(file: TableFile) -> tuple[IntArray | None, str]:
    """Return which of several processes wrote each row, with a sentence; None where no column numbers them.

    Parameters
    ----------
    file : TableFile
        The table.

    Returns
    -------
    process : array of int (rows,), optional
        A number for the process of each row.
    note : str
        What is to be said, or "".
    """
    for name in PROCESSES:
        if name not in file.names:
            continue
        try:
            held = numbers_of(file, name, load(file, [name], "one row per response"))
        except InputError:  # names, say, of machines
            continue
        size = np.unique(held).size
        if size > 1 and (held == np.rint(held)).all() and np.abs(held).max() < EXACT_INTEGERS:
            return held.astype(np.int64), f"The responses were written by {size} processes ({name!r})."
    return None, ""


def advantages_of(file: TableFile) -> FloatArray | None:
    """Return the advantage of each response; lists by token, which some trainers keep, are left alone.

    Parameters
    ----------
    file : TableFile
        The table.
    """
    name = first_of(ADVANTAGES, file.names)
    if name is None:
        return None
    table = load(file, [name], "one row per response")
    kind = table.column(name).type
    return numbers_of(file, name, table) if pa.types.is_floating(kind) or pa.types.is_integer(kind) else None


def cut_of(file: TableFile) -> BoolArray | None:
    """Tell which responses were cut at the largest length.

    Parameters
    ----------
    file : TableFile
        The table.
    """
    if TRUNCATED not in file.names:
        return None
    table = load(file, [TRUNCATED], "one row per response")
    return np.asarray(numbers(file, TRUNCATED, table.column(TRUNCATED)) > 0.0)


def of_cut(cut: Sequence[BoolArray | None]) -> list[str]:
    """Say how many responses were cut at the largest length, of those that are taken.

    Parameters
    ----------
    cut : sequence of array, optional
        Whether each was, file by file; None where a file does not tell.
    """
    told = [one for one in cut if one is not None]
    many = sum(int(one.sum()) for one in told)
    if not many:
        return []
    said = (
        f"{many} of {sum(one.size for one in told)} responses were cut at the largest length: the KL is that of "
        "responses up to there, and longer ones have more."
    )
    return [said]
