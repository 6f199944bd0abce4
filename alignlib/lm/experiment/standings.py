"""One task and split: every setting that the table holds, compared with limit and best-of-N once and remembered."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from alignlib.lm.experiment.comparison import Comparison, compare
from alignlib.lm.experiment.curves import Curves
from alignlib.lm.experiment.grid import POOLED, pool_name
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
    layers : int
        Depth of base and policies; each depth has a base, and so a limit, of its own.

    Examples
    --------
    >>> test = Standings(Results.read("notebooks/lm_results"), "safety")
    >>> test.rows("grpo", 0.8, 1200).seed.size, round(float(test.curves.base_reward.mean()), 2)
    (4, -0.8)
    """

    def __init__(self, results: Results, task: str, split: str = "test", resamples: int = 400, layers: int = 2) -> None:
        self.results, self.task, self.split, self.layers, self._resamples = results, task, split, layers, resamples
        self._found: dict[tuple[object, ...], Comparison] = {}
        self._pools: dict[str, Curves] = {}

    @cached_property
    def curves(self) -> Curves:
        """Limit and best-of-N on the prompts."""
        return Curves(self.results.law(self.task, "gold", self.split, self.layers))

    def rows(self, method: str, knob: float, steps: int, *, n_prompts: int = FRESH) -> pd.DataFrame:
        """Return a setting's runs, one row a seed; no row if the table has none.

        Parameters
        ----------
        method : str
            The method.
        knob : float
            β, or the number of draws of which one is kept.
        steps : int
            Length of training.
        n_prompts : int
            Prompts learnt from; fresh ones by default.
        """
        found = self.results.select(
            self.task, self.split, method=method, knob=knob, steps=steps, n_prompts=n_prompts, layers=self.layers,
            reward_name="gold",
        )  # fmt: skip
        return found.sort_values("seed")

    def deeper(self, layers: int) -> Standings:
        """The same of models of another depth.

        Parameters
        ----------
        layers : int
            Depth of base and policies.
        """
        return Standings(self.results, self.task, self.split, self._resamples, layers)

    def _seen(self, seed: int) -> Curves:
        """Both curves on the prompts that a run learnt over and over: a pool for each seed."""
        split = pool_name(seed)
        if split == self.split:
            return self.curves
        if split not in self._pools:
            self._pools[split] = Curves(self.results.law(self.task, "gold", split, self.layers))
        return self._pools[split]

    def per_prompt(self, rows: pd.DataFrame) -> PerPrompt:
        """What these rows hold prompt by prompt.

        Parameters
        ----------
        rows : DataFrame
            Rows of the table, of this split.
        """
        return self.results.per_prompt(rows)

    def compare(self, method: str, knob: float, steps: int, *, n_prompts: int = FRESH) -> Comparison | None:
        """Compare a setting with limit and best-of-N on the split's prompts; None if the table has no run of it.

        Runs that learn from a pool are compared on prompts of that pool where the split is ``"train"``.

        Parameters
        ----------
        method : str
            The method.
        knob : float
            β, or the number of draws of which one is kept.
        steps : int
            Length of training.
        n_prompts : int
            Prompts learnt from; fresh ones by default.
        """
        key = (method, knob, steps, n_prompts)
        if key not in self._found:
            rows = self.rows(method, knob, steps, n_prompts=n_prompts)
            if rows.empty:
                return None
            pooled = self.split == "train" and set(rows.stage) <= set(POOLED)
            curves = [self._seen(seed) for seed in rows.seed] if pooled else self.curves
            self._found[key] = compare(curves, self.per_prompt(rows), resamples=self._resamples)
        return self._found[key]

    def methods(self, stage: str = "main") -> list[str]:
        """The methods that the table holds at a stage, in the registry's order.

        Parameters
        ----------
        stage : str
            Which part of the experiment.
        """
        there = set(self.results.select(self.task, self.split, stage=stage).method)
        return [name for name in METHODS if name in there]

    def lengths(self, stage: str = "main") -> list[int]:
        """The lengths of training that the table holds at a stage, in steps.

        Parameters
        ----------
        stage : str
            Which part of the experiment.
        """
        return sorted({int(n) for n in self.results.select(self.task, self.split, stage=stage).steps})
