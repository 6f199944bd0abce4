"""Logs as JSON lines or as one JSON text of rows or columns, where a trainer's keys stand in them.

Objects may be nested (verl's ``{"step": 1, "data": {…}}``), and columns may be objects by step (NeMo-RL) or by row
(pandas).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from alignlib._core.errors import InputError
from alignlib.tables import LEFT_OUT, check_depth, parse_json
from alignlib.training.logs.choose import choose
from alignlib.training.logs.column_choice import plain_names
from alignlib.training.logs.columns import columns_of_rows, flat, text_of
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.trainers import recognise

__all__ = ["find_json", "read_json"]

_LINES = {".jsonl", ".ndjson"}


def find_json(path: Path) -> Path | None:
    """Take JSON lines, or a ``.json`` of rows or columns, in which a trainer's keys are recognised.

    Parameters
    ----------
    path : Path
        What was named.
    """
    rows = _rows(path)
    if not rows:
        return None
    names = {name for row in rows for name in row}
    return path if any(recognise(plain_names(sorted(names), late)) for late in (False, True)) else None


def read_json(path: Path, query: LogQuery) -> LogRows:
    """Read the checkpoints that logged a KL or a reward.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.
    """
    kind = "JSON lines" if path.suffix.lower() in _LINES else "JSON"
    columns, text = columns_of_rows(path, kind, _rows(path)), text_of(path) or ""
    if kind == "JSON lines" and len(_whole_lines(text)) < sum(bool(line.strip()) for line in text.splitlines()):
        columns = replace(columns, notes=(LEFT_OUT,))
    return choose(columns, query)


def _rows(path: Path) -> list[dict[str, object]]:
    suffix = path.suffix.lower()
    if suffix not in _LINES and suffix != ".json":
        return []
    text = text_of(path)
    if text is None:
        return []
    try:
        check_depth(str(path), text.encode())
        held = [parse_json(line) for line in _whole_lines(text)] if suffix in _LINES else _of_one(parse_json(text))
    except (InputError, ValueError):
        return []  # whoever reads tables says what is wrong with it
    if not all(isinstance(row, Mapping) for row in held):
        return []
    return [_with_step(flat(row)) for row in held if isinstance(row, Mapping)]


def _whole_lines(text: str) -> list[str]:
    """Return the lines; a last one that is not yet written whole, while the run goes on, is left for the next time."""
    found = [line for line in text.splitlines() if line.strip()]
    if len(found) > 1 and not text.endswith("\n"):
        try:
            parse_json(found[-1])
        except (InputError, ValueError):
            return found[:-1]
    return found


def _with_step(row: dict[str, object]) -> dict[str, object]:
    """Return a row of ms-swift, which writes the step as ``"10/30"``, with its step as a number."""
    ratio = str(row.get("global_step/max_steps", "")).partition("/")[0]
    return {**row, "step": int(ratio)} if row.get("step") is None and _is_whole(ratio) else row


def _of_one(value: object) -> list[object]:
    """Return the rows of a JSON text: a list of them, or columns as lists or as objects by step or row."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or "log_history" in value or not value:
        return []
    if all(isinstance(column, list) for column in value.values()):
        most = max(len(column) for column in value.values())
        return [{name: column[i] for name, column in value.items() if i < len(column)} for i in range(most)]
    if all(isinstance(column, dict) and all(map(_is_whole, column)) for column in value.values()):
        rows: dict[int, dict[str, object]] = {}
        for name, column in value.items():
            for at, one in column.items():
                rows.setdefault(int(at), {})[name] = one
        by_step = not {"step", "_step", "global_step"} & set(value)
        return [{"step": at, **rows[at]} if by_step else rows[at] for at in sorted(rows)]
    return []


def _is_whole(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) < 16


register(LogFormat("json lines", find_json, read_json, place=-10))
