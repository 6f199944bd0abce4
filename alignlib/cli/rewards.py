"""The commands for a reader's own rewards: ``frontier`` prints the numbers, ``report`` leaves a page of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alignlib._core.text import for_terminal, lines_for_terminal

if TYPE_CHECKING:
    from alignlib.answers.answer import Answer
    from alignlib.answers.hacking import HackingAnswer
    from alignlib.tables.rewards import RewardTable

__all__ = ["frontier", "report"]

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


def in_options(text: str) -> str:
    """Name options as a shell has them where a sentence names the argument of the library first.

    >>> in_options("pass drop_missing=True (--drop-missing) to go on")
    'pass --drop-missing to go on'
    """
    return re.sub(r"\b\w+=True \((--[\w-]+)\)", r"\1", text)


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
                "--ensemble", help="Proxies to combine, such as 'score_a,score_b' or 'score_*'; needs --gold."
            ),
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


@dataclass(frozen=True)
class Question:
    """What the options of either command ask, by their names."""

    table: Path
    prompt: str
    reward: str
    gold: str | None
    ensemble: str | None
    sample: str | None
    wide: bool
    drop_missing: bool
    kl: list[float] | None
    n: list[float] | None
    allow_heavy_tail: bool
    seed: int

    def check_names(self) -> None:
        """Refuse one name for two rewards, and several rewards under one name."""
        if self.reward == self.gold:
            raise BadInput(f"--reward and --gold are both {self.reward!r}; name two columns, or leave out --gold.")
        for option, name in (("--reward", self.reward), ("--gold", self.gold or "")):
            if not self.wide and {"*", "?"} & set(name) and not name.startswith(("mean:", "nanmean:")):
                raise BadInput(
                    f"{option} {name!r} may mean several rewards; name one column, average them with 'mean:{name}', or "
                    "pass --wide if they are the samples of one reward."
                )

    def answer(self, budget: str = "average") -> tuple[RewardTable, Answer, Answer | None, HackingAnswer | None]:
        """Read the table and answer, in the gold reward too if there is one."""
        from alignlib.answers.answer import (
            ask,  # here, not above: `alignlib --help` need not wait for scipy and pyarrow
        )
        from alignlib.answers.hacking import ask_hacking
        from alignlib.tables.rewards import RewardTable

        self.check_names()
        if self.ensemble is not None and (self.gold is None or self.wide):
            raise BadInput(
                f"--ensemble {self.ensemble!r} needs --gold, the reward that counts, and a table without --wide."
            )
        members = [] if self.ensemble is None else self.ensemble.split(",")
        asked = [self.reward] if self.gold is None else [self.reward, self.gold, *members]
        options: dict[str, Any] = {"kl": self.kl, "n": self.n, "budget": budget, "seed": self.seed}
        options["allow_heavy_tail"] = self.allow_heavy_tail
        try:
            data = RewardTable.read(
                self.table,
                self.prompt,
                asked,
                sample=self.sample,
                wide=self.wide,
                drop_missing=self.drop_missing,
                min_samples=3,
            )
            answer = ask(data, self.reward, **options)
            if self.gold is None:
                return data, answer, None, None
            in_gold = ask(data, self.reward, self.gold, **options)
            tail: dict[str, Any] = {"seed": self.seed, "allow_heavy_tail": self.allow_heavy_tail}
            return data, answer, in_gold, ask_hacking(data, self.reward, self.gold, members, **tail)
        except ValueError as error:
            raise BadInput(in_options(str(error))) from error


@click.command()
@table_options
@click.option(
    "--budget",
    type=click.Choice(["average", "per-prompt"]),
    default="average",
    show_default=True,
    help="Whether a KL budget holds on average over prompts, or on every prompt.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def frontier(budget: str, as_json: bool, **asked: Any) -> None:
    """Print how much reward any method can still gain, at which KL, and how close best-of-N comes.

    TABLE holds rewards of responses sampled from the base model, several for each prompt: CSV, TSV, JSON lines or
    Parquet, also gzipped.
    """
    from alignlib.answers.output import to_json, to_lines

    question = Question(**asked)
    data, answer, in_gold, hacking = question.answer(budget.replace("-", "_"))
    if as_json:
        click.echo(to_json(data, str(question.table), answer, in_gold, question.seed, hacking), nl=False)
    else:
        click.echo(lines_for_terminal(to_lines(data, answer, in_gold, hacking)))


@click.command()
@table_options
@click.option("-o", "folder", required=True, type=click.Path(path_type=Path), help="Folder for the report.")
@click.option("--force", is_flag=True, help="Replace an earlier report in that folder.")
def report(folder: Path, force: bool, **asked: Any) -> None:
    """Leave a page, pictures (PNG, SVG) and numbers (CSV, JSON) on the rewards in TABLE.

    The page is the notebook "Your own rewards" run on TABLE; it needs no network.
    """
    from alignbook.manifest import FolderError, check_folder
    from alignbook.page import PageError
    from alignbook.parameters import ParameterError
    from alignbook.report import PAGE, ReportError, write_report

    question = Question(**asked)
    try:
        check_folder(folder, force, question.table)
        _, answer, in_gold, hacking = question.answer()  # bad input is a sentence before the notebook starts
        if in_gold is not None and in_gold.limit is None:
            raise BadInput(
                f"The samples support no limit of {question.gold!r}, so there is no curve to draw; leave out --gold, "
                "or print what is known with `alignlib frontier`."
            )
        optional = ("kl", "n", "ensemble")
        values = {name: value for name, value in asked.items() if name not in optional or value is not None}
        if question.ensemble is not None:
            values["ensemble"] = question.ensemble.split(",")
        failures = write_report({**values, "table": str(question.table.resolve())}, folder, force)
    except (FolderError, ParameterError, PageError, ReportError) as error:
        raise BadInput(str(error)) from error
    for failure in failures:
        click.echo(for_terminal(f"On this table {failure}."), err=True)
    said = [
        (in_gold or answer).headline,
        *([] if hacking is None else hacking.to_lines()[1:3]),
        f"Wrote {folder / PAGE}",
    ]
    click.echo(lines_for_terminal(said))
