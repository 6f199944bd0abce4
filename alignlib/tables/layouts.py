"""The layouts of a table: long, with one row per sample, and wide, with one row per prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.errors import InputError
from alignlib._core.names import counted
from alignlib.tables.as_identifiers import identifiers
from alignlib.tables.as_numbers import numbers
from alignlib.tables.columns import RewardColumn, expand, is_pattern, match, require_column, split_names
from alignlib.tables.list_cells import holds_lists, list_cells
from alignlib.tables.samples import Samples
from alignlib.tables.table_file import TableFile, load

__all__ = ["long_samples", "read_samples", "wide_samples"]

_SAMPLE = "sample_id"  # numbers the samples of a prompt where no other column is named


def read_samples(
    file: TableFile,
    prompt: str | None,
    entries: Sequence[str],
    *,
    sample: str | None = None,
    wide: bool = False,
    named: bool = False,
) -> Samples:
    """Return the samples of a table in the order of its rows.

    Parameters
    ----------
    file : TableFile
        The table.
    prompt : str, optional
        The column that names the prompt; one prompt if None.
    entries : sequence of str
        The rewards, as `RewardTable.read` takes them.
    sample : str, optional
        The column that tells the samples of a prompt apart.
    wide : bool
        Whether a row has all samples of a prompt, one a column or in lists.
    named : bool
        Keep what tells the samples of a prompt apart, which is checked in any case.

    Raises
    ------
    InputError
        If a column is missing, a cell holds no number, or a sample comes twice.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"id": [1, 1, 2, 2], "r": [0.0, 1.0, 2.0, 3.0]})
    >>> read_samples(TableFile("t", ("id", "r"), table.select), "id", ["r"]).rewards["r"].tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    if not (wide and prompt):
        return long_samples(file, prompt, entries, sample, named=named)
    found = wide_samples(file, prompt, entries)
    return replace(found, told_apart=pa.array(_places(found))) if named else found


def _places(samples: Samples) -> IntArray:
    """Number the samples of each row of a wide table."""
    assert samples.rows is not None
    first = np.flatnonzero(np.diff(samples.rows, prepend=-1))
    return np.asarray(np.arange(samples.rows.size) - np.repeat(first, np.diff(first, append=samples.rows.size)))


def long_samples(
    file: TableFile, prompt: str | None, entries: Sequence[str], sample: str | None, *, named: bool = False
) -> Samples:
    """One row per sample: a prompt column, reward columns, perhaps a column that numbers the samples.

    Without a prompt column all rows are samples of one prompt.

    Parameters
    ----------
    file : TableFile
        The table.
    prompt : str, optional
        The column that names the prompt.
    entries : sequence of str
        The rewards, as `RewardTable.read` takes them.
    sample : str, optional
        The column that tells the samples of a prompt apart.
    named : bool
        Keep that column.

    Raises
    ------
    InputError
        If a column is missing, or a sample comes twice.
    """
    if prompt is None:
        return _one_prompt(file, entries)
    require_column(file, prompt, "prompt")
    if sample is not None:
        require_column(file, sample, "sample")
        if sample == prompt:
            raise _same_column(prompt, "sample", "prompt")
    elif _SAMPLE in file.names and _SAMPLE not in (prompt, *entries):
        sample = require_column(file, _SAMPLE, "sample")
    taken = [prompt] if sample is None else [prompt, sample]
    wanted = expand(file, entries, taken)
    members = list(dict.fromkeys(name for column in wanted for name in column.members))
    for argument, name in zip(("prompt", "sample"), taken, strict=False):
        if name in members:
            raise _same_column(name, argument)
    table = load(file, [*taken, *members])
    cells = dict(zip(table.column_names, table.columns, strict=True))
    del table  # a column is let go of once it is read
    values = {name: numbers(file, name, cells.pop(name), of_samples=True) for name in members}
    names = identifiers(file, prompt, cells.pop(prompt))
    told_apart = None if sample is None else identifiers(file, sample, cells.pop(sample))
    if sample is not None and told_apart is not None:
        _check_samples(file, prompt, names, sample, told_apart)
    rewards = {column.name: _reward(column, values) for column in wanted}
    notes = tuple(_absent(column, values) for column in wanted if column.how in ("nanmean", "nansum"))
    said = tuple(filter(None, notes))
    return Samples(file, prompt, names, rewards, notes=said, sample=sample, told_apart=told_apart if named else None)


def _one_prompt(file: TableFile, entries: Sequence[str]) -> Samples:
    """Every row a sample of one prompt."""
    wanted = expand(file, entries, [])
    members = list(dict.fromkeys(name for column in wanted for name in column.members))
    table = load(file, members)
    values = {name: numbers(file, name, table[name]) for name in members}
    rewards = {column.name: _reward(column, values) for column in wanted}
    notes = tuple(_absent(column, values) for column in wanted if column.how in ("nanmean", "nansum"))
    names = pa.array(["all"] * table.num_rows)
    return Samples(file, "prompt", names, rewards, notes=tuple(filter(None, notes)), sample="")


def _reward(column: RewardColumn, values: Mapping[str, FloatArray]) -> FloatArray:
    """Return a column, or the mean or sum of several; no finite value where a needed member, or each, is missing."""
    if not column.how:
        return values[column.members[0]]
    total = np.zeros_like(values[column.members[0]])
    present = np.zeros_like(total)
    with np.errstate(invalid="ignore", over="ignore"):  # 0/0 and inf - inf become NaN, which is said not to be finite
        for name in column.members:
            here = ~np.isnan(values[name]) if column.how in ("nanmean", "nansum") else True
            total += np.where(here, values[name], 0.0)
            present += here
        if column.how in ("sum", "nansum"):
            return np.where(present > 0, total, np.nan)
        mean: FloatArray = total / present
    return mean


