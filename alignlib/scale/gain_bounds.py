"""What samples in bins gain at a KL or by best-of-N, and spend for a gain, is at least and at most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector, require_range
from alignlib.estimation import counted_rules
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from alignlib.scale.bins import Bins
from alignlib.scale.bounds import Atoms, counted_samples, lower_atoms, upper_atoms

__all__ = ["best_of_n_bounds", "gain_bounds", "kl_bounds"]

_ROUNDED = 1e-12  # of the range of rewards, and of nats


def gain_bounds(bins: Bins, width: float, kl: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return what ``min_λ (Δ + Λ(λ))/λ - r̄`` of a prompt's samples is at least and at most, at each budget Δ.

    Λ lies between those of two laws, whatever λ is, and what is minimised rises with it; their means are that of the
    samples, but where only the ends of a bin are known.

    Parameters
    ----------
    bins : Bins
        Those of one prompt.
    width : float
        Their width.
    kl : float or array (k,)
        Budgets in nats, ≥ 0.

    Returns
    -------
    low, high : array (k,)
        In units of reward.

    Raises
    ------
    InputError
        For a negative budget.

    Examples
    --------
    >>> rewards = np.random.default_rng(0).standard_normal(10_000)
    >>> bins = Bins.of(np.zeros(10_000, dtype=np.int64), [rewards], [2.0**-6])
    >>> low, high = gain_bounds(bins, 2.0**-6, 0.5)
    >>> exact = FiniteLaw(rewards).gain_at_kl(0.5)
    >>> bool(low[0] <= exact <= high[0]), bool(high[0] - low[0] < 1e-5)
    (True, True)

    Source: the laws are Markov's and Krein's (Karlin and Studden, 1966); their use on bins is ours.
    """
    budgets = require_range("kl", np.atleast_1d(as_vector("kl", np.atleast_1d(kl))), 0.0)
    lower, upper = lower_atoms(bins, width), upper_atoms(bins, width)
    off = lower.slack + _mean(upper) - _mean(lower) + _ROUNDED * _span(bins)
    return _law(lower).gain_at_kl(budgets) - off, _law(upper).gain_at_kl(budgets) + off


def kl_bounds(bins: Bins, width: float, gain: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return what ``max_λ λ(g + r̄) - Λ(λ)`` of a prompt's samples is at least and at most, at each gain g.

    Parameters
    ----------
    bins : Bins
        The bins of one prompt.
    width : float
        Their width, a power of two.
    gain : float or array (k,)
        From 0 to the largest of the samples, in units of reward.

    Returns
    -------
    low, high : array (k,)
        In nats.

    Raises
    ------
    InputError
        For a gain out of that range.

    Examples
    --------
    >>> rewards = np.random.default_rng(0).standard_normal(10_000)
    >>> bins = Bins.of(np.zeros(10_000, dtype=np.int64), [rewards], [2.0**-6])
    >>> low, high = kl_bounds(bins, 2.0**-6, 1.0)
    >>> exact = FiniteLaw(rewards).kl_at_gain(1.0)
    >>> bool(low[0] <= exact <= high[0]), bool(high[0] - low[0] < 1e-5)
    (True, True)
    """
    lower, upper = lower_atoms(bins, width), upper_atoms(bins, width)
    off = lower.slack + _mean(upper) - _mean(lower) + _ROUNDED * _span(bins)
    mean = _mean(lower)
    top = float(bins.most.max()) - mean
    asked = require_range("gain", np.atleast_1d(as_vector("gain", np.atleast_1d(gain))), 0.0, top)
    least, most = (_law(one) for one in (upper, lower))
    low = least.kl_at_gain(np.maximum(np.minimum(asked, _top(upper)) - off, 0.0))
    high = most.kl_at_gain(np.minimum(asked + off, _top(lower)))
    return np.maximum(low - _ROUNDED, 0.0), high + _ROUNDED


def best_of_n_bounds(bins: Bins, width: float, n: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return what the mean of best-of-N over a prompt's samples, without bias, gains at least and at most, at each N.

    A sample of rank i is kept with a chance that rises with i: by Chebyshev's inequality its covariance with the reward
    within a bin is not negative, and by that of Cauchy and Schwarz it is no more than the product of the deviations.

    Parameters
    ----------
    bins : Bins
        The bins of one prompt.
    width : float
        Their width, a power of two.
    n : float or array (k,)
        N ≥ 1, up to the number of samples.

    Returns
    -------
    low, high : array (k,)
        In units of reward.

    Raises
    ------
    InputError
        If an N is below 1 or above the number of samples.

    Examples
    --------
    >>> rewards = np.random.default_rng(0).standard_normal(10_000)
    >>> bins = Bins.of(np.zeros(10_000, dtype=np.int64), [rewards], [2.0**-6])
    >>> low, high = best_of_n_bounds(bins, 2.0**-6, 2)
    >>> exact = np.sort(rewards) @ (2.0 * np.arange(10_000) / (10_000 * 9_999)) - rewards.mean()
    >>> bool(low[0] <= exact <= high[0]), bool(high[0] - low[0] < 2e-5)
    (True, True)
    """
    samples = counted_samples(bins, width)
    draws = require_range("n", np.atleast_1d(as_vector("n", np.atleast_1d(n))), 1.0, float(samples.size))
    found = counted_rules(samples, [BestOfN(one) for one in draws.tolist()])
    return found.gain - found.gain_below, found.gain + found.gain_above


def _law(atoms: Atoms) -> FiniteLaw:
    return FiniteLaw(atoms.value, atoms.count / atoms.count.sum())


def _top(atoms: Atoms) -> float:
    """The largest gain of the law."""
    return float(atoms.value[0]) - _mean(atoms)


def _mean(atoms: Atoms) -> float:
    """That of the samples, but where only the ends of a bin are known."""
    return float(atoms.count @ atoms.value / atoms.count.sum())


def _span(bins: Bins) -> float:
    return float(bins.most.max() - bins.least.min())
