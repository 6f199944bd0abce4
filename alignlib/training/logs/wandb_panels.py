"""wandb's CSV of a panel: for each run a column ``name - train/kl``, with ``__MIN`` and ``__MAX`` beside it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from alignlib._core.errors import InputError
from alignlib._core.names import spelled
from alignlib.tables import as_text
from alignlib.training.logs.choose import choose
from alignlib.training.logs.column_choice import plain_names
from alignlib.training.logs.columns import Columns, columns_of_rows, lines_of_csv
from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.trainers import recognise

__all__ = ["find_panels", "read_panels"]

_LONGEST_HEAD = 1_000_000  # bytes
_STEPS = ("Step", "_step", "train/global_step")  # heads of a panel, where its ends were left out


def find_panels(path: Path) -> Path | None:
    """Take a CSV with such columns, or a folder of them, one for each metric.

    Parameters
    ----------
    path : Path
        What was named.
    """
    if path.is_dir():
        return path if len(_files(path)) > 1 and all(_runs(_head(one)) for one in _files(path)) else None
    return path if path.suffix.lower() == ".csv" and _runs(_head(path)) else None


def read_panels(path: Path, query: LogQuery) -> LogRows:
    """Read the checkpoints of every run in the panels.

    Parameters
    ----------
    path : Path
        The log.
    query : LogQuery
        What is asked of it.

    Raises
    ------
    InputError
        If no panel has the KL or the reward.
    """
    columns = _columns(path)
    plain = plain_names(columns.names, query.evaluation)
    if len(plain_names(columns.names[1:])) <= 2 and query.reward is None:  # one metric, by both its names
        raise InputError(
            f"{path} holds one metric of wandb's, {columns.names[-1]!r}; put the CSVs of KL, reward and length into "
            "one folder and name the folder, or export the whole history."
        )
    return choose(columns, query, recognise(plain))


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.csv")) if path.is_dir() else [path]


def _head(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            start = as_text(file.read(_LONGEST_HEAD), "replace")
        return next(csv.reader(start.splitlines()[:1]), [])
    except (OSError, csv.Error):
        return []


def _runs(head: list[str]) -> dict[str, tuple[str, str]]:
    """Return run and metric by the column that holds it, if the columns are a panel's."""
    bare = len(head) > 1 and head[0] in _STEPS and all(" - " in name for name in head[1:])
    if not (bare or any(name.endswith("__MIN") for name in head)):
        return {}
    found = {}
    for name in head:
        run, bar, metric = name.rpartition(" - ")
        if bar and not metric.endswith(("__MIN", "__MAX")) and metric != "_step":
            found[name] = (run, metric)
    return found


def _columns(path: Path) -> Columns:
    rows: dict[tuple[str, str], dict[str, object]] = {}
    axes: dict[str, str] = {}  # of each, a metric that has it
    twice: dict[str, str] = {}  # of a metric, the panel whose values were taken
    for file in _files(path):
        lines = lines_of_csv(file)
        head = next(lines, [])
        runs = _runs(head)
        step = head[0]
        axes.setdefault("Step" if step == "_step" else step, next((name for _, name in runs.values()), ""))
        for line in lines:
            cells = dict(zip(head, line, strict=False))
            for name, (run, metric) in runs.items():
                if cells.get(name):
                    at, value = cells.get(step, ""), _number(cells[name])
                    row = rows.setdefault((run, at), {step: _number(at)})
                    if row.get(metric, value) != value:
                        twice[metric] = file.name
                    row[metric] = value
    if len(axes) > 1:
        listed = ", ".join(f"{metric!r} by {axis!r}" for axis, metric in axes.items())
        raise InputError(f"{path} holds panels with different axes ({listed}); export all of them by one.")
    ordered = sorted(rows, key=lambda one: one[0])  # stable: steps stay in their order
    notes = [
        f"{metric!r} stands in several panels with other values; those of {name} count."
        for metric, name in twice.items()
    ]
    found = columns_of_rows(path, "wandb's CSV of a panel", [rows[one] for one in ordered], [one[0] for one in ordered])
    return replace(found, notes=tuple(notes))


def _number(text: str) -> object:
    try:
        return spelled(text)
    except ValueError:
        return text


register(LogFormat("wandb panels", find_panels, read_panels, place=-10))
