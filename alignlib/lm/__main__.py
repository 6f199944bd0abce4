"""``python -m alignlib.lm``: tune the methods, train the grid, assemble its table, check the table."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import click

from alignlib.lm.experiment.grid import PROXIES, SIZE_STUDY, Run, grid, tuning_runs
from alignlib.lm.experiment.processor_time import ProcessorTime, Spent, Work, times_path, together
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.run_store import RunStore
from alignlib.lm.experiment.runner import Place, run_all
from alignlib.lm.experiment.tuning import Tuning, tuning_path, write_tuning
from alignlib.lm.methods import Settings
from alignlib.lm.tasks import SPLITS, TASKS

OUTPUT = click.option("--output", type=click.Path(path_type=Path), default=Path("build/lm"), help="The runs' results.")
RESULTS = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("notebooks/lm_results"), help="Bases and tables."
)
STAGES = click.option("--stage", multiple=True, help="Only these stages; all by default.")
WITHOUT_SIZE = click.option(
    "--without-size",
    is_flag=True,
    help="Leave out the study of sizes (deeper models, pools of prompts, other lengths of training, more ensembles).",
)
PROCESSES = click.option("--processes", default=2, show_default=True, help="Worker processes of one thread each.")
FLEET = click.option("--fleet", default=12, show_default=True, help="Most runs that train side by side.")
DEVICE = click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where to compute."
)


def _chosen(
    results: Path, stage: tuple[str, ...], without_size: bool = False, lacking: bool = False
) -> tuple[Run, ...]:
    wanted = (run for run in grid(Tuning.read(results).taken) if not stage or run.stage in stage)
    there = set(Results.read(results).known) if lacking else set()
    return tuple(run for run in wanted if not (without_size and run.stage in SIZE_STUDY) and run.key not in there)


@click.group()
def main() -> None:
    """Train small language models by every method and compare them with the limit, exactly."""


@main.command()
@OUTPUT
@RESULTS
@DEVICE
@WITHOUT_SIZE
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(TASKS)), help="Only this one; both by default.")
@click.option("--lacking", is_flag=True, help="Only laws of proxies that RESULTS lacks; what is there stays.")
def prepare(
    output: Path, results: Path, device: str, without_size: bool, tasks: tuple[str, ...], lacking: bool
) -> None:
    """Pretrain bases and train reward models that are missing; write the laws by reward level and the fixed points."""
    from alignlib.lm.experiment.runner import laboratory
    from alignlib.lm.experiment.table import write_laws

    runs = [run for run in grid(lambda task, method: Settings(1)) if not (without_size and run.stage in SIZE_STUDY)]
    for task in tasks or TASKS:
        lab = laboratory(task, Place(results, output, device))
        for layers in (2,) if lacking else sorted({one.layers for one in runs}):
            lab.base(layers)
        for n_pairs in sorted({proxy.n_pairs for proxy in PROXIES.values()}):
            lab.members(n_pairs)
        write_laws(lab, results, runs=runs, lacking=lacking)
        click.echo(
            f"{task}: base {lab.base_hash[:16]}, {', '.join(f'{len(lab.task.of_split(s))} {s}' for s in SPLITS)}"
        )


@main.command()
@OUTPUT
@RESULTS
@PROCESSES
@FLEET
@DEVICE
def tune(output: Path, results: Path, processes: int, fleet: int, device: str) -> None:
    """Try every method with random settings on validation prompts, and write the table of trials."""
    done = run_all(tuning_runs(), Place(results, output, device), processes=processes, fleet=fleet)
    table = write_tuning(output, results)
    click.echo(f"{done} trials made; the table holds {len(table)}.")


@main.command()
@OUTPUT
@RESULTS
@STAGES
@PROCESSES
@FLEET
@DEVICE
@WITHOUT_SIZE
@click.option("--lacking", is_flag=True, help="Only what the table in RESULTS lacks, too; `table --keep` adds it.")
def run(
    output: Path,
    results: Path,
    stage: tuple[str, ...],
    processes: int,
    fleet: int,
    device: str,
    without_size: bool,
    lacking: bool,
) -> None:
    """Train what is not trained yet. Kill it at any moment; the next call goes on."""
    runs = _chosen(results, stage, without_size, lacking)
    done = run_all(runs, Place(results, output, device), processes=processes, fleet=fleet)
    click.echo(f"{done} runs trained; {output!s} holds all {len(runs)}.")


@main.command()
@OUTPUT
@RESULTS
@click.option("--keep", is_flag=True, help="Keep what the table in RESULTS has of runs that do not lie in OUTPUT.")
def table(output: Path, results: Path, keep: bool) -> None:
    """Write the table of all finished runs; `prepare` wrote the laws that it goes with."""
    from alignlib.lm.experiment.table import assemble

    kept = Results.read(results) if keep else None
    found = assemble(grid(Tuning.read(results).taken), Place(results, output), kept)
    click.echo(f"{found.runs.run.nunique()} runs, {found.complete:.0%} of the grid.")


@main.command("time")
@OUTPUT
@RESULTS
def time_all(output: Path, results: Path) -> None:
    """Time a step of every method and all else here, for `status`."""
    from alignlib.lm.experiment.processor_time import write_times

    write_times(results, output, Tuning.read(results).taken, click.echo)


@main.command()
@OUTPUT
@RESULTS
@STAGES
def status(output: Path, results: Path, stage: tuple[str, ...]) -> None:
    """Say how far the grid is, and what it takes on a processor."""
    ready = RunStore(output).read()
    tuned = tuning_path(results).is_file()  # before that, the grid is not known
    runs = (*tuning_runs(), *(_chosen(results, stage) if tuned else ()))
    times = ProcessorTime.read(results) if tuned and times_path(results).is_file() else None
    taken = Tuning.read(results).taken if tuned else None
    work: dict[str, Work] = {}
    for name in dict.fromkeys(r.stage for r in runs):
        group = [r for r in runs if r.stage == name]
        done = [ready[r.key] for r in group if r.key in ready]
        on = {device: sum(one["device"] == device for one in done) for device in ("cpu", "cuda")}
        line = f"{name:9s} {len(done):4d} of {len(group):4d} runs ({on['cpu']} on a processor, {on['cuda']} on a GPU)"
        if times is not None and taken is not None:
            work[name] = times.of_all(group, taken)
            line += f", {times.of_work(work[name]).seconds:7,.0f} CPU-seconds on a processor"
        click.echo(line)
    if times is not None:
        small = tuple(run for run in runs if run.stage not in SIZE_STUDY)
        once, less = (together(times.once(task, some) for task in TASKS) for some in (runs, small))
        click.echo(
            f"once: deeper bases, reward models, laws, fixed points: {times.of_work(once).seconds:,.0f} CPU-seconds"
        )
        rest = together((less, *(part for name, part in work.items() if name not in SIZE_STUDY)))
        click.echo(f"without the study of sizes {_told(times.of_work(rest))}")
        click.echo(f"in all {_told(times.of_work(together((once, *work.values()))))}")


def _told(spent: Spent) -> str:
    error = "" if math.isnan(spent.error) else f" ± {spent.error:,.0f}"
    return f"{spent.seconds:,.0f}{error} CPU-seconds, {spent.seconds / 7200:.1f} hours on two cores"


@main.command()
@OUTPUT
@RESULTS
def check(output: Path, results: Path) -> None:
    """Evaluate the committed policies exactly, train a short run per task anew, and compare with the table."""
    from alignlib.lm.experiment.check import reevaluate, retrain

    found = Results.read(results)
    place = Place(results, output)
    comparisons = reevaluate(found, place) + retrain(found, place)
    for comparison in comparisons:
        click.echo(str(comparison))
    if not all(comparison.agrees for comparison in comparisons):
        click.echo("The table does not agree with what the code gives now.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
