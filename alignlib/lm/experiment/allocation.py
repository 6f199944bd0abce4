"""Where wasted KL goes: to the wrong split of the budget over prompts, or to the wrong policy on each of them.

A policy's wasted KL is its distance to the nearest optimum, ``min_λ mean_x KL(φ_x‖π_{x,λ})``: one λ for all prompts. If
every prompt may have a λ of its own the distance is smaller; what remains is wasted *within* prompts, and the
difference is the price of the *allocation*, of effective λ that differ from prompt to prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alignlib._core.checks import FloatArray, as_float_array, require
from alignlib.laws import PromptAverage
from alignlib.lm.experiment.results import Results
from alignlib.lm.level_law import LevelLaw
from alignlib.rules import Rules

__all__ = ["WasteSplit", "policies_split", "rule_split", "split_waste"]


@dataclass(frozen=True)
class WasteSplit:
    """Wasted KL in nats, averaged over prompts, as the sum of two parts that are never negative; arrays (k,)."""

    within: FloatArray
    allocation: FloatArray


def split_waste(law: LevelLaw, kl: npt.ArrayLike, gain: npt.ArrayLike) -> WasteSplit:
    """Split ``Δ - G⁻¹(g)`` into ``mean_x [Δ_x - G_x⁻¹(g_x)]`` and ``mean_x G_x⁻¹(g_x) - G⁻¹(g)``.

    ``G_x`` is the frontier of prompt x, ``G`` that of a budget on the average; a gain below zero needs no KL.

    Parameters
    ----------
    law : LevelLaw
        The base's mass by reward level.
    kl, gain : arrays (k, P)
        KL to the base in nats, and gain over it, of k policies on each prompt.

    Raises
    ------
    InputError
        If the shapes are not (k, P), or a policy lies above a prompt's frontier by more than rounding.

    Examples
    --------
    >>> law = LevelLaw(np.repeat([0, 1], 2), np.array([0.0, 1.0, 0.0, 4.0]), np.full(4, 0.5), np.zeros(4))
    >>> families = law.average.laws
    >>> even = np.array([[0.1, 0.1]])  # each prompt at its own optimum, but with the same KL
    >>> gain = [[family.gain(family.lam_at_kl(0.1)) for family in families]]
    >>> split = split_waste(law, even, gain)
    >>> abs(float(split.within[0])) < 1e-9, round(float(split.allocation[0]), 4)
    (True, 0.0256)

    Source: we derive, from Y24's closeness identity on each prompt.
    """
    spent, gained = as_float_array("kl", kl), as_float_array("gain", gain)
    shape = (len(spent), len(law.rows))
    require(
        spent.shape == gained.shape == shape,
        f"kl and gain must have shape (policies, {shape[1]} prompts); got {spent.shape} and {gained.shape}.",
    )
    least = np.empty(shape)
    for x, family in enumerate(law.laws):
        alone = PromptAverage([family])
        most = family.max_reward - family.base_reward
        require(
            bool((gained[:, x] <= most + 1e-9 * max(1.0, most)).all()),
            f"gain must not exceed {most:.6g} on prompt {x}, its largest; got {gained[:, x].max():.6g}.",
        )
        least[:, x] = alone.kl_at_gain(np.clip(gained[:, x], 0.0, most * (1.0 - 1e-12)))
    within = (spent - least).mean(axis=1)
    require(
        bool((spent >= least - 1e-6).all()),
        f"gain must not exceed the limit at its KL; a policy lacks {(least - spent).max():.3g} nats for what it gains.",
    )
    together = np.asarray(law.average.kl_at_gain(np.maximum(gained.mean(axis=1), 0.0)))
    return WasteSplit(within, least.mean(axis=1) - together)


def policies_split(results: Results, task: str, stages: tuple[str, ...] = ("main", "ablation")) -> pd.DataFrame:
    """Return KL, ``within`` and ``allocation`` of the final policies trained on gold, one row for each run.

    Parameters
    ----------
    results : Results
        The table.
    task : str
        Which task.
    stages : tuple of str
        Which runs.
    """
    chosen = results.curves.query("task == @task and reward_name == 'gold' and split == 'train' and last")
    chosen = chosen[chosen.stage.isin(stages)]
    law = results.law(task)
    base = np.array([family.base_reward for family in law.laws])
    trained = results.prompts[results.prompts.split == "train"]
    kl, reward = (
        trained.pivot(index="run", columns="prompt", values=name).loc[chosen.run].to_numpy()
        for name in ("kl", "reward")
    )
    split = split_waste(law, kl, reward - base)
    rows = chosen[["stage", "method", "variant", "knob", "seed", "kl"]].reset_index(drop=True)
    return rows.assign(within=split.within, allocation=split.allocation)


def rule_split(law: LevelLaw, rules: Rules) -> WasteSplit:
    """Split the KL that each of several rules wastes, such as those of ``BestOfN.along([2, 4])``."""
    curves = [rules.on(family) for family in law.laws]
    kl, gain = np.stack([curve.kl for curve in curves], axis=1), np.stack([curve.gain for curve in curves], axis=1)
    return split_waste(law, kl, gain)
