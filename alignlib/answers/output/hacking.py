"""What optimising a proxy does to gold, as lines, as JSON and as the points of a CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib._core.safe_text import for_terminal
from alignlib.answers.output.render import Row, by_point, capital, interval_name, listed, nats, rounded_up
from alignlib.estimation import GoldEstimate, Hedge

if TYPE_CHECKING:
    from alignlib.answers.hacking import HackingAnswer, Unclaimed
    from alignlib.hacking.error_split import ErrorSplit
    from alignlib.hacking.member_comparison import MemberComparison

__all__ = [
    "comparison_sentences", "ensemble_lines", "lines", "points", "record", "split_sentence", "stop_lines",
    "stop_sentence", "unclaimed_sentence",
]  # fmt: skip

_SHOWN = 5e-5  # nats: less is not seen in four digits
_CURVE = {
    "spent": "spent",
    "spent_off": "spent_off",
    "gain": "gold_gain",
    "gain_low": "gold_low",
    "gain_high": "gold_high",
}
_PROXY = ("proxy_gain", "proxy_off")
_HEDGE = ("parameter", "low", "high", "spent", "gold_gain", "gold_low", "gold_high", "turns_down")
_PICKED = ("spent", "spent_off", "gold_gain", "gold_low", "gold_high")
_DIFFERENCE = ("difference", "difference_low", "difference_high", "verdict")
_SPLIT = ("shared", "shared_low", "shared_high", "own", "own_low", "own_high", "slope", "worth_having")


# ------------------------------------------------------------------ JSON and CSV
def record(found: HackingAnswer) -> dict[str, Any]:
    """Return the numbers for JSON; what is unknown or infinite is None.

    Parameters
    ----------
    found : HackingAnswer
        The answer.
    """
    left = found.unclaimed
    return {
        "proxy": found.proxy,
        "gold": found.gold,
        "along_n": _curve(found.along_n),
        "along_lam": None if found.along_lam is None else _curve(found.along_lam),
        "why_no_lam": found.why_no_lam,
        "unclaimed": None if left is None else listed(left, ("n", "spent", "value", "low", "high", "share")),
        "ensemble": None if found.ensemble is None else _ensemble(found.ensemble),
        "why_no_ensemble": found.why_no_ensemble,
        "split": None if found.split is None else listed(found.split, _SPLIT),
    }


def points(found: HackingAnswer) -> list[dict[str, Any]]:
    """Return one row per point of either curve and one per stopping point.

    Parameters
    ----------
    found : HackingAnswer
        The answer.
    """
    names = {"picked_by": found.proxy, "measured_in": found.gold}
    out: list[dict[str, Any]] = []
    for curve in (found.along_n, found.along_lam):
        if curve is None:
            continue
        path, at = curve.path, curve.hedge
        columns = {name: getattr(curve, field) for name, field in _CURVE.items()}
        columns |= {name: getattr(curve, name) for name in _PROXY}
        rows = by_point({path: curve.parameter, **columns, "supported": curve.supported}, len(curve.parameter))
        out += [{"what": f"along_{path}", **names, **row} for row in rows]
        stop = {name: getattr(at, field) for name, field in _CURVE.items() if hasattr(at, field)}
        stop["spent_off"] = curve.off_at(at.parameter)
        out.append({"what": f"stop_{path}", **names, path: at.parameter, **stop})
    return out


def _ensemble(found: MemberComparison) -> dict[str, Any]:
    """Return one entry for each member and each way to combine, and how the latter differ from the best member."""
    everyone = by_point(
        {"name": [*found.members, *found.kinds], **{name: getattr(found, name) for name in _PICKED}},
        len(found.members) + len(found.kinds),
    )
    differences = by_point({name: getattr(found, name) for name in _DIFFERENCE}, len(found.kinds))
    k = len(found.members)
    return {
        "n": found.rule.draws,
        "best_member": found.members[found.best],
        "members": everyone[:k],
        "combined": [{**one, **two} for one, two in zip(everyone[k:], differences, strict=True)],
    }


def _curve(found: GoldEstimate) -> dict[str, Any]:
    hedge = {**listed(found.hedge, _HEDGE), "spent_off": found.off_at(found.hedge.parameter)}
    names = (
        "parameter",
        "spent",
        "spent_off",
        "proxy_gain",
        "proxy_off",
        "gold_gain",
        "gold_low",
        "gold_high",
        "supported",
    )
    return {**listed(found, names), "tied_prompts": found.tied_prompts, "hedge": hedge}


# ------------------------------------------------------------------ lines
def lines(found: HackingAnswer) -> list[str]:
    """Return the answer as text.

    Parameters
    ----------
    found : HackingAnswer
        The answer.

    Examples
    --------
    >>> from alignlib.answers.findings import ask
    >>> from alignlib.tables.example_table import example_table
    >>> found = ask(example_table(20, 8, 0.5, 0), "reward", gold="gold", n_boot=100)
    >>> lines(found.hacking)[0]
    "Optimising 'reward' where 'gold' counts"
    """
    along_n = found.along_n
    said = [f"Optimising {found.proxy!r} where {found.gold!r} counts", *stop_lines(found)]
    if along_n.tied_prompts:
        said.append(
            f"{found.proxy!r} gives some samples equal scores on {counted(along_n.tied_prompts, 'prompt')}: every "
            "choice among them counts equally, whatever their order in the table."
        )
    said.append(unclaimed_sentence(found.gold, along_n.hedge, along_n.level, found.unclaimed))
    said += [found.why_no_ensemble] if found.why_no_ensemble else []
    return [*said, *ensemble_lines(found.ensemble, found.split)]


def stop_lines(found: HackingAnswer) -> list[str]:
    """Say where to stop along N and along λ.

    Parameters
    ----------
    found : HackingAnswer
        The answer.
    """
    along_n, along_lam = found.along_n, found.along_lam
    tilting = found.why_no_lam if along_lam is None else stop_sentence(along_lam)
    return [f"{capital(along_n.name)}: {stop_sentence(along_n)}", f"Tilting by λ: {tilting}"]


def stop_sentence(along: GoldEstimate) -> str:
    """Say in one or two sentences where to stop along a rule or the tilt, and how sure that is.

    Parameters
    ----------
    along : GoldEstimate
        Gold along a rule or the tilt.

    Examples
    --------
    >>> import numpy as np
    >>> from alignlib.estimation import fit_frontier
    >>> from alignlib.hacking.examples import exploit_pair, sampled_table
    >>> table = sampled_table(exploit_pair(), 100, 32, np.random.default_rng(0))
    >>> stop_sentence(fit_frontier(table, "proxy", n_boot=200).gold("gold"))[:31]
    'Gold turns down: stop near N = '
    """
    found, name, level = along.hedge, along.symbol, along.level
    best, spent = f"{name} = {found.parameter:.3g}", nats(found.spent, along.off_at(found.parameter))
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
    reached = along.parameter[along.supported]
    if reached.size and found.parameter >= reached.max():  # the largest that the samples show is no place to stop
        return (
            "The samples do not tell whether gold turns down. It is estimated to rise as far as they reach: at "
            f"{at} it gains {gains}{nothing}; but it may turn anywhere from {name} = {found.low:.3g} on."
        )
    return (
        f"The samples do not tell whether gold turns down, nor where. The best guess is to stop at {at}, for a gain of "
        f"{gains}{nothing}; gold may turn anywhere from {name} = {found.low:.3g} on."
    )


def unclaimed_sentence(gold: str, stop: Hedge, level: float, found: Unclaimed | None) -> str:
    """Say how much gold picking by the proxy leaves unclaimed, of what a method could gain at the same KL.

    Parameters
    ----------
    gold : str
        The reward that counts.
    stop : Hedge
        Where to stop along N.
    level : float
        Coverage of the intervals.
    found : Unclaimed, optional
        The gold left.

    Examples
    --------
    >>> from alignlib.answers.hacking import Unclaimed
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
        f"unclaimed ({interval_name(level)} {found.low:.3g} to {found.high:.3g}): {100.0 * found.share:z.0f} % of "
        "what a method could gain at that KL."
    )


