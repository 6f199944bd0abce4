"""The long layout: one row per sample, with a prompt column and one or several reward columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.tables.columns import RewardColumn, expand, identifiers, numbers, require_column
from alignlib.tables.samples import Samples, load, same_column
from alignlib.tables.table_file import TableFile

__all__ = ["long_samples"]

_SAMPLE = "sample_id"  # numbers the samples of a prompt where no other column is named


def long_samples(file: TableFile, prompt: str, entries: Sequence[str], sample: str | None) -> Samples:
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
            raise same_column(name, argument)
    table = load(file, [*taken, *members])
    values = {name: numbers(file, name, table[name]) for name in members}
    names = identifiers(file, prompt, table[prompt])
    if sample is not None:
        _check_samples(file, prompt, names, sample, table[sample])
    rewards = {column.name: _reward(column, values) for column in wanted}
    notes = tuple(_absent(column, values) for column in wanted if column.average == "nanmean")
    return Samples(file, prompt, names, np.arange(table.num_rows), rewards, tuple(filter(None, notes)))


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
        raise InputError(
            f"{again.size} rows of {file.path} repeat an earlier ({prompt}, {sample}), the first {pair} in "
            f"{file.where(rows)}; remove the repeats, or name in sample (--sample) the column that tells the "
            "samples of a prompt apart.",
            column=sample,
            rows=rows,
        )
