"""The commands for a trained policy: ``kl`` measures its divergence, ``overlay`` puts its run on the frontier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignlib._core.text import for_json, lines_for_terminal

if TYPE_CHECKING:
    from alignlib.training.training_log import TrainingLog

__all__ = ["kl_command", "number_or_name", "overlay_command"]


class BadInput(click.ClickException):
    """A sentence on standard error, exit code 2."""

    exit_code = 2


@click.command("kl")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--prompt", default="prompt_id", show_default=True, help="Column that names the prompt, if there is one.")
@click.option("--log-prob", default="log_prob", show_default=True, help="Column of the policy's log-probability.")
@click.option("--base-log-prob", default="base_log_prob", show_default=True, help="Column of the base model's.")
@click.option("--n-tokens", default="n_tokens", show_default=True, help="Column of the number of tokens.")
@click.option("--token-log-prob", default="token_log_prob", show_default=True, help="Policy's, a list over tokens.")
@click.option("--base-token-log-prob", default="base_token_log_prob", show_default=True, help="Base's, a list.")
@click.option("--token-kl", default="token_kl", show_default=True, help="Exact next-token divergences, a list.")
@click.option(
    "--sampled-from",
    type=click.Choice(["policy", "base"]),
    default="policy",
    show_default=True,
    help="Which model wrote the responses.",
)
@click.option("--fixed-prompts", is_flag=True, help="Intervals for these prompts only, not for others like them.")
@click.option("--level", default=0.95, show_default=True, help="Coverage of the intervals, in (0, 1).")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the intervals.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def kl_command(
    table: Path, sampled_from: str, fixed_prompts: bool, level: float, seed: int, as_json: bool, **names: str
) -> None:
    """Measure the KL of a trained policy to its base model from TABLE, one row per sampled response.

    TABLE holds log-probabilities of the response under both models (sums, and lists over tokens if there are), as
    `alignlib sample --base` writes them: Parquet, JSON lines, CSV or TSV.
    """
    from alignlib.training.estimators import estimate_policy_kl
    from alignlib.training.kl_table import KLColumns, read_kl_samples

    try:
        samples = read_kl_samples(table, KLColumns(**names))
        options: dict[str, Any] = {"sampled_from": sampled_from, "fixed_prompts": fixed_prompts, "level": level}
        found = estimate_policy_kl(samples, **options, rng=seed)
    except ValueError as error:
        raise BadInput(str(error)) from error
    if as_json:
        document = {"schema": 1, "path": str(table), "seed": seed, **found.record()}
        click.echo(for_json(document), nl=False)
    else:
        click.echo(lines_for_terminal(found.to_lines()))


@click.command("overlay")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("table", required=False, type=click.Path(path_type=Path))
@click.option("--reward", help="Column of TABLE with the run's reward.")
@click.option("--prompt", default="prompt_id", show_default=True, help="Column of TABLE that names the prompt.")
@click.option("--run-kl", help="Key or column of RUN with the KL  [default: trl's own, or 'kl']")
@click.option("--run-reward", help="Key or column of RUN with the mean reward  [default: trl's own, or 'reward']")
@click.option("--run-step", help="Key or column of RUN with the step  [default: 'step', if any]")
@click.option("--run-length", help="Mean tokens per response, or the key or column with it  [default: trl's own]")
@click.option("--kl-unit", type=click.Choice(["sequence", "token"]), help="Nats per what; trl's own keys need none.")
@click.option("--run", "run_column", help="Column of RUN that names the run, where there are several.")
@click.option("--only", help="Runs to keep, such as 'dpo_*'; needs --run.")
@click.option("--evaluation", is_flag=True, help="Take trl's evaluations instead of its training steps.")
@click.option(
    "--run-base",
    default="table",
    show_default=True,
    help="What gains are measured from: 'table', the run's 'first' checkpoint, or a number.",
)
@click.option("--pool", type=click.IntRange(min=1), help="Checkpoints to average into a point  [default: to a dozen]")
@click.option("--no-check", is_flag=True, help="Go on where the run does not start at the base samples' reward.")
@click.option("--drop-missing", is_flag=True, help="Go on without checkpoints and samples that lack a finite value.")
@click.option("--allow-heavy-tail", is_flag=True, help="Go on where a bounded reward looks heavy-tailed.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the intervals.")
@click.option("-o", "picture", type=click.Path(path_type=Path), help="Also leave a picture, .png or .svg.")
@click.option("--json", "form", flag_value="json", help="Print JSON instead of lines.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV instead of lines.")
def overlay_command(run: Path, table: Path | None, picture: Path | None, form: str | None, **asked: Any) -> None:
    """Put a training RUN on the frontier estimated from TABLE, samples of its base model.

    RUN is trl's trainer_state.json (or the folder it is in), or a table of KL and reward with a row for each
    checkpoint. Without TABLE the limit is not known; the checkpoints then only show a floor of it.
    """
    from alignlib import plotting
    from alignlib.training import output as out
    from alignlib.training.training_log import read_training_log

    _check_picture(picture)
    if table is not None and asked["reward"] is None:
        raise BadInput("Say which column of TABLE holds the run's reward (--reward).")
    try:
        log = read_training_log(
            run,
            kl=asked["run_kl"],
            reward=asked["run_reward"],
            step=asked["run_step"],
            length=number_or_name(asked["run_length"]),
            kl_unit=asked["kl_unit"],
            run=asked["run_column"],
            only=asked["only"],
            evaluation=asked["evaluation"],
            drop_missing=asked["drop_missing"],
        )
        if table is None:
            lines, points, about, draw = _floor(log, asked)
        else:
            lines, points, about, draw = _overlay(log, table, asked)
    except ValueError as error:
        raise BadInput(str(error)) from error
    if picture is not None:
        fig, ax = plotting.new()
        draw(ax)
        try:
            out.save(fig, picture)
        except OSError as error:
            raise BadInput(f"{picture} cannot be written ({error.strerror}); choose another place.") from error
    if form == "json":
        click.echo(out.to_json(points, path=str(run), kl_unit=log.kl_unit, seed=asked["seed"], **about), nl=False)
    elif form == "csv":
        click.echo(out.to_csv(points), nl=False)
    else:
        click.echo(lines_for_terminal(lines))


def _overlay(log: TrainingLog, table: Path, asked: dict[str, Any]) -> tuple[Any, ...]:
    from alignlib.tables.rewards import RewardTable
    from alignlib.training import output as out
    from alignlib.training.placing import overlay

    data = RewardTable.read(table, asked["prompt"], asked["reward"], min_samples=3, drop_missing=asked["drop_missing"])
    base = number_or_name(asked["run_base"])
    found = overlay(
        log,
        data,
        asked["reward"],
        base="table" if base is None else base,
        pool=asked["pool"],
        check=not asked["no_check"],
        seed=asked["seed"],
        allow_heavy_tail=asked["allow_heavy_tail"],
    )
    about = {
        "table": str(table),
        "measured_in": found.measured_in,
        "base_reward": found.base_reward,
        "level": found.frontier.level,
        "supported_kl": found.frontier.supported_kl,
        "width": found.width,
        "headlines": found.headlines,
        "notes": found.notes,
    }
    return out.to_lines(found), out.rows(found), about, lambda ax: out.draw(found, ax)


def _floor(log: TrainingLog, asked: dict[str, Any]) -> tuple[Any, ...]:
    from alignlib.training import output as out
    from alignlib.training.envelope import achieved_envelope

    base = number_or_name(asked["run_base"])
    if isinstance(base, str) and base != "table":
        raise ValueError(f"--run-base {base!r} needs TABLE; without it give the base's mean reward, or nothing.")
    envelope = achieved_envelope(log.kl, log.reward, base if isinstance(base, float) else None)
    about = {"table": None, "measured_in": log.reward_name, "notes": log.notes}
    lines, points = out.envelope_lines(log, envelope), out.envelope_rows(log, envelope)
    return lines, points, about, lambda ax: out.draw_envelope(log, envelope, ax)


def number_or_name(text: str | None) -> float | str | None:
    """Read an option that is a number or the name of something."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _check_picture(picture: Path | None) -> None:
    """Refuse, before anything runs, a picture that cannot be written."""
    if picture is None:
        return
    if picture.suffix.lower() not in (".png", ".svg"):
        raise BadInput(f"-o names a picture, .png or .svg; got {picture}.")
    if not picture.resolve().parent.is_dir():
        raise BadInput(f"The folder of {picture} does not exist; make it first.")
