"""JSON documents: an array of objects, one a row; an object of columns; or JSON lines under another name."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from alignlib._core.errors import InputError
from alignlib.tables.formats import TableFormat, register
from alignlib.tables.formats.json_lines import open_json_lines
from alignlib.tables.json_text import check_depth, json_kind, parse_json
from alignlib.tables.memory_limit import check_fits
from alignlib.tables.objects import table_of_objects
from alignlib.tables.table_file import TableFile, check_not_packed, not_utf8, short

__all__ = ["open_json_document"]

_PROMPT = "prompt_id"  # the column that readers look for by default
_TIMES = 12  # memory of parsed objects, in sizes of the text


def open_json_document(path: str, data: pa.Buffer) -> TableFile:
    """Read an array of objects, an object that holds one, or an object with a list for each column.

    Where these are lists of objects, they are the responses of prompts: each is a row, with its prompt in "prompt_id".

    Parameters
    ----------
    path : str
        What messages call the file.
    data : Buffer
        Its content.

    Raises
    ------
    InputError
        If it is not whole, no table, or would not fit into memory.
    """
    text = data.to_pybytes()
    check_not_packed(path, text[:16])
    check_fits(_TIMES * len(text), path, "write the table as JSON lines or Parquet")
    if text.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" and _has_lines(text):
        return open_json_lines(path, data)
    check_depth(path, text)
    try:
        found = parse_json(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    except ValueError as error:
        raise InputError(f"{path} is not whole JSON ({short(error)}); write an array of objects.") from error
    return table_of_objects(path, "object", _records(path, found))


def _has_lines(text: bytes) -> bool:
    """Whether the first line is an object of its own and another follows."""
    first, _, rest = text.strip().partition(b"\n")
    if not rest.lstrip().startswith(b"{"):
        return False
    try:
        check_depth("", first)
        return isinstance(parse_json(first.decode("utf-8-sig")), dict)
    except ValueError:
        return False


def _records(path: str, found: object) -> Iterator[tuple[int, dict[str, object]]]:
    if isinstance(found, dict):
        lists = {name: value for name, value in found.items() if isinstance(value, list)}
        arrays = [value for value in lists.values() if value and all(isinstance(item, dict) for item in value)]
        if len(arrays) == 1 and len(lists) == 1:
            (found,) = arrays  # {"data": […], "version": 1}
        elif len(lists) == len(found) > 1 and len(arrays) == len(lists):
            responses = [(prompt, one) for prompt, values in lists.items() for one in values]
            for row, (prompt, one) in enumerate(responses, start=1):
                yield row, {**one, _PROMPT: prompt}
            return
        elif lists and len(lists) == len(found) and len({len(value) for value in lists.values()}) == 1:
            for row, values in enumerate(zip(*lists.values(), strict=True), start=1):
                yield row, dict(zip(lists, values, strict=True))
            return
        else:
            raise InputError(
                f"{path} holds an object that is no table; write an array of objects, one a row, or a list of equal "
                "length for each column; of scores by prompt, an object such as "
                '{"prompt_id": "a", "reward": [0.5, 1.2]} for each, and pass wide=True.'
            )
    if not isinstance(found, list):
        raise InputError(f"{path} holds {json_kind(found)}, not an array of objects; write one object a row.")
    for row, record in enumerate(found, start=1):
        if not isinstance(record, dict):
            raise InputError(
                f"{path} holds {json_kind(record)} as object {row}; write an array of objects, one a row.",
                rows=[row - 1],
            )
        yield row, record


register(TableFormat("JSON", (".json",), open_json_document))
