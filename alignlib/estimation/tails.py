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
from alignlib.tables import RewardTable

__all__ = ["TailShape", "tail_shape"]

_LIGHT, _EXPONENTIAL = 0.93, 0.99  # of the ratio and its standard error: between them the tail counts in part
_LEAST_EXCEEDANCES = 2  # of a prompt: a single one is no ratio
_BLOCK = 1 << 18  # samples in work at a time


@dataclass(frozen=True)
class TailShape:
    """What the largest rewards say about the tail.

    ``ratio`` is the mean Greenwood statistic over that of an exponential tail, ``ratio_high`` with its standard error
    added. ``scale`` is the mean exceedance, weighted towards prompts where it is large. ``discrete`` says that most
    prompts have ties among their largest samples.
    """

    ratio: float
    ratio_high: float
    scale: float
    discrete: bool

    @property
    def bearing(self) -> float:
        """The scale of the exponential tail that must be reckoned with: 0 for one that is clearly lighter.

        >>> TailShape(0.7, 0.75, 2.0, False).bearing, TailShape(1.0, 1.1, 2.0, False).bearing
        (0.0, 2.0)
        """
        if self.discrete:
            return 0.0
        return self.scale * min(max((self.ratio_high - _LIGHT) / (_EXPONENTIAL - _LIGHT), 0.0), 1.0)


def tail_shape(table: RewardTable, column: str) -> TailShape:
    """Measure the upper tail of a reward over prompts of any location and scale, on the top quarter of each.

    Prompts with ties among their largest samples are left out: a law with an atom at the top has a finite Λ.

    >>> rng = np.random.default_rng(0)
    >>> light, heavy = (RewardTable.from_arrays(rows) for rows in (rng.random((200, 64)), rng.laplace(size=(200, 64))))
    >>> tail_shape(light, "reward").bearing, round(tail_shape(heavy, "reward").bearing, 1)
    (0.0, 1.0)

    Source: the null law of Greenwood's statistic is classical; this use of it is ours.
    """
    means, sizes, statistics = [], [], []
    for _, rewards in table.blocks(column, _BLOCK):
        k = max(_LEAST_EXCEEDANCES, rewards.shape[1] // 4)
        if rewards.shape[1] <= k:
            continue
        top = np.sort(rewards, axis=1)[:, ::-1][:, : k + 1]
        untied = (np.diff(top, axis=1) < 0.0).all(axis=1)
        y = top[untied, :-1] - top[untied, -1:]
        means.append(y.mean(axis=1))
        sizes.append(np.full(len(y), float(k)))
        statistics.append(_greenwood(y))
    mean, k_all, statistic = (np.concatenate([*parts, np.empty(0)]) for parts in (means, sizes, statistics))
    if len(mean) == 0 or 2 * len(mean) < table.n_prompts:
        return TailShape(0.0, 0.0, 0.0, discrete=True)
    ratio, k_mean = float(np.mean(statistic * (k_all + 1.0) / 2.0)), float(k_all.mean())
    spread = math.sqrt((k_mean - 1.0) / ((k_mean + 2.0) * (k_mean + 3.0)) / len(mean))
    return TailShape(
        ratio=ratio,
        ratio_high=ratio + spread,
        # E (mean of k exponentials)² = scale² (k+1)/k
        scale=float((mean**2 * k_all / (k_all + 1.0)).sum() / mean.sum()),
        discrete=False,
    )


def _greenwood(y: FloatArray) -> FloatArray:
    shares = y / y.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("ij,ij->i", shares, shares))
