"""Summaries as Arrow tables and Parquet files, bit for bit, and from one SQL statement.

A row is a prompt, or, in what SQL makes, a bin. The version of the schema is in the metadata of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import InputError, quoted
from alignlib._core.files import whole_file
from alignlib.scale.bin_checks import check_bins, check_ends, check_turned
from alignlib.scale.bins import STEPS, Bins, check_width
from alignlib.scale.dealt import are_groups, first_rows
from alignlib.scale.further import Further
from alignlib.scale.kept import Kept
from alignlib.scale.keys import keys_of, plain_names
from alignlib.scale.member_columns import columns_of_members, members_in
from alignlib.scale.summary import Summary
from alignlib.scale.summary_checks import (
    check_by_gold,
    check_column,
    check_falling,
    check_meta,
    check_values,
    damaged,
    read_meta,
)
from alignlib.tables import check_alone

__all__ = [
    "VERSION",
    "from_arrow",
    "from_batch",
    "holds_summary",
    "is_summary",
    "read_kept",
    "read_summary",
    "sql",
    "to_arrow",
    "to_batch",
    "write_summary",
]

# Of 4 there are no members; of 3 bins lack squares of gold, of 2 they have its sums alone; of 1 steps were finer.
VERSION = 5
_READ = (2, 3, 4, VERSION)
_KEY = b"alignlib_summary"
_REWARD = "reward."
_TURNED = "bins_by_gold"
_MEMBERS = "ensemble"
_BIN = ("index", "count", "total", "square_high", "square_low", "least", "most")
_SQL_BIN = ("bin", "count", "total", "square_high", "square_low", "least", "most")
_FURTHER = ("high", "low", "cross_high", "cross_low", "square_high", "square_low", "least", "most")
_SINCE = {3: ("cross_high", "cross_low", "least", "most"), 4: ("square_high", "square_low")}  # of further columns


def to_arrow(
    summary: Summary | Kept, about: dict[str, Any] | None = None, counts: tuple[int, int] | None = None
) -> pa.Table:
    """Return a summary as an Arrow table: prompts, their samples by column, their bins, and those by gold.

    Parameters
    ----------
    summary : Summary or Kept
        Samples of prompts.
    about : dict, optional
        What is kept beside it, such as notes on how it was made.
    counts : tuple of int, optional
        Prompts and samples of the whole file, where these are known and must be found in it.
    """
    kept = summary if isinstance(summary, Kept) else Kept(summary)
    summary, batch = kept.summary, to_batch(kept.summary)
    meta = {
        "version": VERSION,
        "columns": summary.columns,
        "widths": [one.hex() for one in summary.widths],
        "exact_up_to": summary.exact_up_to,
        "about": about or {},
    } | ({} if counts is None else {"counts": counts})
    if kept.groups:
        meta["groups"] = kept.groups
    if kept.turned is not None:
        assert (kept.turned.keys == summary.keys).all()
        meta["by_gold"] = kept.turned.widths[0].hex()
        batch = batch.append_column(_TURNED, _bins_of(kept.turned))
    if kept.members is not None:
        rows = first_rows(summary, kept.whole) if kept.groups else None
        assert all(np.array_equal(one.keys, kept.whole.keys) for one in kept.members.every)
        columns, meta[_MEMBERS] = columns_of_members(
            kept.members, list(map(to_batch, kept.members.every)), rows, len(summary.sizes)
        )
        for name, column in columns.items():
            batch = batch.append_column(name, column)
    return pa.Table.from_batches([batch]).replace_schema_metadata({_KEY: json.dumps(meta)})


def to_batch(summary: Summary) -> pa.RecordBatch:
    """Return the rows of a summary, a prompt each.

    Parameters
    ----------
    summary : Summary
        Samples of prompts.
    """
    kept = np.where(summary.binned, 0, summary.sizes)
    arrays: dict[str, pa.Array] = {"prompt": summary.names, "samples": pa.array(summary.sizes)}
    for name, values in zip(summary.columns, summary.values, strict=True):
        arrays[_REWARD + name] = _lists(kept, pa.array(values))
    return pa.record_batch(arrays | {"bins": _bins_of(summary)})


def _bins_of(summary: Summary) -> pa.Array:
    """Return the bins of each prompt."""
    bins = summary.bins
    fields: dict[str, pa.Array] = {name: pa.array(getattr(bins, name)) for name in _BIN}
    for name, its in zip(summary.columns[1:], bins.others, strict=True):
        fields |= {f"{one}.{name}": pa.array(getattr(its, one)) for one in _FURTHER}
    counts = np.bincount(bins.row, minlength=len(summary.sizes))
    return _lists(counts, pa.StructArray.from_arrays(list(fields.values()), list(fields)))


def from_arrow(table: pa.Table, path: str = "the table") -> tuple[Kept, dict[str, Any]]:
    """Return the summary that an Arrow table holds, and what is said beside it.

    Parameters
    ----------
    table : Table
        As `to_arrow` made it.
    path : str
        What messages call it.

    Returns
    -------
    kept : Kept
        Samples of prompts.
    about : dict
        What was kept beside it.

    Raises
    ------
    InputError
        For a table that is none, or of a version that is not known here.
    """
    meta = _meta(table.schema, path)
    columns = [name for name in table.schema.names if name.startswith(_REWARD)]
    widths, exact_up_to = check_meta(meta, columns, path)
    table = table.combine_chunks()
    if meta.get("columns") != [name.removeprefix(_REWARD) for name in columns]:
        raise damaged(path, f"it tells of the rewards {quoted(meta.get('columns'))}, and holds others")
    found = from_batch(table, widths, exact_up_to, path, version=meta["version"])
    _check_counts(found, meta.get("counts"), path)
    width, groups = check_by_gold(meta, columns, path)
    if groups and not (found.binned.all() and are_groups(found, groups)):
        raise damaged(path, f"its prompts are no groups, of which it tells {groups}")
    turned = None
    if width is not None:
        both = (width, found.widths[0])
        bins, number = _read_bins(table, _TURNED, found.columns[::-1], both, path, own=False, version=meta["version"])
        if not np.array_equal(np.bincount(bins.row, bins.count, len(number)), np.where(found.binned, found.sizes, 0)):
            raise damaged(path, "its counts by gold disagree with the others")
        check_turned(found.bins, bins, path)
        turned = found.by_second(width, bins)
    kept = Kept(found, turned, groups)
    if _MEMBERS in meta:
        if meta["version"] < VERSION:
            raise damaged(path, f"it says to be of version {meta['version']}, which has no members")

        def read(columns: pa.Table, widths: tuple[float, ...], most: int) -> Summary:
            return from_batch(columns, widths, most, path)

        rows = first_rows(found, kept.whole) if groups else None
        kept = replace(kept, members=members_in(table, meta[_MEMBERS], kept.whole, rows, read, path))
    return kept, dict(meta["about"])


def _check_counts(found: Summary, said: object, path: str) -> None:
    """Refuse a summary from which prompts were taken out, or to which some were added, after it was written."""
    held = [len(found.sizes), found.n_samples]
    if said not in (None, held) and found.n_samples:  # of no prompts another sentence is said
        raise damaged(path, f"it was written with {quoted(said)} prompts and samples, and holds {held}")


def from_batch(
    table: pa.Table | pa.RecordBatch,
    widths: tuple[float, ...],
    exact_up_to: int,
    path: str,
    *,
    own: bool = False,
    version: int = VERSION,
) -> Summary:
    """Return the summary whose rows are given, and check that its counts agree.

    Parameters
    ----------
    table : Table or RecordBatch
        Rows, a prompt each.
    widths : tuple of float
        Width of the bins of each column.
    exact_up_to : int
        The most samples of a prompt that are kept one by one.
    path : str
        What messages call it.
    own : bool
        That this run wrote it: it is read in every pass, and no number of it is looked at again.
    version : int
        Of the schema.

    Raises
    ------
    InputError
        If the counts disagree.
    """
    columns = tuple(name.removeprefix(_REWARD) for name in table.schema.names if name.startswith(_REWARD))
    sizes = _whole_numbers(check_column(table, "samples", "whole", path), "samples", path)
    values, counted = [], []
    for name in columns:
        lists = check_column(table, _REWARD + name, "lists", path)
        values.append(_real_numbers(lists.flatten(), name, path))
        if not own:
            check_values(name, values[-1], path)
        counted.append(lists.value_lengths().to_numpy(zero_copy_only=False))
    bins, number = _read_bins(table, "bins", columns, widths, path, own=own, version=version)
    names = plain_names(check_column(table, "prompt", "names", path))
    keys = keys_of(names)
    binned = number > 0
    consistent = (
        bool(counted)
        and (keys[1:] > keys[:-1]).all()
        and (sizes > 0).all()
        and all(np.array_equal(np.where(binned, 0, sizes), one) for one in counted)
        and np.array_equal(np.bincount(bins.row, bins.count, len(sizes))[binned], sizes[binned])
    )
    require(bool(consistent), f"{path} is a damaged summary: its counts disagree; make it again.", "path")
    if not own:
        check_falling(values[0], sizes[~binned], path)
    return Summary(columns, widths, exact_up_to, names, keys, sizes, binned, tuple(values), bins)


def _read_bins(
    table: pa.Table | pa.RecordBatch,
    column: str,
    columns: Sequence[str],
    widths: Sequence[float],
    path: str,
    *,
    own: bool,
    version: int,
) -> tuple[Bins, IntArray]:
    """Return the bins that a column of lists holds, and how many each prompt has."""
    lists = check_column(table, column, "structures", path)
    number = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    flat = lists.flatten()

    def whole(name: str) -> IntArray:
        return _whole_numbers(check_column(flat, name, "whole", path), name, path)

    plain: dict[str, Any] = {name: whole(name) for name in _BIN[:5]}
    plain |= {name: _real_numbers(check_column(flat, name, "real", path), name, path) for name in _BIN[5:]}

    def further(name: str) -> Further:
        for one in (one for since, some in _SINCE.items() if since > version for one in some):
            if flat.type.get_field_index(f"{one}.{name}") >= 0:
                raise damaged(path, f"it says to be of version {version}, which has no {one}.{name}")
        if version == 2:
            return Further.of_sums(whole(f"high.{name}"), whole(f"low.{name}"))
        high, low, cross_high, cross_low = sums = [whole(f"{one}.{name}") for one in _FURTHER[:4]]
        least, most = ends = [
            _real_numbers(check_column(flat, f"{one}.{name}", "real", path), name, path) for one in _BIN[5:]
        ]
        width = widths[columns.index(name)]
        if not own:
            check_ends(name, least, most, width, path, unknown=version > 3)
        if version == 3:
            return Further.without_squares(sums, ends, plain["count"], width)
        squares = whole(f"square_high.{name}"), whole(f"square_low.{name}")
        return Further(high, low, cross_high, cross_low, *squares, least, most)

    others = tuple(further(name) for name in columns[1:])
    bins = Bins(row=np.repeat(np.arange(len(number)), number), **plain, others=others)
    if not own:
        check_bins(bins, widths, path)
    return bins, number


def _whole_numbers(column: pa.Array, name: str, path: str) -> IntArray:
    try:
        return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid as error:  # beyond 63 bits
        raise damaged(path, f"its column {name!r} has a number that is too large") from error


def _real_numbers(column: pa.Array, name: str, path: str) -> FloatArray:
    if column.null_count:
        raise damaged(path, f"its reward {name!r} has a missing value")
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def write_summary(
    summary: Summary | Kept | Iterable[Summary | Kept],
    path: str | Path,
    about: dict[str, Any] | None = None,
    *,
    force: bool = True,
    counts: tuple[int, int] | None = None,
) -> None:
    """Write a summary, or its pieces one after another, as a Parquet file, whole or not at all.

    Parameters
    ----------
    summary : Summary, Kept, or iterable of these
        Samples of prompts, or pieces of them in the order of keys.
    path : str or Path
        The file.
    about : dict, optional
        What else is to be known of it, kept as JSON.
    force : bool
        Whether a file that is there may be replaced.
    counts : tuple of int, optional
        Prompts and samples of all pieces; what is read must have as many, where this is known.

    Raises
    ------
    FileExistsError
        Where there is such a file, and ``force`` is false.

    Examples
    --------
    >>> import tempfile
    >>> summary = Summary.of(pa.array(["a"]), np.array([2]), {"reward": np.array([0.0, 1.0])})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_summary(summary, Path(folder, "s.parquet"))
    ...     is_summary(Path(folder, "s.parquet"))
    True
    """
    import pyarrow.parquet as pa_parquet

    pieces = iter([summary] if isinstance(summary, (Summary, Kept)) else summary)
    if isinstance(summary, (Summary, Kept)):
        of = summary if isinstance(summary, Summary) else summary.summary
        counts = (len(of.sizes), of.n_samples)
    first = to_arrow(next(pieces), about, counts)
    options: dict[str, Any] = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
    with whole_file(path, replace=force) as file, pa_parquet.ParquetWriter(file, first.schema, **options) as writer:
        writer.write_table(first)
        for piece in pieces:
            writer.write_table(to_arrow(piece, about).cast(first.schema))


def is_summary(path: str | Path) -> bool:
    """Tell whether a file is a summary, or the bins that `sql` makes, without reading more than its footer.

    Parameters
    ----------
    path : str or Path
        The file, which need not exist.

    Examples
    --------
    >>> is_summary("rewards.csv")
    False
    """
    import pyarrow.parquet as pa_parquet

    if not Path(path).is_file() or Path(path).suffix.lower() != ".parquet":
        return False
    try:
        with open(path, "rb") as file:  # here: Arrow takes some names for addresses
            schema = pa_parquet.read_schema(file)
    except (pa.ArrowException, OSError):
        return False
    return _KEY in (schema.metadata or {}) or holds_summary(schema.names)


def holds_summary(names: Sequence[str]) -> bool:
    """Tell whether columns of these names are those of a summary, or of the bins that `sql` makes.

    Parameters
    ----------
    names : sequence of str
        Columns of a file.
    """
    written = {"prompt", "samples", "bins"} <= {*names} and any(name.startswith(_REWARD) for name in names)
    return written or {*_SQL_BIN, "width", "prompt"} <= {*names}


def read_summary(path: str | Path) -> tuple[Summary, dict[str, Any]]:
    """Read a summary of prompts from a Parquet file, whether `write_summary` or the statement of `sql` made it.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    summary : Summary
        Samples of prompts.
    about : dict
        What was written with it.

    Raises
    ------
    InputError
        For a file that holds none, or a damaged one.

    Examples
    --------
    >>> import tempfile
    >>> summary = Summary.of(pa.array(["a"]), np.array([2]), {"reward": np.array([0.0, 1.0])})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_summary(summary, Path(folder, "s.parquet"))
    ...     read_summary(Path(folder, "s.parquet"))[0] == summary
    True
    """
    kept, about = read_kept(path)
    return kept.whole, about


def read_kept(path: str | Path) -> tuple[Kept, dict[str, Any]]:
    """Read all that a summary file holds: bins by gold and by members, too, where these were asked when it was written.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    kept : Kept
        `table_of` makes a table of it.
    about : dict
        What was written with it.

    Raises
    ------
    InputError
        For a file that holds none, or a damaged one.

    Examples
    --------
    >>> import tempfile
    >>> summary = Summary.of(pa.array(["a"]), np.array([2]), {"reward": np.array([0.0, 1.0])})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_summary(summary, Path(folder, "s.parquet"))
    ...     read_kept(Path(folder, "s.parquet"))[0] == Kept(summary)
    True
    """
    import pyarrow.parquet as pa_parquet

    try:
        with open(path, "rb") as file:
            check_alone(file)
        with open(path, "rb") as file:
            table = pa_parquet.read_table(file, page_checksum_verification=True)
        table.validate(full=True)  # names may be no UTF-8
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} is not a whole Parquet file; make the summary again.", argument="path") from error
    if _KEY in (table.schema.metadata or {}):
        return from_arrow(table, str(path))
    return Kept(_from_bins(table, str(path)), unnamed=True), {}


def _meta(schema: pa.Schema, path: str) -> dict[str, Any]:
    stored = (schema.metadata or {}).get(_KEY)
    require(stored is not None, f"{path} is no summary; write one by write_summary.", "path")
    assert stored is not None
    meta = read_meta(stored, path)
    require(
        meta["version"] in _READ,
        f"{path} is a summary of version {quoted(meta['version'])}, and this is for version {VERSION}; make it again, "
        "or take the alignlib that made it.",
        "path",
    )
    return meta


def _lists(sizes: IntArray, values: pa.Array) -> pa.Array:
    return pa.LargeListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)), values)


def sql(
    source: str, prompt: str = "prompt_id", reward: str = "reward", gold: str | None = None, width: float = 2.0**-10
) -> str:
    """Return the statement that makes the bins of a table where it lies; save what it gives as Parquet.

    It is written for DuckDB, and tested with that alone. Another engine must sum whole numbers of 64 bits without
    rounding, and may want other words for: ``a // b``, the whole part of a quotient (in many engines ``/`` gives a
    fraction, and ``//`` begins a comment; below 0 none is left over, so that either way of rounding does); ``a % b``,
    the rest, of either sign (``MOD(a, b)``); ``"name"``, a column (in some engines a text, and names stand in other
    quotes); ``DOUBLE`` and ``BIGINT``, a float and a whole number of 64 bits; a query in ``FROM``, which may need a
    name. Sums that no rewards have are refused when the file is read.

    Parameters
    ----------
    source : str
        The table, or what reads one, as the engine writes it; it goes into the statement as it is, names of columns as
        quoted names.
    prompt, reward, gold : str
        Its columns.
    width : float
        Of the bins, a power of two.

    Examples
    --------
    >>> print(sql("scored", width=0.25).splitlines()[0])
    SELECT prompt, bin, COUNT(*) AS count,
    """
    width = check_width(width)
    steps, text = 1 << STEPS, repr(width)
    more, inner = "", ""
    if gold is not None:
        inner = f",\n    CAST({_quoted(gold)} AS DOUBLE) AS gold, CAST(FLOOR({_quoted(gold)} / {text}) AS BIGINT) AS h"
        rest = f"(u * h % {steps} + {steps}) % {steps}"  # in whole numbers, which products are beyond 2^53
        more = f""",
  CAST(SUM(h) AS BIGINT) AS "high",
  CAST(SUM(CAST(FLOOR(gold / {text} * {steps}) AS BIGINT) - h * {steps}) AS BIGINT) AS "low",
  CAST(SUM((u * h - {rest}) // {steps}) AS BIGINT) AS cross_high,
  CAST(SUM({rest}) AS BIGINT) AS cross_low,
  CAST(SUM(h * h // {steps}) AS BIGINT) AS gold_square_high,
  CAST(SUM(h * h % {steps}) AS BIGINT) AS gold_square_low,
  MIN(gold) AS gold_least, MAX(gold) AS gold_most"""
    return f"""SELECT prompt, bin, COUNT(*) AS count,
  CAST(SUM(u) AS BIGINT) AS total,
  CAST(SUM(u * u // {steps}) AS BIGINT) AS square_high,
  CAST(SUM(u * u % {steps}) AS BIGINT) AS square_low,
  MIN(r) AS least, MAX(r) AS most, {text} AS width{more}
FROM (
  SELECT {_quoted(prompt)} AS prompt, r, bin,
    CAST(FLOOR(r / {text} * {steps}) AS BIGINT) - bin * {steps} AS u{", gold, h" if gold else ""}
  FROM (SELECT {_quoted(prompt)}, CAST({_quoted(reward)} AS DOUBLE) AS r,
    CAST(FLOOR({_quoted(reward)} / {text}) AS BIGINT) AS bin{inner}
    FROM {source})
)
GROUP BY prompt, bin"""


def _quoted(name: str) -> str:
    require(bool(name) and "\0" not in name, f"a column must have a name without NUL; got {name!r}.")
    return '"' + name.replace('"', '""') + '"'


def _from_bins(table: pa.Table, path: str) -> Summary:
    """Return the summary of bins that SQL made, in any order of rows."""
    widths = np.unique(_real_numbers(check_column(table, "width", "real", path), "width", path))
    require(widths.size == 1, f"{path} has bins of {widths.size} widths; make it again with one.", "path")
    width = check_width(float(widths[0]))
    gaps = table["prompt"].null_count
    require(gaps == 0, f"{path} has bins without a prompt; leave rows without one out of the statement.", "path")
    kind = table["prompt"].type
    fractions = pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    require(not fractions, f"{path} has prompts that are fractions, which are no names; cast them to text.", "path")
    if {"bin", "least"} <= {*table.column_names}:
        gaps = table.filter(pc.is_null(table["least"]))["bin"].null_count
        said = f"{path} has bins without a reward; leave rows without one out of the statement."
        require(gaps == 0, said, "path")
    names = plain_names(check_column(table, "prompt", "names", path))
    encoded = names.dictionary_encode()
    distinct = encoded.dictionary
    keys = keys_of(distinct)
    order = np.argsort(keys, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))

    def part(name: str) -> IntArray:
        return _whole_numbers(check_column(table, name, "whole", path), name, path)

    def real(name: str) -> FloatArray:
        values = _real_numbers(check_column(table, name, "real", path), name, path) + 0.0
        require(bool(np.isfinite(values).all()), f"{path} has bins that are not finite; leave such rows out.", "path")
        return values

    gold = {"high", "low"} & {*table.column_names}
    others: tuple[Further, ...] = ()
    if gold and "cross_high" in table.column_names:
        least, most = ends = real("gold_least"), real("gold_most")
        check_ends("gold", least, most, width, path)
        high, low, cross_high, cross_low = sums = [part(name) for name in _FURTHER[:4]]
        if "gold_square_high" in table.column_names:
            squares = part("gold_square_high"), part("gold_square_low")
            others = (Further(high, low, cross_high, cross_low, *squares, least, most),)
        else:
            others = (Further.without_squares(sums, ends, part("count"), width),)
    elif gold:  # of an earlier statement
        others = (Further.of_sums(part("high"), part("low")),)
    bins = Bins(
        place[encoded.indices.to_numpy()],
        part("bin"),
        part("count"),
        part("total"),
        part("square_high"),
        part("square_low"),
        real("least"),
        real("most"),
        others,
    )
    bins = bins.take(np.lexsort((bins.index, bins.row)))  # an engine gives its rows in another order each time
    check_bins(bins, (width,), path)
    bins = Bins.merged(
        [bins.take(np.arange(0, len(bins.row), 2)), bins.take(np.arange(1, len(bins.row), 2))], len(others)
    )
    sizes = np.bincount(bins.row, bins.count, len(order)).astype(np.int64)
    columns = ("reward", "gold") if others else ("reward",)
    return Summary(
        columns,
        (width,) * len(columns),
        0,
        distinct.take(pa.array(order)),
        keys[order],
        sizes,
        np.ones(len(sizes), dtype=bool),
        (np.empty(0),) * len(columns),
        bins,
    )
