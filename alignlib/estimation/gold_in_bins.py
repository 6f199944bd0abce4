"""Gold along a proxy whose samples are in bins: what the tilt and best-of-N gain of it, with what bins leave open.

Of each bin the mean of gold and bounds on its covariance with the proxy are known. A weight that is ``e^{λr}`` is its
chord over the bin, whose covariance with gold follows from that of the proxy, less a rest that is at most D; by Cauchy
and Schwarz, and since what lies in a range of D deviates by D/2 at most, that of the rest is at most ``σ_g D/2``. The
weights of bins lie between those of laws on two points, as for the limit. A sample's chance to be the best of N rises
with its rank, so that in a bin it lies between two known ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from alignlib._core.checks import FloatArray, require
from alignlib._core.errors import InputError
from alignlib._core.same import SameFields
from alignlib.estimation.best_of_n_in_bins import chances_in_bins, counted_rules
from alignlib.estimation.jackknife_in_bins import jackknife_of_counts
from alignlib.rules import BestOfN, Rule
from alignlib.tables import CountedBins, CountedFurther, CountedSamples

__all__ = [
    "GoldInBins",
    "gold_of_counted_rules",
    "tilted_gold_bounds",
    "tilted_gold_of_counts",
]

_ROUNDED = 1e-13  # of sums, in the range of gold
_WIDE = 50.0  # in logarithms of weights: nothing is known beyond


@dataclass(frozen=True, eq=False)
class GoldInBins(SameFields):
    """What optimising a proxy does to one prompt in bins, at each of k points.

    Attributes
    ----------
    gold, proxy, kl : array (k,)
        Gains of gold and proxy, and KL in nats.
    below, above : array (k,)
        How much less, and more, gold the samples may gain.
    step : array (k,)
        Bias that may be left.
    ess : array (k,)
        Effective sample size.
    proxy_off, kl_off : array (k,)
        How far from what is said the samples' proxy and KL may be, to either side.
    """

    gold: FloatArray
    proxy: FloatArray
    kl: FloatArray
    below: FloatArray
    above: FloatArray
    step: FloatArray
    ess: FloatArray
    proxy_off: FloatArray
    kl_off: FloatArray

    def rows(self) -> FloatArray:
        """Return all of it, shape (9, k)."""
        return np.array([getattr(self, one.name) for one in fields(self)])


def _known(samples: CountedSamples, gold: str) -> CountedFurther:
    found = samples.further.get(gold)
    if found is None:
        raise InputError(
            f"Of {gold!r} the summary tells the sum of each bin alone, as those of an earlier version do; make it "
            "again from the samples.",
            argument="gold",
        )
    return found


def tilted_gold_of_counts(samples: CountedSamples, lam: FloatArray, gold: str) -> FloatArray:
    """Return `GoldInBins` of the tilt as rows; biases of O(1/n) are removed.

    Parameters
    ----------
    samples : CountedSamples
        The samples of one prompt.
    lam : array (k,)
        λ > 0.
    gold : str
        The reward that counts.

    Raises
    ------
    InputError
        Where no more than sums of gold are known.
    """
    its, number, n = _known(samples, gold), samples.bins.count, samples.size
    found, low, high = tilted_gold_bounds(samples, lam, gold)
    share = 0.5 * sum(_weights(samples.bins, lam))
    share /= (share @ number)[:, None]
    # What leaving out each sample in turn says of the bias.
    apart = its.mean - found[:, None]
    correction = (n - 1.0) / n * ((apart * np.square(share) / np.maximum(1.0 - share, 1e-3)) @ number)
    own, step = _of_correction(samples, its, lam, share, found, correction)
    of_proxy, kl, *off = _proxy(samples, lam, share)
    base = float(number @ its.mean) / n
    below, above = found - low + own, high - found + own
    ess = 1.0 / (np.square(share) @ number)
    return GoldInBins(found + correction - base, of_proxy, kl, below, above, step, ess, *off).rows()


def _of_correction(
    samples: CountedSamples,
    its: CountedFurther,
    lam: FloatArray,
    share: FloatArray,
    found: FloatArray,
    correction: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return how far bins leave the bias that is taken off open, and what may be left of it.

    By Cauchy and Schwarz it is at most the deviation of the tilted reward over the effective sample size, and no weight
    is off by more than a bin is wide. What comes next is smaller by the largest weight.
    """
    number = samples.bins.count
    spread = np.square(its.mean - found[:, None]) + np.square(its.deviation)
    most = np.minimum(share.max(axis=1), 0.5)
    own = np.sqrt((share * spread) @ number) * (np.square(share) @ number)
    own *= (np.expm1(np.minimum(2.0 * lam * samples.widest, _WIDE)) + most) / (1.0 - most)
    return np.minimum(own, float(its.most.max()) - float(its.least.min())), 2.0 * correction * most


