"""What the chapter on why trained policies fall short shows: parts of the waste, few prompts, fixed points, size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from _pages.chapter import interval
from alignbook import claims
from alignbook.claims import Claim
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
from alignlib.lm.methods import find
from alignlib.lm.tasks import TASKS

__all__ = [
    "claims_of",
    "few_prompts",
    "fixed_point_figure",
    "fixed_points",
    "glue",
    "parts",
    "parts_figure",
    "size",
    "size_figure",
]

_SHOWN = ("rloo", "ppo", "grpo")
_BEST = "best-of-N"
_BESIDE = ("rloo", "grpo")  # PPO spends about what RLOO does
_PARTS = {
    "objective": (plotting.LIMIT, "objective"),
    "allocation": (plotting.THIRD, "allocation to prompts"),
    "optimisation": (plotting.BOUND, "optimisation"),
    "by_heart": (plotting.BEST_OF_N, f"learning {FEW} prompts by heart"),
}
_NOTHING = WasteSplit(np.zeros(1), np.zeros(1))


def fixed_points(results: Results, task: str) -> pd.DataFrame:
    """Return each objective's fixed point at each β on each of the first test prompts."""
    path = fixed_points_path(results.folder, task)
    require(path.is_file(), f"folder must hold {path.name}; it does not. Run make lm.")
    return pd.read_csv(path)


def parts(tests: Mapping[str, Standings], points: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the wasted KL of each method as a sum of parts, and best-of-N's at the KLs of RLOO and GRPO."""
    rows = []
    for task, test in tests.items():
        n = int(points[task].prompt.nunique())
        for name in _SHOWN:
            fresh_rows = test.rows(name, find(name).middle, LONG)
            if fresh_rows.empty:
                continue
            fresh = split_waste(test.curves, test.per_prompt(fresh_rows), n)
            few_rows = test.rows(name, find(name).middle, LONG, n_prompts=FEW)
            few = None if few_rows.empty else split_waste(test.curves, test.per_prompt(few_rows), n)
            kl = float(test.per_prompt(fresh_rows).kl[:, :n].mean())
            objective = fixed_point_waste(test.curves, points[task], "GRPO", kl) if name == "grpo" else _NOTHING
            rows.append(_line(task, find(name).label, kl, decompose(objective, fresh, few)))
            if name in _BESIDE:  # beside it, at its own KL, or a bar would be compared with one at another
                best = best_of_n_waste(test.curves, kl, n)
                own = Parts(float(best.within[0]), float(best.allocation[0]), 0.0, 0.0)
                rows.append(_line(task, f"{_BEST} at {find(name).label}'s KL", kl, own))
    return pd.DataFrame(rows)


def _line(task: str, method: str, kl: float, found: Parts) -> dict[str, Any]:
    named = {name: float(getattr(found, name)) for name in _PARTS}
    return {"task": task, "method": method, "kl": kl, **named, "total": found.total}


def parts_figure(table: pd.DataFrame) -> Axes:
    """Draw the parts as one bar for each method, a panel for each task; what lies left of zero is a part below zero."""
    longest = int(table.groupby("task").size().max())
    figure, axes = plotting.new(rows=len(TASKS), height=0.42 * longest + 1.0, sharex=True)
    for ax, task in zip(axes, TASKS, strict=True):
        rows = table[table.task == task]
        place = np.arange(len(rows))
        right, left = np.zeros(len(rows)), np.zeros(len(rows))
        for name, (color, label) in _PARTS.items():
            value = rows[name].to_numpy()
            ax.barh(place, value, left=np.where(value >= 0, right, left), color=color, height=0.62, label=label)
            right, left = right + np.maximum(value, 0.0), left + np.minimum(value, 0.0)
        ax.plot(rows.total, place, linestyle="", marker="|", markersize=14, color=plotting.BASE, label="sum")
        ax.axvline(0.0, color=plotting.BASE, linewidth=0.8)
        ax.set_yticks(place, rows.method)
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        plotting.name_axes(ax, "wasted KL (nats)" if task == list(TASKS)[-1] else "", "", task)
    first: Axes = axes[0]
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=9.5)
    return first


