"""MLflow's CSV of metrics: a row for each value, ``run_id,key,value,step,timestamp``."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from alignlib.training.logs.choose import choose
from alignlib.training.logs.columns import Columns, columns_of_rows, text_of
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register

__all__ = ["find_mlflow", "read_mlflow"]

_HEADS = (("key", "value", "step"), ("metric", "value", "step"))
_RUNS = ("run_id", "run", "Run", "Run ID")


def find_mlflow(path: Path) -> Path | None:
    """Take a CSV with MLflow's columns."""
    if path.suffix.lower() != ".csv":
        return None
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            head = lines.readline(10_000).strip().replace('"', "").split(",")
    except OSError:
        return None
    return path if any(set(wanted) <= set(head) for wanted in _HEADS) else None


def read_mlflow(path: Path, query: LogQuery) -> LogRows:
    """Read the checkpoints, metrics of one run and step side by side."""
    return choose(_columns(path), query)


def _columns(path: Path) -> Columns:
    rows: dict[tuple[str, str, int], dict[str, object]] = {}
    latest: dict[tuple[str, str], float] = {}
    again: dict[tuple[str, str], int] = {}
    for line in csv.DictReader((text_of(path) or "").splitlines()):
        key = line.get("key") or line.get("metric") or ""
        run = next((line[name] for name in _RUNS if line.get(name)), path.stem)
        step, value = line.get("step") or "", _number(line.get("value"))
        at = _number(step)
        if at is None:
            continue
        if at <= latest.get((run, key), -math.inf):  # the metric was resumed: its rows begin anew
            again[run, key] = again.get((run, key), 0) + 1
        latest[run, key] = at
        rows.setdefault((run, step, again.get((run, key), 0)), {"step": at})[key] = value
    ordered = sorted(rows, key=lambda one: (one[0], one[2]))  # stable: steps stay in their order
    return columns_of_rows(path, "MLflow's CSV", [rows[one] for one in ordered], [one[0] for one in ordered])


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


register(LogFormat("mlflow", find_mlflow, read_mlflow, place=-10))
