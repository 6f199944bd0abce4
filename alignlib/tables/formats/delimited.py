"""CSV and TSV files. Every cell is read as text: no type is guessed, so that ``007`` and ``7`` stay two prompts."""

from __future__ import annotations

import csv
import io
from functools import partial

import numpy as np
import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.formats import TableFormat, register
from alignlib.tables.table_file import TableFile, not_utf8, short

_BLOCK = 1 << 24  # bytes; longer than any sensible row, responses included
_NAMES = {",": "CSV", "\t": "TSV"}
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def open_delimited(path: str, data: pa.Buffer, delimiter: str) -> TableFile:
    """Read the header of a CSV or TSV file; quoted cells may hold line breaks."""
    try:
        header = next((record for record in csv.reader(_text(data), delimiter=delimiter) if record), [])
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    except csv.Error as error:
        raise InputError(f"{path} has no readable header ({short(error)}); write the file again.") from error
    if not header:
        raise InputError(f"{path} is empty; give a file with a prompt column and a reward column.")
    _check_separator(path, delimiter, header)

    def load(columns: list[str]) -> pa.Table:
        import pyarrow.csv as pa_csv

        _check_quotes(path, data, delimiter)
        try:
            return pa_csv.read_csv(
                pa.BufferReader(data),
                read_options=pa_csv.ReadOptions(block_size=_BLOCK),
                parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=columns,
                    column_types=dict.fromkeys(columns, pa.string()),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowException as error:
            if "UTF8" in str(error):
                raise not_utf8(path) from error
            if "Empty CSV" in str(error):  # a header without a line break
                return pa.table({name: pa.array([], pa.string()) for name in columns})
            raise InputError(
                f"{path} is not well-formed {_NAMES[delimiter]} ({short(error)}); correct that row."
            ) from error

    return TableFile(path, tuple(header), load, is_text=True)


def _text(data: pa.Buffer) -> io.TextIOWrapper:
    return io.TextIOWrapper(pa.BufferReader(data), encoding="utf-8-sig", newline="")


def _check_separator(path: str, delimiter: str, header: list[str]) -> None:
    """Recognise a file whose extension promises another separator."""
    used = [other for other in _SEPARATORS if other != delimiter and other in header[0]]
    if len(header) == 1 and used:
        wanted = _SEPARATORS[delimiter]
        remedy = "name it .tsv" if used[0] == "\t" else "name it .csv" if used[0] == "," else f"save it with {wanted}"
        raise InputError(
            f"{path} is separated by {_SEPARATORS[used[0]]}, but its extension promises {wanted}; {remedy}."
        )


def _check_quotes(path: str, data: pa.Buffer, delimiter: str) -> None:
    """Refuse a quotation mark that is never closed: it would swallow every row after it without a word."""
    if int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord('"'))) % 2 == 0:
        return
    reader = csv.reader(_text(data), delimiter=delimiter, strict=True)
    line = 1
    try:
        for _ in reader:
            line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    except csv.Error as error:
        raise InputError(
            f"{path} has a quotation mark without its pair in the record that begins on line {line}; close it.",
            rows=[line - 1],
        ) from error


register(TableFormat("CSV", (".csv",), partial(open_delimited, delimiter=",")))
register(TableFormat("TSV", (".tsv",), partial(open_delimited, delimiter="\t")))