def _absent(column: RewardColumn, values: Mapping[str, FloatArray]) -> str:
    """Say how many members an average or a sum has passed over."""
    absent = sum(int(np.isnan(values[name]).sum()) for name in column.members)
    size = sum(values[name].size for name in column.members)
    does = "averages" if column.how == "nanmean" else "adds up"
    return f"{column.name!r} {does} the members present; {absent} of {size} values are missing." if absent else ""


def _check_samples(file: TableFile, prompt: str, names: pa.Array, sample: str, given: pa.Array) -> None:
    """Refuse a (prompt, sample) that comes twice: the same response would count twice."""
    samples = given.dictionary_encode(null_encoding="encode")
    codes = names.dictionary_encode(null_encoding="encode").indices.to_numpy().astype(np.int64)
    pairs = codes * (len(samples.dictionary) + 1) + samples.indices.to_numpy()
    order = np.argsort(pairs, kind="stable")
    here = names.is_valid().to_numpy(zero_copy_only=False)[order[1:]]  # that a prompt is missing is said elsewhere
    again = np.flatnonzero((pairs[order][1:] == pairs[order][:-1]) & here)
    if again.size:
        first = again[np.argmin(order[again + 1])]
        rows = [int(order[first]), int(order[first + 1])]
        pair = (names[rows[0]].as_py(), given[rows[0]].as_py())
        raise InputError(
            f"{again.size} rows of {file.path} repeat an earlier ({prompt!r}, {sample!r}), the first {pair} in "
            f"{file.where(rows)}; remove the repeats, or name in sample the column that tells the samples of a "
            "prompt apart.",
            column=sample,
            rows=rows,
        )


def wide_samples(file: TableFile, prompt: str, entries: Sequence[str]) -> Samples:
    """One row per prompt: the samples of a reward in the columns of a pattern, in named columns, or in one list.

    Parameters
    ----------
    file : TableFile
        The table.
    prompt : str
        The column that names the prompt.
    entries : sequence of str
        The reward, as `RewardTable.read` takes it.

    Raises
    ------
    InputError
        If a column is missing, or it is not one reward that is meant.
    """
    require_column(file, prompt, "prompt")
    several = [e for e in entries if is_pattern(file, e) or (e not in file.names and len(split_names(e)) > 1)]
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
    members = [] if several else list(groups["reward"].values())
    if members and all(holds_lists(file, name, table[name]) for name in members):
        return _from_lists(file, prompt, names, table, members)
    keys = list(groups[first])
    rewards = {
        name: np.stack([numbers(file, group[key], table[group[key]]) for key in keys], axis=1).reshape(-1)
        for name, group in groups.items()
    }
    return _from_rows(file, prompt, names, np.full(table.num_rows, len(keys)), rewards)


def _group(file: TableFile, entry: str, prompt: str) -> dict[str, str]:
    """Columns that hold the samples of one reward, by what the wildcard stands for or by their place in the list."""
    return match(file, entry, [prompt]) if is_pattern(file, entry) else _listed(file, split_names(entry), prompt)


def _listed(file: TableFile, names: Sequence[str], prompt: str) -> dict[str, str]:
    if prompt in names:
        raise _same_column(prompt, "prompt")
    return {str(place): require_column(file, name, "reward") for place, name in enumerate(names)}


def _from_lists(file: TableFile, prompt: str, names: pa.Array, table: pa.Table, entries: Sequence[str]) -> Samples:
    lists = {entry: list_cells(file, entry, table[entry]) for entry in entries}
    sizes = lists[entries[0]][1]
    empty = np.flatnonzero(sizes == 0)
    if empty.size:
        raise InputError(
            f"column {entries[0]!r} of {file.path} lists no samples in {counted(empty.size, 'row')}, the first "
            f"{file.where(empty[:1].tolist())}; remove these prompts, or give their samples.",
            column=entries[0],
            rows=empty.tolist(),
        )
    for entry, (_, other) in lists.items():
        if (other != sizes).any():
            row = int(np.argmax(other != sizes))
            raise InputError(
                f"columns {entries[0]!r} and {entry!r} of {file.path} list {sizes[row]} and {other[row]} samples in "
                f"{file.where([row])}; each sample needs both rewards.",
                column=entry,
                rows=[row],
            )
    rewards = {entry: values for entry, (values, _) in lists.items()}
    return _from_rows(file, prompt, names, sizes, rewards)


def _from_rows(
    file: TableFile, prompt: str, names: pa.Array, sizes: IntArray, rewards: Mapping[str, FloatArray]
) -> Samples:
    """Return the samples of rows that hold several each."""
    rows = np.repeat(np.arange(sizes.size), sizes)
    return Samples(file, prompt, names.take(pa.array(rows)), rewards, rows)


def _check_prompts(file: TableFile, prompt: str, names: pa.Array) -> None:
    """Refuse a prompt that has two rows in the wide layout."""
    where = np.flatnonzero(names.is_valid().to_numpy(zero_copy_only=False))
    codes = names.dictionary_encode().indices.drop_null().to_numpy()
    again = np.setdiff1d(np.arange(codes.size), np.unique(codes, return_index=True)[1])
    if again.size:
        row = int(where[again[0]])
        raise InputError(
            f"{again.size} rows of {file.path} repeat a prompt, the first {names[row].as_py()!r} in "
            f"{file.where([row])}; the wide layout has one row per prompt: merge them, or leave out wide=True.",
            column=prompt,
            rows=[row],
        )


def _same_column(name: str, argument: str, other: str = "reward") -> InputError:
    """Say that one column is asked for as two things."""
    return InputError(f"{name!r} is asked for as {other} and as {argument}; name two different columns.", column=name)
