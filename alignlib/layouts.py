"""Long and wide layouts of a table file, both brought to one list of cells, each one sample of one prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._checks import FloatArray, IntArray
from alignlib.columns import (
    RewardColumn,
    expand,
    identifiers,
    is_list,
    is_pattern,
    match,
    numbers,
    require_column,
)
from alignlib.table_file import RewardTableError, TableFile

__all__ = ["Cells", "long_cells", "wide_cells"]

_SHOWN = 5  # rows, and columns, named in a message
_SAMPLE = "sample_id"  # numbers the samples of a prompt where no other column is named


@dataclass(frozen=True)
class Cells:
    """Samples in the order of the file: the row each is from, and its rewards (NaN where missing)."""

    file: TableFile
    prompt: str
    identifiers: pa.Array
    rows: IntArray
    rewards: Mapping[str, FloatArray]
    notes: tuple[str, ...] = ()

    def prompt_codes(self) -> tuple[IntArray, npt.NDArray[np.object_]]:
        """Number the prompts in order of appearance: the number of each cell, and the prompts."""
        encoded = self.identifiers.take(pa.array(self.rows)).dictionary_encode()
        names = np.empty(len(encoded.dictionary), dtype=object)
        names[:] = encoded.dictionary.to_pylist()
        return encoded.indices.to_numpy().astype(np.int64), names

    def without_gaps(self, drop: bool) -> Cells:
        """Leave out cells without a prompt or without a finite value of every reward, or say which they are."""
        bad = self.identifiers.is_null().to_numpy(zero_copy_only=False)[self.rows]
        found = [f"{self.prompt!r} in {bad.sum()}"] if bad.any() else []
        for name, values in self.rewards.items():
            finite = np.isfinite(values)
            if not finite.all():
                n_infinite = int(np.isinf(values).sum())
                kinds = f" ({n_infinite} infinite)" if n_infinite else ""
                found.append(f"{name!r} in {int((~finite).sum())}{kinds}")
                bad = bad | ~finite
        if not found:
            return self
        where = np.flatnonzero(bad)
        rows = list(dict.fromkeys(self.rows[where].tolist()))
        more = f" and {len(found) - _SHOWN} more columns" if len(found) > _SHOWN else ""
        said = (
            f"{where.size} of {bad.size} samples of {self.file.path} lack a finite value: {', '.join(found[:_SHOWN])}"
            f"{more}; {self.file.where(rows[:_SHOWN], total=len(rows))}"
        )
        if not drop:
            raise RewardTableError(
                f"{said}. Fill them in, or pass drop_missing=True (--drop-missing) to go on without these samples"
                f"{self._mean_hint()}.",
                rows=rows,
            )
        if where.size == bad.size:
            raise RewardTableError(f"{said}. Nothing would be left without them; fill them in.", rows=rows)
        rewards = {name: values[~bad] for name, values in self.rewards.items()}
        kept = replace(self, rows=self.rows[~bad], rewards=rewards)
        n_lost = self.n_prompts() - kept.n_prompts()
        lost = f"; {n_lost} prompts have no samples left and are gone" if n_lost else ""
        return replace(kept, notes=(*self.notes, f"Dropped: {said}{lost}."))

    def n_prompts(self) -> int:
        """Count the prompts that have cells."""
        return int(pc.count_distinct(self.identifiers.take(pa.array(np.unique(self.rows)))).as_py())

    def _mean_hint(self) -> str:
        means = [n for n, v in self.rewards.items() if n.startswith("mean:") and not np.isfinite(v).all()]
        return f", or ask for {'nan' + means[0]!r} to average the members that are present" if means else ""


def long_cells(file: TableFile, prompt: str, entries: Sequence[str], sample: str | None) -> Cells:
    """One row per sample: a prompt column, reward columns, perhaps a column that numbers the samples."""
    require_column(file, prompt, "prompt")
    if sample is not None:
        require_column(file, sample, "sample")
    elif _SAMPLE in file.names and _SAMPLE not in (prompt, *entries):
        sample = require_column(file, _SAMPLE, "sample")
    taken = [prompt] if sample is None else [prompt, sample]
    wanted = expand(file, entries, taken)
    members = list(dict.fromkeys(name for column in wanted for name in column.members))
    for argument, name in zip(("prompt", "sample"), taken, strict=False):
        if name in members:
            raise _same_column(name, argument)
    table = _load(file, [*taken, *members])
    values = {name: numbers(file, name, table[name]) for name in members}
    names = identifiers(file, prompt, table[prompt])
    if sample is not None:
        _check_samples(file, prompt, names, sample, table[sample])
    rewards = {column.name: _reward(column, values) for column in wanted}
    notes = tuple(_absent(column, values) for column in wanted if column.average == "nanmean")
    return Cells(file, prompt, names, np.arange(table.num_rows), rewards, tuple(filter(None, notes)))


def _reward(column: RewardColumn, values: Mapping[str, FloatArray]) -> FloatArray:
    """Return a column, or the mean of several; no finite mean where a needed member is missing."""
    if not column.average:
        return values[column.members[0]]
    total = np.zeros_like(values[column.members[0]])
    present = np.zeros_like(total)
    with np.errstate(invalid="ignore"):  # 0/0 and inf - inf become NaN, which is reported as not finite
        for name in column.members:
            here = ~np.isnan(values[name]) if column.average == "nanmean" else True
            total += np.where(here, values[name], 0.0)
            present += here
        mean: FloatArray = total / present
    return mean


def _absent(column: RewardColumn, values: Mapping[str, FloatArray]) -> str:
    """Say how many members an average has passed over."""
    absent = sum(int(np.isnan(values[name]).sum()) for name in column.members)
    size = sum(values[name].size for name in column.members)
    return f"{column.name!r} averages the members present; {absent} of {size} values are missing." if absent else ""


def _check_samples(file: TableFile, prompt: str, names: pa.Array, sample: str, column: pa.ChunkedArray) -> None:
    """Refuse a (prompt, sample) that comes twice: the same response would count twice."""
    samples = column.combine_chunks().dictionary_encode(null_encoding="encode")
    codes = names.dictionary_encode(null_encoding="encode").indices.to_numpy().astype(np.int64)
    pairs = codes * (len(samples.dictionary) + 1) + samples.indices.to_numpy()
    order = np.argsort(pairs, kind="stable")
    again = np.flatnonzero(pairs[order][1:] == pairs[order][:-1])
    if again.size:
        first = again[np.argmin(order[again + 1])]
        rows = [int(order[first]), int(order[first + 1])]
        pair = (names[rows[0]].as_py(), column[rows[0]].as_py())
        raise RewardTableError(
            f"{again.size} rows of {file.path} repeat an earlier ({prompt}, {sample}), the first {pair} in "
            f"{file.where(rows)}; remove the repeats, or name in sample (--sample) the column that tells the "
            "samples of a prompt apart.",
            column=sample,
            rows=rows,
        )


def wide_cells(file: TableFile, prompt: str, entries: Sequence[str]) -> Cells:
    """One row per prompt: the samples of a reward in the columns of a pattern, in named columns, or in one list."""
    require_column(file, prompt, "prompt")
    patterns = [entry for entry in entries if is_pattern(file, entry)]
    if patterns and len(patterns) < len(entries):
        raise RewardTableError(
            f"reward={list(entries)!r} mixes patterns and names in the wide layout; give one pattern per reward, or "
            "name the columns of one reward."
        )
    groups = {pattern: match(file, pattern, [prompt]) for pattern in patterns}
    if not patterns:
        groups = {"reward": {name: require_column(file, name, "reward") for name in entries}}
        if prompt in entries:
            raise _same_column(prompt, "prompt")
    first = next(iter(groups))
    for pattern, group in groups.items():
        if group.keys() != groups[first].keys():
            raise RewardTableError(
                f"reward patterns {first!r} and {pattern!r} do not pair up: they match {len(groups[first])} and "
                f"{len(group)} columns of {file.path}; each sample needs one of both, alike where the wildcard is.",
                column=pattern,
            )
    table = _load(file, [prompt, *(name for group in groups.values() for name in group.values())])
    names = identifiers(file, prompt, table[prompt])
    _check_prompts(file, prompt, names)
    if not patterns and all(is_list(table[entry].type) for entry in entries):
        return _list_cells(file, prompt, names, table, entries)
    keys = list(groups[first])
    rewards = {
        pattern: np.stack([numbers(file, group[key], table[group[key]]) for key in keys], axis=1).reshape(-1)
        for pattern, group in groups.items()
    }
    return Cells(file, prompt, names, np.repeat(np.arange(table.num_rows), len(keys)), rewards)


def _list_cells(file: TableFile, prompt: str, names: pa.Array, table: pa.Table, entries: Sequence[str]) -> Cells:
    sizes = pc.fill_null(pc.list_value_length(table[entries[0]]), 0).to_numpy()
    empty = np.flatnonzero(sizes == 0)
    if empty.size:
        raise RewardTableError(
            f"column {entries[0]!r} of {file.path} lists no samples in {empty.size} rows, the first "
            f"{file.where(empty[:1].tolist())}; remove these prompts, or give their samples.",
            column=entries[0],
            rows=empty.tolist(),
        )
    for entry in entries[1:]:
        other = pc.fill_null(pc.list_value_length(table[entry]), 0).to_numpy()
        if (other != sizes).any():
            row = int(np.argmax(other != sizes))
            raise RewardTableError(
                f"columns {entries[0]!r} and {entry!r} of {file.path} list {sizes[row]} and {other[row]} samples in "
                f"{file.where([row])}; each sample needs both rewards.",
                column=entry,
                rows=[row],
            )
    rewards = {entry: numbers(file, entry, pc.list_flatten(table[entry])) for entry in entries}
    return Cells(file, prompt, names, np.repeat(np.arange(table.num_rows), sizes), rewards)


def _check_prompts(file: TableFile, prompt: str, names: pa.Array) -> None:
    """Refuse a prompt that has two rows in the wide layout."""
    where = np.flatnonzero(names.is_valid().to_numpy(zero_copy_only=False))
    codes = names.dictionary_encode().indices.drop_null().to_numpy()
    again = np.setdiff1d(np.arange(codes.size), np.unique(codes, return_index=True)[1])
    if again.size:
        row = int(where[again[0]])
        raise RewardTableError(
            f"{again.size} rows of {file.path} repeat a prompt, the first {names[row].as_py()!r} in "
            f"{file.where([row])}; the wide layout has one row per prompt: merge them, or drop wide=True (--wide).",
            column=prompt,
            rows=[row],
        )


def _load(file: TableFile, columns: Sequence[str]) -> pa.Table:
    table = file.load(list(dict.fromkeys(columns)))
    if table.num_rows == 0:
        raise RewardTableError(f"{file.path} has a header but no rows; give at least two samples of a prompt.")
    return table


def _same_column(name: str, argument: str) -> RewardTableError:
    return RewardTableError(
        f"{name!r} is asked for as reward and as {argument}; name two different columns.", column=name
    )
