"""The table of ratings: what was shown, what a rater said, in which context, and by whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import BoolArray, FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib.tables.columns import require_column
from alignlib.tables.reading import open_table_file
from alignlib.tables.table_file import TableFile

__all__ = [
    "RaterTable",
]

_MISSING = ("", "na", "n/a", "nan", "null")


@dataclass(frozen=True)
class RaterTable:
    """Ratings as codes, one entry per label given; the names of what they stand for.

    ``counts()[s, u, y]`` is how often target ``u`` in context ``s`` was labelled ``y``.

    >>> table = RaterTable.from_codes(target=[0, 0, 1, 1], label=[0, 1, 1, 1])
    >>> table.counts().tolist()
    [[[1.0, 1.0], [0.0, 2.0]]]
    """

    contexts: tuple[str, ...]
    targets: tuple[str, ...]
    labels: tuple[str, ...]
    raters: tuple[str, ...]
    context: IntArray
    target: IntArray
    label: IntArray
    rater: IntArray
    notes: tuple[str, ...] = ()

    @property
    def n_labels(self) -> int:
        """Number of labels given."""
        return int(self.label.size)

    def counts(self, rater: int | None = None) -> FloatArray:
        """Confusion counts, shape (contexts, targets, labels), of all raters or of one."""
        shape = (len(self.contexts), len(self.targets), len(self.labels))
        flat = np.ravel_multi_index((self.context, self.target, self.label), shape)
        if rater is not None:
            flat = flat[self.rater == rater]
        return np.bincount(flat, minlength=math.prod(shape)).reshape(shape).astype(np.float64)

    @classmethod
    def from_codes(
        cls,
        target: npt.ArrayLike,
        label: npt.ArrayLike,
        context: npt.ArrayLike | None = None,
        rater: npt.ArrayLike | None = None,
        *,
        names: tuple[Sequence[str], Sequence[str], Sequence[str]] | None = None,
    ) -> RaterTable:
        """Build a table from codes 0, 1, …, each of shape (labels given,); ``names`` of contexts, targets and "
        "labels."""
        codes = {"target": target, "label": label, "context": context, "rater": rater}
        size = np.asarray(target).size
        columns: dict[str, IntArray] = {}
        for name, values in codes.items():
            array = np.zeros(size, dtype=np.int64) if values is None else np.asarray(values)
            require(
                array.shape == (size,) and array.dtype.kind in "iu" and bool((array >= 0).all()),
                f"{name} must hold one code 0, 1, … per label given, {size}; got shape {array.shape} of {array.dtype}.",
            )
            columns[name] = array.astype(np.int64)
        given = names or ((), (), ())

        def named(found: IntArray, wanted: Sequence[str]) -> tuple[str, ...]:
            return tuple(wanted) if wanted else tuple(str(i) for i in range(int(found.max(initial=-1)) + 1))

        table = cls(
            named(columns["context"], given[0]),
            named(columns["target"], given[1]),
            named(columns["label"], given[2]),
            named(columns["rater"], ()),
            columns["context"],
            columns["target"],
            columns["label"],
            columns["rater"],
        )
        table._check("the table")
        return table

    @classmethod
    def read(
        cls,
        path: str | Path,
        target: str = "target",
        label: str = "label",
        *,
        context: str | None = None,
        rater: str | None = None,
        drop_missing: bool = False,
    ) -> RaterTable:
        """Read ratings from CSV, TSV, JSON lines or Parquet, one row per label given.

        Parameters
        ----------
        path
            The file; its extension tells the format.
        target
            Column with what the rater should have recognised, the known truth or a trusted judgement.
        label
            Column with what the rater said.
        context
            Column that names the context, such as the task or the kind of prompt; one context if omitted.
        rater
            Column that names the rater; needed for intervals that allow for raters who differ.
        drop_missing
            Go on without the rows where a cell is missing; ``notes`` says how many.

        Raises
        ------
        InputError
            With one sentence that says what is wrong, where, and what to do.
        """
        file = open_table_file(path)
        wanted = {"target": target, "label": label, "context": context, "rater": rater}
        named = {what: require_column(file, name, what) for what, name in wanted.items() if name is not None}
        if len(set(named.values())) < len(named):
            raise InputError(
                "target, label, context and rater must be different columns; got "
                f"{', '.join(map(repr, named.values()))}."
            )
        data = file.load(list(named.values()))
        if data.num_rows == 0:
            raise InputError(f"{file.path} has a header but no rows; give one row per label.")
        text = {what: _as_text(file, name, data[name]) for what, name in named.items()}
        gap: BoolArray = np.any([[value is None for value in column] for column in text.values()], axis=0)
        notes: tuple[str, ...] = ()
        if gap.any():
            rows = np.flatnonzero(gap)
            places = file.where([int(row) for row in rows[:5]], rows.size)
            if not drop_missing:
                raise InputError(
                    f"{rows.size} of {gap.size} rows of {file.path} lack a target, label, context or rater, in "
                    f"{places}; "
                    "fill them, or pass drop_missing=True (--drop-missing).",
                    rows=[int(row) for row in rows],
                )
            notes = (f"{rows.size} of {gap.size} rows were left out for want of a value.",)
        codes, names = {}, {}
        for what in wanted:
            column = [v for v, bad in zip(text[what], gap, strict=True) if not bad] if what in text else None
            names[what], codes[what] = _categories(column, int((~gap).sum()))
        table = cls(
            names["context"],
            names["target"],
            names["label"],
            names["rater"],
            codes["context"],
            codes["target"],
            codes["label"],
            codes["rater"],
            notes,
        )
        table._check(file.path)
        return table

    def _check(self, where: str) -> None:
        if self.n_labels == 0:
            raise InputError(f"{where} holds no complete rating; give a target and a label in each row.")
        if np.unique(self.label).size == 1:
            raise InputError(
                f"every label in {where} is {self.labels[int(self.label[0])]!r}: a rater who always says the "
                "same carries no "
                "information, and nothing can be estimated from it; check the label column.",
                column="label",
            )
        counts = self.counts().sum(axis=2)
        empty = [name for name, total in zip(self.contexts, counts.sum(axis=1), strict=True) if total == 0]
        if empty:
            raise InputError(f"context {empty[0]!r} has no labels in {where}; leave it out, or collect some.")
        single = np.flatnonzero((counts > 0).sum(axis=1) < 2)
        if single.size:
            at = int(single[0])
            raise InputError(
                f"context {self.contexts[at]!r} of {where} has labels for one target only, "
                f"{self.targets[int(np.argmax(counts[at]))]!r} ({single.size} such contexts): what tells "
                "targets apart cannot "
                "be seen there; add labels for other targets, or leave the context out.",
                column="context",
            )


def _as_text(file: TableFile, name: str, column: pa.ChunkedArray) -> list[str | None]:
    """Return cells as stripped text, None where missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        column = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column {name!r} of {file.path} holds {column.type} values; give numbers or text.", column=name
        ) from error
    text = pc.utf8_trim_whitespace(column)
    missing = pc.is_in(pc.utf8_lower(text), value_set=pa.array(_MISSING))
    values: list[str | None] = pc.if_else(missing, pa.scalar(None, pa.string()), text).to_pylist()
    return values


def _categories(column: Sequence[str | None] | None, size: int) -> tuple[tuple[str, ...], IntArray]:
    """Number the values, in numerical order where all are numbers, so that 1 and 1.0 are one value."""
    if column is None:
        return ("all",), np.zeros(size, dtype=np.int64)
    texts = [str(value) for value in column]
    try:
        found, codes = np.unique(np.array([float(value) for value in texts]), return_inverse=True)
        return tuple(f"{value:g}" for value in found), codes.astype(np.int64)
    except ValueError:
        names, codes = np.unique(np.array(texts, dtype=object).astype(str), return_inverse=True)
        return tuple(str(name) for name in names), codes.astype(np.int64)
