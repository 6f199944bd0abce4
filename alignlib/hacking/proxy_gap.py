"""What a proxy reward costs on a finite law, exactly: gold gain, gap, divergence between the two policies, regret.

``r`` is the gold reward, ``r̂ = r + e`` the proxy, ``π*`` tilts the base by ``λr`` and ``π̂`` by ``λr̂``. Their
log-ratio is ``t = log π*/π̂ = -λ e + const``, so every comparison of the two is a sum over ``t`` of terms of one
sign, accurate however small the error or λ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, FloatOrArray, as_vector, like, require, require_range
from alignlib._core.same import SameFields
from alignlib._core.special import exp_excess, kl_integrand
from alignlib.laws import FiniteLaw, Levels

__all__ = ["ProxyGap", "ProxyPair"]

_SERIES_UP_TO = 600.0  # above it e^x is formed together with the small mass that multiplies it


@dataclass(frozen=True, eq=False)
class ProxyGap(SameFields):
    """The price of a proxy at each λ, with what it must equal and what it cannot exceed.

    Attributes
    ----------
    lam : array (k,)
        Inverse temperatures.
    gap, gap_integral : array (k,)
        ``E_π* r - E_π̂ r``, and the same as ``-λ ∫₀¹ Cov_{π_s}(r, e) ds``.
    gap_bound, gap_bound_jeffreys : array (k,)
        ``λ osc(r) osc(e)/4`` and the sharper ``osc(r) √J / 2``.
    jeffreys, jeffreys_integral : array (k,)
        ``KL(π*‖π̂) + KL(π̂‖π*)`` in nats, and the same as ``λ² ∫₀¹ Var_{π_s}(e) ds``.
    jeffreys_bound : array (k,)
        ``λ² osc(e)²/4``.
    regret : array (k,)
        ``β KL(π̂‖π*)``, what the proxy policy loses of the regularised objective.

    Examples
    --------
    >>> found = ProxyPair([0.0, 1.0, 0.0], [0.0, 1.0, 1.5]).price([0.5, 2.0])
    >>> bool((found.gap <= found.gap_bound).all()), bool(np.allclose(found.gap, found.gap_integral))
    (True, True)
    """

    lam: FloatArray
    gap: FloatArray
    gap_integral: FloatArray
    gap_bound: FloatArray
    gap_bound_jeffreys: FloatArray
    jeffreys: FloatArray
    jeffreys_integral: FloatArray
    jeffreys_bound: FloatArray
    regret: FloatArray


class ProxyPair:
    r"""A finite base law scored by a gold reward and a proxy of it.

    Source: P26 (covariance form of the gold gain, regret); the identities of gap and divergence are derived here.

    Parameters
    ----------
    gold, proxy : array (k,)
        Both rewards of each outcome, any finite numbers.
    prob : array (k,), optional
        Base masses, summing to one; equal masses if omitted. Outcomes of zero mass are left out.

    Raises
    ------
    InputError
        If gold and proxy score different numbers of outcomes, a value is not finite, or ``prob`` is no law.

    Examples
    --------
    >>> pair = ProxyPair(gold=[0.0, 1.0, 0.0], proxy=[0.0, 1.0, 1.5])
    >>> round(pair.ideal_gain(1.0), 6), round(pair.gold_gain(1.0), 6)
    (0.242784, -0.001834)
    >>> price = pair.price([1.0])
    >>> bool(np.isclose(price.gap[0], price.gap_integral[0])), bool(price.gap[0] <= price.gap_bound_jeffreys[0])
    (True, True)
    """

    def __init__(self, gold: npt.ArrayLike, proxy: npt.ArrayLike, prob: npt.ArrayLike | None = None) -> None:
        golds, proxies = as_vector("gold", gold), as_vector("proxy", proxy)
        require(
            golds.shape == proxies.shape,
            f"gold and proxy must score the same outcomes; gold has {golds.size} values and proxy {proxies.size}. "
            "Keep the outcomes that both score, in one order.",
        )
        # The family checks the law and leaves out what has no mass.
        self.ideal = FiniteLaw(golds, prob)
        self.proxied = FiniteLaw(proxies, prob)
        kept = np.ones(golds.size, dtype=bool) if prob is None else as_vector("prob", prob) > 0
        self.gold, self.proxy, self.prob = golds[kept], proxies[kept], self.ideal.prob
        self.error = self.proxy - self.gold

    @cached_property
    def levels(self) -> Levels:
        """The law sorted by proxy, ties merged."""
        return self.proxied.levels

    @cached_property
    def gold_by_level(self) -> FloatArray:
        """``E[r | r̂]`` at each proxy level, lowest first: all that any rule that sees the proxy can do with gold."""
        levels = self.levels
        centred = self.gold - self.ideal.base_reward
        total = np.bincount(levels.index, weights=self.prob * centred, minlength=levels.mass.size)
        return np.asarray(total / levels.mass + self.ideal.base_reward)

    # ------------------------------------------------------------------ doors
    def ideal_gain(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``E_π* r - E_p r``, what optimising gold itself would gain.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0, ``inf`` allowed.
        """
        return like(lam, np.asarray(self.ideal.gain(_checked(lam))))

    def proxy_gain(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``E_π̂ r̂ - E_p r̂``, what the proxy reports.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0, ``inf`` allowed.
        """
        return like(lam, np.asarray(self.proxied.gain(_checked(lam))))

    def kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(π̂‖p)`` in nats.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0, ``inf`` allowed.
        """
        return like(lam, np.asarray(self.proxied.kl(_checked(lam))))

    def gold_gain(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``E_π̂ r - E_p r = Cov_p(r, e^{λr̂}) / E_p e^{λr̂}`` (P26), what is gained in truth.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0, ``inf`` allowed.
        """
        return self._map(lam, lambda v: self.gold_gain_of(self.proxied.log_ratio(v)))

    def gold_gain_of(self, log_ratio: FloatArray) -> float:
        """Gold gain of any policy.

        Parameters
        ----------
        log_ratio : array (outcomes with mass,)
            ``log policy/base`` of each.
        """
        near = log_ratio < 1.0
        with np.errstate(under="ignore"):
            policy = np.exp(np.log(self.prob) + log_ratio)
            moved = np.where(near, self.prob * np.expm1(np.where(near, log_ratio, 0.0)), policy - self.prob)
        return float(moved @ (self.gold - self.ideal.base_reward))

    def gold_of_levels(self, log_ratio: FloatArray) -> float:
        """Gold gain of a policy that sees the proxy only.

        Parameters
        ----------
        log_ratio : array (levels,)
            ``log policy/base`` on each level of the proxy.
        """
        mass = self.levels.mass
        policy = np.exp(np.log(mass) + log_ratio)
        return float((policy - mass) @ (self.gold_by_level - self.ideal.base_reward))

    def covariance(self, lam: float) -> tuple[float, float]:
        """``Cov_π̂(r, r̂)`` at one λ, and the sum of its terms' sizes, from which its rounding is bounded.

        Parameters
        ----------
        lam : float
            Inverse temperature λ >= 0, ``inf`` allowed.

        Returns
        -------
        covariance : float
            In units of gold times proxy.
        size : float
            The sum of its terms' sizes.
        """
        with np.errstate(under="ignore"):
            policy = np.exp(np.log(self.prob) + self.proxied.log_ratio(lam))
        total = policy.sum()
        terms = policy * (self.gold - policy @ self.gold / total) * (self.proxy - policy @ self.proxy / total)
        return float(terms.sum()), float(np.abs(terms).sum())

    def gap(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``E_π* r - E_π̂ r``: how much gold the proxy leaves unclaimed at the same finite λ.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0, finite.
        """
        return self._map(_finite(lam), self._gap)

    def jeffreys(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(π*‖π̂) + KL(π̂‖π*) = λ (E_π̂ e - E_π* e)`` in nats.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0, finite.
        """
        return self._map(_finite(lam), lambda v: sum(self._divergences(v)))

    def divergence(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(π*‖π̂)`` in nats, convex in the error ``e``.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0, finite.
        """
        return self._map(_finite(lam), lambda v: self._divergences(v)[0])

    def regret(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``β KL(π̂‖π*)``, what π̂ loses of ``E r - β KL(·‖p)``; 0 at ``λ = 0``.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0, finite.
        """
        return self._map(_finite(lam), lambda v: self._divergences(v)[1] / v if v > 0 else 0.0)

    def divergence_and_regret(self, lam: float) -> tuple[float, float]:
        """Return `divergence` and `regret` at one λ, for the work of one of them.

        Parameters
        ----------
        lam : float
            Inverse temperature λ >= 0, finite.

        Returns
        -------
        divergence : float
            ``KL(π*‖π̂)`` in nats.
        regret : float
            ``β KL(π̂‖π*)``, in the unit of gold.

        Raises
        ------
        InputError
            If λ is negative or not finite.
        """
        value = float(require_range("lam", lam, 0.0))
        forward, backward = self._divergences(value)
        return forward, backward / value if value > 0 else 0.0

    def price(self, lam: npt.ArrayLike) -> ProxyGap:
        """Return gap, divergence and regret with their identities by quadrature and their bounds.

        Parameters
        ----------
        lam : array (k,)
            Inverse temperatures λ >= 0, finite.
        """
        lams = np.atleast_1d(_finite(lam))
        osc_gold, osc_error = float(np.ptp(self.gold)), float(np.ptp(self.error))
        covariance, variance = np.array([self._integrals(v) for v in lams.tolist()]).T
        jeffreys = np.asarray(self.jeffreys(lams))
        return ProxyGap(
            lam=lams,
            gap=np.asarray(self.gap(lams)),
            gap_integral=-lams * covariance,
            gap_bound=lams * osc_gold * osc_error / 4.0,
            gap_bound_jeffreys=osc_gold * np.sqrt(jeffreys) / 2.0,
            jeffreys=jeffreys,
            jeffreys_integral=lams**2 * variance,
            jeffreys_bound=(lams * osc_error) ** 2 / 4.0,
            regret=np.asarray(self.regret(lams)),
        )

    # ------------------------------------------------------------------ one λ
    def _map(self, lam: npt.ArrayLike, one: Callable[[float], float]) -> FloatOrArray:
        lams = _checked(lam)
        return like(lam, np.array([one(v) for v in lams.reshape(-1).tolist()]).reshape(lams.shape))

    def _compared(self, lam: float) -> tuple[FloatArray, FloatArray]:
        """Return ``log π̂`` and ``t = log π*/π̂`` of each outcome."""
        log_hat = np.log(self.prob) + self.proxied.log_ratio(lam)
        with np.errstate(under="ignore"):
            hat = np.exp(log_hat)
        off = self.error - hat @ self.error / hat.sum()
        x = -lam * (off - hat @ off / hat.sum())  # twice: the first mean may carry the rounding of a large offset
        if (log_hat + x).max() > _SERIES_UP_TO:
            return log_hat, np.asarray(x - scipy.special.logsumexp(log_hat + x))
        far = x > _SERIES_UP_TO
        with np.errstate(under="ignore"):
            lifted = np.exp(np.where(far, log_hat + x, -np.inf)) - hat * (1.0 + x)
        excess = np.where(far, lifted, hat * exp_excess(np.where(far, 0.0, x)))
        return log_hat, x - np.log1p(excess.sum())

    def _divergences(self, lam: float) -> tuple[float, float]:
        """Return ``KL(π*‖π̂)`` and ``KL(π̂‖π*)``."""
        log_hat, t = self._compared(lam)
        down, up = np.minimum(t, 0.0), np.maximum(t, 0.0)
        with np.errstate(under="ignore"):
            hat, star = np.exp(log_hat), np.exp(log_hat + t)
            # where π* is the larger, the same terms written by its mass cannot overflow
            forward = np.where(t <= 0, hat * kl_integrand(down), star * exp_excess(-up))
            backward = np.where(t <= 0, hat * _excess(down), star * kl_integrand(-up))
        return float(forward.sum()), float(backward.sum())

    def _gap(self, lam: float) -> float:
        log_hat, t = self._compared(lam)
        with np.errstate(under="ignore"):
            hat, star = np.exp(log_hat), np.exp(log_hat + t)
            moved = np.where(t <= 0, hat * np.expm1(np.minimum(t, 0.0)), -star * np.expm1(-np.maximum(t, 0.0)))
        return float(moved @ (self.gold - hat @ self.gold / hat.sum()))

    def _integrals(self, lam: float) -> tuple[float, float]:
        def moments(s: float) -> FloatArray:
            x = np.log(self.prob) + lam * (self.gold + s * self.error)
            policy = scipy.special.softmax(x)
            off = self.error - policy @ self.error
            return np.array([policy @ (off * (self.gold - policy @ self.gold)), policy @ off**2])

        value, _ = scipy.integrate.quad_vec(moments, 0.0, 1.0, epsabs=1e-13, epsrel=1e-10, limit=400)
        return float(value[0]), float(value[1])


def _excess(t: FloatArray) -> FloatArray:
    """``e^t - 1 - t`` also for t below -745, where e^t is 0."""
    return np.asarray(np.where(t < -700.0, -1.0 - t, exp_excess(np.maximum(t, -700.0))))


def _checked(lam: npt.ArrayLike) -> FloatArray:
    return require_range("lam", lam, 0.0, allow_inf=True)


def _finite(lam: npt.ArrayLike) -> npt.ArrayLike:
    lams = require_range("lam", lam, 0.0)
    return float(lams) if np.ndim(lam) == 0 else lams
