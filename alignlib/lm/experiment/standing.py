"""Where a trained policy stands against the limit, by two measures that flatter in different places.

With ``Δ`` its KL, ``g`` its gain and ``G`` the frontier of an average budget: the *share* ``g / G(Δ)`` says little
where the frontier is flat; the *wasted KL* ``Δ - G⁻¹(g)`` says little where it is steep. The wasted KL is also
``min_λ KL(φ‖π_λ)``: the distance to the nearest optimum, by the closeness identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from scipy.interpolate import PchipInterpolator

from alignlib._core.checks import FloatArray, as_vector, require
from alignlib.lm.experiment.results import Results
from alignlib.lm.level_law import LevelLaw
from alignlib.rules import Rules

__all__ = ["Standing", "at_kl", "over_seeds", "rule_standing", "seed_interval", "standing", "with_standing"]


@dataclass(frozen=True)
class Standing:
    """Share of the largest gain at its KL, and KL in nats beyond the least that buys its gain; arrays (k,)."""

    share: FloatArray
    wasted: FloatArray


def standing(law: LevelLaw, kl: npt.ArrayLike, gain: npt.ArrayLike) -> Standing:
    """Compare policies with the frontier of an average budget.

    Parameters
    ----------
    law : LevelLaw
        The base's mass by reward level.
    kl, gain : arrays (k,)
        Mean KL to the base in nats, mean gain over it.

    Raises
    ------
    InputError
        If a policy lies above the frontier by more than rounding: then KL or gain was not exact.

    Examples
    --------
    >>> law = LevelLaw(np.zeros(2, dtype=int), np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    >>> found = standing(law, [0.130812], [0.2])
    >>> round(float(found.share[0]), 3), round(float(found.wasted[0]), 3)
    (0.8, 0.049)

    Source: Y24 and P26 for the frontier; the reading of wasted KL as a distance: we derive, from Y24's closeness.
    """
    spent, gained = as_vector("kl", kl), as_vector("gain", gain)
    require(spent.shape == gained.shape, f"kl and gain must have one shape; got {spent.shape} and {gained.shape}.")
    limit = np.asarray(law.average.gain_at_kl(spent))
    most = law.average.max_reward - law.average.base_reward
    above = gained > limit + 1e-6 * most
    require(
        not above.any(),
        f"gain must not exceed the limit at its KL; {int(above.sum())} of {gained.size} do, the first by "
        f"{float((gained - limit)[above][0]) if above.any() else 0.0:.3g}.",
    )
    least = np.asarray(law.average.kl_at_gain(np.clip(gained, 0.0, most * (1.0 - 1e-12))))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(limit > 0.0, gained / limit, 1.0)
    return Standing(share, spent - least)


def rule_standing(law: LevelLaw, rules: Rules) -> pd.DataFrame:
    """Return KL, gain, share and wasted KL, one row for each rule, with its parameter's ``value``."""
    curve = law.along(rules)
    found = standing(law, curve.kl, curve.gain)
    return pd.DataFrame(
        {"value": rules.values, "kl": curve.kl, "gain": curve.gain, "share": found.share, "wasted": found.wasted}
    )


def with_standing(results: Results, task: str, split: str = "train", reward_name: str = "gold") -> pd.DataFrame:
    """Return a task's rows with ``gain``, ``share`` and ``wasted`` against the limit of the reward trained on.

    Parameters
    ----------
    results : Results
        The table.
    task, split, reward_name : str
        Which rows.
    """
    law = results.law(task, reward_name, split)
    curves = results.curves
    chosen = (curves.task == task) & (curves.split == split) & (curves.reward_name == reward_name)
    rows = curves[chosen].copy()
    require(
        len(rows) > 0, f"task, split and reward_name must occur in the table; {task}, {split}, {reward_name} do not."
    )
    rows["gain"] = rows.reward - law.average.base_reward
    found = standing(law, rows.kl.to_numpy(), rows.gain.to_numpy())
    rows["share"], rows["wasted"] = found.share, found.wasted
    return rows


def at_kl(rows: pd.DataFrame, column: str, kl: npt.ArrayLike) -> FloatArray:
    """Interpolate a column of a method's rows monotonically over √KL; beyond either end it is held there.

    Parameters
    ----------
    rows : DataFrame
        A method's policies, with ``kl`` in nats and the column asked for.
    column : str
        What to interpolate.
    kl : array (k,)
        Where, in nats.

    Examples
    --------
    >>> rows = pd.DataFrame({"kl": [0.0, 1.0, 4.0], "gain": [0.0, 1.0, 2.0]})
    >>> at_kl(rows, "gain", [0.25, 9.0]).tolist()
    [0.5, 2.0]
    """
    curve = rows.sort_values("kl")
    ends = curve.kl.iloc[[0, -1]].to_numpy()
    found = PchipInterpolator(np.sqrt(curve.kl), curve[column])(np.sqrt(np.clip(as_vector("kl", kl), *ends)))
    return np.asarray(found)


def seed_interval(values: npt.ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Return mean and Student's interval for it; infinitely wide for a single seed, which says nothing of others.

    Parameters
    ----------
    values : array (n,)
        One value a seed.
    level : float
        Coverage, in (0, 1).

    Examples
    --------
    >>> mean, low, high = seed_interval([0.90, 0.91, 0.92])
    >>> round(mean, 3), round(low, 3), round(high, 3)
    (0.91, 0.885, 0.935)
    """
    array = as_vector("values", values)
    mean = float(array.mean())
    if array.size < 2:
        return mean, -np.inf, np.inf
    half = float(stats.t.ppf(0.5 + 0.5 * level, array.size - 1) * array.std(ddof=1) / np.sqrt(array.size))
    return mean, mean - half, mean + half


def over_seeds(rows: pd.DataFrame, columns: Sequence[str] = ("kl", "share", "wasted", "gain")) -> pd.DataFrame:
    """Average runs that differ in their seed only: mean, low and high of each column, and the number of seeds.

    ``kl`` becomes ``kl, kl_low, kl_high`` and so on.

    Parameters
    ----------
    rows : DataFrame
        Runs with ``stage, method, variant, knob, step, seed`` and the columns.
    columns : sequence of str
        What to average.
    """
    found = []
    for key, group in rows.groupby(["stage", "method", "variant", "knob", "step"], sort=True):
        line: dict[str, object] = dict(zip(("stage", "method", "variant", "knob", "step"), key, strict=True))
        line["n_seeds"] = group.seed.nunique()
        for column in columns:
            line[column], line[f"{column}_low"], line[f"{column}_high"] = seed_interval(group[column].to_numpy())
        found.append(line)
    return pd.DataFrame(found)
