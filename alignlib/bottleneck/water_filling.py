"""Reverse water-filling: a capacity budget split over Gaussian contexts, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector, require, require_range
from alignlib._core.same import SameFields
from alignlib.bottleneck._channel import context_law

__all__ = ["GaussianAllocation", "reverse_water_filling"]


@dataclass(frozen=True, eq=False)
class GaussianAllocation(SameFields):
    """A budget split over Gaussian contexts.

    Attributes
    ----------
    rate : array (contexts,)
        Nats spent in each.
    distortion : array (contexts,)
        Mean squared error in each.
    level : float
        The water level: the error of every context that spends anything.
    loss : float
        Mean squared error over contexts.
    gap : float
        How far that may lie above the least, certified.
    """

    rate: FloatArray
    distortion: FloatArray
    level: float
    loss: float
    gap: float


def reverse_water_filling(
    variance: npt.ArrayLike, budget: float, context_prob: npt.ArrayLike | None = None
) -> GaussianAllocation:
    r"""Minimise ``Σ w_s D_s`` within ``Σ w_s ½ log(σ_s²/D_s) ≤ budget``: ``D_s = min(level, σ_s²)``.

    Parameters
    ----------
    variance : array (contexts,)
        Variances ``σ_s² > 0`` of the target in each context; the loss is the squared error.
    budget : float
        Mean number of nats per judgement, >= 0.
    context_prob : array (contexts,), optional
        Law ``w`` of the context, equal shares if omitted.

    Raises
    ------
    InputError
        If a variance is not positive, the budget negative, or the shapes disagree.

    Examples
    --------
    >>> split = reverse_water_filling([4.0, 1.0, 0.1], budget=0.5)
    >>> split.rate.round(4).tolist(), round(split.level, 4)
    ([1.0966, 0.4034, 0.0], 0.4463)

    Source: reverse water-filling (Kolmogorov 1956; Cover and Thomas), applied to contexts.
    """
    sigma2 = as_vector("variance", require_range("variance", variance, 0.0, open_low=True))
    require(math.isfinite(budget) and budget >= 0, f"budget must be a number >= 0 in nats; got {budget!r}.")
    weight = context_law(context_prob, sigma2.size)
    log_sigma2 = np.log(sigma2)
    order = np.argsort(-log_sigma2)
    w, x = weight[order], log_sigma2[order]
    share = np.cumsum(w)
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = (np.cumsum(w * x) - 2.0 * budget) / share
    # With the k largest variances under water the level must lie below the k-th and not below the next.
    fits = (share > 0) & (levels <= x + 1e-15 * np.abs(x)) & (levels >= np.append(x[1:], -np.inf))
    log_level = float(levels[int(np.argmax(fits))]) if fits.any() else float(x[0])
    level = math.exp(log_level)
    distortion = np.minimum(level, sigma2)
    rate = 0.5 * np.maximum(log_sigma2 - log_level, 0.0)
    loss = float(weight @ distortion)
    # Dual at slope 1/(2 level): minimise each context's Lagrangian on its own.
    dual = float(weight @ (distortion + 2 * level * rate)) - 2 * level * budget
    return GaussianAllocation(rate, distortion, level, loss, abs(loss - dual))
