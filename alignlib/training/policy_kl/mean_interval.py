"""The interval of a mean whose values may be skewed: log-ratios of a policy, one a prompt.

The t-interval errs where few large values make the mean. Weights drawn as the gaps of ordered uniform numbers (the
Bayesian bootstrap), with one value more as large as the largest seen (as small as the smallest, for the lower end),
give Clopper and Pearson's interval for a coin and nearly the t-interval for normal values. Where values are hardly ever
negative, as the KL of a prompt, a bootstrap-t on the logarithm of the mean is added, with its upper arm stretched where
few values make the mean: of twenty skewed prompts the others fall short. The hull of all is given.
"""

from __future__ import annotations

import math

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, as_rng
from alignlib.estimation import Cells

__all__ = ["interval_of_mean", "interval_of_ratio"]

_MANY = 5000  # from so many values on the two agree to what can be seen
_AT_ONCE = 2_000_000
_SKEWED = 500  # of more values the bootstrap-t says the same
_NEGATIVE = 0.05  # of the sum of magnitudes, at most, for the logarithm to be the scale


def interval_of_mean(
    values: FloatArray, level: float, n_draws: int, rng: np.random.Generator | int
) -> tuple[float, float, float, float]:
    """Return mean, lower and upper end of its interval, and standard error.

    Parameters
    ----------
    values : array (k,)
        Independent values, two or more.
    level : float
        Nominal coverage, in (0, 1).
    n_draws : int
        Draws of weights.
    rng : Generator or int
        Source of the weights, or its seed.

    Returns
    -------
    mean, low, high, error : float
        In the unit of the values.

    Examples
    --------
    >>> mean, low, high, error = interval_of_mean(np.array([0.0] * 99 + [5.0]), 0.95, 2000, 0)
    >>> round(mean, 3), low < 0.01, 0.2 < high < 0.3
    (0.05, True, True)

    Source: the weights are Rubin's (1981); the value more is Clopper and Pearson's (1934) for a coin; the hull is ours,
    chosen by simulated coverage.
    """
    n = values.size
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n)
    half = float(scipy.special.stdtrit(n - 1, 0.5 + level / 2.0)) * error
    low, high = mean - half, mean + half
    if n <= _MANY and error > 0.0:
        rng, step = as_rng(rng), max(1, _AT_ONCE // n)
        below, above = np.empty((2, n_draws))
        for start in range(0, n_draws, step):
            gaps = rng.standard_exponential(size=(min(step, n_draws - start), n + 1))
            gaps /= gaps.sum(axis=1, keepdims=True)
            inside = gaps[:, :n] @ values
            below[start : start + step] = inside + gaps[:, n] * values.min()
            above[start : start + step] = inside + gaps[:, n] * values.max()
        low = min(low, float(np.quantile(below, 0.5 - level / 2.0)))
        high = max(high, float(np.quantile(above, 0.5 + level / 2.0)))
        if n <= _SKEWED and -float(values.clip(max=0.0).sum()) <= _NEGATIVE * float(np.abs(values).sum()):
            cells = Cells.of(np.ones(n, dtype=np.int64), rng)
            least, most = cells.interval(cells.resample(n_draws, rng), values[:, None], level=level)
            low, high = min(low, float(least[0])), max(high, float(most[0]))
    return mean, low, high, error


def interval_of_ratio(
    values: FloatArray, sizes: FloatArray, level: float, n_draws: int, rng: np.random.Generator | int
) -> tuple[float, float, float]:
    """Return mean of values over mean of sizes with its interval, by the values' distances from that line.

    Parameters
    ----------
    values, sizes : array (k,)
        Of independent units.
    level : float
        Nominal coverage, in (0, 1).
    n_draws : int
        Draws of weights.
    rng : Generator or int
        Source of the weights, or its seed.

    Returns
    -------
    ratio, low, high : float
        In the unit of values over sizes.
    """
    ratio, size = float(values.mean() / sizes.mean()), float(sizes.mean())
    _, low, high, _ = interval_of_mean((values - ratio * sizes) / size, level, n_draws, rng)
    return ratio, ratio + low, ratio + high
