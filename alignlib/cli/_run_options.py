"""What commands on training runs share: how the log of a run is to be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alignlib._core.names import number_or_name
from alignlib.cli._command import naming, option

if TYPE_CHECKING:
    from alignlib.training.logs.training_log import TrainingLog

__all__ = ["read_run", "run_options"]

F = TypeVar("F", bound=Callable[..., Any])


def run_options(command: F) -> F:
    """Add the options that say which keys or columns of a log are meant."""
    for add in reversed(
        [
            option(
                "--run-kl", argument="kl", help="Key or column of RUN with the KL  [default: the trainer's, or 'kl']"
            ),
            option(
                "--run-reward", help="Key or column of RUN with the mean reward  [default: the trainer's, or 'reward']"
            ),
            option(
                "--run-step",
                argument="step",
                help="Key or column of RUN with the step  [default: the trainer's, or 'step', if any]",
            ),
            option(
                "--run-length",
                argument="length",
                help="Mean tokens per response, or the key or column with it  [default: the trainer's]",
            ),
            option(
                "--kl-unit",
                type=click.Choice(["sequence", "token"]),
                help="Nats per what; known of a trainer's own keys.",
            ),
            option("--run", "run_column", help="Column of RUN that names the run, where there are several."),
            option("--only", help="Runs to keep, such as 'dpo_*'; needs --run."),
            option("--evaluation", is_flag=True, help="Take the evaluations instead of the training steps."),
        ]
    ):
        command = add(command)
    return command


def read_run(path: Path, asked: dict[str, Any], reward: str = "--run-reward") -> TrainingLog:
    """Read the log of a run as the options say; ``reward`` is the one that names what is read as its reward."""
    from alignlib.training.logs.training_log import read_training_log

    with naming(reward=reward, run="--run"):
        return read_training_log(
            path,
            kl=asked["run_kl"],
            reward=asked[reward.removeprefix("--").replace("-", "_")],
            step=asked["run_step"],
            length=number_or_name(asked["run_length"]),
            kl_unit=asked["kl_unit"],
            run=asked["run_column"],
            only=asked["only"],
            evaluation=asked["evaluation"],
            splits=asked.get("splits", False),
            drop_missing=asked["drop_missing"],
        )
