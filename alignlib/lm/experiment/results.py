"""The versioned table of all training runs: every final policy's exact KL, reward and gold, read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from alignlib._core.checks import FloatArray, require
from alignlib._core.files import whole_file, write_whole
from alignlib._core.same import SameFields
from alignlib.lm.experiment.tuning import Tuning
from alignlib.lm.level_law import LevelLaw

__all__ = [
    "COLUMNS", "FRESH", "PerPrompt", "Results", "composed_path", "fixed_points_path", "law_path", "members_path",
    "write",
]  # fmt: skip

FRESH = 0
"""``n_prompts`` in the table where every step had fresh prompts."""

COLUMNS = {
    "run": "str",
    "stage": "str",
    "task": "str",
    "method": "str",
    "knob": "float64",
    "steps": "int64",
    "seed": "int64",
    "n_prompts": "int64",
    "layers": "int64",
    "reward_name": "str",
    "split": "str",
    "kl": "float64",
    "reward": "float64",
    "gold": "float64",
    "length": "float64",
    "to_optimum": "float64",
    "completions": "int64",
    "seconds": "float64",
}
_MAY_BE_EMPTY = ("to_optimum",)
_KEY = ["run", "split"]


@dataclass(frozen=True, eq=False)
class PerPrompt(SameFields):
    """What runs do on each prompt of a split.

    Attributes
    ----------
    kl : array (runs, prompts)
        KL to the base in nats.
    reward : array (runs, prompts)
        Mean reward.

    Examples
    --------
    >>> PerPrompt(kl=np.array([[0.1, 0.3]]), reward=np.array([[0.5, 0.7]])).kl.mean(axis=1).tolist()
    [0.2]
    """

    kl: FloatArray
    reward: FloatArray


class Settings(TypedDict):
    """What ``settings.json`` says of how the table was made.

    ``versions`` are those of Python and libraries, ``planned`` numbers of runs, ``n_responses`` how many responses a
    prompt has; ``base_sha256`` and ``base_length`` (mean tokens) are of the base of each task, ``diverged`` names runs,
    and ``seconds`` are those of tuning and of the grid.
    """

    table_version: int
    versions: dict[str, str]
    planned: int
    planned_by_stage: dict[str, int]
    n_responses: int
    base_sha256: dict[str, str]
    base_length: dict[str, float]
    diverged: list[str]
    devices: list[str]
    seconds: dict[str, int]


@dataclass(frozen=True, eq=False)
class Results(SameFields):
    """All that `make lm` leaves for the book.

    Attributes
    ----------
    folder : Path
        Where it lies.
    runs : DataFrame
        One row for each run and split (columns ``COLUMNS``: KL in nats per sequence, averaged over prompts; ``knob`` is
        β, or the number of draws of which one is kept; ``to_optimum`` the KL to the optimum at that β).
    settings : Settings
        Versions, hashes and the size of the grid.

    Examples
    --------
    >>> found = Results.read("notebooks/lm_results")  # of a clone
    >>> len(found.law("safety", "gold", "test").laws), set(found.runs.task) == {"safety", "summarisation"}
    (144, True)
    """

    folder: Path
    runs: pd.DataFrame
    settings: Settings

    @classmethod
    def read(cls, folder: str | Path) -> Results:
        """Read and check the tables of a results folder.

        Parameters
        ----------
        folder : str or Path
            Of results.

        Raises
        ------
        InputError
            If a file is missing, a column is missing or holds what it should not, or a row occurs twice.
        """
        place = Path(folder)
        for name in ("runs.csv", "prompts.npz", "settings.json", "tuning.csv"):
            require((place / name).is_file(), f"folder must hold {name}; {str(place)!r} does not. Run make lm.")
        runs = _table(place / "runs.csv", COLUMNS)
        return cls(place, runs, json.loads((place / "settings.json").read_text(encoding="utf-8")))

    @cached_property
    def prompts(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """KL and reward of the runs on gold prompt by prompt, as ``prompts.npz`` has them, and the keys of the runs."""
        with np.load(self.folder / "prompts.npz") as stored:
            return dict(stored)

    def per_prompt(self, rows: pd.DataFrame) -> PerPrompt:
        """Return what rows of ``runs``, all of one split, hold prompt by prompt; single precision as stored.

        Parameters
        ----------
        rows : DataFrame
            Rows of ``runs``.

        Raises
        ------
        InputError
            If they are of several splits, or none.
        """
        splits = set(rows.split)
        require(len(splits) == 1, f"rows must be of one split; got {', '.join(sorted(splits)) or 'no row'}.")
        split = splits.pop()
        place = {run: number for number, run in enumerate(self.prompts["run"].tolist())}
        index = [place[run] for run in rows.run]
        kl, reward = (self.prompts[f"{split}_{name}"][index].astype(np.float64) for name in ("kl", "reward"))
        return PerPrompt(kl, reward)

    def select(self, task: str, split: str, **wanted: object) -> pd.DataFrame:
        """Return the rows of a task and split in which the columns named have the values given.

        Parameters
        ----------
        task, split : str
            Which task and which prompts.
        **wanted : object
            Columns with the value that they must have.
        """
        rows = self.runs[(self.runs.task == task) & (self.runs.split == split)]
        for column, value in wanted.items():
            rows = rows[rows[column] == value]
        return rows

    @cached_property
    def tuning(self) -> Tuning:
        """Every method's trials."""
        return Tuning.read(self.folder)

    def law(self, task: str, reward_name: str = "gold", split: str = "test", layers: int = 2) -> LevelLaw:
        """Return the base's mass on every reward level: the frontier and best-of-N are computed from it.

        Parameters
        ----------
        task : str
            Which task.
        reward_name : str
            ``"gold"`` or a proxy.
        split : str
            Which prompts.
        layers : int
            Depth of the base.
        """
        return LevelLaw.read(law_path(self.folder, task, reward_name, split, layers))

    @property
    def known(self) -> list[str]:
        """The keys of the runs that it tells of, those that diverged too."""
        return [*dict.fromkeys(self.runs.run), *self.settings["diverged"]]

    @property
    def complete(self) -> float:
        """Share of the planned runs that the table holds."""
        return float(self.runs.run.nunique() / self.settings["planned"])

    def complete_stage(self, stage: str) -> float:
        """The share of one stage's planned runs that are in the table; 1 if none is planned.

        Parameters
        ----------
        stage : str
            Such as ``"main"``.
        """
        planned = self.settings.get("planned_by_stage", {}).get(stage, 0)
        return float(self.runs[self.runs.stage == stage].run.nunique() / planned) if planned else 1.0


