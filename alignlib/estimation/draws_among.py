"""The chance that all of N draws are among the lowest samples of a prompt, without replacement, at many ranks."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy

from alignlib._core.checks import FloatArray

__all__ = ["FEWEST", "NOTHING", "SERIES", "all_among", "by_series"]

NOTHING = -200.0  # log of a chance that is none; far smaller ones take long
SERIES = 3.0  # samples for each draw, for the series
FEWEST = 8.0  # draws, more of which go by the series
_SUMMED, _COUNTED = 2048, 4096
_MOST_TERMS = 64  # of the series: for N up to 10^12 so many are enough


def all_among(best_of: float, upto: FloatArray, n: int) -> FloatArray:
    """Return the chance that all N draws, without replacement, are among the lowest ``upto`` samples of n.

    Parameters
    ----------
    best_of : float
        N; of a broken one the delete-one jackknife is taken.
    upto : array (k,)
        Numbers of samples.
    n : int
        Samples of all.
    """
    if not upto.size:
        return upto
    if best_of != round(best_of):  # the delete-one jackknife of (j/n)^N
        f, less = upto / n, np.minimum(upto / (n - 1.0), 1.0)
        left = f * (np.maximum(upto - 1.0, 0.0) / (n - 1.0)) ** best_of + (1.0 - f) * less**best_of
        return np.asarray(n * f**best_of - (n - 1.0) * left)
    if best_of > FEWEST and upto.size and SERIES * best_of <= float(upto.min()):
        return np.asarray(by_series(np.array([best_of]), upto, n, np.log(upto / n))[0])
    if best_of <= 64:
        share = np.ones_like(upto)
        for k in range(round(best_of)):
            share *= np.maximum(upto - k, 0.0) / (n - k)
        return share
    above = n - upto
    if above.max() <= _COUNTED and (above == np.floor(above)).all():  # without SciPy's part, which takes long to import
        with np.errstate(divide="ignore"):  # fewer than N are left
            missed = np.log1p(-np.minimum(best_of / (n - np.arange(above.max())), 1.0))  # one of them after the other
        return np.asarray(np.exp(np.concatenate([[0.0], np.cumsum(missed)])[above.astype(np.int64)]))
    enough = np.maximum(upto, best_of)
    log_share = scipy.special.betaln(n - best_of + 1.0, best_of) - scipy.special.betaln(enough - best_of + 1.0, best_of)
    return np.where(upto >= best_of, np.exp(log_share), 0.0)


def by_series(best_of: FloatArray, upto: FloatArray, n: int, log_share: FloatArray) -> FloatArray:
    """Return the same at several N, ``(u/n)^N Π (1 - k/u)/(1 - k/n)``, by a series of its logarithm.

    Parameters
    ----------
    best_of : array (N,)
        Whole numbers, rising, beyond `FEWEST`; `SERIES` times the last is no more than any of ``upto``.
    upto : array (k,)
        Numbers of samples, falling.
    n : int
        Samples of all.
    log_share : array (k,)
        ``log(upto/n)``.
    """
    inverse = 1.0 / upto
    ratio = best_of[:, None] * inverse
    most = float(best_of[-1])  # ranks fall, and N rise: the last ratio is the largest
    terms = math.ceil(math.log(1e-17 / most) / math.log(most * float(inverse[-1])))
    powers = np.array([_sums_of_powers(round(one))[:terms] for one in best_of.tolist()])
    found, of_all = np.multiply(ratio, powers[:, -1:]), powers[:, -1]
    for j in range(powers.shape[1] - 2, -1, -1):
        found += powers[:, j : j + 1]
        found *= ratio
        of_all = of_all * (best_of / n) + powers[:, j]
    np.subtract(best_of[:, None] * log_share, found, out=found)
    found += (of_all * (best_of / n))[:, None]
    np.maximum(found, NOTHING, out=found)
    return np.asarray(np.exp(found, out=found))


@lru_cache(maxsize=1024)
def _sums_of_powers(best_of: int) -> tuple[float, ...]:
    """Return ``Σ_{k<N} (k/N)^j / j`` for j = 1, 2, …, as many as the series takes."""
    most = _MOST_TERMS
    if best_of > _SUMMED:  # Euler and Maclaurin
        found = []
        for j in range(1, most + 1):
            falling = [math.perm(j, i) / best_of**i * (j != i) for i in (1, 3, 5)]  # no constant term
            part = best_of / (j + 1.0) - 0.5 + falling[0] / 12.0 - falling[1] / 720.0 + falling[2] / 30240.0
            found.append(part / j)
        return tuple(found)
    share = np.arange(best_of) / best_of
    power, found = share, []
    for j in range(1, most + 1):
        found.append(float(power.sum()) / j)
        power = power * share
    return tuple(found)
