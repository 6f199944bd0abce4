"""From finished runs to the versioned table that the book reads, with what it takes to check it, and back."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import cast

import pandas as pd

from alignlib._core.checks import require
from alignlib._core.files import write_whole
from alignlib.lm.experiment import results as tables
from alignlib.lm.experiment.fixed_points import PENALTIES, fixed_point
from alignlib.lm.experiment.grid import CHECKED, TRIED_RATES, Run, compared
from alignlib.lm.experiment.laboratory import Laboratory
from alignlib.lm.experiment.run_files import FORMAT, RunData, finished, run_path, weights_path
from alignlib.lm.experiment.runner import laboratory
from alignlib.lm.methods import find
from alignlib.lm.policy_law import policy_law
from alignlib.lm.proxies import PROXIES
from alignlib.lm.space import ResponseSpace

__all__ = ["assemble", "restore", "write_fixed_points"]

_ROW = ("step", "completions", "split", "kl", "reward", "gold", "kl_to_optimum")
_BETAS = (4.0, 2.0, 1.0, 0.5, 0.25, 0.125)  # of the fixed points
_LIBRARIES = ("torch", "transformers", "trl", "torchrl", "tensordict", "safetensors", "numpy")


def assemble(
    runs: Sequence[Run],
    output: str | Path,
    folder: str | Path,
    *,
    space: ResponseSpace | None = None,
    proxies: Sequence[str] = tuple(PROXIES),
) -> tables.Results:
    """Write the table of all finished runs into ``folder`` and read it back.

    Parameters
    ----------
    runs : sequence of Run
        The grid; those not finished are left out, and counted.
    output : path
        Where the runs' results lie.
    folder : path
        Where the tables go, beside the base models.
    space : ResponseSpace, optional
        The responses.
    proxies : sequence of str
        Proxies whose laws are written too, whether or not anything was trained on them yet.

    Raises
    ------
    InputError
        If no run is finished, or a run was trained from another base or reward than the one that lies there.
    """
    place, target, size = Path(output), Path(folder), space or ResponseSpace()
    done = [(run, data) for run in runs if (data := finished(place, run)) is not None]
    require(bool(done), f"output must hold finished runs; {str(place)!r} holds none of the {len(runs)} wanted.")
    curves, prompts = [], []
    labs = {task: laboratory(task, target, size, place) for task in dict.fromkeys(run.task for run, _ in done)}
    prints: dict[tuple[str, str], str] = {}
    for run, data in done:
        source = (run.task, run.reward_name)
        if source not in prints:
            prints[source] = labs[run.task].fingerprint(run.reward_name)
        require(
            data["trained_from"] == prints[source],
            f"run {run.key} was trained from another base or reward; delete its file and run make lm again.",
        )
        curves += _curve_rows(run, data)
        prompts += _prompt_rows(run, data)
    for lab in labs.values():
        lab.write_laws(["gold", *proxies], target)
        write_fixed_points(lab, target)
    tables.write(target, pd.DataFrame(curves), pd.DataFrame(prompts), _settings(runs, done, labs))
    _publish([run for run, _ in done], place, target)
    return tables.Results.read(target)


def restore(runs: Sequence[Run], output: str | Path, folder: str | Path) -> int:
    """Lay the runs that a table holds into ``output`` as finished, so that only the others are trained; say how many.

    A run that lies there already is left alone. Runs on proxies are not laid there: another machine trains another
    reward model. Numbers come back with the table's ten digits.

    Parameters
    ----------
    runs : sequence of Run
        The grid; what the table holds of other runs is left out.
    output : path
        Where the runs' results go.
    folder : path
        Where the table lies.
    """
    place, found = Path(output), tables.Results.read(folder)
    known = found.settings["runs"]
    rows, prompts = dict(iter(found.curves.groupby("run"))), dict(iter(found.prompts.groupby("run")))
    gold = [run for run in runs if run.key in known and run.reward_name == "gold"]
    wanted = [run for run in gold if not run_path(place, run).exists()]
    (place / "runs").mkdir(parents=True, exist_ok=True)
    for run in wanted:
        data = {
            "format": FORMAT,
            "run": run.description,
            "trained_from": known[run.key]["trained_from"],
            "seconds": known[run.key]["seconds"],
            "rows": json.loads(rows[run.key][list(_ROW)].to_json(orient="records", double_precision=15)),
            "prompts": {
                split: {name: part[name].tolist() for name in ("kl", "reward", "gold")}
                for split, part in prompts[run.key].groupby("split", sort=False)
            },
        }
        write_whole(run_path(place, run), json.dumps(data))
    return len(wanted)


def write_fixed_points(lab: Laboratory, folder: Path) -> None:
    """Write where each way of charging the KL would end if the policy could be anything: KL and reward, exactly."""
    path = tables.fixed_points_path(folder, lab.task.name)
    log_base, reward = lab.log_base["train"], lab.reward("gold")
    rows = []
    for penalty in PENALTIES:
        for beta in _BETAS:
            law = policy_law(fixed_point(log_base, reward, lab.task.space, beta, penalty), log_base, reward, reward)
            rows.append((penalty, beta, float(law.kl.mean()), float(law.reward.mean())))
    table = pd.DataFrame(rows, columns=["penalty", "beta", "kl", "reward"])
    write_whole(path, table.to_csv(index=False, float_format="%.10g", lineterminator="\n"))


def _curve_rows(run: Run, data: RunData) -> list[dict[str, object]]:
    last = max(row["step"] for row in data["rows"])
    fixed: dict[str, object] = {
        "run": run.key, "stage": run.stage, "task": run.task, "reward_name": run.reward_name, "method": run.method,
        "variant": run.variant, "knob": run.knob, "beta": run.beta, "seed": run.seed,
    }  # fmt: skip
    return [fixed | dict(row) | {"last": row["step"] == last} for row in data["rows"]]


def _prompt_rows(run: Run, data: RunData) -> list[dict[str, object]]:
    return [
        {"run": run.key, "split": split, "prompt": x, "kl": kl, "reward": reward, "gold": gold}
        for split, found in data["prompts"].items()
        for x, (kl, reward, gold) in enumerate(zip(found["kl"], found["reward"], found["gold"], strict=True))
    ]


def _settings(
    runs: Sequence[Run], done: Sequence[tuple[Run, RunData]], labs: Mapping[str, Laboratory]
) -> tables.TableSettings:
    return {
        "table_version": 1,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "planned": len(runs),
        "n_responses": next(iter(labs.values())).task.space.size,
        "base_sha256": {task: lab.base_hash for task, lab in labs.items()},
        "learning_rates": {name: find(name).learning_rate for name in compared()},
        "tried_rates": list(TRIED_RATES),
        "runs": {run.key: _record(run, data) for run, data in done},
    }


def _record(run: Run, data: RunData) -> tables.RunRecord:
    more = {"trained_from": data["trained_from"], "seconds": data["seconds"]}
    return cast("tables.RunRecord", run.description | more)


def _publish(runs: Sequence[Run], output: Path, folder: Path) -> None:
    """Copy the policies that the check evaluates anew beside the table, 0.4 MB each."""
    for run in runs:
        if run.kept and run.method in CHECKED.values() and weights_path(output, run).is_file():
            (folder / "checkpoints").mkdir(exist_ok=True)
            shutil.copyfile(weights_path(output, run), folder / "checkpoints" / f"{run.key}.safetensors")
