"""``alignlib kl``: the KL of a trained policy to its base model, from sampled responses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignlib._core.names import number_or_name
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import option
from alignlib.cli._options import FILE, files_option, form_options, level_option, seed_option

if TYPE_CHECKING:
    from alignlib.training import RestingPenalty
    from alignlib.training.policy_kl.sample_table import ScoredSamples

__all__ = ["command"]


@make(
    "kl",
    short_help="The KL of a trained policy, from samples.",
    examples=[
        "alignlib kl samples.parquet",
        "alignlib kl samples/ --json",
        "alignlib kl samples.csv --log-prob logp --base-log-prob ref_logp --fixed-prompts --json",
        "alignlib kl samples.csv --reward score --base-samples of_base.csv",
    ],
)
@click.argument("tables", type=FILE, nargs=-1, required=True, metavar="TABLE...")
@option("--prompt", default="prompt_id", help="Column that names the prompt, if there is one.")
@option("--log-prob", default="log_prob", help="Column of the policy's log-probability.")
@option("--base-log-prob", default="base_log_prob", help="Column of the base model's.")
@option("--n-tokens", default="n_tokens", help="Column of the number of tokens.")
@option("--token-log-prob", default="token_log_prob", help="Policy's, a list over tokens.")
@option("--base-token-log-prob", default="base_token_log_prob", help="Base's, a list.")
@option("--token-kl", default="token_kl", help="Exact next-token divergences, a list.")
@option("--kl", default="kl", help="Column of a KL of each response, for tables without log-probabilities.")
@option("--kl-unit", type=click.Choice(["sequence", "token"]), help="Nats per what, in that column.")
@option("--step", help="Step of training whose responses are taken, or 'all'  [default: the last]")
@option("--step-column", default="step", help="Column of the step, if there is one.")
@files_option
@option(
    "--sampled-from",
    type=click.Choice(["policy", "base"]),
    default="policy",
    help="Which model wrote the responses.",
)
@option("--reward", help="Column of the reward: also say at which β the policy would go no further.")
@option("--base-samples", type=FILE, argument="base_prompt",
        help="Responses of the base to the same prompts, same columns: say it of k3 in the loss too.")  # fmt: skip
@option("--fixed-prompts", is_flag=True, help="Intervals for these prompts only, not for others like them.")
@level_option
@seed_option
@form_options
def command(
    tables: tuple[Path, ...],
    sampled_from: str,
    fixed_prompts: bool,
    level: float,
    seed: int,
    form: str | None,
    step: str | None,
    step_column: str,
    files: str,
    reward: str | None,
    base_samples: Path | None,
    **names: Any,
) -> None:
    """Measure the KL of a trained policy to its base model from TABLE, one row per sampled response.

    TABLE holds log-probabilities of the response under both models (sums, and lists over tokens if there are), as
    `alignlib sample --base` writes them: Parquet, JSON lines, CSV or TSV. Several tables, or a folder of them, are read
    as one sample. Of responses that a trainer wrote down while it trained, those of one step are taken. With
    rewards (--reward) it also says at which penalty β the policy would go no further.
    """
    from alignlib.answers.output import policy_kl
    from alignlib.cli._say import say
    from alignlib.training import estimate_policy_kl
    from alignlib.training.policy_kl.sample_table import read_scored_samples
    from alignlib.training.policy_kl.samples_of_table import KLColumns

    if reward is None and base_samples is not None:
        raise BadInput("--base-samples needs --reward: it tells at which β the policy would go no further.")
    if reward is not None and sampled_from == "base":
        raise BadInput(
            "--reward asks where the policy would go, which its own responses tell; leave out --sampled-from."
        )
    at = number_or_name(step)
    if at is not None and at != "all" and (isinstance(at, str) or not math.isfinite(at)):
        raise BadInput(f"--step must be a number, or 'all'; got {step!r}.")
    columns = KLColumns(step=step_column, **names)
    read = read_scored_samples(tables, columns, at, reward, files)
    found = estimate_policy_kl(
        read.samples, sampled_from=sampled_from, fixed_prompts=fixed_prompts, level=level, rng=seed
    )
    if reward is not None:
        of_base = None if base_samples is None else read_scored_samples(base_samples, columns, "all")
        found = replace(found, resting=_resting(read, of_base, level))
    say(form, "kl", policy_kl, found, path=", ".join(map(str, tables)), seed=seed)


def _resting(read: ScoredSamples, of_base: ScoredSamples | None, level: float) -> tuple[RestingPenalty, ...]:
    """Return the penalties at which the policy would go no further."""
    from alignlib.training import resting_penalties

    for one, where in ((read, "TABLE"), (of_base, "--base-samples")):
        if one is None:
            continue
        if one.samples.given:
            raise BadInput(f"--reward needs log-probabilities of policy and base in {where}; it has KLs only.")
        if one.prompt is None:
            raise BadInput(
                f"--reward compares responses to one prompt; name the column that says which (--prompt) in {where}."
            )
    assert read.prompt is not None
    assert read.reward is not None
    return resting_penalties(
        read.reward,
        read.samples.log_ratio,
        _names(read),
        base_log_ratio=of_base.samples.log_ratio if of_base is not None else None,
        base_prompt=_names(of_base) if of_base is not None else None,
        level=level,
    )


def _names(read: ScoredSamples) -> list[str]:
    return [] if read.prompt is None else [str(name) for name in read.prompt.to_pylist()]
