"""How far a table supports its curve: a property of the table, nearly the same for every table of one law.

KL and gain of an average over prompts sit where rewards vary most, so prompts count by what they contribute. A prompt
of n samples shows no more than log n nats; to be known it must stay well below.
"""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray

__all__ = ["first_strained", "known_kl", "least_prompts", "strain"]

_MOST_OF_LOG_N = 0.25  # of log n: the KL of a prompt, averaged with the prompts' shares of the KL as weights
_LEAST_PROMPTS = 3.0  # that share the KL
_MOST_EVEN = 0.6  # of few prompts, that share it
_MOMENTS, _ALONE = 2.0, 2.5  # of the weights e^{λr}, where the tail may be exponential; of fixed prompts


def strain(
    lam: FloatArray,
    kl: FloatArray,
    kl_squared: FloatArray,
    kl_of_known: FloatArray,
    tail_scale: float,
    n_prompts: int,
) -> FloatArray:
    """Return how far each λ stretches the samples: up to 1 it is supported.

    With ``D_x`` the plug-in KL of prompt x at λ it is the largest of ``Σ [D_x²/known_kl(n_x)] / Σ D_x`` (prompts spend
    what n samples show), of ``3 Σ D_x² / (Σ D_x)²`` (at least three prompts share the KL, fewer of less than five), and
    of ``2 λ t`` with ``t`` the ``tail_scale``: so the weights have two moments. Of fixed prompts they have two and a
    half, for no others even it out, and none need share the KL. What is not a number is never supported.

    Parameters
    ----------
    lam : array (L,)
        Inverse temperatures λ.
    kl, kl_squared : array (L,)
        ``Σ D_x`` and ``Σ D_x²``.
    kl_of_known : array (L,)
        ``Σ D_x²/known_kl(n_x)``.
    tail_scale : float
        Mean exceedance of a tail that may be exponential, 0 for a lighter one.
    n_prompts : int
        Prompts, 1 where these are fixed.

    Returns
    -------
    array (L,)
        ``inf`` where it is not known.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spent = np.where(kl == 0.0, 0.0, kl_of_known / kl)
        shared = np.where(kl == 0.0, 0.0, kl_squared / kl**2) * least_prompts(n_prompts)
        moments = _ALONE if n_prompts == 1 else _MOMENTS
        largest = np.maximum(np.maximum(spent, shared), moments * lam * tail_scale)
    return np.asarray(np.where(np.isnan(largest), np.inf, largest))


def known_kl(n: float) -> float:
    """Return how much KL n samples of a prompt show: a quarter of log n, less for very few.

    Parameters
    ----------
    n : float
        Samples of a prompt.

    Examples
    --------
    >>> round(known_kl(64), 2), round(known_kl(4), 2)
    (1.04, 0.23)
    """
    return _MOST_OF_LOG_N * math.log(n) * (1.0 - 3.0 / max(n - 1, 2) ** 2)


def least_prompts(n_prompts: int) -> float:
    """Return how many prompts must share the KL, of so many: three, fewer of less than five; one need share none.

    Parameters
    ----------
    n_prompts : int
        Prompts.

    Examples
    --------
    >>> least_prompts(1), round(least_prompts(4), 1), least_prompts(100)
    (0.0, 2.4, 3.0)
    """
    return 0.0 if n_prompts == 1 else min(_LEAST_PROMPTS, _MOST_EVEN * n_prompts)


def first_strained(kl: FloatArray, strain: FloatArray) -> float:
    """Return the KL at which the strain first exceeds 1, between points by interpolation of logarithms.

    Parameters
    ----------
    kl : array (L,)
        Rising, in nats.
    strain : array (L,)
        At each.

    Returns
    -------
    float
        0 where the first point is strained, infinity where none is.

    Examples
    --------
    >>> round(first_strained(np.array([0.1, 0.4, 1.6]), np.array([0.2, 0.5, 2.0])), 6)
    0.8
    """
    over = np.flatnonzero(~(strain <= 1.0))
    if over.size == 0:
        return float("inf")
    last = int(over[0]) - 1
    if last < 0 or not kl[last] > 0.0:
        return 0.0
    low, high = np.log(np.maximum(strain[last : last + 2], 1e-300))
    part = -low / (high - low) if np.isfinite(high) else 0.0
    return float(kl[last] * (kl[last + 1] / kl[last]) ** part)
