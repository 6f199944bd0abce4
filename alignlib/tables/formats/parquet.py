"""Parquet files, whole or by column; checksums of their pages are verified where they are there."""

from __future__ import annotations

import base64

import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.cell_types import check_dictionary, is_text, kind_of
from alignlib.tables.formats import TableFormat, register
from alignlib.tables.memory_limit import check_fits
from alignlib.tables.parquet_sizes import announced_values, check_alone
from alignlib.tables.table_file import TableFile, nested_keys, short

__all__ = ["DIFFERENCES", "as_differences", "check_decoded", "open_parquet"]

_VALUE = 8  # bytes in memory, at least
DIFFERENCES = 256  # rows that are read at once of texts written as differences: each may be as long as a page


def open_parquet(path: str, data: pa.Buffer) -> TableFile:
    """Read the schema of a Parquet file; its columns are read when they are asked for.

    Parameters
    ----------
    path : str
        What messages call the file.
    data : Buffer
        Its content.

    Raises
    ------
    InputError
        If it is not whole, or holds columns that cannot be read.
    """
    import pyarrow.parquet as pa_parquet

    damaged = f"{path} is not a whole Parquet file"
    try:
        opened = pa_parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        schema = _with_durations(opened.schema_arrow, opened.metadata.metadata or {})
        nested = nested_keys(schema)
        values = announced_values(data)
        check_alone(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{damaged} ({short(error)}); copy or write it again.") from error

    def by_dictionary(columns: list[str], text: list[str]) -> pa.Table:
        whole = pa_parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True, read_dictionary=text)
        return whole.read(columns=columns, use_threads=False)  # threads hold much more memory than they save time

    def one_by_one(columns: list[str]) -> pa.Table:
        whole = pa_parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        batches, held = list[pa.RecordBatch](), 0
        for batch in whole.iter_batches(DIFFERENCES, columns=columns, use_threads=False):
            batches.append(batch)
            held += batch.nbytes
            check_fits(held, path, "name fewer columns")
        return pa.Table.from_batches(batches, None if batches else whole.read_row_groups([], columns).schema)

    def read(columns: list[str]) -> pa.Table:
        check_fits(_VALUE * sum(values[name] for name in columns), path, "name fewer columns")
        text = [name for name in columns if is_text(schema.field(name).type)]  # may be few values, each many times
        try:
            try:
                table = by_dictionary(columns, text)
            except OSError as error:
                if not as_differences(error):
                    raise
                table = one_by_one(columns)
            table = table.select(columns)
            check_decoded(path, table)
            for name in text:
                if pa.types.is_dictionary(table.column(name).type):
                    check_dictionary(path, name, table.column(name))
            return table.cast(pa.schema([schema.field(name) for name in columns], metadata=schema.metadata))
        except pa.ArrowNotImplementedError as error:
            kinds = ", ".join(f"{name!r}: {kind_of(schema.field(name).type)}" for name in columns[:5])
            raise InputError(f"{path} holds columns that cannot be read ({kinds}); write numbers or text.") from error
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{damaged} ({short(error)}); copy or write it again.") from error

    return TableFile(path, (*schema.names, *nested), read, nested=nested)


def check_decoded(path: str, table: pa.Table) -> None:
    """Refuse values that Arrow decoded and are none: it takes any bytes for text until asked.

    Parameters
    ----------
    path : str
        What messages call the file.
    table : Table
        What was decoded.

    Raises
    ------
    InputError
        With the first column that has such.
    """
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            continue  # any bytes are one
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            why = "text that is not UTF-8" if "UTF8" in str(error) else short(error)
            raise InputError(
                f"{path} is not a whole Parquet file (column {name!r}: {why}); copy or write it again."
            ) from error


def as_differences(error: OSError) -> bool:
    """Whether Arrow says that a text is written as differences (``DELTA_BYTE_ARRAY`` and the like).

    Such a column it reads value by value only, not as a few values and where they stand.

    Parameters
    ----------
    error : OSError
        What it raised.
    """
    return "DictAccumulator" in str(error)


def _with_durations(schema: pa.Schema, stored: dict[bytes, bytes]) -> pa.Schema:
    """Return the schema with dictionaries of durations as durations: Parquet has no such type, and forgets these."""
    try:
        written = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(stored.get(b"ARROW:schema", b""))))
    except (pa.ArrowException, ValueError, OSError):
        return schema
    for i, field in enumerate(schema):
        kind = written.field(i).type if i < len(written) and written.field(i).name == field.name else field.type
        if pa.types.is_dictionary(kind) and pa.types.is_duration(kind.value_type):
            schema = schema.set(i, field.with_type(kind.value_type))
    return schema


register(TableFormat("Parquet", (".parquet",), open_parquet))
