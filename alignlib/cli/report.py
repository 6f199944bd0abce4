"""``alignlib report``: a page, pictures and numbers on a table of sampled rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alignbook.extra import require_extra
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import option
from alignlib.cli._options import Output
from alignlib.cli._question import Question
from alignlib.cli._reward_options import promise_options, table_options
from alignlib.cli._scale import SCALE, place

__all__ = ["command"]


@make(
    "report",
    short_help="The same as a page, with pictures and numbers.",
    examples=[
        "alignlib example > rewards.csv",
        "alignlib report rewards.csv --reward score_a --gold gold -o report",
        "alignlib report rewards.csv --reward score_a --gold-correlation 0.7,0.6,0.8 -o report",
    ],
)
@table_options
@promise_options
@option("-o", "--output", "folder", required=True, type=Output(folder=True), help="Folder for the report.")
@option("--force", is_flag=True, help="Replace an earlier report in that folder.")
def command(folder: Path, force: bool, **asked: Any) -> None:
    """Leave a page, pictures (PNG, SVG) and numbers (CSV, JSON) on the rewards in TABLE.

    The page is the notebook "Your own rewards" run on TABLE; it needs no network.
    """
    from alignlib._core.safe_text import lines_for_terminal

    question = Question.typed(asked)
    require_extra("alignlib report")
    from alignbook.manifest import ALWAYS, check_folder
    from alignbook.report import PAGE, write_report

    if str(question.table) == "-" or str(question.gold_table) == "-":
        raise BadInput("A report needs a file, which it names; save standard input first.")
    try:
        str(question.table.resolve()).encode()
    except UnicodeEncodeError:
        raise BadInput(
            f"{question.table} is no name in Unicode, as a report needs; rename the file or its folder."
        ) from None
    for made_of in (question.gold_table, *_files(question.table)):
        if made_of is not None:
            check_folder(folder, force, made_of, ALWAYS)
    if asked.get("summary") is not None and asked["summary"].resolve().is_relative_to(folder.resolve()):
        raise BadInput(f"--summary {asked['summary']} lies where the report goes; write it elsewhere.")
    few_gold = question.few_gold
    optional = ("kl", "n", "ensemble", "bounded", "gold_correlation", "gold_table")
    read_here = ("min_samples", *SCALE)  # the table is read here; the notebook is given what was found
    # Bad input is a sentence before the notebook starts.
    with question.answered(curves=True, force=force) as (question, found):
        asked |= {"reward": question.reward, "gold": question.gold}
        if question.gold_table is not None:
            asked |= {"gold": few_gold, "gold_table": str(question.gold_table.resolve())}
        values = {
            name: value
            for name, value in asked.items()
            if name not in read_here and (name not in optional or value is not None)
        }
        values["budget"] = question.budget.replace("-", "_")
        values["rule"] = list(question.rule)
        if question.ensemble is not None:
            values["ensemble"] = question.members
        write_report({**values, "table": str(place(question.table).resolve())}, folder, force, found=found)
    from alignlib.answers.output.frontier_sentences import headline
    from alignlib.answers.output.hacking import stop_lines

    said = [headline(found.counted), *([] if found.hacking is None else stop_lines(found.hacking))]
    if found.promise is not None:
        from alignlib.answers.output.gold_promise import answer_line

        said.append(answer_line(found.promise))
    click.echo(lines_for_terminal([*said, f"Wrote {folder / PAGE}"]))


def _files(table: Path) -> list[Path]:
    """Return the table, and the files that a pattern means: each is read."""
    import glob

    if not glob.has_magic(str(table)) or table.exists():
        return [table]
    from alignlib.scale import list_parts

    return [Path(part.path) for part in list_parts(str(table)) if not part.url] or [table]
