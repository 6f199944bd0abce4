r"""Capacity estimated from confusion counts, with its bias removed and an interval.

The plug-in capacity of a table of counts is too high: chance differences between rows look like information. To second
order in the counting noise ``δ`` of the rows, ``C(P+δ) = C(P) + g·δ + ½ δᵀHδ``, where ``g_uy = p_u log(P_uy/q_y)``
because the input law is optimal, and ``H`` includes the response of that law. Then

    bias ≈ ½ tr(HΣ),   variance ≈ gᵀΣg + ½ tr(HΣHΣ),   Σ_u = (diag P_u - P_u P_uᵀ)/n_u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from alignlib._channel import as_law
from alignlib._checks import FloatArray, as_float_array, require
from alignlib.capacity import capacity
from alignlib.rater_table import RaterTable

__all__ = ["CapacityEstimate", "ConfusionEstimate", "estimate_capacity", "estimate_from_counts"]

_IN_USE = 1e-9  # inputs of smaller mass do not respond to first order
# Where 93 to 97 % of the 95 % intervals held the truth in our simulations (notebook 61).
_LARGEST_BIAS = 0.75  # standard errors that the correction may amount to
_FEWEST_LABELS = 400  # of each target that the optimal input law uses
_FARTHEST_FROM_ZERO = 2.0  # standard errors; nearer, useless and poor channels look alike


@dataclass(frozen=True)
class ConfusionEstimate:
    """Capacity of one table of counts in nats: corrected, as counted, its standard error, and what supports it.

    ``value`` is ``plug_in - bias``, not cut at zero. ``supported`` says whether the interval can be trusted: the bias
    is at most 0.75 standard errors, the value at least 2, and each target that matters has at least 400 labels.
    """

    value: float
    plug_in: float
    bias: float
    standard_error: float
    input_prob: FloatArray
    n_labels: int
    supported: bool

    @property
    def ceiling(self) -> float:
        """Largest capacity that the inputs in use allow, the logarithm of their number."""
        return math.log(max(int((self.input_prob > _IN_USE).sum()), 2))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Interval of the given coverage, labels taken as independent."""
        value, error, top = (np.array([x]) for x in (self.value, self.standard_error, self.ceiling))
        low, high = _interval(value, error, float(norm.ppf(0.5 + level / 2)), top)
        return float(low[0]), float(high[0])


def estimate_from_counts(counts: npt.ArrayLike) -> ConfusionEstimate:
    """Estimate the capacity of the channel behind a table of counts, shape (targets, labels).

    A target without labels is left out. A row of one label has no visible spread, so rows need two.

    >>> found = estimate_from_counts([[90, 10], [10, 90]])
    >>> round(found.plug_in, 4), round(found.value, 4), round(found.standard_error, 4), found.supported
    (0.3681, 0.3638, 0.047, False)

    Raises ``ValueError`` for negative or fractional counts, or a target with a single label.

    Source: delta method to second order, derived here.
    """
    table = as_float_array("counts", counts)
    require(table.ndim == 2 and table.size > 0, f"counts must have shape (targets, labels); got {table.shape}.")
    require(
        bool((table >= 0).all() and (table == np.floor(table)).all()),
        "counts must be whole numbers >= 0; give counts, not shares.",
    )
    n = table.sum(axis=1)
    require(bool((n > 0).any()), "counts holds no labels; give at least two for each target.")
    lone = np.flatnonzero(n == 1)
    if lone.size:
        raise ValueError(
            f"target {int(lone[0])} has a single label ({lone.size} such targets); one label shows no spread. "
            "Collect more, "
            "or leave the target out."
        )
    rows = np.divide(table, n[:, None], out=np.zeros_like(table), where=n[:, None] > 0)
    found = capacity(rows)
    used = found.input_prob > _IN_USE
    seen = rows[used].any(axis=0)
    bias, variance = _second_order(rows[np.ix_(used, seen)], found.input_prob[used], n[used])
    error = math.sqrt(max(variance, 0.0))
    supported = (
        bias <= _LARGEST_BIAS * error
        and found.value - bias >= _FARTHEST_FROM_ZERO * error
        and bool(n[used].min() >= _FEWEST_LABELS)
    )
    return ConfusionEstimate(found.value - bias, found.value, bias, error, found.input_prob, int(n.sum()), supported)