def ensemble_lines(found: MemberComparison | None, split: ErrorSplit | None) -> list[str]:
    """Say what each member and each way to combine them all gains, and recommend what the differences support.

    Parameters
    ----------
    found : MemberComparison, optional
        Members and their combinations, compared.
    split : ErrorSplit, optional
        The members' error in parts.
    """
    if found is None:
        return []
    sure, names = interval_name(found.level), [f"{for_terminal(name)} alone" for name in found.members]
    names += [f"{kind} of all {len(found.members)}" for kind in found.kinds]
    width = max(map(len, names))
    together = " and by all on one scale" if found.kinds else ""
    said = ["", f"{capital(found.rule.title)}, picked by each score of the ensemble{together}"]
    said.append(f"{'picked by':<{width}}  {'KL':>7}  {'gold gain':>9}  {sure}")
    for i, name in enumerate(names):
        mark = "  the best member, by estimate" if i == found.best else ""
        span = f"[{found.gold_low[i]:.4g}, {found.gold_high[i]:.4g}]"
        said.append(Row(f"{name:<{width}}  {found.spent[i]:>7.4g}  {found.gold_gain[i]:>9.4g}  {span}{mark}"))
    off = float(np.max(found.spent_off, initial=0.0))
    if off > _SHOWN:
        said.append(f"Bins leave open up to {rounded_up(off)} nats of what they spend.")
    said += comparison_sentences(found)
    return said if split is None else [*said, split_sentence(split, alike=found.alike and found.gold_low.max() > 0.0)]


