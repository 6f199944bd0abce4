"""What bins leave open: every law that they allow lies between two, so that each number has a computed bound.

Of a bin with n samples the least and the largest are known as they are. The n - 2 others lie between them with a known
mean m and variance v. Among all laws on [a, b] with that mean and variance ``E e^{λx}``, λ > 0, is least for the one on
two points of which one is a, and largest for the one that has b: ``1, x, x², e^{λx}`` are a Chebyshev system. To round
to steps of ``w/2²⁴`` moves each reward by less than one step, which adds ``λ w/2²⁴`` to the upper end. Where a bin's
own rewards lie within two steps, its ends tell more than the steps do: all between may then lie at either end.

Source: the extreme laws are Markov's and Krein's (Karlin and Studden, 1966); their use on bins is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from alignlib._core.same import SameFields
from alignlib._core.tilted_weights import Weights
from alignlib.scale.bins import STEPS, Bins
from alignlib.scale.further import Further
from alignlib.tables import CountedBins, CountedFurther, CountedSamples

__all__ = [
    "Atoms",
    "counted_samples",
    "inside_bins",
    "log_partition_bounds",
    "lower_atoms",
    "of_prompt",
    "upper_atoms",
]


@dataclass(frozen=True, eq=False)
class Atoms(SameFields):
    """Rewards from the top down, with how many samples each stands for.

    Attributes
    ----------
    value : array (atoms,)
        The rewards.
    count : array (atoms,)
        Samples.
    slack : float
        By how much rounding may have moved each.
    """

    value: FloatArray
    count: FloatArray
    slack: float

    def log_partition(self, lam: FloatArray) -> FloatArray:
        """Return ``log mean e^{λr}`` at each λ, shape (L,).

        Parameters
        ----------
        lam : array (L,)
            Inverse temperatures λ >= 0.
        """
        top, share = float(self.value[0]), self.count / self.count.sum()
        weights = Weights(self.value - top)
        sums = [float(share[: len(weight)] @ weight) for weight in map(weights.at, lam.tolist())]
        return np.asarray(lam * top + np.log(sums))


Inside = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]  # what `inside_bins` says


def inside_bins(bins: Bins, width: float) -> Inside:
    """Return, in widths of the bin from its beginning: least, largest, and number, mean and variance of the others.

    Parameters
    ----------
    bins : Bins
        Bins of any prompts.
    width : float
        Their width.
    """
    share = 2.0**-STEPS
    least, most = (np.floor((one / width - bins.index) * 2.0**STEPS) * share for one in (bins.least, bins.most))
    n = bins.count.astype(np.float64)
    mean = bins.total / n * share
    squares = (bins.square_high / n) * share + (bins.square_low / n) * share**2
    spread = n * np.maximum(squares - np.square(mean), 0.0)  # about the mean of all
    others = np.maximum(n - 2.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        m = np.where(others > 0.0, (n * mean - least - most) / others, mean)
        about = spread - np.square(least - mean) - np.square(most - mean)
        v = np.where(others > 0.0, about / others - np.square(m - mean), 0.0)
    m = np.clip(m, least, most)
    v = np.clip(np.where(others == 1.0, 0.0, v), 0.0, (m - least) * (most - m))
    return least, most, others, m, v


def _step(width: float) -> float:
    return math.ldexp(width, -STEPS)


def _by_ends(bins: Bins, width: float) -> BoolArray:
    """Tell which bins have rewards so near to each other that steps say less than the ends do."""
    return np.asarray(0.5 * bins.most - 0.5 * bins.least <= _step(width))


def _slack(bins: Bins, width: float) -> float:
    """Return by how much a reward may lie off: by a step, or, from the middle of its bin, by half of that."""
    return min(_step(width), float((0.5 * bins.most - 0.5 * bins.least).max()))


def _atoms(bins: Bins, width: float, places: list[FloatArray], counts: list[FloatArray], end: FloatArray) -> Atoms:
    """Gather atoms of each bin, given from the bottom up in widths from its beginning; ``end`` is where all may lie."""
    value = width * (bins.index[::-1, None] + np.column_stack(places[::-1])[::-1])
    count = np.column_stack(counts[::-1])[::-1]
    ends = _by_ends(bins, width)[::-1]
    value[ends] = np.column_stack([bins.most, end, bins.least])[::-1][ends]
    kept = count > 0.0
    return Atoms(value[kept], count[kept], 0.0 if ends.all() else _step(width))


def lower_atoms(bins: Bins, width: float, inside: Inside | None = None) -> Atoms:
    """Return the law of one prompt's bins whose ``E e^{λr}`` is least at every λ > 0.

    Parameters
    ----------
    bins : Bins
        The bins of one prompt.
    width : float
        Their width.
    inside : tuple of array, optional
        What `inside_bins` says of them.
    """
    least, most, others, m, v = inside_bins(bins, width) if inside is None else inside
    up = m - least
    with np.errstate(divide="ignore", invalid="ignore"):
        other = np.where(up > 0.0, m + v / up, m)
        share = np.where(v > 0.0, v / (np.square(up) + v), 0.0)
    return _atoms(
        bins,
        width,
        [least, np.minimum(other, most), most],
        [1.0 + others * share, others * (1.0 - share), (bins.count > 1).astype(np.float64)],
        bins.least,
    )


def upper_atoms(bins: Bins, width: float, inside: Inside | None = None) -> Atoms:
    """Return the law of one prompt's bins whose ``E e^{λr}`` is largest at every λ > 0.

    Parameters
    ----------
    bins : Bins
        The bins of one prompt.
    width : float
        Their width.
    inside : tuple of array, optional
        What `inside_bins` says of them.
    """
    least, most, others, m, v = inside_bins(bins, width) if inside is None else inside
    down = most - m
    with np.errstate(divide="ignore", invalid="ignore"):
        other = np.where(down > 0.0, m - v / down, m)
        share = np.where(v > 0.0, v / (np.square(down) + v), 0.0)
    return _atoms(
        bins,
        width,
        [least, np.maximum(other, least), most],
        [np.ones_like(m), others * (1.0 - share), others * share + (bins.count > 1)],
        bins.most,
    )


def counted_samples(bins: Bins, width: float, further: Mapping[str, float] | None = None) -> CountedSamples:
    """Return the bins of one prompt as estimates take them: a law between the two.

    The least and the largest of a bin are what they are; the others lie at their mean ± standard deviation, or, where
    that leaves the bin, as in the lower law, whose mean and variance are the same.

    Parameters
    ----------
    bins : Bins
        The bins of one prompt.
    width : float
        Their width.
    further : mapping of str to float, optional
        Names of further columns, in their order, and the widths of their bins.
    """
    inside = inside_bins(bins, width)
    value, count = _arranged(bins, width, inside)
    _, _, _, m, v = inside
    middle, ends = 0.5 * bins.least + 0.5 * bins.most, _by_ends(bins, width)
    mean = np.clip(width * (bins.index + m) + 0.5 * _step(width), bins.least, bins.most)
    mean, deviation = np.where(ends, middle, mean), np.where(ends, 0.0, width * np.sqrt(v))
    number, slack = bins.count.astype(np.float64), _slack(bins, width)
    known = CountedBins(number[::-1], bins.least[::-1], bins.most[::-1], mean[::-1], deviation[::-1], slack)
    of_lam = partial(log_partition_bounds, bins, width, inside=inside)
    more = {
        name: _further(bins, width, one, its)
        for (name, its), one in zip((further or {}).items(), bins.others, strict=bool(further))
        if np.isfinite(one.least).all()
    }
    return CountedSamples(np.ascontiguousarray(value[::-1]), np.ascontiguousarray(count[::-1]), known, of_lam, more)


def _further(bins: Bins, width: float, further: Further, its: float) -> CountedFurther:
    """Return what is known of a further column, from the top down.

    Its values are whole widths h and a part of one: the covariance of this part with the reward, and what rounding
    leaves of the reward's own place, are bounded by the standard deviations.
    """
    mean = further.mean(its, bins.count)
    its_half, half = (0.5 * one.most - 0.5 * one.least for one in (further, bins))  # no deviation is more
    slack = min(_step(its), 2.0 * float(its_half.max()))
    deviation = further.deviation(its, bins.count)
    deviation += np.where(further.most > further.least, slack, 0.0)
    deviation = np.minimum(deviation, its_half)
    of_reward = np.sqrt(bins.variance(1.0)) * width + np.where(bins.most > bins.least, _step(width), 0.0)
    of_reward = np.minimum(of_reward, half)
    most = of_reward * deviation
    with np.errstate(over="ignore", invalid="ignore"):  # of bins so wide that sums of products tell nothing
        middle = width * its * further.covariance(bins.total, bins.count)
        off = 0.5 * its * of_reward + _step(width) * deviation
        off += 1e-14 * width * np.maximum(np.abs(further.least), np.abs(further.most))  # of the sums themselves
        low, high = np.fmax(middle - off, -most), np.fmin(middle + off, most)
    return CountedFurther(
        mean[::-1],
        further.least[::-1],
        further.most[::-1],
        deviation[::-1],
        0.5 * (low + high)[::-1],
        np.abs(0.5 * (high - low))[::-1],
        slack,
    )


def _arranged(bins: Bins, width: float, inside: Inside) -> tuple[FloatArray, FloatArray]:
    """Return atoms, from the bottom up: value and count."""
    least, most, others, m, v = inside
    arm, up = np.sqrt(v), m - least
    even = arm <= np.minimum(up, most - m)
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.where(up > 0.0, m + v / up, m)
        share = np.where(even, 0.5, np.where(v > 0.0, v / (np.square(up) + v), 0.0))
    inner = [np.where(even, m - arm, least), np.where(even, m + arm, np.minimum(far, most))]
    low, high = (np.clip(width * (bins.index + one) + 0.5 * _step(width), bins.least, bins.most) for one in inner)
    middle, ends = 0.5 * bins.least + 0.5 * bins.most, _by_ends(bins, width)
    low, high = (np.where(ends, middle, one) for one in (low, high))
    alone, n = bins.least == bins.most, bins.count.astype(np.float64)
    none = np.zeros_like(n)
    counts = [np.where(alone, n, 1.0), *(np.where(alone, none, others * one) for one in (share, 1.0 - share))]
    count = np.column_stack([*counts, np.where(alone | (n < 2.0), none, 1.0)]).reshape(-1)
    kept = np.flatnonzero(count > 0.0)
    value = np.column_stack([bins.least, low, high, bins.most]).reshape(-1)[kept]
    return value, count[kept]


def log_partition_bounds(
    bins: Bins, width: float, lam: FloatArray, *, inside: Inside | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return what ``log mean e^{λr}`` of a prompt is at least and at most, at each λ ≥ 0.

    Parameters
    ----------
    bins : Bins
        The bins of one prompt.
    width : float
        Their width.
    lam : array (k,)
        Inverse temperatures λ >= 0.
    inside : tuple of array, optional
        What `inside_bins` says of them.

    Returns
    -------
    low, high : array (k,)
        In nats.

    Examples
    --------
    >>> rewards = np.random.default_rng(0).standard_normal(10_000)
    >>> bins = Bins.of(np.zeros(10_000, dtype=np.int64), [rewards], [2.0**-3])
    >>> low, high = log_partition_bounds(bins, 2.0**-3, np.array([1.0]))
    >>> exact = np.log(np.mean(np.exp(rewards)))
    >>> bool(low[0] <= exact <= high[0]), bool(high[0] - low[0] < 1e-4)
    (True, True)
    """
    upper = upper_atoms(bins, width, inside)
    rounding = 4e-15 * (1.0 + np.abs(lam) * float(np.abs(upper.value).max()))  # of the sums themselves
    low = lower_atoms(bins, width, inside).log_partition(lam) - rounding
    high = np.minimum(upper.log_partition(lam) + lam * upper.slack, lam * float(bins.most.max()))
    return low, high + rounding


def of_prompt(bins: Bins, row: int) -> Bins:
    """Return the bins of one prompt.

    Parameters
    ----------
    bins : Bins
        Bins of any prompts.
    row : int
        The prompt.
    """
    low, high = np.searchsorted(bins.row, [row, row + 1])
    return bins.take(np.arange(low, high, dtype=np.int64))