def few_prompts(tests: Mapping[str, Standings], trains: Mapping[str, Standings]) -> pd.DataFrame:
    """Share less best-of-N's at equal KL, trained on few prompts and on fresh ones, judged on seen and unseen ones."""
    rows = []
    for task in tests:
        for name in _SHOWN:
            line = {"task": task, "method": find(name).label}
            for label, n in ((f"{FEW} prompts", FEW), ("fresh prompts", FRESH)):
                for kind, one in (("seen", trains[task]), ("unseen", tests[task])):
                    found = one.compare(name, find(name).middle, LONG, n_prompts=n)
                    line[f"{label}: {kind}"] = "–" if found is None else interval(found.over_share)
            rows.append(line)
    return pd.DataFrame(rows).set_index(["task", "method"])


def fixed_point_figure(tests: Mapping[str, Standings], points: Mapping[str, pd.DataFrame]) -> Axes:
    """Draw wasted KL over KL: GRPO's exact fixed points, the policies trained by it, and best-of-N."""
    _, axes = plotting.new(rows=2, height=3.0, sharex=True)
    looks = {
        "GRPO": (plotting.FOURTH, "-", "GRPO as published, exact"),
        "token k3": (plotting.FOURTH, "--", "the same without division by deviation and length"),
        "token reverse KL": (plotting.THIRD, "--", "Dr. GRPO, exact"),
    }
    for ax, task in zip(axes, TASKS, strict=True):
        test, table = tests[task], points[task]
        n = int(table.prompt.nunique())
        most = max(1.0, *(_waste_of(test, name, n)[0].max(initial=0.0) for name in ("grpo", "dr_grpo")))
        kl = np.linspace(0.0, 1.0, 25) ** 2 * most
        best = [best_of_n_waste(test.curves, float(one), n).total[0] for one in kl]
        ax.plot(kl, best, color=plotting.BASE, label="best-of-N, exact")
        for penalty, (color, line, label) in looks.items():
            waste = [fixed_point_waste(test.curves, table, penalty, float(one)).total[0] for one in kl]
            ax.plot(kl, waste, color=color, linestyle=line, label=label)
        for name in ("grpo", "dr_grpo"):
            spent, wasted = _waste_of(test, name, n)
            plotting.points(ax, spent, wasted, label=f"{find(name).label}, trained", **find(name).style)
        ax.set_ylim(bottom=0.0)
        plotting.name_axes(ax, plotting.KL_LABEL if task == list(TASKS)[-1] else "", "wasted KL (nats)", task)
    first: Axes = axes[0]
    first.legend(frameon=False, fontsize=9.5, loc="lower left", bbox_to_anchor=(0.0, 1.08))
    return first


def _waste_of(test: Standings, method: str, n: int) -> tuple[Any, Any]:
    """KL and wasted KL of a method's policies at each knob after the longest training, averaged over seeds."""
    spent, wasted = [], []
    for knob in find(method).knobs:
        rows = test.rows(method, knob, test.lengths()[-1])
        if not rows.empty:
            found = test.per_prompt(rows)
            spent.append(float(found.kl[:, :n].mean()))
            wasted.append(float(split_waste(test.curves, found, n).total.mean()))
    return np.array(spent), np.array(wasted)


def size(tests: Mapping[str, Standings]) -> pd.DataFrame:
    """Return RLOO at its middle penalty for pools of prompts, depths and lengths: what its share lacks of the limit."""
    rows = []
    knob = find("rloo").middle
    for task, test in tests.items():
        table = test.results.select(task, "test", method="rloo", knob=knob, reward_name="gold")
        pools = sorted({int(n) for n in table[(table.steps == LONG) & (table.layers == 2)].n_prompts})
        studies = {
            "prompts": [(n, {"steps": LONG, "n_prompts": n}) for n in pools],
            "layers": [(n, {"steps": LONG, "layers": n}) for n in sorted({int(n) for n in table.layers})],
            "steps": [(n, {"steps": n}) for n in test.lengths()],
        }
        for study, settings in studies.items():
            for value, setting in settings:
                found = _sized(test, knob, **setting)
                if found is not None:
                    rows.append((task, study, value, found.share, found.over_share))
    return pd.DataFrame(rows, columns=["task", "study", "value", "share", "over"])


