"""Rows of one step of which the later lacks KL or reward and has another value of the rest: none is put beside it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray

__all__ = ["whole_rows"]

_NAMES = {"kl": "KL", "reward": "reward"}


def whole_rows(
    step: FloatArray, mine: npt.NDArray[np.intp], part: IntArray, held: Mapping[str, FloatArray], wide: bool = True
) -> tuple[npt.NDArray[np.intp], IntArray, list[str]]:
    """Leave out a row with the step of the whole row before that lacks the KL, or the reward, and has the other unlike.

    Training may have been resumed there: then KL and reward of the two rows are of unlike policies. Where each value
    has a row of its own, the last of a step counts, and it is said beside which KL a reward is put.

    Parameters
    ----------
    step : array (m,)
        Step of each row.
    mine, part : array of int (k,)
        Rows of one run, and the start of training of each.
    held : mapping of str to array (m,)
        KL, reward and whatever else belongs to a row; NaN where missing.
    wide : bool
        Whether rows of the log hold KL and reward together.

    Returns
    -------
    mine, part : array of int
        The rows that are left.
    notes : list of str
        What was left out.

    Examples
    --------
    >>> step, kl, reward = np.array([1.0, 2.0, 2.0]), np.array([0.0, 0.1, np.nan]), np.array([0.3, 0.5, 0.9])
    >>> kept, _, said = whole_rows(step, np.arange(3), np.zeros(3, np.int64), {"kl": kl, "reward": reward})
    >>> kept.tolist(), said[0][:52]
    ([0, 1], 'The later row of step 2 lacks the KL, and is left ou')
    """
    left, lacks = list[int](), list[tuple[float, str]]()
    for place, row in enumerate(mine.tolist()):
        if left and step[mine[left[-1]]] == step[row] and part[left[-1]] == part[place]:
            before = int(mine[left[-1]])
            gone = [name for name in _NAMES if np.isnan(held[name][row]) and not np.isnan(held[name][before])]
            unlike = any(np.abs(held[name][row] - held[name][before]) > 0.0 for name in _NAMES)
            if gone and unlike:
                lacks.append((float(step[row]), _NAMES[gone[0]]))
                continue
        left.append(place)
    notes = [_said(lacks, name, wide) for name in _NAMES.values() if any(name in one for one in lacks)]
    return (mine[left], part[left], notes) if wide else (mine, part, notes)


def _said(lacks: list[tuple[float, str]], name: str, wide: bool) -> str:
    at = [one for one, what in lacks if what == name]
    more = f" and {len(at) - 1} more" if len(at) > 1 else ""
    if not wide:
        other = next(one for one in _NAMES.values() if one != name)
        return (
            f"The {other} of step {at[0]:g}{more} was logged again without the {name}: the later {other} is put beside "
            f"the {name} before, as of a value that was corrected. If training was resumed there instead, these are of "
            "unlike policies: remove the step."
        )
    return (
        f"The later row of step {at[0]:g}{more} lacks the {name}, and is left out: the one before counts, whole. If "
        "the later value corrects the earlier one, write it in the earlier row."
    )
