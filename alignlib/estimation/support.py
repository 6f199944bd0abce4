"""Where the samples support the curve: the jackknife has converged and the weights have three moments."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["excess_bias", "first_strained", "remaining_bias", "strain"]

_BIAS_SHARE = 0.25  # a bias of a quarter of the standard error costs an interval 0.7 % of coverage
_SMALL_BIAS = 0.01  # of the value: many prompts shrink the standard error, and must not shrink what is supported
_LEAST_ESS = 5.0
_LEAST_TOTAL_ESS = 100.0
_MOMENTS = 3.0


def strain(
    lam: FloatArray,
    bias: FloatArray,
    value: FloatArray,
    standard_error: FloatArray,
    ess: FloatArray,
    n_prompts: int,
    tail_scale: float,
) -> FloatArray:
    """Return how far each point of a curve stretches the samples, shape (L,): up to 1 it is supported.

    The ``bias`` that the jackknife may leave is at most a quarter of the standard error, or 1 % of the value; the
    effective sample size averages at least 5, and adds up to at least 100 over the prompts; and λ is at most a
    third of the rate ``1/tail_scale`` of an exponential upper tail (0 for a lighter one), so that the weights
    ``e^{λr}`` have the three moments that bias and interval rest on.
    """
    allowed = np.maximum(_BIAS_SHARE * standard_error, _SMALL_BIAS * np.abs(value))
    few = max(_LEAST_ESS, _LEAST_TOTAL_ESS / n_prompts) / ess
    biased = np.divide(bias, allowed, out=np.where(bias > 0.0, np.inf, 0.0), where=allowed > 0.0)
    return np.asarray(np.maximum(np.maximum(biased, few), _MOMENTS * lam * tail_scale))


def first_strained(kl: FloatArray, strain: FloatArray) -> float:
    """Return the KL at which the strain first exceeds 1, between points by interpolation of logarithms.

    ``kl`` rises, shape (L,). 0 where the first point is strained, infinity where none is.

    >>> round(first_strained(np.array([0.1, 0.4, 1.6]), np.array([0.2, 0.5, 2.0])), 6)
    0.8
    """
    over = np.flatnonzero(strain > 1.0)
    if over.size == 0:
        return float("inf")
    last = int(over[0]) - 1
    if last < 0:
        return 0.0
    low, high = np.log(np.maximum(strain[last : last + 2], 1e-300))
    part = -low / (high - low) if np.isfinite(high) else 0.0
    return float(kl[last] * (kl[last + 1] / kl[last]) ** part)


def excess_bias(bias: FloatArray, value: FloatArray, standard_error: FloatArray) -> FloatArray:
    """Return by how much the bias that may remain exceeds a quarter of the standard error: intervals widen by it.

    No more than what `strain` lets pass.
    """
    return np.asarray(np.maximum(np.minimum(bias, _SMALL_BIAS * np.abs(value)) - _BIAS_SHARE * standard_error, 0.0))


def remaining_bias(plug_in: FloatArray, first_order: FloatArray, second_order: FloatArray) -> FloatArray:
    """Bound the bias left in ``second_order`` from how fast the two corrections before it shrink.

    A plug-in bias ``c n^{-a}`` makes the first correction ``b₁ = a c n^{-a}``, the second
    ``b₂ = b₁ (1-a)/2``, and leaves ``b₂ (2-a)/a``; with ``ρ = b₂/b₁`` that is ``b₂ (1+2ρ)/(1-2ρ)``. Light tails
    have a = 1 and the next power left over, which is smaller; weights without a variance have a < 1, where
    this is what remains. Infinite for |ρ| ≥ ½.
    """
    one, two = first_order - plug_in, second_order - first_order
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(two == 0.0, 0.0, two / one)
        factor = np.where(np.abs(ratio) < 0.5, (1.0 + 2.0 * ratio) / (1.0 - 2.0 * ratio), np.inf)
        return np.asarray(np.where(two == 0.0, 0.0, np.abs(two) * factor))
