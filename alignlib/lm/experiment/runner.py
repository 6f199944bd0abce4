"""Runs the grid: worker processes of one thread each, one file per finished run, written whole; killed and resumed."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from alignlib._core.checks import require
from alignlib._core.errors import InputError
from alignlib._core.files import write_whole
from alignlib.lm.experiment.grid import Run
from alignlib.lm.experiment.run_files import FORMAT, CheckpointRow, RunData, finished, run_path, weights_path
from alignlib.lm.methods import find
from alignlib.lm.space import ResponseSpace

if TYPE_CHECKING:
    from alignlib.lm.experiment.laboratory import Laboratory

__all__ = ["execute", "laboratory", "run_all"]

_laboratories: dict[tuple[str, str, ResponseSpace], Laboratory] = {}


def laboratory(task: str, folder: Path, space: ResponseSpace, output: Path) -> Laboratory:
    """Return the task's laboratory, made once in each process, which works with one thread from then on.

    Threads gain nothing on models of this size, and wait for one another where every core has a process already.
    """
    import torch

    from alignlib.lm.experiment.laboratory import Laboratory
    from alignlib.lm.torch_runtime import quiet

    torch.set_num_threads(1)
    key = (task, str(folder), space)
    if key not in _laboratories:
        with quiet():
            _laboratories[key] = Laboratory(task, folder, space, output)
    return _laboratories[key]


def execute(run: Run, output: Path, results: Path, space: ResponseSpace) -> RunData:
    """Train one run and evaluate every checkpoint exactly, on training and held-out prompts.

    The last policy's weights are kept in ``output`` if the run is one of those kept.
    """

    from alignlib.lm.torch_runtime import quiet

    with quiet():
        return _execute(run, output, results, space)


def _execute(run: Run, output: Path, results: Path, space: ResponseSpace) -> RunData:
    from safetensors.torch import save

    lab = laboratory(run.task, results, space, output)
    start = time.process_time()
    rows: list[CheckpointRow] = []
    prompts: dict[str, dict[str, list[float]]] = {}
    beta = 1.0 if run.beta is None else run.beta
    reward = lab.reward(run.reward_name)
    for checkpoint in find(run.method).train(lab.base, lab.task, reward, beta, run.seed, settings=run.settings):
        last = checkpoint.step == run.settings.budget.steps
        for split in ("train", "held_out") if last else ("train",):
            found = lab.evaluate(checkpoint.model, run.reward_name, run.beta, split)
            law = found.law
            prompts[split] = {"kl": law.kl.tolist(), "reward": law.reward.tolist(), "gold": law.gold.tolist()}
            row: CheckpointRow = {
                "step": checkpoint.step,
                "completions": checkpoint.completions,
                "split": split,
                "kl": float(law.kl.mean()),
                "reward": float(law.reward.mean()),
                "gold": float(law.gold.mean()),
                "kl_to_optimum": None if found.kl_to_optimum is None else float(found.kl_to_optimum.mean()),
            }
            rows.append(row)
    if run.kept:
        keep = weights_path(output, run)
        keep.parent.mkdir(parents=True, exist_ok=True)
        write_whole(keep, save({name: value.contiguous() for name, value in checkpoint.model.state_dict().items()}))
    return {
        "format": FORMAT,
        "run": run.description,
        "trained_from": lab.fingerprint(run.reward_name),
        "seconds": round(time.process_time() - start, 1),
        "rows": rows,
        "prompts": prompts,
    }


def run_all(
    runs: Sequence[Run],
    output: str | Path,
    results: str | Path,
    *,
    processes: int = 2,
    space: ResponseSpace | None = None,
    progress: bool = True,
) -> int:
    """Run what is not finished yet, in order; returns how many runs were done now.

    Kill it at any moment: each finished run lies in a file of its own, and the next call goes on with the rest. At
    most the ``processes`` runs in flight are lost, and they leave no trace.

    Parameters
    ----------
    runs : sequence of Run
        What is wanted, most wanted first.
    output : path
        Folder of the runs' results.
    results : path
        Folder of the base models; they are pretrained there if absent.
    processes : int
        Worker processes of one thread each, >= 1.
    space : ResponseSpace, optional
        The responses.
    progress : bool
        Show a bar with the time left.
    """
    require(processes >= 1, f"processes must be at least 1; got {processes}.")
    place, base, size = Path(output), Path(results), space or ResponseSpace()
    (place / "runs").mkdir(parents=True, exist_ok=True)
    with _alone(place):
        return _run_left(runs, place, base, size, processes, progress)


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
        for part in (output / "runs").glob(".*"):
            part.unlink()  # what a kill left half written
        yield


def _run_left(runs: Sequence[Run], place: Path, base: Path, size: ResponseSpace, processes: int, progress: bool) -> int:
    left = [run for run in runs if finished(place, run) is None]
    if not left:
        return 0
    for task in sorted({run.task for run in left}):
        laboratory(task, base, size, place)  # pretrains what is missing once, before workers ask for it
    total = sum(run.seconds for run in runs)
    bar = tqdm(
        total=round(total), initial=round(total - sum(run.seconds for run in left)), unit="s", disable=not progress,
        bar_format="{percentage:3.0f}% |{bar:24}| {elapsed} gone, {remaining} left · {desc}",
    )  # fmt: skip
    with bar:
        failed = []
        for run, seconds, error in _results(left, place, base, size, processes):
            if error:
                failed.append(f"{run.key}: {error}")
                bar.write(failed[-1])
                continue
            bar.set_description_str(
                f"{run.stage} {run.task} {run.method} {run.knob:g} seed {run.seed}: {seconds:.0f} s"
            )
            bar.update(run.seconds)
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(left)} runs failed, the others are kept: " + "; ".join(failed))
    return len(left)


def _results(
    runs: Sequence[Run], output: Path, results: Path, space: ResponseSpace, processes: int
) -> Iterator[tuple[Run, float, str]]:
    jobs = [(run, output, results, space) for run in runs]
    if processes == 1:
        yield from map(_one, jobs)
        return
    # Fresh interpreters: a forked one would inherit torch's threads.
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _begin, (os.getpid(),)) as pool:
        yield from pool.imap_unordered(_one, jobs)


def _begin(parent: int) -> None:
    """End with the parent: a worker that outlives it would train beside the resumed grid."""
    os.environ["OMP_NUM_THREADS"] = "1"

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _one(job: tuple[Run, Path, Path, ResponseSpace]) -> tuple[Run, float, str]:
    """Do one run; an error is returned, for one run that diverges must not stop the others."""
    run, output, results, space = job
    try:
        data = execute(run, output, results, space)
    except Exception as error:
        return run, 0.0, f"{type(error).__name__}: {error}"
    write_whole(run_path(output, run), json.dumps(data))
    return run, float(data["seconds"]), ""
