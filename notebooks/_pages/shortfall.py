"""Figures on what trained policies waste: where it goes, and how it depends on steps and learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from alignbook import claims
from alignbook.claims import Claim
from alignlib import plotting
from alignlib._core.checks import FloatArray
from alignlib.lm.experiment.allocation import policies_split, rule_split
from alignlib.lm.experiment.comparison import TaskComparison
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.standing import at_kl, over_seeds, seed_interval
from alignlib.lm.methods import METHODS, find
from alignlib.lm.tasks import TASKS
from alignlib.rules import BestOfN

__all__ = ["claims_of", "effort", "effort_figure", "glue", "split_figure", "splits"]

_UNSCALED = ("grpo", "no scaling")


def _name(method: str, variant: str) -> str:
    return find(method).label + (f", {variant}" if variant else "")


def splits(results: Results, n_largest: int) -> pd.DataFrame:
    """Return each method's wasted KL within prompts and by allocation, averaged over penalties, then seeds.

    Best-of-N is averaged over N = 2, 4, … up to ``n_largest``. Penalties are those that all seeds of a method have.
    """
    found: list[tuple[str, str, int, float, float, float, float]] = []
    ns = [2.0**k for k in range(1, int(np.log2(n_largest)) + 1)]
    for task in TASKS:
        best = rule_split(results.law(task), BestOfN.along(ns))
        found.append((task, "best-of-N", 1, float(best.within.mean()), float(best.allocation.mean()), np.nan, np.nan))
        table = policies_split(results, task)
        for method, variant in (*((m.name, "") for m in METHODS.values() if m.compared), _UNSCALED):
            rows = table[(table.method == method) & (table.variant == variant)]
            if len(rows) == 0:
                continue
            within, allocation = (
                rows.pivot(index="seed", columns="knob", values=part).dropna(axis=1).to_numpy().mean(axis=1)
                for part in ("within", "allocation")
            )
            _, low, high = seed_interval(within + allocation)
            name = _name(method, variant)
            found.append((task, name, within.size, float(within.mean()), float(allocation.mean()), low, high))
    columns = ["task", "method", "seeds", "within", "allocation", "low", "high"]
    return pd.DataFrame(found, columns=columns)


def split_figure(table: pd.DataFrame) -> Axes:
    """Draw both parts of the wasted KL as one bar for each method, a panel for each task; lines: seeds' intervals."""
    longest = table.groupby("task").size().max()
    figure, axes = plotting.new(rows=len(TASKS), height=0.36 * longest + 0.9, sharex=True)
    for ax, task in zip(axes, TASKS, strict=True):
        rows = table[table.task == task]
        place = np.arange(len(rows))
        ax.barh(place, rows.allocation, color=plotting.LIMIT, height=0.66, label="allocation to prompts")
        ax.barh(
            place, rows.within, left=rows.allocation, color="white", edgecolor=plotting.BEST_OF_N, hatch="////",
            height=0.66, linewidth=1.0, label="within prompts",
        )  # fmt: skip
        whole = np.isfinite(rows.low.to_numpy())
        ax.hlines(place[whole], rows.low[whole], rows.high[whole], color=plotting.BASE, linewidth=1.3)
        ax.set_yticks(place, rows.method)
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        plotting.name_axes(ax, "wasted KL (nats)" if task == list(TASKS)[-1] else "", "", task)
    first: Axes = axes[0]
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=10.0)
    return first


def effort(compared: Mapping[str, TaskComparison]) -> dict[str, pd.DataFrame]:
    """Return what is lost at the middle penalty: ``steps`` along training on both tasks, ``rates`` over learning rates.

    ``steps`` has the checkpoints of the long annealed runs and the ends of still longer ones; ``rates`` is from the
    runs that the rates were chosen by, at the penalty in the middle.
    """
    every = pd.concat([one.rows for one in compared.values()])
    middle = every[every.stage == "tuning"].groupby("method").knob.first()
    steps, rates = [], []
    for task, one in compared.items():
        rows = one.rows
        # Rejection sampling goes round by round: its checkpoints are other methods, not earlier stages of one.
        by_rounds = rows.method.isin([m.name for m in METHODS.values() if m.knob != "beta"])
        rows = rows[(rows.knob == rows.method.map(middle)) & (~by_rounds | (rows.stage == "tuning"))]
        long = rows[(rows.stage == "main") | ((rows.stage == "length") & rows["last"])]
        steps.append(over_seeds(long.assign(stage="", variant=""), ["wasted"]).assign(task=task))
        tried = rows[(rows.stage == "tuning") & rows["last"]]
        rates.append(tried.assign(rate=tried.variant.str.removeprefix("rate ").astype(float)))
    return {"steps": pd.concat(steps), "rates": pd.concat(rates)}