def comparison_sentences(found: MemberComparison) -> list[str]:
    """Say for each way to combine how it differs from the best member, and whether that can be told from nothing.

    Parameters
    ----------
    found : MemberComparison
        Members and their combinations, compared.

    Examples
    --------
    >>> import numpy as np
    >>> from alignlib.hacking import compare_members
    >>> from alignlib.rules import BestOfN
    >>> from alignlib.tables import RewardTable
    >>> rng = np.random.default_rng(0)
    >>> gold = rng.standard_normal((80, 16))
    >>> noise = rng.standard_normal((2, 80, 16)) * np.array([0.2, 3.0])[:, None, None]
    >>> table = RewardTable.from_arrays({"gold": gold} | {f"s{k}": gold + e for k, e in enumerate(noise)})
    >>> found = compare_members(table, ["s0", "s1"], "gold", rule=BestOfN(8), kinds=["mean"])
    >>> comparison_sentences(found)[0][:56]
    "'s0' alone gains more than the mean of all: a difference"
    """
    if not found.kinds:
        return []
    member = repr(found.members[found.best])
    # The best was chosen among all: its interval is wider than that of one difference alone.
    sure = f"{interval_name(found.level)} for all {len(found.members)} members at once"
    said = []
    for j, kind in enumerate(found.kinds):
        least, most = found.difference_low[j], found.difference_high[j]
        span = f"{found.difference[j]:+.3g} ({sure} {least:+.3g} to {most:+.3g})"
        if found.verdict[j] == "member":
            span = f"{-found.difference[j]:.3g} ({sure} {-most:.3g} to {-least:.3g})"
            said.append(f"{member} alone gains more than the {kind} of all: a difference of {span}.")
        elif found.verdict[j] == "ensemble":
            said.append(f"The {kind} of all gains more than every member; than {member} alone by {span}.")
        else:
            said.append(f"The samples do not tell the {kind} of all from {member} alone: a difference of {span}.")
    if found.gold_high.max() <= 0.0:
        said.append("Neither a member nor any way to combine them gains gold: do not optimise by these scores.")
    elif found.gold_low.max() <= 0.0:
        said.append("Of none of them, alone or combined, do the samples show that it gains any gold.")
    elif all(verdict == "member" for verdict in found.verdict):
        said.append(f"No way to combine them helps: pick by {member}.")
    return said


def split_sentence(split: ErrorSplit, *, alike: bool = True) -> str:
    """Say which part of the members' error is common and, where members are alike, how many are worth having for it.

    Parameters
    ----------
    split : ErrorSplit
        The error of the members in parts.
    alike : bool
        Whether members gain alike, so that more of them are worth having.

    Examples
    --------
    >>> from alignlib.hacking.error_split import ErrorSplit
    >>> split_sentence(ErrorSplit(0.0, 0.0, 0.1, 1.0, 0.9, 1.1, 1.0, 1.0))
    'No error is seen to be shared by the members: each one more still helps.'
    """
    if split.shared <= 0.0:
        return "No error is seen to be shared by the members" + (": each one more still helps." if alike else ".")
    if split.shared_low <= 0.0:
        seen = "The samples do not tell an error that the members share from none"
        return f"{seen}: as far as is seen, each one more still helps." if alike else f"{seen}."
    part = f"{100.0 * split.shared_part:z.0f} % of their error in common"
    said = f"The members have {part}, which no number of members removes"
    if not alike:
        return said + "."
    many = split.worth_having
    come = "1 such member comes" if many == 1 else f"{many:,.0f} such members come"
    return f"{said}; {come} within 10 % of that floor (regret of small errors)."


guard(globals())
