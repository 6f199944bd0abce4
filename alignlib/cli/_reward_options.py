"""The options of `frontier` and `report`: where rewards are, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from alignlib.cli._command import option
from alignlib.cli._options import (
    DISTINCT,
    FILE,
    NUMBERS,
    Whole,
    bounded_option,
    budget_option,
    level_option,
    prompt_option,
    seed_option,
)
from alignlib.cli._scale import scale_options

__all__ = ["promise_options", "table_options"]

F = TypeVar("F", bound=Callable[..., Any])


def table_options(command: F) -> F:
    """Add the argument and options that say where the rewards are and what is asked of them.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with these options.
    """
    for add in reversed(
        [
            click.argument("table", type=FILE),
            prompt_option,
            option(
                "--pool",
                argument=("prompt=None",),
                is_flag=True,
                help="There is no such column: all rows are samples of one prompt.",
            ),
            option(
                "--reward",
                required=True,
                help="Column of the reward (or a key in it: 'scores.helpful'), or several: 'mean:score_*' and 'sum:…' "
                "need a value in each, 'nanmean:…' and 'nansum:…' take those there are.",
            ),
            option("--gold", help="Column of the reward that counts, where --reward is only its proxy."),
            option(
                "--ensemble",
                help="Proxies to combine, such as 'score_a,score_b' or 'score_*'; needs --gold. "
                r"Write '\,' for a comma in a name.",
            ),
            option("--sample", help="Column that tells the samples of a prompt apart  [default: sample_id, if any]"),
            option("--wide", is_flag=True, help="One row per prompt; --reward is a pattern of columns, such as 's_*'."),
            option("--drop-missing", is_flag=True, help="Go on without the samples that lack a finite value."),
            option(
                "--min-samples",
                type=Whole(min=1),
                argument="drop_below",
                help="Go on without the prompts that have fewer samples; the answer says how many those are.",
            ),
            option(
                "--kl", type=DISTINCT, help="KL budgets in nats, such as 0.5,1,2  [default: some that are supported]"
            ),
            budget_option,
            option("--n", type=DISTINCT, help="Numbers N of best-of-N, such as 2,4,8  [default: powers of two]"),
            option(
                "--rule",
                multiple=True,
                help="A rule beside them, such as 'threshold-stopping:4', 'best-of-poisson:3', 'learnt-threshold:8:2', "
                "'soft-best-of-n:8:2' and 'chi-squared-pessimism:8:2' (n, λ), 'rejection-sampling:4:1' (n, the largest "
                "reward there can be); may be repeated.",
            ),
            level_option,
            bounded_option,
            seed_option,
            scale_options,
        ]
    ):
        command = add(command)
    return command


def promise_options(command: F) -> F:
    """Add the options that say what is known of a gold reward that the table does not hold.

    Parameters
    ----------
    command : callable
        The function of a command.

    Returns
    -------
    callable
        The same with these options.
    """
    for add in (
        option(
            "--gold-table",
            type=FILE,
            help="The same from a file with gold (--gold, or a column gold) on a few rows, matched by prompt and "
            "sample, or with the column --reward too.",
        ),
        option(
            "--gold-correlation",
            type=NUMBERS,
            help="Correlation within prompts of --reward with a gold in no table, such as 0.7, or 0.7,0.6,0.8 with its "
            "ends: how much of that gold is promised.",
        ),
    ):
        command = add(command)
    return command
