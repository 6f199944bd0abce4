"""``alignlib example``: small made-up tables to try the other commands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import option
from alignlib.cli._options import Whole, draws_seed_option

if TYPE_CHECKING:
    import numpy as np

__all__ = ["command"]

_ROWS = 1_000_000  # all rows are held until they are written
_KL = 0.5  # nats, of the policy whose samples are made up
_SHARE = 0.85  # of the limit, that the run has


@make(
    "example",
    short_help="Write a made-up table to try the commands on.",
    examples=[
        "alignlib example > rewards.csv",
        "alignlib frontier rewards.csv --reward score_a --gold gold",
        "alignlib frontier rewards.csv --reward score_a --gold gold --ensemble 'score_*'",
        "alignlib example --kind answers > answers.csv",
        "alignlib passk answers.csv --answer answer --score verifier",
        "alignlib example --kind labels > ratings.csv",
        "alignlib capacity ratings.csv --context task --target truth --label score --rater who",
        "alignlib example --kind kl > samples.csv",
        "alignlib kl samples.csv",
        "alignlib example --kind log > run.csv",
        "alignlib overlay run.csv rewards.csv --reward score_a --kl-unit sequence",
    ],
)
@option(
    "--kind",
    default="rewards",
    type=click.Choice(["rewards", "answers", "labels", "kl", "log"]),
    help="For frontier and report; for passk; for capacity; for kl; for overlay.",
)
@option("--prompts", "n_prompts", default=60, type=Whole(min=1), help="Number of prompts.")
@option("--samples", "n_samples", default=32, type=Whole(min=1), help="Samples of each prompt.")
@draws_seed_option
def command(kind: str, n_prompts: int, n_samples: int, seed: int) -> None:
    """Write a made-up table as CSV, to try the other commands on.

    Rewards: prompt_id, sample_id, gold (the reward that counts) and score_a, score_b, score_c (proxies of it, each with
    errors of its own and some in common). Answers: answer, correct, and a verifier's score between 0 and 1. Labels:
    task, truth, score and who gave it. Samples of a policy at 0.5 nats:
    prompt_id, log_prob, base_log_prob, n_tokens. The log of a run that has 85 % of the limit of score_a: step, kl,
    reward.
    """
    import numpy as np

    from alignlib.answers.output.render import to_csv

    if n_prompts * n_samples > _ROWS:
        raise BadInput(f"--prompts times --samples must be at most {_ROWS:,} rows; got {n_prompts} × {n_samples}.")
    make_rows = {"rewards": _rewards, "answers": _answers, "labels": _labels, "kl": _samples, "log": _log}[kind]
    points = make_rows(n_prompts, n_samples, np.random.default_rng(seed))
    click.echo(to_csv(points, list(points[0])), nl=False)


def _rewards(n_prompts: int, n_samples: int, rng: np.random.Generator) -> list[dict[str, object]]:
    from alignlib.tables.example_table import example_scores

    table = example_scores(n_prompts, n_samples, rng)
    scores = {name: values.round(4).tolist() for name, values in table.columns.items()}
    return [
        {"prompt_id": f"p{row // n_samples:03d}", "sample_id": row % n_samples}
        | {name: values[row] for name, values in scores.items()}
        for row in range(n_prompts * n_samples)
    ]


def _answers(n_prompts: int, n_samples: int, rng: np.random.Generator) -> list[dict[str, object]]:
    """Answers A to E to prompts of unlike difficulty; on some a wrong answer is the most frequent one."""
    import numpy as np

    rows: list[dict[str, object]] = []
    for prompt in range(n_prompts):
        success, right = rng.beta(0.7, 0.9), int(rng.integers(5))
        wrong = rng.dirichlet([0.5] * 4)
        prob = [float(p) * (1.0 - success) for p in wrong]
        prob.insert(right, success)
        total = sum(prob)
        given = rng.choice(5, n_samples, p=[p / total for p in prob])
        score = 1.0 / (1.0 + np.exp(-(1.2 * (given == right) - 0.6 + rng.standard_normal(n_samples))))
        rows += [
            {
                "prompt_id": f"p{prompt:03d}",
                "sample_id": i,
                "answer": "ABCDE"[a],
                "correct": int(a == right),
                "verifier": v,
            }
            for i, (a, v) in enumerate(zip(given.tolist(), score.round(2).tolist(), strict=True))
        ]
    return rows


def _labels(n_prompts: int, n_samples: int, rng: np.random.Generator) -> list[dict[str, object]]:
    """One answer for each prompt, of two tasks; a dozen raters, each with a share of slips of their own."""
    grades = ["poor", "fair", "good"]
    slips = rng.uniform(0.1, 0.4, 12)
    rows: list[dict[str, object]] = []
    for prompt in range(n_prompts):
        task, truth = ("summary", "advice")[prompt % 2], int(rng.integers(3))
        for sample in range(n_samples):
            who = (prompt + sample) % 12
            slip = rng.random() < slips[who] * (1.0 if task == "summary" else 2.0)
            score = int(rng.integers(3)) if slip else truth
            rows.append({"task": task, "truth": grades[truth], "score": grades[score], "who": f"rater {who + 1}"})
    return rows


def _samples(n_prompts: int, n_samples: int, rng: np.random.Generator) -> list[dict[str, object]]:
    """Log-ratios are normal, their variance twice their mean as for two laws; spread evenly, so the mean is exact."""
    import numpy as np
    import scipy

    tokens = rng.integers(10, 40, n_prompts * n_samples)
    policy = -2.0 * tokens - rng.exponential(5.0, tokens.size)
    normal = scipy.special.ndtri((np.arange(tokens.size) + 0.5) / tokens.size)
    base = policy - _KL - (2.0 * _KL) ** 0.5 * rng.permutation(normal)
    return [
        {"prompt_id": f"p{row // n_samples:03d}", "log_prob": a, "base_log_prob": b, "n_tokens": n}
        for row, (a, b, n) in enumerate(
            zip(policy.round(4).tolist(), base.round(4).tolist(), tokens.tolist(), strict=True)
        )
    ]


def _log(n_prompts: int, n_samples: int, rng: np.random.Generator) -> list[dict[str, object]]:
    """The limit is that of the table of rewards of the same size and seed, the policies being reweighted samples."""
    import numpy as np

    from alignlib.laws import FiniteLaw, PromptAverage
    from alignlib.tables.example_table import example_scores

    scores = example_scores(n_prompts, n_samples, rng).column("score_a").reshape(n_prompts, n_samples)
    law = PromptAverage([FiniteLaw(row) for row in scores])
    kl = 0.6 * np.linspace(0.0, 1.0, 25) ** 1.5
    reward = law.base_reward + _SHARE * np.asarray(law.gain_at_kl(kl)) + 0.02 * rng.standard_normal(kl.size)
    rows = zip(kl.round(5).tolist(), reward.round(4).tolist(), strict=True)
    return [{"step": 10 * i, "kl": a, "reward": b} for i, (a, b) in enumerate(rows)]