def tilted_gold_bounds(
    samples: CountedSamples, lam: FloatArray, gold: str
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean of gold under the tilt of the samples as they are, and what it is at least and at most.

    Parameters
    ----------
    samples : CountedSamples
        The samples of one prompt.
    lam : array (k,)
        λ > 0.
    gold : str
        The reward that counts.

    Returns
    -------
    value, low, high : array (k,)
        In the unit of gold.

    Raises
    ------
    InputError
        Where no more than sums of gold are known.
    """
    return _tilted_bounds(samples.bins, _known(samples, gold), lam)


def _tilted_bounds(
    bins: CountedBins, its: CountedFurther, lam: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the same of any reward of which so much is known."""
    low, high = _weights(bins, lam)
    middle = 0.5 * (low + high)
    slope, rest = _chords(bins, lam)
    along, off = slope * its.covariance, slope * its.covariance_off + 0.5 * rest * its.deviation
    found = ((middle * its.mean + along) @ bins.count) / (middle @ bins.count)
    apart = its.mean - found[:, None]
    least = (np.minimum(apart * low, apart * high) + along - off) @ bins.count
    most = (np.maximum(apart * low, apart * high) + along + off) @ bins.count
    enough = low @ bins.count
    rounding = its.slack + _ROUNDED * (float(its.most.max()) - float(its.least.min()))
    below, above = (np.maximum(one, 0.0) / enough + rounding for one in (-least, most))
    return found, found - below, found + above


def _proxy(
    samples: CountedSamples, lam: FloatArray, share: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return what the proxy gains, and the KL, and how far each may be off; ``share`` is of a sample of each bin."""
    value, count, n = samples.value, samples.count, samples.size
    below = value - value[0]
    weight = np.exp(lam[:, None] * below)
    weight /= (weight @ count)[:, None]
    mean = weight @ (count * below)
    apart = below - mean[:, None]
    correction = (n - 1.0) / n * ((apart * np.square(weight) / np.maximum(1.0 - weight, 1e-3)) @ count)
    its = _itself(samples.bins)
    found, low, high = _tilted_bounds(samples.bins, its, lam)
    own, step = _of_correction(samples, its, lam, share, found, correction)
    plain = mean + value[0]
    off = np.maximum(np.maximum(high - plain, plain - low), 0.0) + own + np.abs(step)
    estimate = jackknife_of_counts(value, count, lam)
    least, most = samples.log_partition_bounds(lam)
    at = estimate.plug_in[:, 0]
    squares = (np.square(share) @ samples.bins.count) * np.expm1(np.minimum(2.0 * lam * samples.widest, _WIDE))
    kl_off = lam * off + np.maximum(most - at, at - least) + np.minimum(squares, 1.0)
    return plain + correction - samples.mean, lam * (plain + correction) - estimate.second_order[:, 0], off, kl_off


def _itself(bins: CountedBins) -> CountedFurther:
    """Return what is known of the reward that bins are by, as of another: with itself it varies as it deviates."""
    n, others = bins.count, np.maximum(bins.count - 2.0, 0.0)
    several = n > 1.0
    mean = (bins.most + several * bins.least + others * bins.mean) / n
    squares = others * (np.square(bins.deviation) + np.square(bins.mean - mean))
    squares += np.square(bins.most - mean) + several * np.square(bins.least - mean)
    spread = np.sqrt(squares / n)
    slack = bins.slack * (bins.most > bins.least)
    return CountedFurther(
        mean, bins.least, bins.most, spread + slack, np.square(spread), slack * (2.0 * spread + slack), bins.slack
    )


def _weights(bins: CountedBins, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what ``mean e^{λ(r - max r)}`` of each bin is at least and at most, shape (k, bins)."""
    top, slack = bins.most[0], bins.slack
    least, most = bins.least - slack - top, bins.most + slack - top
    m, v = bins.mean - top, np.square(bins.deviation)
    up, down = m - least, most - m
    with np.errstate(divide="ignore", invalid="ignore"):
        far, near = (np.where(arm > 0.0, v / arm, 0.0) for arm in (up, down))
        of_least, of_most = (np.where(v > 0.0, v / (np.square(arm) + v), 0.0) for arm in (up, down))
    scale, others = lam[:, None], np.maximum(bins.count - 2.0, 0.0)
    alone = np.exp(scale * (bins.least - top)) + (bins.count > 1.0) * np.exp(scale * (bins.most - top))
    low = of_least * np.exp(scale * least) + (1.0 - of_least) * np.exp(scale * np.minimum(m + far, most))
    high = of_most * np.exp(scale * most) + (1.0 - of_most) * np.exp(scale * np.maximum(m - near, least))
    moved = np.exp(scale * slack) * (1.0 + 1e-14)
    return (alone + others * low / moved) / bins.count, (alone + others * high * moved) / bins.count


def _chords(bins: CountedBins, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the slope of the chord of ``e^{λ(r - max r)}`` over each bin, and how far below it that lies at most."""
    wide = bins.most - bins.least
    start = np.exp(lam[:, None] * (bins.least - bins.most[0]))
    along = lam[:, None] * wide
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(along > 0.0, np.expm1(along) / along, 1.0)
    gap = np.maximum(1.0 + ratio * np.log(ratio) - ratio, 0.0) + 1e-15 * ratio
    return start * ratio * lam[:, None], start * np.where(wide > 0.0, gap, 0.0)


def gold_of_counted_rules(samples: CountedSamples, rules: Sequence[Rule], gold: str) -> FloatArray:
    """Return `GoldInBins` of best-of-N by the proxy as rows.

    Parameters
    ----------
    samples : CountedSamples
        The samples of one prompt.
    rules : sequence of Rule
        Best-of-N at whole N.
    gold : str
        The reward that counts.

    Raises
    ------
    InputError
        For other rules, and where no more than sums of gold are known.
    """
    require(
        all(rule.is_base or (isinstance(rule, BestOfN) and rule.n == round(rule.n)) for rule in rules),
        "rules must be best of a whole N where samples are in bins; pass a larger exact_up_to to keep every sample.",
        "rules",
    )
    its, n = _known(samples, gold), samples.size
    of_proxy = counted_rules(samples, rules)
    found = np.zeros((9, len(rules)))
    found[1], found[2], found[6] = of_proxy.gain, of_proxy.spent, [n / rule.draws for rule in rules]
    found[7:] = np.maximum(of_proxy.gain_below, of_proxy.gain_above), of_proxy.spent_open
    base = float(samples.bins.count @ its.mean) / n
    rounding = its.slack + _ROUNDED * (float(its.most.max()) - float(its.least.min()))
    for j, rule in enumerate(rules):
        if rule.is_base or not isinstance(rule, BestOfN):
            continue
        mass, least, most = chances_in_bins(samples, rule.n)
        some = len(mass)
        number, middle = samples.bins.count[:some], mass / samples.bins.count[:some]
        # From the sample below the bin to its last one chances are convex in the rank: they lie below the chord.
        apart, risen = most - least, np.maximum(middle - least, 0.0)
        chord = np.square(apart) * (number + 1.0) * (2.0 * number + 1.0) / (6.0 * np.square(number))
        spread = np.sqrt(np.clip(chord - np.square(risen), 0.0, np.maximum(apart - risen, 0.0) * risen))
        spread[samples.bins.least[:some] == samples.bins.most[:some]] = 0.0  # samples that tie are kept alike
        open_ = float((number * its.deviation[:some]) @ spread) + rounding
        found[0, j] = float(mass @ (its.mean[:some] - base))
        found[3:5, j] = open_
    return found
