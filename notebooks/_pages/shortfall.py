"""What the chapter on why trained policies fall short shows: parts of the waste, few prompts, fixed points, size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from _pages.prompts_met import group_of
from _pages.size import missing, seeds, told
from alignbook import claims
from alignbook.claim import Claim
from alignlib import plotting
from alignlib._core.checks import require
from alignlib.lm.experiment.comparison import Comparison
from alignlib.lm.experiment.decomposition import (
    Parts,
    WasteSplit,
    best_of_n_waste,
    decompose,
    fixed_point_waste,
    split_waste,
)
from alignlib.lm.experiment.grid import FEW, LONG
from alignlib.lm.experiment.results import FRESH, Results, fixed_points_path
from alignlib.lm.experiment.standings import Standings
from alignlib.lm.methods import RESPONSES, find
from alignlib.lm.tasks import TASKS
from alignlib.training import effective_beta

__all__ = [
    "claims_of",
    "fixed_point_figure",
    "fixed_points",
    "glue",
    "parts",
    "parts_figure",
    "parts_table",
]

_SHOWN = ("ppo", "rloo", "grpo")
_BEST = "best-of-N"
_BESIDE = ("ppo", "grpo")  # RLOO spends about what PPO does
_CONTROLS = ("exact_gradient", "cross_entropy")
_PARTS = {
    "objective": (plotting.LIMIT, "objective"),
    "allocation": (plotting.THIRD, "allocation to prompts"),
    "optimisation": (plotting.BOUND, "optimisation (the rest)"),
    "generalisation": (plotting.BEST_OF_N, f"{FEW} prompts instead of fresh ones"),
}
_NOTHING = WasteSplit(np.zeros(1), np.zeros(1))


def fixed_points(results: Results, task: str) -> pd.DataFrame:
    """Return each objective's fixed point at each β on each of the first test prompts."""
    path = fixed_points_path(results.folder, task)
    require(path.is_file(), f"folder must hold {path.name}; it does not. Run make lm.")
    return pd.read_csv(path)


