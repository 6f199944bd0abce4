"""Runs the grid: fleets of runs that train side by side, in worker processes of one thread each; killed and resumed."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from alignlib._core.checks import require
from alignlib._core.crew import Crew, Over
from alignlib._core.errors import InputError
from alignlib.lm.experiment.grid import LONG, Run, key_of
from alignlib.lm.experiment.run_store import RunData, RunStore
from alignlib.lm.methods import find

if TYPE_CHECKING:
    from alignlib.lm.experiment.laboratory import Laboratory
    from alignlib.lm.tasks.task import Task

__all__ = ["Place", "execute", "fleets", "laboratory", "run_all"]

_laboratories: dict[tuple[object, ...], Laboratory] = {}
_SPLITS = {"tuning": ("validation",)}


@dataclass(frozen=True)
class Place:
    """Where runs are trained.

    Parameters
    ----------
    results : Path
        Folder of the base models and of the tables.
    output : Path
        Folder of the runs, and of what is kept from them.
    device : str
        ``"cpu"`` or ``"cuda"``.
    task : Task, optional
        A task in place of the one that is named, for tests.
    """

    results: Path
    output: Path
    device: str = "cpu"
    task: Task | None = None
    """A task in place of the one that is named, for tests."""


def laboratory(task: str, place: Place) -> Laboratory:
    """Return the task's laboratory, made once in each process, which works with one thread from then on.

    Threads gain nothing on models of this size, and wait for one another where every core has a process already.

    Parameters
    ----------
    task : str
        Its name.
    place : Place
        Where.
    """
    import torch

    from alignlib.lm.experiment.laboratory import Laboratory
    from alignlib.lm.torch_runtime import quiet

    torch.set_num_threads(1)
    key = (task, str(place.results), str(place.output), place.device)
    if place.task is not None or key not in _laboratories:
        with quiet():
            _laboratories[key] = Laboratory(task, place.results, place.output, device=place.device, task=place.task)
    return _laboratories[key]


def fleets(runs: Sequence[Run], size: int, device: str = "cpu") -> list[list[Run]]:
    """Put runs that can travel together into fleets, in the order in which runs are wanted.

    Parameters
    ----------
    runs : sequence of Run
        Most wanted first.
    size : int
        The most that travel together.
    device : str
        Where they are trained.
    """
    found: dict[tuple[object, ...], list[list[Run]]] = {}
    order: list[list[Run]] = []
    for run in runs:
        method = find(run.method)
        alone = run.n_prompts if run.stage == "control" else None
        # Where every operation is started once for all, as on a GPU, runs that rest cost nothing.
        epochs = run.settings.epochs if device == "cpu" else 0
        group = run.knob if method.knob == "n" else 0
        # The longest runs travel by themselves: those that end early need not wait for their start.
        long = run.settings.steps > LONG and run.knob == method.middle, run.settings.steps > LONG
        key = (run.stage, run.task, run.method, run.layers, run.reward_name, epochs, group, alone, long)
        open_fleets = found.setdefault(key, [])
        if not open_fleets or len(open_fleets[-1]) >= size:
            open_fleets.append([])
            order.append(open_fleets[-1])
        open_fleets[-1].append(run)
    return order


def execute(runs: Sequence[Run], place: Place, splits: tuple[str, ...] = ("test", "train")) -> Iterator[RunData]:
    """Train a fleet of runs and evaluate every final policy exactly on these splits; yield each as it finishes.

    Trials of tuning are evaluated on validation prompts only.

    Parameters
    ----------
    runs : sequence of Run
        A fleet, as `fleets` makes it.
    place : Place
        Where.
    splits : tuple of str
        On which prompts policies are evaluated.
    """
    from alignlib.lm.torch_runtime import quiet

    with quiet():
        yield from _execute(runs, place, splits)


def _execute(runs: Sequence[Run], place: Place, splits: tuple[str, ...]) -> Iterator[RunData]:
    from alignlib.lm.experiment.laboratory import encode_weights
    from alignlib.lm.fleet import Fleet, Plan

    one = runs[0]
    lab = laboratory(one.task, place)
    plans = [Plan(run.knob, run.seed, run.settings, run.n_prompts) for run in runs]
    base, payment = lab.base(one.layers), lab.payment(one.reward_name)
    fingerprint = lab.fingerprint(one.reward_name, one.layers)
    clock, spent, left = time.process_time(), 0.0, len(runs)
    for done in Fleet(find(one.method), base, lab.task, plans, payment, place.device).train():
        # Training up to here is shared by the runs that were still training.
        spent += (time.process_time() - clock) / left
        clock = time.process_time()
        run = runs[done.number]
        prompts, length, to_optimum = {}, {}, {}
        for split in _SPLITS.get(run.stage, splits):
            try:
                law = lab.evaluate(done.policy, run.reward_name, run.prompts_of(split), run.layers, run.beta)
            except InputError:
                continue  # its weights are no numbers: a run that diverged has no law, and the tables say so
            measures = {"kl": law.kl, "reward": law.reward} | ({} if run.reward_name == "gold" else {"gold": law.gold})
            prompts[split] = {name: [float(f"{v:.7g}") for v in values] for name, values in measures.items()}
            length[split], to_optimum[split] = round(law.length, 4), law.to_optimum
        seconds = spent + time.process_time() - clock
        clock, left = time.process_time(), left - 1
        yield {
            "run": run.description,
            "trained_from": fingerprint,
            "seconds": round(seconds, 2),
            "device": place.device,
            "prompts": prompts,
            "length": length,
            "to_optimum": to_optimum,
            "weights": encode_weights(done.policy) if run.kept else None,
        }
        left = max(left, 1)


def run_all(runs: Sequence[Run], place: Place, *, processes: int = 2, fleet: int = 12, progress: bool = True) -> int:
    """Train what is not finished yet, in order; returns how many runs were done now.

    Kill it at any moment: each finished run is a line of a file, and the next call goes on with the rest. At most the
    fleets in flight are lost.

    Parameters
    ----------
    runs : sequence of Run
        What is wanted, most wanted first.
    place : Place
        Where.
    processes : int
        Worker processes of one thread each, >= 1.
    fleet : int
        Most runs that train side by side.
    progress : bool
        Show a bar with the time left.

    Returns
    -------
    int
        Runs done now.

    Raises
    ------
    InputError
        If ``processes`` or ``fleet`` is below 1.
    """
    require(processes >= 1, f"processes must be at least 1; got {processes}.")
    require(fleet >= 1, f"fleet must be at least 1; got {fleet}.")
    place.output.mkdir(parents=True, exist_ok=True)
    store = RunStore(place.output)
    with _alone(place.output):
        ready = store.read()
        left = [run for run in runs if run.key not in ready]
        if left:
            _run_left(left, runs, place, store, processes, fleet, progress)
    return len(left)


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Hold the folder; the system lets go of it when the process ends, however it ends."""
    with (output / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"output must not be in use; another grid runs in {str(output)!r}. Wait for it."
            ) from error
        yield


