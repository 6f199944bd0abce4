"""``alignlib passk``: how often one, all or most of k responses are right, from a table of checked responses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import naming, option
from alignlib.cli._options import DISTINCT, FILE, form_options, level_option, prompt_option, seed_option
from alignlib.cli._picture import check_picture, picture_options, save_picture_of, wrote
from alignlib.cli._scale import Scale, location, scale_options

if TYPE_CHECKING:
    pass

__all__ = ["command"]


@make(
    "passk",
    short_help="How often one, all or most of k responses are right.",
    examples=[
        "alignlib example --kind answers > answers.csv",
        "alignlib passk answers.csv --correct correct --k 1,4,16",
        "alignlib passk answers.csv --answer answer --score verifier -o passk.png",
    ],
)
@click.argument("table", type=FILE)
@option("--correct", default="correct", help="Column that is 1 (or true) where the response is right, else 0.")
@option("--k", type=DISTINCT, help="Numbers of responses, such as 1,4,16  [default: powers of two]")
@option("--answer", help="Column with what the response answers, for the majority vote (maj@k).")
@option("--blank-abstains", is_flag=True, help="A response without an answer casts no vote.")
@option("--abstains", multiple=True, help="An answer that is none, such as '[invalid]': no vote; may be repeated.")
@option("--score", help="Column of a verifier's score (or 'mean:score_*'), for best-of-k by that score.")
@prompt_option
@option(
    "--pool",
    argument=("prompt=None",),
    is_flag=True,
    help="There is no such column: all rows are responses to one prompt.",
)
@option("--sample", help="Column that tells the responses to a prompt apart  [default: sample_id, if any]")
@option("--drop-missing", is_flag=True, help="Go on without the responses that lack a value.")
@level_option
@seed_option
@scale_options
@picture_options
@form_options
def command(
    table: Path,
    correct: str,
    k: list[float] | None,
    answer: str | None,
    blank_abstains: bool,
    abstains: tuple[str, ...],
    score: str | None,
    prompt: str,
    pool: bool,
    sample: str | None,
    drop_missing: bool,
    level: float,
    seed: int,
    picture: Path | None,
    force: bool,
    form: str | None,
    **parts: Any,
) -> None:
    """Estimate pass@k, pass^k, maj@k and best-of-k from TABLE, one row per response, with intervals over prompts.

    Each takes at least k responses of a prompt; prompts with fewer are left out of that row, and counted.
    """
    check_picture(picture, force, [table])
    from alignlib.answers.output import passk
    from alignlib.cli._say import say
    from alignlib.pass_at_k import check_k, estimate_pass_at_k
    from alignlib.tables import AnswerTable

    if k is not None:
        check_k(k)
    scale = Scale(**parts)
    if scale.takes(table):
        given = {"--answer": answer, "--score": score, "--abstains": abstains, "--blank-abstains": blank_abstains}
        typed = next((name for name, value in given.items() if value), None)
        if typed is not None:
            raise BadInput(f"{typed} goes with a table in one file; leave it out, or give one file.")
        from alignlib.scale import Question, checked_answers

        asked = Question(None if pool else prompt, (correct,), sample=sample, drop_missing=drop_missing)
        with naming(reward="--correct"), scale.opened(table, lambda _: asked, 0, force) as rewards:
            found = estimate_pass_at_k(checked_answers(rewards, correct), k, level=level, rng=seed)
    else:
        answers = AnswerTable.read(
            table,
            correct,
            answer=answer,
            score=score,
            prompt=None if pool else prompt,
            sample=sample,
            blank_abstains=blank_abstains,
            abstains=abstains,
            drop_missing=drop_missing,
        )
        found = estimate_pass_at_k(answers, k, level=level, rng=seed)
    if picture is not None:
        save_picture_of(found, picture, force)
    say(form, "passk", passk, found, path=location(table), seed=seed)
    if picture is not None:
        wrote(picture)
