"""Mean of one reward under the tilt by another, from samples, with its O(1/n) and O(1/n²) biases removed.

``E_p[g e^{λr̂}] / E_p e^{λr̂}`` is the derivative at ``ε = 0`` of ``log E_p e^{λr̂ + εg}``, and so are its jackknives: the
closed form for log-partition functions serves for gold too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation.jackknife import jackknife_log_partition

__all__ = ["TiltedMeanEstimate", "jackknife_tilted_mean"]

# The central difference errs by ε² and its rounding by 1e-15/ε, both relative to the spread of gold.
_STEP = 3e-5


@dataclass(frozen=True)
class TiltedMeanEstimate:
    """Estimates of ``E_{π̂_λ} g``, one per prompt, and of ``Λ(λ)``; arrays of shape (prompts,)."""

    plug_in: FloatArray
    first_order: FloatArray
    second_order: FloatArray
    log_partition: FloatArray
    ess: FloatArray
    largest_weight: FloatArray


def jackknife_tilted_mean(proxy: FloatArray, gold: FloatArray, lam: float) -> TiltedMeanEstimate:
    """Estimate the mean of ``gold`` under the tilt of each prompt by ``λ·proxy``.

    Parameters
    ----------
    proxy : array (prompts, n)
        Rows sorted from the largest proxy down, n >= 3.
    gold : array (prompts, n)
        The reward that counts, of the same samples in the same order.
    lam : float
        λ >= 0.

    Examples
    --------
    >>> estimate = jackknife_tilted_mean(np.array([[2.0, 1.0, 0.0, 0.0]]), np.array([[1.0, 3.0, 0.0, 0.0]]), 0.0)
    >>> estimate.plug_in.round(8).tolist(), estimate.second_order.round(6).tolist()
    ([1.0], [1.0])

    Source: covariance form of P26; the jackknife is that of `jackknife_log_partition`.
    """
    centre = gold.mean(axis=1, keepdims=True)
    off = gold - centre
    spread = float(np.abs(off).max())
    step = _STEP / spread if spread > 0.0 else 1.0
    x = lam * (proxy - proxy[:, :1])
    up, down = (jackknife_log_partition(x + sign * step * off, 1.0) for sign in (1.0, -1.0))
    parts = {
        name: (getattr(up, name) - getattr(down, name)) / (2.0 * step) + centre[:, 0]
        for name in ("plug_in", "first_order", "second_order")
    }
    log_partition = (up.second_order + down.second_order) / 2.0 + lam * proxy[:, 0]
    return TiltedMeanEstimate(**parts, log_partition=log_partition, ess=up.ess, largest_weight=up.largest_weight)
