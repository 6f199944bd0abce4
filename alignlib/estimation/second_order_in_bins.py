"""How far bins leave the correction of a log-partition function open that its second-order jackknife makes.

With shares p of the weight, ``R = W - 1`` where W is the sum of weights over the largest, ``r = w/R`` and
``φ(x) = -log(1 - x) - x``, the correction is, but for what follows from the number n of samples alone,

    c₁ φ(p₁) - c₂ p₁ + (c₁ + c₂) Σ φ(pⱼ) - c₂ Σ φ(rⱼ) - c₂ Σ_{i<j} -log(1 - qᵢqⱼ),   q = p/(1 - p),

with sums over all samples but the largest. Each function is a sum of ``e^{kλr}`` with coefficients that are not
negative, and so lies, as `CountedSamples.log_partition_bounds` does, between its values for two laws on two points in
each bin: no value of a sample is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields
from alignlib._core.special import log1p_excess
from alignlib.tables import CountedSamples

__all__ = ["bounds_of_correction"]

_FAR = 40.0  # in logarithms of weights: squares of what is farther sum to nothing
_FARTHEST = 600.0
_NOTHING = 1e-300
_NEXT_PRODUCTS = 0.25  # of the odds of two samples, neither of which is the largest
_ROUNDED = 1e-14


@dataclass(frozen=True, eq=False)
class _Law(SameFields):
    """Samples below the largest as points from the top down, and how many lie on each."""

    below: FloatArray
    count: FloatArray


@dataclass(frozen=True, eq=False)
class _Laws(SameFields):
    """What bins allow of all samples but the largest.

    Attributes
    ----------
    low, high : _Law
        The laws of the least and of the largest sums.
    second : float
        How far the second sample lies below the largest, at least.
    others : _Law
        Where the samples below the second lie, at least.
    """

    low: _Law
    high: _Law
    second: float
    others: _Law


def bounds_of_correction(
    samples: CountedSamples, lam: FloatArray, log_mean: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return what the correction of the second order is at least and at most.

    Parameters
    ----------
    samples : CountedSamples
        The samples of one prompt, three or more.
    lam : array (L,)
        λ > 0.
    log_mean : tuple of array (L,)
        What ``log mean e^{λ(r - max r)}`` is at least and at most.

    Returns
    -------
    low, high : array (L,)
        In nats, without what follows from the number of samples alone.

    Examples
    --------
    >>> from alignlib.estimation.jackknife_in_bins import jackknife_of_counts
    >>> from alignlib.estimation.jackknife import of_numbers
    >>> from alignlib.tables import CountedBins
    >>> ends, count = np.array([1.0, 0.0]), np.array([2.0, 3.0])
    >>> samples = CountedSamples(ends, count, CountedBins(count, ends, ends, ends, np.zeros(2)), None)
    >>> exact = jackknife_of_counts(ends, count, np.array([1.0]))
    >>> low, high = bounds_of_correction(samples, np.array([1.0]), (exact.plug_in[:, 0] - 1.0,) * 2)
    >>> found = exact.second_order[0, 0] - exact.plug_in[0, 0] - of_numbers(5)[1]
    >>> bool(low[0] <= found <= high[0]), bool(high[0] - low[0] < 1e-3)
    (True, True)
    """
    its, n = _laws_of(samples), float(samples.size)
    moved = np.exp(np.minimum(2.0 * lam * samples.bins.slack, _FARTHEST))  # by rounding, to either side
    total = [np.maximum(n * np.exp(np.minimum(one, 0.0)), 1.0 + _ROUNDED) for one in log_mean]
    low, high = (_at(law, lam, scale) for law, scale in ((its.low, 1.0 / moved), (its.high, moved)))
    rest = [np.maximum(one - 1.0, _NOTHING) for one in total]
    surely = np.maximum(_sum_of(_at(its.others, lam, 1.0 / moved)), _NOTHING)
    second = np.clip(np.exp(-lam * its.second) * moved, _NOTHING, 1.0)
    of_one, of_two = (2.0 * n - 3.0) / n, (n - 2.0) ** 2 / (n * (n - 1.0))
    # The largest, by what the sum is at most and at least; in between it is least at a third or so.
    ends = np.array([1.0 / total[1], 1.0 / total[0]])
    turn = np.clip(of_two / (of_one + of_two), *ends)
    first = [of_one * log1p_excess(p) - of_two * p for p in (*ends, turn)]
    most_p = np.minimum(second / total[0], second / (1.0 + second + surely))
    mass, most_r = 1.0 - ends[0], second / (second + surely)
    shares = [_sum_of_excess(low, total[1]), _at_most(high, total[0], mass * log1p_excess(most_p) / most_p)]
    of_most = np.where(most_r < 0.5, log1p_excess(np.minimum(most_r, 0.5)), np.log1p(second / surely) - most_r)
    of_rest = [_sum_of_excess(low, rest[1]), _at_most(high, rest[0], of_most / most_r)]
    pairs = _pairs(low, high, total, most_p)
    both = of_one + of_two
    found_low = np.min(first, axis=0) + both * shares[0] - of_two * (of_rest[1] + pairs[1])
    found_high = np.maximum(*first[:2]) + both * shares[1] - of_two * (of_rest[0] + pairs[0])
    return found_low - _ROUNDED, found_high + _ROUNDED


Weighed = tuple[FloatArray, FloatArray]  # weights (L, k), and how many samples


