"""Single tokens under best-of-N of whole sequences: their law, and what they know of each other."""

from __future__ import annotations

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.sequences.memoryless import MemorylessModel

__all__ = ["token_law", "total_correlation"]


def token_law(model: MemorylessModel, log_n: float) -> FloatArray:
    """Return the law of one token when the best of N sequences is kept.

    Given the sum, a token of letter a leaves ``S - ρ(a)`` to the others:
    ``π_N(y_1=a) = Σ_s p(a) P_{m-1}(s - ρ(a)) π_N(s)/P_m(s)``.

    Parameters
    ----------
    model : MemorylessModel
        Base model of m tokens.
    log_n : float
        ``log N >= 0`` in nats.

    Examples
    --------
    >>> import math
    >>> token_law(MemorylessModel([0.5, 0.5], [0.0, 1.0], 2), math.log(2)).round(6).tolist()
    [0.3125, 0.6875]
    """
    reward, prob = model.token_reward, model.token_prob
    whole = model.sum_law()
    log_ratio = whole.best_of_n(log_n).log_prob - whole.log_prob
    if model.length == 1:
        rest_sums, rest_log = np.zeros(1), np.zeros(1)
        rest_lowest = 0.0
    else:
        rest = MemorylessModel(prob, reward, model.length - 1).sum_law()
        rest_sums, rest_log, rest_lowest = rest.excess, rest.log_prob, rest.lowest
    out = np.zeros(prob.size)
    for a in np.flatnonzero(prob > 0):
        at = rest_sums + (rest_lowest + reward[a] - whole.lowest)
        # Each such sum is one of the whole's up to rounding: the nearest.
        place = np.clip(np.searchsorted(whole.excess, at), 1, whole.excess.size - 1)
        place -= at - whole.excess[place - 1] < whole.excess[place] - at
        with np.errstate(under="ignore"):
            out[a] = prob[a] * float(np.exp(rest_log + log_ratio[place]).sum())
    return np.asarray(out / out.sum())


def total_correlation(model: MemorylessModel, log_n: float) -> float:
    """Return ``KL(π_N ‖ Π_t π_{N,t}) = KL(π_N‖p) - m KL(π_{N,1}‖p)`` in nats: what tokens know of each other.

    Parameters
    ----------
    model : MemorylessModel
        Base model of m tokens.
    log_n : float
        ``log N >= 0`` in nats.

    Examples
    --------
    >>> import math
    >>> round(total_correlation(MemorylessModel([0.5, 0.5], [0.0, 1.0], 2), math.log(2)), 6)
    0.014067
    """
    law = model.sum_law()
    token = token_law(model, log_n)
    held = token > 0
    single = float((token[held] * np.log(token[held] / model.token_prob[held])).sum())
    return law.best_of_n(log_n).kl_to(law) - model.length * single
