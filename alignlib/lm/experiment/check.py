"""Checks a results table against code that runs now: committed policies evaluated anew, and runs trained anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from alignlib._core.checks import require
from alignlib.lm.experiment.grid import CHECKED, SEEDS, Run, grid
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.runner import Place, execute, laboratory
from alignlib.lm.methods import find

__all__ = ["TOLERANCE", "Comparison", "reevaluate", "retrain", "seed_spread"]

# Single-precision weights on another processor: sums in another order, 1e-6 of KL and reward here; ten times that.
TOLERANCE = 1e-5
# A run trained anew on another processor is a new seed: it must fall where one in a thousand new seeds would not.
_LEVEL = 0.999
_SHORT = 100


@dataclass(frozen=True)
class Comparison:
    """One number found now against the table's.

    Attributes
    ----------
    what : str
        What was compared.
    found, recorded : float
        The number now, and in the table.
    allowed : float
        The largest difference allowed.
    """

    what: str
    found: float
    recorded: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether they agree; a number that is missing does not."""
        return bool(abs(self.found - self.recorded) <= self.allowed)

    def __str__(self) -> str:
        verdict = "agrees" if self.agrees else "DIFFERS"
        return f"{verdict}: {self.what}: {self.found:.6f}, table {self.recorded:.6f} ± {self.allowed:.2g}"


def reevaluate(results: Results, place: Place, runs: tuple[Run, ...] | None = None) -> list[Comparison]:
    """Evaluate every committed policy exactly on the training prompts and compare KL and reward with the table.

    Parameters
    ----------
    results : Results
        The table, with policies in its folder.
    place : Place
        Where the base models lie.
    runs : tuple of Run, optional
        The grid, if it is not the experiment's.

    Raises
    ------
    InputError
        If no policy is committed, or one is of no run of the grid.
    """
    from safetensors.torch import load_file

    files = sorted((results.folder / "checkpoints").glob("*.safetensors"))
    require(bool(files), f"{str(results.folder / 'checkpoints')!r} must hold policies; it holds none. Run make lm.")
    by_key = {run.key: run for run in (grid(results.tuning.taken) if runs is None else runs)}
    found = []
    for file in files:
        require(file.stem in by_key, f"{file.name} must be of a run of the grid; it is of none.")
        run = by_key[file.stem]
        now = laboratory(run.task, place).evaluate(load_file(file), run.reward_name, "train", run.layers, run.beta)
        row = results.select(run.task, "train", run=file.stem).iloc[0]
        for name, value in (("kl", now.kl.mean()), ("reward", now.reward.mean()), ("to_optimum", now.to_optimum)):
            if value is not None:
                allowed = TOLERANCE * max(1.0, abs(value))
                found.append(Comparison(f"{file.stem} {name}", float(value), float(row[name]), allowed))
    return found


def seed_spread(results: Results, run: Run, column: str) -> tuple[float, float, int]:
    """Return the mean over seeds at the run's setting, the standard deviation pooled over the knob, its freedom.

    Parameters
    ----------
    results : Results
        The table.
    run : Run
        Whose setting is meant.
    column : str
        The number, a column of the table.

    Returns
    -------
    mean : float
        Over seeds at the run's setting.
    deviation : float
        Standard deviation between seeds, pooled over the method's knobs.
    freedom : int
        Its degrees of freedom.

    Raises
    ------
    InputError
        If the table holds no setting of the method with two seeds.
    """
    chosen = results.select(run.task, "train", method=run.method, stage=run.stage, steps=run.settings.steps)
    groups = [group[column].to_numpy() for _, group in chosen.groupby("knob") if len(group) > 1]
    freedom = sum(len(group) - 1 for group in groups)
    require(freedom > 0, f"the table must hold two seeds of some {run.stage} run of {run.method}, {run.task}.")
    pooled = float(np.sqrt(sum(np.square(g - g.mean()).sum() for g in groups) / freedom))
    return float(chosen[chosen.knob == run.knob][column].mean()), pooled, freedom


def retrain(results: Results, place: Place) -> list[Comparison]:
    """Train a short run of one method per task anew, and compare KL and reward on the training prompts with the table.

    They must lie within the spread that a new seed would have.

    Parameters
    ----------
    results : Results
        The table.
    place : Place
        Where the base models lie.
    """
    found = []
    for task, method in CHECKED.items():
        settings = replace(results.tuning.taken(task, method), steps=_SHORT)
        run = Run("main", task, method, find(method).middle, settings, SEEDS[0])
        (data,) = execute([run], place, ("train",))
        for column in ("kl", "reward"):
            mean, spread, freedom = seed_spread(results, run, column)
            allowed = stats.t.ppf(0.5 + 0.5 * _LEVEL, freedom) * spread * np.sqrt(1.0 + 1.0 / len(SEEDS))
            name = f"{task} {method} {_SHORT} steps, trained anew, {column}"
            now = float(np.mean(data["prompts"]["train"][column]))
            found.append(Comparison(name, now, mean, float(allowed)))
    return found
