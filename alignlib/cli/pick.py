"""``alignlib pick``: which checkpoint of a run to keep, and which β to set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alignlib._core.names import number_or_name
from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import naming, option, refuse_typed
from alignlib.cli._options import FILE, NUMBER, Range, Whole
from alignlib.cli._picture import check_picture, save_picture, wrote
from alignlib.cli._run_options import base_fit, check_bounded, limit_options, read_run, run_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from alignlib.answers.output.pick import RunAdvice
    from alignlib.estimation import Fit
    from alignlib.training.beta_choice import BetaChoice
    from alignlib.training.logs.training_log import TrainingLog
    from alignlib.training.run_gold import RunGold

__all__ = ["command"]

_OF_BETA = ("reward", "wished", "group", "tokens", "normalisation")
_NORMALISATIONS = ("sequence", "per-token", "length-normalised", "group-centred", "group-scaled")


@make(
    "pick",
    short_help="Which checkpoint of a run to keep, and which β.",
    examples=[
        "alignlib pick trainer_state.json --run-gold eval_gold",
        "alignlib pick run.csv --kl-unit sequence --scores judged.csv --gold judge",
        "alignlib pick run.csv --kl-unit sequence --table base.csv --reward score --gold gold -o pick.png",
        "alignlib pick grpo.log --table base.csv --reward score --kl 2 --group 8 --normalisation group-scaled",
    ],
)
@click.argument("run", type=FILE)
@option("--run-gold", help="Key or column of RUN with gold, at some checkpoints at least.")
@option("--scores", type=FILE, help="Gold of checkpoints, one row per response: 'step', the prompt, --gold.")
@option("--table", type=FILE, help="Samples of the base model: to predict gold, and for β.")
@option("--reward", help="Column of --table with the run's reward.")
@option("--gold", help="Column of --table and of --scores with gold  [default: 'gold' in --scores]")
@option("--tokens", help="Column of --table with the tokens of each response, for β  [default: 'n_tokens', if any]")
@option("--prompt", default="prompt_id", help="Column of --table and --scores that names the prompt.")
@option("--kl", "wished", type=NUMBER, help="Wished KL in nats per sequence  [default: what is kept]")
@option("--group", type=Whole(2, 1 << 16), help="Responses to a prompt that the trainer compares.")
@option(
    "--normalisation",
    type=click.Choice(_NORMALISATIONS),
    help="How the trainer takes the penalty. verl's token-mean is 'sequence' with a critic or leave-one-out, and "
    "'group-centred' or 'group-scaled' where a group's mean is taken off (GRPO, DAPO).",
)
@option("--error", type=Range(1e-9, 1.0, max_open=True),
        help="Chance of a false alarm that gold has fallen  [default: 1 - level]")  # fmt: skip
@option("--looks", type=Whole(min=1), help="How many checkpoints will be scored in all, if known.")
@run_options
@limit_options
def command(run: Path, picture: Path | None, force: bool, form: str | None, **asked: Any) -> None:
    """Say which checkpoint of RUN to keep, whether gold has fallen, and which β aims at a KL.

    RUN is a log as `alignlib overlay` reads it. Gold is what counts in the end, where the run's reward is a proxy: in
    RUN, in scored responses, or predicted from base samples that both rewards have scored.
    """
    _check(asked, picture)
    check_bounded(asked["bounded"])
    _check_wished(asked["wished"])
    files = [run, *(path for path in (asked["scores"], asked["table"]) if path is not None)]
    check_picture(picture, force, files)
    from alignlib.answers.output import pick as output
    from alignlib.cli._say import say

    log = read_run(run, asked)
    table = asked["table"]
    columns = [asked["reward"], *([] if asked["gold"] is None else [asked["gold"]])]
    asked["tokens"] = _tokens(table, columns, asked)
    columns += [] if asked["tokens"] is None else [asked["tokens"]]
    fit = (
        None
        if table is None
        else base_fit(table, columns, asked, path="--table", reward="--reward, --gold or --tokens")
    )
    found = _advice(log, fit, _gold(run, log, asked), asked)
    if picture is not None:
        save_picture(lambda: _drawn(found), picture, force)
    say(form, "pick", output, found, table=None if table is None else str(table), seed=asked["seed"])
    if picture is not None:
        wrote(picture)


def _check(asked: dict[str, Any], picture: Path | None) -> None:
    """Refuse, before anything is read, what does not go together."""
    table, scores, in_run = asked["table"], asked["scores"], asked["run_gold"]
    if table is not None and asked["reward"] is None:
        raise BadInput("Say which column of --table holds the run's reward (--reward).")
    if table is None and any(asked[name] is not None for name in _OF_BETA):
        raise BadInput(
            "--reward, --kl, --group, --tokens and --normalisation need --table: β is told from base samples."
        )
    if table is None:
        refuse_typed("bounded", *(["prompt"] if scores is None else []), remedy="needs --table; leave it out")
    if scores is not None and in_run is not None:
        raise BadInput("--scores and --run-gold are two golds; give one of them.")
    if asked["gold"] is not None and table is None and scores is None:
        raise BadInput("--gold is a column of --table or --scores; name that of RUN with --run-gold.")
    if table is not None and asked["gold"] is not None and asked["gold"] == asked["reward"]:
        raise BadInput(
            f"--gold and --reward are both {asked['gold']!r}: a reward is no proxy of itself; name two columns."
        )
    gold = scores is not None or in_run is not None or asked["gold"] is not None
    if not gold and asked["wished"] is None:
        raise BadInput(
            "Nothing to pick by: give gold (--run-gold, --scores, or --gold with --table), or a KL to find the β of "
            "(--kl with --table)."
        )
    if not gold and picture is not None:
        raise BadInput("-o draws gold along KL; give gold (--run-gold, --scores, or --gold with --table).")
    if not gold and any(asked[name] is not None for name in ("error", "looks")):
        raise BadInput("--error and --looks are about gold; give it (--run-gold or --scores).")


def _check_wished(kl: float | None) -> None:
    """Refuse, before anything is read, a KL that no table supports."""
    if kl is not None:
        from alignlib._core.checks import as_number
        from alignlib.training.beta_choice import LEAST_KL

        with naming(kl="--kl"):
            as_number("kl", kl, LEAST_KL)


def _gold(run: Path, log: TrainingLog, asked: dict[str, Any]) -> RunGold | None:
    """Read the gold that was measured, if any was."""
    from alignlib.training.run_gold import gold_of_log, gold_of_scores

    if asked["scores"] is not None:
        from alignlib.tables import RewardTable

        step = asked["run_step"] or "step"
        names = [step, asked["gold"] or "gold"]
        with naming(path="--scores", reward="--run-step or --gold"):
            scores = RewardTable.read(
                asked["scores"], asked["prompt"], names, min_samples=1, drop_missing=asked["drop_missing"]
            )
        return gold_of_scores(log, scores, *names)
    if asked["run_gold"] is not None:
        # Gold is scored at some checkpoints only.
        return gold_of_log(read_run(run, {**asked, "drop_missing": True}, "--run-gold"))
    return None


def _advice(log: TrainingLog, fit: Fit | None, gold: RunGold | None, asked: dict[str, Any]) -> RunAdvice:
    from alignlib.answers.output.pick import RunAdvice
    from alignlib.training.beta_choice import LEAST_KL
    from alignlib.training.picking import pick

    notes: list[str] = []
    wished = asked["wished"]
    beta = None if fit is None or wished is None else _beta(fit, wished, log, asked)  # refused before gold is told
    column = None if fit is None or asked["gold"] is None else list(fit.table.columns)[1]
    found = None
    if gold is not None or column is not None:
        found = pick(
            log,
            gold,
            fit=None if column is None else fit,
            column=column,
            error=asked["error"],
            looks=asked["looks"],
            level=asked["level"],
        )
    if fit is not None and beta is None:
        assert found is not None
        kl = float(found.kl[found.chosen])
        if log.kl_low is not None:
            notes.append(
                "No β is told for the checkpoint kept: its log tells ends of its KL only; name a KL with --kl."
            )
        elif not LEAST_KL <= kl <= fit.supported_end:
            notes.append(
                f"No β is told for the {kl:.3g} nats of the checkpoint kept: the base samples support KLs between 0 "
                f"and {fit.supported_end:.3g}; name another with --kl."
            )
        else:
            beta = _beta(fit, kl, log, asked)
    return RunAdvice(log, found, beta, asked["normalisation"], tuple(notes))


def _beta(fit: Fit, kl: float, log: TrainingLog, asked: dict[str, Any]) -> BetaChoice:
    from alignlib.training.beta_choice import choose_beta
    from alignlib.training.own_limit import own_limits

    with naming(kl="--kl"):
        fit = own_limits(log, fit).whole  # on the run's own prompts, where the log names them
        return choose_beta(fit, kl, length=_length(log, kl, asked), tokens=asked["tokens"], group=asked["group"])


def _tokens(table: Path | None, others: list[Any], asked: dict[str, Any]) -> str | None:
    """Return the column with the tokens of each base response: the one that was said, or that of `alignlib sample`."""
    if table is None or asked["tokens"] in others:
        if table is not None and asked["tokens"] is not None:
            raise BadInput(f"--tokens is {asked['tokens']!r}, which is --reward or --gold; name the column of lengths.")
        return None
    from alignlib.tables import open_table_file

    said: str | None = asked["tokens"]
    usual = "n_tokens" if table.is_file() and "n_tokens" in open_table_file(table).names else None
    return usual if said is None and usual not in others else said


def _length(log: TrainingLog, kl: float, asked: dict[str, Any]) -> float | None:
    """Return the mean length that was said, or that of the run's checkpoint nearest to a KL."""
    typed = number_or_name(asked["run_length"])
    if isinstance(typed, float):
        return typed
    return None if log.length is None else float(log.length[abs(log.kl - kl).argmin()])


def _drawn(found: RunAdvice) -> Figure:
    from alignlib.answers.run_pictures import pick_picture

    assert found.pick is not None
    return pick_picture(found.pick)
