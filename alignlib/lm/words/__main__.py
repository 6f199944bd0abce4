"""``python -m alignlib.lm.words``: make the base model, tune and train the methods, measure, tabulate, check."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alignlib.lm.words.grid import GOLD, grid, tuning

if TYPE_CHECKING:
    from alignlib.lm.words.place import Place

OUTPUT = click.option("--output", type=click.Path(path_type=Path), default=Path("build/words"), help="Everything made.")
RESULTS = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("notebooks/words_results"), help="The committed table."
)
TEXT = click.option("--text", type=click.Path(path_type=Path), help="File of verses; else Debian's `bible` is asked.")
DEVICE = click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
PROCESSES = click.option("--processes", default=2, show_default=True, help="Worker processes of one thread each.")
STAGE = click.option(
    "--stage",
    type=click.Choice(["tuning", "quick", "core", "wide"]),
    default="core",
    show_default=True,
    help="Which runs.",
)
FLEET = click.option("--fleet", default=1, show_default=True, help="Most runs that train side by side.")
KEPT = click.option("--kept", default=32, show_default=True, help="Responses to a prompt that measure a policy.")
BASE = click.option("--base-samples", default=256, show_default=True, help="Responses of the base to a prompt.")


KEPT_TABLE = click.option(
    "--like", type=click.Path(path_type=Path), help="A committed table: take its base model and its rates."
)
TOY = click.option("--toy", is_flag=True, help="Tiny sizes, to see that it works.")


def _place(output: Path, text: Path | None, device: str, toy: bool) -> Place:
    from alignlib.lm.words.place import Place

    return (Place.toy if toy else Place)(output, text, device)


@click.group()
def main() -> None:
    """Train a small language model of real English by several methods, and compare each with the limit."""


@main.command()
@OUTPUT
@TEXT
@DEVICE
@BASE
@TOY
@click.option("--only", type=click.Choice(["base"]), help="Stop after the base model and the prompts.")
@KEPT_TABLE
def prepare(
    output: Path, text: Path | None, device: str, base_samples: int, toy: bool, only: str | None, like: Path | None
) -> None:
    """Pretrain the base model, write held-out prompts, train the reward model, sample and score the base."""
    from alignlib.lm.words.measuring import sample_base

    place = _place(output, text, device, toy)
    if like is not None:
        place.take_base(like / "checkpoint")
    place.make_base(click.echo)
    if only == "base":
        return
    place.make_proxy(click.echo)
    sample_base(place, base_samples)


@main.command()
@OUTPUT
@TEXT
@DEVICE
@PROCESSES
@FLEET
@KEPT
@STAGE
@TOY
@KEPT_TABLE
def train(
    output: Path,
    text: Path | None,
    device: str,
    processes: int,
    fleet: int,
    kept: int,
    stage: str,
    toy: bool,
    like: Path | None,
) -> None:
    """Tune every method on validation prompts, then train and measure what is missing; kill it at any moment."""
    from alignlib.lm.words.results import WordsResults
    from alignlib.lm.words.training import chosen_rates, train_all

    place = _place(output, text, device, toy)
    if like is None:
        train_all([run for reward in GOLD for run in tuning(place.steps[1], reward)], place, processes, fleet, kept)
        rates = chosen_rates(place)
    else:
        rates = WordsResults.read(like).rates
    if stage != "tuning":
        runs = [run.at(rates[run.tuned_on, run.method]) for run in grid(stage, place.steps)]
        train_all(runs, place, processes, fleet, kept)


@main.command()
@OUTPUT
@TEXT
@RESULTS
@TOY
@click.option("--committed", type=click.Path(path_type=Path), help="Folder of another table to compare with.")
def table(output: Path, text: Path | None, results: Path, toy: bool, committed: Path | None) -> None:
    """Write the table of all finished runs, for the book."""
    from alignlib.lm.words.results import WordsResults, agreement
    from alignlib.lm.words.table import assemble

    found = assemble(_place(output, text, "cpu", toy), results)
    click.echo(f"{len(found.runs)} runs, {len(found.tuning)} trials.")
    if committed is not None:
        apart = agreement(WordsResults.read(committed), found)
        for one in apart:
            click.echo(str(one))
        if not all(one.agrees for one in apart):
            click.echo("Some settings differ from the committed table by more than other seeds would.", err=True)
            sys.exit(1)


@main.command()
@OUTPUT
@RESULTS
@click.option("--run", default="sentiment-rloo-1-200-0", show_default=True, help="The policy to leave there.")
def publish(output: Path, results: Path, run: str) -> None:
    """Leave the base model and one policy beside the table, small, for `check`."""
    from safetensors.torch import load_file

    from alignlib.lm.words.check import publish as leave

    policy = load_file(output / "policies" / run / "model.safetensors")
    leave(output / "base", policy, results / "checkpoint")


@main.command()
@RESULTS
def check(results: Path) -> None:
    """Measure the policy beside the table anew, train a few steps anew, and compare."""
    from alignlib.lm.words.check import check as compare

    found = compare(results / "checkpoint")
    for one in found:
        click.echo(str(one))
    if not all(one.agrees for one in found):
        click.echo("The table does not agree with what the code gives now.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
