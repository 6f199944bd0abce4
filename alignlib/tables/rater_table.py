"""The table of ratings: what was shown, what a rater said, in which context, and by whom."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alignlib._core.array_likes import as_names
from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib._core.same import SameFields
from alignlib.tables.joined import with_truth
from alignlib.tables.kinds import kinds_of, renumbered
from alignlib.tables.memory_limit import check_fits
from alignlib.tables.reading import open_frame, open_table_file
from alignlib.tables.table_file import TableFile, short

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

__all__ = ["RaterTable"]

_CELL = 64  # bytes of work for a count: those of the channel, its bias and its jackknife


@dataclass(frozen=True, eq=False)
class RaterTable(SameFields):
    """Ratings as codes, one entry per label given; the names of what they stand for.

    ``counts()[s, u, y]`` is how often target ``u`` in context ``s`` was labelled ``y``.

    Parameters
    ----------
    contexts, targets, labels, raters : tuple of str
        What the codes stand for.
    context, target, label, rater : array (labels given,)
        Codes 0, 1, …, places in the names.
    notes : tuple of str
        Sentences on what was left out.

    Examples
    --------
    >>> table = RaterTable.from_arrays(target=["cat", "cat", "dog", "dog"], label=["cat", "dog", "dog", "dog"])
    >>> table.labels, table.counts().tolist()
    (('cat', 'dog'), [[[1.0, 1.0], [0.0, 2.0]]])
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

    def __repr__(self) -> str:
        """Return the sizes."""
        sizes = ((len(self.targets), "target"), (len(self.contexts), "context"), (len(self.raters), "rater"))
        more = ", ".join(counted(size, what) for size, what in sizes)
        different = f"{len(self.labels)} different"
        return f"<RaterTable: {counted(self.n_labels, 'label')} given, {different}; {more}>"

    @property
    def n_labels(self) -> int:
        """Number of labels given."""
        return int(self.label.size)

    def counts(self, rater: int | None = None) -> FloatArray:
        """Return the confusion counts, shape (contexts, targets, labels).

        Parameters
        ----------
        rater : int, optional
            Code of the one rater to count, by default all.
        """
        shape = (len(self.contexts), len(self.targets), len(self.labels))
        flat = np.ravel_multi_index((self.context, self.target, self.label), shape)
        if rater is not None:
            flat = flat[self.rater == rater]
        return np.bincount(flat, minlength=math.prod(shape)).reshape(shape).astype(np.float64)

    @classmethod
    def from_arrays(
        cls,
        target: npt.ArrayLike,
        label: npt.ArrayLike,
        *,
        context: npt.ArrayLike | None = None,
        rater: npt.ArrayLike | None = None,
        bins: int | None = None,
    ) -> RaterTable:
        """Build a table from numbers or text, one entry per label given.

        Parameters
        ----------
        target, label : array_like (labels given,)
            What was shown, and what the rater said.
        context, rater : array_like (labels given,), optional
            In which context, and by whom; one of each if omitted.
        bins : int, optional
            As for `read`.

        Raises
        ------
        InputError
            For arrays of different lengths or with missing values, and for ratings from which nothing can be learnt.

        Examples
        --------
        >>> RaterTable.from_arrays([1, 1, 0], ["yes", "no", "no"], rater=["a", "b", "a"]).raters
        ('a', 'b')
        """
        given = {"target": target, "label": label, "context": context, "rater": rater}
        columns: dict[str, pa.Array] = {}
        size = as_names("target", target, with_gaps=True).size
        for name, values in given.items():
            if values is None and name not in ("target", "label"):
                continue
            names = as_names(name, values, with_gaps=True)
            require(
                names.size == size,
                f"{name} must hold one number or text per label given, {size}; got {names.size}.",
                name,
            )
            try:
                columns[name] = pa.array(names.tolist())
            except (pa.ArrowException, OverflowError, UnicodeError) as error:
                raise InputError(
                    f"{name} holds values that make no column ({short(error)}); write numbers up to 64 bits, or text "
                    "throughout.",
                    argument=name,
                ) from error
        file = TableFile("the arrays", tuple(columns), pa.table(columns).select, first_row=0)
        return cls._from_file(file, {name: name if name in columns else None for name in given}, False, bins=bins)

    @classmethod
    def from_frame(
        cls,
        frame: IntoFrame,
        target: str = "target",
        label: str = "label",
        *,
        context: str | None = None,
        rater: str | None = None,
        drop_missing: bool = False,
        bins: int | None = None,
    ) -> RaterTable:
        """Take ratings from a data frame of pandas, polars, pyarrow or another library that narwhals knows.

        Parameters
        ----------
        frame : data frame
            One row per label given; a lazy frame is collected.
        target, label : str
            Columns with what is rated and with what the rater said.
        context, rater : str, optional
            Columns that name the context and the rater.
        drop_missing : bool
            Go on without rows that lack a value.
        bins : int, optional
            Number of bins into which targets and labels that are numbers are put, where there are more different ones.

        Examples
        --------
        >>> frame = pa.table({"target": [0, 0, 1], "label": [0, 1, 1]})
        >>> RaterTable.from_frame(frame).counts().tolist()
        [[[1.0, 1.0], [0.0, 1.0]]]
        """
        wanted = {"target": target, "label": label, "context": context, "rater": rater}
        return cls._from_file(open_frame(frame), wanted, drop_missing, bins=bins)

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
        truth: str | Path | None = None,
        item: str | None = None,
        bins: int | None = None,
    ) -> RaterTable:
        """Read ratings from a file of any known format (CSV, JSON, Parquet, …), one row per label given.

        Parameters
        ----------
        path : path
            The file; its extension tells the format.
        target : str
            Column with what the rater should have recognised, the known truth or a trusted judgement.
        label : str
            Column with what the rater said.
        context : str, optional
            Column that names the context, such as the task or the kind of prompt; one context if omitted.
        rater : str, optional
            Column that names the rater; needed for intervals that allow for raters who differ.
        drop_missing : bool
            Go on without the rows where a cell is missing; ``notes`` says how many.
        truth : path, optional
            Another file, which holds ``target`` for each item, where labels and truth are kept apart.
        item : str, optional
            Column of both files that names the item; by default the one column that both have.
        bins : int, optional
            Number of bins of about equal size into which targets and labels that are numbers are put, where there are
            more different ones.

        Raises
        ------
        InputError
            With one sentence that says what is wrong, where, and what to do.
        """
        wanted = {"target": target, "label": label, "context": context, "rater": rater}
        file = open_table_file(path)
        if truth is None:
            require(
                item is None,
                f"item={item!r} names a column of two files; pass truth, the file that holds the target of each item, "
                "or leave out item.",
                "item",
            )
            return cls._from_file(file, wanted, drop_missing, bins=bins)
        apart = open_table_file(truth)
        return cls._from_file(with_truth(file, apart, wanted, item), wanted, drop_missing, apart.path, bins)

    @classmethod
    def _from_file(
        cls,
        file: TableFile,
        wanted: dict[str, str | None],
        drop_missing: bool,
        truth: str = "",
        bins: int | None = None,
    ) -> RaterTable:
        found, notes = kinds_of(file, wanted, drop_missing, truth, bins)
        table = cls(
            found["context"][0],
            found["target"][0],
            found["label"][0],
            found["rater"][0],
            found["context"][1],
            found["target"][1],
            found["label"][1],
            found["rater"][1],
            notes,
        )
        table._check(file.path)
        left = table._without_lone_contexts()
        if left is not table:
            left._check(file.path)
        return left

    def _check(self, where: str) -> None:
        if self.n_labels == 0:
            raise InputError(f"{where} holds no complete rating; give a target and a label in each row.")
        if np.unique(self.label).size == 1:
            raise InputError(
                f"every label in {where} is {self.labels[int(self.label[0])]!r}: a rater who always says the same "
                "carries no information, and nothing can be estimated from it; check the label column.",
                column="label",
            )
        cells = len(self.contexts) * len(self.targets) * len(self.labels)
        said = f"{counted(len(self.targets), 'target')}, {counted(len(self.labels), 'label')} and "
        check_fits(
            _CELL * cells,
            f"{where} has {said}{counted(len(self.contexts), 'context')}; a table of their counts",
            "name columns with fewer different values (is one a free text?)",
        )
        counts = self.counts().sum(axis=2)
        single = np.flatnonzero((counts > 0).sum(axis=1) < 2)
        if single.size == len(counts):
            at = int(single[0])
            several = f", and so has each of {len(counts)} contexts" if len(counts) > 1 else ""
            raise InputError(
                f"context {self.contexts[at]!r} of {where} has labels for one target only, "
                f"{self.targets[int(np.argmax(counts[at]))]!r}{several}: what tells targets apart cannot be seen; "
                + (
                    "leave out context, or give one with labels for several targets in each."
                    if len(counts) > 1
                    else "add labels for other targets."
                ),
                column="context",
            )

    def _without_lone_contexts(self) -> RaterTable:
        """Leave out the contexts that have labels for one target only, with a note."""
        seen = np.zeros((len(self.contexts), len(self.targets)), dtype=np.bool_)
        seen[self.context, self.target] = True
        lone = seen.sum(axis=1) < 2
        if not lone.any() or lone.all():
            return self
        kept = ~lone[self.context]
        first = self.contexts[int(np.argmax(lone))]
        said = (
            f"{counted(int(lone.sum()), 'context')} with labels for one target only left out, such as {first!r} "
            f"({counted(int((~kept).sum()), 'label')}): what tells targets apart cannot be seen there."
        )
        context, target, label, rater = (
            renumbered(names, codes[kept])
            for names, codes in (
                (self.contexts, self.context),
                (self.targets, self.target),
                (self.labels, self.label),
                (self.raters, self.rater),
            )
        )
        return RaterTable(
            context[0],
            target[0],
            label[0],
            rater[0],
            context[1],
            target[1],
            label[1],
            rater[1],
            (*self.notes, said),
        )
