"""Right and wrong answers in parts: of every prompt the numbers of responses and of right ones are all that is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib.scale.opening import without_bins
from alignlib.scale.summary_table import SummaryTable
from alignlib.tables import AnswerTable, CountedSamples

__all__ = ["checked_answers"]

_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class _Counted(AnswerTable, SameFields):
    """Checked responses by their numbers; no response is held."""

    right: IntArray | None = None

    @property
    def n_correct(self) -> IntArray:
        """Right responses to each prompt."""
        assert self.right is not None
        return self.right


def checked_answers(table: SummaryTable, correct: str) -> AnswerTable:
    """Return the table of right and wrong answers for a column of 1 and 0.

    Parameters
    ----------
    table : SummaryTable
        Summaries of the column.
    correct : str
        The column, 1 for a right response.

    Raises
    ------
    InputError
        Where the column has another value.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from alignlib.scale import Summary, table_of
    >>> summary = Summary.of(pa.array(["a", "b"]), np.array([2, 1]), {"right": np.array([1.0, 0.0, 1.0])})
    >>> checked_answers(table_of(summary), "right").n_correct.tolist()
    [1, 1]
    """
    other, first = 0, 0.0
    for _, (some, one) in table.each(_others, [correct], _BLOCK):
        other, first = other + some, first if other else one
    for _, (some, one) in table.each_counted(_others_in_bins, correct):
        other, first = other + some, one if some else first
    if other:
        raise InputError(
            f"{correct!r} must be 1 or 0 for each response, right or wrong; {other} of {table.offsets[-1]} values are "
            f"not, such as {first:g}. Set a threshold where it is a score.",
            column=correct,
            argument="correct",
        )
    # Numbers of right and wrong are what bins tell, or refuse to: they leave nothing open.
    right = np.round(table.prompt_means(correct) * table.n_samples).astype(np.int64)
    none = np.empty(0, dtype=bool)
    return _Counted(
        table.prompts, table.offsets, none, None, None, table.dropped, tuple(without_bins(table.notes)), right
    )


def _others_in_bins(samples: CountedSamples) -> tuple[int, float]:
    """Count those that are neither: ends are known as they are, and what lies between to a step of rounding."""
    bins = samples.bins
    between = (np.minimum(np.abs(samples.value), np.abs(samples.value - 1.0)) > bins.slack).any()
    if not between and np.isin(np.append(bins.least, bins.most), (0.0, 1.0)).all():
        require(
            samples.size * bins.slack < 1.0 or bool((bins.least == bins.most).all()),
            f"bin_width must be 1 or less for right and wrong answers: bins so wide do not tell how many of the "
            f"{samples.size:,} responses to a prompt are right.",
            "bin_width",
        )
        return 0, 0.0
    wrong = ~np.isin(samples.value, (0.0, 1.0))
    return int(samples.count[wrong].sum()), float(samples.value[wrong][0]) if wrong.any() else 0.0


def _others(values: FloatArray) -> tuple[int, float]:
    wrong = values[(values != 0.0) & (values != 1.0)]
    return wrong.size, float(wrong[0]) if wrong.size else 0.0
