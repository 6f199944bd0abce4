"""``alignlib frontier``: how much reward any method can still gain, from a table of sampled rewards."""

from __future__ import annotations

from typing import Any

from alignlib.cli._command import command as make
from alignlib.cli._command import option
from alignlib.cli._options import FILE, NUMBERS, form_options
from alignlib.cli._rewards import Question, table_options

__all__ = ["command"]


@make(
    "frontier",
    short_help="How much reward any method can still gain.",
    examples=[
        "alignlib example > rewards.csv",
        "alignlib frontier rewards.csv --reward score_a",
        "alignlib frontier rewards.csv --reward score_a --gold gold --kl 0.1,0.2 --json",
        "alignlib frontier rewards.csv --reward score_a --gold-correlation 0.7,0.6,0.8",
    ],
)
@table_options
@option(
    "--gold-correlation",
    type=NUMBERS,
    help="Correlation within prompts of --reward with a gold in no table, such as 0.7, or 0.7,0.6,0.8 with its ends: "
    "how much of that gold is promised.",
)
@option(
    "--gold-table",
    type=FILE,
    help="The same from a file with gold (--gold, or a column gold) on a few rows, matched by prompt and sample, or "
    "with the column --reward too.",
)
@form_options
def command(form: str | None, **asked: Any) -> None:
    """Print how much reward any method can still gain, at which KL, and how close best-of-N comes.

    TABLE holds rewards of responses sampled from the base model, several for each prompt: CSV, TSV, JSON, Parquet,
    Feather or NumPy, also gzipped; - is standard input.
    """
    question = Question(**asked)
    question, found = question.find(curves=form == "csv")
    from alignlib.answers.output import frontier
    from alignlib.cli._say import say

    say(form, "frontier", frontier, found, path=str(question.table), seed=question.seed)
