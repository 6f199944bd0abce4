"""Proxies made from a gold reward and an error law: when gold turns down under optimisation, and when it never does.

An error independent of gold adds its own factor to the tilt, so along λ gold gains exactly what the ideal policy gains
at that λ (at more KL); along N it depends on whose tail is longer, which `noisy_proxy` shows. Laws are cut into cells
of small mass, far into both tails, which gives a finite law of the same shape.

Gaussian gold seen through noise of any law needs no draw of a heavy tail: with ``r ~ N(0, σ²)`` and density ``f̂`` of
``r + e``, ``E[r; r + e ≤ v] = -σ² f̂(v)`` exactly, so the gold in each cell of proxy values is a difference of
densities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, FloatOrArray, like, require, require_range
from alignlib._core.errors import quoted
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.laws import Gaussian
from alignlib.rules import Rule, Rules

__all__ = [
    "RESOLUTION",
    "GaussianPair",
    "check_distribution",
    "finite_law",
    "independent_pair",
    "noisy_proxy",
    "saturating_pair",
]

RESOLUTION = 1e-7  # of gold, from the quadrature; to be passed on to `hacking_threshold`
_NODES = 250
_REACH = 9.0  # standard deviations of gold: beyond lies 1e-19 of its mass


@dataclass(frozen=True)
class GaussianPair:
    """Gold ``r ~ N(0, sd²)`` and proxy ``r + e`` with Gaussian ``e``, correlated with gold: all in closed form.

    The gold gain is ``λ Cov(r, r̂)`` along λ, and ``Cov(r, r̂)/σ̂`` times the gain on a standard normal reward for a rule
    of ranks: it never turns, it only ever rises (``Cov > 0``) or falls.

    Parameters
    ----------
    sd, error_sd : float
        Standard deviations of gold (> 0) and error (>= 0).
    correlation : float
        Of gold and error, in [-1, 1].

    Raises
    ------
    InputError
        If ``sd`` is not positive, ``error_sd`` negative, or ``correlation`` outside [-1, 1].

    Examples
    --------
    >>> from alignlib.rules import BestOfN
    >>> pair = GaussianPair(1.0, 0.5)
    >>> pair.gold_gain(2.0), round(pair.kl(2.0), 9), pair.regret(2.0), pair.jeffreys(2.0)
    (2.0, 2.5, 0.25, 1.0)
    >>> pair.rule_gold_gain(BestOfN.along([4, 16])).round(6).tolist()
    [0.920701, 1.579551]

    Source: the identities of P26 and ours, evaluated for the normal law.
    """

    sd: float
    error_sd: float
    correlation: float = 0.0

    def __post_init__(self) -> None:
        require(self.sd > 0, f"sd must be positive; got {self.sd:g}.")
        require(self.error_sd >= 0, f"error_sd must not be negative; got {self.error_sd:g}.")
        require(abs(self.correlation) <= 1, f"correlation must lie in [-1, 1]; got {self.correlation:g}.")

    @property
    def covariance(self) -> float:
        """``Cov(r, r̂)``."""
        return self.sd * (self.sd + self.correlation * self.error_sd)

    @property
    def proxy_sd(self) -> float:
        """Standard deviation of the proxy."""
        total = self.sd**2 + 2 * self.correlation * self.sd * self.error_sd + self.error_sd**2
        return math.sqrt(max(total, 0.0))

    def ideal_gain(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``E_π* r - E_p r = λ σ²``.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0.

        Raises
        ------
        InputError
            If a λ is negative or not a number.
        """
        return like(lam, require_range("lam", lam, 0.0) * self.sd**2)

    def gold_gain(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``E_π̂ r - E_p r = λ Cov(r, r̂)``: linear, without end.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0.

        Raises
        ------
        InputError
            If a λ is negative or not a number.
        """
        return like(lam, require_range("lam", lam, 0.0) * self.covariance)

    def kl(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(π̂‖p) = λ² σ̂² / 2`` nats.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0.

        Raises
        ------
        InputError
            If a λ is negative or not a number.
        """
        return like(lam, (require_range("lam", lam, 0.0) * self.proxy_sd) ** 2 / 2)

    def gap(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``E_π* r - E_π̂ r = -λ Cov(r, e)``.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0.

        Raises
        ------
        InputError
            If a λ is negative or not a number.
        """
        return like(lam, -require_range("lam", lam, 0.0) * self.correlation * self.sd * self.error_sd)

    def jeffreys(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``KL(π*‖π̂) + KL(π̂‖π*) = λ² Var(e)`` nats.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0.

        Raises
        ------
        InputError
            If a λ is negative or not a number.
        """
        return like(lam, (require_range("lam", lam, 0.0) * self.error_sd) ** 2)

    def regret(self, lam: npt.ArrayLike) -> FloatOrArray:
        """``β KL(π̂‖π*) = λ Var(e) / 2``.

        Parameters
        ----------
        lam : array
            Inverse temperatures λ >= 0.

        Raises
        ------
        InputError
            If a λ is negative or not a number.
        """
        return like(lam, require_range("lam", lam, 0.0) * self.error_sd**2 / 2)

    def rule_gold_gain(self, rules: Sequence[Rule]) -> FloatArray:
        """``Cov(r, r̂)/σ̂`` times what each rule of ranks gains on a standard normal reward; 0 for a constant proxy.

        Parameters
        ----------
        rules : sequence of Rule
            Rules of ranks.

        Returns
        -------
        array (rules,)
            In the unit of gold.
        """
        slope = self.covariance / self.proxy_sd if self.proxy_sd > 0 else 0.0
        return slope * Rules(rules).on(Gaussian()).gain


def finite_law(law: Any, cells: int = 400, tail: float = 1e-12) -> tuple[FloatArray, FloatArray]:
    """Cut a law into cells and return the median and the mass of each.

    Parameters
    ----------
    law : frozen distribution of scipy.stats
        Continuous, such as ``stats.t(3)``.
    cells : int
        Number of cells, >= 4: equal steps of logit mass, so that each tail gets its share.
    tail : float
        Mass of the outermost cells, in (0, 0.1].

    Returns
    -------
    points : array (cells,)
        Median of each cell, rising.
    mass : array (cells,)
        Its mass; together 1.

    Raises
    ------
    InputError
        If there are fewer than 4 cells, ``tail`` lies outside (0, 0.1], or a quantile is not finite.

    Examples
    --------
    >>> from scipy import stats
    >>> points, mass = finite_law(stats.norm(), 200)
    >>> bool(abs(mass.sum() - 1) < 1e-12), bool(abs(mass @ points**2 - 1) < 2e-2)
    (True, True)

    Source: ours.
    """
    check_distribution("law", law)
    require(cells >= 4, f"cells must be at least 4; got {cells}.")
    require(0 < tail <= 0.1, f"tail must lie in (0, 0.1]; got {tail:g}.")
    edge = scipy.special.logit(tail)
    inner = np.linspace(edge, -edge, cells - 1)
    left, right = np.concatenate([[-np.inf], inner]), np.concatenate([inner, [np.inf]])
    # mass and median of each cell from the nearer tail, so that both keep their digits there
    low = right <= 0
    below, above = scipy.special.expit(left), scipy.special.expit(-right)
    mass = np.where(low, scipy.special.expit(right) - below, scipy.special.expit(-left) - above)
    lower = law.ppf(np.where(low, below + mass / 2, 0.5))
    upper = law.isf(np.where(low, 0.5, above + mass / 2))
    points = np.where(low, lower, upper)
    require(bool(np.isfinite(points).all()), "law must have finite quantiles inside (0, 1); it has not.")
    return points, mass / mass.sum()


def check_distribution(name: str, law: Any) -> None:
    """Refuse what is no frozen distribution of scipy.stats.

    Parameters
    ----------
    name : str
        The argument.
    law : object
        What was given for it.

    Raises
    ------
    InputError
        If it lacks quantiles or a median.
    """
    require(
        all(callable(getattr(law, part, None)) for part in ("ppf", "isf", "median")),
        f"{name} must be a frozen distribution of scipy.stats, such as stats.t(3); got {quoted(law)}.",
        name,
    )


def independent_pair(gold: Any, error: Any, cells: int = 200, tail: float = 1e-12) -> ProxyPair:
    """Return the finite law of ``(r, r + e)`` with ``r`` and ``e`` independent, as :func:`finite_law` cuts them.

    The product has ``cells²`` outcomes. Both laws end at their last cell: what is heavy-tailed here shows its tail up
    to the quantile ``1 - tail/2``.

    Parameters
    ----------
    gold, error : frozen distribution of scipy.stats
        Continuous laws of gold and of the error.
    cells : int
        Cells of each law, >= 4.
    tail : float
        Mass of the outermost cells, in (0, 0.1].

    Examples
    --------
    >>> from scipy import stats
    >>> pair = independent_pair(stats.norm(), stats.uniform(-1, 2), cells=60)
    >>> bool(abs(pair.gold_gain(1.0) - pair.ideal_gain(1.0)) < 1e-9)
    True
    """
    check_distribution("gold", gold)
    check_distribution("error", error)
    (r, p), (e, q) = finite_law(gold, cells, tail), finite_law(error, cells, tail)
    golds = np.repeat(r, e.size)
    return ProxyPair(golds, (r[:, None] + e).reshape(-1), np.outer(p, q).reshape(-1))


def saturating_pair(gold: Any, transform: Callable[[FloatArray], FloatArray], cells: int = 400) -> ProxyPair:
    """Return the finite law of ``(r, transform(r))``, a proxy that sees gold through a scale.

    Where ``transform`` never falls, such as ``tanh`` or a ceiling, gold never turns down; it stops rising where the
    proxy stops telling outcomes apart.

    Parameters
    ----------
    gold : frozen distribution of scipy.stats
        Continuous law of gold.
    transform : callable
        From an array of gold rewards to the proxy's.
    cells : int
        Cells of the law, >= 4.

    Examples
    --------
    >>> from scipy import stats
    >>> pair = saturating_pair(stats.norm(), lambda r: np.minimum(r, 1.0), cells=100)
    >>> bool(abs(pair.gold_gain(np.inf) - 1.525) < 0.01)
    True
    """
    check_distribution("gold", gold)
    r, p = finite_law(gold, cells)
    return ProxyPair(r, np.asarray(transform(r), dtype=np.float64), p)


def noisy_proxy(error: Any, sd: float = 1.0, cells: int = 1500, tail: float = 1e-12) -> ProxyPair:
    """Return the law of ``r̂ = r + e`` in cells, with ``E[r | cell]`` as gold, for ``r ~ N(0, sd²)`` independent of e.

    All that a policy which sees only the proxy does to gold is exact for this law; its ``ideal`` is the best such
    policy, not the one that sees r.

    Parameters
    ----------
    error : frozen distribution of scipy.stats
        Continuous, any tail, such as ``stats.t(3)`` or ``stats.pareto(2)``.
    sd : float
        Standard deviation of gold, > 0.
    cells : int
        Number of cells, >= 10: even near the middle, geometric far out.
    tail : float
        Mass of the proxy left in the outermost cells, in (0, 0.1].

    Raises
    ------
    InputError
        If an argument is out of its range.

    Examples
    --------
    >>> from scipy import stats
    >>> from alignlib.hacking.overoptimisation import rule_curve
    >>> from alignlib.rules import BestOfN
    >>> rule_curve(noisy_proxy(stats.norm(0, 0.5)), [BestOfN(4)]).gold_gain.round(4).tolist()
    [0.9207]
    >>> heavy = rule_curve(noisy_proxy(stats.t(3)), BestOfN.along([16.0, 1e6])).gold_gain
    >>> heavy.round(2).tolist()
    [0.87, 0.03]

    Source: derived here.
    """
    check_distribution("error", error)
    require(sd > 0, f"sd must be positive; got {sd:g}.")
    require(cells >= 10, f"cells must be at least 10; got {cells}.")
    require(0 < tail <= 0.1, f"tail must lie in (0, 0.1]; got {tail:g}.")
    middle = float(error.median())
    low = float(error.ppf(tail)) - middle - 7.0 * sd
    high = float(error.isf(tail)) - middle + 7.0 * sd
    steps = np.linspace(math.asinh(low / sd), math.asinh(high / sd), cells - 1)
    edges = middle + sd * np.sinh(steps)
    density, below, above = _convolution(error, sd, edges)
    ends = np.concatenate([[0.0], density, [0.0]])
    falls = sd**2 * (ends[:-1] - ends[1:])
    upper = np.concatenate([above, [0.0]])
    lower = np.concatenate([[0.0], below])
    from_below = np.diff(np.concatenate([lower, [1.0]]))
    from_above = -np.diff(np.concatenate([[1.0], upper]))
    mass = np.where(lower < 0.5, from_below, from_above)
    kept = mass > 1e-300
    middles = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    return ProxyPair(falls[kept] / mass[kept], middles[kept], mass[kept] / mass.sum())


def _convolution(error: Any, sd: float, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return density, distribution function and upper tail of ``r + e`` at each point."""
    start, stop = (float(v) for v in error.support())
    # r runs over what both laws allow, on each side of the error's median: no node near where the density of e jumps
    # at an end of its support, or has the kink of a Laplace law
    left = np.maximum(-_REACH * sd, points - stop)
    right = np.maximum(np.minimum(_REACH * sd, points - start), left)
    kink = np.clip(points - float(error.median()), left, right)
    density = np.zeros(points.size)
    below, above = scipy.special.ndtr((points - stop) / sd), scipy.special.ndtr((start - points) / sd)
    nodes, weights = scipy.special.roots_legendre(_NODES)
    for a, b in ((left, kink), (kink, right)):
        half = (b - a)[:, None] / 2
        r = (a + b)[:, None] / 2 + half * nodes
        gold = np.exp(-0.5 * (r / sd) ** 2) / (sd * math.sqrt(2 * math.pi)) * half * weights
        e = points[:, None] - r
        density += (gold * error.pdf(e)).sum(axis=1)
        below += (gold * error.cdf(e)).sum(axis=1)
        above += (gold * error.sf(e)).sum(axis=1)
    return density, below, above
