"""Long and wide layouts of a table file, both brought to one list of cells: a prompt, and the rewards of one sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._checks import BoolArray, FloatArray, IntArray
from alignlib.columns import RewardColumn, expand, identifiers, match, numbers, require_column
from alignlib.reading import RewardTableError, TableFile

__all__ = ["Cells", "long_cells", "wide_cells"]

_SHOWN = 5  # rows named in a message
_DEFAULT_SAMPLE = "sample_id"


@dataclass(frozen=True)
class Cells:
    """Samples in the order of the file: the row each came from, its prompt, its rewards (NaN where missing)."""

    file: TableFile
    prompt: str
    identifiers: pa.Array
    no_prompt: BoolArray
    rows: IntArray
    rewards: dict[str, FloatArray]
    few_hint: str = ""
    notes: tuple[str, ...] = ()

    def prompt_codes(self) -> tuple[IntArray, npt.NDArray[np.object_]]:
        """Number the prompts in order of appearance: the number of each cell, and the prompts."""
        encoded = self.identifiers.take(pa.array(self.rows)).dictionary_encode()
        names = np.empty(len(encoded.dictionary), dtype=object)
        names[:] = encoded.dictionary.to_pylist()
        return encoded.indices.to_numpy().astype(np.int64), names

    def without_gaps(self, drop: bool) -> tuple[Cells, int, tuple[str, ...]]:
        """Leave out cells without a prompt or a finite value of every reward, or say which they are."""
        found: list[str] = []
        bad = self.no_prompt[self.rows]
        if bad.any():
            found.append(f"{self.prompt!r} is missing in {bad.sum()}")
        for name, values in self.rewards.items():
            missing, infinite = np.isnan(values), np.isinf(values)
            counts = [
                f"{mask.sum()} {word}"
                for mask, word in ((missing, "missing"), (infinite, "infinite"))
                if mask.any()
            ]
            if counts:
                found.append(
                    f"{name!r} is not finite in {missing.sum() + infinite.sum()} ({', '.join(counts)})"
                )
                bad = bad | missing | infinite
        if not found:
            return self, 0, self.notes
        where = np.flatnonzero(bad)
        n_bad, n_all = int(bad.sum()), bad.size
        what = "; ".join(found[:4]) + (f"; and {len(found) - 4} more columns" if len(found) > 4 else "")
        first = self.file.where(list(dict.fromkeys(self.rows[where[:_SHOWN]].tolist())), total=n_bad)
        said = f"{n_bad} of {n_all} samples of {self.file.path} lack a value: {what}; {first}"
        if not drop:
            raise RewardTableError(
                f"{said}. Fill them in, or pass drop_missing=True (--drop-missing) to go on without these samples"
                f"{self._mean_hint()}.",
                rows=where.tolist(),
            )
        if n_bad == n_all:
            raise RewardTableError(
                f"{said}. Nothing is left after dropping them; fill them in.", rows=where.tolist()
            )
        kept = replace(
            self, rows=self.rows[~bad], rewards={name: values[~bad] for name, values in self.rewards.items()}
        )
        return kept, n_bad, (*self.notes, f"Dropped, as asked: {said}.")

    def _mean_hint(self) -> str:
        mean = next(
            (n for n, v in self.rewards.items() if n.startswith("mean:") and not np.isfinite(v).all()), None
        )
        return f", or ask for {'nan' + mean!r} to average the members that are present" if mean else ""


def long_cells(file: TableFile, prompt: str, entries: Sequence[str], sample: str | None) -> Cells:
    """One row per sample: a prompt column, reward columns, perhaps a column that numbers the samples."""
    require_column(file, prompt, "prompt")
    if sample is not None:
        require_column(file, sample, "sample")
    elif _DEFAULT_SAMPLE in file.names and prompt != _DEFAULT_SAMPLE and _DEFAULT_SAMPLE not in entries:
        sample = require_column(file, _DEFAULT_SAMPLE, "sample")
    skip = [name for name in (prompt, sample) if name is not None]
    wanted = expand(file, entries, skip)
    for column in wanted:
        for name in skip:
            if name in column.members:
                raise RewardTableError(
                    f"{name!r} is asked for as reward and as {'prompt' if name == prompt else 'sample'}; name two columns.",
                    column=name,
                )
    members = list(dict.fromkeys(name for column in wanted for name in column.members))
    table = _load(file, [*skip, *members])
    values = {name: numbers(file, name, table[name]) for name in members}
    names, no_prompt = identifiers(file, prompt, table[prompt])
    if sample is not None:
        _check_duplicates(file, prompt, names, sample, table[sample])
    rewards, notes = {}, []
    for column in wanted:
        rewards[column.name], absent = _average(column, values)
        if absent:
            notes.append(
                f"{column.name!r} averages the members present: {absent} of {len(column.members) * table.num_rows} values "
                "of its members are missing."
            )
    hint = ", or, if the samples of a prompt lie side by side in columns, pass wide=True (--wide)"
    return Cells(file, prompt, names, no_prompt, np.arange(table.num_rows), rewards, hint, tuple(notes))


def _average(column: RewardColumn, values: dict[str, FloatArray]) -> tuple[FloatArray, int]:
    """Return the reward and how many members were missing and passed over."""
    if not column.average:
        return values[column.members[0]], 0
    total = np.zeros_like(values[column.members[0]])
    present = np.zeros(total.shape, dtype=np.int64)
    with np.errstate(
        invalid="ignore"
    ):  # inf - inf, and 0/0 where no member is present: NaN, reported as not finite
        for name in column.members:
            here = ~np.isnan(values[name])
            if column.average == "nanmean":
                total += np.where(here, values[name], 0.0)
            else:
                total += values[name]
            present += here
        absent = total.size * len(column.members) - int(present.sum())
        return total / (present if column.average == "nanmean" else len(column.members)), (
            absent if column.average == "nanmean" else 0
        )


def _check_duplicates(
    file: TableFile, prompt: str, names: pa.Array, sample: str, column: pa.ChunkedArray
) -> None:
    samples = column.combine_chunks().dictionary_encode(null_encoding="encode")
    codes = names.dictionary_encode(null_encoding="encode").indices.to_numpy().astype(np.int64)
    pairs = codes * (len(samples.dictionary) + 1) + samples.indices.to_numpy()
    order = np.argsort(pairs, kind="stable")
    again = np.flatnonzero(pairs[order][1:] == pairs[order][:-1])
    if again.size:
        first = again[np.argmin(order[again + 1])]
        rows = [int(order[first]), int(order[first + 1])]
        raise RewardTableError(
            f"{again.size} rows of {file.path} repeat an earlier ({prompt}, {sample}), the first "
            f"({names[rows[0]].as_py()!r}, {column[rows[0]].as_py()!r}) in {file.where(rows)}; remove the repeats, or name in "
            "sample (--sample) the column that tells the samples of a prompt apart.",
            column=sample,
            rows=rows,
        )


def wide_cells(file: TableFile, prompt: str, entries: Sequence[str]) -> Cells:
    """One row per prompt: the samples of a reward in the columns of a pattern, in named columns, or in one list."""
    require_column(file, prompt, "prompt")
    patterns = [e for e in entries if set(e) & set("*?") and e not in file.names]
    if patterns and len(patterns) < len(entries):
        raise RewardTableError(
            f"reward={list(entries)!r} mixes patterns and names in the wide layout; give one pattern per reward, or the "
            "columns of one reward by name."
        )
    if not patterns:
        groups = {"reward": [(require_column(file, name, "reward"), name) for name in dict.fromkeys(entries)]}
    else:
        groups = {pattern: match(file, pattern, "reward", [prompt]) for pattern in patterns}
    first = next(iter(groups))
    for pattern, hits in groups.items():
        if any(name == prompt for name, _ in hits):
            raise RewardTableError(
                f"{prompt!r} is asked for as reward and as prompt; name two columns.", column=prompt
            )
        if {key for _, key in hits} != {key for _, key in groups[first]}:
            raise RewardTableError(
                f"reward patterns {first!r} and {pattern!r} do not pair up: they match {len(groups[first])} and {len(hits)} "
                "columns, and each sample needs one of both, alike in what the wildcard stands for.",
                column=pattern,
            )
    table = _load(file, [prompt, *dict.fromkeys(name for hits in groups.values() for name, _ in hits)])
    names, no_prompt = identifiers(file, prompt, table[prompt])
    _check_unique(file, prompt, names)
    rows = np.arange(table.num_rows)
    if not patterns and all(
        pa.types.is_list(table[e].type) or pa.types.is_large_list(table[e].type) for e in entries
    ):
        return _list_cells(file, prompt, names, no_prompt, table, entries)
    order = [key for _, key in groups[first]]
    rewards = {}
    for pattern, hits in groups.items():
        by_key = {key: name for name, key in hits}
        stacked = np.stack([numbers(file, by_key[key], table[by_key[key]]) for key in order], axis=1)
        rewards[pattern] = stacked.reshape(-1)
    return Cells(file, prompt, names, no_prompt, np.repeat(rows, len(order)), rewards)


def _list_cells(
    file: TableFile,
    prompt: str,
    names: pa.Array,
    no_prompt: BoolArray,
    table: pa.Table,
    entries: Sequence[str],
) -> Cells:
    sizes = pc.fill_null(pc.list_value_length(table[entries[0]]), 0).to_numpy()
    for entry in entries[1:]:
        other = pc.fill_null(pc.list_value_length(table[entry]), 0).to_numpy()
        if (other != sizes).any():
            row = int(np.argmax(other != sizes))
            raise RewardTableError(
                f"columns {entries[0]!r} and {entry!r} of {file.path} list {sizes[row]} and {other[row]} samples in "
                f"{file.where([row])}; each sample needs both.",
                rows=[row],
            )
    rewards = {entry: numbers(file, entry, pc.list_flatten(table[entry])) for entry in dict.fromkeys(entries)}
    return Cells(file, prompt, names, no_prompt, np.repeat(np.arange(table.num_rows), sizes), rewards)


def _check_unique(file: TableFile, prompt: str, names: pa.Array) -> None:
    codes = names.dictionary_encode().indices.drop_null().to_numpy()
    where = np.flatnonzero(names.is_valid().to_numpy(zero_copy_only=False))
    first_seen = np.unique(codes, return_index=True)[1]
    again = np.setdiff1d(np.arange(codes.size), first_seen)
    if again.size:
        row = int(where[again[0]])
        raise RewardTableError(
            f"{again.size} rows of {file.path} repeat a prompt, the first {names[row].as_py()!r} in {file.where([row])}; the "
            "wide layout has one row per prompt: merge them, or leave out wide=True (--wide).",
            column=prompt,
            rows=[row],
        )


def _load(file: TableFile, columns: Sequence[str]) -> pa.Table:
    table = file.load(list(dict.fromkeys(columns)))
    if table.num_rows == 0:
        raise RewardTableError(f"{file.path} has a header but no rows; give one row per sample.")
    return table
