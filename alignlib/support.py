"""Where the samples support the curve: the jackknife has converged and the weights have three moments."""

from __future__ import annotations

import numpy as np

from alignlib._checks import BoolArray, FloatArray

__all__ = ["remaining_bias", "supported_prefix"]

_BIAS_SHARE = 0.25  # a bias of a quarter of the standard error costs an interval 0.7 % of coverage
_LEAST_ESS = 5.0
_LEAST_TOTAL_ESS = 100.0
_MOMENTS = 3.0


def supported_prefix(
    lam: FloatArray,
    plug_in: FloatArray,
    first_order: FloatArray,
    second_order: FloatArray,
    standard_error: FloatArray,
    ess: FloatArray,
    n_prompts: int,
    tail_scale: float,
) -> BoolArray:
    """Mark the λ, from the smallest on, at which all of three conditions hold; arrays of shape (L,).

    The bias that the jackknife may leave is at most a quarter of the standard error; the effective sample size
    averages at least 5, and adds up to at least 100 over the prompts; and λ is at most a third of the rate
    ``1/tail_scale`` of an exponential upper tail (0 for a lighter one), so that the weights ``e^{λr}`` have the
    three moments that bias and interval rest on.
    """
    small = remaining_bias(plug_in, first_order, second_order) <= _BIAS_SHARE * standard_error
    moments = _MOMENTS * lam * tail_scale <= 1.0
    enough = ess >= max(_LEAST_ESS, _LEAST_TOTAL_ESS / n_prompts)
    return np.asarray(np.logical_and.accumulate(small & enough & moments))


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
