"""A table made from objects of JSON, one a row, where each column needs one kind of value throughout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from alignlib._core.errors import InputError, quoted
from alignlib.tables.table_file import EXACT_INTEGERS, TableFile, short, too_large

__all__ = ["table_of_objects"]

_DEEPEST = 8  # keys within keys that have a name of their own
_MOST_KEYS = 1000
_MOST_DIGITS = 76  # of the longest integers that Arrow knows


def table_of_objects(path: str, unit: str, records: Iterable[tuple[int, dict[str, object]]]) -> TableFile:
    """Return the table of objects; a key that one lacks is a missing value.

    Parameters
    ----------
    path : str
        What messages call the table.
    unit : str
        What messages call a row: "line" or "object".
    records : iterable of (int, dict)
        The number of each row for messages, and the object.

    Raises
    ------
    InputError
        If there is no object.

    Examples
    --------
    >>> table_of_objects("t", "line", [(1, {"a": {"b": 1}}), (2, {})]).load(["a.b"]).column("a.b").to_pylist()
    [1, None]
    """
    held = list(records)
    if not held:
        raise InputError(f"{path} is empty; give a table, with a name for each column.")
    names = dict.fromkeys(name for _, record in held for name in record)
    nested: dict[str, tuple[str, ...]] = {}
    for _, record in held:
        for name, value in record.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict):
                    _add_keys(nested, names, (name,), one)
    lines = [line for line, _ in held]

    def read(columns: list[str]) -> pa.Table:
        return pa.table(
            {name: _column(path, name, [record.get(name) for _, record in held], lines, unit) for name in columns}
        )

    return TableFile(path, (*names, *nested), read, nested=nested)


def _add_keys(
    nested: dict[str, tuple[str, ...]], taken: dict[str, None], path: tuple[str, ...], value: dict[str, object]
) -> None:
    for key, inner in value.items():
        keys = (*path, key)
        name = ".".join(keys)
        if name not in taken and len(nested) < _MOST_KEYS:
            nested.setdefault(name, keys)
        if isinstance(inner, dict) and len(keys) < _DEEPEST:
            _add_keys(nested, taken, keys, inner)


def _column(path: str, name: str, values: Sequence[object], lines: Sequence[int], unit: str) -> pa.Array:
    """Turn one key's values into a column."""
    given = [(value, line) for value, line in zip(values, lines, strict=True) if value is not None]
    odd = next(((v, line) for v, line in given if _kind(v) is not _kind(given[0][0])), None)
    if odd is not None:
        raise InputError(
            f"column {name!r} of {path} mixes kinds of values: {quoted(given[0][0])} in {unit} {given[0][1]} and "
            f"{quoted(odd[0])} in {unit} {odd[1]}; write all in one way (rewards as numbers without quotes).",
            column=name,
            rows=[given[0][1] - 1, odd[1] - 1],
        )
    rounded = any(isinstance(value, float) for value, _ in given)
    largest = 0
    for value, line in given:
        if isinstance(value, int):
            largest = max(largest, abs(value))
            if rounded and abs(value) > EXACT_INTEGERS:
                raise too_large(path, name, value, f"{unit} {line}", line - 1)
            if abs(value) >= 10**_MOST_DIGITS:
                raise InputError(
                    f"column {name!r} of {path} holds an integer of more than {_MOST_DIGITS} digits in {unit} {line}; "
                    "rescale a reward, or write an identifier as text, in quotes.",
                    column=name,
                    rows=[line - 1],
                )
        if isinstance(value, list):
            _check_alike(path, name, value, f"{unit} {line}", line - 1)
        if isinstance(value, str) and not value.isascii():
            _check_text(path, name, value, f"{unit} {line}", line - 1)
    try:
        if largest >= 2**63:  # identifiers, such as 64 bits of a hash; rewards are refused where they become floats
            return pa.array(values, pa.decimal256(_MOST_DIGITS, 0))
        return pa.array(values)
    except UnicodeError as error:
        raise InputError(
            f"column {name!r} of {path} holds text with half of a surrogate pair (such as \\ud800), which is no "
            "character; write the text again.",
            column=name,
        ) from error
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"column {name!r} of {path} cannot be read ({short(error)}); write numbers or text there.",
            column=name,
        ) from error


def _check_text(path: str, name: str, value: str, where: str, row: int) -> None:
    try:
        value.encode()
    except UnicodeError as error:
        raise InputError(
            f"column {name!r} of {path} holds half of a surrogate pair ({quoted(value, 40)}) in {where}, which is no "
            "character; write that text again.",
            column=name,
            rows=[row],
        ) from error


def _check_alike(path: str, name: str, values: list[object], where: str, row: int) -> None:
    """Refuse a list that mixes kinds of values: Arrow would name no row, and read ``[true, 1]`` as numbers."""
    first = next((value for value in values if value is not None), None)
    odd = next((value for value in values if value is not None and _kind(value) is not _kind(first)), None)
    if odd is not None:
        raise InputError(
            f"column {name!r} of {path} holds a list that mixes kinds of values in {where}: {quoted(first)} and "
            f"{quoted(odd)}; write all in one way.",
            column=name,
            rows=[row],
        )


def _kind(value: object) -> type:
    """Integers and fractions are one kind; true and false another."""
    return float if type(value) in (int, float) else type(value)
