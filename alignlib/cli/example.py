"""``alignlib example``: a small table of sampled rewards to try the other commands on."""

from __future__ import annotations

import click

from alignlib.cli._command import command as make
from alignlib.cli._command import option

__all__ = ["command"]


@make(
    "example",
    short_help="Write a made-up table to try the commands on.",
    examples=[
        "alignlib example > rewards.csv",
        "alignlib frontier rewards.csv --reward score_a --gold gold",
        "alignlib frontier rewards.csv --reward score_a --gold gold --ensemble 'score_*'",
    ],
)
@option("--prompts", "n_prompts", default=60, type=click.IntRange(min=1), help="Number of prompts.")
@option("--samples", "n_samples", default=32, type=click.IntRange(min=1), help="Samples of each prompt.")
@option("--seed", default=0, type=click.IntRange(min=0), help="Seed of the draws.")
def command(n_prompts: int, n_samples: int, seed: int) -> None:
    """Write a made-up table of rewards as CSV, to try the other commands on.

    Columns: prompt_id, sample_id, gold (the reward that counts) and score_a, score_b, score_c (proxies of it, each with
    errors of its own and some in common).
    """
    import numpy as np

    from alignlib.answers.output.render import to_csv
    from alignlib.tables.example_table import example_scores

    table = example_scores(n_prompts, n_samples, np.random.default_rng(seed))
    scores = {name: values.round(4).tolist() for name, values in table.columns.items()}
    points = [
        {"prompt_id": f"p{row // n_samples:03d}", "sample_id": row % n_samples}
        | {name: values[row] for name, values in scores.items()}
        for row in range(n_prompts * n_samples)
    ]
    click.echo(to_csv(points, list(points[0])), nl=False)
