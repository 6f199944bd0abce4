"""Figures, numbers and claims that the chapters on trained policies share, one task each; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alignbook import claims
from alignbook.claims import Claim
from alignlib import plotting
from alignlib.lm.experiment.comparison import TaskComparison, Verdict
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.standing import rule_standing
from alignlib.lm.methods import METHODS, Method, find
from alignlib.rules import BestOfN

__all__ = [
    "budget_facts",
    "claims_of",
    "gain_figure",
    "glue",
    "listing",
    "numbers",
    "over_figure",
    "tuning_claims",
    "wasted_figure",
]

_HEADLINE = ("ppo", "grpo")
_DRAWN = (*_HEADLINE, "group_kl")
_TO_OPTIMUM = "KL to its optimum (nats)"


def _powers(largest: int) -> list[int]:
    return [2**k for k in range(1, int(np.log2(largest)) + 1)]


def _compared(task: TaskComparison, stage: str) -> list[Method[Any]]:
    return [find(name) for name in task.methods(stage) if find(name).compared]


def listing(verdicts: Sequence[Verdict]) -> str:
    """Say of each method at how many of its penalties it is above and below best-of-N at equal KL; for a sentence."""
    found = []
    for verdict in verdicts:
        total, name = len(verdict.at_knobs), find(verdict.method).label
        if total in (verdict.n_below, verdict.n_above):
            found.append(f"{name} {'below' if verdict.n_below else 'above'} at all {total}")
        else:
            found.append(f"{name} above at {verdict.n_above} and below at {verdict.n_below} of {total}")
    return ", ".join(found) or "nothing is trained yet"


def gain_figure(task: TaskComparison, stage: str, n_largest: int) -> Axes:
    """Draw the limit, best-of-N and the final policies of a stage: gain over KL."""
    ax: Axes
    _, ax = plotting.new(height=3.8)
    kl = np.linspace(0.0, 1.0, 81) ** 2 * float(task.last.kl.max()) * 1.05
    plotting.curve(ax, kl, task.law.average.gain_at_kl(kl), "the limit", at=float(kl[64]), offset=(0, 6))
    ns = _powers(n_largest)
    best = task.law.along(BestOfN.along(ns))
    plotting.points(ax, best.kl, best.gain, color=plotting.BASE, marker="x", label="best-of-N")
    for method in _compared(task, stage):
        points = task.points(method.name, stage)
        plotting.points(ax, points.kl, points.gain, **method.style, label=method.label, markersize=5)
    plotting.name_axes(ax, plotting.KL_LABEL, "gain over the base (reward)")
    return plotting.legend(ax, loc="lower right")


def wasted_figure(task: TaskComparison, n_largest: int) -> Axes:
    """Draw the wasted KL over the KL: long runs filled and joined, short ones hollow, best-of-N in black."""
    ax: Axes
    _, ax = plotting.new(height=4.2)
    best = rule_standing(task.law, BestOfN.along(_powers(n_largest)))
    plotting.points(
        ax, best.kl, best.wasted, color=plotting.BASE, marker="x", linestyle="-", linewidth=1.2, label="best-of-N"
    )
    for stage, filled in (("main", True), ("short", False)):
        for method in _compared(task, stage):
            points = task.points(method.name, stage)
            style = {"linestyle": "-", "linewidth": 1.0} if filled else {"markerfacecolor": "none"}
            label = method.label if filled else None
            plotting.points(ax, points.kl, points.wasted, label=label, markersize=5, **method.style, **style)
    plotting.name_axes(ax, plotting.KL_LABEL, "wasted KL (nats)")
    ax.set_ylim(bottom=0.0)
    ax.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.6)
    return ax


def over_figure(task: TaskComparison) -> Axes:
    """Draw the share of three methods less best-of-N's at equal KL, over KL: long filled, short hollow, intervals."""
    ax: Axes
    _, ax = plotting.new(height=3.8)
    for name in _DRAWN:
        method = find(name)
        for stage, filled in (("main", True), ("short", False)):
            if name not in task.methods(stage):
                continue
            points = task.points(name, stage)
            style: dict[str, Any] = {"linestyle": "-" if filled else ":", "linewidth": 1.2}
            style |= {"label": method.label} if filled else {"markerfacecolor": "white"}
            low, high = (
                100.0 * np.where(np.isfinite(end), end, points.share_over)
                for end in (points.share_over_low, points.share_over_high)
            )
            style |= method.style
            plotting.points(ax, points.kl, 100.0 * points.share_over, low=low, high=high, **style)
    ax.axhline(0.0, color=plotting.BASE, linewidth=1)
    plotting.name_axes(ax, plotting.KL_LABEL, "share, less best-of-N's (points)")
    ax.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handlelength=1.6)
    return ax


