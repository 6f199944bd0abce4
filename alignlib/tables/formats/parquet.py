"""Parquet files, whole or by column."""

from __future__ import annotations

import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.formats import TableFormat, register
from alignlib.tables.table_file import TableFile, short


def open_parquet(path: str, data: pa.Buffer) -> TableFile:
    """Read the schema of a Parquet file; ``load`` reads the columns asked for."""
    import pyarrow.parquet as pa_parquet

    damaged = f"{path} is not a whole Parquet file"
    try:
        file = pa_parquet.ParquetFile(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{damaged} ({short(error)}); copy or write it again.") from error

    def load(columns: list[str]) -> pa.Table:
        try:
            table = file.read(columns=columns)
            table.validate(full=True)
            return table
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{damaged} ({short(error)}); copy or write it again.") from error

    return TableFile(path, tuple(file.schema_arrow.names), load)


register(TableFormat("Parquet", (".parquet",), open_parquet))
