"""What the grid takes on a processor: CPU-seconds of a step, of an exact law and of what is made once, timed here.

Every kind of work (a step of each method on each task, an exact law, …) is timed in several rounds; the whole grid is
the sum of what each kind takes times how often it comes, with the standard error of such a stratified sum.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from alignlib._core.checks import require
from alignlib._core.files import write_whole
from alignlib._core.same import SameFields
from alignlib.lm.experiment.grid import PROXIES, Run, Tuned, grid
from alignlib.lm.methods import METHODS, find

if TYPE_CHECKING:
    from alignlib.lm.experiment.laboratory import Laboratory
    from alignlib.lm.payment import Payment
    from alignlib.lm.stack import Stack

__all__ = ["ProcessorTime", "Spent", "Work", "times_path", "together", "write_times"]

_Kind: TypeAlias = tuple[str, str, str]
Work: TypeAlias = dict[_Kind, float]
"""How often each kind of work is done, by task, what and name as in the table of times."""

_FLEET, _ROUNDS, _PROMPTS = 12, 3, 8
_PAIRS, _BATCHES = 256, (2, 6)


def times_path(folder: Path | str) -> Path:
    """Return where the table of times lies.

    Parameters
    ----------
    folder : Path or str
        Of results.
    """
    return Path(folder) / "processor_time.csv"


@dataclass(frozen=True)
class Spent:
    """CPU-seconds of one core, with their standard error.

    Attributes
    ----------
    seconds, error : float
        In seconds; the error is no number where something was timed once only.
    """

    seconds: float
    error: float


@dataclass(frozen=True, eq=False)
class ProcessorTime(SameFields):
    """The table of times: a stratified sample of the grid, a stratum for each kind of work.

    Attributes
    ----------
    table : DataFrame
        CPU-seconds of one core by ``task``, ``what`` and ``name``: the mean of some rounds and its standard error.
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
        found = pd.read_csv(path, keep_default_na=False)
        return cls(found if "error" in found else found.assign(error=float("nan")))

    @cached_property
    def _known(self) -> dict[_Kind, tuple[float, float]]:
        columns = (self.table[name].tolist() for name in ("task", "what", "name", "seconds", "error"))
        return {(task, what, name): (mean, error) for task, what, name, mean, error in zip(*columns, strict=True)}

    def _of(self, task: str, what: str, name: str = "") -> float:
        found = self._known.get((task, what, name))
        require(found is not None, f"the table of times must hold {what} {name} of {task}; python -m alignlib.lm time.")
        assert found is not None
        return found[0]

    def of_run(self, run: Run, tuned: Tuned) -> Work:
        """The work of a run: its steps, what a proxy's networks read, and the exact law of its policy.

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
        work: Work = {(run.task, "step", run.method): run.settings.steps * pace * run.layers / 2}
        if run.reward_name != "gold":
            work[run.task, "score", ""] = float(run.settings.steps * PROXIES[run.reward_name].members)
        prompts = self._of(run.task, "prompts", "validation" if run.stage == "tuning" else "judged")
        work[run.task, "law", ""] = prompts * run.layers / 2
        return work

    def once(self, task: str, runs: Sequence[Run]) -> Work:
        """The work that is done once: deeper bases, reward models, laws by reward level, fixed points.

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
        found = {
            "pretraining": sum(n / 2 for n in layers),
            "reward models": 1.0,
            "law": judged * (sum(networks.values()) + 1 + sum(n / 2 for n in layers)),
            "levels": len(PROXIES) * test + judged * (1 + len({run.own_pool for run in runs if run.own_pool})),
            "fixed points": test,
        }
        return {(task, what, ""): times for what, times in found.items()}

    def of_all(self, runs: Sequence[Run], tuned: Tuned) -> Work:
        """The work of some runs.

        Parameters
        ----------
        runs : sequence of Run
            What is reckoned.
        tuned : Tuned
            The settings of each method on each task.
        """
        return together(self.of_run(run, tuned) for run in runs)

    def of_work(self, work: Work) -> Spent:
        """What some work takes: each kind of it as often as it comes times its mean; kinds err independently.

        Parameters
        ----------
        work : dict
            How often each kind of work comes, by task, what and name.
        """
        seconds = sum(times * self._of(*kind) for kind, times in work.items())
        return Spent(seconds, sum((times * self._known[kind][1]) ** 2 for kind, times in work.items()) ** 0.5)


def together(works: Iterable[Work]) -> Work:
    """Add up some work.

    Parameters
    ----------
    works : iterable of Work
        What is done.

    Examples
    --------
    >>> together([{("safety", "law", ""): 1.0}, {("safety", "law", ""): 2.0}])
    {('safety', 'law', ''): 3.0}
    """
    found: Work = {}
    for work in works:
        for kind, times in work.items():
            found[kind] = found.get(kind, 0.0) + times
    return found


