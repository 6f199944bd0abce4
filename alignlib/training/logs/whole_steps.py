"""Steps of which a value is not in the log: left out where that is usual, or where the run was still writing them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.names import counted as count
from alignlib.training.logs.columns import Columns

__all__ = ["Steps", "missing_steps", "not_numbers", "whole_steps"]

_REGULAR, _GAPS = 4, 0.2  # steps as far apart as most are, and the part of others
_SHOWN = 5  # steps

Steps = tuple[FloatArray, npt.NDArray[np.object_], dict[str, FloatArray]]
"""Step, run and values of rows."""
Places = Mapping[str, set[tuple[object, float]]]
"""Of each value the runs and steps where the log holds what is no number."""


def not_numbers(
    columns: Columns, names: Mapping[str, str], run: npt.NDArray[np.object_], step: FloatArray
) -> dict[str, set[tuple[object, float]]]:
    """Return where a log holds NaN for a value, which is other than holding nothing.

    Parameters
    ----------
    columns : Columns
        The log.
    names : mapping of str to str
        The column of each value.
    run, step : array (rows,)
        Run and step of each row.

    Returns
    -------
    dict of str to set
        Runs and steps, of each value.
    """
    found = {}
    for what, name in names.items():
        rows = np.flatnonzero(np.isnan(columns.numbers(name)) & ~columns.empty(name)).tolist()
        found[what] = {(run[row], float(step[row])) for row in rows}
    return found


def whole_steps(
    rows: Steps, moved_on: BoolArray, told: Places, names: Mapping[str, str], counted: bool
) -> tuple[Steps, list[str]]:
    """Leave out steps with a KL but no reward, where there are some, and a last one that is not written whole.

    Parameters
    ----------
    rows : Steps
        In the order of training.
    moved_on : array of bool (k,)
        Rows with a KL and no reward, of a trainer that writes both.
    told : mapping of str to set
        Of each value that is needed where the log holds NaN (`not_numbers`).
    names : mapping of str to str
        The column of each value.
    counted : bool
        Whether the log has steps.

    Returns
    -------
    rows : Steps
        What is left.
    notes : list of str
        What was left out.
    """
    step, run, values = rows
    last = np.append(run[1:] != run[:-1], True)[: run.size]
    notes = list[str]()
    if moved_on.any() and not moved_on.all() and (moved_on & ~last).any():
        many = count(int(moved_on.sum()), "step" if counted else "row")
        few = 2 * int(moved_on.sum()) < int((~moved_on).sum())  # updates with one batch are as many at every step
        notes.append(
            f"Left out: {many} with a KL but no reward, as where "
            + (
                "a line was cut, or the reward was not written."
                if few
                else "a batch is used for several updates: that "
                "KL is of a policy that has moved on from the one that drew the responses."
            )
        )
        step, run, values = _without(step, run, values, moved_on)
    late = _unfinished(step, run, values, told)
    notes += _said(step, late, values, names, counted)
    return _without(step, run, values, late), notes


def _without(
    step: FloatArray, run: npt.NDArray[np.object_], values: Mapping[str, FloatArray], rows: BoolArray
) -> Steps:
    return step[~rows], run[~rows], {name: one[~rows] for name, one in values.items()}


def _unfinished(
    step: FloatArray, run: npt.NDArray[np.object_], values: Mapping[str, FloatArray], told: Places
) -> BoolArray:
    """Tell which rows are the last of their run, of which nothing is said of some value, where the row before is whole.

    Parameters
    ----------
    step, run : array (k,)
        Step and run of each row, in the order of training.
    values : mapping of arrays (k,)
        NaN where missing.
    told : mapping of str to set
        Of each value that is needed where the log holds NaN (`not_numbers`).

    Examples
    --------
    >>> run, held = np.array(["a"] * 3, dtype=object), {"kl": np.ones(3), "reward": np.array([1.0, 1.0, np.nan])}
    >>> _unfinished(np.arange(3.0), run, held, {"kl": set(), "reward": set()}).tolist()
    [False, False, True]
    """
    found = np.zeros(step.size, dtype=bool)
    for name in dict.fromkeys(run.tolist()):
        mine = np.flatnonzero(run == name)
        if mine.size < 2:
            continue
        before, last = (int(row) for row in mine[-2:])
        lacks = [what for what in told if np.isnan(values[what][last])]
        whole = not any(np.isnan(values[what][before]) for what in told)
        if lacks and whole and not any((name, float(step[last])) in told[what] for what in lacks):
            found[last] = True
    return found


def _said(
    step: FloatArray, rows: BoolArray, values: Mapping[str, FloatArray], names: Mapping[str, str], counted: bool
) -> list[str]:
    """Say which steps are left out because they are not whole, and what they lack.

    Parameters
    ----------
    step : array (k,)
        Step of each row.
    rows : array of bool (k,)
        Those that are left out.
    values : mapping of arrays (k,)
        NaN where missing.
    names : mapping of str to str
        The column of each value.
    counted : bool
        Whether the log has steps.

    Examples
    --------
    >>> held = {"reward": np.array([1.0, np.nan])}
    >>> _said(np.array([10.0, 20.0]), np.array([False, True]), held, {"reward": "score"}, True)
    ["Left out: step 20, the last, of which 'score' is not in the log, as while a step is being written."]
    """
    if not rows.any():
        return []
    lacks = [repr(name) for what, name in names.items() if np.isnan(values[what][rows]).any()]
    at = [f"{one:g}" for one in dict.fromkeys(step[rows].tolist())]
    which = f"step {at[0]}, the last" if counted else "the last row"
    if rows.sum() > 1:
        which = f"the last {'steps' if counted else 'rows'} of {int(rows.sum())} runs" + (
            f" ({', '.join(at[:5])})" if counted else ""
        )
    are = "is" if len(lacks) == 1 else "are"
    return [
        f"Left out: {which}, of which {' and '.join(lacks)} {are} not in the log, as while a step is being written."
    ]


def missing_steps(step: FloatArray, run: npt.NDArray[np.object_]) -> list[str]:
    """Name the steps that are missing among others that are as far apart as most, as where a line was torn.

    Parameters
    ----------
    step, run : array (k,)
        Step and run of each checkpoint, in the order of training.

    Examples
    --------
    >>> missing_steps(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 8.0]), np.array(["a"] * 7, dtype=object))
    ['Step 6 is missing among the steps of the log, which are 1 apart: its line may be torn, or lack KL or reward.']
    """
    said = []
    names = list(dict.fromkeys(run.tolist()))
    for name in names:
        mine = step[run == name]
        apart = np.diff(mine)
        usual = float(np.median(apart)) if apart.size else 0.0
        wide = np.flatnonzero((apart > usual) & (apart % usual == 0.0)) if usual > 0.0 else np.zeros(0, dtype=np.intp)
        if (apart == usual).sum() < _REGULAR or not 0 < wide.size <= max(1.0, _GAPS * apart.size):
            continue
        gone = np.concatenate([np.arange(mine[i] + usual, mine[i + 1], usual) for i in wide.tolist()])
        at = ", ".join(f"{one:g}" for one in gone[:_SHOWN].tolist())
        more = f" and {gone.size - _SHOWN} more" if gone.size > _SHOWN else ""
        what, its = (f"Step {at} is", "its line") if gone.size == 1 else (f"Steps {at}{more} are", "their lines")
        of = f" of {name!r}" if len(names) > 1 else ""
        said.append(
            f"{what} missing among the steps{of} of the log, which are {usual:g} apart: {its} may be torn, or lack KL "
            "or reward."
        )
    return said
