"""``alignlib frontier``: how much reward any method can still gain, from a table of sampled rewards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignlib.cli._command import command as make
from alignlib.cli._command import option
from alignlib.cli._options import DISTINCT, FILE, form_options
from alignlib.cli._picture import check_picture, picture_options, save_picture, wrote
from alignlib.cli._question import Question
from alignlib.cli._reward_options import promise_options, table_options
from alignlib.cli._scale import location

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from alignlib.answers.findings import Findings

__all__ = ["command"]


@make(
    "frontier",
    short_help="How much reward any method can still gain.",
    examples=[
        "alignlib example > rewards.csv",
        "alignlib frontier rewards.csv --reward score_a",
        "alignlib frontier rewards.csv --reward score_a --gold gold --kl 0.1,0.2 --json",
        "alignlib frontier rewards.csv --reward score_a --gold-correlation 0.7,0.6,0.8",
        "alignlib frontier rewards.csv --reward score_a --win-rate",
        "alignlib frontier rewards.csv --reward score_a --divergence chi2 --at 0.1,0.5",
        "alignlib frontier 'rewards*.csv' --reward score_a --summary summary.parquet",
    ],
)
@table_options
@promise_options
@option("--win-rate", is_flag=True, help="Count wins over the base model by --reward, ties as one half.")
@option(
    "--opponent",
    type=FILE,
    help="Table of an opponent's responses to the same prompts, with the same columns: count wins over them.",
)
@option(
    "--divergence",
    default="kl",
    help="What budgets are measured in: kl, reverse-kl, chi2, hellinger, js, tv or renyi:ALPHA, such as renyi:2.",
)
@option(
    "--at", "budgets", type=DISTINCT, help="Budgets in units of --divergence, such as 0.1,0.5; --kl is its form for KL."
)
@picture_options
@form_options
def command(form: str | None, picture: Path | None, force: bool, **asked: Any) -> None:
    """Print how much reward any method can still gain, at which KL, and how close best-of-N comes.

    TABLE holds rewards of responses sampled from the base model, several for each prompt: CSV, TSV, JSON, Parquet,
    Feather or NumPy, also gzipped; - is standard input. It may also be a folder or a pattern of such files, an address
    that fsspec knows, or a summary that --summary wrote: then it need not fit into memory.
    """
    question = Question.typed(asked)
    check_picture(
        picture, force, [path for path in (question.table, question.opponent, question.gold_table) if path is not None]
    )
    with question.answered(curves=form == "csv" or picture is not None, force=force) as (question, found):
        from alignlib.answers.output import frontier
        from alignlib.cli._say import say

        if picture is not None:
            save_picture(lambda: _drawn(found), picture, force)
        say(form, "frontier", frontier, found, path=location(question.table), seed=question.seed)
    if picture is not None:
        wrote(picture)


def _drawn(found: Findings) -> Figure:
    from alignlib.answers import pictures

    return pictures.limit_picture(found)
