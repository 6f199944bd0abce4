"""What the chapter on ablations shows: the floor set by a penalty's fixed point, and what training loses above it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alignbook import claims
from alignbook.claims import Claim
from alignlib import plotting
from alignlib._core.checks import FloatArray, require
from alignlib.lm.experiment.comparison import TaskComparison
from alignlib.lm.experiment.fixed_points import PENALTIES
from alignlib.lm.experiment.results import Results, fixed_points_path
from alignlib.lm.experiment.standing import at_kl, rule_standing, seed_interval, standing
from alignlib.lm.methods import find
from alignlib.lm.tasks import TASKS
from alignlib.rules import BestOfN

__all__ = ["claims_of", "fixed_point_figure", "fixed_points", "glue", "show", "variants"]

_LOOKS = {"token reverse KL": (plotting.THIRD, "s"), "token k3": (plotting.FOURTH, "^")}
_LABELS = {"token reverse KL": "token penalty, corrected", "token k3": "token penalty, k3 as published"}
_MEASURES = ("share", "wasted")


def fixed_points(results: Results, task: str) -> pd.DataFrame:
    """Return each penalty's fixed point at each β with its gain, share and wasted KL."""
    path = fixed_points_path(results.folder, task)
    require(path.is_file(), f"folder must hold {path.name}; it does not. Run make lm.")
    table = pd.read_csv(path)
    law = results.law(task)
    table["gain"] = table.reward - law.average.base_reward
    found = standing(law, table.kl.to_numpy(), table.gain.to_numpy())
    table["share"], table["wasted"] = found.share, found.wasted
    return table


def fixed_point_figure(results: Results, points: Mapping[str, pd.DataFrame], n_largest: int) -> Axes:
    """Draw the wasted KL of the token-level fixed points and of best-of-N, one panel for each task."""
    _, axes = plotting.new(rows=2, height=3.0, sharex=True)
    ns = [2**k for k in range(1, int(np.log2(n_largest)) + 1)]
    for ax, task in zip(axes, TASKS, strict=True):
        best = rule_standing(results.law(task), BestOfN.along(ns))
        plotting.points(ax, best.kl, best.wasted, color=plotting.BASE, marker="x", linestyle="-", label="best-of-N")
        for penalty, (color, marker) in _LOOKS.items():
            rows = points[task][points[task].penalty == penalty].sort_values("kl")
            plotting.points(ax, rows.kl, rows.wasted, color=color, marker=marker, linestyle="-", label=_LABELS[penalty])
        ax.set_ylim(bottom=0.0)
        plotting.name_axes(ax, plotting.KL_LABEL if task == list(TASKS)[-1] else "", "wasted KL (nats)", task)
    last: Axes = axes[-1]
    return plotting.legend(last, loc="upper left")


def variants(compared: Mapping[str, TaskComparison]) -> pd.DataFrame:
    """Return each variant's share and wasted KL less those of the method as compared, at equal KL, over seeds.

    The method as compared is interpolated between its penalties over √KL, seed by seed; where its curve does not reach
    the variant's KL it is held at its end, and the row says of how many runs.
    """
    rows = []
    for task, one in compared.items():
        last = one.last
        others = last[last.stage.isin(["ablation", "length", "schedule"])]
        for (stage, method, variant), group in others.groupby(["stage", "method", "variant"], sort=True):
            usual = last[(last.stage == "main") & (last.method == method)]
            differences: dict[str, list[float]] = {name: [] for name in _MEASURES}
            outside = 0
            for seed, runs in group.groupby("seed"):
                curve = usual[usual.seed == seed].sort_values("kl")
                if len(curve) < 2:
                    continue
                outside += int((~runs.kl.between(curve.kl.iloc[0], curve.kl.iloc[-1])).sum())
                for name, seeds in differences.items():
                    seeds.append(float((runs[name].to_numpy() - at_kl(curve, name, runs.kl)).mean()))
            if differences["share"]:
                intervals = [seed_interval(seeds) for seeds in differences.values()]
                line = [value for interval in intervals for value in interval]
                rows.append((task, stage, find(str(method)).label, variant, len(differences["share"]), *line, outside))
    columns = ["task", "kind", "method", "variant", "seeds", "difference", "low", "high", "wasted", "wasted_low"]
    return pd.DataFrame(rows, columns=[*columns, "wasted_high", "outside"])


def show(table: pd.DataFrame) -> pd.DataFrame | str:
    """Return the variants as the page shows them: percentage points of share and nats, a column for each task."""
    if table.empty:
        return "The table holds no variant yet."
    shown = table[["task", "method", "variant"]].copy()
    shown["share (points)"] = _column(table, ("difference", "high"), 100.0, 1)
    shown["wasted KL (nats)"] = _column(table, ("wasted", "wasted_high"), 1.0, 3)
    wide = shown.pivot(index=["method", "variant"], columns="task")
    wide.columns.names = [None, None]
    return wide.fillna("–")


