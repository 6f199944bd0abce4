"""Gold predicted at the KLs of a run from samples of its base: of the tilt by the proxy, and of best-of-N."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import scipy

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib.estimation import Fit, GoldEstimate

__all__ = ["Predicted", "by_prediction", "predict_gold"]


@dataclass(frozen=True, eq=False)
class Predicted(SameFields):
    """What base samples that proxy and gold have scored say of each checkpoint's KL.

    Gains are over the base, NaN where the samples do not support one.

    Attributes
    ----------
    proxy, gold : str
        The rewards.
    base_gold, base_error : float
        Mean gold of the base, with its standard error.
    tilted, tilted_low, tilted_high : array (k,)
        Gold gain of the policy with the most proxy for that KL, with its interval.
    tilted_error : array (k,)
        Its standard error.
    behind_error : array (k,)
        Standard error of its distance to the best of them.
    best_of_n, best_of_n_low, best_of_n_high : array (k,)
        Gold gain of best-of-N by the proxy at that KL, of an N between two whole ones.
    along_lam : GoldEstimate, optional
        The curve itself, with where it turns; None where there is none.
    along_n : GoldEstimate
        The same along N.

    Examples
    --------
    >>> from alignlib.estimation import fit_frontier
    >>> from alignlib.tables import example_table
    >>> fit = fit_frontier(example_table(60, 16, 0.7, np.random.default_rng(1)), "reward", n_boot=100)
    >>> found = predict_gold(np.array([0.0, 0.05]), fit, "gold")
    >>> found.proxy, found.gold, bool(found.best_of_n_low[1] < found.best_of_n[1] < found.best_of_n_high[1])
    ('reward', 'gold', True)
    """

    proxy: str
    gold: str
    base_gold: float
    base_error: float
    tilted: FloatArray
    tilted_low: FloatArray
    tilted_high: FloatArray
    tilted_error: FloatArray
    behind_error: FloatArray
    best_of_n: FloatArray
    best_of_n_low: FloatArray
    best_of_n_high: FloatArray
    along_lam: GoldEstimate | None
    along_n: GoldEstimate


def predict_gold(kl: FloatArray, fit: Fit, column: str) -> Predicted:
    """Predict gold at each KL (k,) from base samples: of the tilt by the proxy, and of best-of-N.

    Parameters
    ----------
    kl : array (k,)
        KL of the checkpoints in nats.
    fit : Fit
        The limit of the proxy.
    column : str
        Gold, in the same table.
    """
    table, size = fit.table, kl.size
    along_n = fit.gold(column)
    reach = np.clip(kl, 0.0, None)
    beyond = (reach > along_n.spent[-1]) | (kl < 0.0)  # a negative one has no place on the frontier

    def between(values: FloatArray) -> FloatArray:  # two whole N, of which any N has a smooth gold in √KL
        if not along_n.spent.any():
            return np.where(beyond, np.nan, values[0])
        curve = scipy.interpolate.PchipInterpolator(*_distinct(np.sqrt(along_n.spent), values))
        return np.where(beyond, np.nan, curve(np.sqrt(np.where(beyond, 0.0, reach))))

    nothing = np.full(size, np.nan)
    tilted = {name: nothing.copy() for name in ("gold_gain", "gold_low", "gold_high", "gold_error", "behind_error")}
    along_lam = None
    with suppress(InputError):  # too few samples for any λ; best-of-N is known all the same
        along_lam = fit.tilted_gold(column)
    if along_lam is not None:
        at = fit.at(reach, strict=False)
        lam = at.lam
        known = at.supported & (lam > 0.0) & (lam <= along_lam.parameter[-1] * (1.0 + 1e-12))
        wanted, place = np.unique(lam[known], return_inverse=True)
        if wanted.size:
            found = fit.tilted_gold(column, wanted)
            for name, values in tilted.items():
                values[known] = getattr(found, name)[place]
        for name, values in tilted.items():
            values[kl == 0.0] = 0.0 if name != "behind_error" else np.nan
            values[kl < 0.0] = np.nan
    means = table.prompt_means(column)
    units = means if means.size > 1 else table.column(column)
    return Predicted(
        proxy=fit.reward,
        gold=column,
        base_gold=float(means.mean()),
        base_error=float(units.std(ddof=1) / math.sqrt(units.size)),
        tilted=tilted["gold_gain"],
        tilted_low=tilted["gold_low"],
        tilted_high=tilted["gold_high"],
        tilted_error=tilted["gold_error"],
        behind_error=tilted["behind_error"],
        best_of_n=between(along_n.gold_gain),
        best_of_n_low=between(along_n.gold_low),
        best_of_n_high=between(along_n.gold_high),
        along_lam=along_lam,
        along_n=along_n,
    )


def by_prediction(found: Predicted) -> tuple[int, FloatArray, FloatArray]:
    """Return the best checkpoint by predicted gold, how far others lie behind, and the error of that.

    Parameters
    ----------
    found : Predicted
        What base samples expect.

    Returns
    -------
    best : int
        Position of the best checkpoint.
    behind : array (k,)
        How far others lie behind.
    error : array (k,)
        Standard error of that.

    Raises
    ------
    InputError
        If the samples support no checkpoint but the base.
    """
    if not (np.isfinite(found.tilted) & (found.tilted_error > 0.0)).any():
        raise InputError(
            f"No checkpoint's KL is above 0 and within what the base samples of {found.proxy!r} and {found.gold!r} "
            "support, so no gold can be predicted; draw more samples per prompt, or measure gold at checkpoints.",
            argument="gold",
        )
    best = int(np.nanargmax(found.tilted))
    behind = found.tilted[best] - found.tilted
    # The base itself gains nothing, without error: the difference to it has the error of the other.
    start = found.tilted_error == 0.0
    apart = np.where(start, found.tilted_error[best], found.behind_error)
    if start[best]:
        apart = found.tilted_error.copy()
    apart[best] = 0.0
    return best, behind, apart


def _distinct(place: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the values at different places: where a proxy hardly varies two N may spend alike."""
    kept = np.append(True, np.diff(np.maximum.accumulate(place)) > 0.0)
    return place[kept], values[kept]
