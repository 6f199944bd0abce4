"""Feather and Arrow files, as data frames write them, and streams of Arrow, as Hugging Face datasets are saved."""

from __future__ import annotations

import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.arrow_sizes import announced_sizes, is_stream
from alignlib.tables.formats import TableFormat, register
from alignlib.tables.memory_limit import check_fits
from alignlib.tables.table_file import TableFile, nested_keys, short

__all__ = ["open_feather"]


def open_feather(path: str, data: pa.Buffer) -> TableFile:
    """Read the schema of an Arrow file; its columns are read when they are asked for.

    Parameters
    ----------
    path : str
        What messages call the file.
    data : Buffer
        Its content.

    Raises
    ------
    InputError
        If it is not whole, or of version 1.
    """
    stream = is_stream(data)
    damaged = f"{path} is not a whole {'stream of Arrow' if stream else 'Feather file'}"
    open_ipc = pa.ipc.open_stream if stream else pa.ipc.open_file
    if data[:4].to_pybytes() == b"FEA1":
        raise InputError(f"{path} is Feather of version 1; write it as version 2, or as Parquet.")
    try:
        schema = open_ipc(pa.BufferReader(data)).schema
        nested = nested_keys(schema)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{damaged} ({short(error)}); copy or write it again.") from error

    def read(columns: list[str]) -> pa.Table:
        places = sorted(schema.get_field_index(name) for name in columns)
        options = pa.ipc.IpcReadOptions(included_fields=places)
        try:
            file, batches = open_ipc(pa.BufferReader(data), options=options), list[pa.RecordBatch]()
            dictionaries, sizes = announced_sizes(data, schema, columns)
            for number, size in enumerate(sizes):  # one by one, since they may be compressed
                needed = dictionaries + sum(batch.nbytes for batch in batches) + size
                check_fits(needed, path, "write it in smaller batches, or as Parquet")
                batches.append(file.read_next_batch() if stream else file.get_batch(number))
                check_fits(sum(batch.nbytes for batch in batches), path, "name fewer columns")
            table = pa.Table.from_batches(batches, file.schema)
            table.validate(full=True)
            return table.select(columns)
        except InputError:
            raise
        except (pa.ArrowException, OSError, ValueError, IndexError, StopIteration) as error:
            raise InputError(f"{damaged} ({short(error)}); copy or write it again.") from error

    return TableFile(path, (*schema.names, *nested), read, nested=nested)


register(TableFormat("Feather", (".feather", ".arrow"), open_feather))