def _second_order(rows: FloatArray, p: FloatArray, n: FloatArray) -> tuple[float, float]:
    """Return bias and variance of the plug-in capacity; every input is in use and every output seen."""
    q = p @ rows
    log_ratio = np.log(np.where(rows > 0, rows, 1.0) / q) * (rows > 0)
    identity = np.eye(rows.shape[1])
    sigma = (rows[:, :, None] * identity - rows[:, :, None] * rows[:, None, :]) / (n - 1)[:, None, None]
    g = p[:, None] * log_ratio
    # How p follows a change of the rows: -(∇²I)⁻¹ on directions that sum to zero.
    inverse = np.linalg.pinv((rows / q) @ rows.T, hermitian=True)
    ones = inverse.sum(axis=1)
    inverse -= np.outer(ones, ones) / ones.sum()
    bias = 0.0
    variance = float(np.einsum("uy,uyz,uz->", g, sigma, g))
    # mixed[u][v, y] = ∂²I/∂p_v∂P_uy
    mixed = -(p[:, None, None] * rows[None, :, :]) / q
    mixed[np.arange(p.size), np.arange(p.size)] += log_ratio
    for u in range(p.size):
        block = np.einsum("vy,vw,xwz->yxz", mixed[u], inverse, mixed, optimize=True)
        block[np.arange(q.size), :, np.arange(q.size)] -= p[u] * p[None, :] / q[:, None]
        block[np.arange(q.size), u, np.arange(q.size)] += np.divide(
            p[u], rows[u], out=np.zeros_like(q), where=rows[u] > 0
        )
        bias += 0.5 * float(np.einsum("yz,yz->", block[:, u], sigma[u]))
        spread = np.einsum("yxz,xzw->yxw", block, sigma, optimize=True)
        variance += 0.5 * float(np.einsum("yxw,zxw,yz->", spread, block, sigma[u], optimize=True))
    return bias, variance


@dataclass(frozen=True)
class CapacityEstimate:
    """Capacities of a table of ratings: one per context, and their average over the law of the context, in nats.

    Intervals stay between 0 and the logarithm of the number of targets in use; the values are not cut.
    """

    contexts: tuple[str, ...]
    context_prob: FloatArray
    each: tuple[ConfusionEstimate, ...]
    low: FloatArray
    high: FloatArray
    mean: float
    mean_plug_in: float
    mean_low: float
    mean_high: float
    mean_standard_error: float
    level: float
    supported: bool
    n_clusters: int | None

    @property
    def value(self) -> FloatArray:
        """Corrected capacity of each context, shape (contexts,)."""
        return np.array([one.value for one in self.each])


def estimate_capacity(
    table: RaterTable,
    *,
    context_prob: npt.ArrayLike | None = None,
    level: float = 0.95,
    by_rater: bool = False,
) -> CapacityEstimate:
    """Estimate the capacity of each context and their average ``C̄`` from ratings.

    Parameters
    ----------
    table : RaterTable
        Who said what about which target.
    context_prob : array (contexts,), optional
        How often each context occurs in use; the shares of the table's labels if omitted.
    level : float
        Coverage of the intervals, in (0, 1).
    by_rater : bool
        With False, labels are taken as independent given target and context. With True, whole raters are left out in
        turn (a jackknife), which allows for raters who differ; the intervals are then wider.

    Raises
    ------
    ValueError
        If a target has a single label in some context, or fewer than three raters are to be left out in turn.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> target = rng.integers(0, 2, 400)
    >>> table = RaterTable.from_codes(target, target ^ (rng.random(400) < 0.1))
    >>> found = estimate_capacity(table)
    >>> bool(found.mean_low < 0.3681 < found.mean_high)
    True

    Source: C25 asks for the capacity to be measured; the estimator is derived here.
    """
    require(0 < level < 1, f"level must lie in (0, 1); got {level!r}.")
    weight = _context_law(table, context_prob)
    counts = table.counts()
    each = tuple(_named(table, i, counts[i]) for i in range(len(table.contexts)))
    value = np.array([one.value for one in each])
    mean = float(weight @ value)
    n_clusters = None
    if by_rater:
        n_clusters = len(table.raters)
        each_error, mean_error = _leave_out_raters(table, weight, counts)
        quantile = float(t.ppf(0.5 + level / 2, n_clusters - 1))
    else:
        each_error = np.array([one.standard_error for one in each])
        mean_error = float(np.sqrt((weight * each_error) @ (weight * each_error)))
        quantile = float(norm.ppf(0.5 + level / 2))
    ceilings = np.array([one.ceiling for one in each])
    low, high = _interval(
        np.append(value, mean), np.append(each_error, mean_error), quantile, np.append(ceilings, weight @ ceilings)
    )
    return CapacityEstimate(
        contexts=table.contexts,
        context_prob=weight,
        each=each,
        low=low[:-1],
        high=high[:-1],
        mean=mean,
        mean_plug_in=float(weight @ np.array([one.plug_in for one in each])),
        mean_low=float(low[-1]),
        mean_high=float(high[-1]),
        mean_standard_error=mean_error,
        level=level,
        supported=all(one.supported for one, w in zip(each, weight, strict=True) if w > 0),
        n_clusters=n_clusters,
    )


