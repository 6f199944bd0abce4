"""What commands on training runs share: how a run's log is read, and how the limit of its base is estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alignlib._core.names import number_or_name
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import naming, option
from alignlib.cli._options import NUMBERS, bounded_option, files_option, form_options, level_option, seed_option
from alignlib.cli._picture import picture_options

if TYPE_CHECKING:
    from alignlib.estimation import Fit
    from alignlib.training.logs.training_log import TrainingLog

__all__ = [
    "base_fit",
    "check_base",
    "check_bounded",
    "limit_options",
    "read_run",
    "run_options",
    "split_option",
    "start_options",
]

F = TypeVar("F", bound=Callable[..., Any])


def run_options(command: F) -> F:
    """Add the options that say which keys or columns of a log are meant.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with these options.
    """
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
                "--lengths",
                type=NUMBERS,
                help="Least and largest tokens of a response, such as 1,1024: they bound a KL by k3 that was averaged "
                "response by response.",
            ),
            option(
                "--kl-estimator",
                argument="estimator",
                type=click.Choice(["k1", "k2", "k3"]),
                help="How the trainer estimates the KL of a token, where its key does not tell: log-ratio, half its "
                "square, or k3 (verl's low_var_kl).",
            ),
            option(
                "--kl-unit",
                type=click.Choice(["sequence", "token"]),
                help="Nats per what; known of a trainer's own keys. Of several logs those whose unit is not known.",
            ),
            option(
                "--run", "run_column", argument="run", help="Column of RUN that names the run, where there are several."
            ),
            option("--only", help="Runs to keep, such as 'dpo_*'; needs --run."),
            option("--evaluation", is_flag=True, help="Take the evaluations instead of the training steps."),
            files_option,
        ]
    ):
        command = add(command)
    return command


def split_option(command: F) -> F:
    """Add the option that shows training and held-out prompts side by side.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with ``--split``.
    """
    return option(
        "--split",
        "splits",
        is_flag=True,
        help="Training and held-out prompts side by side: the trainer's evaluations, or by RUN's column 'split'.",
    )(command)


def start_options(command: F) -> F:
    """Add the options that say what reward a run starts from.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with these options.
    """
    command = option(
        "--no-check",
        is_flag=True,
        argument="check=False",
        help="Go on where a run does not start at the base samples' reward.",
    )(command)
    return option(
        "--run-base",
        argument="base",
        default="table",
        help="What gains are measured from: 'table', 'first' (a run's own first checkpoint), or a number.",
    )(command)


def limit_options(command: F) -> F:
    """Add the options of the limit estimated from base samples, and of the answer; they come last.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with these options.
    """
    command = bounded_option(seed_option(picture_options(form_options(command))))
    return option(
        "--drop-missing", is_flag=True, help="Go on without checkpoints and samples that lack a finite value."
    )(level_option(command))


def check_base(typed: str, table: bool) -> None:
    """Refuse, before anything is read, a base that is none; ``table`` says whether there are base samples.

    Parameters
    ----------
    typed : str
        The option or argument that gives the base.
    table : bool
        Whether there are base samples.

    Raises
    ------
    BadInput
        For a word that is none, or one that needs base samples.
    InputError
        For a number that no reward can be.
    """
    base = number_or_name(typed)
    if isinstance(base, float):
        from alignlib._core.checks import as_number
        from alignlib.tables import LARGEST_REWARD

        as_number("base", base, -LARGEST_REWARD, LARGEST_REWARD)
    elif base not in ("table", "first"):
        raise BadInput(f"--run-base must be 'table', 'first' or a number; got {typed!r}.")
    elif not table and base != "table":
        raise BadInput(f"--run-base {base!r} needs TABLE; without it give the base's mean reward, or nothing.")


def check_bounded(bounded: list[float] | None) -> None:
    """Refuse, before anything is read, a range of rewards that is none.

    Parameters
    ----------
    bounded : list of float, optional
        Two ends, as typed.
    """
    if bounded is not None:
        from alignlib.estimation import check_bounds

        check_bounds(bounded, "average")


def base_fit(table: Path, columns: Sequence[str], asked: dict[str, Any], **typed: str) -> Fit:
    """Fit the first of these columns of base samples, each of which must name one; ``typed`` names arguments.

    Parameters
    ----------
    table : Path
        Base samples.
    columns : sequence of str
        Rewards to read.
    asked : dict
        Values of the command's parameters.
    **typed : str
        The option of each argument of the library that another part of the command has too.

    Returns
    -------
    Fit
        Of the first column.

    Raises
    ------
    BadInput
        Where a name means several columns.
    """
    from alignlib.estimation import fit_frontier
    from alignlib.tables import RewardTable

    wide = {"wide": asked["wide"]} if "wide" in asked else {}
    with naming(**typed):
        data = RewardTable.read(
            table, asked["prompt"], list(columns), min_samples=3, drop_missing=asked["drop_missing"], **wide
        )
    if len(data.columns) != len(columns):
        those = f"--reward {asked['reward']!r}" + (" or --gold" if len(columns) > 1 else "")
        several = "name one, or pass --wide if they are samples." if wide else "name one."
        raise BadInput(f"{those} means several columns; {several}")
    reward = next(iter(data.columns))
    return fit_frontier(data, reward, level=asked["level"], rng=asked["seed"], bounded=asked["bounded"])


def read_run(
    path: Path, asked: dict[str, Any], reward: str = "--run-reward", one_of_several: bool = False
) -> TrainingLog:
    """Read the log of a run as the options say; ``reward`` is the one that names what is read as its reward.

    Parameters
    ----------
    path : Path
        A log, or a folder of one.
    asked : dict
        Values of the command's parameters.
    reward : str
        The option that says what is read as reward.
    one_of_several : bool
        Whether other logs are read by the same options: the unit is then said of those of which it is not known.

    Returns
    -------
    TrainingLog
        Its checkpoints in order.
    """
    from alignlib._core.errors import InputError
    from alignlib.training.logs.training_log import read_training_log

    def read(unit: str | None) -> TrainingLog:
        return read_training_log(
            path,
            kl=asked["run_kl"],
            reward=asked[reward.removeprefix("--").replace("-", "_")],
            step=asked["run_step"],
            length=number_or_name(asked["run_length"]),
            lengths=asked["lengths"],
            kl_unit=unit,
            estimator=asked["kl_estimator"],
            run=asked["run_column"],
            only=asked["only"],
            evaluation=asked["evaluation"],
            splits=asked.get("splits", False),
            drop_missing=asked["drop_missing"],
            files=asked["files"],
        )

    with naming(reward=reward, run="--run"):
        if one_of_several and asked["kl_unit"] is not None:
            try:
                found = read(None)
            except InputError as error:
                if error.argument != "kl_unit":
                    raise
            else:
                if found.kl_low is None or found.kl_unit != asked["kl_unit"]:
                    return found  # else the unit is the log's own, and to say it may tell its scale too
        return read(asked["kl_unit"])
