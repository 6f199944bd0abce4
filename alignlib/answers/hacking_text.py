"""Sentences of the answer on a proxy: what it leaves unclaimed, what an ensemble adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignlib.hacking.ensemble_estimation import EnsembleEstimate
from alignlib.hacking.error_split import ErrorSplit
from alignlib.hacking.hedging import Hedge

__all__ = ["Unclaimed", "ensemble_lines", "split_sentence", "unclaimed_sentence"]


@dataclass(frozen=True)
class Unclaimed:
    """Gold that the limit at the KL of best-of-N holds beyond what the proxy gains there, with an interval.

    ``share`` is its part of that limit; the interval is that of the share.
    """

    n: float
    kl: float
    value: float
    low: float
    high: float
    share: float


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
        f"At N = {found.n:g} ({found.kl:.3g} nats){known} picking by the proxy leaves {found.value:.3g} of {gold!r} "
        f"unclaimed ({100.0 * level:g} % interval {found.low:.3g} to {found.high:.3g}): {100.0 * found.share:.0f} % of "
        "what a method could gain at that KL."
    )


def ensemble_lines(ensembles: Sequence[EnsembleEstimate], split: ErrorSplit | None, level: float) -> list[str]:
    """Say what each way to combine the members gains, beside one member, and how much error they share."""
    if not ensembles:
        return []
    first = ensembles[0]
    sure = f"{100.0 * level:g} % interval"
    lines = [
        "",
        (
            f"Best-of-{first.n:g} picked by {first.size[-1]} members together, each brought to one scale (one member "
            f"alone gains {first.gold_gain[0]:.3g} on average, {sure} {first.gold_low[0]:.3g} to "
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
