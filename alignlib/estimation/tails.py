"""Could the upper tail of the rewards be exponential, or heavier? Then the weights ``e^{λr}`` have few moments.

Where the tail is exponential the k largest samples of a prompt exceed the next one by exactly i.i.d. exponential
amounts, whatever the rate. Greenwood's statistic ``Σy²/(Σy)²`` of the exceedances y is then free of scale, with
mean ``2/(k+1)``; heavier tails make it larger, lighter ones smaller. No sample can tell whether ``Λ`` is finite
beyond it, so nothing is refused for its tail: λ is kept below what an exponential tail of that scale would bear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.tables import CountedSamples, RewardTable

__all__ = ["TailShape", "tail_shape", "usual_spread"]

# On the way from the ratio of a Gaussian tail to 1, that of an exponential one: between them the tail counts in part.
_LIGHT, _EXPONENTIAL = 0.25, 0.6
_SIZES = np.log([3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0])
_GAUSSIAN = (0.914, 0.940, 0.958, 0.966, 0.942, 0.925, 0.890, 0.866, 0.853, 0.847, 0.841)  # of so many, by simulation
_LEAST_EXCEEDANCES = 2  # of a prompt: a single one is no ratio
_GOLD_RATE, _FEW_SAMPLES = 0.25, 16
_BLOCK = 1 << 18  # samples in work at a time


@dataclass(frozen=True)
class TailShape:
    """What the largest rewards say about the tail.

    ``ratio`` is the mean Greenwood statistic over that of an exponential tail, ``ratio_high`` with its standard error
    added, ``gaussian`` the ratio of a Gaussian tail from as many samples. ``scale`` is the mean exceedance, weighted by
    its cube, ``even_scale`` the mean of the exceedance in units of the usual spread of each prompt. ``discrete`` says
    that most prompts have ties among their largest samples.
    """

    ratio: float
    ratio_high: float
    gaussian: float
    scale: float
    even_scale: float
    discrete: bool

    @property
    def bearing(self) -> float:
        """The scale of the exponential tail that must be reckoned with: 0 for one that is clearly lighter.

        >>> TailShape(0.8, 0.85, 0.87, 2.0, 1.0, False).bearing, TailShape(1.0, 1.1, 0.87, 2.0, 1.0, False).bearing
        (0.0, 2.0)
        """
        return self.scale * self._part

    def gold_rate(self, fewest: int) -> float:
        """The largest λ for the mean of another reward, which may itself grow with this one, as its square does.

        It asks for more moments than the limit does; and of few samples of a prompt no tail is clearly lighter.
        """
        part = 1.0 if fewest < _FEW_SAMPLES and not self.discrete else self._part
        return _GOLD_RATE / (part * self.scale) if part * self.scale > 0.0 else math.inf

    @property
    def even_bearing(self) -> float:
        """The same for prompts brought to one scale."""
        return self.even_scale * self._part

    @property
    def _part(self) -> float:
        if self.discrete:
            return 0.0
        way = (self.ratio_high - self.gaussian) / (1.0 - self.gaussian)
        return min(max((way - _LIGHT) / (_EXPONENTIAL - _LIGHT), 0.0), 1.0)


def tail_shape(table: RewardTable, column: str) -> TailShape:
    """Measure the upper tail of a reward over prompts of any location and scale, on the top quarter of each.

    Prompts with ties among their largest samples are left out: a law with an atom at the top has a finite Λ.

    >>> rng = np.random.default_rng(0)
    >>> light, heavy = (RewardTable.from_arrays(rows) for rows in (rng.random((200, 64)), rng.laplace(size=(200, 64))))
    >>> tail_shape(light, "reward").bearing, round(tail_shape(heavy, "reward").bearing, 1)
    (0.0, 1.0)

    Source: the null law of Greenwood's statistic is classical; this use of it is ours.
    """
    found = [some for _, some in table.each(_of_block, [column], _BLOCK)]
    found += [_of_counted(samples) for _, samples in table.counted_samples(column)]
    means, evens, sizes, statistics = ([some[j] for some in found] for j in range(4))
    gaussian = sum(len(some[0]) * some[4] for some in found)
    mean, even, k_all, statistic = (
        np.concatenate([*parts, np.empty(0)]) for parts in (means, evens, sizes, statistics)
    )
    if len(mean) == 0 or 2 * len(mean) < table.n_prompts:
        return TailShape(0.0, 0.0, 0.0, 0.0, 0.0, discrete=True)
    ratio, k_mean = float(np.mean(statistic * (k_all + 1.0) / 2.0)), float(k_all.mean())
    loudest = float(mean.max())
    share = mean / loudest  # fourth powers of rewards need not be floats
    spread = math.sqrt((k_mean - 1.0) / ((k_mean + 2.0) * (k_mean + 3.0)) / len(mean))
    return TailShape(
        ratio=ratio,
        ratio_high=ratio + spread,
        gaussian=gaussian / len(mean),
        # The loudest prompts decide. The mean of k exponentials has the moments scale³ (k+1)(k+2)/k² and
        # scale⁴ (k+1)(k+2)(k+3)/k³.
        scale=loudest
        * float(
            (share**4 * k_all / (k_all + 3.0) * k_all**2 / ((k_all + 1.0) * (k_all + 2.0))).sum()
            / (share**3 * k_all**2 / ((k_all + 1.0) * (k_all + 2.0))).sum()
        ),
        even_scale=float(even.mean()),
        discrete=False,
    )


_OfSome = tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]


def _of_block(rewards: FloatArray) -> _OfSome:
    """Return mean exceedance, the same in units of the usual spread, their number and Greenwood's statistic.

    Each for the prompts without ties, shape (k,); and what the ratio of a Gaussian tail would be.
    """
    n = rewards.shape[1]
    k = max(_LEAST_EXCEEDANCES, n // 4)
    none = np.empty(0)
    if n <= k:
        return none, none, none, none, 0.0
    whole = np.sort(rewards, axis=1)[:, ::-1]
    top = whole[:, : k + 1]
    untied = (np.diff(top, axis=1) < 0.0).all(axis=1) & (usual_spread(whole) > 0.0)
    y = top[untied, :-1] - top[untied, -1:]
    mean = y.mean(axis=1)
    return mean, mean / usual_spread(whole[untied]), np.full(len(y), float(k)), _greenwood(y), _gaussian(n)


def _of_counted(samples: CountedSamples) -> _OfSome:
    """Return the same for a prompt whose samples are in bins; the usual spread is about the median."""
    n, none = samples.size, np.empty(0)
    k = n // 4
    before = np.cumsum(samples.count) - samples.count
    taken = np.clip(k - before, 0.0, samples.count)
    start = np.cumsum(samples.bins.count) - samples.bins.count
    tied = bool((samples.bins.tied & (k - start > 1.0)).any())
    kept = np.clip(n - before - samples.count, 0.0, None)  # below it
    usual = np.clip(n - -(-n // 16) - kept, 0.0, samples.count)
    spread = float(usual @ np.abs(samples.value - samples.value[np.searchsorted(before, n // 2, side="right") - 1]))
    if tied or not spread > 0.0:
        return none, none, none, none, 0.0
    last = samples.value[np.searchsorted(before, k, side="right") - 1]
    y = samples.value - last
    total = float(taken @ y)
    mean = np.array([total / k])
    greenwood = np.array([float(taken @ np.square(y)) / total**2])
    return mean, mean * float(usual.sum()) / spread, np.array([float(k)]), greenwood, _gaussian(n)


def _gaussian(n: int) -> float:
    return float(np.interp(math.log(n), _SIZES, _GAUSSIAN))


def usual_spread(descending: FloatArray) -> FloatArray:
    """Return the mean distance from the median, the top sixteenth of each prompt's samples left out.

    It is a scale that rare large rewards do not touch.
    """
    n = descending.shape[1]
    return np.asarray(np.abs(descending[:, -(-n // 16) :] - descending[:, [n // 2]]).mean(axis=1))


def _greenwood(y: FloatArray) -> FloatArray:
    shares = y / y.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("ij,ij->i", shares, shares))
