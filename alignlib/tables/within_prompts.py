"""Sums of squares and products of rewards about their means, within each prompt."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.tables.counted_samples import CountedSamples

__all__ = ["products", "products_of_counted", "squares_of_counted"]


def products(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Return the sums of products of two rewards about their means, of each prompt.

    Parameters
    ----------
    rows, others : array (prompts, samples)
        The rewards.

    Examples
    --------
    >>> products(np.array([[0.0, 1.0]]), np.array([[4.0, 2.0]])).tolist()
    [-1.0]
    """
    about, other = (one - one.mean(axis=1, keepdims=True) for one in (rows, others))
    return np.asarray((about * other).sum(axis=1))


def squares_of_counted(samples: CountedSamples) -> float:
    """Return the sum of squares about their mean of the samples of a prompt in bins, whose variances are known.

    Parameters
    ----------
    samples : CountedSamples
        The samples.
    """
    return float(samples.count @ np.square(samples.value - samples.mean))


def products_of_counted(samples: CountedSamples, other: str) -> tuple[float, float]:
    """Return the sum of products of the reward and another about their means, and how far it may be off.

    Parameters
    ----------
    samples : CountedSamples
        The samples of a prompt in bins.
    other : str
        The other reward.

    Returns
    -------
    product, off : float
        In both units.
    """
    bins, its, n = samples.bins, samples.further[other], samples.bins.count
    inner = np.maximum(n - 2.0, 0.0)
    mean = (bins.least + (n > 1.0) * bins.most + inner * bins.mean) / n - samples.mean
    of_other = its.mean - n @ its.mean / n.sum()
    rounding = its.slack * np.abs(mean) + bins.slack * np.abs(of_other)
    return float(n @ (mean * of_other + its.covariance)), float(n @ (its.covariance_off + rounding))
