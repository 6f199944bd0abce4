"""Train fleets of runs in processes of their own, what is missing only."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

import click
import torch

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
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, mp_context=context) as training,
        ProcessPoolExecutor(max(1, processes // 2), mp_context=context) as measuring,
    ):
        waiting: dict[Future[None], list[Run]] = {training.submit(_train, part, place): part for part in parts}
        while waiting or to_measure:
            ready = [run for run in to_measure.values() if is_trained(place, run)]
            waiting |= {measuring.submit(_measure, to_measure.pop(run.key), place, kept): [run] for run in ready}
            if not waiting:
                break  # what is left to measure was never trained: its fleet failed
            for done in wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED).done:
                part, error = waiting.pop(done), done.exception()
                left = [run for run in part if not result_file(place, run).is_file() and not is_trained(place, run)]
                half = len(left) // 2
                if error is not None:
                    said = f"{part[0].key}: {type(error).__name__}: {error}"
                    click.echo(said, err=True)
                    if half:
                        waiting |= {training.submit(_train, some, place): some for some in (left[:half], left[half:])}
                    else:
                        failed.append(said)
    if failed:
        raise InputError(f"{len(failed)} jobs failed, the first {failed[0]}; run it again.")


def _train(runs: list[Run], place: Place) -> None:
    try:
        train(runs, place, click.echo)
    finally:
        torch.cuda.empty_cache()  # for the other processes


def _measure(run: Run, place: Place, kept: int) -> None:
    measure_run(run, place, kept, click.echo)