def _interval(value: FloatArray, error: FloatArray, quantile: float, top: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Intervals in the angle ``arcsin √(C/top)``, which spreads alike near zero, near the top and between.

    The spread of an estimate shrinks towards both ends, so that intervals even in nats miss on one side. An estimate at
    or beyond an end has no angle; its interval is even in nats, cut there.
    """
    share = np.clip(value / top, 0.0, 1.0)
    within = (share > 0) & (share < 1)
    slope = 2 * np.sqrt(np.where(within, share * (1 - share), 1.0))
    angle, half = np.arcsin(np.sqrt(share)), quantile * error / (top * slope)
    low = top * np.sin(np.maximum(angle - half, 0.0)) ** 2
    high = top * np.sin(np.minimum(angle + half, np.pi / 2)) ** 2
    even_low, even_high = (np.clip(value + sign * quantile * error, 0.0, top) for sign in (-1.0, 1.0))
    return np.where(within, low, even_low), np.where(within, high, even_high)


def _context_law(table: RaterTable, context_prob: npt.ArrayLike | None) -> FloatArray:
    if context_prob is None:
        return np.bincount(table.context, minlength=len(table.contexts)) / table.n_labels
    weight = as_law("context_prob", context_prob)
    require(
        weight.size == len(table.contexts),
        f"context_prob must have one entry per context, {len(table.contexts)}; got {weight.size}.",
    )
    return weight


def _named(table: RaterTable, context: int, counts: FloatArray) -> ConfusionEstimate:
    lone = np.flatnonzero(counts.sum(axis=1) == 1)
    if lone.size:
        raise ValueError(
            f"target {table.targets[int(lone[0])]!r} has a single label in context {table.contexts[context]!r} "
            f"({lone.size} "
            "such targets); one label shows no spread. Collect more, or leave the target out."
        )
    return estimate_from_counts(counts)


def _leave_out_raters(table: RaterTable, weight: FloatArray, counts: FloatArray) -> tuple[FloatArray, float]:
    """Jackknife standard errors over raters, of each context and of the average."""
    raters = len(table.raters)
    if raters < 3:
        raise ValueError(f"by_rater needs at least 3 raters to leave out in turn; the table has {raters}.")
    values = np.empty((raters, len(table.contexts)))
    for i in range(raters):
        rest = counts - table.counts(i)
        for j in range(len(table.contexts)):
            n = rest[j].sum(axis=1)
            if (n[counts[j].sum(axis=1) > 0] < 2).any():
                raise ValueError(
                    f"without rater {table.raters[i]!r} a target of context {table.contexts[j]!r} has fewer "
                    "than two labels, "
                    "so raters cannot be left out in turn; collect labels of each target from more raters, or "
                    "drop by_rater."
                )
            values[i, j] = estimate_from_counts(rest[j]).value
    scale = (raters - 1) / raters
    each = np.sqrt(scale * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
    means = values @ weight
    return each, float(np.sqrt(scale * ((means - means.mean()) ** 2).sum()))