def parts(tests: Mapping[str, Standings], points: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the wasted KL of policies on test prompts as a sum of parts, a row each.

    ``kind`` is ``fresh`` or ``few`` (prompts learnt from), ``best`` (best-of-N at the KL of the policy above it) or
    ``control``; ``wasted`` is the same total found without the parts, with its interval (None for best-of-N).
    """
    rows: list[dict[str, Any]] = []
    for task, test in tests.items():
        for name in _SHOWN:
            rows += _of_method(test, task, name, points[task])
        for name in _CONTROLS:
            control = _control(test, name)
            if control is not None:
                knob, steps, n = control
                found = test.per_prompt(test.rows(name, knob, steps, n_prompts=n))
                own = decompose(_NOTHING, split_waste(test.curves, found))
                label = f"{find(name).label.split(' on ')[0]} (control)"
                rows.append(_line(task, name, "control", label, own, test.compare(name, knob, steps, n_prompts=n)))
    return pd.DataFrame(rows)


def _of_method(test: Standings, task: str, name: str, points: pd.DataFrame) -> list[dict[str, Any]]:
    """A method on fresh prompts, best-of-N at its KL, and the method on few prompts."""
    knob, label = find(name).middle, find(name).label
    fresh_rows, few_rows = test.rows(name, knob, LONG), test.rows(name, knob, LONG, n_prompts=FEW)
    if fresh_rows.empty:
        return []
    found = test.per_prompt(fresh_rows)
    fresh, kl = split_waste(test.curves, found), float(found.kl.mean())
    objective = fixed_point_waste(test.curves, points, "GRPO", kl) if name == "grpo" else _NOTHING
    rows = [_line(task, name, "fresh", label, decompose(objective, fresh), test.compare(name, knob, LONG))]
    if name in _BESIDE:  # beside it, at its own KL, or a bar would be compared with one at another
        best = best_of_n_waste(test.curves, kl)
        own = Parts(float(best.within[0]), float(best.allocation[0]), 0.0, 0.0)
        rows.append(_line(task, name, "best", f"{_BEST} at {label}'s KL", own, None) | {"kl": kl})
    if not few_rows.empty:  # beside what fresh prompts and the objective waste at the KL that few prompts led to
        learnt = test.per_prompt(few_rows)
        there = float(learnt.kl.mean())
        objective = fixed_point_waste(test.curves, points, "GRPO", there) if name == "grpo" else _NOTHING
        few = decompose(objective, _fresh_at(test, name, there), split_waste(test.curves, learnt))
        rows.append(
            _line(task, name, "few", f"{label}, {FEW} prompts", few, test.compare(name, knob, LONG, n_prompts=FEW))
        )
    return rows


def _fresh_at(test: Standings, name: str, kl: float) -> WasteSplit:
    """What a method wastes on fresh prompts at a mean KL, interpolated over √KL between its penalties."""
    spent, within, allocation = [0.0], [0.0], [0.0]
    for knob in find(name).knobs:
        rows = test.rows(name, knob, LONG)
        if not rows.empty:
            found = test.per_prompt(rows)
            split = split_waste(test.curves, found)
            spent.append(float(found.kl.mean()))
            within.append(float(split.within.mean()))
            allocation.append(float(split.allocation.mean()))
    order = np.argsort(spent)
    place = np.sqrt(np.array(spent)[order])
    at = [np.interp(np.sqrt(kl), place, np.array(part)[order]) for part in (within, allocation)]
    return WasteSplit(np.array([at[0]]), np.array([at[1]]))


def _control(test: Standings, name: str) -> tuple[float, int, int] | None:
    """Penalty, steps and prompts of a control at RLOO's middle penalty."""
    rows = test.results.select(test.task, test.split, method=name, knob=find("rloo").middle)
    return None if rows.empty else (float(rows.knob.iloc[0]), int(rows.steps.iloc[0]), int(rows.n_prompts.iloc[0]))


def _line(task: str, name: str, kind: str, label: str, found: Parts, whole: Comparison | None) -> dict[str, Any]:
    named = {part: float(getattr(found, part)) for part in _PARTS}
    known = {} if whole is None else {"kl": whole.kl.mean, "wasted": whole.wasted, "best": whole.best_wasted.mean}
    fixed = {"task": task, "method": name, "kind": kind, "policy": label, "total": found.total}
    return fixed | {"kl": np.nan, "wasted": None, "best": np.nan} | known | named


def parts_figure(table: pd.DataFrame) -> Axes:
    """Draw the parts as one bar for each policy, a panel for each task; what lies left of zero is a part below zero."""
    longest = int(table.groupby("task").size().max())
    figure, axes = plotting.new(rows=len(TASKS), height=0.33 * longest + 0.8, sharex=True)
    for ax, task in zip(axes, TASKS, strict=True):
        rows = table[table.task == task]
        place = np.arange(len(rows))
        right, left = np.zeros(len(rows)), np.zeros(len(rows))
        for name, (color, label) in _PARTS.items():
            value = rows[name].to_numpy()
            ax.barh(place, value, left=np.where(value >= 0, right, left), color=color, height=0.62, label=label)
            right, left = right + np.maximum(value, 0.0), left + np.minimum(value, 0.0)
        ends = np.array([[0.0, 0.0] if w is None else [w.mean - w.low, w.high - w.mean] for w in rows.wasted]).T
        ax.errorbar(
            rows.total, place, xerr=np.maximum(ends, 0.0), linestyle="", marker="|", markersize=9, color=plotting.BASE,
            label="sum, 95% interval",
        )  # fmt: skip
        ax.axvline(0.0, color=plotting.BASE, linewidth=0.8, label="_nothing wasted")
        ax.set_yticks(place, rows.policy)
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        plotting.name_axes(ax, "wasted KL (nats)" if task == list(TASKS)[-1] else "", "", task)
    first: Axes = axes[0]
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=9.5)
    return first


