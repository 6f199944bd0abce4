"""A training run on the frontier, as lines, as JSON and as the points of a CSV; the same without base samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib.answers.output.render import Row, by_point, interval_name, percent
from alignlib.answers.output.run_headlines import headlines, nats
from alignlib.estimation import RuleEstimate
from alignlib.training import TrainingLog
from alignlib.training.envelope import Floor
from alignlib.training.placing import Overlay

__all__ = ["COLUMNS", "lines", "of_log", "points", "record", "share_cells"]

_ROUNDING = 1e-9  # of the KL, of what is wasted
_SHOWN = 12  # vertices of the floor that lines name
_OF_LOG = ("step", "kl", "kl_low", "kl_high", "logged_kl", "reward")
_OF_OVERLAY = (
    "gain", "gain_low", "gain_high", "limit", "limit_low", "limit_high", "share", "share_low", "share_high", "needed",
    "wasted", "wasted_low", "wasted_high", "equal_n", "equal_n_kl", "supported", "above",
)  # fmt: skip
_OF_FLOOR = ("envelope", "needed_at_most", "wasted_at_least")
_OF_CURVE = ("gain", "gain_low", "gain_high")
COLUMNS = ("what", "run", "rule", "n", *_OF_LOG, *_OF_OVERLAY, *_OF_FLOOR)


# ------------------------------------------------------------------ JSON and CSV
def record(found: Overlay | Floor) -> dict[str, Any]:
    """Return the numbers for JSON; what is unknown or infinite is None.

    Parameters
    ----------
    found : Overlay or Floor
        A run beside its limit, or alone.

    Returns
    -------
    dict
        As the schema ``overlay`` has it.

    Examples
    --------
    >>> from alignlib.training import overlay
    >>> from alignlib.training.example_run import example_run
    >>> from alignlib.estimation import fit_frontier
    >>> log, table = example_run(20, 16, np.random.default_rng(0))
    >>> record(overlay(log, fit_frontier(table, n_boot=100)))["kl_unit"]
    'token'
    """
    log = found.log
    about: dict[str, Any] = {"path": log.path, "kl_unit": log.kl_unit, "level": None, "width": 1}
    about |= {"measured_in": log.reward_name, "base_reward": None, "largest_supported": None, "headlines": []}
    notes = log.notes
    if isinstance(found, Overlay):
        about |= {
            "level": found.frontier.level,
            "width": found.width,
            "measured_in": found.measured_in,
            "base_reward": found.base_reward,
            "largest_supported": found.frontier.supported_end,
            "headlines": list(headlines(found)),
        }
        notes = found.notes
    return {**about, "notes": list(notes), "points": _checkpoints(found)}


def points(found: Overlay | Floor) -> list[dict[str, Any]]:
    """Return one row per checkpoint, and per point of what the picture draws beside them.

    ``what`` says which: ``checkpoint``, ``limit`` (the curve and its interval), ``rule``, ``envelope``.

    Parameters
    ----------
    found : Overlay or Floor
        A run beside its limit, or alone.

    Returns
    -------
    list of dict
        Of each what is known: a kind of point lacks the columns of another.

    Examples
    --------
    >>> from alignlib.training import overlay
    >>> from alignlib.training.example_run import example_run
    >>> from alignlib.estimation import fit_frontier
    >>> log, table = example_run(20, 16, np.random.default_rng(0))
    >>> points(overlay(log, fit_frontier(table, n_boot=100)))[0]["what"]
    'checkpoint'
    """
    rows = [{"what": "checkpoint", **row} for row in _checkpoints(found)]
    if isinstance(found, Floor):
        if found.envelope is None:
            return rows
        columns = {"kl": found.envelope.kl, "reward": found.envelope.reward}
        return rows + [{"what": "envelope", **row} for row in by_point(columns, len(found.envelope.kl))]
    curve, best = found.frontier, found.rules
    for run, one in (found.own or {"": curve}).items():
        columns = {name: getattr(one, name) for name in _OF_CURVE}
        of_run = {"what": "limit", "run": run} if run else {"what": "limit"}
        rows += [{**of_run, **row} for row in by_point({"kl": one.spent, **columns}, len(one.spent))]
    columns = {name: getattr(best, name) for name in _OF_CURVE}
    titles = [rule.title for rule in best.rules]
    rules = by_point({"rule": titles, "n": best.n, "kl": best.spent, **columns}, len(titles))
    return rows + [{"what": "rule", **row} for row in rules]


def of_log(log: TrainingLog) -> dict[str, Any]:
    """Return step, KL or its ends, and reward of every checkpoint, by column.

    Parameters
    ----------
    log : TrainingLog
        Its KL is unknown where only ends of it are known.
    """
    columns: dict[str, Any] = {name: getattr(log, name) for name in _OF_LOG}
    if log.kl_low is not None:
        columns["kl"] = np.where(log.ends[0] == log.ends[1], log.kl, np.nan)
    return columns


def _checkpoints(found: Overlay | Floor) -> list[dict[str, Any]]:
    log = found.log
    columns: dict[str, Any] = {"run": log.run, **of_log(log)}
    if isinstance(found, Overlay):
        columns |= {name: getattr(found, name) for name in _OF_OVERLAY}
    else:
        reach = needed = np.full(log.kl.size, np.nan)
        if found.envelope is not None:
            reach, needed = found.envelope.reward_at(log.ends[1]), found.envelope.kl_needed(log.reward)
        columns |= {"envelope": reach, "needed_at_most": needed, "wasted_at_least": found.wasted}
    return by_point(columns, log.kl.size)


# ------------------------------------------------------------------ lines
def lines(found: Overlay | Floor) -> list[str]:
    """Return the overlay as text, the answer last.

    Parameters
    ----------
    found : Overlay or Floor
        A run beside its limit, or alone.

    Examples
    --------
    >>> from alignlib.training import overlay
    >>> from alignlib.training.example_run import example_run
    >>> from alignlib.estimation import fit_frontier
    >>> log, table = example_run(20, 16, np.random.default_rng(0))
    >>> "of what any method can gain there" in lines(overlay(log, fit_frontier(table, n_boot=100)))[-1]
    True
    """
    return _overlay_lines(found) if isinstance(found, Overlay) else _floor_lines(found)


def share_cells(found: Overlay, i: int) -> tuple[str, str]:
    """Write the share of the limit at a point in per cent, and its interval, for a table; below 0 reward was lost.

    An interval as wide as all that there is tells nothing.

    Parameters
    ----------
    found : Overlay
        Runs beside their limit.
    i : int
        Which point.

    Returns
    -------
    share, interval : str
        Or words where it is not known.

    Examples
    --------
    >>> from alignlib.training import overlay
    >>> from alignlib.training.example_run import example_run
    >>> from alignlib.estimation import fit_frontier
    >>> log, table = example_run(20, 16, np.random.default_rng(0))
    >>> share_cells(overlay(log, fit_frontier(table, n_boot=100)), 0)[0]
    'unknown'
    """
    # More than all of it is the noise of run and limit, or a run that is marked as above the limit.
    share, low, high = (min(100.0 * one[i], 100.0) for one in (found.share, found.share_low, found.share_high))
    if found.above[i]:
        return "over 100", ""
    narrow = bool(found.share_high[i] - found.share_low[i] < 1.0)
    if narrow and (found.supported[i] or np.isnan(found.share[i])):
        return "between" if np.isnan(share) else f"{share:z.1f}", f"[{low:z.1f}, {high:z.1f}]"
    return "unknown", f"at least {low:z.1f}" if low > 0.0 else ""


def _overlay_lines(found: Overlay) -> list[str]:
    log, best = found.log, found.rules
    interval, size = interval_name(found.frontier.level), counted(found.gain.size, "point")
    wide = 7 if log.kl_low is None else 16
    head = f"{'step':>7} {'KL':>{wide}} {'gain':>8} {'share %':>8}  {interval:<16} {'needs KL':>8} {'wasted':>7}"
    said = [
        f"{log.path}: {size}, {log.kl_name!r} in nats per {log.kl_unit}, shown per sequence.",
        f"Gains of {found.measured_in!r} over {found.base_reward:.4g}, the base model's.",
        "",
        f"{head}  {interval}",
    ]
    for i in range(found.gain.size):
        part, ends = share_cells(found, i)
        share = f"{part:>8}  {ends}"
        needs = f"{'unknown':>8}"
        bounds = f"[{found.wasted_low[i]:z.3f}, {found.wasted_high[i]:z.3f}]"
        if np.isfinite(found.wasted[i]):
            needs = f"{found.needed[i]:>z8.3f} {found.wasted[i]:>z7.3f}  {bounds}"
        elif np.isfinite(found.needed[i]) and log.kl_low is not None:
            needs = f"{found.needed[i]:>z8.3f} {'unknown':>7}"
            if np.isfinite(found.wasted_high[i]) and found.wasted_high[i] >= 0.0:
                bounds = f"[{max(found.wasted_low[i], 0.0):z.3f}, {found.wasted_high[i]:z.3f}]"
                needs = f"{found.needed[i]:>z8.3f} {'between':>7}  {bounds}"
        mark = "  above the limit" if found.above[i] else ""
        name = f"  {log.run[i]}" if len(log.runs) > 1 else ""
        kl = f"{log.kl[i]:>z7.3f}" if log.kl_low is None else f"{_cell(found, i):>{wide}}"
        where = f"{log.step[i]:>7.5g} {kl} {found.gain[i]:>8.3g}"
        said.append(Row(f"{where} {share:<26} {needs}{mark}{name}"))
    said += ["", f"For comparison, {best.rules.name}: {_compared(best)}."] if best.share is not None else []
    notes = [f"- {note}" for note in found.notes]
    support = f"- The base samples support the limit up to {found.frontier.supported_end:.3g} nats."
    if found.frontier.supported_end == np.inf:
        support = "- The rewards are bounded: the interval of the limit holds at any KL."
    return [*said, "", *notes, support, "", *headlines(found)]


def _cell(found: Overlay, i: int) -> str:
    low, high = (float(one[i]) for one in found.log.ends)
    return f"{low:.3g}" if low == high else f">= {low:.3g}" if np.isinf(high) else f"[{low:.3g}, {high:.3g}]"


def _compared(best: RuleEstimate) -> str:
    assert best.share is not None
    known = np.zeros(best.n.size, dtype=bool) if best.supported is None else best.supported
    parts = [
        f"{rule.symbol} = {rule.value:g} has {percent(best.share[i])} at {best.spent[i]:.3g} nats"
        for i, rule in enumerate(best.rules)
        if known[i] and not rule.is_base
    ]
    return ", ".join(parts) or f"no {best.rules[0].symbol} whose KL the samples support"


def _floor_lines(found: Floor) -> list[str]:
    log, envelope, wasted = found.log, found.envelope, found.wasted
    size = f"{counted(log.kl.size, 'checkpoint')} of {counted(len(log.runs), 'run')}"
    if envelope is None:
        ends = [f"{log.reward[i]:.4g} at step {log.step[i]:g}" for i in (0, -1)]
        answer = (
            f"{log.reward_name!r} goes from {ends[0]} to {ends[1]}, {nats(found, -1)} nats per sequence from the "
            f"base: what KL that took is not told. {log.remedy[:1].upper()}{log.remedy[1:]}; the table of base "
            "samples tells what KL would do."
        )
        head = f"{log.path}: {size}, {log.kl_name!r} in nats per {log.kl_unit}."
        return [head, *[f"- {note}" for note in log.notes], "", answer]
    shown = np.unique(np.linspace(0, envelope.kl.size - 1, min(_SHOWN, envelope.kl.size)).round().astype(int))
    points = ", ".join(f"({envelope.kl[i]:.3g}, {envelope.reward[i]:.3g})" for i in shown)
    if shown.size < envelope.kl.size:
        points += f" ({shown.size} of {envelope.kl.size}; to_csv writes all)"
    i = int(np.nanargmax(wasted))
    where = f"{str(log.run[i])!r} at step {log.step[i]:g}"
    most = f"{wasted[i]:.3g} of its {nats(found, i)} nats if the points were exact (noise makes it look more)"
    worst = f"Most is wasted by {where}: {most}"
    if wasted[i] <= _ROUNDING * max(float(log.ends[0][i]), 1.0):
        worst = "No checkpoint shows that another wastes KL"
        if not (log.ends[1] > 0.0).any() and np.ptp(log.reward) > 0.0:
            other = "the KL was rounded, or not measured (beta = 0, no reference model)"
            if log.per_prompt is not None:  # which nobody rounds so
                other = "the log-probabilities beside the policy's are its own and not the base's"
            worst = (
                f"All {log.kl.size} KLs are 0 or less, where rewards go from {log.reward.min():.4g} to "
                f"{log.reward.max():.4g}: a policy at 0 nats is its base and has one reward, so these are noise, or "
                f"{other}"
            )
    return [
        f"{log.path}: {size}, {log.kl_name!r} in nats per {log.kl_unit}.",
        "Without samples of the base model the limit is not known, nor any share of it. These checkpoints show a floor",
        "of it, their concave envelope (mixtures of policies reach it), if all share one base model and prompts:",
        f"(KL, {log.reward_name!r}) = {points}.",
        *[f"- {note}" for note in log.notes],
        "",
        f"{worst}; give the table of base samples for the rest.",
    ]


guard(globals())
