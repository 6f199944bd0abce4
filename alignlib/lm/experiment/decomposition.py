"""Where wasted KL comes from, as parts that add up: objective, allocation over prompts, optimisation, generalisation.

A policy's wasted KL is its distance to the nearest optimum, ``min_λ mean_x KL(φ_x‖π_{x,λ})``: one λ for all prompts. If
every prompt may have a λ of its own the distance is smaller; what remains is wasted *within* prompts, and the
difference is the price of the *allocation*, of effective λ that differ from prompt to prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.lm.experiment.curves import Curves
from alignlib.lm.experiment.results import PerPrompt

__all__ = ["Parts", "WasteSplit", "best_of_n_waste", "decompose", "fixed_point_waste", "split_waste"]


@dataclass(frozen=True, eq=False)
class WasteSplit(SameFields):
    """Wasted KL in nats, averaged over prompts, as the sum of two parts that are never negative.

    Attributes
    ----------
    within : array (k,)
        What is wasted on each prompt, given what is spent there.
    allocation : array (k,)
        What is wasted by how the KL is split over prompts.

    Examples
    --------
    >>> WasteSplit(np.array([0.25]), np.array([0.5])).total.tolist()
    [0.75]
    """

    within: FloatArray
    allocation: FloatArray

    @property
    def total(self) -> FloatArray:
        """The wasted KL."""
        return self.within + self.allocation


def split_waste(curves: Curves, found: PerPrompt) -> WasteSplit:
    """Split ``Δ - G⁻¹(g)`` into ``mean_x [Δ_x - G_x⁻¹(g_x)]`` and ``mean_x G_x⁻¹(g_x) - G⁻¹(g)``.

    ``G_x`` is the frontier of prompt x, ``G`` that of a budget on the average; a gain below zero needs no KL.

    Source: we derive, from Y24's closeness identity on each prompt.

    Parameters
    ----------
    curves : Curves
        The limit on the prompts.
    found : PerPrompt
        KL and reward of k policies on each prompt.

    Examples
    --------
    >>> from alignlib.lm.level_law import LevelLaw
    >>> law = LevelLaw(np.zeros(2, dtype=np.int64), np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    >>> found = split_waste(Curves(law), PerPrompt(np.array([[0.2]]), np.array([[0.5]])))  # no gain: all is wasted
    >>> found.total.tolist()
    [0.2]
    """
    gain = found.reward - curves.base_reward
    least = np.stack(
        [
            np.interp(np.maximum(own, 0.0), limit, np.sqrt(kl)) ** 2
            for own, limit, kl in zip(gain.T, curves.limit_gain, curves.limit_kl, strict=True)
        ],
        axis=1,
    )
    together = curves.weighed().least_kl(gain.mean(axis=1))
    return WasteSplit((found.kl - least).mean(axis=1), least.mean(axis=1) - together)


def best_of_n_waste(curves: Curves, kl: float) -> WasteSplit:
    """Split what best-of-N wastes at a mean KL, for real N; see `split_waste`.

    Parameters
    ----------
    curves : Curves
        The limit on the prompts.
    kl : float
        Mean KL in nats.

    Examples
    --------
    >>> from alignlib.lm.level_law import LevelLaw
    >>> law = LevelLaw(np.zeros(3, dtype=np.int64), np.arange(3.0), np.array([0.5, 0.25, 0.25]), np.arange(3.0))
    >>> found = best_of_n_waste(Curves(law), 0.2)
    >>> bool(0.0 < found.within[0] < 0.1), found.allocation.round(9).tolist()  # a single prompt
    (True, [0.0])
    """
    mean = curves.best_kl.mean(axis=0)
    at = [np.interp(np.sqrt(kl), np.sqrt(mean), row) for row in curves.best_kl]
    gain = [np.interp(np.sqrt(kl), np.sqrt(mean), row) for row in curves.best_gain]
    return split_waste(curves, PerPrompt(np.array([at]), np.array([gain]) + curves.base_reward))


def fixed_point_waste(curves: Curves, points: pd.DataFrame, penalty: str, kl: float) -> WasteSplit:
    """Split what an objective's exact fixed point wastes at a mean KL, interpolated over √KL between its penalties.

    Parameters
    ----------
    curves : Curves
        The limit on the prompts of the table.
    points : DataFrame
        Columns ``penalty, beta, prompt, kl, reward``.
    penalty : str
        Which objective.
    kl : float
        In nats; held at the ends of the curve.

    Raises
    ------
    InputError
        If the table has no such objective, or not all its prompts.

    Examples
    --------
    >>> from alignlib.lm.level_law import LevelLaw
    >>> law = LevelLaw(np.zeros(2, dtype=np.int64), np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    >>> points = pd.DataFrame({"penalty": "k2", "beta": [1.0, 2.0], "prompt": 0, "kl": [0.2, 0.1]})
    >>> points["reward"] = [0.7, 0.6]
    >>> bool(fixed_point_waste(Curves(law), points, "k2", 0.2).within[0] > 0.0)
    True
    """
    rows = points[points.penalty == penalty]
    require(len(rows) > 0, f"penalty must be one of {', '.join(sorted(set(points.penalty)))}; got {penalty!r}.")
    wide = {name: rows.pivot(index="beta", columns="prompt", values=name).to_numpy() for name in ("kl", "reward")}
    require(
        wide["kl"].shape[1] == len(curves.limit_kl),
        f"points must be on the {len(curves.limit_kl)} prompts of the curves; they are on {wide['kl'].shape[1]}.",
    )
    order = np.argsort(wide["kl"].mean(axis=1))
    split = split_waste(curves, PerPrompt(wide["kl"][order], wide["reward"][order]))
    place = np.sqrt(np.concatenate([[0.0], wide["kl"].mean(axis=1)[order]]))
    within, allocation = (
        np.interp(np.sqrt(kl), place, np.concatenate([[0.0], part])) for part in (split.within, split.allocation)
    )
    return WasteSplit(np.array([within]), np.array([allocation]))


@dataclass(frozen=True)
class Parts:
    """The wasted KL of a method on test prompts, in nats, as a sum.

    Attributes
    ----------
    objective : float
        What the exact fixed point of its objective wastes at the same KL.
    allocation : float
        What the trained policy wastes more than that by the split of KL over prompts.
    optimisation : float
        The rest, a residual: what sampling, steps, rates and the network leave within prompts.
    generalisation : float
        What learning from few prompts instead of fresh ones adds.

    Examples
    --------
    >>> round(Parts(objective=0.01, allocation=0.02, optimisation=0.04, generalisation=0.23).total, 6)
    0.3
    """

    objective: float
    allocation: float
    optimisation: float
    generalisation: float

    @property
    def total(self) -> float:
        """The wasted KL."""
        return self.objective + self.allocation + self.optimisation + self.generalisation


def decompose(objective: WasteSplit, fresh: WasteSplit, few: WasteSplit | None = None) -> Parts:
    """Add up the parts, averaged over seeds.

    Parameters
    ----------
    objective : WasteSplit
        Of the objective's fixed point, at the KL of the policies trained on fresh prompts.
    fresh : WasteSplit
        Of policies trained on fresh prompts, one entry a seed.
    few : WasteSplit, optional
        Of policies trained on few prompts, on the same test prompts.

    Examples
    --------
    >>> one = WasteSplit(np.array([0.01]), np.array([0.02]))
    >>> trained = WasteSplit(np.array([0.04]), np.array([0.03]))
    >>> parts = decompose(one, trained, WasteSplit(np.array([0.2]), np.array([0.1])))
    >>> round(parts.generalisation, 3), round(parts.total, 3)
    (0.23, 0.3)
    """
    return Parts(
        objective=float(objective.total.mean()),
        allocation=float(fresh.allocation.mean() - objective.allocation.mean()),
        optimisation=float(fresh.within.mean() - objective.within.mean()),
        generalisation=0.0 if few is None else float(few.total.mean() - fresh.total.mean()),
    )