def _sized(test: Standings, knob: float, steps: int, n_prompts: int = FRESH, layers: int = 2) -> Comparison | None:
    if layers == 2:
        return test.compare("rloo", knob, steps, n_prompts=n_prompts)
    return None  # another base has another limit; see `deeper`


def size_figure(table: pd.DataFrame) -> Axes:
    """Draw what RLOO's share lacks of the limit on test prompts against prompts to learn from, and steps."""
    studies = [("prompts", "prompts to learn from"), ("steps", "steps of training")]
    _, axes = plotting.new(rows=len(studies), height=2.9)
    for ax, (study, label) in zip(axes, studies, strict=True):
        ticks: dict[float, str] = {}
        for task, (color, marker) in zip(TASKS, ((plotting.LIMIT, "o"), (plotting.BEST_OF_N, "s")), strict=True):
            rows = table[(table.study == study) & (table.task == task)].sort_values("value")
            fresh = rows.value == FRESH
            # Fresh prompts at every step: at the right end, as many as were drawn.
            place = rows.value.where(~((study == "prompts") & fresh), 115_200).to_numpy(dtype=float)
            order = np.argsort(place)
            share = rows["share"].to_numpy()[order]
            low, mean, high = ([100 * (1 - getattr(one, end)) for one in share] for end in ("high", "mean", "low"))
            plotting.points(
                ax, place[order], mean, low=low, high=high, color=color, marker=marker, linestyle="-", label=task
            )
            for value, is_fresh, x in zip(rows.value, fresh, place, strict=True):
                ticks[float(x)] = "fresh" if study == "prompts" and is_fresh else f"{value:,d}"
        ax.set_xscale("log")
        ax.set_xticks(sorted(ticks), [ticks[x] for x in sorted(ticks)])
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_ylim(bottom=0.0)
        plotting.name_axes(ax, label, "missing of the limit (%)")
    first: Axes = axes[0]
    return plotting.legend(first, loc="upper right")


def deeper(results: Results) -> pd.DataFrame:
    """Return the gain and KL of RLOO's policies by the number of layers; each depth has a base of its own."""
    rows = results.runs[
        (results.runs.method == "rloo") & (results.runs.split == "test") & (results.runs.steps == LONG)
        & (results.runs.knob == find("rloo").middle) & (results.runs.n_prompts == FRESH)
        & (results.runs.reward_name == "gold")
    ]  # fmt: skip
    found = rows.groupby(["task", "layers"])[["kl", "reward", "to_optimum"]].mean().reset_index()
    found["seeds"] = rows.groupby(["task", "layers"]).seed.nunique().to_numpy()
    return found


_CAUSES = {
    "objective": "its objective, whose exact optimum wastes KL as well",
    "allocation": "spending its KL on the wrong prompts",
    "optimisation": "what objective and allocation leave unexplained (optimisation)",
}


def _told_of(method: str, rows: pd.DataFrame) -> str:
    """Say what a method wastes on each task, and the part that most of it is due to."""
    found = rows.to_dict("records")
    wasted = [f"{row['total'] - row['by_heart']:.3f} nats on {row['task']}" for row in found]
    largest = [max(_CAUSES, key=lambda part, row=row: float(row[part])) for row in found]  # type: ignore[misc]
    if len(set(largest)) == 1:
        cause = f"mostly by {_CAUSES[largest[0]]}"
    else:
        told = (f"on {row['task']} mostly by {_CAUSES[part]}" for row, part in zip(found, largest, strict=True))
        cause = "; ".join(told)
    return f"{method} wastes {' and '.join(wasted)}, {cause}"


