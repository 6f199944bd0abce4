"""``alignlib capacity``: how many nats per label reach the learner, from a table of ratings."""

from __future__ import annotations

from pathlib import Path

import click

from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import option
from alignlib.cli._options import FILE, Whole, form_options, level_option

__all__ = ["command"]


@make(
    "capacity",
    short_help="How much of a value a rating carries.",
    examples=[
        "alignlib capacity ratings.csv --target truth --label said",
        "alignlib capacity ratings.csv --target truth --label said --context task --rater annotator --json",
        "alignlib capacity scores.csv --target truth --label score --bins 5",
        "alignlib capacity crowd.csv --truth gold.csv --item task --target answer --label said --rater worker",
    ],
)
@click.argument("table", type=FILE)
@option("--target", default="target", help="Column with what should have been recognised.")
@option("--label", default="label", help="Column with what the rater said.")
@option("--context", help="Column that names the context; one context if omitted.")
@option(
    "--rater",
    argument=("by_rater", "by_rater=True"),
    help="Column that names the rater, or the item; these are left out in turn for the interval.",
)
@option("--truth", type=FILE, help="File that holds --target for each item, where labels and truth are kept apart.")
@option("--item", help="Column of both files that names the item  [default: the one that both have]")
@option("--bins", type=Whole(min=2), help="Put targets and labels that are numbers into so many bins.")
@option("--drop-missing", is_flag=True, help="Go on without rows that lack a value.")
@level_option
@form_options
def command(
    table: Path,
    target: str,
    label: str,
    context: str | None,
    rater: str | None,
    truth: Path | None,
    item: str | None,
    bins: int | None,
    drop_missing: bool,
    level: float,
    form: str | None,
) -> None:
    """Estimate the capacity of feedback from TABLE, one row per label given (CSV, JSON, Parquet, …).

    Prints nats per label for each context, corrected for the bias of counting, with an interval, and what they imply:
    the smallest error of any learner that sees one label about one of M equally likely targets.
    """
    from alignlib.answers.capacity import ask_capacity
    from alignlib.answers.output import capacity
    from alignlib.cli._progress import Progress
    from alignlib.cli._say import say
    from alignlib.tables import RaterTable

    if str(table) == "-" and truth is not None and str(truth) == "-":
        raise BadInput("Standard input cannot be both TABLE and --truth; save one of them first.")
    ratings = RaterTable.read(
        table,
        target=target,
        label=label,
        context=context,
        rater=rater,
        drop_missing=drop_missing,
        truth=truth,
        item=item,
        bins=bins,
    )
    progress = Progress()
    found = ask_capacity(ratings, level=level, by_rater=rater is not None, tell=progress.tell)
    progress.end()
    say(form, "capacity", capacity, found, path=str(table))
