"""What `frontier` and `report` ask of a table of rewards: checked before anything is read, then answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import naming
from alignlib.cli._scale import SCALE, Scale, location

if TYPE_CHECKING:
    from alignlib.answers.findings import Findings
    from alignlib.hacking import GoldSubset
    from alignlib.scale import Question as InParts
    from alignlib.scale import SummaryTable
    from alignlib.tables import RewardTable, TableFile

__all__ = ["Question"]


@dataclass(frozen=True)
class Question:
    """What the options of either command ask, by their names; ``named`` are members of the ensemble by theirs.

    Parameters
    ----------
    table : Path
        Samples of the base model, as typed.
    prompt : str
        The column of prompts.
    pool : bool
        Whether all rows are of one prompt.
    reward : str
        The column that picks.
    gold : str, optional
        The column that counts.
    ensemble : str, optional
        Columns of other proxies, with commas.
    sample : str, optional
        The column that names samples.
    wide : bool
        Whether columns that match the reward are its samples.
    drop_missing : bool
        Whether samples without a reward are left out.
    min_samples : int, optional
        Prompts with fewer are left out.
    kl : list of float, optional
        Budgets in nats.
    budget : str
        ``"average"`` or ``"per_prompt"``.
    n : list of float, optional
        Numbers of draws of best-of-N.
    rule : tuple of str
        Other rules, as typed.
    level : float
        Coverage of the intervals, in (0, 1).
    bounded : list of float, optional
        Known ends of the reward.
    seed : int
        Of the bootstrap.
    named : tuple of str, optional
        Members of the ensemble by their own names.
    gold_correlation : list of float, optional
        What is known of a gold that the table lacks.
    gold_table : Path, optional
        Some samples with gold.
    divergence : str
        What budgets are measured in.
    budgets : list of float, optional
        Budgets in its units.
    win_rate : bool
        Whether the win rate counts, in place of the reward.
    opponent : Path, optional
        Responses of an opponent to the same prompts.
    scale : Scale
        The options on parts.
    """

    table: Path
    prompt: str
    pool: bool
    reward: str
    gold: str | None
    ensemble: str | None
    sample: str | None
    wide: bool
    drop_missing: bool
    min_samples: int | None
    kl: list[float] | None
    budget: str
    n: list[float] | None
    rule: tuple[str, ...]
    level: float
    bounded: list[float] | None
    seed: int
    named: tuple[str, ...] | None = None
    gold_correlation: list[float] | None = None
    gold_table: Path | None = None
    divergence: str = "kl"
    budgets: list[float] | None = None
    win_rate: bool = False
    opponent: Path | None = None
    scale: Scale = field(default_factory=Scale)

    @classmethod
    def typed(cls, asked: Mapping[str, Any]) -> Question:
        """Gather the values of the options; those on parts are one field.

        Parameters
        ----------
        asked : mapping of str to object
            Values by the parameters of the command.

        Returns
        -------
        Question
            Columns are still as they were typed.
        """
        rest = dict(asked)
        return cls(scale=Scale(**{name: rest.pop(name) for name in SCALE}), **rest)

    @property
    def members(self) -> list[str]:
        """The entries of the ensemble."""
        if self.named is not None:
            return list(self.named)
        from alignlib.tables import split_names

        return [] if self.ensemble is None else split_names(self.ensemble)

    def check(self) -> None:
        """Refuse, before anything is read, one name for two rewards, an ensemble against nothing, and bad numbers.

        Raises
        ------
        BadInput
            By the options.
        InputError
            By the library's names, for a number out of its range.
        """
        if self.reward == self.gold:
            raise BadInput(f"--reward and --gold are both {self.reward!r}; name two columns, or leave out --gold.")
        if self.ensemble is not None and (self.gold is None or self.wide):
            raise BadInput(
                f"--ensemble {self.ensemble!r} needs --gold, the reward that counts, and a table without --wide."
            )
        self._check_promise()
        from alignlib._core.checks import require_range
        from alignlib.divergences import KL, as_divergence, check_budgets

        if self.kl is not None:
            check_budgets(self.kl, KL)
        self._check_beyond()
        if self.budgets is not None:
            check_budgets(self.budgets, as_divergence(self.divergence), "budgets")
        if self.n is not None:
            require_range("n", self.n, 1.0)
        if self.rule:
            from alignlib.rules import named_rules

            named_rules(None, self.rule)
        if self.bounded is not None:
            from alignlib.estimation import check_bounds

            check_bounds(self.bounded, self.budget.replace("-", "_"))

    def _check_promise(self) -> None:
        """Refuse what cannot be said of a gold that the table does not hold."""
        if self.gold_correlation is not None and (self.gold is not None or self.gold_table is not None):
            other = "--gold-table" if self.gold_table is not None else "--gold"
            raise BadInput(
                f"--gold-correlation says what is known of a gold that is in no table, and {other} names one; leave "
                "out one of the two."
            )
        if self.gold_table is not None and (self.wide or self.ensemble is not None):
            raise BadInput("--gold-table needs a table without --wide and --ensemble.")
        if self.gold_table is not None and str(self.gold_table) == "-" == str(self.table):
            raise BadInput("Standard input cannot be both TABLE and --gold-table; save one of them first.")
        if self.gold_correlation is not None:
            from alignlib.hacking import check_correlation

            check_correlation(self.gold_correlation)

    def _gold_on_few_rows(self, file: TableFile, reward: str) -> GoldSubset:
        """Measure the correlation on the rows of ``--gold-table``, joined to the table unless they have the reward."""
        from alignlib.answers.gold_promise import gold_on_few_rows

        assert self.gold_table is not None
        return gold_on_few_rows(
            self.gold_table,
            file,
            reward,
            self.few_gold,
            prompt=None if self.pool else self.prompt,
            sample=self.sample,
            drop_missing=self.drop_missing,
            level=self.level,
        )

    @property
    def few_gold(self) -> str:
        """The column of ``--gold-table`` that counts."""
        return self.gold or "gold"

    @property
    def plain(self) -> bool:
        """Whether a reward is counted, for a KL budget."""
        from alignlib.divergences import KL, as_divergence

        return as_divergence(self.divergence) == KL and not self.win_rate and self.opponent is None

    def _check_beyond(self) -> None:
        """Refuse what does not go with win rates and other divergences."""
        from alignlib.divergences import KL, as_divergence

        divergence = as_divergence(self.divergence)
        if self.kl is not None and self.budgets is not None:
            raise BadInput("--kl and --at are both there; take --at, in the units of --divergence.")
        if self.kl is not None and divergence != KL:
            asked_in = "".join(self.divergence.lower().split())
            raise BadInput(f"--kl is for KL; say what is asked of {asked_in} as --at.")
        asked = {"--gold-correlation": self.gold_correlation, "--gold-table": self.gold_table, "--gold": self.gold}
        typed = next((name for name, value in asked.items() if value is not None), None)
        if not self.plain and typed is not None:
            raise BadInput(
                f"{typed} goes with --kl budgets of the reward; leave it out, or what asks for another goal."
            )
        if self.opponent is not None and self.wide:
            raise BadInput("--opponent needs a table without --wide, with a row for each response.")

    def resolved(self, file: TableFile) -> Question:
        """Return the same question with the columns by their own names, as ``file`` has them.

        Parameters
        ----------
        file : TableFile
            The table, of which the names are read.

        Returns
        -------
        Question
            With whole names for what was typed in part or as a pattern.

        Raises
        ------
        BadInput
            Where one column is wanted, and a pattern may mean several.
        """
        if self.wide:
            return self
        from alignlib.tables import combines, expand, is_pattern, require_column

        def column(typed: str, name: str) -> str:
            if name not in file.names and combines(name):
                with naming(reward=typed):
                    expand(file, [name])  # refuses what fits no column, by the option that names it
                return name
            if is_pattern(file, name):
                raise BadInput(
                    f"{typed} {name!r} may mean several rewards; name one column, average them with "
                    f"{'mean:' + name!r}, or pass --wide if they are the samples of one reward."
                )
            return require_column(file, name, "reward" if typed == "--reward" else "gold")

        reward = column("--reward", self.reward)
        gold = None if self.gold is None else column("--gold", self.gold)
        named = None
        if self.ensemble is not None:
            skip = [name for name in (self.prompt, self.sample, gold) if name is not None]
            with naming(reward="--ensemble"):
                named = tuple(member.name for member in expand(file, self.members, skip))
        return replace(self, reward=reward, gold=gold, named=named)

    @contextmanager
    def answered(self, *, curves: bool = False, force: bool = False) -> Iterator[tuple[Question, Findings]]:
        """Read the table and answer, in the gold reward too if there is one; yield what was asked by its own names.

        Parameters
        ----------
        curves : bool
            Whether the curves of pictures are made too.
        force : bool
            Whether a summary in the place of the new one may be replaced.
        """
        self.check()
        if self.scale.takes(self.table):
            with self._in_parts(force) as (asked, table):
                yield asked, asked._found(table, None, curves)
            return
        from alignlib.tables import RewardTable, open_table_file  # here, not above: `--help` need not wait for pyarrow

        file = open_table_file(self.table)
        asked = (self if self.gold_table is None else replace(self, gold=None)).resolved(file)
        held = RewardTable.read(
            file,
            None if asked.pool else asked.prompt,
            asked.columns,
            sample=asked.sample,
            wide=asked.wide,
            drop_missing=asked.drop_missing,
            drop_below=asked.min_samples or 0,
        )
        correlation = self.gold_correlation
        known = self._gold_on_few_rows(file, asked.reward) if self.gold_table else correlation
        yield asked, asked._found(held, known, curves)

    @property
    def columns(self) -> list[str]:
        """The rewards that are read, the one that picks first."""
        return list(dict.fromkeys([self.reward, *([] if self.gold is None else [self.gold]), *self.members]))

    @contextmanager
    def _in_parts(self, force: bool) -> Iterator[tuple[Question, RewardTable]]:
        """Read parts, or a summary of them."""
        if self.gold_table is not None or self.opponent is not None:
            typed = "--gold-table" if self.gold_table is not None else "--opponent"
            raise BadInput(f"{typed} goes with a table in one file; leave it out, or give one file.")
        asked = [self]

        def question(file: TableFile | None) -> InParts:
            if file is not None:
                asked[0] = self.resolved(file)
            one = asked[0]
            return InParts(
                None if one.pool else one.prompt,
                tuple(one.columns) if not one.members else (one.reward, str(one.gold)),
                members=tuple(one.members),
                sample=one.sample,
                wide=one.wide,
                drop_missing=one.drop_missing,
            )

        from alignlib.scale import Question as InParts

        with self.scale.opened(self.table, question, self.min_samples or 0, force) as table:
            one = asked[0] = asked[0]._of_kept(table)
            table.check_enough(2, location(self.table), column="" if one.pool else one.prompt, wide=one.wide)
            yield one, table.held() if one.members and table.ensemble is None else table

    def _of_kept(self, table: SummaryTable) -> Question:
        """Return the same with the members by their own names, which a summary tells and a pattern may mean."""
        if self.ensemble is None or self.named is not None:
            return self
        from fnmatch import fnmatchcase

        where, named = location(self.table), dict[str, None]()
        for entry in self.members:
            found = [name for name in table.members if name == entry or fnmatchcase(name, entry)]
            if not found:
                kept = f"the members {', '.join(map(repr, table.members))}" if table.members else "no members"
                raise BadInput(
                    f"{where} is a summary with {kept}, and none is {entry!r}; write it with --gold and --ensemble."
                )
            named |= dict.fromkeys(found)
        return replace(self, named=tuple(named))

    def _found(self, table: RewardTable, known: GoldSubset | list[float] | None, curves: bool) -> Findings:
        """Answer what is asked of a table; ``known`` is of a gold that it does not hold."""
        from alignlib.answers.findings import ask  # here, not above: `--help` need not wait for scipy
        from alignlib.rules import named_rules
        from alignlib.tables import RewardTable

        opponent = None
        if self.opponent is not None:
            opponent = RewardTable.read(
                self.opponent,
                None if self.pool else self.prompt,
                self.reward,
                drop_missing=self.drop_missing,
                min_samples=1,
            )
        return ask(
            table,
            self.reward,
            self.gold,
            self.members,
            kl=self.kl if self.budgets is None else self.budgets,
            rules=named_rules(self.n, self.rule),
            budget=self.budget.replace("-", "_"),
            level=self.level,
            rng=self.seed,
            bounded=self.bounded,
            divergence=self.divergence,
            win_rate=self.win_rate and opponent is None,
            opponent=opponent,
            curves=curves,
            gold_correlation=self.gold_correlation if known is None else known,
        )
