"""``alignlib compare``: training runs at equal KL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignlib._core.names import number_or_name
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import naming, option, refuse_typed
from alignlib.cli._options import DISTINCT, FILE
from alignlib.cli._picture import check_picture, save_picture_of, wrote
from alignlib.cli._run_options import (
    base_fit,
    check_base,
    check_bounded,
    limit_options,
    read_run,
    run_options,
    split_option,
    start_options,
)

if TYPE_CHECKING:
    from alignlib.training.logs.training_log import TrainingLog

__all__ = ["command"]


@make(
    "compare",
    short_help="Training runs at equal KL.",
    examples=[
        "alignlib compare grpo.json ppo.json --table base.csv --reward score -o compare.png",
        "alignlib compare grpo=a.json grpo=b.json ppo=c.json ppo=d.json --table base.csv --reward score",
        "alignlib compare old/rollouts.jsonl new/rollouts.jsonl --at 0.5,1 --split",
    ],
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@option("--table", type=FILE, help="Samples of the base model: for shares of the limit.")
@option("--reward", help="Column of --table with the runs' reward.")
@option("--prompt", default="prompt_id", help="Column of --table that names the prompt.")
@option("--at", type=DISTINCT, help="KLs at which to compare, such as 0.5,1  [default: four that all runs reach]")
@run_options
@split_option
@start_options
@limit_options
def command(
    runs: tuple[str, ...], table: Path | None, picture: Path | None, force: bool, form: str | None, **asked: Any
) -> None:
    """Compare training RUNs at equal KL: the first with each of the others, with intervals.

    RUN is a log as `alignlib overlay` reads it, or NAME=LOG; logs of one NAME are seeds of one method. Runs within one
    log are compared with each other. Where the logs hold single responses, intervals are over prompts, those in common
    paired.
    """
    named = [_named(run) for run in runs]
    check_picture(picture, force, [path for _, path in named] + ([] if table is None else [table]))
    if table is not None and asked["reward"] is None:
        raise BadInput("Say which column of --table holds the runs' reward (--reward).")
    if table is None and (asked["reward"] is not None or asked["bounded"] is not None or asked["run_base"] != "table"):
        raise BadInput("--reward, --bounded and --run-base need --table: without it there is no limit to compare with.")
    if table is None:
        refuse_typed("prompt", "no_check", remedy="needs --table; leave it out")
    check_base(asked["run_base"], table is not None)
    check_bounded(asked["bounded"])
    if asked["at"] is not None:
        from alignlib._core.checks import as_vector, require

        least = float(as_vector("at", asked["at"]).min())
        require(least >= 0.0, f"at must not be negative; got {least:g}.", "at")
    if asked["splits"] and asked["run_column"] is not None:
        raise BadInput("--split compares by RUN's column 'split', --run by another; leave one of them out.")
    from alignlib.answers.output import comparison
    from alignlib.cli._say import say
    from alignlib.training.comparing import compare_runs, compare_splits

    logs: dict[str, list[TrainingLog]] = {}
    for name, path in named:
        log = read_run(path, asked, one_of_several=True)
        for title, part in [(name, log)] if asked["splits"] else _each_run(name, log, alone=len(named) == 1):
            logs.setdefault(title, []).append(part)
    base = number_or_name(asked["run_base"])
    fit = None if table is None else base_fit(table, [asked["reward"]], asked, path="--table")
    with naming(runs="RUN"):
        found = (compare_splits if asked["splits"] else compare_runs)(
            logs,
            fit,
            at=asked["at"],
            base="table" if base is None else base,
            level=asked["level"],
            check=not asked["no_check"],
        )
    if picture is not None:
        save_picture_of(found, picture, force)
    say(form, "compare", comparison, found, table=None if table is None else str(table), seed=asked["seed"])
    if picture is not None:
        wrote(picture)


def _each_run(name: str, log: TrainingLog, alone: bool) -> list[tuple[str, TrainingLog]]:
    """Return the runs that one log holds, by their own names where no other log is compared."""
    if len(log.runs) == 1:
        return [(name, log)]
    return [(run if alone else f"{name}: {run}", log.keep(log.run == run)) for run in log.runs]


def _named(run: str) -> tuple[str, Path]:
    """Split ``NAME=LOG``; a log alone is called after its file, or after the folder of a trainer's usual file."""
    path = Path(run)
    name, equals, rest = run.partition("=")
    if equals and name and rest and "://" not in name and not path.exists():  # in an address it is one of a query
        return name, FILE.convert(rest, None, click.get_current_context())
    path = FILE.convert(run, None, click.get_current_context())
    usual = {"trainer_state", "rollouts", "logging", "metrics"}
    return (path.resolve().parent.name if path.stem in usual else path.stem) or str(path), path