def _column(table: pd.DataFrame, names: tuple[str, str], scale: float, digits: int) -> list[str]:
    """Mean and half the interval; a single seed is marked, and so are runs that were compared with a curve's end."""
    columns = (table[name] for name in (*names, "outside"))
    return [
        f"{scale * mean:+.{digits}f}"
        + (f" ± {scale * (high - mean):.{digits}f}" if np.isfinite(high) else "*")
        + ("†" if outside else "")
        for mean, high, outside in zip(*columns, strict=True)
    ]


def glue(results: Results, points: Mapping[str, pd.DataFrame], table: pd.DataFrame, n_largest: int) -> None:
    """Name every number that the text quotes."""
    both = pd.concat(points.values())
    reverse, k3 = (both[both.penalty == name] for name in PENALTIES[1:])
    ns = [2**k for k in range(1, int(np.log2(n_largest)) + 1)]
    best = pd.concat([rule_standing(results.law(task), BestOfN.along(ns)) for task in TASKS])
    claims.glue(
        reverse_least=reverse["share"].min(),
        reverse_most=reverse["share"].max(),
        reverse_wasted=reverse.wasted.max(),
        k3_least=k3["share"].min(),
        k3_most=k3["share"].max(),
        k3_wasted=k3.wasted.max(),
        bon_least=best["share"].min(),
        bon_most=best["share"].max(),
        bon_wasted=best.wasted.max(),
        n_penalties=reverse.beta.nunique(),
        beta_most=reverse.beta.max(),
        beta_least=reverse.beta.min(),
        constant_cost=_cost(table[table.kind == "schedule"]),
        training_sentence=_sentence(table, ("schedule", "length")),
        objective_sentence=_sentence(table, ("ablation",)),
    )


def _sentence(table: pd.DataFrame, kinds: tuple[str, ...]) -> str:
    """Say what each variant of these kinds changes, from task to task; single seeds are said to be such."""
    chosen = table[table.kind.isin(kinds)]
    if chosen.empty:
        return "no such variant is trained yet"
    parts = []
    for (method, variant), rows in chosen.groupby(["method", "variant"], sort=False):
        points = _from_to(100.0 * rows.difference, "+.1f")
        seeds = ", one seed" if (rows.seeds == 1).any() else ""
        parts.append(
            f"{method} with {variant}: {points} points of share and {_from_to(rows.wasted, '+.2f')} nats{seeds}"
        )
    return "; ".join(parts)


def _cost(rows: pd.DataFrame) -> str:
    """The least and the most that these variants cost in points of share."""
    return _from_to(-100.0 * rows.difference, ".1f") if len(rows) else "an unknown number of"


def _from_to(values: pd.Series, form: str) -> str:
    low, high = (format(value, form) for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def claims_of(results: Results, points: Mapping[str, pd.DataFrame], table: pd.DataFrame) -> list[Claim]:
    """Return what enumeration settles, and what training shows of it."""
    both = pd.concat(points.values())
    sequence, reverse, k3 = (both[both.penalty == name] for name in PENALTIES)
    found = [
        claims.equal(
            "sequence", "the sequence's log-ratio in the reward has the optimum as its fixed point: nothing is wasted",
            "we derive", sequence.wasted, np.zeros(len(sequence)), atol=1e-7,
        ),
        claims.at_least(
            "token-penalties", "both token-level fixed points waste KL at every penalty", "we derive",
            np.minimum(reverse.wasted.to_numpy(), k3.wasted.to_numpy()), 1e-3,
        ),
        claims.at_least(
            "published-k3-is-worse", "k3 as published wastes more than the corrected penalty at equal KL", "we derive",
            *_at_equal_kl(points),
        ),
    ]  # fmt: skip
    scaling = table[table.variant == "no scaling"] if len(table) else table
    if len(scaling):
        statement = "GRPO without division by the group's deviation has the larger share at equal KL"
        larger = (scaling.difference > 0).to_numpy()
        found.append(claims.true("scaling", statement, "we derive", larger, must_hold=False))
    return found


def _at_equal_kl(points: Mapping[str, pd.DataFrame]) -> tuple[FloatArray, FloatArray]:
    """Wasted KL of the published k3, and of the corrected penalty interpolated to its KLs, where both curves reach."""
    published, corrected = [], []
    for table in points.values():
        one, two = (table[table.penalty == name].sort_values("kl") for name in PENALTIES[1:])
        shared = two[two.kl.between(one.kl.min(), one.kl.max())]
        published.append(shared.wasted.to_numpy())
        corrected.append(at_kl(one, "wasted", shared.kl))
    return np.concatenate(published), np.concatenate(corrected)