def numbers(long: Sequence[Verdict], short: Sequence[Verdict]) -> pd.DataFrame:
    """Return each method's averages over its penalties, with half the seeds' interval, and where best-of-N stands.

    The distance to the optimum at 1/β is left out where that is not what a method aims at, such as GRPO, whose β is a
    penalty on rewards divided by their deviation.
    """
    rows = []
    for name, method in METHODS.items():
        if not method.compared:
            continue
        for verdicts, when in ((short, "short"), (long, "long")):
            for v in (v for v in verdicts if v.method == name):
                own = _with_half(v.to_optimum, 1.0, 3) if method.aims_at_optimum else "–"
                over = _with_half(v.wasted_over_best_of_n, 1.0, 3, "+")
                sides = f"{v.n_above} / {v.n_below} of {len(v.at_knobs)}"
                line = (_with_half(v.share, 100.0, 1), _with_half(v.wasted, 1.0, 3), over, sides, own)
                rows.append((method.label, when, *line))
    columns = ["method", "training", "share (%)", "wasted KL (nats)", "less best-of-N's", "above / below", _TO_OPTIMUM]
    return pd.DataFrame(rows, columns=columns).set_index(["method", "training"])


def _with_half(interval: tuple[float, float, float], scale: float, digits: int, sign: str = "") -> str:
    mean, _, high = interval
    half = f" ± {scale * (high - mean):.{digits}f}" if np.isfinite(high) else ""
    return f"{scale * mean:{sign}.{digits}f}{half}"


def _controls(task: TaskComparison) -> str:
    """What the controls reach, as a clause."""
    found = []
    for method in ("cross_entropy", "exact_gradient"):
        rows = task.last[(task.last.method == method) & (task.last.stage == "control")]
        if len(rows):
            low, high = (f"{100 * value:.1f}%" for value in (rows["share"].min(), rows["share"].max()))
            betas = " and ".join(f"{beta:g}" for beta in sorted(rows.beta.unique(), reverse=True))
            found.append(f"{find(method).label} {low if low == high else f'{low} to {high}'} (β = {betas}, one seed)")
    return ", ".join(found) or "not trained yet"


def budget_facts(results: Results, task: str, n_prompts: int) -> dict[str, object]:
    """What the page says of budgets, from the settings that the runs were trained with."""
    runs = [run for run in results.settings["runs"].values() if run["task"] == task]
    main = next(run["settings"]["budget"] for run in runs if find(run["method"]).compared)
    control = next((run["settings"]["budget"] for run in runs if run["method"] == "cross_entropy"), None)
    updates = next(
        (run["settings"]["epochs"] for run in runs if run["method"] == "ppo" and "epochs" in run["settings"]), 1
    )
    rounds = sorted({run["settings"]["rounds"] for run in runs if "rounds" in run["settings"]})
    return {
        "batch": main["group"] * n_prompts,
        "control_responses": 0 if control is None else control["steps"] * control["group"] * n_prompts,
        "ppo_updates": int(updates),
        "rejection_rounds": " and ".join(str(n) for n in rounds) or "1",
    }


def glue(
    results: Results, name: str, split: str, long: Sequence[Verdict], short: Sequence[Verdict], task: TaskComparison,
    n_largest: int,
) -> None:  # fmt: skip
    """Name every number that the text quotes."""
    best = rule_standing(task.law, BestOfN.along(_powers(n_largest)))
    compared = [v for v in long if find(v.method).compared]
    hasty = [v for v in short if find(v.method).compared]
    rows = task.last
    other = TaskComparison(results, name, "held_out")
    elsewhere = [other.verdict(v.method) for v in compared]
    n_trained = len(results.law(name).rows)
    n_prompts = len(task.law.rows)
    claims.glue(
        short_steps=int(rows[rows.stage == "short"].step.max()) if hasty else 0,
        long_steps=int(rows[rows.stage == "main"].step.max()),
        long_sides=listing([v for v in compared if v.method in _DRAWN]),
        short_sides=listing([v for v in hasty if v.method in _DRAWN]),
        bon_least=best.share.min(),
        bon_most=best.share.max(),
        bon_wasted=best.wasted.max(),
        n_responses=int(results.settings["n_responses"]),
        n_prompts=n_prompts,
        n_held_out=len(other.law.rows),
        n_trained=n_trained,
        max_kl=task.law.average.max_kl,
        seeds_sentence=_seeds([*compared, *hasty]),
        headline_holds=_where_headline_holds(short, long),
        bon_worst_n=int(best.value[best.wasted.argmax()]),
        complete=results.complete,
        standing=_standing(results.complete),
        controls=_controls(task),
        worst_long=min((v.share[0] for v in compared), default=np.nan),
        best_long=max((v.share[0] for v in compared), default=np.nan),
        **budget_facts(results, name, n_trained),
        long_responses=int(rows[(rows.stage == "main")].completions.max()) if compared else 0,
        n_rates=len(results.settings["tried_rates"]),
        rates=", ".join(f"{rate:g}" for rate in results.settings["tried_rates"]),
        chosen_rates=", ".join(f"{find(m).label} {rate:g}" for m, rate in results.settings["learning_rates"].items()),
        held_out_shares=", ".join(f"{find(v.method).label} {v.share[0]:.1%}" for v in elsewhere),
    )