def _at(law: _Law, lam: FloatArray, scale: FloatArray) -> Weighed:
    """Return weights over that of the largest sample, of as many points as matter."""
    some = int(np.searchsorted(law.below, _FAR / float(lam.min()), side="right"))
    weight = np.exp(-lam[:, None] * law.below[:some]) * scale[:, None]
    return np.minimum(weight, 1.0), law.count[:some]  # none is above the largest


def _sum_of(its: Weighed) -> FloatArray:
    """Return the sum of weights."""
    return its[0] @ its[1]


def _laws_of(samples: CountedSamples) -> _Laws:
    """Return the laws of samples, made once."""
    known = samples.made.get("laws")
    if not isinstance(known, _Laws):
        known = samples.made["laws"] = _laws(samples)
    return known


def _laws(samples: CountedSamples) -> _Laws:
    """Return the laws on two points of what lies between the ends of each bin, and these ends."""
    bins = samples.bins
    top, n, v = float(bins.most[0]), bins.count, np.square(bins.deviation)
    least, most = bins.least - bins.slack, bins.most + bins.slack
    others, several = np.maximum(n - 2.0, 0.0), (n > 1.0).astype(np.float64)
    laws = []
    for far, end, sign in ((bins.mean - least, least, 1.0), (most - bins.mean, most, -1.0)):
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(v > 0.0, v / (np.square(far) + v), 0.0)
            other = np.where(far > 0.0, bins.mean + sign * v / far, bins.mean)
        other = np.clip(other, least, most)
        one, two = (other, end) if sign > 0.0 else (end, other)
        of_one, of_two = (1.0 - share, share) if sign > 0.0 else (share, 1.0 - share)
        place = np.column_stack([bins.most, one, two, bins.least])
        count = np.column_stack([several, others * of_one, others * of_two, np.ones_like(n)])
        count[0, 0 if n[0] > 1.0 else 3] = 0.0  # the largest of all
        kept = count > 0.0
        laws.append((_Law(top - place[kept], count[kept]), int(kept[0].sum())))
    (low, of_first), (high, _) = laws
    if n[0] < 3.0:
        return _Laws(low, high, float(low.below[0]), _Law(low.below[1:], low.count[1:]))
    # The second is no higher than one of its number can be with that mean and variance; the rest then has this mean.
    second = min(top, float(bins.mean[0] + bins.deviation[0] * np.sqrt(others[0] - 1.0)) + bins.slack)
    left = (others[0] * bins.mean[0] - second) / (others[0] - 1.0) if others[0] > 1.0 else 0.0
    first = np.array([max(left, float(least[0])), float(bins.least[0])]), np.array([others[0] - 1.0, 1.0])
    rest = slice(of_first, None)
    below, count = np.append(top - first[0], low.below[rest]), np.append(first[1], low.count[rest])
    return _Laws(low, high, top - second, _Law(below[count > 0.0], count[count > 0.0]))


def _sum_of_excess(its: Weighed, total: FloatArray) -> FloatArray:
    """Return ``Σ φ(w/total)``, and no more than that where a point of the law weighs all."""
    x = its[0] / total[:, None]
    return np.where(x < 0.99, log1p_excess(np.minimum(x, 0.99)), np.square(x) * (0.5 + x / 3.0)) @ its[1]


def _at_most(its: Weighed, total: FloatArray, chord: FloatArray) -> FloatArray:
    """Return the same, or more: φ is convex, and lies below the ``chord`` to the largest share."""
    x = its[0] / total[:, None]
    found = log1p_excess(np.minimum(x, 1.0 - _ROUNDED)) @ its[1]
    return np.where((x < 1.0 - _ROUNDED).all(axis=1), np.minimum(found, chord), chord)


def _pairs(low: Weighed, high: Weighed, total: list[FloatArray], most: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what ``Σ_{i<j} -log(1 - qᵢqⱼ)`` is at least and at most: by three powers of the products and the rest."""
    most = np.minimum(most, 0.5)
    odds = most / (1.0 - most)
    left = 1.0 - 1.0 / total[0], 1.0 - 1.0 / total[1]  # of the weight, without the largest
    least, most_sums = _powers(low, total[1], left[0]), _powers(high, total[0], left[1])
    for k in most_sums:
        convex = left[1] * odds**k / most if k > 1 else left[1] * (1.0 + odds)
        most_sums[k] = np.minimum(most_sums[k], convex)
    found = np.zeros((2, len(most)))
    for k in (1, 2, 3):
        found[0] += np.maximum(np.square(least[k]) - most_sums[2 * k], 0.0) / (2.0 * k)
        found[1] += np.maximum(np.square(most_sums[k]) - least[2 * k], 0.0) / (2.0 * k)
    product = np.minimum(np.square(odds), _NEXT_PRODUCTS)
    found[1] += np.square(product) * np.maximum(np.square(most_sums[2]) - least[4], 0.0) / 6.0
    return found[0], found[1]


def _powers(its: Weighed, total: FloatArray, left: FloatArray) -> dict[int, FloatArray]:
    """Return ``Σ q^k`` for k = 1, 2, 3, 4, 6, where shares p sum to ``left``."""
    p = np.minimum(its[0] / total[:, None], 1.0 - _ROUNDED)
    q = p / (1.0 - p)
    square = np.square(q)
    cube = square * q
    of = {1: p * q, 2: square, 3: cube, 4: np.square(square), 6: np.square(cube)}
    found = {k: one @ its[1] for k, one in of.items()}
    found[1] += left
    return found