def law_path(folder: str | Path, task: str, reward_name: str, split: str, layers: int = 2) -> Path:
    """Return where the law by reward level of the base of so many layers is kept.

    Parameters
    ----------
    folder : str or Path
        Of results.
    task : str
        Which task.
    reward_name : str
        ``"gold"`` or a proxy.
    split : str
        Which prompts.
    layers : int
        Depth of the base.

    Examples
    --------
    >>> law_path("lm_results", "safety", "gold", "test", layers=4).name
    'law_safety_gold_test_4_layers.csv'
    """
    deep = "" if layers == 2 else f"_{layers}_layers"
    return Path(folder) / f"law_{task}_{reward_name}_{split}{deep}.csv"


def members_path(folder: str | Path, task: str) -> Path:
    """Return where gold along the optimum of each reward model alone is kept.

    Parameters
    ----------
    folder : str or Path
        Of results.
    task : str
        Which task.

    Examples
    --------
    >>> members_path("lm_results", "safety").name
    'members_safety.csv'
    """
    return Path(folder) / f"members_{task}.csv"


def composed_path(folder: str | Path, task: str) -> Path:
    """Return where the samplers that compose responses are described, prompt by prompt.

    Parameters
    ----------
    folder : str or Path
        Of results.
    task : str
        Which task.
    """
    return Path(folder) / f"composed_{task}.csv"


def fixed_points_path(folder: str | Path, task: str) -> Path:
    """Return where the fixed points of each way of charging the KL are kept.

    Parameters
    ----------
    folder : str or Path
        Of results.
    task : str
        Which task.

    Examples
    --------
    >>> fixed_points_path("lm_results", "safety").name
    'fixed_points_safety.csv'
    """
    return Path(folder) / f"fixed_points_{task}.csv"


def write(
    folder: str | Path, runs: pd.DataFrame, prompts: Mapping[str, npt.NDArray[np.generic]], settings: Settings
) -> None:
    """Write the files, each whole or not at all; numbers with eight digits.

    Parameters
    ----------
    folder : str or Path
        Where to.
    runs : DataFrame
        One row for each run and split.
    prompts : mapping of str to array
        What runs do prompt by prompt.
    settings : Settings
        Versions, hashes and the size of the grid.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    text = runs[list(COLUMNS)].to_csv(index=False, float_format="%.8g", lineterminator="\n")
    write_whole(place / "runs.csv", text)
    with whole_file(place / "prompts.npz") as file:
        np.savez_compressed(file, allow_pickle=False, **prompts)
    write_whole(place / "settings.json", json.dumps(settings, indent=1, sort_keys=True) + "\n")


def _table(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    # An empty text is a text; an empty number is none.
    numeric = {name: [""] for name, kind in columns.items() if kind == "float64"}
    table = pd.read_csv(path, keep_default_na=False, na_values=numeric)
    missing = [name for name in columns if name not in table]
    require(not missing, f"{path.name} must have the columns {', '.join(columns)}; it lacks {', '.join(missing)}.")
    table = table[list(columns)].astype(dict(columns))
    numbers = table[[name for name, kind in columns.items() if kind == "float64" and name not in _MAY_BE_EMPTY]]
    require(bool(numbers.notna().all(axis=None)), f"{path.name} has numbers missing; run make lm to write it again.")
    twice = table.duplicated(_KEY)
    require(
        not bool(twice.any()),
        f"{path.name} has {int(twice.sum())} rows twice, the first of run {table.loc[twice, 'run'].head(1).to_list()}.",
    )
    return table
