"""Is the upper tail of the rewards heavier than exponential, so that ``Λ(λ) = ∞`` for every λ > 0?

Where the tail is exponential the k largest samples of a prompt exceed the next one by exactly i.i.d. exponential
amounts, whatever the rate. Greenwood's statistic ``Σy²/(Σy)²`` of the exceedances y is then free of scale, with
mean ``2/(k+1)``; heavier tails make it larger, lighter ones smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.tables import RewardTable

__all__ = ["HeavyTailError", "TailTest", "tail_test"]

_SIGNIFICANT = 0.01
_FEW_PROMPTS, _FEW_EXCEEDANCES = 50, 2000  # below both, the null law is skewed and is simulated
_NULL_DRAWS = 2000
_NEGLIGIBLE = 1.05
_LEAST_EXCEEDANCES = 4
_BLOCK = 1 << 18  # samples in work at a time


@dataclass(frozen=True)
class TailTest:
    """What the largest rewards say about the tail.

    ``n_prompts`` prompts entered, on average with ``n_exceedances`` each. ``ratio`` is the mean Greenwood
    statistic over that of an exponential tail and ``z`` its standardised deviation, ``z_low`` and ``z_high`` what it
    falls short of, or exceeds, with 1 % probability each for an exponential tail; ``pooled_z`` is the deviation for
    the largest samples of all prompts together. ``scale`` is the mean exceedance, weighted towards prompts
    where it is large. ``discrete`` says that most prompts have ties among their largest samples.
    """

    n_prompts: int
    n_exceedances: float
    ratio: float
    z: float
    z_low: float
    z_high: float
    pooled_z: float
    scale: float
    discrete: bool

    @property
    def heavy(self) -> bool:
        """Heavier than exponential, both prompt by prompt and in the pool of the largest samples."""
        enough = self.n_exceedances >= _LEAST_EXCEEDANCES
        return enough and self.z > self.z_high and self.ratio > _NEGLIGIBLE and self.pooled_z > 1.0

    @property
    def light(self) -> bool:
        """Lighter than exponential, or discrete at the top: ``Λ`` is finite for every λ."""
        return self.discrete or self.z < self.z_low


class HeavyTailError(InputError):
    """The rewards are heavier-tailed than exponential; ``test`` holds the evidence."""

    def __init__(self, column: str, test: TailTest) -> None:
        super().__init__(
            f"{column!r} has a heavier than exponential upper tail (Greenwood ratio {test.ratio:.2f}, z = "
            f"{test.z:.1f}), so Λ(λ) = ∞ for every λ > 0 and any KL budget buys unbounded reward: there is no frontier "
            "to print. Bound or transform the reward, or pass allow_heavy_tail=True if it is bounded by design."
        )
        self.test = test


def tail_test(table: RewardTable, column: str) -> TailTest:
    """Test the upper tail of a reward over prompts of any location and scale, on the top quarter of each.

    Prompts with ties among their largest samples are left out: a law with an atom at the top has a finite Λ.
    A reward that is bounded but looks heavy-tailed inside most prompts is told apart by the pool of the
    largest samples, which pile up below the bound.

    >>> rng = np.random.default_rng(0)
    >>> tail_test(RewardTable.from_arrays(rng.standard_t(3, (200, 64))), "reward").heavy
    True
    >>> tail_test(RewardTable.from_arrays(rng.standard_normal((200, 64))), "reward").light
    True

    Source: the null law of Greenwood's statistic is classical; this use of it is ours.
    """
    means, sizes, statistics = [], [], []
    n_samples = int(table.n_samples.sum())
    pooled, largest = _pooled(n_samples), np.empty(0)
    for _, rewards in table.blocks(column, _BLOCK):
        if rewards.shape[1] == 1:
            continue
        k = max(1, rewards.shape[1] // 4)
        top = np.sort(rewards, axis=1)[:, ::-1][:, : k + 1]
        untied = (np.diff(top, axis=1) < 0.0).all(axis=1)
        y = top[untied, :-1] - top[untied, -1:]
        means.append(y.mean(axis=1))
        sizes.append(np.full(len(y), float(k)))
        statistics.append(_greenwood(y))
        centred = (rewards - rewards.mean(axis=1, keepdims=True)).reshape(-1)
        if largest.size > pooled:  # what cannot be among the largest of all is not kept
            centred = centred[centred > largest[-pooled - 1]]
        largest = np.sort(np.concatenate([largest, centred]))[-pooled - 1 :]
    mean, k_all, statistic = (np.concatenate([*parts, np.empty(0)]) for parts in (means, sizes, statistics))
    discrete = 2 * len(mean) < table.n_prompts
    if discrete or len(mean) == 0:
        return TailTest(0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, discrete=True)
    z_low, z_high = _null_quantiles(k_all)
    return TailTest(
        n_prompts=len(mean),
        n_exceedances=float(k_all.mean()),
        ratio=float(np.mean(statistic * (k_all + 1.0) / 2.0)),
        z=_standardised(statistic, k_all),
        z_low=z_low,
        z_high=z_high,
        pooled_z=_pooled_z(largest[::-1]),
        # E (mean of k exponentials)² = scale² (k+1)/k
        scale=float((mean**2 * k_all / (k_all + 1.0)).sum() / mean.sum()),
        discrete=False,
    )


def _greenwood(y: FloatArray) -> FloatArray:
    shares = y / y.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("ij,ij->i", shares, shares))


def _standardised(statistic: FloatArray, k: FloatArray) -> float:
    variance = _null_variance(k)
    return float((statistic - 2.0 / (k + 1.0)).sum()) / math.sqrt(variance) if variance > 0.0 else 0.0


def _null_variance(k: FloatArray) -> float:
    return float((4.0 * (k - 1.0) / ((k + 1.0) ** 2 * (k + 2.0) * (k + 3.0))).sum())


def _null_quantiles(k: FloatArray) -> tuple[float, float]:
    """Return the 1 % and 99 % quantiles of z for exponential tails: by simulation where few prompts skew it."""
    if k.size >= _FEW_PROMPTS or k.sum() >= _FEW_EXCEEDANCES or k.max() == 1.0:
        bound = NormalDist().inv_cdf(1.0 - _SIGNIFICANT)
        return -bound, bound
    rng = np.random.default_rng(0)
    total = np.zeros(_NULL_DRAWS)
    for size, count in zip(*np.unique(k, return_counts=True), strict=True):
        for _ in range(int(count)):
            total += _greenwood(rng.standard_exponential((_NULL_DRAWS, int(size)))) - 2.0 / (size + 1.0)
    low, high = np.quantile(total / math.sqrt(_null_variance(k)), [_SIGNIFICANT, 1.0 - _SIGNIFICANT])
    return float(low), float(high)


def _pooled(n_samples: int) -> int:
    """How many of all samples are pooled: the top hundredth, at least 50."""
    return min(max(50, n_samples // 100), n_samples // 4)


def _pooled_z(top: FloatArray) -> float:
    """Return the standardised statistic of the largest of all samples, above the last of them; 0 where they tie."""
    k = top.size - 1
    if k < 2 or (np.diff(top) >= 0.0).any():
        return 0.0
    return _standardised(_greenwood(top[None, :-1] - top[-1]), np.array([float(k)]))
