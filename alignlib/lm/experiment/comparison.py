"""One task: its methods against the limit, and against best-of-N at the same KL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.interpolate import PchipInterpolator

from alignlib._core.checks import FloatArray, require, require_range
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.standing import over_seeds, seed_interval, standing, with_standing
from alignlib.lm.level_law import LevelLaw
from alignlib.lm.methods import METHODS
from alignlib.rules import BestOfN

__all__ = ["BestOfNCurve", "TaskComparison", "Verdict"]

_MEASURES = ("share", "wasted", "share_over", "wasted_over", "kl_to_optimum")
_NONE = (np.nan, np.nan, np.nan)
_POINTS = 49
_LARGEST_N = 4096.0
_LEAST_RISE = 1e-9


class BestOfNCurve:
    """Best-of-N for real N as a curve of gain over KL, so that it can be asked at any method's KL.

    Interpolated monotonically between 49 values of N; past the largest it is held at its end.
    """

    def __init__(self, law: LevelLaw) -> None:
        self.n = np.geomspace(1.0, _LARGEST_N, _POINTS)
        curve = law.along(BestOfN.along(self.n))
        self.kl, self.gain_of_n = curve.kl, curve.gain
        # Past saturation the KL moves by rounding only, and back again.
        root = np.sqrt(curve.kl)
        kept = np.concatenate([[True], np.diff(np.maximum.accumulate(root)) > _LEAST_RISE])
        self._gain = PchipInterpolator(root[kept], curve.gain[kept])

    def gain(self, kl: npt.ArrayLike) -> FloatArray:
        """Gain of best-of-N at each KL in nats."""
        spent = require_range("kl", kl, 0.0)
        return np.asarray(self._gain(np.sqrt(np.minimum(spent, self.kl[-1]))))


@dataclass(frozen=True)
class Verdict:
    """One method at one budget: at each of its penalties against best-of-N at equal KL, and averages over penalties.

    Intervals are (mean, low, high) over seeds, infinite where there is one seed. ``at_knobs`` has the share less
    best-of-N's, one interval for each penalty: its sign is that of the gain at equal KL, so that the wasted KL says the
    same. An average over penalties can hide that a method crosses best-of-N. ``to_optimum`` is the KL to the optimum of
    the method's own β; NaN where it has none (rejection sampling).
    """

    method: str
    stage: str
    n_seeds: int
    at_knobs: tuple[tuple[float, float, float], ...]
    share: tuple[float, float, float]
    wasted: tuple[float, float, float]
    share_over_best_of_n: tuple[float, float, float]
    wasted_over_best_of_n: tuple[float, float, float]
    to_optimum: tuple[float, float, float]

    @property
    def n_below(self) -> int:
        """At how many penalties it has less gain than best-of-N at its KL, beyond its seeds' interval if it has one."""
        return sum((high if np.isfinite(high) else mean) < 0 for mean, _, high in self.at_knobs)

    @property
    def n_above(self) -> int:
        """At how many penalties it has more gain than best-of-N at its KL, beyond its seeds' interval if it has one."""
        return sum((low if np.isfinite(low) else mean) > 0 for mean, low, _ in self.at_knobs)

    @property
    def below_everywhere(self) -> bool:
        """Whether it has less gain than best-of-N at equal KL at every penalty."""
        return self.n_below == len(self.at_knobs)


class TaskComparison:
    """A task's runs on gold, with their standing; ``rows`` holds every checkpoint, ``last`` the final ones.

    Parameters
    ----------
    results : Results
        The table.
    task : str
        Which task.
    split : str
        ``"train"`` or ``"held_out"``.
    """

    def __init__(self, results: Results, task: str, split: str = "train") -> None:
        self.law = results.law(task, "gold", split)
        self.best_of_n = BestOfNCurve(self.law)
        self.rows = with_standing(results, task, split)
        rivals = standing(self.law, self.rows.kl.to_numpy(), self.best_of_n.gain(self.rows.kl.to_numpy()))
        self.rows["share_over"] = self.rows["share"] - rivals.share
        self.rows["wasted_over"] = self.rows["wasted"] - rivals.wasted
        self.last = self.rows[self.rows["last"]]

    def methods(self, stage: str = "main") -> list[str]:
        """Methods that the table holds at this stage, in the registry's order."""
        there = set(self.last[self.last.stage == stage].method)
        return [name for name in METHODS if name in there]

    def points(self, method: str, stage: str = "main", variant: str = "") -> pd.DataFrame:
        """A method's final policies averaged over seeds, one row for each penalty, in increasing KL."""
        chosen = self.last.query("method == @method and stage == @stage and variant == @variant")
        require(len(chosen) > 0, f"method must occur in the table; {method!r} ({stage}, {variant!r}) does not.")
        columns = ("kl", "share", "wasted", "gain", "share_over")
        return over_seeds(chosen, columns).sort_values("kl", ignore_index=True)

    def verdict(self, method: str, stage: str = "main", variant: str = "") -> Verdict:
        """Average a method over its penalties, seed by seed, then over seeds.

        Only penalties that every seed has are used, so that an unfinished grid compares like with like.
        """
        chosen = self.last.query("method == @method and stage == @stage and variant == @variant")
        require(len(chosen) > 0, f"method must occur in the table; {method!r} ({stage}, {variant!r}) does not.")
        wide = {name: chosen.pivot(index="seed", columns="knob", values=name) for name in _MEASURES}
        first = wide["share"]
        seeds = first.index[first.notna().sum(axis=1) == first.notna().sum(axis=1).max()]
        knobs = first.columns[first.loc[seeds].notna().all()]
        averages = {name: table.loc[seeds, knobs].mean(axis=1).to_numpy() for name, table in wide.items()}
        found = [seed_interval(values) if np.isfinite(values).all() else _NONE for values in averages.values()]
        at_knobs = tuple(seed_interval(wide["share_over"].loc[seeds, knob].to_numpy()) for knob in knobs)
        return Verdict(method, stage, len(seeds), at_knobs, *found)

    def best_rates(self) -> dict[str, float]:
        """Of the learning rates tried, the one with the largest regularised objective.

        A method without β by its share less that of best-of-N at equal KL.
        """
        found = {}
        tried = self.last[self.last.stage == "tuning"]
        for method, rows in tried.groupby("method", sort=False):
            objective = rows["reward"] - rows["beta"] * rows["kl"]
            score = rows["share_over"] if rows["beta"].isna().all() else objective
            found[str(method)] = float(rows.variant.iloc[int(np.argmax(score))].removeprefix("rate "))
        return found

    def share_missed(self, rates: Mapping[str, float]) -> dict[str, float]:
        """By how much a method's best share less best-of-N's, over the rates tried, exceeds that at the rate given."""
        tried = self.last[self.last.stage == "tuning"]
        found = {}
        for method, rows in tried.groupby("method", sort=False):
            chosen = rows[rows.variant == f"rate {rates[str(method)]:g}"]
            if len(chosen):
                found[str(method)] = float(rows.share_over.max() - chosen.share_over.iloc[0])
        return found

    def verdicts(self, stage: str, methods: Sequence[str] | None = None) -> list[Verdict]:
        """The verdict of each method at a stage."""
        return [self.verdict(name, stage) for name in (self.methods(stage) if methods is None else methods)]