def parts_table(table: pd.DataFrame) -> pd.DataFrame:
    """The same numbers of the methods: parts, their sum, best-of-N's at that KL, and what few prompts add, a row each.

    Tasks and methods are the columns, short enough for a phone.
    """
    titles = {"objective": "objective", "allocation": "allocation", "optimisation": "the rest", "total": "sum"}
    columns = {}
    for row in table[table.kind == "fresh"].to_dict("records"):
        few = table[(table.task == row["task"]) & (table.method == row["method"]) & (table.kind == "few")]
        columns[row["task"], row["policy"]] = (
            {"KL spent": f"{row['kl']:.2f}"}
            | {title: f"{row[name]:.3f}" for name, title in titles.items()}
            | {"best-of-N at that KL": f"{row['best']:.3f}"}
            | {f"{FEW} prompts add": f"{few.generalisation.iloc[0]:.3f}" if len(few) else "–"}
        )
    return pd.DataFrame(columns)


def fixed_point_figure(tests: Mapping[str, Standings], points: Mapping[str, pd.DataFrame]) -> Axes:
    """Draw wasted KL over KL: GRPO's exact fixed points, the policies trained by it, and best-of-N."""
    _, axes = plotting.new(rows=2, height=3.0, sharex=True)
    looks = {
        "GRPO": (plotting.FOURTH, "-", "GRPO as published, exact"),
        "token k3": (plotting.FOURTH, "--", "the same without division by deviation and length"),
        "token KL": (plotting.THIRD, "--", "Dr. GRPO, exact"),
    }
    for ax, task in zip(axes, TASKS, strict=True):
        test, table = tests[task], points[task]
        most = max(1.0, *(_waste_of(test, name)[0].max(initial=0.0) for name in ("grpo", "dr_grpo")))
        kl = np.linspace(0.0, 1.0, 25) ** 2 * most
        best = [best_of_n_waste(test.curves, float(one)).total[0] for one in kl]
        ax.plot(kl, best, color=plotting.BASE, label="best-of-N, exact")
        for penalty, (color, line, label) in looks.items():
            waste = [fixed_point_waste(test.curves, table, penalty, float(one)).total[0] for one in kl]
            ax.plot(kl, waste, color=color, linestyle=line, label=label)
        for name in ("grpo", "dr_grpo"):
            spent, wasted = _waste_of(test, name)
            plotting.points(ax, spent, wasted, label=f"{find(name).label}, trained", **find(name).style)
        ax.set_ylim(bottom=0.0)
        plotting.name_axes(ax, plotting.KL_LABEL if task == list(TASKS)[-1] else "", "wasted KL (nats)", task)
    first: Axes = axes[0]
    first.legend(frameon=False, fontsize=9.5, loc="lower left", bbox_to_anchor=(0.0, 1.08))
    return first


def _waste_of(test: Standings, method: str) -> tuple[Any, Any]:
    """KL and wasted KL of a method's policies at each knob after ``LONG`` steps, averaged over seeds."""
    spent, wasted = [], []
    for knob in find(method).knobs:
        rows = test.rows(method, knob, LONG)
        if not rows.empty:
            found = test.per_prompt(rows)
            spent.append(float(found.kl.mean()))
            wasted.append(float(split_waste(test.curves, found).total.mean()))
    return np.array(spent), np.array(wasted)


_CAUSES = {
    "objective": "by its objective",
    "allocation": "by the split of KL over prompts",
    "optimisation": "by optimisation (the rest)",
}


def _told_of(rows: pd.DataFrame, *, named: bool) -> str:
    """Say what a method wastes on each task (named or not) beside best-of-N at the same KL, and mostly by what."""
    found = rows.to_dict("records")
    less = {row["total"] < row["best"] for row in found}
    side = "less than" if less == {True} else "more than" if less == {False} else "beside"
    wasted, best = (" and ".join(f"{row[name]:.3f}" for row in found) for name in ("total", "best"))
    largest = [max(_CAUSES, key=lambda part, row=row: float(row[part])) for row in found]  # type: ignore[misc]
    if len(set(largest)) == 1:
        cause = f"mostly {_CAUSES[largest[0]]}"
    else:
        told = (f"on {row['task']} mostly {_CAUSES[part]}" for row, part in zip(found, largest, strict=True))
        cause = ", ".join(told)
    where = f" ({' and '.join(row['task'] for row in found)})" if named else ""
    return f"{found[0]['policy']} wastes {wasted} nats{where}, {side} best-of-$N$ at the same KL ({best}), {cause}"


