"""``python -m alignlib.lm``: make bases and laws, train the grid, assemble its table, check the table."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from alignlib.lm.experiment.check import reevaluate, retrain
from alignlib.lm.experiment.grid import CHECKED, Run, grid, short_run
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.run_files import finished
from alignlib.lm.experiment.runner import run_all
from alignlib.lm.experiment.table import assemble, restore
from alignlib.lm.proxies import PROXIES
from alignlib.lm.tasks import TASKS

OUTPUT = click.option("--output", type=click.Path(path_type=Path), default=Path("build/lm"), help="The runs' results.")
RESULTS = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("notebooks/lm_results"), help="Bases and tables."
)
STAGES = click.option("--stage", multiple=True, help="Only these stages; all by default.")


def _chosen(stage: tuple[str, ...]) -> tuple[Run, ...]:
    return tuple(run for run in grid() if not stage or run.stage in stage)


@click.group()
def main() -> None:
    """Train small language models by every method and compare them with the limit, exactly."""


@main.command()
@OUTPUT
@RESULTS
@click.option(
    "--reward", "names", multiple=True, type=click.Choice(["gold", *PROXIES]), help="Only these; all if none."
)
def build(output: Path, results: Path, names: tuple[str, ...]) -> None:
    """Pretrain the bases that are missing, train the reward models, and write the laws by reward level.

    To make everything anew, delete the results' folders base_… and the proxies in the output.
    """
    from alignlib.lm.experiment.laboratory import Laboratory
    from alignlib.lm.torch_runtime import one_thread

    with one_thread(0):
        for task in TASKS:
            lab = Laboratory(task, results, cache=output)
            lab.write_laws(list(names) or ["gold", *PROXIES], results)
            click.echo(f"{task}: base {lab.base_hash[:16]}, {len(lab.task.prompts)} + {len(lab.task.held_out)} prompts")


@main.command()
@OUTPUT
@RESULTS
@STAGES
@click.option("--processes", default=2, show_default=True, help="Worker processes of one thread each.")
def run(output: Path, results: Path, stage: tuple[str, ...], processes: int) -> None:
    """Train what is not trained yet. Kill it at any moment; the next call goes on."""
    done = run_all(_chosen(stage), output, results, processes=processes)
    click.echo(f"{done} runs trained; {output!s} holds all {len(_chosen(stage))}.")


@main.command()
@OUTPUT
@RESULTS
def table(output: Path, results: Path) -> None:
    """Write the table of all finished runs."""
    found = assemble(grid(), output, results)
    click.echo(f"{len(found.curves)} rows of {len(found.settings['runs'])} runs; {found.complete:.0%} of the grid.")


@main.command("restore")
@OUTPUT
@RESULTS
def give_back(output: Path, results: Path) -> None:
    """Take the runs on gold that the table holds as finished: the next `run` trains only what it lacks."""
    click.echo(f"{restore(grid(), output, results)} runs of the table now lie in {output!s}.")


@main.command()
@OUTPUT
@STAGES
def status(output: Path, stage: tuple[str, ...]) -> None:
    """Say how far the grid is."""
    runs = _chosen(stage)
    for name in dict.fromkeys(r.stage for r in runs):
        group = [r for r in runs if r.stage == name]
        ready = [data for r in group if (data := finished(output, r)) is not None]
        spent = sum(data["seconds"] for data in ready)
        planned = sum(r.seconds for r in group)
        click.echo(
            f"{name:9s} {len(ready):4d} of {len(group):4d} runs, {spent:6.0f} of about {planned:6.0f} CPU-seconds"
        )


@main.command()
@OUTPUT
@RESULTS
def check(output: Path, results: Path) -> None:
    """Evaluate the committed policies exactly, train one method per task anew, and compare with the table."""
    found = Results.read(results)
    comparisons = reevaluate(found, grid(), output)
    for task, method in CHECKED.items():
        comparisons += retrain(found, short_run(task, method), output)
    for comparison in comparisons:
        click.echo(str(comparison))
    if not all(comparison.agrees for comparison in comparisons):
        click.echo("The table does not agree with what the code gives now.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