def _where_headline_holds(short: Sequence[Verdict], long: Sequence[Verdict]) -> str:
    """Say of PPO and GRPO after which training each is below best-of-N at every penalty."""
    found, neither = [], []
    for method in _HEADLINE:
        pairs = ((short, "short"), (long, "long"))
        when = [w for verdicts, w in pairs for v in verdicts if v.method == method and v.below_everywhere]
        if when:
            found.append(f"{find(method).label} after {' and '.join(when)} training")
        else:
            neither.append(f"{find(method).label} after neither length of training")
    return " and of ".join([*found, *neither])


def _standing(complete: float) -> str:
    return "" if complete >= 1.0 else f"Preliminary, from {complete:.0%} of the planned runs. "


def _seeds(verdicts: Sequence[Verdict]) -> str:
    numbers = sorted({verdict.n_seeds for verdict in verdicts})
    if numbers == [1]:
        return "so far each setting has one, so that there are no intervals and the verdicts are those of that seed"
    text = " to ".join(str(n) for n in dict.fromkeys((numbers[0], numbers[-1]))) if numbers else "0"
    return (
        f"intervals are Student's, 95%, over {text} seeds, at each penalty or (in the table) of each seed's average "
        "over its penalties; none is corrected for being one of many"
    )


def claims_of(results: Results, task: TaskComparison, long: Sequence[Verdict], short: Sequence[Verdict]) -> list[Claim]:
    """Return what the tables show, and P26's headline at both lengths of training with its verdict."""
    rows = task.rows[task.rows.beta.notna()]
    lam = (1.0 / rows.beta).to_numpy()
    average = task.law.average
    identity = rows.kl.to_numpy() - np.asarray(average.kl(lam)) - lam * (rows.gain - np.asarray(average.gain(lam)))
    best = rule_standing(task.law, BestOfN.along(_powers(64)))
    found = [
        claims.at_most(
            "below-the-limit", "no policy exceeds the limit at its KL (share at most one)", "Y24, P26",
            task.rows.share, 1.0, atol=1e-6,
        ),
        claims.equal(
            "closeness", "KL to the optimum summed over all responses is what KL and reward alone imply", "Y24",
            rows.kl_to_optimum, identity, atol=1e-5,
        ),
        claims.at_least(
            "best-of-n-near", "best-of-N has 95% of the limit (our reading of almost) at every N from 2 to 64",
            "P26",
            best.share, 0.95, must_hold=False,
        ),
    ]  # fmt: skip
    for verdicts, when in ((short, "short"), (long, "long")):
        pair = [v for v in verdicts if v.method in _HEADLINE]
        if pair:
            statement = f"PPO and GRPO have less gain than best-of-N at equal KL at every penalty ({when} training)"
            below = np.array([v.below_everywhere for v in pair])
            found.append(claims.true(f"headline-{when}", statement, "P26", below, must_hold=False))
    control = task.last[task.last.method == "cross_entropy"]
    if len(control):
        statement = "control: cross-entropy on samples of the optimum reaches 99% of the limit"
        found.append(claims.at_least("control", statement, "we derive", control.share, 0.99, must_hold=False))
    return found


def tuning_claims(results: Results, best_rates: dict[str, float]) -> list[Claim]:
    """Return whether each method was given the best of the rates tried for it; one that was not would be at a loss."""
    if not best_rates:
        return []
    chosen = [results.settings["learning_rates"][method] == rate for method, rate in best_rates.items()]
    statement = "each method was trained at the best of the learning rates tried for it"
    return [claims.true("tuned", statement, "we derive", np.array(chosen), must_hold=False)]
