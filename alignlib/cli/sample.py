"""``alignlib sample``: responses of a language model, with their log-probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alignlib._core.files import check_new
from alignlib._core.names import counted
from alignlib._core.safe_text import for_terminal
from alignlib.cli._command import command as make
from alignlib.cli._command import option, refuse_typed
from alignlib.cli._machine import import_models, interruptible, machine_options, say
from alignlib.cli._options import FILE, NUMBER, Output, Whole, draws_seed_option

__all__ = ["command"]


@make(
    "sample",
    short_help="Draw responses from a language model.",
    examples=[
        "alignlib sample --model my-model --prompts prompts.txt --n 16 -o samples.parquet",
        "alignlib sample --model my-model --base my-base --prompts prompts.csv -o samples.parquet",
    ],
)
@option("--model", required=True, help="Causal language model: a name on the hub, or a folder.")
@option("--base", help="Model it was trained from: adds its log-probabilities and the exact KL per token.")
@option(
    "--prompts",
    required=True,
    type=FILE,
    help="CSV, TSV, JSON lines, Parquet, or TXT, one per line.",
)
@option("--column", default="prompt", help="Column of the prompts: texts, or lists of messages.")
@option(
    "--prompt-id",
    argument="id_column",
    help="Column that names the prompts  [default: prompt_id, if any; else 0, 1, …]",
)
@option("--n", default=64, type=Whole(min=1, max=10**9), help="Responses per prompt.")
@option("-o", "--output", required=True, type=Output(".parquet"), help="Parquet file to write.")
@option("--max-new-tokens", default=256, type=Whole(min=1), help="Largest length of a response.")
@option("--temperature", default=1.0, type=NUMBER, help="Any but 1 is another policy; so is a cut.")
@option("--top-k", type=Whole(min=1), help="Draw from the k likeliest tokens only.")
@option("--top-p", type=NUMBER, help="Draw from the likeliest tokens that hold this probability only.")
@option(
    "--chat",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    argument={"layout='chat'": "--chat yes", "layout='text'": "--chat no", "layout": "--chat"},
    help="Lay prompts out by the chat template; auto: if the tokenizer has one.",
)
@option("--template", help="Lay prompts out by this text, which holds {prompt}.")
@option("--drop-long", is_flag=True, help="Go on without prompts that leave no room for a response.")
@draws_seed_option
@machine_options
def command(
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
    check_new(output, True, [prompts])
    if prompts.suffix.lower() == ".txt":
        refuse_typed("column", "prompt_id", remedy="has no say: --prompts is plain text, a prompt a line; leave it out")
    with interruptible(output):
        import_models()
        from alignlib.models.loading import choose_device
        from alignlib.models.next_token import SamplingLaw
        from alignlib.models.prompts import read_prompts
        from alignlib.models.sample import check_output, sample
        from alignlib.models.sample_job import SampleSettings

        check_output(output, force)
        settings = SampleSettings(
            law=SamplingLaw(temperature, top_k, top_p),
            layout={"auto": "auto", "yes": "chat", "no": "text"}[chat],
            **options,
        )
        choose_device(settings.device)
        found = sample(
            model, read_prompts(prompts, column, prompt_id), output, base=base, settings=settings, force=force, say=say
        )
    drawn = f"{counted(found.n_responses, 'response')} to {counted(found.n_prompts, 'prompt')}"
    click.echo(for_terminal(f"Wrote {found.output}: {drawn}."))