def effort_figure(found: Mapping[str, pd.DataFrame]) -> Axes:
    """Draw wasted KL over steps (summarisation filled, safety hollow), and the share over the learning rates tried."""
    _, (above, below) = plotting.new(rows=2, height=3.3)
    for name, method in METHODS.items():
        if not method.compared:
            continue
        for task, filled in zip(TASKS, (True, False), strict=True):
            rows = found["steps"]
            rows = rows[(rows.method == name) & (rows.task == task)].sort_values("step")
            look: dict[str, Any] = {"linewidth": 1.2, "linestyle": "-" if filled else ":"}
            look |= {"label": method.label} if filled else {"markerfacecolor": "none"}
            plotting.points(above, rows.step, rows.wasted, **method.style, **look)
        rows = found["rates"]
        rows = rows[rows.method == name].sort_values("rate")
        plotting.points(below, rows.rate, rows["share"], **method.style, linestyle="-", linewidth=1.2)
    for ax, ticks in ((above, sorted(found["steps"].step.unique())), (below, sorted(found["rates"].rate.unique()))):
        ax.set_xscale("log")
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.xaxis.set_minor_formatter(NullFormatter())
    above.set_yscale("log")
    above.set_yticks([0.01, 0.03, 0.1, 0.3, 1.0], ["0.01", "0.03", "0.1", "0.3", "1"])
    above.yaxis.set_minor_formatter(NullFormatter())
    plotting.name_axes(above, "steps of training", "wasted KL (nats)")
    plotting.name_axes(
        below, f"peak learning rate ({found['rates'].step.max():.0f} steps)", "share of the limit's gain"
    )
    above.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.6)
    last: Axes = below
    return last


def glue(table: pd.DataFrame, found: Mapping[str, pd.DataFrame]) -> None:
    """Name every number that the text quotes."""
    share = table.assign(share=table.allocation / (table.allocation + table.within))
    best = share[share.method == "best-of-N"].share
    sentences = {}
    for key, label in (
        ("grpo", find("grpo").label),
        ("unscaled", _name(*_UNSCALED)),
        ("group", find("group_kl").label),
    ):
        rows = share[share.method == label]
        sentences[f"{key}_allocation"] = _range(rows.share) if len(rows) else "not known yet"
    last = found["steps"].sort_values("step").groupby(["task", "method"]).tail(1)
    late = last[last.method == "group_kl"]
    claims.glue(
        bon_allocation=_range(best),
        long_steps=_long_steps(found["steps"]),
        longest=int(found["steps"].step.max()),
        longest_wasted=" and ".join(f"{row.wasted:.3f}" for row in late.itertuples()),
        rate_cost=_dearest(found["rates"]),
        rates_apart=_apart(found["rates"]),
        **sentences,
    )


def _long_steps(steps: pd.DataFrame) -> int:
    """Steps of the long runs: the last that every method has."""
    return int(steps.groupby("method").step.max().min())


def _range(share: pd.Series) -> str:
    low, high = (f"{100 * value:.0f}" for value in (share.min(), share.max()))
    return f"{low}%" if low == high else f"{low} to {high}%"


def _dearest(rates: pd.DataFrame) -> str:
    """The most points of share between the best and the worst rate tried for one method."""
    if rates.empty:
        return "not known yet"
    return f"{100 * float(rates.groupby('method')['share'].agg(np.ptp).max()):.0f}"


def _apart(rates: pd.DataFrame) -> str:
    """How much a bad rate costs: the shares of the best and the worst rate tried, by method."""
    if rates.empty:
        return "not known yet"
    ends = rates.groupby("method")["share"].agg(["min", "max"])
    return ", ".join(
        f"{method.label} {100 * ends['min'][name]:.0f} to {100 * ends['max'][name]:.0f}%"
        for name, method in METHODS.items()
        if method.compared and name in ends.index
    )


def claims_of(results: Results, table: pd.DataFrame) -> list[Claim]:
    """Return what the split shows of best-of-N, of one penalty for all prompts, and of GRPO's scaling."""
    best = table[table.method == "best-of-N"]
    found = [
        claims.at_least(
            "best-of-n-allocation", "best-of-N wastes most of its KL by spending alike on unlike prompts", "we derive",
            best.allocation.to_numpy(), best.within.to_numpy(), must_hold=False,
        ),
    ]  # fmt: skip
    scaled, unscaled = _scaling(results)
    if unscaled.size:
        statement = "GRPO without division by the group's deviation wastes less by allocation at equal KL"
        found.append(claims.at_most("scaling-allocates", statement, "we derive", unscaled, scaled, must_hold=False))
    return found


def _scaling(results: Results) -> tuple[FloatArray, FloatArray]:
    """Allocation's part of unscaled GRPO's waste, and of scaled GRPO's interpolated to its KLs over √KL, by seed."""
    pairs: list[tuple[float, float]] = []
    for task in TASKS:
        table = policies_split(results, task)
        grpo = table[table.method == _UNSCALED[0]]
        for _, rows in grpo.groupby("seed"):
            scaled = rows[rows.variant == ""].sort_values("kl")
            other = rows[rows.variant == _UNSCALED[1]]
            other = other[other.kl.between(scaled.kl.min(), scaled.kl.max())]
            if len(scaled) >= 2 and len(other):
                usual = at_kl(scaled, "allocation", other.kl).tolist()
                pairs += zip(usual, other.allocation.tolist(), strict=True)
    found = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return found[:, 0], found[:, 1]