def glue(results: Results, table: pd.DataFrame, tests: Mapping[str, Standings], sizes: pd.DataFrame) -> None:
    """Name every number that the text quotes."""
    of_best = table.method.str.startswith(_BEST)
    trained, best = table[~of_best], table[of_best]
    answer = [_told_of(str(method), rows) for method, rows in trained.groupby("method", sort=False)]
    for method, rows in best.groupby("method", sort=False):
        wasted = " and ".join(f"{row['total']:.3f} nats on {row['task']}" for row in rows.to_dict("records"))
        answer.append(f"Best-of-$N${str(method).removeprefix(_BEST)} wastes {wasted}")
    heart = trained[trained.by_heart != 0.0].by_heart
    depth = deeper(results)
    told = "; ".join(
        f"{task}: " + ", ".join(f"{row.layers} layers {row.to_optimum:.3f}" for row in rows.itertuples())
        for task, rows in depth.groupby("task", sort=False)
    )
    claims.glue(
        answer=claims.Markdown(". ".join(answer) or "nothing is trained yet"),
        heart=f"{heart.min():.2f} to {heart.max():.2f}" if len(heart) else "an unknown number of",
        few=FEW,
        long=LONG,
        n_test=len(next(iter(tests.values())).curves.limit_kl),
        n_fixed=" and ".join(
            f"{pd.read_csv(fixed_points_path(results.folder, task)).prompt.nunique()} ({task})" for task in TASKS
        ),
        deeper=_deeper(depth, told),
        pools=_pools(sizes),
        missing=_missing(results),
    )


def _deeper(depth: pd.DataFrame, told: str) -> str:
    """What other depths give, or that they are not trained yet."""
    if depth.layers.nunique() < 2:
        return "Models of four and eight layers are planned; no run of them is in the table yet."
    return f"With deeper models, each with its own base, the KL to the optimum of the same penalty is, in nats: {told}."


def _missing(results: Results) -> str:
    """What of the studies on this page is not in the table yet."""
    names = {"few": f"training on {FEW} prompts", "pool": "other numbers of prompts", "depth": "deeper models"}
    shares = {label: results.complete_stage(stage) for stage, label in names.items()}
    lacking = [f"{label} ({share:.0%} done)" for label, share in shares.items() if share < 1.0]
    return f"Not all planned runs are in the table yet: {', '.join(lacking)}." if lacking else ""


def _pools(sizes: pd.DataFrame) -> str:
    parts = []
    for task in TASKS:
        rows = sizes[(sizes.task == task) & (sizes.study == "prompts")]
        rows = rows.assign(last=rows.value == FRESH).sort_values(["last", "value"])  # fresh ones last
        told = ", ".join(
            f"{'fresh' if value == FRESH else format(value, ',d')} {interval(over)}"
            for value, over in zip(rows.value.tolist(), list(rows.over), strict=True)
        )
        parts.append(f"{task}: {told}")
    return "; ".join(parts)


def claims_of(
    results: Results, table: pd.DataFrame, tests: Mapping[str, Standings], points: Mapping[str, pd.DataFrame]
) -> list[Claim]:
    """Return what the parts, the fixed points and the few prompts show."""
    found: list[Claim] = []
    sequence = [split_of(tests[task], points[task], "sequence") for task in TASKS]
    found.append(
        claims.equal(
            "sequence", "the sequence's log-ratio in the reward has the optimum as its fixed point: nothing is wasted",
            "we derive", np.concatenate(sequence), 0.0, atol=1e-3,
        )
    )  # fmt: skip
    others = [
        split_of(tests[task], points[task], name) for task in TASKS for name in ("GRPO", "token k3", "token reverse KL")
    ]
    found.append(
        claims.at_least(
            "token-penalties", "the fixed points of GRPO's objectives waste KL at every penalty", "we derive",
            np.concatenate(others), 1e-3,
        )
    )  # fmt: skip
    few = table[table.by_heart != 0.0]
    if len(few):
        statement = f"learning from {FEW} prompts wastes more KL on test prompts than learning from fresh ones"
        found.append(claims.at_least("by-heart", statement, "observed here", few.by_heart, 0.0, must_hold=False))
    best = table[table.method.str.startswith(_BEST)]
    statement = "spending alike on unlike prompts is the larger part of the KL that best-of-N wastes"
    found.append(
        claims.at_least(
            "best-of-n-allocation", statement, "we derive", best.allocation, best.objective, must_hold=False
        )
    )
    return found


def split_of(test: Standings, table: pd.DataFrame, penalty: str) -> Any:
    """Wasted KL of an objective's fixed points at each β."""
    rows = table[table.penalty == penalty]
    kls = rows.groupby("beta").kl.mean().to_numpy()
    return np.array([fixed_point_waste(test.curves, table, penalty, float(kl)).total[0] for kl in kls])
