"""``alignlib overlay``: a training run on the frontier of its base model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignlib._core.names import number_or_name
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import option, refuse_typed
from alignlib.cli._options import FILE, Whole
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
    from alignlib.training.envelope import Floor
    from alignlib.training.logs.training_log import TrainingLog
    from alignlib.training.placing import Overlay

__all__ = ["command"]


@make(
    "overlay",
    short_help="A training run on the frontier of its base model.",
    examples=[
        "alignlib overlay trainer_state.json base.csv --reward score -o overlay.png",
        "alignlib overlay verl.log base.csv --reward score",
        "alignlib overlay run.csv base.csv --reward score --run-kl kl --run-reward score --kl-unit sequence",
    ],
)
@click.argument("run", type=FILE)
@click.argument("table", required=False, type=FILE)
@option("--reward", help="Column of TABLE with the run's reward.")
@option("--prompt", default="prompt_id", help="Column of TABLE that names the prompt.")
@option("--wide", is_flag=True, help="One row of TABLE per prompt; --reward is a pattern of columns, such as 's_*'.")
@run_options
@split_option
@option("--also", type=FILE, multiple=True, help="Another log, such as of another seed, side by side; may be repeated.")
@start_options
@option("--pool", type=Whole(min=1), help="Checkpoints to average into a point  [default: to a dozen]")
@limit_options
def command(run: Path, table: Path | None, picture: Path | None, force: bool, form: str | None, **asked: Any) -> None:
    """Put a training RUN on the frontier estimated from TABLE, samples of its base model.

    RUN is a trainer's log as JSON, JSON lines, console lines or a table, or what wandb or MLflow exported of it,
    recognised by its keys (trl, verl, OpenRLHF, NeMo-RL and others), or any table of KL and reward. Without TABLE the
    limit is not known; the checkpoints then only show a floor of it.
    """
    from alignlib.answers.output import overlay
    from alignlib.cli._say import say

    check_picture(picture, force, [run, *asked["also"], *([] if table is None else [table])])
    if table is not None and asked["reward"] is None:
        raise BadInput("Say which column of TABLE holds the run's reward (--reward).")
    _check_apart([run, *asked["also"]])
    check_base(asked["run_base"], table is not None)
    if table is None:
        refuse_typed(
            "reward", "prompt", "wide", "pool", "no_check", "level", "seed", remedy="needs TABLE; leave it out"
        )
    if asked["bounded"] is not None:
        if table is None:
            raise BadInput("--bounded needs TABLE: without base samples there is no limit to bound.")
        check_bounded(asked["bounded"])
    several = bool(asked["also"])
    log = read_run(run, asked, one_of_several=several)
    if asked["also"]:
        log = _side_by_side(
            [run, *asked["also"]], [log, *(read_run(one, asked, one_of_several=True) for one in asked["also"])]
        )
    found = _floor(log, asked) if table is None else _overlay(log, table, asked)
    if picture is not None:
        if getattr(found, "envelope", found) is None:
            raise BadInput("-o draws rewards along KL, which this log does not tell; give --lengths, or TABLE.")
        save_picture_of(found, picture, force)
    say(form, "overlay", overlay, found, table=None if table is None else str(table), seed=asked["seed"])
    if picture is not None:
        wrote(picture)


def _check_apart(paths: list[Path]) -> None:
    """Refuse, before anything is read, one log that is given twice: it would count as two seeds."""
    first: dict[str, Path] = {}
    for path in paths:
        if first.setdefault(os.path.realpath(path), path) is not path:
            raise BadInput(f"RUN and --also name one log twice ({path}); give each log once.")


def _side_by_side(paths: list[Path], logs: list[TrainingLog]) -> TrainingLog:
    """Join the logs, each called after its file, or after its folder where files are called alike."""
    from alignlib.training.logs.training_log import joined_logs

    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [path.resolve().parent.name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    return joined_logs(logs, names, ", ".join(map(str, paths)))


def _overlay(log: TrainingLog, table: Path, asked: dict[str, Any]) -> Overlay:
    from alignlib.training.placing import overlay

    base = number_or_name(asked["run_base"])
    return overlay(
        log,
        base_fit(table, [asked["reward"]], asked),
        base="table" if base is None else base,
        pool=asked["pool"],
        check=not asked["no_check"],
    )


def _floor(log: TrainingLog, asked: dict[str, Any]) -> Floor:
    import numpy as np

    from alignlib.training.envelope import Floor, achieved_envelope
    from alignlib.training.rounded_kl import told_by_ends, within_digits

    base = number_or_name(asked["run_base"])
    known = base if isinstance(base, float) else None
    if (log.kl < 0.0).all():
        mean = ", nor a mean of KLs over all tokens" if log.kl_unit == "token" else ""
        raise BadInput(
            f"{log.path}: all KLs are negative, {log.kl.min():.3g} to {log.kl.max():.3g} nats per sequence, which no "
            f"KL is{mean}: their sign is turned, or the log-probabilities are not of the policy that sampled (another "
            "temperature, top-k or top-p, precision or engine); correct the log."
        )
    log = told_by_ends(log, within_digits(log))
    most = log.ends[1]
    some = np.isfinite(most)
    if log.kl_high is not None and not most[some].any():
        return Floor(log, None)
    return Floor(log, achieved_envelope(most[some], log.reward[some], known))
