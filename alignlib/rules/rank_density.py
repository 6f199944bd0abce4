"""The density of a rule of ranks from its distribution function alone, and a check of both on a grid."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from alignlib._core.checks import FloatArray, require

__all__ = ["by_complex_step", "by_differences", "check_cdf", "is_density"]

_Function = Callable[[FloatArray], FloatArray]

_COMPLEX_STEP = 1e-30
_REAL_STEP = 1e-3  # of the smaller of u and 1/draws: the five-point formula errs by its fourth power
_TINY = 1e-280
_ROUNDING = 1e-9
_AGREES = 1e-7
_MOST_KINKS = 4  # a cell with a kink of G is integrated badly; a density that is wrong is wrong in most


def check_cdf(cdf: _Function, name: str, draws: float) -> None:
    """Refuse what is no distribution function on [0, 1]: ``G(0) = 0``, ``G(1) = 1``, nowhere falling.

    Parameters
    ----------
    cdf : callable
        From an array of F in [0, 1] to ``G(F)``.
    name : str
        The rule, for messages.
    draws : float
        Its mean number of draws, by which the grid is chosen.

    Raises
    ------
    InputError
        Naming the rule and the first property that fails.
    """
    u = _grid(draws)
    try:
        g = np.asarray(cdf(u), dtype=np.float64)
    except (TypeError, ValueError) as error:
        require(False, f"cdf of {name} must take an array of F in [0, 1]; it raised {error!s:.80}", "cdf")
    require(g.shape == u.shape, f"cdf of {name} must return an array of the shape of F; got {g.shape}.", "cdf")
    ends = f"cdf of {name} must be 0 at F = 0 and 1 at F = 1; got {g[0]:g} and {g[-1]:g}. Correct it."
    require(abs(g[0]) <= _ROUNDING and abs(g[-1] - 1.0) <= _ROUNDING, ends, "cdf")
    steps = np.diff(g)
    at = int(np.argmin(steps))
    falls = (
        f"cdf of {name} must not fall; between F = {u[at]:g} and {u[at + 1]:g} it changes by {steps[at]:g}. Correct it."
    )
    require(bool((steps >= -_ROUNDING).all()), falls, "cdf")


def is_density(log_density: _Function, cdf: _Function, draws: float) -> bool:
    """Tell whether a density integrates to the differences of a distribution function, but for a few kinks.

    Parameters
    ----------
    log_density : callable
        From an array of F to ``log G'(F)``.
    cdf : callable
        From an array of F to ``G(F)``.
    draws : float
        Mean number of draws, by which the grid is chosen.
    """
    u = _grid(draws)
    half = np.diff(u)[:, None] / 2
    try:
        with np.errstate(all="ignore"):
            nodes, weights = _nodes_and_weights()
            inside = np.exp(log_density(u[:-1, None] + half * (1.0 + nodes)))
            found = half[:, 0] * (inside @ weights)
            off = ~(np.abs(found - np.diff(cdf(u))) <= _AGREES)
    except (TypeError, ValueError):  # a cdf that does not take complex numbers
        return False
    return int(off.sum()) <= _MOST_KINKS and bool(np.isfinite(found).all())


def by_complex_step(cdf: _Function, f: FloatArray) -> FloatArray:
    """``log G'`` to full accuracy, where `cdf` is arithmetic that holds for complex numbers.

    Parameters
    ----------
    cdf : callable
        From an array of F to ``G(F)``, complex ones too.
    f : array
        Values of F in [0, 1].
    """
    beside: Any = np.asarray(f) + _COMPLEX_STEP * 1j
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(np.imag(cdf(beside)) / _COMPLEX_STEP, 0.0))


def by_differences(cdf: _Function, f: FloatArray, draws: float) -> FloatArray:
    """``log G'`` from real values of G only, to about ten digits where G is smooth and four across its kinks.

    Parameters
    ----------
    cdf : callable
        From an array of F to ``G(F)``.
    f : array
        Values of F in [0, 1].
    draws : float
        Mean number of draws, by which the step is chosen.

    Examples
    --------
    >>> round(float(np.exp(by_differences(lambda f: f**2, np.array(0.3), 2.0))), 9)
    0.6
    """
    u = np.asarray(f, dtype=np.float64)
    step = np.maximum(_REAL_STEP * np.minimum(u, 1.0 / draws), _TINY)
    down, up = u + 2.0 * step > 1.0, u < 2.0 * step
    sign = np.where(down, -1.0, 1.0)

    def value(k: float, at: FloatArray = sign) -> FloatArray:
        return np.asarray(cdf(np.clip(u + k * at * step, 0.0, 1.0)), dtype=np.float64)

    central = value(-2.0) - 8.0 * value(-1.0) + 8.0 * value(1.0) - value(2.0)
    one_sided = -25.0 * value(0.0) + 48.0 * value(1.0) - 36.0 * value(2.0) + 16.0 * value(3.0) - 3.0 * value(4.0)
    slope = np.where(down | up, one_sided, central) * sign / (12.0 * step)
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(slope, 0.0))


@lru_cache(maxsize=1)
def _nodes_and_weights() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(8)  # here: NumPy imports its polynomials when asked
    return np.asarray(nodes), np.asarray(weights)


def _grid(draws: float) -> FloatArray:
    """Places from 0 to 1, close together near both ends as a rule of so many draws needs."""
    near = 0.5 ** np.arange(6.0, 7.0 + max(0.0, np.log2(min(draws, 1e6))))
    points = np.sort(np.concatenate([[0.0, 1.0], np.linspace(0.0, 1.0, 65), near, 1.0 - near]))
    return points[np.diff(points, prepend=-1.0) > 0.0]
