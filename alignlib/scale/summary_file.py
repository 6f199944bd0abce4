"""Summaries as Arrow tables and Parquet files, bit for bit, and from one SQL statement of any engine.

A row is a prompt, or, in what SQL makes, a bin. The version of the schema is in the metadata of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from alignlib._core.checks import FloatArray, IntArray, require
from alignlib._core.errors import InputError
from alignlib._core.files import whole_file
from alignlib.scale.bins import STEPS, Bins, check_width
from alignlib.scale.keys import keys_of, plain_names
from alignlib.scale.summary import Summary

__all__ = [
    "VERSION",
    "from_arrow",
    "from_batch",
    "holds_summary",
    "is_summary",
    "read_summary",
    "sql",
    "to_arrow",
    "to_batch",
    "write_summary",
]

VERSION = 1
_KEY = b"alignlib_summary"
_REWARD = "reward."
_BIN = ("index", "count", "total", "square_high", "square_low", "least", "most")
_SQL_BIN = ("bin", "count", "total", "square_high", "square_low", "least", "most")


def to_arrow(summary: Summary, about: dict[str, Any] | None = None) -> pa.Table:
    """Return a summary as an Arrow table: prompts, their samples by column, their bins.

    ``about`` is kept beside it: notes on how it was made.
    """
    meta = {
        "version": VERSION,
        "columns": summary.columns,
        "widths": [one.hex() for one in summary.widths],
        "exact_up_to": summary.exact_up_to,
        "about": about or {},
    }
    return pa.Table.from_batches([to_batch(summary)]).replace_schema_metadata({_KEY: json.dumps(meta)})


def to_batch(summary: Summary) -> pa.RecordBatch:
    """Return the rows of a summary, a prompt each."""
    kept = np.where(summary.binned, 0, summary.sizes)
    arrays: dict[str, pa.Array] = {"prompt": summary.names, "samples": pa.array(summary.sizes)}
    for name, values in zip(summary.columns, summary.values, strict=True):
        arrays[_REWARD + name] = _lists(kept, pa.array(values))
    bins = summary.bins
    fields: dict[str, pa.Array] = {name: pa.array(getattr(bins, name)) for name in _BIN}
    for name, (high, low) in zip(summary.columns[1:], bins.others, strict=True):
        fields |= {f"high.{name}": pa.array(high), f"low.{name}": pa.array(low)}
    counts = np.bincount(bins.row, minlength=len(summary.sizes))
    arrays["bins"] = _lists(counts, pa.StructArray.from_arrays(list(fields.values()), list(fields)))
    return pa.record_batch(arrays)


def from_arrow(table: pa.Table, path: str = "the table") -> tuple[Summary, dict[str, Any]]:
    """Return the summary that an Arrow table holds, and what is said beside it.

    Raises
    ------
    InputError
        For a table that is none, or of a version that is not known here.
    """
    meta = _meta(table.schema, path)
    widths = tuple(float.fromhex(one) for one in meta["widths"])
    found = from_batch(table.combine_chunks(), widths, int(meta["exact_up_to"]), path)
    return found, dict(meta["about"])


def from_batch(table: pa.Table | pa.RecordBatch, widths: tuple[float, ...], exact_up_to: int, path: str) -> Summary:
    """Return the summary whose rows are given, and check that its counts agree."""
    columns = tuple(name.removeprefix(_REWARD) for name in table.schema.names if name.startswith(_REWARD))
    sizes = table["samples"].to_numpy().astype(np.int64)
    values, counted = [], None
    for name in columns:
        lists = _whole(table[_REWARD + name])
        values.append(np.asarray(lists.flatten().to_numpy(zero_copy_only=False), dtype=np.float64))
        counted = lists.value_lengths().to_numpy(zero_copy_only=False)
    lists = _whole(table["bins"])
    number = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    flat = lists.flatten()

    def part(name: str) -> Any:
        return flat.field(name).to_numpy(zero_copy_only=False)

    plain: dict[str, Any] = {name: part(name) for name in _BIN}
    others = tuple((part(f"high.{name}"), part(f"low.{name}")) for name in columns[1:])
    bins = Bins(row=np.repeat(np.arange(len(sizes)), number), **plain, others=others)
    names = plain_names(_whole(table["prompt"]))
    keys = keys_of(names)
    binned = number > 0
    consistent = (
        counted is not None
        and (keys[1:] > keys[:-1]).all()
        and np.array_equal(np.where(binned, 0, sizes), counted)
        and np.array_equal(np.bincount(bins.row, bins.count, len(sizes))[binned], sizes[binned])
    )
    require(bool(consistent), f"{path} is a damaged summary: its counts disagree; make it again.", "path")
    return Summary(columns, widths, exact_up_to, names, keys, sizes, binned, tuple(values), bins)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def write_summary(
    summary: Summary | Iterable[Summary], path: str | Path, about: dict[str, Any] | None = None, *, force: bool = True
) -> None:
    """Write a summary, or its pieces one after another, as a Parquet file, whole or not at all.

    Raises
    ------
    FileExistsError
        Where there is such a file, and ``force`` is false.
    """
    import pyarrow.parquet as pa_parquet

    pieces = iter([summary] if isinstance(summary, Summary) else summary)
    first = to_arrow(next(pieces), about)
    options: dict[str, Any] = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
    with whole_file(path, replace=force) as file, pa_parquet.ParquetWriter(file, first.schema, **options) as writer:
        writer.write_table(first)
        for piece in pieces:
            writer.write_table(to_arrow(piece, about).cast(first.schema))


def is_summary(path: str | Path) -> bool:
    """Tell whether a file is a summary, or the bins that `sql` makes, without reading more than its footer."""
    import pyarrow.parquet as pa_parquet

    if not Path(path).is_file() or Path(path).suffix.lower() != ".parquet":
        return False
    try:
        schema = pa_parquet.read_schema(path)
    except (pa.ArrowException, OSError):
        return False
    return _KEY in (schema.metadata or {}) or holds_summary(schema.names)


def holds_summary(names: Sequence[str]) -> bool:
    """Tell whether columns of these names are those of a summary, or of the bins that `sql` makes."""
    written = {"prompt", "samples", "bins"} <= {*names} and any(name.startswith(_REWARD) for name in names)
    return written or {*_SQL_BIN, "width", "prompt"} <= {*names}


def read_summary(path: str | Path) -> tuple[Summary, dict[str, Any]]:
    """Read a summary from a Parquet file, whether `write_summary` or the statement of `sql` made it.

    Raises
    ------
    InputError
        For a file that holds none, or a damaged one.
    """
    import pyarrow.parquet as pa_parquet

    try:
        table = pa_parquet.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a whole Parquet file; make the summary again.", argument="path") from error
    if _KEY in (table.schema.metadata or {}):
        return from_arrow(table, str(path))
    return _from_bins(table, str(path)), {}


def _meta(schema: pa.Schema, path: str) -> dict[str, Any]:
    stored = (schema.metadata or {}).get(_KEY)
    require(stored is not None, f"{path} is no summary; write one by write_summary.", "path")
    assert stored is not None
    meta: dict[str, Any] = json.loads(stored)
    require(
        meta.get("version") == VERSION,
        f"{path} is a summary of version {meta.get('version')!r}, and this is for version {VERSION}; make it again, or "
        "take the alignlib that made it.",
        "path",
    )
    return meta


def _lists(sizes: IntArray, values: pa.Array) -> pa.Array:
    return pa.LargeListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)), values)


def sql(
    source: str, prompt: str = "prompt_id", reward: str = "reward", gold: str | None = None, width: float = 2.0**-10
) -> str:
    """Return the statement that makes the bins of a table where it lies; save what it gives as Parquet.

    It takes standard SQL with ``FLOOR``, integers of 64 bits and sums that do not overflow (DuckDB, PostgreSQL,
    BigQuery, Snowflake, Spark; ``//`` is then ``DIV`` or ``/`` of integers).

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
        inner = f",\n    CAST(FLOOR({_quoted(gold)} / {text} * {steps}) AS BIGINT) AS g"
        whole = f"FLOOR(g / {steps}.0)"
        more = f""",
  CAST(SUM({whole}) AS BIGINT) AS "high", CAST(SUM(g - {steps} * {whole}) AS BIGINT) AS "low\""""
    return f"""SELECT prompt, bin, COUNT(*) AS count,
  CAST(SUM(u) AS BIGINT) AS total,
  CAST(SUM(u * u // {steps}) AS BIGINT) AS square_high,
  CAST(SUM(u * u % {steps}) AS BIGINT) AS square_low,
  MIN(r) AS least, MAX(r) AS most, {text} AS width{more}
FROM (
  SELECT {_quoted(prompt)} AS prompt, r, bin,
    CAST(LEAST(FLOOR((r / {text} - bin) * {steps}), {steps - 1}) AS BIGINT) AS u{", g" if gold else ""}
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
    widths = np.unique(table["width"].to_numpy().astype(np.float64))
    require(widths.size == 1, f"{path} has bins of {widths.size} widths; make it again with one.", "path")
    names = plain_names(table["prompt"].combine_chunks())
    require(names.null_count == 0, f"{path} has bins without a prompt; leave rows without one out of the statement.")
    encoded = names.dictionary_encode()
    distinct = encoded.dictionary
    keys = keys_of(distinct)
    order = np.argsort(keys, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))

    def part(name: str) -> IntArray:
        return np.asarray(table[name].to_numpy(), dtype=np.int64)

    def real(name: str) -> FloatArray:
        values = np.asarray(table[name].to_numpy(), dtype=np.float64) + 0.0
        require(bool(np.isfinite(values).all()), f"{path} has bins that are not finite; leave such rows out.", "path")
        return values

    others = ((part("high"), part("low")),) if "high" in table.column_names else ()
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
    bins = Bins.merged(
        [bins.take(np.arange(0, len(bins.row), 2)), bins.take(np.arange(1, len(bins.row), 2))], len(others)
    )
    sizes = np.bincount(bins.row, bins.count, len(order)).astype(np.int64)
    width = check_width(float(widths[0]))
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
