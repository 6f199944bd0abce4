"""Over-optimisation curves on a finite law: what a proxy says and what gold does as optimisation goes on.

Four ways to optimise a proxy: the tilt along λ, best-of-N along N, best-of-Poisson along μ, soft best-of-n along λ
at a fixed n. A rule that sees only the proxy cannot tell tied outcomes apart, so ties are averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignlib._core.checks import FloatArray, as_vector
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import best_of_n, best_of_poisson, soft_best_of_n

__all__ = [
    "OverOptimisation",
    "best_of_n_curve",
    "best_of_poisson_curve",
    "soft_best_of_n_curve",
    "tilting_curve",
]


@dataclass(frozen=True)
class OverOptimisation:
    """Gains over the base model as a proxy is optimised; arrays of shape (k,).

    ``path`` names the parameter (``"lam"``, ``"n"``, ``"mu"`` or ``"soft lam"``), ``kl`` is what the policy spends in
    nats, ``proxy_gain`` what the proxy reports, ``gold_gain`` what is gained in truth and ``limit_gain`` the most gold
    that any policy can gain for that KL.
    """

    path: str
    parameter: FloatArray
    kl: FloatArray
    proxy_gain: FloatArray
    gold_gain: FloatArray
    limit_gain: FloatArray


def tilting_curve(pair: ProxyPair, lam: npt.ArrayLike) -> OverOptimisation:
    """Return the curve of ``π̂ ∝ p e^{λr̂}`` at each ``λ >= 0``.

    >>> curve = tilting_curve(ProxyPair([0.0, 1.0, 0.0], [0.0, 1.0, 1.5]), [0.5, 8.0])
    >>> curve.gold_gain.round(4).tolist()
    [0.0126, -0.3153]

    Source: P26 (covariance form).
    """
    lams = as_vector("lam", lam)
    return _curve(pair, "lam", lams, pair.kl(lams), pair.proxy_gain(lams), pair.gold_gain(lams))


def best_of_n_curve(pair: ProxyPair, n: npt.ArrayLike) -> OverOptimisation:
    """Return the curve of best-of-N picked by the proxy, at each real ``N >= 1``, ties averaged.

    >>> best_of_n_curve(ProxyPair([0.0, 1.0, 1.0], [0.0, 1.0, 1.0]), [2.0]).gold_gain.round(6).tolist()
    [0.222222]

    Source: B24 (law of best-of-N).
    """
    return _ranked(pair, "n", as_vector("n", n), best_of_n.log_policy, best_of_n.kl, best_of_n.gain)


def best_of_poisson_curve(pair: ProxyPair, mu: npt.ArrayLike) -> OverOptimisation:
    """Return the curve of the proxy-best of ``1 + Poisson(μ)`` draws, at each ``μ >= 0``, ties averaged.

    >>> best_of_poisson_curve(ProxyPair([0.0, 1.0], [0.0, 1.0]), [1.0]).gold_gain.round(6).tolist()
    [0.196735]

    Source: K25.
    """
    rule = best_of_poisson
    return _ranked(pair, "mu", as_vector("mu", mu), rule.log_policy, rule.kl, rule.gain)


def soft_best_of_n_curve(pair: ProxyPair, n: float, lam: npt.ArrayLike) -> OverOptimisation:
    """Return the curve of soft best-of-n along λ at fixed ``n``: one of n draws with probability ``∝ e^{λr̂}``.

    >>> soft_best_of_n_curve(ProxyPair([0.0, 1.0], [0.0, 1.0]), 2, [1.0]).gold_gain.round(6).tolist()
    [0.115529]

    Source: V25.
    """
    return _ranked(
        pair,
        "soft lam",
        as_vector("lam", lam),
        lambda r, p, v: soft_best_of_n.log_policy(r, p, n, v),
        lambda r, p, v: np.array([soft_best_of_n.kl(r, p, n, one) for one in v]),
        lambda r, p, v: np.array([soft_best_of_n.gain(r, p, n, one) for one in v]),
    )


def _ranked(
    pair: ProxyPair,
    path: str,
    values: FloatArray,
    log_policy: Callable[[FloatArray, FloatArray, float], FloatArray],
    kl: Callable[[FloatArray, FloatArray, FloatArray], FloatArray],
    gain: Callable[[FloatArray, FloatArray, FloatArray], FloatArray],
) -> OverOptimisation:
    reward, mass = pair.levels.reward, pair.levels.mass
    gold = pair.gold_by_level - pair.ideal.base_reward
    found = [float((np.exp(log_policy(reward, mass, v)) - mass) @ gold) for v in values.tolist()]
    return _curve(pair, path, values, kl(reward, mass, values), gain(reward, mass, values), np.array(found))


def _curve(
    pair: ProxyPair, path: str, parameter: FloatArray, kl: FloatArray, proxy: FloatArray, gold: FloatArray
) -> OverOptimisation:
    limit = pair.ideal.gain(pair.ideal.lam_at_kl(np.maximum(kl, 0.0)))
    return OverOptimisation(path, parameter, np.asarray(kl), np.asarray(proxy), gold, np.asarray(limit))
