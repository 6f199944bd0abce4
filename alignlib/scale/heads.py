"""What is known of the pieces of a summary without reading them: sizes, means and ends of rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.scale.expand import not_told
from alignlib.scale.summary import Summary

__all__ = ["Head", "measured", "once", "together"]


@dataclass(frozen=True, eq=False)
class Head(SameFields):
    """What is known of the prompts of a piece without it: a few bytes for each.

    Attributes
    ----------
    prompts : int
        Their number.
    kind : DataType
        What their names are in Arrow.
    sizes : array of int (prompts,) or (1,)
        Their numbers of samples, one where all are the same.
    binned : array of bool (prompts,) or (1,)
        Which of them are in bins, one where all are, or none.
    apart : array of bool (prompts,) or (1,)
        Which of them are in bins that do not tell every sample.
    means : array (columns, prompts)
        Mean rewards.
    ends : array (columns, 2)
        The least and the largest reward of all.
    alike : array of int (columns,)
        Prompts whose samples have one reward.
    spans : array (k,)
        The range of the first reward of each prompt in bins.

    Examples
    --------
    >>> import pyarrow as pa
    >>> summary = Summary.of(pa.array(["a", "b"]), np.array([2, 2]), {"reward": np.array([1.0, 3.0, 2.0, 2.0])})
    >>> head = Head.of(summary)
    >>> head.prompts, head.sizes.tolist(), head.ends.tolist(), head.alike.tolist()  # all of "b" are alike
    (2, [2], [[1.0, 3.0]], [1])
    """

    prompts: int
    kind: pa.DataType
    sizes: IntArray
    binned: BoolArray
    apart: BoolArray
    means: FloatArray
    ends: FloatArray
    alike: IntArray
    spans: FloatArray

    @classmethod
    def of(cls, summary: Summary) -> Head:
        """Measure a summary once.

        Parameters
        ----------
        summary : Summary
            Samples of prompts.
        """
        of_columns = measured(summary)
        least, most = of_columns[:, 1], of_columns[:, 2]
        ends = np.stack([least.min(axis=1, initial=np.inf), most.max(axis=1, initial=-np.inf)], axis=1)
        return cls(
            len(summary.sizes),
            summary.names.type,
            once(summary.sizes),
            once(summary.binned),
            once(not_told(summary)),
            of_columns[:, 0].copy(),
            ends,
            (least == most).sum(axis=1),
            (most - least)[0, summary.binned],
        )


def once(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the one value of an array where there is only one.

    Parameters
    ----------
    values : array (k,)
        Any values.

    Examples
    --------
    >>> once(np.array([3, 3])).tolist(), once(np.array([3, 4])).tolist()
    ([3], [3, 4])
    """
    return values[:1].copy() if len(values) and (values == values[0]).all() else values.copy()


def together(parts: Sequence[npt.NDArray[Any]], sizes: Sequence[int]) -> npt.NDArray[Any]:
    """Join arrays of these sizes, each given once where all of it is one value; no memory where all of all is.

    Parameters
    ----------
    parts : sequence of array
        As `once` returns them.
    sizes : sequence of int
        How many values each stands for.

    Examples
    --------
    >>> together([np.array([3]), np.array([4, 5])], [2, 2]).tolist()
    [3, 3, 4, 5]
    """
    parts = [part for part, size in zip(parts, sizes, strict=True) if size]
    sizes = [size for size in sizes if size]
    if parts and all(len(part) == 1 and part[0] == parts[0][0] for part in parts):
        return np.broadcast_to(parts[0], sum(sizes))
    return np.concatenate([np.broadcast_to(part, size) for part, size in zip(parts, sizes, strict=True)])


def measured(summary: Summary) -> FloatArray:
    """Return mean, least and largest reward of each prompt, shape (columns, 3, prompts).

    Parameters
    ----------
    summary : Summary
        Samples of prompts.
    """
    found = np.empty((len(summary.columns), 3, len(summary.sizes)))
    exact = np.flatnonzero(~summary.binned)
    sizes = summary.sizes[exact]
    starts = np.cumsum(sizes) - sizes
    for j, values in enumerate(summary.values):
        if len(exact):
            found[j][:, exact] = (
                np.add.reduceat(values, starts) / sizes,
                np.minimum.reduceat(values, starts),
                np.maximum.reduceat(values, starts),
            )
    first = np.flatnonzero(np.diff(summary.bins.row, prepend=-1))
    bins, rows = summary.bins, summary.bins.row[first]
    for j, width in enumerate(summary.widths):
        if not len(first):
            continue
        mean = bins.mean(width) if j == 0 else bins.other_mean(j - 1, width)
        its = bins if j == 0 else bins.others[j - 1]
        least, most = its.least, its.most
        found[j][:, rows] = (
            np.add.reduceat(mean * bins.count, first) / summary.sizes[rows],
            np.minimum.reduceat(least, first),
            np.maximum.reduceat(most, first),
        )
    return found
