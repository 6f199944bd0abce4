"""From the trials that are finished to the table of tuning."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from alignlib._core.checks import require
from alignlib._core.files import write_whole
from alignlib.lm.experiment.grid import Run, tuning_runs
from alignlib.lm.experiment.run_store import RunStore
from alignlib.lm.experiment.tuning_table import PRICE, tuning_path
from alignlib.lm.methods import find

__all__ = ["write_tuning"]

_SETTINGS = ("learning_rate", "schedule", "group", "epochs", "clip", "gae_lambda")
_DIVERGED = {"kl": [np.inf], "reward": [-np.inf]}


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
