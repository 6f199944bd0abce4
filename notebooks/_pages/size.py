"""What the chapter on why trained policies fall short shows of size: prompts to learn from, steps, layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from _pages.chapter import interval
from _pages.prompts_met import has_twin
from alignlib import plotting
from alignlib._core.checks import BoolArray
from alignlib._core.names import counted
from alignlib.lm.experiment.curves import Curves
from alignlib.lm.experiment.grid import FEW, LONG
from alignlib.lm.experiment.results import FRESH, PerPrompt, Results
from alignlib.lm.experiment.standings import Standings
from alignlib.lm.methods import find
from alignlib.lm.tasks import TASKS

__all__ = ["few_prompts", "missing", "seeds", "size", "size_figure", "told", "twins"]

_SHOWN = ("ppo", "rloo", "grpo")
_OFF = 5.0  # times the largest pool: where fresh prompts stand


def few_prompts(tests: Mapping[str, Standings], trains: Mapping[str, Standings]) -> pd.DataFrame:
    """Share less best-of-N's at equal KL: learnt from few prompts, on these and on unseen ones, and from fresh ones.

    A column each task: as many as a phone shows side by side.
    """
    rows = []
    for name in _SHOWN:
        for title, splits, n in (
            (f"{FEW}, seen", trains, FEW),
            (f"{FEW}, unseen", tests, FEW),
            ("fresh, unseen", tests, FRESH),
        ):
            there = {task: one.compare(name, find(name).middle, LONG, n_prompts=n) for task, one in splits.items()}
            rows.append(
                {"method: prompts": f"{find(name).label}: {title}"}
                | {task: "–" if found is None else interval(found.over_share) for task, found in there.items()}
            )
    return pd.DataFrame(rows).set_index("method: prompts")


def size(tests: Mapping[str, Standings]) -> pd.DataFrame:
    """Return RLOO at its middle penalty for pools of prompts, depths and lengths: what its share lacks of the limit."""
    rows = []
    knob = find("rloo").middle
    for task, test in tests.items():
        table = test.results.select(task, "test", method="rloo", knob=knob, reward_name="gold")
        pools = sorted({int(n) for n in table[(table.steps == LONG) & (table.layers == 2)].n_prompts})
        depths = {n: test if n == test.layers else test.deeper(n) for n in sorted({int(n) for n in table.layers})}
        studies = {
            "prompts": [(n, test.compare("rloo", knob, LONG, n_prompts=n)) for n in pools],
            "steps": [(n, test.compare("rloo", knob, n)) for n in test.lengths()],
            "layers": [(n, one.compare("rloo", knob, LONG)) for n, one in depths.items()],
        }
        for study, there in studies.items():
            rows += [(task, study, n, found.share, found.over_share, found.n_seeds) for n, found in there if found]
    return pd.DataFrame(rows, columns=["task", "study", "value", "share", "over", "seeds"])


def twins(tests: Mapping[str, Standings]) -> pd.DataFrame:
    """RLOO less best-of-N, on test prompts whose reward training met under other words, and on the others.

    A row for each number of prompts to learn from; numbers of prompts and points of share are means over seeds.
    """
    rows, knob = [], find("rloo").middle
    for task, test in tests.items():
        table = test.results.select(task, "test", method="rloo", knob=knob, reward_name="gold", steps=LONG)
        for n in sorted({int(n) for n in table[table.layers == test.layers].n_prompts}, key=lambda n: (n == FRESH, n)):
            runs = test.rows("rloo", knob, LONG, n_prompts=n)
            found = test.per_prompt(runs)
            met = [has_twin(test.results, task, "rloo", LONG, int(seed), n) for seed in runs.seed]
            line = {
                "task": task,
                "prompts": "fresh" if n == FRESH else f"{n:,d}",
                "met": np.mean([m.sum() for m in met]),
            }
            for label, masks in (("points, met", met), ("points, not met", [~m for m in met])):
                there = [_over(test.curves, found, k, mask) for k, mask in enumerate(masks) if mask.any()]
                line[label] = f"{100 * np.mean(there):+.1f}" if there else "–"
            rows.append(line | {"met": f"{line['met']:.0f}"})
    return pd.DataFrame(rows).set_index(["task", "prompts"])


def _over(curves: Curves, found: PerPrompt, run: int, which: BoolArray) -> float:
    """A run's share of the limit less best-of-N's at the same KL, on some of the prompts."""
    weights = which / which.sum()
    kl, gain = found.kl[run] @ weights, (found.reward[run] - curves.base_reward) @ weights
    at, both = np.array([kl]), curves.weighed(weights)
    return float((gain - both.best_of_n(at)[0]) / both.limit(at)[0])


_STUDIES = {"prompts": "prompts to learn from", "steps": "steps of training", "layers": "layers of the model"}


def size_figure(table: pd.DataFrame) -> Axes:
    """Draw what RLOO's share lacks of the limit on test prompts against prompts to learn from, steps and layers."""
    _, axes = plotting.new(rows=len(_STUDIES), height=2.5)
    for ax, (study, label) in zip(axes, _STUDIES.items(), strict=True):
        ticks: dict[float, str] = {}
        for task, (color, marker) in zip(TASKS, ((plotting.LIMIT, "o"), (plotting.BEST_OF_N, "s")), strict=True):
            rows = table[(table.study == study) & (table.task == task)].sort_values("value")
            fresh = (rows.value == FRESH) & (study == "prompts")
            # Fresh prompts at every step: at the right end, off the scale.
            place = rows.value.where(~fresh, _OFF * rows.value.max()).to_numpy(dtype=float)
            order = np.argsort(place)
            share = rows["share"].to_numpy()[order]
            low, mean, high = ([100 * (1 - getattr(one, end)) for one in share] for end in ("high", "mean", "low"))
            shift = 1.02 if task == next(iter(TASKS)) else 0.98  # intervals side by side
            plotting.points(
                ax,
                shift * place[order],
                mean,
                low=low,
                high=high,
                color=color,
                marker=marker,
                linestyle="-",
                label=task,
            )
            for value, is_fresh, x in zip(rows.value, fresh, place, strict=True):
                ticks[float(x)] = "fresh" if is_fresh else f"{value:,d}"
        ax.set_xscale("log")
        ax.set_xticks(sorted(ticks), [ticks[x] for x in sorted(ticks)])
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.minorticks_off()
        ax.set_ylim(bottom=0.0)
        plotting.name_axes(ax, label, "gap to the limit (%)")
    first: Axes = axes[0]
    return plotting.legend(first, loc="upper right")


