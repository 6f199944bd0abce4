"""Perron roots and stationary laws to componentwise accuracy."""

from __future__ import annotations

import math

import numpy as np

from alignlib._checks import FloatArray

__all__ = ["perron", "stationary"]

_ROUNDS = 60


def perron(log_weight: FloatArray) -> tuple[float, FloatArray]:
    """Return ``log`` Perron root and ``log`` right Perron vector of an irreducible matrix given by its logarithms.

    An eigenvalue solver is accurate relative to the largest entry only; here each answer rescales the rows and columns
    until the vector is constant, so that every component is accurate. The root lies between the smallest and the
    largest row sum of the scaled matrix (Collatz and Wielandt), which must agree to 1e-11 on return.

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
    log_vector = np.zeros(log_weight.shape[0])
    gap = math.inf
    for _ in range(_ROUNDS):
        scaled = log_weight + log_vector[None, :] - log_vector[:, None]
        rows = np.logaddexp.reduce(scaled, axis=1)
        low, high = float(rows.min()), float(rows.max())
        if high - low <= 4e-15 * max(1.0, abs(high)) or (gap <= 1e-12 and high - low >= gap):
            break
        gap = high - low
        if gap > 5.0:
            # Far from the answer: a step of power iteration (with memory, against periods) in log space.
            log_vector = log_vector + (rows - high) / 2
            continue
        with np.errstate(under="ignore"):
            values, vectors = np.linalg.eig(np.exp(scaled - high))
        vector = vectors[:, int(np.argmax(values.real))].real
        vector = np.abs(vector) / np.abs(vector).max()
        log_vector = log_vector + np.log(np.maximum(vector, 1e-6))
    if high - low > 1e-11 * max(1.0, abs(high)):
        raise ArithmeticError(
            f"the Perron root was found only between e^{low!r} and e^{high!r}: "
            "the tilted chain is too close to reducible; lower lam."
        )
    return (low + high) / 2, log_vector - log_vector.max()


def stationary(transition: FloatArray) -> FloatArray:
    """Return the stationary law of an irreducible chain by elimination without subtraction (Grassmann, Taksar, Heyman).

    >>> stationary(np.array([[0.5, 0.5], [0.25, 0.75]])).round(6).tolist()
    [0.333333, 0.666667]
    """
    work = np.array(transition, dtype=np.float64)
    k = work.shape[0]
    for n in range(k - 1, 0, -1):
        work[:n, n] /= work[n, :n].sum()
        work[:n, :n] += np.outer(work[:n, n], work[n, :n])
    law = np.ones(k)
    for n in range(1, k):
        law[n] = law[:n] @ work[:n, n]
    return np.asarray(law / law.sum())