def glue(
    results: Results,
    table: pd.DataFrame,
    tests: Mapping[str, Standings],
    sizes: pd.DataFrame,
    points: Mapping[str, pd.DataFrame],
) -> None:
    """Name every number that the text quotes."""
    fresh, few = table[table.kind == "fresh"], table[table.kind == "few"]
    there = [name for name in ("ppo", "grpo") if (fresh.method == name).any()]
    said = [_told_of(fresh[fresh.method == name], named=name == there[0]) for name in there]
    heart = few.generalisation
    pools = sizes[(sizes.study == "prompts") & (sizes.value == FEW)].seeds
    gaps = [100 * (1 - one.mean) for one in sizes[sizes.study == "layers"]["share"]]
    claims.glue(
        answer=claims.Markdown(". ".join(said) or "nothing is trained yet"),
        tasks=" and ".join(dict.fromkeys(fresh.task)),
        heart=claims.Markdown(f"{heart.min():.2f} to {heart.max():.2f}" if len(heart) else "an unknown number of"),
        few=FEW,
        n_pools=int(pools.max()) if len(pools) else 0,
        long=LONG,
        n_test=len(next(iter(tests.values())).curves.limit_kl),
        rest=_rest(table, tests),
        effective=_effective(results, points),
        drawn=" and ".join(dict.fromkeys(f"{LONG * RESPONSES // group_of(results, t, 'rloo'):,d}" for t in TASKS)),
        pools=claims.Markdown(told(sizes, "prompts", lambda n: "fresh" if n == FRESH else f"{n:,d}")),
        layers=claims.Markdown(told(sizes, "layers", lambda n: f"{n} layers")),
        depth_gap=f"{min(gaps):.1f} to {max(gaps):.1f}" if gaps else "unknown",
        missing=missing(results),
        size_seeds=seeds(sizes),
        depth_seeds=seeds(sizes[sizes.study == "layers"]),
    )


def _effective(results: Results, points: Mapping[str, pd.DataFrame]) -> str:
    """What the middle penalty is in effect in groups as large as tuned, and where the fixed point then stands."""
    parts = []
    for name, penalty in (("grpo", "GRPO"), ("dr_grpo", "token KL")):
        beta = find(name).middle
        for task in TASKS:
            group, table = group_of(results, task, name), points[task]
            spent = table[table.penalty == penalty].groupby("beta").kl.mean()
            inner = effective_beta(beta, "after", group=group)
            # Between the penalties of the table, on logarithmic axes; there both are nearly straight.
            there, here = np.exp(np.interp(np.log([beta, inner]), np.log(spent.index), np.log(spent)))
            parts.append(
                f"{find(name).label} on {task}, groups of {group}: {inner:.3f} for {beta:g}, at which the fixed point "
                f"spends {here:.3f} nats, not {there:.3f}"
            )
    return "; ".join(parts)


def _rest(table: pd.DataFrame, tests: Mapping[str, Standings]) -> str:
    """The least that PPO, RLOO and the controls waste by neither objective nor allocation, at the middle penalty."""
    parts = []
    for task, test in tests.items():
        left = []
        for name in ("ppo", "rloo"):
            lengths = [n for n in test.lengths() if not test.rows(name, find(name).middle, n).empty]
            found = {n: test.per_prompt(test.rows(name, find(name).middle, n)) for n in lengths}
            wasted = {n: float(split_waste(test.curves, one).within.mean()) for n, one in found.items()}
            if wasted:
                n = min(wasted, key=lambda steps: wasted[steps])
                left.append(f"{find(name).label} {wasted[n]:.3f} ({n:,d} steps, {found[n].kl.mean():.2f} nats)")
        control = table[(table.kind == "control") & (table.task == task)].to_dict("records")
        left += [f"{row['policy']} {row['optimisation']:.3f} ({row['kl']:.2f} nats)" for row in control]
        parts.append(f"{task}: {', '.join(left)}")
    return "; ".join(parts)


