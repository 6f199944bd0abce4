"""Checkpoints from a table with one row each: columns of KL and reward, and of step, length and run if there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.tables import identifiers, load, numbers, open_table_file, require_column
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, no_length, register

__all__ = ["find_table", "read_table"]


def find_table(path: Path) -> Path | None:
    """Take any file; what reads tables says what is wrong with one that is none."""
    return None if path.is_dir() else path


def read_table(path: Path, query: LogQuery) -> LogRows:
    """Read checkpoints from a table of any known format; it must be told the unit of its KL."""
    file = open_table_file(path)
    kl, reward, step, length, run = query.kl or "kl", query.reward or "reward", query.step, query.length, query.run
    for name, argument in ((kl, "kl"), (reward, "reward"), (step, "step"), (run, "run")):
        if name is not None:
            require_column(file, name, argument)
    if query.kl_unit is None:
        raise InputError(
            f"{path}: say whether {kl!r} is in nats per sequence or per token (kl_unit='sequence' or kl_unit='token')."
        )
    by_column = isinstance(length, str)
    if query.kl_unit == "token" and length is None:
        raise InputError(no_length(path, kl))
    step = step or (require_column(file, "step", "step") if "step" in file.names else None)
    wanted = [kl, reward, *([step] if step else []), *([run] if run else []), *([str(length)] if by_column else [])]
    if by_column:
        require_column(file, str(length), "length")
    table = load(file, wanted, "a row for each checkpoint")

    def column(name: str) -> FloatArray:
        return numbers(file, name, table.column(name))

    size = table.num_rows
    lengths = None
    if query.kl_unit == "token" and length is not None:
        lengths = column(length) if isinstance(length, str) else np.full(size, float(length))
    names = np.full(size, path.stem, dtype=object)
    if run is not None:
        found = identifiers(file, run, table.column(run))
        if found.null_count:
            rows = np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False)).tolist()
            raise InputError(
                f"column {run!r} of {path} names no run in {file.where(rows[:5], len(rows))}"
                f"{file.word_for_missing(run)}; fill it in, or remove these checkpoints.",
                column=run,
                rows=rows,
            )
        names[:] = [str(name) for name in found.to_pylist()]
    steps = column(step) if step else np.arange(size, dtype=np.float64)
    values = column(kl), column(reward)
    return LogRows(kl, query.kl_unit, reward, steps, *values, lengths, names, tuple(file.notes))


register(LogFormat("table", find_table, read_table, place=100))
