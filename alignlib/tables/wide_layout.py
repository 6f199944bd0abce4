"""The wide layout: one row per prompt, its samples side by side in columns, or in a list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.errors import InputError
from alignlib.tables.columns import identifiers, is_list, is_pattern, match, numbers, require_column
from alignlib.tables.samples import Samples, load, same_column
from alignlib.tables.table_file import TableFile

__all__ = ["wide_samples"]


def wide_samples(file: TableFile, prompt: str, entries: Sequence[str]) -> Samples:
    """One row per prompt: the samples of a reward in the columns of a pattern, in named columns, or in one list."""
    require_column(file, prompt, "prompt")
    several = [entry for entry in entries if is_pattern(file, entry) or ("," in entry and entry not in file.names)]
    if several and len(several) < len(entries):
        raise InputError(
            f"reward={list(entries)!r} mixes groups of columns and single ones in the wide layout; give one pattern, "
            "or one list such as a,b,c, per reward."
        )
    if several:
        groups = {entry: _group(file, entry, prompt) for entry in entries}
    else:
        groups = {"reward": _listed(file, entries, prompt)}
    first = next(iter(groups))
    for pattern, group in groups.items():
        if group.keys() != groups[first].keys():
            raise InputError(
                f"rewards {first!r} and {pattern!r} do not pair up: they mean {len(groups[first])} and {len(group)} "
                f"columns of {file.path}; each sample needs one of both, alike where the wildcard is.",
                column=pattern,
            )
    table = load(file, [prompt, *(name for group in groups.values() for name in group.values())])
    names = identifiers(file, prompt, table[prompt])
    _check_prompts(file, prompt, names)
    if not several and all(is_list(table[entry].type) for entry in entries):
        return _from_lists(file, prompt, names, table, entries)
    keys = list(groups[first])
    rewards = {
        name: np.stack([numbers(file, group[key], table[group[key]]) for key in keys], axis=1).reshape(-1)
        for name, group in groups.items()
    }
    return Samples(file, prompt, names, np.repeat(np.arange(table.num_rows), len(keys)), rewards)


def _group(file: TableFile, entry: str, prompt: str) -> dict[str, str]:
    """Columns that hold the samples of one reward, by what the wildcard stands for or by their place in the list."""
    return match(file, entry, [prompt]) if is_pattern(file, entry) else _listed(file, entry.split(","), prompt)


def _listed(file: TableFile, names: Sequence[str], prompt: str) -> dict[str, str]:
    if prompt in names:
        raise same_column(prompt, "prompt")
    return {str(place): require_column(file, name, "reward") for place, name in enumerate(names)}


def _from_lists(file: TableFile, prompt: str, names: pa.Array, table: pa.Table, entries: Sequence[str]) -> Samples:
    sizes = pc.fill_null(pc.list_value_length(table[entries[0]]), 0).to_numpy()
    empty = np.flatnonzero(sizes == 0)
    if empty.size:
        raise InputError(
            f"column {entries[0]!r} of {file.path} lists no samples in {empty.size} rows, the first "
            f"{file.where(empty[:1].tolist())}; remove these prompts, or give their samples.",
            column=entries[0],
            rows=empty.tolist(),
        )
    for entry in entries[1:]:
        other = pc.fill_null(pc.list_value_length(table[entry]), 0).to_numpy()
        if (other != sizes).any():
            row = int(np.argmax(other != sizes))
            raise InputError(
                f"columns {entries[0]!r} and {entry!r} of {file.path} list {sizes[row]} and {other[row]} samples in "
                f"{file.where([row])}; each sample needs both rewards.",
                column=entry,
                rows=[row],
            )
    rewards = {entry: numbers(file, entry, pc.list_flatten(table[entry])) for entry in entries}
    return Samples(file, prompt, names, np.repeat(np.arange(table.num_rows), sizes), rewards)


def _check_prompts(file: TableFile, prompt: str, names: pa.Array) -> None:
    """Refuse a prompt that has two rows in the wide layout."""
    where = np.flatnonzero(names.is_valid().to_numpy(zero_copy_only=False))
    codes = names.dictionary_encode().indices.drop_null().to_numpy()
    again = np.setdiff1d(np.arange(codes.size), np.unique(codes, return_index=True)[1])
    if again.size:
        row = int(where[again[0]])
        raise InputError(
            f"{again.size} rows of {file.path} repeat a prompt, the first {names[row].as_py()!r} in "
            f"{file.where([row])}; the wide layout has one row per prompt: merge them, or drop wide=True (--wide).",
            column=prompt,
            rows=[row],
        )