def claims_of(
    results: Results,
    table: pd.DataFrame,
    tests: Mapping[str, Standings],
    trains: Mapping[str, Standings],
    points: Mapping[str, pd.DataFrame],
) -> list[Claim]:
    """Return what the parts, the fixed points and the few prompts show."""
    found: list[Claim] = []
    whole = table[table.kind != "best"]
    found.append(
        claims.equal(
            "parts-add-up", "the parts sum to the wasted KL found from KL and reward alone (a check)", "we derive",
            whole.total, [one.mean for one in whole.wasted], atol=1e-3,
        )
    )  # fmt: skip
    sequence = [split_of(tests[task], points[task], "sequence") for task in TASKS]
    found.append(
        claims.equal(
            "sequence", "the sequence's log-ratio in the reward has the optimum as its fixed point: nothing is wasted",
            "we derive", np.concatenate(sequence), 0.0, atol=1e-3,
        )
    )  # fmt: skip
    others = [split_of(tests[task], points[task], name) for task in TASKS for name in ("GRPO", "token k3", "token KL")]
    found.append(
        claims.at_least(
            "token-penalties", "the fixed points of GRPO's objectives waste KL at every penalty", "we derive",
            np.concatenate(others), 1e-3,
        )
    )  # fmt: skip
    few, fresh = table[table.kind == "few"], table[table.kind == "fresh"]
    if len(few):
        ends = list(zip(few.total - few.generalisation, [one.low for one in few.wasted], strict=True))
        statement = (
            f"learning from {FEW} prompts, with settings tuned on fresh ones, wastes more KL on test prompts than "
            "learning from fresh ones does at the same KL (lower end of the interval against the mean)"
        )
        found.append(
            claims.at_least(
                "by-heart", statement, "observed here", [b for _, b in ends], [a for a, _ in ends], must_hold=False
            )
        )
        for kind, standings, sign in (("seen", trains, 1.0), ("unseen", tests, -1.0)):
            there = [
                one.over_share
                for task in TASKS for name in ("ppo", "rloo")
                if (one := standings[task].compare(name, find(name).middle, LONG, n_prompts=FEW)) is not None
            ]  # fmt: skip
            ends_of = [one.low if sign > 0 else -one.high for one in there]
            side = "above" if sign > 0 else "below"
            statement = (
                f"trained on {FEW} prompts, PPO and RLOO are {side} best-of-N at equal KL on {kind} prompts "
                "(ends of intervals towards zero)"
            )
            found.append(claims.at_least(f"few-{kind}", statement, "observed here", ends_of, 0.0, must_hold=False))
    best = table[table.kind == "best"]
    statement = "spending alike on unlike prompts is the larger part of the KL that best-of-N wastes"
    found.append(
        claims.at_least(
            "best-of-n-allocation", statement, "we derive", best.allocation, best.objective, must_hold=False
        )
    )
    control = table[table.kind == "control"]
    if len(control):
        trained = [float(fresh[(fresh.task == t) & (fresh.method == "rloo")].total.iloc[0]) for t in control.task]
        statement = "controls, told more, waste less KL than RLOO does with the same network"
        found.append(claims.at_most("controls", statement, "observed here", control.total, trained, must_hold=False))
    return found


def split_of(test: Standings, table: pd.DataFrame, penalty: str) -> Any:
    """Wasted KL of an objective's fixed points at each β."""
    rows = table[table.penalty == penalty]
    kls = rows.groupby("beta").kl.mean().to_numpy()
    return np.array([fixed_point_waste(test.curves, table, penalty, float(kl)).total[0] for kl in kls])
