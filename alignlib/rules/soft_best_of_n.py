"""Soft best-of-n on a finite law, exactly: draw n responses, keep one with probability ∝ e^{λ r}.

``π(y) = n p(y) w(y) ∫ e^{-t w(y)} φ(t)^{n-1} dt`` with ``w = e^{λ (r - max r)}`` and ``φ(t) = E_p e^{-t w}``: the
normaliser ``1/Σw`` of a random sample becomes an integral over independent factors. In ``s = log t`` the
integrand decays doubly exponentially and the trapezoidal rule converges geometrically. Source of the policy: V25;
the integral form is ours.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, require, require_range
from alignlib.laws import Levels

__all__ = ["expected_reward", "gain", "kl", "log_policy"]

# Halving the step changes nothing: the integrand's Fourier transform has fallen to e^{-π²/step} there.
_STEP = 0.2
_LEFT = 42.0
_RIGHT = 5.0
_CERTIFICATE = 1e-11
_AT_ONCE = 1 << 18


def _log_ratio(levels: Levels, n: float, lam: float) -> FloatArray:
    require_range("n", n, 1.0)
    require_range("lam", lam, 0.0)
    fall = lam * (levels.reward - levels.reward[-1])
    require(
        fall[0] > -1e4,
        f"lam times the range of the reward must stay below 1e4 for soft best-of-n; got {-fall[0]:g}. "
        "Use best-of-N, its limit for large lam.",
    )
    w = np.exp(np.maximum(fall, -700.0))
    s = np.arange(-_LEFT - math.log(n), -fall[0] + _RIGHT, _STEP)
    log_phi = np.concatenate(
        [_log_laplace(levels.mass, np.exp(np.minimum(part, 700.0))[:, None] * w) for part in _parts(s, w)]
    )
    # log of n w t e^{-t w} φ(t)^{n-1}, summed over s with weight _STEP
    t_ratio = np.empty_like(w)
    for part in _parts(np.arange(w.size), s):
        with np.errstate(over="ignore"):
            lifted = fall[part] + s[:, None]
            out = math.log(n * _STEP) + lifted - np.exp(lifted) + (n - 1) * log_phi[:, None]
        peak = out.max(axis=0)
        t_ratio[part] = peak + np.log(np.exp(out - peak).sum(axis=0))
    total = float(levels.mass @ np.exp(t_ratio))
    if abs(total - 1) > _CERTIFICATE:
        raise ArithmeticError(f"soft best-of-n lost accuracy: its law sums to {total!r} at n={n:g}, lam={lam:g}.")
    return np.asarray(t_ratio)


def _parts(rows: FloatArray, columns: FloatArray) -> list[FloatArray]:
    """Split rows so that a part times all columns stays within the cache."""
    parts: list[FloatArray] = np.array_split(rows, math.ceil(rows.size * columns.size / _AT_ONCE))
    return parts


def _log_laplace(mass: FloatArray, x: FloatArray) -> FloatArray:
    """``log Σ mass e^{-x}`` of each row, accurate near zero and far out."""
    lost = -np.expm1(-x) @ mass
    low = x.min(axis=1)
    far = -low + np.log(np.exp(low[:, None] - x) @ mass)
    return np.asarray(np.where(lost < 0.5, np.log1p(-np.minimum(lost, 0.5)), far))


def log_policy(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: float, lam: float) -> FloatArray:
    """Return the log of soft best-of-n's law, shape (k,).

    Parameters
    ----------
    reward : array (k,)
        Reward of each outcome.
    prob : array (k,) or None
        Base masses, summing to one; equal masses if None.
    n : float
        Number of draws n >= 1.
    lam : float
        Inverse temperature λ >= 0 of the choice among the draws; 0 is the base, ∞ would be best-of-N.

    Raises
    ------
    InputError
        If an argument is not valid, or λ times the range of the reward exceeds 1e4.
    ArithmeticError
        If the quadrature's law does not sum to one within 1e-11.

    Examples
    --------
    >>> np.exp(log_policy([0.0, 1.0], None, 2, 1.0)).round(6).tolist()
    [0.384471, 0.615529]

    Source: V25.
    """
    levels = Levels.of(reward, prob)
    return levels.log_policy_of(_log_ratio(levels, float(n), float(lam)))


def kl(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: float, lam: float) -> float:
    """Return the KL of soft best-of-n to the base in nats; arguments as :func:`log_policy`."""
    levels = Levels.of(reward, prob)
    return levels.kl_of(_log_ratio(levels, float(n), float(lam)))


def gain(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: float, lam: float) -> float:
    """Return soft best-of-n's mean reward minus the base's; arguments as :func:`log_policy`."""
    levels = Levels.of(reward, prob)
    return levels.gain_of(_log_ratio(levels, float(n), float(lam)))


def expected_reward(reward: npt.ArrayLike, prob: npt.ArrayLike | None, n: float, lam: float) -> float:
    """Return soft best-of-n's mean reward; arguments as :func:`log_policy`."""
    levels = Levels.of(reward, prob)
    return levels.mean_of(_log_ratio(levels, float(n), float(lam)))
