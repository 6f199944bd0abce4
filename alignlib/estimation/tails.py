"""Could the upper tail of the rewards be exponential, or heavier? Then the weights ``e^{λr}`` have few moments.

Where the tail is exponential the k largest samples of a prompt exceed the next one by exactly i.i.d. exponential
amounts, whatever the rate. Greenwood's statistic ``Σy²/(Σy)²`` of the exceedances y is then free of scale, with
mean ``2/(k+1)``; heavier tails make it larger, lighter ones smaller. No sample can tell whether ``Λ`` is finite
beyond it, so nothing is refused for its tail: λ is kept below what an exponential tail of that scale would bear.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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

    Attributes
    ----------
    ratio, ratio_high : float
        The mean Greenwood statistic over that of an exponential tail, and with standard errors added, one of many
        prompts.
    gaussian : float
        The ratio of a Gaussian tail from as many samples.
    scale : float
        Mean exceedance, weighted by its cube, in the unit of the reward.
    even_scale : float
        Mean exceedance in units of the usual spread of each prompt.
    discrete : bool
        That most prompts have ties among their largest samples.
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

        Parameters
        ----------
        fewest : int
            The fewest samples of a prompt.
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


def tail_shape(table: RewardTable, column: str, sure: float = 1.0) -> TailShape:
    """Measure the upper tail of a reward over prompts of any location and scale, on the top quarter of each.

    Prompts with ties among their largest samples are left out: a law with an atom at the top has a finite Λ.

    Parameters
    ----------
    table : RewardTable
        The samples.
    column : str
        The reward.
    sure : float
        How many standard errors below the ratio of an exponential tail that of a lighter one must lie. The tail of few
        prompts looks light by chance, and statements made only where it does would be too sure.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> light, heavy = (RewardTable.from_arrays(rows) for rows in (rng.random((200, 64)), rng.laplace(size=(200, 64))))
    >>> tail_shape(light, "reward").bearing, round(tail_shape(heavy, "reward").bearing, 1)
    (0.0, 1.0)

    Source: the null law of Greenwood's statistic is classical; this use of it is ours.
    """
    means: list[FloatArray] = []
    sizes: list[float] = []
    n_untied, sums = 0, np.zeros(4)
    for mean, k, some in _all_of(table, column):
        if len(mean):
            means.append(mean)
            sizes.append(k)
        n_untied, sums = n_untied + len(mean), sums + some
    if n_untied == 0 or 2 * n_untied < table.n_prompts:
        return TailShape(0.0, 0.0, 0.0, 0.0, 0.0, discrete=True)
    ratio, even, gaussian, k_mean = (sums / n_untied).tolist()
    loudest = max(float(mean.max()) for mean in means)
    fourth = third = 0.0
    for mean, k in zip(means, sizes, strict=True):  # few numbers at a time: a table may have many prompts
        share = mean / loudest  # fourth powers of rewards need not be floats
        of_k = k**2 / ((k + 1.0) * (k + 2.0))
        fourth += k / (k + 3.0) * of_k * float(np.square(np.square(share)).sum())
        third += of_k * float((np.square(share) * share).sum())
    spread = math.sqrt((k_mean - 1.0) / ((k_mean + 2.0) * (k_mean + 3.0)) / n_untied)
    return TailShape(
        ratio=ratio,
        ratio_high=ratio + sure * spread,
        gaussian=gaussian,
        # The loudest prompts decide. The mean of k exponentials has the moments scale³ (k+1)(k+2)/k² and
        # scale⁴ (k+1)(k+2)(k+3)/k³.
        scale=loudest * fourth / third,
        even_scale=even,
        discrete=False,
    )


_OfSome = tuple[FloatArray, float, FloatArray]


def _all_of(table: RewardTable, column: str) -> Iterator[_OfSome]:
    for _, some in table.each(_of_block, [column], _BLOCK):
        yield some
    for _, some in table.each_counted(_of_counted, column):
        yield some


def _of_block(rewards: FloatArray) -> _OfSome:
    """Return the mean of the k exceedances of each prompt without ties, k, and sums over these prompts, shape (4,).

    The sums are of Greenwood's statistic over its mean for an exponential tail, of the mean exceedance in units of the
    usual spread, of what the first would be of a Gaussian tail, and of k.
    """
    n = rewards.shape[1]
    k = max(_LEAST_EXCEEDANCES, n // 4)
    if n <= k:
        return np.empty(0), float(k), np.zeros(4)
    whole = np.sort(rewards, axis=1)[:, ::-1]
    top = whole[:, : k + 1]
    untied = (np.diff(top, axis=1) < 0.0).all(axis=1) & (usual_spread(whole) > 0.0)
    y = top[untied, :-1] - top[untied, -1:]
    mean = y.mean(axis=1)
    even = mean / usual_spread(whole[untied])
    ratio = _greenwood(y) * (k + 1.0) / 2.0
    return mean, float(k), np.array([ratio.sum(), even.sum(), len(y) * _gaussian(n), len(y) * float(k)])


def _of_counted(samples: CountedSamples) -> _OfSome:
    """Return the same for a prompt whose samples are in bins; the usual spread is about the median."""
    n = samples.size
    k = max(_LEAST_EXCEEDANCES, n // 4)
    if n <= k:
        return np.empty(0), float(k), np.zeros(4)
    before = np.cumsum(samples.count) - samples.count
    taken = np.clip(k - before, 0.0, samples.count)
    start = np.cumsum(samples.bins.count) - samples.bins.count
    tied = bool((samples.bins.tied & (k - start > 1.0)).any())
    kept = np.clip(n - before - samples.count, 0.0, None)  # below it
    usual = np.clip(n - -(-n // 16) - kept, 0.0, samples.count)
    spread = float(usual @ np.abs(samples.value - samples.value[np.searchsorted(before, n // 2, side="right") - 1]))
    if tied or not spread > 0.0:
        return np.empty(0), float(k), np.zeros(4)
    last = samples.value[np.searchsorted(before, k, side="right") - 1]
    y = samples.value - last
    total = float(taken @ y)
    if not total > 0.0:
        return np.empty(0), float(k), np.zeros(4)
    mean = np.array([total / k])
    ratio = float(taken @ np.square(y)) / total**2 * (k + 1.0) / 2.0
    return mean, float(k), np.array([ratio, float(mean[0] * usual.sum()) / spread, _gaussian(n), float(k)])


def _gaussian(n: int) -> float:
    return float(np.interp(math.log(n), _SIZES, _GAUSSIAN))


def usual_spread(descending: FloatArray) -> FloatArray:
    """Return the mean distance from the median, the top sixteenth of each prompt's samples left out.

    It is a scale that rare large rewards do not touch.

    Parameters
    ----------
    descending : array (prompts, n)
        Samples of each, from the largest down.
    """
    n = descending.shape[1]
    return np.asarray(np.abs(descending[:, -(-n // 16) :] - descending[:, [n // 2]]).mean(axis=1))


def _greenwood(y: FloatArray) -> FloatArray:
    shares = y / y.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("ij,ij->i", shares, shares))
