"""The commands for a reader's own models: ``sample`` draws responses, ``score`` adds the rewards of a reward model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["sample_command", "score_command"]

Command = TypeVar("Command", bound=Callable[..., Any])


class BadInput(click.ClickException):
    """A sentence on standard error, exit code 2."""

    exit_code = 2


def machine_options(command: Command) -> Command:
    """Add the options that say how to compute."""
    for add in reversed(
        [
            click.option("--dtype", help="float32, bfloat16 or float16  [default: bfloat16 on a GPU, else float32]"),
            click.option("--device", help="cpu, cuda, cuda:1, …  [default: the GPU, if there is one]"),
            click.option(
                "--batch-size",
                type=click.IntRange(min=1),
                help="Responses at once; halved where memory runs out  [default: by memory]",
            ),
            click.option(
                "--trust-remote-code", "remote_code", is_flag=True, help="Run code that comes with the model."
            ),
            click.option("--force", is_flag=True, help="Replace what is there under that name."),
        ]
    ):
        command = add(command)
    return command


@click.command("sample")
@click.option("--model", required=True, help="Causal language model: a name on the hub, or a folder.")
@click.option("--base", help="Model it was trained from: adds its log-probabilities and the exact KL per token.")
@click.option(
    "--prompts",
    required=True,
    type=click.Path(path_type=Path),
    help="CSV, TSV, JSON lines, Parquet, or TXT, one per line.",
)
@click.option(
    "--column", default="prompt", show_default=True, help="Column of the prompts: texts, or lists of messages."
)
@click.option("--prompt-id", help="Column that names the prompts  [default: prompt_id, if any; else 0, 1, …]")
@click.option("--n", default=64, show_default=True, type=click.IntRange(min=1), help="Responses per prompt.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write.")
@click.option(
    "--max-new-tokens", default=256, show_default=True, type=click.IntRange(min=1), help="Largest length of a response."
)
@click.option("--temperature", default=1.0, show_default=True, help="Any but 1 is another policy; so is a cut.")
@click.option("--top-k", type=click.IntRange(min=1), help="Draw from the k likeliest tokens only.")
@click.option("--top-p", type=float, help="Draw from the likeliest tokens that hold this probability only.")
@click.option(
    "--chat",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Lay prompts out by the chat template; auto: if the tokenizer has one.",
)
@click.option("--template", help="Lay prompts out by this text, which holds {prompt}.")
@click.option("--drop-long", is_flag=True, help="Go on without prompts that leave no room for a response.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the draws.")
@machine_options
def sample_command(
    model: str,
    base: str | None,
    prompts: Path,
    column: str,
    prompt_id: str | None,
    output: Path,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    chat: str,
    force: bool,
    **options: Any,
) -> None:
    """Draw responses from a language model, with their log-probabilities.

    Killed at any point, the same command goes on where it was: what is done lies in OUTPUT.parts. Log-probabilities are
    natural logarithms, of the law that was sampled from.
    """
    with sentences(output):
        from alignlib.models.models import require_torch

        require_torch()
        from alignlib.models.prompts import read_prompts
        from alignlib.models.sample import SampleSettings, sample
        from alignlib.models.sampling_law import SamplingLaw

        settings = SampleSettings(
            law=SamplingLaw(temperature, top_k, top_p),
            layout={"auto": "auto", "yes": "chat", "no": "text"}[chat],
            **options,
        )
        found = sample(
            model, read_prompts(prompts, column, prompt_id), output, base=base, settings=settings, force=force
        )
    click.echo(f"Wrote {found.output}: {found.n_responses} responses to {found.n_prompts} prompts.")


@click.command("score")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--reward-model", required=True, help="Sequence-classification model: a name on the hub, or a folder.")
@click.option("--name", help="The column is reward_NAME  [default: the model's name]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Parquet file to write  [default: TABLE itself]")
@click.option("--label", help="Output that is the reward, by its label.")
@click.option("--output-index", type=click.IntRange(min=0), help="Output that is the reward, by its number from 0.")
@click.option(
    "--value",
    type=click.Choice(["raw", "log-prob"]),
    default="raw",
    show_default=True,
    help="The output as it is, or the log-probability of its label.",
)
@click.option("--negate", is_flag=True, help="Write the negative: a cost becomes a reward.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "chat", "text", "pair"]),
    default="auto",
    show_default=True,
    help="Chat template, prompt and response in one text, or as two sequences; auto: chat if there is a template.",
)
@click.option("--template", help="Lay texts out by this one, which holds {prompt} and {response}.")
@click.option("--prompt", default="prompt", show_default=True, help="Column of the prompts.")
@click.option("--response", default="response", show_default=True, help="Column of the responses.")
@machine_options
def score_command(table: Path, reward_model: str, output: Path | None, force: bool, **options: Any) -> None:
    """Add the rewards of a reward model to TABLE, as the column reward_NAME.

    Killed at any point, the same command goes on where it was.
    """
    with sentences(output or table):
        from alignlib.models.models import require_torch

        require_torch()
        from alignlib.models.score import ScoreSettings, score

        found = score(table, reward_model, output=output, settings=ScoreSettings(**options), force=force)
    click.echo(
        f"Wrote {found.output}: {found.n_rows} rewards in {found.column}, mean {found.mean:.4g}, "
        f"standard deviation {found.std:.4g}."
    )


@contextmanager
def sentences(output: Path) -> Iterator[None]:
    """Turn errors of input into sentences, and an interrupt into one that says how to go on."""
    try:
        yield
    except ValueError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.strerror or error} ({error.filename or output}).") from error
    except KeyboardInterrupt:
        click.echo(f"\nStopped. The same command goes on; what is done lies beside {output}.", err=True)
        raise SystemExit(130) from None
