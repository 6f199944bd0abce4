"""What a transition matrix has: classes of states and their periods, the best cycle, Perron root and stationary law.

Roots and laws are found to componentwise accuracy, from logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy

from alignlib._core.checks import BoolArray, FloatArray, require
from alignlib._core.errors import InputError

__all__ = [
    "ReducibleChainError",
    "best_cycle_mean",
    "classes",
    "critical_edges",
    "period",
    "perron",
    "reachable",
    "stationary",
    "stationary_of_logs",
    "stochastic_rows",
]

_ROUNDS = 60
_ABOVE = 1e-15


class ReducibleChainError(InputError):
    """The chain has several communicating classes, so that one growth rate per token does not describe it.

    Parameters
    ----------
    found : sequence of sequences of int
        The communicating classes of the states that are reached; kept as ``classes``.

    Examples
    --------
    >>> from alignlib.sequences import MarkovModel
    >>> try:
    ...     MarkovModel([[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.0, 1.0]], [0.5, 0.5], 10).token
    ... except ReducibleChainError as error:
    ...     print(error.classes)
    [[0], [1]]
    """

    def __init__(self, found: Sequence[Sequence[int]]) -> None:
        self.classes = [list(c) for c in found]
        shown = "; ".join(str(c) if len(c) <= 8 else f"{str(c[:8])[:-1]}, …]" for c in self.classes[:4])
        more = ", …" if len(self.classes) > 4 else ""
        super().__init__(
            f"transition must be irreducible for limits per token; its reached states fall into {len(self.classes)} "
            f"communicating classes: {shown}{more}. Laws, tilts and best-of-N at finite length are defined: "
            "use sum_law(). For the limits restrict the chain to one class."
        )


def reachable(positive: BoolArray, initial: FloatArray) -> BoolArray:
    """Return which states the chain visits with positive probability.

    Parameters
    ----------
    positive : array of bool (k, k)
        Which transitions are possible.
    initial : array (k,)
        Law of the first state.
    """
    seen: BoolArray = initial > 0
    while True:
        wider = seen | positive[seen].any(axis=0)
        if (wider == seen).all():
            return seen
        seen = wider


def classes(positive: BoolArray) -> list[list[int]]:
    """Return the communicating classes, each a sorted list of states.

    Parameters
    ----------
    positive : array of bool (k, k)
        Which transitions are possible.

    Examples
    --------
    >>> classes(np.array([[True, True], [False, True]]))
    [[0], [1]]
    """
    _, label = scipy.sparse.csgraph.connected_components(_graph(positive), directed=True, connection="strong")
    groups = [np.flatnonzero(label == c).tolist() for c in np.unique(label)]
    return sorted(groups)


def period(positive: BoolArray) -> int:
    """Return the period of an irreducible chain: the greatest common divisor of its cycle lengths.

    Parameters
    ----------
    positive : array of bool (k, k)
        Which transitions are possible.

    Examples
    --------
    >>> period(np.array([[False, True], [True, False]]))
    2
    """
    depth = scipy.sparse.csgraph.shortest_path(_graph(positive), indices=0, unweighted=True)
    rows, columns = np.nonzero(positive)
    return math.gcd(*np.abs(depth[rows] + 1 - depth[columns]).astype(int).tolist())


def best_cycle_mean(reward: FloatArray, positive: BoolArray) -> tuple[float, FloatArray]:
    """Return the largest mean reward of a cycle (Karp), and potentials v with ``ρ(a,b) - mean + v(b) <= v(a)``.

    Parameters
    ----------
    reward : array (k, k)
        Reward of each transition.
    positive : array (k, k) of bool
        Which transitions are possible; irreducible.

    Returns
    -------
    mean : float
        The largest mean reward of a cycle.
    potential : array (k,)
        The v.

    Examples
    --------
    >>> best_cycle_mean(np.array([[0.0, 2.0], [1.0, 0.0]]), np.ones((2, 2), dtype=bool))[0]
    1.5
    """
    k = reward.shape[0]
    weight = np.where(positive, reward, -np.inf)
    walks = np.full((k + 1, k), -np.inf)  # walks[n, a]: largest reward of n transitions from a to state 0
    walks[0, 0] = 0.0
    for n in range(k):
        walks[n + 1] = (weight + walks[n]).max(axis=1)
    with np.errstate(invalid="ignore"):
        means = (walks[k] - walks[:k]) / (k - np.arange(k))[:, None]
    mean = float(np.where(np.isnan(means), np.inf, means).min(axis=0)[np.isfinite(walks[k])].max())
    potential = np.zeros(k)
    for _ in range(k):
        potential = np.maximum(potential, (weight - mean + potential).max(axis=1))
    return mean, potential


def critical_edges(reward: FloatArray, positive: BoolArray, rounding: float = 0.0) -> tuple[float, BoolArray]:
    """Return the best cycle mean and the transitions on cycles that attain it, to an error ``rounding`` of a reward.

    Parameters
    ----------
    reward : array (k, k)
        Reward of each transition.
    positive : array of bool (k, k)
        Which transitions are possible; irreducible.
    rounding : float
        Error of a reward.

    Returns
    -------
    mean : float
        The best cycle mean.
    edges : array of bool (k, k)
        The transitions on cycles that attain it.
    """
    mean, potential = best_cycle_mean(reward, positive)
    slack = potential[:, None] - (reward - mean + potential[None, :])
    span = float(np.ptp(reward[positive]))
    tight = positive & (slack <= (1e-12 * span + rounding) * reward.shape[0])
    label = scipy.sparse.csgraph.connected_components(_graph(tight), directed=True, connection="strong")[1]
    return mean, tight & (label[:, None] == label[None, :])


def _graph(edges: BoolArray) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(edges.astype(np.float64))


def stochastic_rows(matrix: FloatArray) -> FloatArray:
    """Return a square matrix whose rows sum to one, or say which does not.

    Parameters
    ----------
    matrix : array (k, k)
        A transition matrix.

    Raises
    ------
    InputError
        If it is not square, or a row is no law.

    Examples
    --------
    >>> stochastic_rows(np.array([[0.5, 0.5], [0.0, 1.0]])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    require(
        matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.size > 0,
        f"transition must be a square matrix; got shape {matrix.shape}.",
        argument="transition",
    )
    sums = matrix.sum(axis=1)
    negative = np.flatnonzero(matrix.min(axis=1) < 0)
    if negative.size:
        row = int(negative[0])
        raise InputError(f"transition must not be negative; row {row} holds {matrix[row].min():g}.")
    off = np.flatnonzero(np.abs(sums - 1) > 1e-6)
    if off.size:
        row = int(off[0])
        raise InputError(
            f"transition must have rows that sum to one; row {row} sums to {sums[row]:.9g} ({off.size} rows are off). "
            "Divide each row by its sum if that is what you mean."
        )
    return np.asarray(matrix / sums[:, None])


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
