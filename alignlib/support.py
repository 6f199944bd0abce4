"""Where the samples support the curve: a bound on the bias that the jackknife leaves behind."""

from __future__ import annotations

import numpy as np

from alignlib._checks import FloatArray

__all__ = ["remaining_bias"]


def remaining_bias(plug_in: FloatArray, first_order: FloatArray, second_order: FloatArray) -> FloatArray:
    """Bound the bias left in ``second_order`` from how fast the two corrections before it shrink.

    A plug-in bias ``c n^{-a}`` makes the first correction ``b₁ = a c n^{-a}``, the second
    ``b₂ = b₁ (1-a)/2``, and leaves ``b₂ (2-a)/a``; with ``ρ = b₂/b₁`` that is ``b₂ (1+2ρ)/(1-2ρ)``. Light tails
    have a = 1 and the next power left over, which is smaller; weights without a variance have a < 1, where
    this is what remains. Infinite for ρ ≥ ½.
    """
    one, two = first_order - plug_in, second_order - first_order
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(two == 0.0, 0.0, two / one)
        factor = np.where(np.abs(ratio) < 0.5, (1.0 + 2.0 * ratio) / (1.0 - 2.0 * ratio), np.inf)
        return np.asarray(np.where(two == 0.0, 0.0, np.abs(two) * factor))
