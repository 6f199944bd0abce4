"""The least KL that a run's gain needs, by the limit and by best-of-N, and what the run spent beyond that."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.estimation import EstimatedFrontier, Fit
from alignlib.estimation.rules import evaluate_rules
from alignlib.rules import BestOfN
from alignlib.training.logs.training_log import TrainingLog

__all__ = ["Limit", "best_of_n_of", "least_kl_of", "of_kl_alone"]

_GRID = 160
_SEVERAL, _BETWEEN = 24, 256  # best-of-N, for a gain equal to the run's, at first and then between two of them


@dataclass(frozen=True, eq=False)
class Limit(SameFields):
    """The limit of runs on the same prompts, as far as they go.

    Attributes
    ----------
    fit : Fit
        The reward.
    end : float
        Where the samples' support ends.
    within, far : EstimatedFrontier
        Up to there, and as far as the runs go.
    """

    fit: Fit
    end: float
    within: EstimatedFrontier
    far: EstimatedFrontier

    @classmethod
    def of(cls, fit: Fit, log: TrainingLog) -> Limit:
        """Estimate it.

        Parameters
        ----------
        fit : Fit
            The reward.
        log : TrainingLog
            The runs.
        """
        most = log.ends[1]
        furthest = float(max(np.maximum(log.kl, 0.0).max(), most[np.isfinite(most)].max(initial=0.0)))
        end = fit.frontier.supported_end
        if not math.isfinite(end):  # known bounds: the limit is asked for as far as the run goes, and beyond its gains
            end = max(2.0 * furthest, float(fit.frontier.spent[-1]))
        grid = np.linspace(0.0, 1.0, _GRID) ** 2
        within = fit.at(grid * end)
        return cls(fit, end, within, fit.at(grid * furthest, strict=False) if furthest > end else within)


def least_kl_of(
    limit: Limit, gain: FloatArray, low: FloatArray, high: FloatArray, spent: FloatArray, enough: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the least KL at which the limit reaches a gain, and bounds; NaN beyond what the samples support.

    The upper end of the limit is known ``far`` beyond the support, by concavity, and so is a lower bound.

    Parameters
    ----------
    limit : Limit
        The limit of the run's prompts.
    gain, low, high : array (k,)
        Gains with the ends of their intervals.
    spent, enough : array (k,)
        The KL that the run spent, and that of a best-of-N that surely gains as much: no more is needed.

    Returns
    -------
    kl, kl_low, kl_high : array (k,)
        In nats per sequence.
    """

    def inverse(curve: EstimatedFrontier, limit: FloatArray, wanted: FloatArray) -> FloatArray:
        rising, root = np.maximum.accumulate(limit), np.sqrt(curve.spent)  # the limit is nearly straight in √KL
        found = np.interp(np.maximum(wanted, 0.0), rising, root) ** 2
        return np.where(wanted > rising[-1], np.nan, np.where(wanted <= 0.0, 0.0, found))

    needed = inverse(limit.within, limit.within.gain, gain)
    least = inverse(limit.far, limit.far.gain_high, low)
    most = np.fmin(inverse(limit.within, limit.within.gain_low, high), enough)
    # Whoever gained g by spending κ shows that g needs no more than κ.
    most = np.where(np.isnan(most), spent, most)
    least = np.where(np.isnan(least), limit.far.spent[-1], least)
    # Above the limit it shows no such thing, and an interval holds its estimate.
    least = np.fmin(least, needed)
    return needed, least, np.fmax(most, np.fmax(needed, least))


def of_kl_alone(limit: Limit, spent: FloatArray, needed: FloatArray) -> FloatArray:
    """Return the part of an error of the KL that the waste has besides that of the distance to the limit, (k,).

    With ``s(κ)`` the slope of the limit, an error dK of the KL K moves the distance D of a gain G to the limit by
    ``dD = dG - s(K) dK``, and the waste ``K - needed(G)`` by ``dK - dG/s(needed) = dK (1 - s(K)/s(needed)) -
    dD/s(needed)``. So at the limit the error of the distance is all, and for no gain dK is all, as it is where the
    samples do not tell the slope.

    Parameters
    ----------
    limit : Limit
        The limit of the run's prompts.
    spent, needed : array (k,)
        The KL that the run spent, and that which its gain needs.
    """
    curve = limit.within
    own, of_gain = (np.interp(np.sqrt(kl), np.sqrt(curve.spent), curve.lam) for kl in (spent, needed))
    with np.errstate(divide="ignore", invalid="ignore"):
        part = 1.0 - of_gain / own  # the slope is 1/λ
    return np.where((spent <= limit.end) & (own > 0.0), np.clip(part, 0.0, 1.0), 1.0)


def best_of_n_of(fit: Fit, gain: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the least N whose best-of-N gains as much, its KL, and the KL of one that surely does; NaN without.

    Parameters
    ----------
    fit : Fit
        The reward, fitted on samples of the base model.
    gain, high : array (k,)
        Gains with the upper ends of their intervals.

    Returns
    -------
    n, kl, kl_high : array (k,)
        KLs in nats per sequence.
    """
    most = int(fit.table.n_samples.min())
    several = np.unique(np.geomspace(1.0, most, _SEVERAL).round())

    def first(reached: FloatArray, wanted: FloatArray) -> IntArray:
        enough = reached[None, :] >= wanted[:, None]
        return np.where(enough.any(axis=1), enough.argmax(axis=1), -1)

    for last in (False, True):
        found = _estimates(fit, several)
        same, sure = first(found[1], gain), first(found[2], high)
        if not last:  # each between the largest N that is too small and the least that is enough
            ends = np.unique(np.concatenate([same, sure]))
            gaps = [np.arange(several[i - 1], several[i]) for i in ends.tolist() if i > 0]
            between = np.unique(np.concatenate([several[:0], *gaps]))
            closer = np.union1d(several, between[:: max(math.ceil(between.size / _BETWEEN), 1)])
            if closer.size == several.size:  # none is between
                break
            several = closer
    spent = np.append(found[0], np.nan)  # the last for none
    return np.append(several, np.nan)[same], spent[same], spent[sure]


def _estimates(fit: Fit, several: FloatArray) -> FloatArray:
    """Return what the best of each N spends and gains, and the lower end of the gain, (3, k); no share of the limit."""
    rules = [BestOfN(float(n)) for n in several]
    found = evaluate_rules(
        *(fit.table, fit.reward, fit.reward, rules, fit.cells, fit.weights, None, 0.0, fit.level),
        divergence=fit.divergence,
        win_rate=fit.win_rate,
    )
    return np.stack([found.spent, found.gain, np.maximum(found.gain_low, 0.0)])  # the best of N is no worse than one
