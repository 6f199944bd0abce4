"""The chance that all of N draws are among the lowest samples of a prompt, without replacement, at many ranks."""

from __future__ import annotations

import numpy as np
import scipy

from alignlib._core.checks import FloatArray, IntArray

__all__ = ["FEWEST", "NOTHING", "SERIES", "all_among", "by_series", "stirling"]

NOTHING = -200.0  # log of a chance that is none; far smaller ones take long
SERIES = 3.0  # samples for each draw, for the series
FEWEST = 8.0  # draws, more of which go by the series
_COUNTED = 4096


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
        return by_series(np.array([best_of]), np.array([len(upto)]), upto, np.log(upto / n), stirling(upto), n)
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


def by_series(
    best_of: FloatArray, some: IntArray, upto: FloatArray, log_share: FloatArray, of_upto: FloatArray, n: int
) -> FloatArray:
    """Return the same for several N at ranks of their own, ``(u/n)^N Π (1 - k/u)/(1 - k/n)``.

    The logarithm of each product, ``Σ_{k<N} log(1 - k/u)``, is an integral with Euler and Maclaurin's corrections.

    Parameters
    ----------
    best_of : array (N,)
        Whole numbers beyond `FEWEST`; `SERIES` times each is no more than any of its numbers of samples.
    some : array of int (N,)
        How many numbers of samples belong to each.
    upto : array (k,)
        Numbers of samples: those of the first N, those of the second, and so on.
    log_share : array (k,)
        ``log(upto/n)``.
    of_upto : array (k,)
        ``stirling(upto)``.
    n : int
        Samples of all.
    """
    number, of_all = np.repeat(best_of, some), np.float64(n)
    found = number * log_share
    found += _log_product(number, upto)
    found += of_upto
    found -= np.repeat(_log_product(best_of, of_all) + stirling(of_all), some)
    np.maximum(found, NOTHING, out=found)
    return np.asarray(np.exp(found, out=found))


def _log_product(best_of: FloatArray, upto: FloatArray | np.float64) -> FloatArray:
    """Return ``Σ_{k<N} log(1 - k/u)``, the logarithm of a ratio of factorials, less ``stirling(upto)``."""
    left = upto - best_of
    found = np.log1p(-best_of / upto)
    found *= -0.5 - left
    found -= best_of
    found -= stirling(left)
    return found


def stirling(number: FloatArray | np.float64) -> FloatArray:
    """Return ``log Γ(x + 1)`` less ``(x + 1/2) log x - x + log √(2π)``, for x from 18 on, where it is below 1/216.

    Parameters
    ----------
    number : array (k,)
        The x.

    Examples
    --------
    >>> import math
    >>> x = 20.0
    >>> exact = math.lgamma(x + 1.0) - ((x + 0.5) * math.log(x) - x + 0.5 * math.log(2.0 * math.pi))
    >>> bool(abs(stirling(np.float64(x)) - exact) < 1e-13)
    True
    """
    inverse = 1.0 / number
    square = inverse * inverse
    return np.asarray(inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))))
