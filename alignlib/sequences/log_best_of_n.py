"""Best-of-N with everything in log space: masses of e^-5000 and N of e^10000.

:class:`alignlib.rules.BestOfN` works with masses; here they are known by their logarithms only, and so is N. The
formula is the same, ``log(π_N/p) = (N-1) log F_i + log(1 + (ρ - ρ^N)/(1 - ρ))`` with ``ρ = F_{i-1}/F_i``, each of its
parts taken to the log scale where it has full relative accuracy, from ``log N = 0`` up.
"""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray, require_range
from alignlib._core.special import exp_excess, kl_integrand

__all__ = ["log_accumulate", "log_cumulative", "log_kl", "log_ratio"]

_LOG_HALF = math.log(0.5)


def log_cumulative(log_mass: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``log F_i`` (at or below) and ``log(1 - F_i)`` (above), each summed from its own end.

    Parameters
    ----------
    log_mass : array (k,)
        Log masses, in order.

    Returns
    -------
    below : array (k,)
        ``log F_i``, at or below.
    above : array (k,)
        ``log(1 - F_i)``.

    Examples
    --------
    >>> [c.round(4).tolist() for c in log_cumulative(np.log([0.25, 0.75]))]
    [[-1.3863, -0.0], [-0.2877, -inf]]
    """
    from_below = log_accumulate(log_mass)
    above = np.concatenate([log_accumulate(log_mass[:0:-1])[::-1], [-np.inf]])
    high = above < _LOG_HALF
    return np.where(high, np.log1p(-np.exp(np.where(high, above, -np.inf))), from_below), above


def log_accumulate(log_mass: FloatArray) -> FloatArray:
    """Return the running ``log Σ e^{log_mass}`` from the first entry on.

    Parameters
    ----------
    log_mass : array (k,)
        Log masses, in order.
    """
    return np.asarray(np.logaddexp.accumulate(log_mass))


def log_ratio(log_mass: FloatArray, log_n: float) -> FloatArray:
    """Return ``log(π_N / p)`` of each reward level.

    Parameters
    ----------
    log_mass : array (k,)
        Log base masses of the reward levels, lowest first, all finite; their sum is one.
    log_n : float
        ``log N >= 0`` in nats; N need not be whole.

    Raises
    ------
    InputError
        If ``log_n`` is negative.

    Examples
    --------
    >>> np.exp(np.log([0.25, 0.75]) + log_ratio(np.log([0.25, 0.75]), math.log(2))).round(6).tolist()
    [0.0625, 0.9375]

    Source: B24 (finite form).
    """
    require_range("log_n", log_n, 0.0)
    if log_n == 0.0:
        return np.zeros_like(log_mass)
    log_at_or_below, log_above = log_cumulative(log_mass)
    log_extra = log_n + math.log(-math.expm1(-log_n))  # log(N - 1)
    with np.errstate(under="ignore", over="ignore", divide="ignore"):
        # log(-log F): by the mass above where that is small
        log_cost = np.where(
            log_above < _LOG_HALF,
            _log_minus_log1m(np.minimum(log_above, _LOG_HALF)),
            np.log(np.maximum(-log_at_or_below, 0.0)),
        )
        cost = np.exp(log_extra + log_cost)  # -(N-1) log F_i
        log_below = log_at_or_below[:-1]
        # -log ρ = -log1p(-P_i/F_i), or its definition where P_i is most of F_i
        share = np.minimum(log_mass[1:] - log_at_or_below[1:], 0.0)
        log_step = np.where(
            share < _LOG_HALF,
            _log_minus_log1m(np.minimum(share, _LOG_HALF)),
            np.log(np.maximum(log_at_or_below[1:] - log_below, 0.0)),
        )
        gained = log_below - log_mass[1:] + _log_one_minus_exp_minus_exp(log_extra + log_step)
        return np.concatenate([[0.0], np.logaddexp(0.0, gained)]) - cost


def log_kl(log_q: FloatArray, log_p: FloatArray) -> float:
    """Return ``KL(q ‖ p)`` of laws given by log masses on the same levels, as a sum of non-negative terms.

    Parameters
    ----------
    log_q, log_p : array (k,)
        Log masses of the two laws.

    Examples
    --------
    >>> round(log_kl(np.log([0.5, 0.5]), np.log([0.25, 0.75])), 6)
    0.143841
    """
    with np.errstate(invalid="ignore", under="ignore", over="ignore"):
        t = np.where(np.isneginf(log_q), -np.inf, log_q - log_p)
        # q(t - 1 + e^-t) above and p(t e^t - e^t + 1) below the diagonal are the same; neither overflows there.
        up = t > 0
        terms = np.where(
            up,
            np.exp(log_q) * exp_excess(-np.where(up, t, 0.0)),
            np.exp(log_p) * kl_integrand(np.where(up, 0.0, t)),
        )
    return float(terms.sum())


def _log_minus_log1m(log_x: FloatArray) -> FloatArray:
    """``log(-log(1 - x))`` for ``x = e^{log_x}`` up to one half; equal to ``log_x`` where x is tiny."""
    x = np.exp(log_x)
    return log_x + np.log(np.where(x > 1e-300, -np.log1p(-x) / np.maximum(x, 1e-300), 1.0))


def _log_one_minus_exp_minus_exp(d: FloatArray) -> FloatArray:
    """``log(1 - e^{-e^d})``; equal to d where that is very negative."""
    x = np.exp(np.minimum(d, 700.0))
    return np.where(d < -700.0, d, np.log(-np.expm1(-np.maximum(x, 1e-304))))