def seeds(table: pd.DataFrame) -> str:
    """How many seeds stand behind each point: most points have one number of them, the others are named."""
    usual = int(table.seeds.mode().iloc[0])
    rest = table[table.seeds != usual].drop_duplicates(["study", "value", "seeds"])
    others = [
        f"{n} for {value:,d} {_STUDIES[study].split()[0]}"
        for study, value, n in zip(rest.study.tolist(), rest.value.tolist(), rest.seeds.tolist(), strict=True)
    ]
    return ", ".join([counted(usual, "seed"), *others])


def missing(results: Results) -> str:
    """What of the studies on this page is not in the table yet."""
    names = {"few": f"training on {FEW} prompts", "pool": "other numbers of prompts", "depth": "deeper models"}
    shares = {label: results.complete_stage(stage) for stage, label in names.items()}
    lacking = [f"{label} ({share:.0%} done)" for label, share in shares.items() if share < 1.0]
    return f"Not all planned runs are in the table yet: {', '.join(lacking)}." if lacking else ""


def told(sizes: pd.DataFrame, study: str, name: Callable[[int], str]) -> str:
    """RLOO's share less best-of-N's at equal KL for each value of a study, task by task."""
    parts = []
    for task in TASKS:
        rows = sizes[(sizes.task == task) & (sizes.study == study)]
        rows = rows.assign(last=rows.value == FRESH).sort_values(["last", "value"])  # fresh ones last
        there = ", ".join(
            f"{name(int(value))} {interval(over)}" for value, over in zip(rows.value, list(rows.over), strict=True)
        )
        parts.append(f"{task}: {there}")
    return "; ".join(parts)
