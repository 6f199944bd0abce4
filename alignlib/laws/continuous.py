"""Laws without atoms, known by their quantiles."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, FloatOrArray, like, require, require_range
from alignlib._core.errors import InputError
from alignlib.divergences import CHI_SQUARED, TOTAL_VARIATION, Divergence, Renyi
from alignlib.laws.law import Law
from alignlib.laws.optima import optima

__all__ = ["ContinuousLaw", "check_unit"]


_LARGEST, _LEAST_SPAN = 1e305, 1e-300  # in size, as of the rewards of a `FiniteLaw`
_LARGEST_LOG, _FURTHEST = 690.0, 90.0  # of a moment of the ratio; nats to which the ranks of `nodes` reach
_REFINED = 2  # times that the place where outcomes are dropped becomes the end of a panel
_OCTAVES = 160  # of the mass of a tail: down to 2^-160
_SPLIT = 4  # parts of an octave, near the middle
_FINE = 12  # octaves in parts
_BESIDE = 0.5 ** np.arange(2, 42, 2)  # of a break's mass: panels shrink towards it from both sides


class ContinuousLaw(Law):
    """A law on the line without atoms: rules of ranks are exact on it, by its quantiles, which `_quantile` gives.

    Examples
    --------
    >>> from alignlib.laws import Exponential
    >>> round(Exponential().quantile(0.5), 6), round(Exponential().deviation(0.5), 6)  # log 2, and less the mean
    (0.693147, -0.306853)
    """

    @abstractmethod
    def _quantile(self, u: FloatArray, upper: bool) -> FloatArray: ...

    def deviation(self, u: npt.ArrayLike, *, upper: bool = False) -> FloatOrArray:
        """Return the `quantile` minus the mean; `_deviation` says it without the mean, however large that is.

        Parameters
        ----------
        u : array
            Base masses in [0, 1] below the reward.
        upper : bool
            Count the mass above the reward instead, which keeps the digits of the top tail.

        Raises
        ------
        InputError
            If a mass lies outside [0, 1].
        """
        mass = require_range("u", u, 0.0, 1.0)
        with np.errstate(divide="ignore"):
            return like(u, self._deviation(mass, upper))

    def _deviation(self, u: FloatArray, upper: bool) -> FloatArray:
        return np.asarray(self._quantile(u, upper) - self.base_reward)

    def nodes(self, breaks: tuple[float, ...] = ()) -> tuple[FloatArray, FloatArray]:
        """Return rewards less the mean and their weights, in rising order: the law for sums instead of integrals.

        Parameters
        ----------
        breaks : tuple of float
            Ranks in (0, 1) where what is summed has a kink or a jump; nodes are laid on either side of each.

        Returns
        -------
        rewards : array (m,)
            Rewards less the mean, rising.
        weights : array (m,)
            The base mass that each stands for; together 1.
        """
        below, above, weight = _rank_nodes(tuple(breaks))
        return np.concatenate([self._deviation(below, False), self._deviation(above, True)]), weight

    def _max_spent(self, divergence: Divergence) -> float:
        """All mass at the top reward, which has none under the base."""
        return float(divergence.of_mean(divergence.f(np.zeros(1)) + divergence.slope_at_infinity)[0])

    def _optima(self, budgets: FloatArray, divergence: Divergence) -> tuple[FloatArray, FloatArray]:
        """By quadrature over the ranks; where the best policy drops outcomes, again with a node's end at the last."""
        if math.isinf(self.max_gain) and math.isfinite(divergence.slope_at_infinity):
            raise InputError(
                f"divergence {divergence.called} has no finite optimum for {type(self).__name__}: it charges a bounded "
                "price for mass moved into the upper tail, where the reward has no end. Use KL, χ² or a Rényi "
                "divergence of order above 1.",
                argument="divergence",
            )
        if not (math.isfinite(self._sd) and self._sd > 0.0):
            raise InputError(
                f"divergence must be KL for {type(self).__name__}, whose rewards have no finite variance; got "
                f"{divergence.called}.",
                argument="divergence",
            )
        most = math.inf
        if isinstance(divergence, Renyi) and divergence.alpha > 1.0:
            most = min(_LARGEST_LOG / (divergence.alpha - 1.0), _FURTHEST)
        elif divergence == CHI_SQUARED:
            most = math.expm1(_FURTHEST)
        require(
            bool((budgets <= most).all()),
            f"budget must not exceed {most:.4g} in {divergence.called} for {type(self).__name__}, beyond which the "
            f"optimum leaves the range of floats; got {budgets.max():g}. Give smaller budgets.",
            "budget",
        )
        gain, lam = np.zeros_like(budgets), np.zeros_like(budgets)
        for k in np.flatnonzero(budgets > 0.0):
            budget = float(budgets[k])
            breaks: tuple[float, ...] = (budget,) if divergence == TOTAL_VARIATION else ()
            gain[k], lam[k] = self._optimum(budget, divergence, breaks)
            if divergence != TOTAL_VARIATION and math.isfinite(divergence.slope_at_zero) and lam[k] < math.inf:
                for _ in range(_REFINED):
                    breaks = self._dropped(float(lam[k]), budget, divergence, breaks)
                    if not breaks:
                        break
                    gain[k], lam[k] = self._optimum(budget, divergence, breaks)
        return gain, lam

    def _optimum(self, budget: float, divergence: Divergence, breaks: tuple[float, ...]) -> tuple[float, float]:
        gain, lam = optima(*self.nodes(breaks), np.array([budget]), divergence)
        return float(gain[0]), float(lam[0])

    def _dropped(
        self, lam: float, budget: float, divergence: Divergence, breaks: tuple[float, ...]
    ) -> tuple[float, ...]:
        """Return the mass of the lowest rewards to which the optimum at λ gives nothing; none where it drops none."""
        reward, weight = self.nodes(breaks)
        pace = lam * float(divergence.mean_slope(np.array([budget]))[0])

        def excess(nu: float) -> float:
            return float(weight @ divergence.ratio_at(pace * (reward - nu))) - 1.0

        low, high = float(reward[0]), float(reward[-1])
        nu = scipy.optimize.brentq(excess, min(low, 0.0) - 1.0 / pace, high, xtol=1e-14 * (high - low))
        last = nu + divergence.slope_at_zero / pace
        if not low < last < high:
            return ()
        half = float(self._deviation(np.array(0.5), False))
        upper = last > half
        tail = scipy.optimize.brentq(
            lambda log_u: float(self._deviation(np.array(math.exp(log_u)), upper)) - last, -160.0, math.log(0.5)
        )
        return (1.0 - math.exp(tail) if upper else math.exp(tail),)


