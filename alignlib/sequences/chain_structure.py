"""What a transition matrix can do at all: which states are reached, which communicate, periods, the best cycle."""

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
    "reachable",
    "stochastic_rows",
]


class ReducibleChainError(InputError):
    """The chain has several communicating classes, so that one growth rate per token does not describe it.

    Parameters
    ----------
    found : sequence of sequences of int
        The communicating classes of the states that are reached; kept as ``classes``.
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
