"""The versioned table of all training runs: every checkpoint's exact KL, reward and gold, read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pandas as pd

from alignlib._core.checks import require
from alignlib._core.files import write_whole
from alignlib.lm.level_law import LevelLaw

__all__ = ["COLUMNS", "PROMPT_COLUMNS", "Results", "fixed_points_path", "law_path", "write"]

COLUMNS = {
    "run": "str",
    "stage": "str",
    "task": "str",
    "reward_name": "str",
    "method": "str",
    "variant": "str",
    "knob": "float64",
    "beta": "float64",
    "seed": "int64",
    "step": "int64",
    "completions": "int64",
    "split": "str",
    "kl": "float64",
    "reward": "float64",
    "gold": "float64",
    "kl_to_optimum": "float64",
    "last": "bool",
}
PROMPT_COLUMNS = {
    "run": "str",
    "split": "str",
    "prompt": "int64",
    "kl": "float64",
    "reward": "float64",
    "gold": "float64",
}
_MAY_BE_EMPTY = ("beta", "kl_to_optimum")


class BudgetRecord(TypedDict):
    """The budget of a run; see `alignlib.lm.methods.Budget`."""

    steps: int
    group: int
    learning_rate: float
    schedule: str


class SettingsRecord(TypedDict, total=False):
    """A run's settings: its budget, and the knobs that its method has."""

    budget: BudgetRecord
    epochs: int
    rounds: int


class RunRecord(TypedDict):
    """What was trained: see `alignlib.lm.experiment.grid.Run`; ``trained_from`` is a hash of base and reward."""

    task: str
    reward_name: str
    method: str
    settings: SettingsRecord
    beta: float | None
    seed: int
    trained_from: str
    seconds: float


class TableSettings(TypedDict):
    """What the table was made with: versions, hashes, the learning rates tried and taken, and every run by its key."""

    table_version: int
    versions: dict[str, str]
    planned: int
    n_responses: int
    base_sha256: dict[str, str]
    learning_rates: dict[str, float]
    tried_rates: list[float]
    runs: dict[str, RunRecord]


@dataclass(frozen=True)
class Results:
    """All that `make lm` leaves for the book.

    ``curves`` has one row for each checkpoint and split (columns ``COLUMNS``: KL in nats per sequence, averaged over
    prompts; ``knob`` is β, or k for rejection sampling; ``kl_to_optimum`` is to the optimum at that β). ``prompts``
    has the last checkpoint of each run prompt by prompt. ``settings`` holds versions, hashes and every run's settings.
    """

    folder: Path
    curves: pd.DataFrame
    prompts: pd.DataFrame
    settings: TableSettings

    @classmethod
    def read(cls, folder: str | Path) -> Results:
        """Read and check the tables of a results folder.

        Raises
        ------
        InputError
            If a file is missing, a column is missing or holds what it should not, or a row occurs twice.
        """
        place = Path(folder)
        for name in ("curves.csv", "prompts.csv", "settings.json"):
            require((place / name).is_file(), f"folder must hold {name}; {str(place)!r} does not. Run make lm.")
        curves = _table(place / "curves.csv", COLUMNS, ["run", "step", "split"])
        prompts = _table(place / "prompts.csv", PROMPT_COLUMNS, ["run", "split", "prompt"])
        return cls(place, curves, prompts, json.loads((place / "settings.json").read_text(encoding="utf-8")))

    def law(self, task: str, reward_name: str = "gold", split: str = "train") -> LevelLaw:
        """Return the base's mass on every reward level: the frontier and best-of-N are computed from it."""
        return LevelLaw.read(law_path(self.folder, task, reward_name, split))

    @property
    def complete(self) -> float:
        """Share of the planned runs that the table holds."""
        return float(len(self.settings["runs"]) / self.settings["planned"])


def law_path(folder: str | Path, task: str, reward_name: str, split: str) -> Path:
    """Return where the base's law by reward level is kept."""
    return Path(folder) / f"law_{task}_{reward_name}_{split}.csv"


def fixed_points_path(folder: str | Path, task: str) -> Path:
    """Return where the fixed points of each way of charging the KL are kept."""
    return Path(folder) / f"fixed_points_{task}.csv"


def write(folder: str | Path, curves: pd.DataFrame, prompts: pd.DataFrame, settings: TableSettings) -> None:
    """Write the three files, each whole or not at all; numbers with ten digits."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    for name, table, columns in (("curves.csv", curves, COLUMNS), ("prompts.csv", prompts, PROMPT_COLUMNS)):
        text = table[list(columns)].to_csv(index=False, float_format="%.10g", lineterminator="\n")
        write_whole(place / name, text)
    write_whole(place / "settings.json", json.dumps(settings, indent=1, sort_keys=True) + "\n")


def _table(path: Path, columns: Mapping[str, str], key: list[str]) -> pd.DataFrame:
    # An empty text is a text; an empty number is none.
    numeric = {name: [""] for name, kind in columns.items() if kind == "float64"}
    table = pd.read_csv(path, keep_default_na=False, na_values=numeric)
    missing = [name for name in columns if name not in table]
    require(not missing, f"{path.name} must have the columns {', '.join(columns)}; it lacks {', '.join(missing)}.")
    table = table[list(columns)].astype(dict(columns))
    numbers = table[[name for name, kind in columns.items() if kind == "float64" and name not in _MAY_BE_EMPTY]]
    require(bool(numbers.notna().all(axis=None)), f"{path.name} has numbers missing; run make lm to write it again.")
    twice = table.duplicated(key)
    require(
        not bool(twice.any()),
        f"{path.name} has {int(twice.sum())} rows twice, the first of run {table.loc[twice, 'run'].head(1).to_list()}.",
    )
    return table
