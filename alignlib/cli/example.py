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
    import csv
    import io

    import numpy as np

    from alignlib.tables import example_scores

    table = example_scores(n_prompts, n_samples, np.random.default_rng(seed))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["prompt_id", "sample_id", *table.columns])
    values = np.column_stack(list(table.columns.values()))
    for row, scores in enumerate(values.tolist()):
        prompt, sample = divmod(row, n_samples)
        writer.writerow([f"p{prompt:03d}", sample, *(f"{score:.4f}" for score in scores)])
    click.echo(out.getvalue(), nl=False)
