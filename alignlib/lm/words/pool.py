"""Train fleets of runs in processes of their own, what is missing only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click
import torch

from alignlib._core.crew import Crew, Over
from alignlib._core.errors import InputError
from alignlib.lm.words.grid import Run, fleets
from alignlib.lm.words.place import Place
from alignlib.lm.words.training import is_trained, measure_run, result_file, train

__all__ = ["train_all"]


def train_all(runs: Sequence[Run], place: Place, processes: int, fleet: int, kept: int) -> None:
    """Train and measure the runs that have no results yet; a line for each as it finishes.

    Policies are measured by processes of their own while others still train. A fleet that fails, as where memory runs
    out, is tried again in two halves.

    Parameters
    ----------
    runs : sequence of Run
        With their rates.
    place : Place
        Where results lie.
    processes, fleet : int
        Processes of one thread each that train, and the most runs that train side by side in one.
    kept : int
        Responses to each held-out prompt by which a policy is measured.

    Raises
    ------
    InputError
        If something failed, once the rest is through.
    """
    left = [run for run in runs if not result_file(place, run).is_file()]
    parts = fleets([run for run in left if not is_trained(place, run)], fleet)
    to_measure = {run.key: run for run in left if run.stage != "tuning"}
    failed: list[str] = []
    with Crew(_done, {"train": processes, "measure": max(1, processes // 2)}) as crew:
        for part in parts:
            crew.give("train", _Job(place, tuple(part)))

        def measure_trained() -> None:
            for run in [run for run in to_measure.values() if is_trained(place, run)]:
                crew.give("measure", _Job(place, (to_measure.pop(run.key),), kept))

        measure_trained()
        for came in crew.answers(patience=1.0):
            measure_trained()
            if came is None or not isinstance(came[1], Over) or not came[1].error:
                continue
            job, error = came[0], came[1].error
            said = f"{job.runs[0].key}: {error}"
            click.echo(said, err=True)
            left = [run for run in job.runs if not result_file(place, run).is_file() and not is_trained(place, run)]
            half = len(left) // 2
            if half and job.kept is None:
                for some in (left[:half], left[half:]):
                    crew.give("train", _Job(place, tuple(some)))
            else:
                failed.append(said)
    if failed:
        raise InputError(f"{len(failed)} jobs failed, the first {failed[0]}; run it again.")


@dataclass(frozen=True)
class _Job:
    """Runs to train, or, where ``kept`` responses to a prompt are given, a run to measure."""

    place: Place
    runs: tuple[Run, ...]
    kept: int | None = None


def _done(job: _Job) -> Iterator[None]:
    """Do a job; what it has made is in files."""
    if job.kept is not None:
        measure_run(job.runs[0], job.place, job.kept, click.echo)
        return
    try:
        train(list(job.runs), job.place, click.echo)
    finally:
        torch.cuda.empty_cache()  # for the other processes
    yield from ()
