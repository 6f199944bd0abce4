"""The committed table of tuning: every method's random trials on validation prompts, and the settings it took."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from alignlib._core.checks import require
from alignlib._core.files import write_whole
from alignlib._core.same import SameFields
from alignlib.lm.experiment.grid import Run, tuning_runs
from alignlib.lm.experiment.run_store import RunStore
from alignlib.lm.methods import Settings, find

__all__ = ["PRICE", "Tuning", "tuning_path", "write_tuning"]

PRICE = 1.0
"""Trials are judged by the mean reward less this times the mean KL: what every method serves, at its middle knob."""
_SETTINGS = ("learning_rate", "schedule", "group", "epochs", "clip", "gae_lambda")
_DIVERGED = {"kl": [np.inf], "reward": [-np.inf]}


def tuning_path(folder: Path | str) -> Path:
    """Return where the table of trials lies.

    Parameters
    ----------
    folder : Path or str
        Of results.
    """
    return Path(folder) / "tuning.csv"


@dataclass(frozen=True, eq=False)
class Tuning(SameFields):
    """The settings that each method was tried with.

    Attributes
    ----------
    trials : DataFrame
        A row each: settings (empty where a method does not read them), KL, reward, objective, ``taken``.
    """

    trials: pd.DataFrame

    @classmethod
    def read(cls, folder: Path | str) -> Tuning:
        """Read the table of a results folder.

        Parameters
        ----------
        folder : Path or str
            Of results.

        Raises
        ------
        InputError
            If there is none.
        """
        path = tuning_path(folder)
        require(
            path.is_file(),
            f"folder must hold the table of trials, {path.name}; {str(path.parent)!r} does not. Run make lm.",
        )
        return cls(pd.read_csv(path, keep_default_na=False))

    def taken(self, task: str, method: str) -> Settings:
        """Return the settings that a method took on a task; the number of steps is that of the trials.

        Parameters
        ----------
        task, method : str
            Which.

        Raises
        ------
        InputError
            If the table has no trial of the method.
        """
        table = self.trials
        rows = table[(table.task == task) & (table.method == method) & table.taken]
        require(len(rows) == 1, f"method must be in the table of trials; {method!r} on {task} is not.")
        row = rows.iloc[0]
        settings = Settings(int(row.steps))
        for name in find(method).searched:
            kind = type(getattr(settings, name))
            settings = replace(settings, **{name: kind(row[name])})
        return settings


def write_tuning(output: Path, folder: Path) -> pd.DataFrame:
    """Write the table of all trials that are finished, the taken one of each method and task marked; return it.

    Parameters
    ----------
    output : Path
        Folder of the runs.
    folder : Path
        Where the table goes.

    Raises
    ------
    InputError
        If a method has no trial yet.
    """
    ready = RunStore(output).read()
    rows, lacking = [], set()
    for run in tuning_runs():
        if run.key in ready:
            law = ready[run.key]["prompts"].get("validation", _DIVERGED)
            rows.append(_row(run, float(np.mean(law["kl"])), float(np.mean(law["reward"]))))
        else:
            lacking.add(f"{run.task}/{run.method}")
    there = {f"{row['task']}/{row['method']}" for row in rows}
    require(
        lacking <= there, f"output must hold a trial of every method; it lacks {', '.join(sorted(lacking - there))}."
    )
    table = pd.DataFrame(rows)
    table["taken"] = table.index.isin(table.groupby(["task", "method"]).objective.idxmax())
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(tuning_path(folder), table.to_csv(index=False, float_format="%.8g", lineterminator="\n"))
    return table


def _row(run: Run, kl: float, reward: float) -> dict[str, object]:
    settings = asdict(run.settings)
    read = {name: settings[name] if name in find(run.method).searched else "" for name in _SETTINGS}
    fixed = {"task": run.task, "method": run.method, "knob": run.knob, "steps": run.settings.steps, "seed": run.seed}
    return fixed | read | {"kl": kl, "reward": reward, "objective": reward - PRICE * kl}
