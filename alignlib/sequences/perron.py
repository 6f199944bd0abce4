"""Perron roots and stationary laws to componentwise accuracy."""

from __future__ import annotations

import math

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.sequences.chain_structure import critical_edges

__all__ = ["perron", "stationary", "stationary_of_logs"]

_ROUNDS = 60
_ABOVE = 1e-15


def perron(log_weight: FloatArray) -> tuple[float, FloatArray]:
    """Return ``log`` Perron root and ``log`` right Perron vector of an irreducible matrix given by its logarithms.

    A solver is accurate relative to the largest entry only; here each answer rescales the rows and columns
    until the vector is constant, starting from the max-plus vector, which leaves row sums within a factor k of each
    other. So every component is accurate. The root lies between the smallest and the
    largest row sum of the scaled matrix (Collatz and Wielandt), which must agree to 1e-11 on return.

    Parameters
    ----------
    log_weight : array (k, k)
        Logarithms of a matrix of entries >= 0, irreducible.

    Returns
    -------
    log_root : float
        In nats.
    log_vector : array (k,)
        Up to a constant.

    Raises
    ------
    ArithmeticError
        If they do not: the matrix is too close to a reducible one for this arithmetic.

    Examples
    --------
    >>> value, vector = perron(np.log([[1.0, 1.0], [1.0, 1.0]]))
    >>> round(value, 12), (vector - vector[0]).round(12).tolist()
    (0.69314718056, [0.0, 0.0])
    """
    log_vector = _tropical_vector(log_weight)
    k, gap = log_vector.size, math.inf
    for _ in range(_ROUNDS):
        scaled = log_weight + log_vector[None, :] - log_vector[:, None]
        rows = np.logaddexp.reduce(scaled, axis=1)
        low, high = float(rows.min()), float(rows.max())
        if high - low <= 4e-15 * max(1.0, abs(high)) or (gap <= 1e-12 and high - low >= gap):
            break
        gap = high - low
        # Inverse iteration from above the root (Noda): a matrix of positive inverse, so the solution is positive;
        # its error lies along the vector sought.
        with np.errstate(under="ignore"):
            shifted = (1 + _ABOVE) * np.eye(k) - np.exp(scaled - high)
        try:
            step = np.linalg.solve(shifted, np.ones(k))
        except np.linalg.LinAlgError:  # the bound is the root to the last digit, or couplings have underflowed
            break
        log_vector = log_vector + np.log(np.maximum(step / step.max(), 1e-6))
    if high - low > 1e-11 * max(1.0, abs(high)):
        raise ArithmeticError(
            f"the Perron root was found only between e^{low!r} and e^{high!r}: "
            "the tilted chain is too close to reducible; lower lam."
        )
    return (low + high) / 2, log_vector - log_vector.max()


def _tropical_vector(log_weight: FloatArray) -> FloatArray:
    """Return v with ``v(a) + mean = max_b log_weight(a,b) + v(b)``: longest walks to a state on the best cycle."""
    possible = np.isfinite(log_weight)
    mean, edges = critical_edges(log_weight, possible)
    vector = np.full(log_weight.shape[0], -np.inf)
    vector[int(np.argmax(edges.any(axis=1)))] = 0.0
    # Without a cycle above the mean k rounds reach every longest walk; what grows on is rounding of the mean.
    for _ in range(vector.size):
        longer = np.maximum(vector, (np.where(possible, log_weight - mean, -np.inf) + vector).max(axis=1))
        if (longer <= vector + 1e-9).all():
            break
        vector = longer
    return vector


def stationary(transition: FloatArray) -> FloatArray:
    """Return the stationary law of an irreducible chain by elimination without subtraction (Grassmann, Taksar, Heyman).

    Parameters
    ----------
    transition : array (k, k)
        Rows sum to one.

    Examples
    --------
    >>> stationary(np.array([[0.5, 0.5], [0.25, 0.75]])).round(6).tolist()
    [0.333333, 0.666667]
    """
    with np.errstate(divide="ignore"):
        return stationary_of_logs(np.log(transition))


def stationary_of_logs(log_transition: FloatArray) -> FloatArray:
    """The same from log masses, for chains that leave a state with a probability below the smallest double.

    Parameters
    ----------
    log_transition : array (k, k)
        Log masses, rows summing to one.
    """
    work = np.array(log_transition)
    k = work.shape[0]
    for n in range(k - 1, 0, -1):
        work[:n, n] -= np.logaddexp.reduce(work[n, :n])
        work[:n, :n] = np.logaddexp(work[:n, :n], work[:n, n, None] + work[n, None, :n])
    law = np.zeros(k)
    for n in range(1, k):
        law[n] = np.logaddexp.reduce(law[:n] + work[:n, n])
    return np.asarray(np.exp(law - np.logaddexp.reduce(law)))
