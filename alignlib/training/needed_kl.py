"""How much KL a gain needs: of the best policy there is, and of best-of-N."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib.estimation import EstimatedFrontier, Fit
from alignlib.rules import BestOfN

__all__ = ["best_of_n_of", "least_kl_of"]

_SEVERAL = 24  # best-of-N, for a gain equal to the run's


def least_kl_of(
    frontier: EstimatedFrontier, far: EstimatedFrontier, gain: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the least KL at which the limit reaches a gain, and bounds; NaN beyond what the samples support.

    The upper end of the limit is known ``far`` beyond the support, by concavity, and so is a lower bound.

    Parameters
    ----------
    frontier : EstimatedFrontier
        The limit within the support.
    far : EstimatedFrontier
        The limit as far as the runs go, of which only the upper end counts.
    gain, low, high : array (k,)
        Gains with the ends of their intervals.

    Returns
    -------
    kl, kl_low, kl_high : array (k,)
        In nats per sequence.
    """

    def inverse(curve: EstimatedFrontier, limit: FloatArray, wanted: FloatArray) -> FloatArray:
        rising, root = np.maximum.accumulate(limit), np.sqrt(curve.spent)  # the limit is nearly straight in √KL
        found = np.interp(np.maximum(wanted, 0.0), rising, root) ** 2
        return np.where(wanted > rising[-1], np.nan, np.where(wanted <= 0.0, 0.0, found))

    lowest = inverse(far, far.gain_high, low)
    return inverse(frontier, frontier.gain, gain), lowest, inverse(frontier, frontier.gain_low, high)


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
    found = fit.share([BestOfN(float(n)) for n in several])

    def first(reached: FloatArray, wanted: FloatArray) -> IntArray:
        enough = reached[None, :] >= wanted[:, None]
        return np.where(enough.any(axis=1), enough.argmax(axis=1), -1)

    same, sure = first(found.gain, gain), first(found.gain_low, high)
    spent = np.append(found.spent, np.nan)  # the last for none
    return np.append(several, np.nan)[same], spent[same], spent[sure]
