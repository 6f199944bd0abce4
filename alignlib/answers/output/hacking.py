"""What optimising a proxy does to gold, as lines, as JSON and as the points of a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alignlib._core.names import counted
from alignlib.answers.hacking import HackingAnswer, Unclaimed
from alignlib.answers.output.render import by_point, capital, interval_name, listed
from alignlib.estimation import GoldEstimate, Hedge
from alignlib.hacking.ensemble_estimation import EnsembleEstimate
from alignlib.hacking.error_split import ErrorSplit

__all__ = [
    "ensemble_lines", "lines", "points", "record", "split_sentence", "stop_lines", "stop_sentence",
    "unclaimed_sentence",
]  # fmt: skip

_CURVE = {"spent": "spent", "gain": "gold_gain", "gain_low": "gold_low", "gain_high": "gold_high"}
_HEDGE = ("parameter", "low", "high", "spent", "gold_gain", "gold_low", "gold_high", "turns_down")
_ENSEMBLE = ("kind", "size", "gold_gain", "gold_low", "gold_high")
_SPLIT = ("shared", "shared_low", "shared_high", "own", "own_low", "own_high", "slope", "worth_having")


# ------------------------------------------------------------------ JSON and CSV
def record(found: HackingAnswer) -> dict[str, Any]:
    """Return the numbers for JSON; what is unknown or infinite is None."""
    left = found.unclaimed
    return {
        "proxy": found.proxy,
        "gold": found.gold,
        "along_n": _curve(found.along_n),
        "along_lam": None if found.along_lam is None else _curve(found.along_lam),
        "why_no_lam": found.why_no_lam,
        "unclaimed": None if left is None else listed(left, ("n", "spent", "value", "low", "high", "share")),
        "ensembles": [{"n": one.rule.draws, **listed(one, _ENSEMBLE)} for one in found.ensembles],
        "split": None if found.split is None else listed(found.split, _SPLIT),
    }


def points(found: HackingAnswer) -> list[dict[str, Any]]:
    """Return one row per point of either curve and one per stopping point."""
    names = {"picked_by": found.proxy, "measured_in": found.gold}
    out: list[dict[str, Any]] = []
    for curve in (found.along_n, found.along_lam):
        if curve is None:
            continue
        path, at = curve.path, curve.hedge
        columns = {name: getattr(curve, field) for name, field in _CURVE.items()}
        rows = by_point({path: curve.parameter, **columns, "supported": curve.supported}, len(curve.parameter))
        out += [{"what": f"along_{path}", **names, **row} for row in rows]
        stop = {name: getattr(at, field) for name, field in _CURVE.items()}
        out.append({"what": f"stop_{path}", **names, path: at.parameter, **stop})
    return out


def _curve(found: GoldEstimate) -> dict[str, Any]:
    hedge = listed(found.hedge, _HEDGE)
    names = ("parameter", "spent", "proxy_gain", "gold_gain", "gold_low", "gold_high", "supported")
    return {**listed(found, names), "tied_prompts": found.tied_prompts, "hedge": hedge}


# ------------------------------------------------------------------ lines
def lines(found: HackingAnswer) -> list[str]:
    """Return the answer as text."""
    along_n = found.along_n
    said = [f"Optimising {found.proxy!r} where {found.gold!r} counts", *stop_lines(found)]
    if along_n.tied_prompts:
        said.append(
            f"{found.proxy!r} gives some samples equal scores on {counted(along_n.tied_prompts, 'prompt')}: every "
            "choice among them counts equally, whatever their order in the table."
        )
    said.append(unclaimed_sentence(found.gold, along_n.hedge, along_n.level, found.unclaimed))
    return [*said, *ensemble_lines(found.ensembles, found.split, along_n.level)]


def stop_lines(found: HackingAnswer) -> list[str]:
    """Say where to stop along N and along λ."""
    along_n, along_lam = found.along_n, found.along_lam
    tilting = found.why_no_lam if along_lam is None else stop_sentence(along_lam)
    return [f"{capital(along_n.name)}: {stop_sentence(along_n)}", f"Tilting by λ: {tilting}"]


def stop_sentence(along: GoldEstimate) -> str:
    """Say in one or two sentences where to stop along a rule or the tilt, and how sure that is.

    >>> import numpy as np
    >>> from alignlib.estimation import fit_frontier
    >>> from alignlib.hacking.examples import exploit_pair, sampled_table
    >>> table = sampled_table(exploit_pair(), 100, 32, np.random.default_rng(0))
    >>> stop_sentence(fit_frontier(table, "proxy", n_boot=200).gold("gold"))[:31]
    'Gold turns down: stop near N = '
    """
    found, name, level = along.hedge, along.symbol, along.level
    best, spent = f"{name} = {found.parameter:.3g}", f"{found.spent:.3g} nats"
    sure = interval_name(level)
    span = f"{found.gold_low:.3g} to {found.gold_high:.3g}"
    at, gains = f"{best} ({spent})", f"{found.gold_gain:.3g} ({sure} {span})"
    if found.turns_down == "yes" and found.gold_gain <= 0.0:
        return (
            "Gold falls, from the start as far as can be told: do not optimise this reward "
            f"({sure} of the turning point {name} = {found.low:.3g} to {found.high:.3g})."
        )
    if found.turns_down == "yes":
        return (
            f"Gold turns down: stop near {best} ({sure} {found.low:.3g} to {found.high:.3g}), at {spent}, where it "
            f"gains {found.gold_gain:.3g} ({span})."
        )
    if found.turns_down == "no":
        return f"Gold rises as far as the samples reach: at {at} it gains {gains}, and no reason to stop is seen."
    if found.gold_gain <= 0.0:
        return (
            f"No {name} is estimated to gain any gold, so the best guess is not to optimise this reward; but the "
            "samples do not tell for sure."
        )
    nothing = ", which may be none" if found.gold_low <= 0.0 else ""
    return (
        f"The samples do not tell whether gold turns down, nor where. The best guess is to stop at {at}, for a gain of "
        f"{gains}{nothing}; gold may turn anywhere from {name} = {found.low:.3g} on."
    )


def unclaimed_sentence(gold: str, stop: Hedge, level: float, found: Unclaimed | None) -> str:
    """Say how much gold picking by the proxy leaves unclaimed, of what a method could gain at the same KL.

    >>> stop = Hedge(4.0, 3.0, 6.0, 0.9, 0.5, 0.4, 0.6, "yes")
    >>> unclaimed_sentence("gold", stop, 0.95, Unclaimed(4.0, 0.9, 0.5, 0.4, 0.7, 0.5))[:62]
    "At N = 4 (0.9 nats) picking by the proxy leaves 0.5 of 'gold' "
    """
    if stop.parameter == 1.0:
        return f"No N > 1 is estimated to gain any {gold!r}: all that a method could gain is left unclaimed."
    if found is None:
        return f"How much of {gold!r} the proxy leaves unclaimed is not known: the samples support its limit at no N."
    known = "" if found.n == stop.parameter else ", as far as the samples support the limit,"
    return (
        f"At N = {found.n:g} ({found.spent:.3g} nats){known} picking by the proxy leaves {found.value:.3g} of {gold!r} "
        f"unclaimed ({interval_name(level)} {found.low:.3g} to {found.high:.3g}): {100.0 * found.share:.0f} % of "
        "what a method could gain at that KL."
    )


def ensemble_lines(ensembles: Sequence[EnsembleEstimate], split: ErrorSplit | None, level: float) -> list[str]:
    """Say what each way to combine the members gains, beside one member, and how much error they share."""
    if not ensembles:
        return []
    first = ensembles[0]
    sure = interval_name(level)
    lines = [
        "",
        (
            f"{capital(first.rule.title)} picked by {first.size[-1]} members together, each brought to one scale (one "
            f"member alone gains {first.gold_gain[0]:.3g} on average, {sure} {first.gold_low[0]:.3g} to "
            f"{first.gold_high[0]:.3g})"
        ),
    ]
    for found in ensembles:
        lines.append(
            f"{found.kind:>8}: gains {found.gold_gain[-1]:.3g} ({sure} {found.gold_low[-1]:.3g} to "
            f"{found.gold_high[-1]:.3g})"
        )
    return lines if split is None else [*lines, split_sentence(split)]


def split_sentence(split: ErrorSplit) -> str:
    """Say which part of the members' error is common, and how many members are worth having for it."""
    if split.shared <= 0.0:
        return "No error is seen to be shared by the members: each one more still helps."
    return (
        f"The members have {100.0 * split.shared_part:.0f} % of their error in common, which no number of members "
        f"removes; {split.worth_having:g} such members come within 10 % of that floor (regret of small errors)."
    )
