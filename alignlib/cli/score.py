"""``alignlib score``: the rewards of a reward model or a Python function, as a column of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alignlib._core.safe_text import for_terminal
from alignlib.cli._command import command as make
from alignlib.cli._command import option
from alignlib.cli._machine import import_models, interruptible, machine_options, say
from alignlib.cli._options import FILE, Output, Whole

__all__ = ["command"]


@make(
    "score",
    short_help="Add the rewards of a reward model, or of a function, to a table.",
    examples=[
        "alignlib score samples.parquet --reward-model my-reward-model",
        "alignlib score samples.parquet --reward-model my-judge --label good --value log-prob -o scored.parquet",
        "alignlib score samples.parquet --scorer my_rewards.py:politeness",
    ],
)
@click.argument("table", type=FILE)
@option("--reward-model", help="Sequence-classification model: a name on the hub, or a folder.")
@option(
    "--scorer",
    help="In place of a model: a Python function from a list of texts to as many numbers, named as module:function or "
    "file.py:function. That code is run; it gets the responses, or what --template makes of prompt and response.",
)
@option("--name", help="The column is reward_NAME  [default: the model's or the function's name]")
@option("-o", "--output", type=Output(".parquet"), help="Parquet file to write  [default: TABLE itself]")
@option("--label", help="Output that is the reward, by its label.")
@option("--output-index", type=Whole(min=0), help="Output that is the reward, by its number from 0.")
@option(
    "--value",
    type=click.Choice(["raw", "log-prob"]),
    default="raw",
    help="The output as it is, or the log-probability of its label.",
)
@option("--negate", is_flag=True, help="Write the negative: a cost becomes a reward.")
@option(
    "--layout",
    type=click.Choice(["auto", "chat", "text", "pair"]),
    default="auto",
    help="Chat template, prompt and response in one text, or as two sequences; auto: chat if there is a template.",
)
@option("--template", help="Lay texts out by this one, which holds {prompt} and {response}.")
@option("--prompt", default="prompt", help="Column of the prompts.")
@option("--response", default="response", help="Column of the responses.")
@machine_options
def command(
    table: Path, reward_model: str | None, scorer: str | None, output: Path | None, force: bool, **options: Any
) -> None:
    """Add the rewards of a reward model, or of a Python function, to TABLE, as the column reward_NAME.

    Killed at any point, the same command goes on where it was.
    """
    with interruptible(output or table):
        if reward_model is not None and scorer is None:
            import_models()
        from alignlib.models.score import score
        from alignlib.models.scoring import ScoreSettings

        settings = ScoreSettings(**options)
        found = score(table, reward_model, scorer=scorer, output=output, settings=settings, force=force, say=say)
    said = (
        f"Wrote {found.output}: {found.n_rows} rewards in {found.column}, mean {found.mean:.4g}, "
        f"standard deviation {found.std:.4g}."
    )
    click.echo(for_terminal(said))
