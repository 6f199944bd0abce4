"""The commands for a reader's own rewards: ``frontier`` prints the numbers, ``report`` leaves a page of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["frontier"]

Command = TypeVar("Command", bound=Callable[..., Any])


class BadInput(click.ClickException):
    """A sentence on standard error, exit code 2."""

    exit_code = 2


def numbers(_context: click.Context, parameter: click.Parameter, text: str | None) -> list[float] | None:
    """Read ``0.5,1,2``."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"give numbers separated by commas, such as 0.5,1,2; got {text!r}.") from error


def table_options(command: Command) -> Command:
    """Add the argument and options that say where the rewards are."""
    for add in reversed(
        [
            click.argument("table", type=click.Path(path_type=Path)),
            click.option("--prompt", default="prompt_id", show_default=True, help="Column that names the prompt."),
            click.option(
                "--reward",
                required=True,
                help="Column of the reward, or an average of columns: 'mean:score_*' needs a value in each, "
                "'nanmean:score_*' takes those there are.",
            ),
            click.option("--gold", help="Column of the reward that counts, where --reward is only its proxy."),
            click.option(
                "--sample", help="Column that tells the samples of a prompt apart  [default: sample_id, if any]"
            ),
            click.option(
                "--wide", is_flag=True, help="One row per prompt; --reward is a pattern of columns, such as 's_*'."
            ),
            click.option("--drop-missing", is_flag=True, help="Go on without the samples that lack a finite value."),
            click.option("--kl", callback=numbers, help="KL budgets in nats, such as 0.5,1,2."),
            click.option("--n", callback=numbers, help="Numbers N of best-of-N, such as 2,4,8."),
            click.option("--allow-heavy-tail", is_flag=True, help="Go on where a bounded reward looks heavy-tailed."),
            click.option(
                "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the intervals."
            ),
        ]
    ):
        command = add(command)
    return command


def check_names(reward: str, gold: str | None, wide: bool) -> None:
    """Refuse one name for two rewards, and several rewards under one name."""
    if reward == gold:
        raise BadInput(f"--reward and --gold are both {reward!r}; name two columns, or leave out --gold.")
    for option, name in (("--reward", reward), ("--gold", gold or "")):
        if not wide and {"*", "?"} & set(name) and not name.startswith(("mean:", "nanmean:")):
            raise BadInput(
                f"{option} {name!r} may mean several rewards; name one column, average them with 'mean:{name}', or "
                "pass --wide if they are the samples of one reward."
            )


@click.command()
@table_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def frontier(
    table: Path,
    prompt: str,
    reward: str,
    gold: str | None,
    sample: str | None,
    wide: bool,
    drop_missing: bool,
    kl: list[float] | None,
    n: list[float] | None,
    allow_heavy_tail: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Print how much reward any method can still gain, at which KL, and how close best-of-N comes.

    TABLE holds rewards of responses sampled from the base model, several for each prompt: CSV, TSV, JSON lines or
    Parquet, also gzipped.
    """
    from alignlib.answer import ask  # here, not above: `alignlib --help` need not wait for scipy and pyarrow
    from alignlib.answer_output import to_json, to_lines
    from alignlib.rewards import RewardTable

    try:
        check_names(reward, gold, wide)
        asked = [reward] if gold is None else [reward, gold]
        data = RewardTable.read(
            table, prompt, asked, sample=sample, wide=wide, drop_missing=drop_missing, min_samples=3
        )
        options: dict[str, Any] = {"kl": kl, "n": n, "seed": seed, "allow_heavy_tail": allow_heavy_tail}
        answer = ask(data, reward, **options)
        in_gold = None if gold is None else ask(data, reward, gold, **options)
    except ValueError as error:
        raise BadInput(str(error)) from error
    if as_json:
        click.echo(to_json(data, str(table), answer, in_gold, seed), nl=False)
    else:
        click.echo("\n".join(to_lines(data, answer, in_gold)))
