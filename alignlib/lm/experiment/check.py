"""Checks a results table against code that runs now: committed policies evaluated anew, and runs trained anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from alignlib._core.checks import require
from alignlib.lm.experiment.grid import Run
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.runner import execute, laboratory
from alignlib.lm.space import ResponseSpace

__all__ = ["TOLERANCE", "Comparison", "reevaluate", "retrain", "seed_spread"]

# Single-precision weights on another processor: sums in another order, 1e-6 of KL and reward here; ten times that.
TOLERANCE = 1e-5
# A run trained anew on another processor is a new seed: it must fall where one in a thousand new seeds would not.
_LEVEL = 0.999


@dataclass(frozen=True)
class Comparison:
    """One number found now against the table's, and the largest difference allowed."""

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


def reevaluate(
    results: Results, runs: Sequence[Run], output: Path, *, space: ResponseSpace | None = None
) -> list[Comparison]:
    """Evaluate every committed policy exactly and compare KL, reward, gold and KL to the optimum with the table.

    Parameters
    ----------
    results : Results
        The table, with policies in its folder.
    runs : sequence of Run
        The grid.
    output : path
        Where tables of proxies are kept.
    space : ResponseSpace, optional
        The responses.

    Raises
    ------
    InputError
        If no policy is committed, or one is of no run of the grid.
    """
    from safetensors.torch import load_file

    files = sorted((results.folder / "checkpoints").glob("*.safetensors"))
    require(bool(files), f"{str(results.folder / 'checkpoints')!r} must hold policies; it holds none. Run make lm.")
    by_key = {run.key: run for run in runs}
    found = []
    for file in files:
        require(file.stem in by_key, f"{file.name} must be of a run of the grid; it is of none.")
        run = by_key[file.stem]
        lab = laboratory(run.task, results.folder, space or ResponseSpace(), output)
        model = lab.policy(load_file(file))
        for split in ("train", "held_out"):
            now = lab.evaluate(model, run.reward_name, run.beta, split)
            row = results.curves.query("run == @file.stem and split == @split and last").iloc[0]
            numbers = {name: float(getattr(now.law, name).mean()) for name in ("kl", "reward", "gold")}
            if now.kl_to_optimum is not None:
                numbers["kl_to_optimum"] = float(now.kl_to_optimum.mean())
            found += [
                Comparison(f"{file.stem} {split} {name}", value, float(row[name]), TOLERANCE * max(1.0, abs(value)))
                for name, value in numbers.items()
            ]
    return found


def seed_spread(results: Results, run: Run, column: str) -> tuple[float, float, int]:
    """Return the mean over seeds at the run's setting, the standard deviation pooled over the knob, its freedom.

    Raises
    ------
    InputError
        If the table holds no setting of the method with two seeds.
    """
    chosen = results.curves.query(
        "task == @run.task and method == @run.method and stage == @run.stage and variant == @run.variant "
        "and reward_name == @run.reward_name and split == 'train' and last"
    )
    groups = [group[column].to_numpy() for _, group in chosen.groupby("knob") if len(group) > 1]
    freedom = sum(len(group) - 1 for group in groups)
    require(freedom > 0, f"the table must hold two seeds of some {run.stage} run of {run.method}, {run.task}.")
    pooled = float(np.sqrt(sum(np.square(g - g.mean()).sum() for g in groups) / freedom))
    return float(chosen[chosen.knob == run.knob][column].mean()), pooled, freedom


def retrain(results: Results, run: Run, output: Path, *, space: ResponseSpace | None = None) -> list[Comparison]:
    """Train a run anew and compare KL and reward with the table: within the spread that a new seed would have.

    Parameters
    ----------
    results : Results
        The table.
    run : Run
        What to train.
    output : path
        Where its files go.
    space : ResponseSpace, optional
        The responses.
    """
    data = execute(run, output, results.folder, space or ResponseSpace())
    last = max(row["step"] for row in data["rows"])
    now = next(row for row in data["rows"] if row["step"] == last and row["split"] == "train")
    found = []
    for column in ("kl", "reward"):
        mean, spread, freedom = seed_spread(results, run, column)
        n_seeds = results.curves.query(
            "task == @run.task and method == @run.method and stage == @run.stage and variant == @run.variant "
            "and knob == @run.knob and reward_name == @run.reward_name and split == 'train' and last"
        ).seed.nunique()
        allowed = stats.t.ppf(0.5 + 0.5 * _LEVEL, freedom) * spread * np.sqrt(1.0 + 1.0 / n_seeds)
        name = f"{run.task} {run.method} {run.stage} {run.knob:g}, trained anew, {column}"
        found.append(Comparison(name, float(now[column]), mean, float(allowed)))
    return found