def _run_left(
    left: Sequence[Run], runs: Sequence[Run], place: Place, store: RunStore, processes: int, fleet: int, progress: bool
) -> None:
    for task in dict.fromkeys(run.task for run in left):
        if not (place.results / f"base_{task}" / "model.safetensors").is_file():
            laboratory(task, place).base()  # pretrains what is missing once, before workers ask for it
    jobs = [(part, place) for part in fleets(left, fleet, place.device)]
    total = sum(run.work for run in runs)
    bar = tqdm(
        total=round(total), initial=round(total - sum(run.work for run in left)), disable=not progress,
        bar_format="{percentage:3.0f}% |{bar:24}| {elapsed} gone, {remaining} left · {desc}",
    )  # fmt: skip
    failed = []
    by_key = {run.key: run for run in left}
    with bar:
        for data, error in _results(jobs, processes):
            if data is None:
                failed.append(error)
                bar.write(error)
                continue
            store.append(data)
            run = by_key[key_of(data["run"])]
            bar.set_description_str(f"{run.stage} {run.task} {run.method} {run.knob:g} seed {run.seed}")
            bar.update(run.work)
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(jobs)} fleets failed, the others are kept: " + "; ".join(failed))


_Job = tuple[list[Run], Place]
_Answer = tuple["RunData | None", str]


def _results(jobs: Sequence[_Job], processes: int) -> Iterator[_Answer]:
    """Yield every run as it finishes, not only when its fleet does."""
    if processes == 1:
        for job in jobs:
            yield from _fleet(job)
        return
    with Crew(_fleet, {"fleet": processes}) as crew:
        for job in jobs:
            crew.give("fleet", job)
        for job, answer in filter(None, crew.answers()):
            if not isinstance(answer, Over):
                yield answer
            elif answer.error:
                yield None, f"{_named(job[0][0])}: {answer.error}"


def _named(run: Run) -> str:
    return f"{run.stage} {run.task} {run.method}"


def _fleet(job: _Job) -> Iterator[_Answer]:
    """Train one fleet; an error is returned, for one that diverges must not stop the others."""
    runs, place = job
    try:
        for data in execute(runs, place):
            yield data, ""
    except Exception as error:
        yield None, f"{_named(runs[0])}: {type(error).__name__}: {error}"
