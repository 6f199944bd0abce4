"""Train fleets of runs, in processes of their own, and measure each policy as it ends; results are one file a run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch

from alignlib._core.crew import Crew, Over
from alignlib._core.errors import InputError
from alignlib._core.files import write_whole
from alignlib.lm.fleet import Fleet, Plan
from alignlib.lm.methods import Settings, find
from alignlib.lm.stack import Stack
from alignlib.lm.torch_runtime import one_thread, quiet
from alignlib.lm.words.base import load_model, save_model
from alignlib.lm.words.grid import GOLD, Run, fleets, tuning
from alignlib.lm.words.measuring import measure
from alignlib.lm.words.place import Place
from alignlib.lm.words.results import best_rates

__all__ = ["chosen_rates", "is_trained", "measure_run", "policy_folder", "result_file", "train", "train_all"]

_TRIAL_RESPONSES = 32
_TRAINED = "trained.json"


def result_file(place: Place, run: Run) -> Path:
    """Where a finished run's results lie.

    Parameters
    ----------
    place : Place
        Where all lies.
    run : Run
        Which run.
    """
    return place.folder / "runs" / f"{run.key}.json"


def policy_folder(place: Place, run: Run) -> Path:
    """Where a trained policy lies, as a model of the Hugging Face hub.

    Parameters
    ----------
    place : Place
        Where all lies.
    run : Run
        Which run.
    """
    return place.folder / "policies" / run.key


def is_trained(place: Place, run: Run) -> bool:
    """Whether a policy lies there whole.

    Parameters
    ----------
    place : Place
        Where all lies.
    run : Run
        Which run.
    """
    return (policy_folder(place, run) / _TRAINED).is_file()


def train(runs: Sequence[Run], place: Place, say: Callable[[str], None] = print) -> None:
    """Train runs of one method and reward side by side, and save each policy as its run ends.

    Parameters
    ----------
    runs : sequence of Run
        With their rates. Trials of tuning are measured here and not saved.
    place : Place
        Where base, prompts and results lie.
    say : callable
        Gets a line for each finished run.
    """
    (place.folder / "runs").mkdir(exist_ok=True)
    with quiet(), one_thread(0):
        plans = [Plan(run.knob, run.seed, Settings(run.steps, run.rate), responses=run.responses) for run in runs]
        clock, spent, left = time.process_time(), 0.0, len(runs)
        fleet = Fleet(find(runs[0].method), place.base, place.world, plans, place.payment(runs[0].reward), place.device)
        for done in fleet.train():
            spent += (time.process_time() - clock) / left
            run = runs[done.number]
            facts = {"run": run.__dict__, "device": place.device, "train_seconds": round(spent, 2)}
            if run.stage == "tuning":
                found = _trial(run, done.policy, place)
                write_whole(result_file(place, run), json.dumps(found | facts) + "\n")
                say(f"{run.key}: {found['said']}")
            else:
                _save(done.policy, place, policy_folder(place, run))
                write_whole(policy_folder(place, run) / _TRAINED, json.dumps(facts) + "\n")
                say(f"{run.key}: trained, {spent:.0f} CPU-s")
            clock, left = time.process_time(), max(1, left - 1)
            torch.cuda.empty_cache()  # fewer runs need less of it, and other processes have a use for the rest


def _save(policy: dict[str, torch.Tensor], place: Place, folder: Path) -> None:
    model, tokenizer = load_model(place.base_folder)
    model.load_state_dict(policy)
    save_model(model, folder, tokenizer)


def measure_run(run: Run, place: Place, kept: int = 32, say: Callable[[str], None] = print) -> None:
    """Measure a trained policy through the command line and write its results.

    Parameters
    ----------
    run : Run
        Which.
    place : Place
        Where it lies.
    kept : int
        Responses to each held-out prompt by which it is measured.
    say : callable
        Gets a line.
    """
    with quiet(), one_thread(0):
        folder = policy_folder(place, run)
        facts = json.loads((folder / _TRAINED).read_text(encoding="utf-8"))
        clock = time.process_time()
        found = measure(folder, place, n=kept, seed=run.seed)
        found["seconds"] = round(time.process_time() - clock, 2)
        write_whole(result_file(place, run), json.dumps(found | facts) + "\n")
        say(f"{run.key}: {found['said']}")


def _trial(run: Run, policy: dict[str, torch.Tensor], place: Place) -> dict[str, object]:
    """Reward, KL and what the objective makes of them on validation prompts; no command line, for speed."""
    model = load_model(place.base_folder)[0]
    model.load_state_dict(policy)
    stack, prompts = Stack.of(model).to(place.device), place.held_out("validation")[None]
    shape = (1, prompts.shape[1], _TRIAL_RESPONSES, place.world.length)
    with torch.no_grad():
        uniform = torch.rand(shape, generator=torch.Generator().manual_seed(run.seed)).to(place.device)
        tokens, log_prob = stack.sample(prompts, uniform)
        kl = float((log_prob - place.base.token_log_prob(prompts, tokens)).sum(-1).mean())
        reward = float(place.payment(run.reward)(prompts, prompts[..., :0], tokens).mean())
    return {"kl": kl, "reward": reward, "said": f"reward {reward:.3f} at {kl:.3f} nats"}


def chosen_rates(place: Place) -> dict[tuple[str, str], float]:
    """Return each method's best rate on each reward of the trials that lie here, see `best_rates`.

    Parameters
    ----------
    place : Place
        Where all lies.
    """
    trials = []
    for run in (run for reward in GOLD for run in tuning(place.steps[1], reward)):
        path = result_file(place, run)
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            trials.append((run.reward, run.method, run.rate, float(found["reward"]), float(found["kl"])))
    return best_rates(trials)


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
