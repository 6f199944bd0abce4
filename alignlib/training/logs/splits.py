"""Rows of several splits of the data in one log: those of training are the run, others are other prompts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import BoolArray
from alignlib._core.names import listed

__all__ = ["SPLIT", "of_split", "of_training", "with_split"]

SPLIT = "split"  # the column
_SHOWN = 8  # names


def of_split(split: npt.NDArray[np.object_], evaluation: bool, what: str) -> tuple[BoolArray, list[str]]:
    """Tell which rows are of training, or for an evaluation which are not, where both stand there, and say so.

    Parameters
    ----------
    split : array (rows,)
        The split of each row.
    evaluation : bool
        Whether an evaluation is asked for.
    what : str
        What the rows are.

    Returns
    -------
    kept : array of bool (rows,)
        Which rows.
    notes : list of str
        What was done.

    Examples
    --------
    >>> kept, said = of_split(np.array(["train", "eval", "train"], dtype=object), False, "rows")
    >>> kept.tolist(), said
    ([True, False, True], ["The rows are of several splits ('train' and 'eval'); those of training are taken (splits=...
    """
    names = list(dict.fromkeys(split.tolist()))
    train = of_training(split)
    every = np.ones(split.size, dtype=bool)
    if len(names) < 2:
        return every, []
    told = listed([*map(repr, names[:_SHOWN]), *(["others"] if len(names) > _SHOWN else [])])
    said = f"The {what} are of several splits ({told})"
    if train.all() or not train.any():
        none = "all" if train.any() else "none"
        return every, [f"{said}, {none} called training (train…): all are taken for one run (splits=True shows each)."]
    which = "those that are no training" if evaluation else "those of training"
    kept = ~train if evaluation else train
    several = " for one run" if len(set(split[kept].tolist())) > 1 else ""
    return kept, [f"{said}; {which} are taken{several} (splits=True shows all)."]


def of_training(split: npt.NDArray[np.object_]) -> BoolArray:
    """Tell which rows are of training by the name of their split.

    Parameters
    ----------
    split : array (rows,)
        The split of each row.
    """
    return np.array([name.lower().startswith("train") for name in split.tolist()], dtype=bool)


def with_split(run: npt.NDArray[np.object_] | None, split: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return runs whose splits stand side by side, each under the name of both; the split alone where there is one run.

    Parameters
    ----------
    run, split : array (rows,)
        Of each row.

    Examples
    --------
    >>> with_split(np.array(["a", "a"], object), np.array(["train", "eval"], object)).tolist()
    ['a train', 'a eval']
    """
    if run is None:
        return split
    both = np.empty(split.size, dtype=object)
    both[:] = [f"{one} {other}" for one, other in zip(run.tolist(), split.tolist(), strict=True)]
    return both
