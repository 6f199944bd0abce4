"""The samples of a table file as one list, each with its prompt and its rewards, whatever the layout of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import BoolArray, FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib.tables.reward_range import LARGEST_REWARD, SMALLEST_REWARD, check_range
from alignlib.tables.table_file import TableFile

__all__ = ["Samples"]

_SHOWN = 5  # rows, and columns, named in a message


@dataclass(frozen=True, eq=False)
class Samples(SameFields):
    """Samples in the order of the file.

    Attributes
    ----------
    file : TableFile
        Where they are from.
    prompt : str
        The column that names the prompt.
    identifiers : Array (samples,)
        The prompt of each.
    rewards : mapping of str to array (samples,)
        Their rewards, NaN where missing.
    rows : array of int (samples,), optional
        The row that each is from, where that is not its own place.
    notes : tuple of str
        Sentences on how they were read.
    sample : str, optional
        The column that tells samples of a prompt apart; None where there is none.
    told_apart : Array (samples,), optional
        That column, where it is kept.
    within : mapping of str to (float, float)
        Numbers between which rewards were found to lie, all finite, and 0, where that was looked at.
    """

    file: TableFile
    prompt: str
    identifiers: pa.Array
    rewards: Mapping[str, FloatArray]
    rows: IntArray | None = None
    notes: tuple[str, ...] = ()
    sample: str | None = None
    told_apart: pa.Array | None = None
    within: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(self.identifiers)

    def by_prompt(self) -> tuple[npt.NDArray[np.object_], IntArray, Mapping[str, FloatArray]]:
        """Return the prompts in order of appearance, their sizes, and the rewards with those of a prompt together.

        Returns
        -------
        prompts : array (prompts,)
            In order of appearance.
        sizes : array of int (prompts,)
            Their samples.
        rewards : mapping of str to array (samples,)
            With those of a prompt together.
        """
        runs = pc.run_end_encode(self.identifiers, run_end_type=pa.int64())  # most tables have each prompt in one
        lengths = np.diff(runs.run_ends.to_numpy(), prepend=0)
        encoded = runs.values.dictionary_encode()
        codes = encoded.indices.to_numpy()
        names = np.empty(len(encoded.dictionary), dtype=object)
        names[:] = encoded.dictionary.to_pylist()
        if names.size == codes.size:
            return names, lengths, self.rewards
        order = np.argsort(np.repeat(codes, lengths), kind="stable")
        sizes = np.bincount(codes, lengths, minlength=names.size).astype(np.int64)
        return names, sizes, {name: values[order] for name, values in self.rewards.items()}

    def without_gaps(self, drop: bool) -> Samples:
        """Leave out samples without a prompt or without a finite value of every reward, or say which they are.

        Parameters
        ----------
        drop : bool
            Leave them out; else they are refused.

        Raises
        ------
        InputError
            If there are any and they are not to be left out, or nothing is left.
        """
        nameless = self.identifiers.null_count > 0
        bad = (
            np.asarray(self.identifiers.is_null().to_numpy(zero_copy_only=False))
            if nameless
            else np.zeros(self.size, bool)
        )
        found = [f"{self.prompt!r} in {bad.sum()}{self.file.word_for_missing(self.prompt)}"] if nameless else []
        within = dict[str, tuple[float, float]]()
        for name, values in self.rewards.items():
            low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))  # NaN where one is
            if SMALLEST_REWARD <= max(-low, high) <= LARGEST_REWARD:
                within[name] = low, high
                continue  # all finite, and none to refuse, as nearly always
            finite = np.isfinite(values)
            if not finite.all():
                n_infinite = int(np.isinf(values).sum())
                kinds = f" ({n_infinite} infinite)" if n_infinite else ""
                found.append(f"{name!r} in {int((~finite).sum())}{kinds}")
                bad = bad | ~finite
            self._check_range(name, values, finite)
        if not found:
            return replace(self, within=within)
        where = np.flatnonzero(bad)
        rows = list(dict.fromkeys((where if self.rows is None else self.rows[where]).tolist()))
        lacked = "a finite value" if not nameless else "a prompt" + " or a finite value" * (len(found) > 1)
        more = f" and {len(found) - _SHOWN} more columns" if len(found) > _SHOWN else ""
        said = (
            f"{where.size} of {bad.size} samples of {self.file.path} lack {lacked}: {', '.join(found[:_SHOWN])}"
            f"{more}; {self.file.where(rows[:_SHOWN], total=len(rows))}"
        )
        if where.size == bad.size:
            remedy = f"Nothing would be left without them; fill them in{self._mean_hint()}"
            if len(found) > 1:
                remedy = "No sample has a value of every reward asked for; score the same samples by all of them"
            raise InputError(f"{said}. {remedy}.", rows=rows)
        if len(found) > 1:
            said += f"; {bad.size - where.size} samples have every reward asked for"
        if not drop:
            raise InputError(
                f"{said}. Fill them in, or pass drop_missing=True to go on without these samples{self._mean_hint()}.",
                rows=rows,
            )
        rewards = {name: values[~bad] for name, values in self.rewards.items()}
        kept = replace(
            self,
            identifiers=self.identifiers.filter(pa.array(~bad)),
            rewards=rewards,
            rows=None if self.rows is None else self.rows[~bad],
            told_apart=None if self.told_apart is None else self.told_apart.filter(pa.array(~bad)),
        )
        n_lost = self.n_prompts() - kept.n_prompts()
        lost = f"; {n_lost} prompts have no samples left and are gone" if n_lost else ""
        return replace(kept, notes=(*self.notes, f"Dropped: {said}{lost}."))

    def _check_range(self, name: str, values: FloatArray, finite: BoolArray) -> None:
        """Refuse rewards that are too large or too small to compute with."""
        places = None if finite.all() else np.flatnonzero(finite)

        def where(at: int) -> str:
            place = at if places is None else int(places[at])
            return f"in {self.file.where([place if self.rows is None else int(self.rows[place])])}"

        check_range(f"column {name!r} of {self.file.path}", values if places is None else values[places], where)

    def n_prompts(self) -> int:
        """Count the prompts that have samples."""
        return int(pc.count_distinct(self.identifiers).as_py())

    def _mean_hint(self) -> str:
        gaps = [n for n, v in self.rewards.items() if n.startswith(("mean:", "sum:")) and not np.isfinite(v).all()]
        if not gaps:
            return ""
        does = "average" if gaps[0].startswith("mean:") else "add up"
        return f", or ask for {'nan' + gaps[0]!r} to {does} the members that are present"
