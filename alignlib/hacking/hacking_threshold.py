"""Where optimising a proxy starts to cost gold, on a finite law, with a certificate.

Let ``g_i = E[r | r̂ = level i]``. Along λ, N and μ the policy's density in the level is totally positive, so gold
turns at most once if ``g`` does (variation diminishing: ``E_θ g - c`` changes sign no more often than ``g - c``).
Along N and μ its derivative is a sum of exponentials, with no more zeros than ``g_{i+1} - g_i`` has changes of sign
(Laguerre); along λ nothing of the kind is proved for a ``g`` that turns twice or more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, require
from alignlib.hacking.gold_turns import directions, possible_turns
from alignlib.hacking.overoptimisation import OverOptimisation, best_of_n_curve, best_of_poisson_curve, tilting_curve
from alignlib.hacking.proxy_gap import ProxyPair

__all__ = ["HackingThreshold", "hacking_threshold"]

_GRID = 240
_SATURATED = 40.0  # e^-40 of the mass is left below the top level
_CURVES = {"lam": tilting_curve, "n": best_of_n_curve, "mu": best_of_poisson_curve}


@dataclass(frozen=True)
class HackingThreshold:
    """The point of a path where gold is largest.

    ``parameter`` is the λ, N or μ of it: the path's start where no optimisation helps, ``inf`` where gold is largest
    at the end of the path, that is, never hacked for good. Gold rises at ``low`` and falls at ``high``
    (``slope_low > 0 > slope_high``, each beyond its rounding): the certificate of a maximum between them.
    ``turning_points`` is how often ``E[r | r̂]`` turns, less what lies before the path's start: along N and μ, and along
    λ where it is at most 1, gold turns no more often than that. Where it is at most 1 the maximum is global by proof,
    else by comparison of a grid. Gains are over the base model, ``end_gain`` in the limit of the path.
    """

    path: str
    parameter: float
    kl: float
    gold_gain: float
    proxy_gain: float
    end_gain: float
    low: float
    high: float
    slope_low: float
    slope_high: float
    turning_points: int

    @property
    def turns_down(self) -> bool:
        """Whether more optimisation than ``parameter`` costs gold; not so where gold is unrelated to the proxy."""
        return math.isfinite(self.parameter) and self.gold_gain > self.end_gain

    @property
    def certified(self) -> bool:
        """Whether the maximum is bracketed by slopes of proved sign, and global by proof."""
        bracketed = self.slope_low > 0 > self.slope_high if self.low < self.high else True
        return bracketed and self.turning_points <= 1


def hacking_threshold(pair: ProxyPair, path: str = "lam", resolution: float = 1e-13) -> HackingThreshold:
    """Return the λ, N or μ at which gold is largest: ``argmax E_π̂ r`` along a path of policies.

    Parameters
    ----------
    pair : ProxyPair
        Law, gold and proxy.
    path : "lam", "n" or "mu"
        Tilting, best-of-N (real N) or best-of-Poisson.
    resolution : float
        Relative rounding of ``gold``, as for :func:`~alignlib.hacking.gold_turns.turning_points_of_gold`.

    Raises
    ------
    InputError
        For a proxy or a gold reward that is constant, or an unknown path.

    Examples
    --------
    >>> found = hacking_threshold(ProxyPair([0.0, 1.0, 0.0], [0.0, 1.0, 1.5]))
    >>> round(found.parameter, 6), found.certified, found.slope_low > 0 > found.slope_high
    (0.462098, True, True)

    Source: the threshold is K25's; the certificate is derived here.
    """
    require(path in _CURVES, f"path must be one of {', '.join(map(repr, _CURVES))}; got {path!r}.")
    require(
        pair.levels.mass.size > 1,
        f"proxy must take at least two values to optimise; all outcomes with mass have {pair.proxy[0]:g}.",
    )
    require(
        bool(np.ptp(pair.gold) > 0),
        f"gold must take at least two values, or nothing can be gained or lost; all are {pair.gold[0]:g}.",
    )
    start = 1.0 if path == "n" else 0.0
    grid = start + _offsets(pair, path)
    slope = _slope(pair, path)
    slopes = [slope(v) for v in [start, *grid.tolist()]]
    signs = np.array([np.sign(s) if abs(s) > e else 0.0 for s, e in slopes])
    places = np.concatenate([[start], grid])
    related = bool(directions(pair, resolution))
    end_gain = float(pair.gold_by_level[-1] - pair.ideal.base_reward) if related else 0.0
    turns = possible_turns(pair, path, resolution, float(signs[0]))
    crossings = _crossings(signs)
    candidates = [
        _refined(pair, path, slope, float(places[a]), float(places[b]), end_gain, turns) for a, b in crossings
    ]
    best = max(candidates, key=lambda c: c.gold_gain, default=None)
    at_start = _ended(path, start, 0.0, end_gain, turns)
    at_end = _ended(path, math.inf, end_gain, end_gain, turns, float(pair.proxied.max_reward), pair)
    if best is not None and best.gold_gain > max(end_gain, 0.0):
        return best
    highest = max(_gold(pair, path, places))
    require(
        highest <= max(end_gain, 0.0) + 1e-9 * float(np.ptp(pair.gold)),
        f"gold peaks at {highest:g} where its slope is below rounding, so no maximum can be certified along {path!r}.",
    )
    return at_end if end_gain > 0 else at_start


def _offsets(pair: ProxyPair, path: str) -> FloatArray:
    """Return a geometric grid from where nothing has happened to where the top level has all the mass."""
    if path == "lam":
        spread = math.sqrt(pair.proxied.variance(0.0))
        top = pair.levels.reward[-1] - pair.levels.reward
        # the top level outweighs level i by e^{λ·gap} p_top / p_i
        need = (_SATURATED + np.log(pair.levels.mass[:-1]) - math.log(pair.levels.mass[-1])) / top[:-1]
        return np.geomspace(1e-3 / spread, max(float(need.max()), 2e-3 / spread), _GRID)
    far = _SATURATED / -float(pair.levels.log_at_or_below[-2])
    return np.geomspace(1e-3, max(far, 1.0), _GRID)


def _slope(pair: ProxyPair, path: str) -> Callable[[float], tuple[float, float]]:
    """Return a function of the parameter: the derivative of gold, and a bound on its rounding."""
    if path == "lam":

        def along_lam(v: float) -> tuple[float, float]:
            value, size = pair.covariance(v)
            return value, _rounding(size, pair.prob.size)

        return along_lam
    step = np.diff(pair.gold_by_level)
    log_f = pair.levels.log_at_or_below[:-1]
    above = pair.levels.above[:-1]

    def ranked(v: float) -> tuple[float, float]:
        with np.errstate(under="ignore"):
            kernel = -np.exp(v * log_f) * log_f if path == "n" else above * np.exp(log_f - v * above)
        terms = step * kernel
        return float(terms.sum()), _rounding(float(np.abs(terms).sum()), terms.size)

    return ranked


def _gold(pair: ProxyPair, path: str, places: FloatArray) -> list[float]:
    """Return the gold gain at each place."""
    if path == "lam":
        return [float(v) for v in pair.gold_gain(places)]
    levels, step = pair.levels, np.diff(pair.gold_by_level)
    log_f, above = levels.log_at_or_below[:-1], levels.above[:-1]
    with np.errstate(under="ignore"):
        kept = np.exp(places[:, None] * log_f) if path == "n" else np.exp(log_f - places[:, None] * above)
    gold: list[float] = (pair.gold_by_level[-1] - pair.ideal.base_reward - kept @ step).tolist()
    return gold


def _rounding(size: float, count: int) -> float:
    # pairwise sums of terms each known to some dozens of ulps
    return 2.2e-16 * (64.0 + math.log2(count + 1)) * size


def _crossings(signs: FloatArray) -> list[tuple[int, int]]:
    """Return the pairs of neighbouring certain places between which the slope goes from + to -."""
    certain = np.flatnonzero(signs)
    return [(int(a), int(b)) for a, b in pairwise(certain) if signs[a] > 0 > signs[b]]


def _refined(
    pair: ProxyPair,
    path: str,
    slope: Callable[[float], tuple[float, float]],
    low: float,
    high: float,
    end_gain: float,
    turns: int,
) -> HackingThreshold:
    root = float(scipy.optimize.brentq(lambda v: slope(v)[0], low, high, xtol=1e-14, rtol=1e-14))
    width = 1e-12
    while width < 1.0:  # the narrowest bracket whose slopes exceed their rounding
        left, right = max(low, root - width * root), min(high, root + width * root)
        (a, a_error), (b, b_error) = slope(left), slope(right)
        if a > a_error and b < -b_error:
            low, high = left, right
            break
        width *= 4.0
    at: OverOptimisation = _CURVES[path](pair, [root])
    return HackingThreshold(
        path, root, float(at.kl[0]), float(at.gold_gain[0]), float(at.proxy_gain[0]), end_gain,
        low, high, slope(low)[0], slope(high)[0], turns,
    )  # fmt: skip


def _ended(
    path: str,
    parameter: float,
    gold: float,
    end_gain: float,
    turns: int,
    top: float = 0.0,
    pair: ProxyPair | None = None,
) -> HackingThreshold:
    """Return the threshold at an end of the path: at its start nothing is spent, at its end all there is."""
    kl, proxy = (0.0, 0.0) if pair is None else (pair.proxied.max_kl, top - pair.proxied.base_reward)
    return HackingThreshold(path, parameter, kl, gold, proxy, end_gain, parameter, parameter, math.nan, math.nan, turns)
