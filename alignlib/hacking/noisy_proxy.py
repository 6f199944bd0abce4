"""Gaussian gold seen through independent noise of any law: the law of the proxy, and gold given the proxy.

With ``r ~ N(0, σ²)`` and density ``f̂`` of ``r + e``, ``E[r; r + e ≤ v] = -σ² f̂(v)`` exactly. So the gold in each cell
of proxy values is a difference of densities, and no draw of a heavy tail is ever simulated.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, require
from alignlib.hacking.error_laws import check_distribution
from alignlib.hacking.proxy_gap import ProxyPair

__all__ = ["RESOLUTION", "noisy_proxy"]

RESOLUTION = 1e-7  # of gold, from the quadrature; to be passed on to `hacking_threshold`
_NODES = 250
_REACH = 9.0  # standard deviations of gold: beyond lies 1e-19 of its mass


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