def check_unit(name: str, scale: float, *places: float) -> None:
    """Refuse a scale, or places, of rewards whose λ or gains a float does not hold.

    Parameters
    ----------
    name : str
        What messages call the scale.
    scale : float
        A width of the law, in the unit of the reward.
    *places : float
        Where it lies.

    Raises
    ------
    InputError
        If another unit must be chosen.
    """
    if not _LEAST_SPAN <= scale <= _LARGEST:
        raise InputError(
            f"{name} must lie in [{_LEAST_SPAN:g}, {_LARGEST:g}]; got {scale:g}. Choose another unit.",
            argument=name if name.isidentifier() else "high",
        )
    far = max(map(abs, places), default=0.0)
    if far > _LARGEST:
        raise InputError(f"rewards must lie in [-{_LARGEST:g}, {_LARGEST:g}]; got {far:g}. Choose another unit.")


@lru_cache(maxsize=2)
def _rank_nodes(breaks: tuple[float, ...] = ()) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return nodes and weights for integrals over ranks, in rising order.

    Within an octave of a tail's mass the rule is exact for polynomials of degree 23.

    Parameters
    ----------
    breaks : tuple of float
        Masses of the lower tail at which an integrand may have a kink.

    Returns
    -------
    below : array (m,)
        The lower tail's mass at nodes below the median.
    above : array (n,)
        The upper tail's mass at those above it.
    weights : array (nodes,)
        Of all nodes; together 1.
    """
    edges = 0.5 * 2.0 ** -np.concatenate([np.arange(0, _FINE, 1.0 / _SPLIT), np.arange(_FINE, _OCTAVES + 1)])
    low = _with_breaks(edges, [b for b in breaks if 0.0 < b < 0.5])
    high = _with_breaks(edges, [1.0 - b for b in breaks if 0.5 <= b < 1.0])
    parts = []
    nodes, weights = np.polynomial.legendre.leggauss(12)  # here: NumPy imports its polynomials when asked
    for ends in (low, high):
        half = 0.5 * np.diff(ends)
        place = (ends[:-1] + half)[:, None] + half[:, None] * nodes
        parts.append((place.ravel(), (half[:, None] * weights).ravel()))
    weight = np.concatenate([parts[0][1], parts[1][1][::-1]])
    return parts[0][0], parts[1][0][::-1], weight / weight.sum()


def _with_breaks(edges: FloatArray, breaks: list[float]) -> FloatArray:
    beside = [b * (1.0 + sign * _BESIDE) for b in breaks for sign in (-1.0, 1.0)]
    inside = np.concatenate([*beside, breaks, edges])
    return np.unique(inside[(inside > 0.0) & (inside <= 0.5)])