def write_times(results: Path, output: Path, tuned: Tuned, say: Callable[[str], None]) -> ProcessorTime:
    """Time everything on this machine, in three minutes, and write the table.

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

    rows: list[tuple[str, str, str, float, float]] = []
    for task in TASKS:
        with quiet(), one_thread(0):
            lab = laboratory(task, Place(results, output))
            works = [*_works(lab, task, tuned)]
            # Every kind once a round, so that an hour in which others compute falls on all kinds alike.
            taken = [[clocked() for _, _, clocked in works] for _ in range(_ROUNDS)]
        means, errors = np.mean(taken, 0), np.std(taken, 0, ddof=1) / np.sqrt(_ROUNDS)
        found = [(what, name, float(m), float(e)) for (what, name, _), m, e in zip(works, means, errors, strict=True)]
        sizes = {name: len(lab.task.of_split(name)) for name in ("train", "validation", "test")}
        found += [("prompts", name, n, 0.0) for name, n in (sizes | {"judged": sizes["train"] + sizes["test"]}).items()]
        rows += [(task, *row) for row in found]
        for what, name, mean, error in found:
            say(f"{task}: {what} {name} {mean:.3g} ± {error:.1g}".replace("  ", " "))
    table = pd.DataFrame(rows, columns=["task", "what", "name", "seconds", "error"])
    write_whole(times_path(results), table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    return ProcessorTime.read(results)


def _works(lab: Laboratory, task: str, tuned: Tuned) -> Iterator[tuple[str, str, Callable[[], float]]]:
    """Every kind of work: what it is, its name, and a call that does it once and returns CPU-seconds."""
    from alignlib.lm.base_model import PretrainingSettings, pretrain
    from alignlib.lm.experiment.fixed_points import fixed_point_rows
    from alignlib.lm.fleet import Fleet, Plan
    from alignlib.lm.payment import ProxyPayment
    from alignlib.lm.proxies import LATTICE, RewardSettings, train_members

    base, gold = lab.base(), lab.payment("gold")
    controls = {run.method: run for run in grid(tuned) if run.stage == "control" and run.task == task}

    def step(name: str, payment: Payment) -> Callable[[], float]:
        if name in controls:
            plans = [Plan(1.0, 0, controls[name].settings, _PROMPTS)]
        else:
            plans = [Plan(find(name).middle, seed, tuned(task, name)) for seed in range(_FLEET)]
        fleet = Fleet(find(name), base, lab.task, plans, payment)

        def one() -> None:
            fleet.method.step(fleet)
            fleet.count += 1

        one()
        return lambda: _clocked(one) / len(plans)

    steps = {name: step(name, gold) for name in METHODS}
    yield from (("step", name, clocked) for name, clocked in steps.items())

    def learn(steps: int, n_pairs: int = _PAIRS) -> Stack:
        return train_members(base, lab.task, gold, n_pairs, settings=RewardSettings(passes=0.0, least_steps=steps))

    pairs = {proxy.n_pairs for proxy in PROXIES.values()}

    def models() -> float:
        few, many = (_clocked(partial(learn, n)) for n in _BATCHES)
        batch = max(0.0, many - few) / (_BATCHES[1] - _BATCHES[0])
        labelling = max(0.0, few - _BATCHES[0] * batch) / _PAIRS
        return sum(batch * RewardSettings().steps(n) + labelling * n for n in pairs)

    yield "reward models", "", models
    members = learn(1, 64)
    paid = step("rloo", ProxyPayment(members, LATTICE))
    yield "score", "", lambda: max(0.0, paid() - steps["rloo"]()) / len(members)

    n_train = len(lab.task.of_split("train"))
    log_base, reward = (part[:2].cpu().numpy() for part in (lab.log_base("train"), lab.reward("gold", "train")))
    yield "law", "", lambda: _clocked(lambda: lab.evaluate(base.state(0), "gold", "train", beta=1.0)) / n_train
    yield "levels", "", lambda: _clocked(lambda: lab.law("gold", "train")) / n_train
    yield "fixed points", "", lambda: _clocked(lambda: fixed_point_rows(log_base, reward, lab.task.space)) / 2
    short = PretrainingSettings(n_pairs=1280, epochs=1)
    whole = PretrainingSettings()
    times = whole.n_pairs * whole.epochs / (short.n_pairs * short.epochs)
    yield "pretraining", "", lambda: times * _clocked(lambda: pretrain(lab.task, 0, short))


def _clocked(work: Callable[[], object]) -> float:
    """CPU-seconds of some work."""
    clock = time.process_time()
    work()
    return time.process_time() - clock
