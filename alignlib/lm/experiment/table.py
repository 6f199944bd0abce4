"""From finished runs to the versioned table that the book reads, with what it takes to check it."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from alignlib._core.checks import require
from alignlib._core.files import write_whole
from alignlib.lm.composed import COLUMNS, composed_rows
from alignlib.lm.experiment import results as tables
from alignlib.lm.experiment.fixed_points import fixed_point_rows
from alignlib.lm.experiment.grid import PROXIES, Run, tuning_runs
from alignlib.lm.experiment.kept import Tables, beside
from alignlib.lm.experiment.laboratory import Laboratory, decode_weights
from alignlib.lm.experiment.run_store import RunData, RunStore
from alignlib.lm.experiment.runner import Place, laboratory
from alignlib.lm.methods import RESPONSES
from alignlib.lm.proxies import MEMBERS

__all__ = [
    "assemble", "base_length", "write_composed", "write_fixed_points", "write_laws",
    "write_members",
]  # fmt: skip

_LIBRARIES = ("torch", "transformers", "safetensors", "numpy")
_SPLITS = ("test", "train")
_PROMPTS_AT_ONCE = 2  # few enough for the cache
_MEMBER_PAIRS, _MEMBER_PROMPTS = 300, 24  # the weakest networks; enough prompts to compare them with their mean
_COMPOSED_PROMPTS, _COMPOSED_KL = 12, 1.0  # the first test prompts, and the mean KL of the particle filters' target
_MEMBER_LAMS = np.concatenate([[0.0], np.geomspace(0.02, 100.0, 60)])


def assemble(runs: Sequence[Run], place: Place, kept: tables.Results | None = None) -> tables.Results:
    """Write the table of all finished runs into the results folder, beside the laws, and read it back.

    Parameters
    ----------
    runs : sequence of Run
        The grid; those not finished are left out, and counted.
    place : Place
        Where runs and base models lie, and where the tables go.
    kept : Results, optional
        An earlier table: what it has of runs that are not finished here stays.

    Raises
    ------
    InputError
        If no run is finished, or one was trained from another base or reward than the one that lies there.
    """
    ready = RunStore(place.output).read()
    done = [(run, ready[run.key]) for run in runs if run.key in ready]
    require(bool(done), f"output must hold finished runs; {str(place.output)!r} holds none of the {len(runs)} wanted.")
    labs = {task: laboratory(task, place) for task in dict.fromkeys(run.task for run, _ in done)}
    prints: dict[tuple[str, str, int], str] = {}
    rows = []
    for run, data in done:
        source = (run.task, run.reward_name, run.layers)
        if source not in prints:
            prints[source] = labs[run.task].fingerprint(run.reward_name, run.layers)
        require(
            data["trained_from"] == prints[source],
            f"run {run.key} was trained from another base or reward; delete its line and run make lm again.",
        )
        rows += _rows(run, data)
    settings: tables.Settings = {
        "table_version": 2,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "planned": len(runs),
        "planned_by_stage": dict(Counter(run.stage for run in runs)),
        "n_responses": next(iter(labs.values())).task.space.size,
        "base_sha256": {task: lab.base_hash for task, lab in labs.items()},
        "base_length": {task: base_length(lab) for task, lab in labs.items()},
        "diverged": sorted(run.key for run, data in done if not data["prompts"]),
        "devices": sorted({data["device"] for _, data in done}),
        "seconds": {
            "tuning": round(sum(ready[run.key]["seconds"] for run in tuning_runs() if run.key in ready)),
            "grid": round(sum(data["seconds"] for _, data in done)),
        },
    }
    found: Tables = (pd.DataFrame(rows), _per_prompt(done), settings)
    tables.write(place.results, *(found if kept is None else beside(kept, found, [run.key for run in runs])))
    _publish(done, place.results)
    return tables.Results.read(place.results)


def base_length(lab: Laboratory) -> float:
    """Mean tokens of a response of the base to the test prompts.

    Parameters
    ----------
    lab : Laboratory
        The task.
    """
    return round(lab.evaluate(lab.base().state(0), "gold", "test").length, 4)


def _rows(run: Run, data: RunData) -> list[dict[str, object]]:
    fixed = {
        "run": run.key, "stage": run.stage, "task": run.task, "method": run.method, "knob": run.knob,
        "steps": run.settings.steps, "seed": run.seed, "n_prompts": run.n_prompts or tables.FRESH,
        "layers": run.layers, "reward_name": run.reward_name, "completions": run.settings.steps * RESPONSES,
        "seconds": data["seconds"],
    }  # fmt: skip
    found = []
    for split, measured in data["prompts"].items():
        means = {name: float(np.mean(values)) for name, values in measured.items()}
        means.setdefault("gold", means["reward"])
        found.append(
            fixed | {"split": split, "length": data["length"][split], "to_optimum": data["to_optimum"][split]} | means
        )
    return found


def _per_prompt(done: Sequence[tuple[Run, RunData]]) -> dict[str, npt.NDArray[np.generic]]:
    """KL and reward of the runs on gold, prompt by prompt, in single precision; what bootstraps need."""
    chosen = [(run, data) for run, data in done if run.reward_name == "gold" and data["prompts"]]
    found: dict[str, npt.NDArray[np.generic]] = {"run": np.array([run.key for run, _ in chosen], dtype=np.str_)}
    for split in _SPLITS:
        for name in ("kl", "reward"):
            values = [data["prompts"][split][name] for _, data in chosen]
            found[f"{split}_{name}"] = np.array(values, dtype=np.float32)
    return found


def write_laws(
    lab: Laboratory,
    folder: Path,
    proxies: Sequence[str] = tuple(PROXIES),
    runs: Sequence[Run] = (),
    lacking: bool = False,
) -> None:
    """Write the base's laws by reward level, for gold and for proxies, reward models alone, and the fixed points.

    Parameters
    ----------
    lab : Laboratory
        The task.
    folder : path
        Where they go.
    proxies : sequence of str
        Which proxies.
    runs : sequence of Run
        The grid: laws are written on the prompts that its runs see, and for bases as deep as they have.
    lacking : bool
        Only the proxies' laws that are not there yet.
    """
    task = lab.task.name
    for name in ("gold", *proxies):
        path = tables.law_path(folder, task, name, "test")
        if not (lacking and path.is_file()):
            lab.law(name, "test").write(path)
    if lacking:
        return
    pools = [run.own_pool for run in runs if run.task == task and run.own_pool]
    for split in dict.fromkeys(["train", *pools]):
        lab.law("gold", split).write(tables.law_path(folder, task, "gold", split))
    for layers in sorted({run.layers for run in runs if run.task == task} - {2}):
        for split in _SPLITS:
            lab.law("gold", split, layers).write(tables.law_path(folder, task, "gold", split, layers))
    if proxies:
        write_members(lab, folder)
    write_fixed_points(lab, folder)
    write_composed(lab, folder)


def write_members(lab: Laboratory, folder: Path) -> None:
    """Write KL, reward and gold along the optimum of each network of an ensemble and of means of the first of them.

    Exactly, on the first test prompts, the same for all.

    Parameters
    ----------
    lab : Laboratory
        The task.
    folder : Path
        Where to.
    """
    prompts = lab.task.of_split("test")[:_MEMBER_PROMPTS]
    scores = torch.stack([lab.score(_MEMBER_PAIRS, member, prompts) for member in range(MEMBERS)])
    alone = [(member, 1) for member in range(MEMBERS)]
    means = [(0, p.members) for p in PROXIES.values() if p.n_pairs == _MEMBER_PAIRS and p.members > 1]
    rows = []
    for first, count in (*alone, *means):
        curve = lab.score_law(scores[first : first + count].mean(0)).optimum(_MEMBER_LAMS)
        found = zip(_MEMBER_LAMS, curve.kl, curve.gain, curve.gold_gain, strict=True)
        rows += [(_MEMBER_PAIRS, first, count, *one) for one in found]
    table = pd.DataFrame(rows, columns=["n_pairs", "first", "networks", "lam", "kl", "gain", "gold_gain"])
    path = tables.members_path(folder, lab.task.name)
    write_whole(path, table.to_csv(index=False, float_format="%.7g", lineterminator="\n"))


def write_fixed_points(lab: Laboratory, folder: Path) -> None:
    """Write where each way of charging the KL would end if the policy could be anything, exactly, on test prompts.

    Parameters
    ----------
    lab : Laboratory
        The task.
    folder : Path
        Where to.
    """
    log_base, reward = (part.cpu().numpy() for part in (lab.log_base("test"), lab.reward("gold", "test")))
    rows = []
    for start in range(0, len(log_base), _PROMPTS_AT_ONCE):
        base, gold = (part[start : start + _PROMPTS_AT_ONCE] for part in (log_base, reward))
        found = fixed_point_rows(base, gold, lab.task.space)
        rows += [(penalty, beta, start + x, kl, mean) for penalty, beta, x, kl, mean in found]
    table = pd.DataFrame(rows, columns=["penalty", "beta", "prompt", "kl", "reward"])
    path = tables.fixed_points_path(folder, lab.task.name)
    write_whole(path, table.to_csv(index=False, float_format="%.8g", lineterminator="\n"))


def write_composed(lab: Laboratory, folder: Path) -> None:
    """Write the exact laws of blockwise best-of-N and of a particle filter on the base, on the first test prompts.

    Parameters
    ----------
    lab : Laboratory
        The task.
    folder : Path
        Where to.
    """
    parts = (lab.log_base("test"), lab.reward("gold", "test"))
    log_base, gold = (part[:_COMPOSED_PROMPTS].cpu().numpy() for part in parts)
    lam = lab.law("gold", "test").average.lam_at_kl(_COMPOSED_KL)
    table = pd.DataFrame(composed_rows(log_base, gold, lab.task.space, lam), columns=COLUMNS)
    path = tables.composed_path(folder, lab.task.name)
    write_whole(path, table.to_csv(index=False, float_format="%.8g", lineterminator="\n"))


def _publish(done: Sequence[tuple[Run, RunData]], folder: Path) -> None:
    """Write the policies that the check evaluates anew beside the table, 0.4 MB each."""
    for run, data in done:
        text = data["weights"]
        if text is not None:
            (folder / "checkpoints").mkdir(exist_ok=True)
            write_whole(folder / "checkpoints" / f"{run.key}.safetensors", decode_weights(text))
