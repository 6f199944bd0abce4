"""Log-partition functions of a prompt whose samples are in bins, at many λ at once, with what bins leave open.

A bin of more than three samples counts as one reward, the mean m of its samples, with their variance v. Within it
Taylor's series of e^{λr} is taken to the second order,

    mean e^{λr} = e^{λm} (1 + λ²v/2 + R),   |R| ≤ λ³ v a e^{λa}/6,

where a is the distance from m to the farther end: no reward is farther, so that ``E|r - m|³ ≤ v a``. Where this leaves
much open, `jackknife_of_counts` and the laws on two points are asked instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields
from alignlib.estimation.jackknife import LogPartitionEstimate, of_numbers
from alignlib.estimation.jackknife_in_bins import (
    NOTHING_MORE,
    jackknife_of_counts,
    log_sums_of_several,
    log_sums_of_small,
)
from alignlib.tables import CountedSamples

__all__ = ["CurveInBins", "curve_in_bins", "kl_in_bins"]

_OCTAVE = 5  # λ
_SQUARES = 3  # one after another: each doubles the rounding of the one before
_NOTHING = 1e-40  # of the largest weight
_LEAST = -80.0  # log of a weight that is nothing still where it was squared; far smaller ones take long
_MUCH_OPEN = 1e-6  # of a sum
_ROUNDING = 4e-15
_SMALL_SHARE = 1e-2  # of one sample: of seventh powers a sum is below 1e-12
_LARGE_STEP = 0.25  # λ times the distance from a bin's mean
_OF_SQUARES, _OF_POWERS = 0.55, 3.5  # what one more of Σp² changes of the correction, and, over λ²p, of higher powers
_FOUR = 4.2  # two of a square, two of the square of the sum, and what is smaller


@dataclass(frozen=True, eq=False)
class CurveInBins(SameFields):
    """Estimates of a prompt, (L, 1), how far bins leave the plug-in open, (L,), and the mean square of its rewards.

    Attributes
    ----------
    found : LogPartitionEstimate
        What the samples tell.
    open_below, open_above : array (L,)
        How much less, and more, the log-partition function of the samples may be.
    correction_off : array (L,)
        How far off the correction of the second order may be, where no sample weighs much; elsewhere infinite.
    square : float
        The mean of their squares.
    """

    found: LogPartitionEstimate
    open_below: FloatArray
    open_above: FloatArray
    correction_off: FloatArray
    square: float


@dataclass(frozen=True, eq=False)
class _Means(SameFields):
    """Rewards below the largest, from the top down, each of some samples: their variance, and the distance a."""

    value: FloatArray
    count: FloatArray
    variance: FloatArray
    reach: FloatArray

    def over(self, unit: float) -> _Means:
        """Return them in another unit."""
        return _Means(self.value / unit, self.count, self.variance / unit**2, self.reach / unit)


def curve_in_bins(samples: CountedSamples, lam: FloatArray, base: float, unit: float) -> CurveInBins:
    """Estimate ``log mean e^{λ(r - base)/unit}`` as `jackknife_of_counts` does, with what bins leave open.

    Parameters
    ----------
    samples : CountedSamples
        The samples of one prompt, in bins.
    lam : array (L,)
        λ > 0, rising, each twice the fifth before it.
    base, unit : float
        Where rewards are counted from, and in what unit.

    Examples
    --------
    >>> from alignlib.tables import CountedBins
    >>> ends, count = np.array([1.0, 0.0]), np.full(2, 2.0)  # two bins of two samples each
    >>> bins = CountedBins(count, ends, ends, ends, np.zeros(2))
    >>> samples = CountedSamples(ends, count, bins, lambda lam: (lam, lam))
    >>> found = curve_in_bins(samples, np.array([1.0]), 0.0, 1.0).found
    >>> bool(abs(found.plug_in[0, 0] - np.log((np.e + 1.0) / 2.0)) < 1e-15)
    True
    """
    its, top = _means_of(samples).over(unit), float(samples.bins.most[0])
    n, reach = float(its.count.sum()), float(its.reach.max(initial=0.0))
    spread = its.count * its.variance
    summed = np.array([its.count, its.count * its.value, spread, spread * its.value, spread * its.reach])
    weight = _weights(its.value, lam)
    sums = summed[:, : weight.shape[1]] @ weight.T
    half = 0.5 * np.square(lam)
    total = np.maximum(sums[0] + half * sums[2], 1.0)  # the largest alone has 1, which its bin's mean may lack
    open_ = lam**3 * np.exp(np.minimum(lam * reach, -_LEAST)) / 6.0 * sums[4] / total
    plug_in, largest = np.log(total / n), 1.0 / total
    slope = (sums[1] + half * sums[3] + lam * sums[2]) * largest
    singles, pairs, squares, off = _sums_of(weight, its, summed, lam, largest)
    of_one, of_two = of_numbers(round(n))
    found = np.array(
        [
            plug_in,
            plug_in + of_one - (n - 1.0) / n * singles,
            plug_in + of_two - (2.0 * n - 3.0) / n * singles + (n - 2.0) ** 2 / (n * (n - 1.0)) * pairs,
            1.0 / squares,
            largest,
            np.maximum(lam * slope - plug_in, 0.0),
        ]
    )
    found[:3] += lam * ((top - base) / unit)
    size = max(abs(top), abs(float(samples.bins.least[-1]))) / unit
    rounding = lam * (samples.bins.slack / unit) + _ROUNDING * (1.0 + lam * size)
    below, above = open_ + np.square(open_) + rounding, open_ + rounding
    off += _OF_SQUARES * squares * _FOUR * (open_ + rounding)  # of the sum of weights, and of each
    off[(open_ > _MUCH_OPEN) | (lam * reach > _LARGE_STEP)] = math.inf
    wide = np.flatnonzero((open_ > _MUCH_OPEN) | (lam * reach > -0.5 * _LEAST))
    if wide.size:
        at, low, high = lam[wide], *samples.log_partition_bounds(lam[wide] / unit)
        other = jackknife_of_counts((samples.value - base) / unit, samples.count, at)
        found[:, wide] = [getattr(other, one.name)[:, 0] for one in fields(other)]
        below[wide] = np.maximum(found[0, wide] - low + at * base / unit, 0.0)
        above[wide] = np.maximum(high - at * base / unit - found[0, wide], 0.0)
    centred = its.value + (top - base) / unit
    square = float(its.count @ np.square(centred) + spread.sum()) / n
    return CurveInBins(LogPartitionEstimate(*found[:, :, None]), below, above, off, square)


def kl_in_bins(samples: CountedSamples, lam: float) -> tuple[float, float, float, float]:
    """Return ``log mean e^{λ(r - max r)}`` of the samples and the KL of the tilt, and how far each may be off.

    The mean of ``r e^{λr}`` in a bin is ``e^{λm} (m (1 + λ²v/2) + λv)`` but for the third order, as that of ``e^{λr}``.

    Parameters
    ----------
    samples : CountedSamples
        The samples of one prompt, in bins.
    lam : float
        λ > 0, in units of 1 over the reward.

    Returns
    -------
    log_mean, kl, off, kl_off : float
        In nats.

    Examples
    --------
    >>> from alignlib.tables import CountedBins
    >>> ends, count = np.array([1.0, 0.0]), np.full(2, 2.0)
    >>> bins = CountedBins(count, ends, ends, ends, np.zeros(2))
    >>> found = kl_in_bins(CountedSamples(ends, count, bins, lambda lam: (lam, lam)), 1.0)
    >>> [round(one, 4) for one in found]
    [-0.3799, 0.1109, 0.0, 0.0]
    """
    its = _means_of(samples)
    weight, half = its.count * np.exp(lam * its.value), 0.5 * lam**2 * its.variance
    total = float(weight @ (1.0 + half))
    mean = float(weight @ (its.value * (1.0 + half) + lam * its.variance)) / total
    third = weight * its.variance * its.reach * np.exp(np.minimum(lam * its.reach, -_LEAST)) / total
    off = lam**3 / 6.0 * float(third.sum())
    off_mean = float(third @ (0.5 * lam**2 + lam**3 / 6.0 * np.abs(its.value - mean)))
    left = max(1.0 - off, 0.0)
    rounding = lam * samples.bins.slack * (1.0 + lam * abs(mean)) + _ROUNDING
    off = off / left + rounding if left else math.inf
    kl_off = lam * off_mean / left + 2.0 * rounding + off if left else math.inf
    log_mean = math.log(total / its.count.sum())
    return log_mean, max(lam * mean - log_mean, 0.0), off, kl_off


def _means_of(samples: CountedSamples) -> _Means:
    """Return the means of samples, made once."""
    known = samples.made.get("means")
    if not isinstance(known, _Means):
        known = samples.made["means"] = _means(samples)
    return known


def _means(samples: CountedSamples) -> _Means:
    """Return the samples of two or three of a bin as they are, and of more their mean."""
    bins = samples.bins
    n, others = bins.count, np.maximum(bins.count - 2.0, 0.0)
    tied, few = bins.least == bins.most, bins.count <= 3.0
    several = n > 1.0
    mean = (bins.most + several * bins.least + others * bins.mean) / n
    squares = others * (np.square(bins.deviation) + np.square(bins.mean - mean))
    squares += np.square(bins.most - mean) + several * np.square(bins.least - mean)
    alone = few & ~tied
    middle = np.where(tied, bins.most, np.where(few, bins.mean, mean))
    value = np.stack([bins.most, middle, bins.least], axis=1)
    count = np.stack([alone & several, np.where(alone, np.where(several, others, n), n), alone & several], axis=1)
    kept = np.flatnonzero(count.reshape(-1) > 0.0)
    one, place = kept % 3 == 1, kept // 3
    dense = one & ~(tied | few)[place]
    far = np.maximum(bins.most - mean, mean - bins.least)
    return _Means(
        value.reshape(-1)[kept] - bins.most[0],
        count.reshape(-1)[kept].astype(np.float64),
        np.where(dense, (squares / n)[place], 0.0),
        np.where(dense, far[place], 0.0),
    )


def _weights(below: FloatArray, lam: FloatArray) -> FloatArray:
    """Return ``e^{λ r}`` of the first rewards, as many as weigh anything, in part as squares of those at half of λ."""
    some = max(1, int(np.searchsorted(-below, -math.log(_NOTHING) / float(lam[0]), side="right")))
    weight, squares = np.empty((lam.size, some)), 0
    for start in range(0, lam.size, _OCTAVE):
        now, before = slice(start, start + _OCTAVE), slice(start - _OCTAVE, start + min(lam.size - start - _OCTAVE, 0))
        if start and squares < _SQUARES and (lam[now] == 2.0 * lam[before]).all():
            squares += 1
            np.square(weight[before], out=weight[now])
        else:
            squares = 0
            np.exp(np.maximum(lam[now, None] * below[:some], _LEAST), out=weight[now])
    return weight


def _sums_of(
    weight: FloatArray, its: _Means, summed: FloatArray, lam: FloatArray, largest: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return sums over samples of ``log(1 - p) + p``, of ``log(1 - q q')`` over pairs, and of ``p²``, each (L,).

    And how far off the correction may be that they make: infinite where that is not told.
    """
    size = weight.shape[1]
    found = np.full((4, lam.size), math.inf)
    few = _first(largest > _SMALL_SHARE)
    if few:
        found[:, :few] = _sums_of_small(weight[:few], its, summed[:5:2, :size], lam[:few], largest[:few])
    if few < lam.size:
        one = weight[few:] * (1.0 + 0.5 * np.square(lam[few:, None]) * its.variance[:size])
        found[:3, few:] = log_sums_of_several(one, its.count[:size], largest[few:])
    return found[0], found[1], found[2], found[3]


