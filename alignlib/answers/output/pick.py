"""Which checkpoint and which β, as lines, as JSON and as the points of a CSV; `beta_choice` writes the β."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from alignlib._core.shown import between
from alignlib.answers.output.beta_choice import beta_headline, beta_lines, beta_notes, beta_record
from alignlib.answers.output.render import Row, bounds, by_point, listed, percent
from alignlib.estimation import GoldTurn
from alignlib.training.beta_choice import BetaChoice
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.picking import Pick

__all__ = ["COLUMNS", "RunAdvice", "headlines", "lines", "points", "record"]

_OF_PREDICTED = (
    "tilted", "tilted_low", "tilted_high", "best_of_n", "best_of_n_low", "best_of_n_high",
)  # fmt: skip
_AGAINST = ("against", "against_low", "against_high")
_OF_POINT = ("step", "kl", "kl_low", "kl_high", "gold", "behind", "behind_error")
COLUMNS = (
    "what", *_OF_POINT, "fall", "fall_error", "p", "spent", *_OF_PREDICTED,
    "base_gold", *_AGAINST, "drawn", "drawn_low", "drawn_high",
)  # fmt: skip
_MOST_ROWS = 30


@dataclass(frozen=True)
class RunAdvice:
    """The checkpoint of a run to keep, and the β for a KL.

    Attributes
    ----------
    log : TrainingLog
        The run.
    pick : Pick, optional
        The checkpoint; None without any gold.
    beta : BetaChoice, optional
        The β; None without base samples.
    normalisation : str, optional
        How the trainer charges its KL, if it was said.
    notes : tuple of str
        Why a part is missing.
    """

    log: TrainingLog
    pick: Pick | None
    beta: BetaChoice | None
    normalisation: str | None
    notes: tuple[str, ...]


# ------------------------------------------------------------------ JSON and CSV
def record(found: RunAdvice) -> dict[str, Any]:
    """Return the numbers for JSON; what is unknown or infinite is None.

    Parameters
    ----------
    found : RunAdvice
        The answer.
    """
    log = found.log
    return {
        "run": log.path,
        "kl_name": log.kl_name,
        "kl_unit": log.kl_unit,
        "headlines": list(headlines(found)),
        "notes": list(_notes(found)),
        "pick": None if found.pick is None else _pick_record(found.pick),
        "beta": None if found.beta is None else beta_record(found.beta, found.normalisation),
    }


def points(found: RunAdvice) -> list[dict[str, Any]]:
    """Return a row per checkpoint, and one per point of the predicted curves; ``what`` says which.

    Parameters
    ----------
    found : RunAdvice
        The answer.
    """
    if found.pick is None:
        return []
    measured, predicted = found.pick.gold, found.pick.predicted
    rows = [{"what": "checkpoint", **row} for row in _points(found.pick)]
    drawn = predicted.base_gold + predicted.tilted if measured is None and predicted is not None else measured
    if drawn is not None:
        rows = [{**row, "drawn": value} for row, value in zip(rows, drawn.tolist(), strict=True)]
    if predicted is None:
        return rows
    for what, name, curve in (
        ("tilted", "tilted", predicted.along_lam),
        ("best_of_n", "best_of_n", predicted.along_n),
    ):
        if curve is not None:
            columns = {"kl": curve.spent, name: curve.gold_gain}
            columns |= {f"{name}_low": curve.gold_low, f"{name}_high": curve.gold_high}
            # The picture draws gold itself: the gains above the base's.
            ends = {"": curve.gold_gain, "_low": curve.gold_low, "_high": curve.gold_high}
            columns |= {f"drawn{end}": predicted.base_gold + values for end, values in ends.items()}
            base = {"what": what, "base_gold": predicted.base_gold}
            rows += [{**base, **row} for row in by_point(columns, curve.spent.size)]
    return rows


def _points(one: Pick) -> list[dict[str, Any]]:
    columns: dict[str, Any] = {name: getattr(one, name) for name in _OF_POINT}
    if one.kl_low is not None:
        columns["kl"] = np.full(one.kl.size, np.nan)
    columns |= {name: getattr(one.turn, name, None) for name in ("fall", "fall_error", "p", "spent")}
    columns |= {name: getattr(one.predicted, name, None) for name in _OF_PREDICTED}
    columns |= {name: getattr(one, name) for name in _AGAINST}
    return by_point(columns, one.step.size)


def _point(one: Pick, i: int) -> dict[str, Any]:
    return _points(one)[i]


def _nats(one: Pick, i: int) -> str:
    """Write the KL of a checkpoint, or the ends between which it lies."""
    if one.kl_low is None or one.kl_high is None:
        return f"{one.kl[i]:.3g}"
    return between(float(one.kl_low[i]), float(one.kl_high[i]))


def _pick_record(one: Pick) -> dict[str, Any]:
    predicted, stop = one.predicted, None
    if predicted is not None and predicted.along_lam is not None:
        stop = predicted.along_lam.hedge
    return {
        **listed(one, ("by", "told_by", "level")),
        "step": float(one.step[one.chosen]),
        "kl": _point(one, one.chosen)["kl"],
        "kl_low": _point(one, one.chosen)["kl_low"],
        "kl_high": _point(one, one.chosen)["kl_high"],
        "best_step": float(one.step[one.best]),
        "best_kl": _point(one, one.best)["kl"],
        "turn": None if one.turn is None else _turn_record(one, one.turn),
        "base_gold": None if predicted is None else predicted.base_gold,
        "predicted_turn": None if stop is None else stop.turns_down,
        "predicted_most_at": None if stop is None else stop.spent,
        "points": _points(one),
    }


def _turn_record(one: Pick, turn: GoldTurn) -> dict[str, Any]:
    said = turn.said_at
    return {
        **listed(turn, ("error", "told_by", "looks")),
        "said_at_step": None if said is None else float(one.step[said]),
        "fall": None if said is None else float(turn.fall[said]),
        "fall_error": None if said is None else float(turn.fall_error[said]),
        "before_steps": None if turn.before is None else [float(one.step[i]) for i in turn.before],
        "after_steps": None if turn.after is None else [float(one.step[i]) for i in turn.after],
    }


# ------------------------------------------------------------------ lines
def headlines(found: RunAdvice) -> tuple[str, ...]:
    """Return the answers in a sentence each: the checkpoint, whether gold has fallen, the β.

    Parameters
    ----------
    found : RunAdvice
        The answer.

    Examples
    --------
    >>> import numpy as np
    >>> from dataclasses import replace
    >>> from alignlib.training import pick
    >>> from alignlib.training.example_run import example_run
    >>> log = example_run(2, 3, np.random.default_rng(0))[0]
    >>> gold = replace(log, reward=2.0 * np.sqrt(log.kl.clip(0.0)) - 1.5 * log.kl)
    >>> first, second = headlines(RunAdvice(log, pick(log, gold), None, None, ()))
    >>> first.startswith("Keep the checkpoint of step "), second.startswith("Gold has fallen by step ")
    (True, True)
    """
    said = []
    if found.pick is not None:
        said.append(_kept(found.pick))
        if found.pick.turn is not None:
            said.append(_turned(found.pick, found.pick.turn))
    if found.beta is not None:
        said.append(beta_headline(found.beta, found.normalisation))
    return tuple(said)


def _kept(one: Pick) -> str:
    i, best = one.chosen, one.best
    gold = "gold" if one.by == "measured" else "predicted gold"
    where = f"Keep the checkpoint of step {one.step[i]:g}, {_nats(one, i)} nats per sequence from the base"
    if not np.isfinite(np.delete(one.behind_error, best)).any():
        return f"{where}: it has the most {gold}; by how much it may be chance is not known of so few checkpoints."
    unknown = int((~np.isfinite(one.behind)).sum())
    if unknown:
        where += f" (of those whose gold the base samples tell; of {unknown} they do not)"
    others = "every one of less KL lies behind by more than a standard error"
    if one.kl[i] <= one.kl.min():
        others = "none has less KL"
    if i == best:
        return f"{where}: it has the most {gold}, and {others}."
    return (
        f"{where}: its {gold} is {one.behind[i]:.3g} (standard error {one.behind_error[i]:.3g}) behind the most, which "
        f"step {one.step[best]:g} has at {_nats(one, best)} nats, and {others}."
    )


def _turned(one: Pick, turn: GoldTurn) -> str:
    looks = f"chance of a false alarm at any of the looks: {percent(turn.error)}"
    if turn.told_by == "checkpoints":
        looks += ", if the checkpoints' noise is independent and has one law"
    else:
        looks += ", if no mood of judge or policy moves all prompts together"
    if turn.looks == 0:
        needs = "six checkpoints" if turn.told_by == "checkpoints" else "prompts that differ"
        return f"Whether gold has fallen cannot be tested; it takes {needs}."
    said = turn.said_at
    if said is None or turn.before is None or turn.after is None:
        end = f"up to step {one.step[-1]:g}"
        if turn.blind_from is not None:
            return (
                f"Gold is not shown to have fallen {end}; from step {one.step[turn.blind_from]:g} on {turn.prompts} "
                "prompts cannot show a fall, however large, by so small a chance of a false alarm: score more prompts, "
                "fewer checkpoints, or give the means alone (run_gold)."
            )
        return f"Gold is not shown to have fallen {end} ({looks}); that does not say that it has not."

    def steps(block: tuple[int, int]) -> str:
        first, last = (one.step[i] for i in block)
        return f"step {first:g}" if first == last else f"steps {first:g} to {last:g}"

    has = "has" if turn.after[0] == turn.after[1] else "have"
    return (
        f"Gold has fallen by step {one.step[said]:g}: {steps(turn.after)} {has} "
        f"{turn.fall[said]:.3g} (standard error {turn.fall_error[said]:.3g}) less than {steps(turn.before)} ({looks})."
    )


def lines(found: RunAdvice) -> list[str]:
    """Return the answer as text, the answers in a sentence each last.

    Parameters
    ----------
    found : RunAdvice
        The answer.
    """
    log = found.log
    said = [f"{log.path}: {log.kl_name!r} in nats per {log.kl_unit}, shown per sequence."]
    if found.pick is not None:
        said += ["", *_table(found.pick)]
    if found.beta is not None:
        said += ["", *beta_lines(found.beta)]
    return [*said, "", *[f"- {note}" for note in _notes(found)], "", *headlines(found)]


def _table(one: Pick) -> list[str]:
    show = np.unique(np.linspace(0, one.step.size - 1, min(one.step.size, _MOST_ROWS)).round().astype(int))
    show = np.unique(np.append(show, [one.chosen, one.best]))
    wide = 7 if one.kl_low is None else 16
    head = f"{'step':>7} {'KL':>{wide}}"
    if one.gold is not None:
        head += f" {'gold':>8}"
    head += f" {'behind':>8} {'s.e.':>8}"
    if one.predicted is not None:
        head += f"  {'predicted gain':<28}  {'best-of-N gains':<28}"
    if one.against is not None:
        head += "  over best-of-N"
    said = [head.rstrip()]
    for i in show.tolist():
        kl = (
            f"{one.kl[i]:z.3f}" if one.kl_low is None else _nats(one, i).replace("at least", ">=").replace(" to ", "..")
        )
        row = f"{one.step[i]:>7.5g} {kl:>{wide}}"
        if one.gold is not None:
            row += f" {one.gold[i]:>8.4g}"
        row += f" {_or_blank(one.behind[i]):>8} {_or_blank(one.behind_error[i]):>8}"
        if one.predicted is not None:
            for name in ("tilted", "best_of_n"):
                value, low, high = (getattr(one.predicted, name + end)[i] for end in ("", "_low", "_high"))
                cell = f"{value:.3g} {bounds(low, high)}" if np.isfinite(value) else "not supported"
                row += f"  {cell:<28}"
        if one.against is not None and one.against_low is not None and one.against_high is not None:
            row += (
                f"  {one.against[i]:+.3g} {bounds(one.against_low[i], one.against_high[i])}"
                if np.isfinite(one.against[i])
                else ""
            )
        mark = "  keep" if i == one.chosen else "  most" if i == one.best else ""
        said.append(Row(row.rstrip() + mark))
    if show.size < one.step.size:
        said.append(f"({show.size} of {one.step.size} checkpoints; to_csv writes all.)")
    return said


def _or_blank(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else ""


def _notes(found: RunAdvice) -> tuple[str, ...]:
    notes = [*found.log.notes, *found.notes]
    one, beta = found.pick, found.beta
    if one is not None:
        notes += one.notes
        notes.append(
            "The checkpoint kept is that of least KL whose gold lies behind the most by at most one standard error of "
            f"the difference, {'over prompts' if one.told_by == 'prompts' else 'by the scatter of the checkpoints'}; "
            "the most of several is overstated by having been chosen."
        )
        if one.predicted is not None:
            notes += _of_prediction(one)
        if one.turn is not None and one.turn.told_by == "prompts":
            notes.append(
                "The chance of a false alarm presumes that these prompts show how far any may rise: where one in as "
                "many rises further than all that were seen, the others look like a fall, and false alarms are several "
                "times as frequent with few prompts."
            )
        if one.turn is not None and one.turn.told_by == "checkpoints":
            notes.append(
                "The test of whether gold has fallen goes by the order of the checkpoints' means, and its chance of a "
                "false alarm holds where their noise is independent from one to the next and has one law, of any "
                "shape; simulations keep it where symmetric noise grows along the run. Noise that goes on from one to "
                "the next makes false alarms several times as frequent; gold prompt by prompt needs no such thing."
            )
            if one.turn.apart > 1:
                notes.append(
                    f"Here noise goes on from one checkpoint to the next: a fall is told only if checkpoints "
                    f"{one.turn.apart} apart show it too, which takes longer and is no full remedy."
                )
    if beta is not None:
        notes += beta_notes(beta)
    return tuple(notes)


def _of_prediction(one: Pick) -> list[str]:
    found = one.predicted
    assert found is not None
    meant = (
        f"Predicted is the gain of {found.gold!r} over the base's {found.base_gold:.4g} by the policy with the most "
        f"{found.proxy!r} for the checkpoint's KL; a run that wastes KL, or hacks as the base's samples do not, has "
        "another."
    )
    curve = found.along_lam
    if curve is None:
        return [meant, "The base samples are too few to predict gold along λ."]
    stop, end = curve.hedge, float(curve.spent[curve.supported][-1])
    verdict = {
        "yes": f"gold turns down after {stop.spent:.3g} nats",
        "no": "gold rises",
        "undecided": f"whether gold turns is not decided (most at {stop.spent:.3g} nats)",
    }[stop.turns_down]
    return [meant, f"By the base samples {verdict}, as far as they support it: {end:.3g} nats."]
