"""What can be promised of a gold reward that is known on few rows only, or of which only a correlation is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy.typing as npt

from alignlib._core.doors import guard
from alignlib._core.errors import InputError
from alignlib.estimation import Fit
from alignlib.hacking import GoldPromise, GoldSubset, measure_gold, promise_gold
from alignlib.rules import Rule
from alignlib.tables import RewardTable, TableFile, open_table_file, require_column, with_reward

__all__ = ["PromiseAnswer", "gold_on_few_rows", "half_error", "promise_answer"]


@dataclass(frozen=True)
class PromiseAnswer:
    """What a correlation with gold promises.

    Attributes
    ----------
    promise : GoldPromise
        The promise, policy by policy.
    subset : GoldSubset, optional
        The rows of gold that the correlation is from; None where it was given.
    level : float
        How sure both together are.
    """

    promise: GoldPromise
    subset: GoldSubset | None
    level: float


def half_error(level: float) -> float:
    """Return the level at which two intervals together have at most the error of one at ``level``.

    Parameters
    ----------
    level : float
        Coverage wanted of both.

    Examples
    --------
    >>> half_error(0.95)
    0.975
    """
    return 0.5 * (1.0 + level)


def promise_answer(
    fit: Fit,
    correlation: float | Sequence[float] | GoldSubset,
    *,
    rules: Sequence[Rule] | None = None,
    kl: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> PromiseAnswer:
    """Say what a fitted proxy promises of gold, given a correlation or measured on few rows.

    Parameters
    ----------
    fit : Fit
        Of the proxy.
    correlation : float, (value, low, high) or GoldSubset
        What is known of gold; a `GoldSubset` is to be measured at ``half_error(level)``.
    rules : sequence of Rule, optional
        Best-of-N for powers of two if None.
    kl : array, optional
        Budgets of the tilt in nats; some up to the largest supported if None.
    level : float
        How sure the promise is of all that is estimated.

    Examples
    --------
    >>> import numpy as np
    >>> from alignlib.estimation import fit_frontier
    >>> fit = fit_frontier(np.random.default_rng(1).standard_normal((60, 16)), n_boot=100)
    >>> promise_answer(fit, 0.7).promise.policy[:2]
    ('best-of-2', 'best-of-4')
    """
    known = isinstance(correlation, GoldSubset)
    given = correlation.range if isinstance(correlation, GoldSubset) else correlation
    promise = promise_gold(fit, given, rules=rules, kl=kl, level=half_error(level) if known else level)
    return PromiseAnswer(promise, correlation if isinstance(correlation, GoldSubset) else None, level)


def gold_on_few_rows(
    few: str | Path,
    file: TableFile,
    reward: str,
    gold: str = "gold",
    *,
    prompt: str | None = "prompt_id",
    sample: str | None = None,
    drop_missing: bool = False,
    level: float = 0.95,
) -> GoldSubset:
    """Measure what a proxy says of a gold reward that another file has on few rows, for `promise_answer`.

    Parameters
    ----------
    few : str or Path
        File with the column ``gold``. With the column ``reward`` too, its rows are taken as they are; without it they
        are matched to those of ``file`` by prompt and sample.
    file : TableFile
        The table of the proxy, opened.
    reward : str
        The proxy, a column of ``file``.
    gold : str
        The column of ``few`` that counts.
    prompt : str, optional
        Column that names the prompt; None where all rows are of one.
    sample : str, optional
        Column that tells the samples of a prompt apart.
    drop_missing : bool
        Whether to go on without rows that lack a finite value.
    level : float
        How sure the promise is to be; the correlation gets half of what this leaves.

    Raises
    ------
    InputError
        If a column is missing, rows cannot be matched, or are too few.

    Examples
    --------
    >>> import tempfile
    >>> from alignlib.tables import example_table
    >>> rows = "\\n".join(f"{k},{i},{(i * 7 + k) % 5},{(i * 7 + k) % 5 + i % 2}" for k in range(20) for i in range(8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "few.csv")
    ...     _ = path.write_text(f"prompt_id,sample_id,reward,gold\\n{rows}\\n", encoding="utf-8")
    ...     found = gold_on_few_rows(path, open_table_file(path), "reward")
    >>> found.rows, round(found.correlation, 2)
    (160, 0.94)
    """
    table = open_table_file(few)
    gold = require_column(table, gold, "gold")
    key = sample if sample in table.names else None
    if reward in table.names:
        table.note(
            f"{table.path} has {reward!r} itself: its rows are taken as they are, whether or not TABLE has them."
        )
    elif prompt is None:
        raise InputError(
            f"gold_table {table.path} needs a column {reward!r}: with prompt=None rows cannot be matched.",
            argument="gold_table",
        )
    else:
        table, key = with_reward(table, file, reward, prompt=prompt, sample=sample), sample
        table.note(f"Rows of {table.path} are matched to those of {file.path} by prompt and sample.")
    rows = RewardTable.read(table, prompt, [reward, gold], sample=key, drop_missing=drop_missing, min_samples=1)
    return measure_gold(rows, reward, gold, level=half_error(level))


guard(globals())