def _sums_of_small(
    weight: FloatArray, its: _Means, summed: FloatArray, lam: FloatArray, largest: FloatArray
) -> FloatArray:
    """Return the same where no sample weighs much, shape (4, L), by power sums, of which most are nothing.

    Of Σp² what is left out is of the third order in λ, of higher powers it is of the second.
    """
    power = np.square(weight)
    of_power = summed @ power.T
    s = np.zeros((7, lam.size))
    s[1], s[2] = 1.0, (of_power[0] + 2.0 * np.square(lam) * of_power[1]) * np.square(largest)
    number = its.count[: weight.shape[1]]
    for k in range(3, 7):
        start = _first(largest ** (k - 1) >= NOTHING_MORE)  # which is no less than that of all samples
        power[start:] *= weight[start:]
        s[k, start:] = (power[start:] @ number) * largest[start:] ** k
    reach = lam * float(its.reach.max(initial=0.0))
    off = _OF_SQUARES * 4.0 / 3.0 * lam * np.exp(2.0 * reach) * of_power[2]
    off += _OF_POWERS * largest * np.exp(6.0 * reach) * of_power[1]
    return np.array([*log_sums_of_small(tuple(s)), s[2], np.square(lam * largest) * off])


def _first(holds: BoolArray) -> int:
    """Return the place from which on it may hold, or the number of places."""
    return int(holds.argmax()) if holds.any() else holds.size
