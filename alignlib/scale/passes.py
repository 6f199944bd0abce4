"""Passes over a piece of a summary, in this process or another: blocks of prompts, and prompts in bins one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.scale.bounds import counted_samples, of_prompt
from alignlib.scale.expand import expanded
from alignlib.scale.summary import Summary
from alignlib.tables import CountedSamples

__all__ = ["Held", "PassOverBins", "PassOverBlocks", "Piece", "blocks_of"]

Piece = Callable[[], Summary]  # loads a part of the summary; it pickles where other processes are to load it
_MOST_KNOWN = 256  # prompts in bins of a piece that are kept with what estimates make of them, some 500 kB each
_LEAST_OF_A_PROMPT = 64  # samples, for which a block has room: many prompts of few want a number for each λ too


class Held:
    """A piece that is in memory.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.

    Examples
    --------
    >>> import pyarrow as pa
    >>> summary = Summary.of(pa.array(["a"]), np.array([2]), {"reward": np.array([0.0, 1.0])})
    >>> Held(summary)() is summary
    True
    """

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self.counted: dict[int, CountedSamples] = {}

    def __call__(self) -> Summary:
        """Return it."""
        return self._summary


@dataclass(frozen=True, eq=False)
class PassOverBlocks(SameFields):
    """A pass over one piece, wherever it is done.

    Attributes
    ----------
    piece : callable
        Loads a `Summary`.
    places : list of int
        Columns that are read.
    most : int
        Samples of a block, at most.
    work : callable
        What is done with a block.
    add : bool
        Whether results are added up.
    arrays : tuple of array (prompts, ...)
        What else the work takes of each prompt.
    """

    piece: Piece
    places: list[int]
    most: int
    work: Callable[..., Any]
    add: bool
    arrays: tuple[npt.NDArray[Any], ...]

    def __call__(self) -> list[tuple[IntArray, Any]]:
        """Return positions of prompts and what the work made of them, of each block or of all together."""
        found: list[tuple[IntArray, Any]] = []
        for where, rows in blocks_of(self.piece(), self.places, self.most):
            result = self.work(*rows, *(array[where] for array in self.arrays))
            if self.add and found:
                for total, more in zip(found[0][1], result, strict=True):
                    total += more
            else:
                found.append((where, result))
        return found


@dataclass(frozen=True, eq=False)
class PassOverBins(SameFields):
    """A pass over the prompts of one piece that are in bins, wherever it is done.

    Attributes
    ----------
    piece : callable
        Loads a `Summary`.
    rows : array of int
        Which of its prompts are in bins.
    work : callable
        What is done with each.
    arrays : tuple of array (prompts, ...)
        What else the work takes of each prompt.
    """

    piece: Piece
    rows: IntArray
    work: Callable[..., Any]
    arrays: tuple[npt.NDArray[Any], ...]

    def __call__(self) -> list[tuple[int, Any]]:
        """Return the row of each prompt in bins and what the work made of it."""
        summary = self.piece()
        known = self.piece.counted if isinstance(self.piece, Held) else {}
        found = []
        for row in self.rows.tolist():
            samples = known.get(row)
            if samples is None:
                further = dict(zip(summary.columns[1:], summary.widths[1:], strict=True))
                samples = counted_samples(of_prompt(summary.bins, row), summary.widths[0], further)
                if len(known) < _MOST_KNOWN:
                    known[row] = samples
            found.append((row, self.work(samples, *(array[row] for array in self.arrays))))
        return found


def blocks_of(summary: Summary, places: Sequence[int], most: int | None) -> Iterator[tuple[IntArray, list[FloatArray]]]:
    """Yield prompts of one number of samples: positions, and for each column (prompts, samples).

    Parameters
    ----------
    summary : Summary
        Samples of prompts.
    places : sequence of int
        Columns that are read.
    most : int, optional
        Samples of a block, at most.
    """
    summary = expanded(summary)
    here = np.flatnonzero(~summary.binned)
    sizes = summary.sizes[here]
    starts = np.cumsum(sizes) - sizes
    different = np.unique(sizes)
    for size in different.tolist():
        where = np.flatnonzero(sizes == size)
        step = max(1, where.size if most is None else most // max(size, _LEAST_OF_A_PROMPT))
        for first in range(0, where.size, step):
            some = where[first : first + step]
            if len(different) == 1:
                low, high = first * size, (first + some.size) * size
                rows = [summary.values[j][low:high].reshape(some.size, size) for j in places]
            else:
                inside = starts[some][:, None] + np.arange(size)
                rows = [summary.values[j][inside] for j in places]
            yield here[some], rows
