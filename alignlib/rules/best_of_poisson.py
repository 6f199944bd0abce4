"""Best-of-Poisson on a finite law, exactly: the best of ``1 + Poisson(μ)`` draws.

Its distribution function in ``F`` is ``G(F) = F e^{-μ(1-F)}``, so without ties its density in ``u = F(r)`` is
``(1 + μu) e^{-μ(1-u)}``: nearly the exponential tilt of ``u`` itself. Source: K25.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, FloatOrArray, like, require_range
from alignlib._core.special import kl_integrand
from alignlib.laws import Levels

__all__ = ["expected_reward", "gain", "kl", "kl_upper_bound", "log_policy", "win_rate"]


def _log_ratio(levels: Levels, mu: float) -> FloatArray:
    # G(F_i) - G(F_{i-1}) = e^{-μ above_i} (P_i + F_{i-1} (1 - e^{-μ P_i})): no term is negative.
    rest = levels.below * -np.expm1(-mu * levels.mass) / levels.mass
    return -mu * levels.above + np.log1p(rest)


def _per_mu(
    reward: npt.ArrayLike,
    prob: npt.ArrayLike | None,
    mu: npt.ArrayLike,
    quantity: Callable[[Levels, FloatArray], float],
) -> FloatOrArray:
    levels = Levels.of(reward, prob)
    mus = require_range("mu", mu, 0.0)
    values = [quantity(levels, _log_ratio(levels, v)) for v in mus.reshape(-1).tolist()]
    return like(mu, np.array(values).reshape(mus.shape))


def log_policy(reward: npt.ArrayLike, prob: npt.ArrayLike | None, mu: float) -> FloatArray:
    """Return the log of best-of-Poisson's law, shape (k,).

    Parameters
    ----------
    reward : array (k,)
        Reward of each outcome; ties share.
    prob : array (k,) or None
        Base masses, summing to one; equal masses if None.
    mu : float
        Mean μ >= 0 of the Poisson number of draws beyond the first.

    Raises
    ------
    InputError
        If the law or ``mu`` is not valid.

    Examples
    --------
    >>> np.exp(log_policy([0.0, 1.0], None, 1.0)).round(6).tolist()
    [0.303265, 0.696735]

    Source: K25.
    """
    levels = Levels.of(reward, prob)
    return levels.log_policy_of(_log_ratio(levels, float(require_range("mu", mu, 0.0))))


def kl(reward: npt.ArrayLike, prob: npt.ArrayLike | None, mu: npt.ArrayLike) -> FloatOrArray:
    """Return the KL of best-of-Poisson to the base in nats, for each ``mu >= 0``.

    >>> round(kl([0.0, 1.0], None, 1.0), 6)
    0.079542
    """
    return _per_mu(reward, prob, mu, Levels.kl_of)


def gain(reward: npt.ArrayLike, prob: npt.ArrayLike | None, mu: npt.ArrayLike) -> FloatOrArray:
    """Return best-of-Poisson's mean reward minus the base's, for each ``mu >= 0``."""
    return _per_mu(reward, prob, mu, Levels.gain_of)


def expected_reward(reward: npt.ArrayLike, prob: npt.ArrayLike | None, mu: npt.ArrayLike) -> FloatOrArray:
    """Return best-of-Poisson's mean reward, for each ``mu >= 0``."""
    return _per_mu(reward, prob, mu, Levels.mean_of)


def win_rate(reward: npt.ArrayLike, prob: npt.ArrayLike | None, mu: npt.ArrayLike) -> FloatOrArray:
    """Return the probability that best-of-Poisson beats one base draw, ties counted half."""
    return _per_mu(reward, prob, mu, Levels.win_rate_of)


def kl_upper_bound(mu: npt.ArrayLike) -> FloatOrArray:
    """Return the KL of best-of-Poisson without ties, ``∫ g log g`` with ``g(u) = (1+μu) e^{-μ(1-u)}``, in nats.

    By the data-processing inequality no law with ties exceeds it.

    >>> round(kl_upper_bound(1.0), 6)
    0.107154
    """
    mus = require_range("mu", mu, 0.0)

    def one(m: float) -> float:
        value, _ = scipy.integrate.quad(
            lambda u: float(kl_integrand(np.array(np.log1p(m * u) - m * (1 - u)))),
            0.0, 1.0, epsabs=0.0, epsrel=1e-12, limit=400, points=[max(0.0, 1 - 30 / m)] if m > 30 else None,
        )  # fmt: skip
        return float(value)

    return like(mu, np.array([one(m) for m in mus.reshape(-1).tolist()]).reshape(mus.shape))
