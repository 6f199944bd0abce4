"""One task and split: every setting that the table holds, compared with limit and best-of-N once and remembered."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from alignlib.lm.experiment.comparison import Comparison, compare
from alignlib.lm.experiment.curves import Curves
from alignlib.lm.experiment.results import FRESH, PerPrompt, Results
from alignlib.lm.methods import METHODS

__all__ = ["Standings"]


class Standings:
    """The runs on gold of one task, judged on the prompts of one split.

    Parameters
    ----------
    results : Results
        The table.
    task : str
        Which task.
    split : str
        ``"test"``: prompts that nobody trained on, or ``"train"``: 24 that training may have seen.
    resamples : int
        Bootstrap samples of an interval.
    """

    def __init__(self, results: Results, task: str, split: str = "test", resamples: int = 400) -> None:
        self.results, self.task, self.split, self._resamples = results, task, split, resamples
        self._found: dict[tuple[object, ...], Comparison] = {}

    @cached_property
    def curves(self) -> Curves:
        """Limit and best-of-N on the prompts."""
        return Curves(self.results.law(self.task, "gold", self.split))

    def rows(self, method: str, knob: float, steps: int, *, n_prompts: int = FRESH, layers: int = 2) -> pd.DataFrame:
        """Return a setting's runs, one row a seed; no row if the table has none."""
        found = self.results.select(
            self.task, self.split, method=method, knob=knob, steps=steps, n_prompts=n_prompts, layers=layers,
            reward_name="gold",
        )  # fmt: skip
        return found.sort_values("seed")

    def per_prompt(self, rows: pd.DataFrame) -> PerPrompt:
        """What these rows hold prompt by prompt."""
        return self.results.per_prompt(rows)

    def compare(
        self, method: str, knob: float, steps: int, *, n_prompts: int = FRESH, layers: int = 2
    ) -> Comparison | None:
        """Compare a setting with limit and best-of-N on the split's prompts; None if the table has no run of it."""
        key = (method, knob, steps, n_prompts, layers)
        if key not in self._found:
            rows = self.rows(method, knob, steps, n_prompts=n_prompts, layers=layers)
            if rows.empty:
                return None
            self._found[key] = compare(self.curves, self.per_prompt(rows), resamples=self._resamples)
        return self._found[key]

    def methods(self, stage: str = "main") -> list[str]:
        """The methods that the table holds at a stage, in the registry's order."""
        there = set(self.results.select(self.task, self.split, stage=stage).method)
        return [name for name in METHODS if name in there]

    def lengths(self, stage: str = "main") -> list[int]:
        """The lengths of training that the table holds at a stage, in steps."""
        return sorted({int(n) for n in self.results.select(self.task, self.split, stage=stage).steps})
