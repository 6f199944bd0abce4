"""What the grid takes on a processor: CPU-seconds of a step, of an exact law and of what is made once, timed here.

A run that was trained on a processor tells its own; runs that a GPU trained, and runs to come, are reckoned from these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alignlib._core.checks import require
from alignlib._core.files import write_whole
from alignlib._core.same import SameFields
from alignlib.lm.experiment.grid import PROXIES, Run, Tuned, grid
from alignlib.lm.experiment.run_store import RunData
from alignlib.lm.methods import METHODS, find

if TYPE_CHECKING:
    from alignlib.lm.experiment.laboratory import Laboratory
    from alignlib.lm.payment import Payment
    from alignlib.lm.stack import Stack

__all__ = ["ProcessorTime", "times_path", "write_times"]

_FLEET, _STEPS, _PROMPTS = 12, 2, 8
_PAIRS, _BATCHES = 256, (2, 6)


def times_path(folder: Path | str) -> Path:
    """Return where the table of times lies.

    Parameters
    ----------
    folder : Path or str
        Of results.
    """
    return Path(folder) / "processor_time.csv"


@dataclass(frozen=True, eq=False)
class ProcessorTime(SameFields):
    """The table of times.

    Attributes
    ----------
    table : DataFrame
        CPU-seconds of one core by ``task``, ``what`` and ``name``.
    """

    table: pd.DataFrame

    @classmethod
    def read(cls, folder: Path | str) -> ProcessorTime:
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
        path = times_path(folder)
        require(path.is_file(), f"folder must hold {path.name}; {str(folder)!r} does not. python -m alignlib.lm time.")
        return cls(pd.read_csv(path, keep_default_na=False))

    def _of(self, task: str, what: str, name: str = "") -> float:
        table = self.table
        found = table[(table.task == task) & (table.what == what) & (table.name == name)].seconds
        require(len(found) == 1, f"the table of times must hold {what} {name} of {task}; python -m alignlib.lm time.")
        return float(found.iloc[0])

    def of_run(self, run: Run, tuned: Tuned) -> float:
        """CPU-seconds of a run: its steps, what a proxy's networks read, and the exact law of its policy.

        Parameters
        ----------
        run : Run
            What is reckoned.
        tuned : Tuned
            The settings of each method on each task.
        """
        # Controls are timed as they are trained; others with the epochs that tuning found, and trials have their own.
        control = run.stage == "control"
        pace = 1.0 if control else (1.0 + run.settings.epochs) / (1.0 + tuned(run.task, run.method).epochs)
        step = self._of(run.task, "step", run.method) * pace * run.layers / 2
        if run.reward_name != "gold":
            step += self._of(run.task, "score") * PROXIES[run.reward_name].members
        prompts = self._of(run.task, "prompts", "validation" if run.stage == "tuning" else "judged")
        return run.settings.steps * step + prompts * self._of(run.task, "law") * run.layers / 2

    def once(self, task: str, runs: Sequence[Run]) -> float:
        """CPU-seconds of what is made once: deeper bases, reward models, laws by reward level, fixed points.

        Parameters
        ----------
        task : str
            Which task.
        runs : sequence of Run
            The runs that need it.
        """
        layers = {run.layers for run in runs if run.task == task} - {2}
        judged, test = (self._of(task, "prompts", name) for name in ("judged", "test"))
        networks = {
            p.n_pairs: max(q.members for q in PROXIES.values() if q.n_pairs == p.n_pairs) for p in PROXIES.values()
        }
        levels = len(PROXIES) * test + judged * (1 + len({run.own_pool for run in runs if run.own_pool}))
        return (
            self._of(task, "pretraining") * sum(n / 2 for n in layers)
            + self._of(task, "reward models")
            + judged * self._of(task, "law") * (sum(networks.values()) + 1 + sum(n / 2 for n in layers))
            + levels * self._of(task, "levels")
            + test * self._of(task, "fixed points")
        )

    def of_all(self, runs: Sequence[Run], tuned: Tuned, ready: Mapping[str, RunData]) -> float:
        """CPU-seconds of some runs: as recorded where a processor trained them, reckoned for the others.

        Parameters
        ----------
        runs : sequence of Run
            What is reckoned.
        tuned : Tuned
            The settings of each method on each task.
        ready : mapping of str to RunData
            Finished runs by key, which say what they took.
        """
        own = {run.key: ready[run.key] for run in runs if run.key in ready and ready[run.key]["device"] == "cpu"}
        return sum(own[run.key]["seconds"] if run.key in own else self.of_run(run, tuned) for run in runs)


def write_times(results: Path, output: Path, tuned: Tuned, say: Callable[[str], None]) -> ProcessorTime:
    """Time everything on this machine, in two minutes, and write the table.

    Parameters
    ----------
    results : Path
        Where the base models lie.
    output : Path
        Where deeper ones and reward models are kept.
    tuned : Tuned
        The settings of each method.
    say : callable
        Gets a line for each task.
    """
    from alignlib.lm.experiment.runner import Place, laboratory
    from alignlib.lm.tasks import TASKS
    from alignlib.lm.torch_runtime import one_thread, quiet

    rows: list[tuple[str, str, str, float]] = []
    for task in TASKS:
        with quiet(), one_thread(0):
            found = _times(laboratory(task, Place(results, output)), task, tuned)
        rows += [(task, *row) for row in found]
        say(f"{task}: {', '.join(f'{what} {name} {seconds:.3g}'.replace('  ', ' ') for what, name, seconds in found)}")
    table = pd.DataFrame(rows, columns=["task", "what", "name", "seconds"])
    write_whole(times_path(results), table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    return ProcessorTime.read(results)


def _times(lab: Laboratory, task: str, tuned: Tuned) -> list[tuple[str, str, float]]:
    from alignlib.lm.base_model import PretrainingSettings, pretrain
    from alignlib.lm.experiment.table import fixed_point_rows
    from alignlib.lm.fleet import Fleet, Plan
    from alignlib.lm.payment import ProxyPayment
    from alignlib.lm.proxies import LATTICE, RewardSettings, train_members

    found: list[tuple[str, str, float]] = []
    base, gold = lab.base(), lab.payment("gold")
    controls = {run.method: run for run in grid(tuned) if run.stage == "control" and run.task == task}

    def step(name: str, payment: Payment) -> float:
        if name in controls:
            plans = [Plan(1.0, 0, controls[name].settings, _PROMPTS)]
        else:
            plans = [Plan(find(name).middle, seed, tuned(task, name)) for seed in range(_FLEET)]
        fleet = Fleet(find(name), base, lab.task, plans, payment)

        def one() -> None:
            fleet.method.step(fleet)
            fleet.count += 1

        one()
        return _least(one) / len(plans)

    steps = {name: step(name, gold) for name in METHODS}
    found += [("step", name, seconds) for name, seconds in steps.items()]

    def learn(steps: int, n_pairs: int = _PAIRS) -> Stack:
        return train_members(base, lab.task, gold, n_pairs, settings=RewardSettings(passes=0.0, least_steps=steps))

    few, many = (_least(partial(learn, n), 1) for n in _BATCHES)
    batch = max(0.0, many - few) / (_BATCHES[1] - _BATCHES[0])
    pairs = {proxy.n_pairs for proxy in PROXIES.values()}
    labelling = max(0.0, few - _BATCHES[0] * batch) / _PAIRS
    found.append(("reward models", "", sum(batch * RewardSettings().steps(n) + labelling * n for n in pairs)))
    members = learn(1, 64)
    dearer = step("rloo", ProxyPayment(members, LATTICE)) - steps["rloo"]
    found.append(("score", "", max(0.0, dearer) / len(members)))

    sizes = {name: len(lab.task.of_split(name)) for name in ("train", "validation", "test")}
    lab.log_base("train"), lab.reward("gold", "train")
    law = _least(lambda: lab.evaluate(base.state(0), "gold", "train", beta=1.0)) / sizes["train"]
    found += [("law", "", law), ("levels", "", _least(lambda: lab.law("gold", "train")) / sizes["train"])]
    log_base, reward = (part[:2].cpu().numpy() for part in (lab.log_base("train"), lab.reward("gold", "train")))
    found.append(("fixed points", "", _least(lambda: fixed_point_rows(log_base, reward, lab.task.space), 1) / 2))
    short = PretrainingSettings(n_pairs=1280, epochs=1)
    whole = PretrainingSettings()
    times = whole.n_pairs * whole.epochs / (short.n_pairs * short.epochs)
    found.append(("pretraining", "", times * _least(lambda: pretrain(lab.task, 0, short), 1)))
    found += [("prompts", name, float(n)) for name, n in {**sizes, "judged": sizes["train"] + sizes["test"]}.items()]
    return found


def _least(work: Callable[[], object], times: int = _STEPS) -> float:
    """The least CPU time of some repetitions: others on the machine can only add to it."""
    spent = []
    for _ in range(times):
        clock = time.process_time()
        work()
        spent.append(time.process_time() - clock)
    return min(spent)
