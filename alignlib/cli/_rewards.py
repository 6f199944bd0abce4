"""What `frontier` and `report` ask of a table of rewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import option
from alignlib.cli._options import FILE, NUMBERS, budget_option, level_option, seed_option

if TYPE_CHECKING:
    from alignlib.answers.findings import Findings

__all__ = ["Question", "table_options"]

F = TypeVar("F", bound=Callable[..., Any])


def table_options(command: F) -> F:
    """Add the argument and options that say where the rewards are and what is asked of them."""
    for add in reversed(
        [
            click.argument("table", type=FILE),
            option("--prompt", default="prompt_id", help="Column that names the prompt."),
            option(
                "--reward",
                required=True,
                help="Column of the reward, or an average of columns: 'mean:score_*' needs a value in each, "
                "'nanmean:score_*' takes those there are.",
            ),
            option("--gold", help="Column of the reward that counts, where --reward is only its proxy."),
            option("--ensemble", help="Proxies to combine, such as 'score_a,score_b' or 'score_*'; needs --gold."),
            option("--sample", help="Column that tells the samples of a prompt apart  [default: sample_id, if any]"),
            option("--wide", is_flag=True, help="One row per prompt; --reward is a pattern of columns, such as 's_*'."),
            option("--drop-missing", is_flag=True, help="Go on without the samples that lack a finite value."),
            option(
                "--kl", type=NUMBERS, help="KL budgets in nats, such as 0.5,1,2  [default: some that are supported]"
            ),
            budget_option,
            option("--n", type=NUMBERS, help="Numbers N of best-of-N, such as 2,4,8  [default: powers of two]"),
            level_option,
            option("--allow-heavy-tail", is_flag=True, help="Go on where a bounded reward looks heavy-tailed."),
            seed_option,
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
    budget: str
    n: list[float] | None
    level: float
    allow_heavy_tail: bool
    seed: int

    @property
    def members(self) -> list[str]:
        """The entries of the ensemble."""
        return [] if self.ensemble is None else self.ensemble.split(",")

    def check(self) -> None:
        """Refuse one name for two rewards, several rewards under one name, and an ensemble against nothing."""
        if self.reward == self.gold:
            raise BadInput(f"--reward and --gold are both {self.reward!r}; name two columns, or leave out --gold.")
        for typed, name in (("--reward", self.reward), ("--gold", self.gold or "")):
            if not self.wide and {"*", "?"} & set(name) and not name.startswith(("mean:", "nanmean:")):
                raise BadInput(
                    f"{typed} {name!r} may mean several rewards; name one column, average them with 'mean:{name}', or "
                    "pass --wide if they are the samples of one reward."
                )
        if self.ensemble is not None and (self.gold is None or self.wide):
            raise BadInput(
                f"--ensemble {self.ensemble!r} needs --gold, the reward that counts, and a table without --wide."
            )

    def find(self, *, curves: bool = False) -> Findings:
        """Read the table and answer, in the gold reward too if there is one."""
        self.check()
        from alignlib.answers.findings import ask  # here, not above: `--help` need not wait for scipy and pyarrow
        from alignlib.rules import BestOfN
        from alignlib.tables import RewardTable

        table = RewardTable.read(
            self.table,
            self.prompt,
            [self.reward] if self.gold is None else [self.reward, self.gold, *self.members],
            sample=self.sample,
            wide=self.wide,
            drop_missing=self.drop_missing,
            min_samples=3,
        )
        return ask(
            table,
            self.reward,
            self.gold,
            self.members,
            kl=self.kl,
            rules=None if self.n is None else BestOfN.along(self.n),
            budget=self.budget.replace("-", "_"),
            level=self.level,
            rng=self.seed,
            allow_heavy_tail=self.allow_heavy_tail,
            curves=curves,
        )
