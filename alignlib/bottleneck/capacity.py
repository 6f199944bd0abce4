"""Capacity of a discrete channel with a certified gap, inputs with costs included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from alignlib._core.checks import FloatArray, as_vector, as_whole, require
from alignlib._core.same import SameFields
from alignlib.bottleneck._channel import as_channel, row_divergences
from alignlib.bottleneck._simplex import Optimum, maximise_on_simplex

__all__ = ["CapacityError", "CapacityResult", "blahut_arimoto", "capacity"]

_MAX_PLAIN_STEPS = 100_000
_STILL = 4.0 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class CapacityResult(SameFields):
    """A capacity and what attains it: the capacity lies in ``[value, value + gap]``.

    Attributes
    ----------
    value : float
        Mutual information of ``input_prob`` in nats, rounded down.
    input_prob : array (inputs,)
        The law of the input that was found best.
    gap : float
        Nats that the capacity may lie higher, certified by the dual.
    n_iter : int
        Steps of the solver.

    Examples
    --------
    >>> found = capacity([[1.0, 0.0], [0.5, 0.5]])  # log(5/4), with the first input in 3 of 5 uses
    >>> round(found.value, 6), found.input_prob.round(3).tolist()
    (0.223144, [0.6, 0.4])
    """

    value: float
    input_prob: FloatArray
    gap: float
    n_iter: int

    @property
    def upper(self) -> float:
        """The certified upper end ``value + gap``."""
        return self.value + self.gap


class CapacityError(ArithmeticError):
    """The gap asked for was not reached; ``best`` holds the best bracket that was.

    Parameters
    ----------
    message : str
        What was asked and what was reached.
    best : CapacityResult
        The best bracket that was found; kept under this name.

    Examples
    --------
    >>> try:
    ...     blahut_arimoto([[0.9, 0.1], [0.3, 0.7]], max_iter=1)
    ... except CapacityError as error:
    ...     print(error.best.value < 0.2056372 < error.best.upper)
    True
    """

    def __init__(self, message: str, best: CapacityResult) -> None:
        super().__init__(message)
        self.best = best


def capacity(
    channel: npt.ArrayLike,
    tol: float = 1e-9,
    *,
    cost: npt.ArrayLike | None = None,
    budget: float | None = None,
    max_iter: int = _MAX_PLAIN_STEPS,
) -> CapacityResult:
    r"""Capacity ``max_p I(U;Y)`` of a channel ``P(y|u)``, with the input law that attains it.

    For every input law ``p`` with output ``q``, ``I(p) ≤ C ≤ max_u KL(P(·|u)‖q)``. The search goes on until rounding
    stops it, so the gap is usually far below ``tol``.

    Parameters
    ----------
    channel : array (inputs, outputs)
        Row ``u`` is the law ``P(·|u)``. A row of zeros is an input that cannot be used and gets mass 0; a column of
        zeros is an output that never occurs.
    tol : float
        Largest gap, in nats, that is returned without an error; > 0.
    cost : array (inputs,), optional
        Cost of using each input; then the mean cost is kept within ``budget``.
    budget : float, optional
        Largest mean cost, at least the smallest cost of a usable input.
    max_iter : int
        Largest number of plain Blahut–Arimoto steps tried where Newton steps did not reach ``tol``.

    Raises
    ------
    InputError
        If a row does not sum to one, an entry is negative or not finite, or the budget is below every cost.
    CapacityError
        If the gap asked for was not reached; ``.best`` carries the best bracket.

    Examples
    --------
    >>> result = capacity([[0.9, 0.1], [0.1, 0.9]])  # binary symmetric: log 2 - h(0.1)
    >>> round(result.value, 12), result.gap < 1e-12
    (0.368064207168, True)
    >>> capacity([[0.9, 0.1], [0.1, 0.9]], cost=[0.0, 1.0], budget=0.25).input_prob.round(3).tolist()
    [0.75, 0.25]

    Source: Blahut (1972) and Arimoto (1972) for the bracket; the interior-point steps are ours.
    """
    rows = as_channel("channel", channel, zero_rows=True)
    require(tol > 0, f"tol must be positive; got {tol!r}.")
    require((cost is None) == (budget is None), "cost and budget belong together; give both or neither.")
    usable = rows.sum(axis=1) > 0
    costs = None if cost is None else as_vector("cost", cost)
    if costs is not None and budget is not None:
        require(costs.size == len(rows), f"cost must have one entry per input, {len(rows)}; got {costs.size}.")
        least = float(costs[usable].min())
        require(
            bool(np.isfinite(budget)) and budget >= least,
            f"budget must be at least the smallest cost of a usable input, {least:g}; got {budget!r}.",
        )
        if budget == least:  # nothing but the cheapest inputs can be used
            usable &= costs == least
        if budget >= costs[usable].max():  # the budget never binds
            costs = None
    kept = rows[usable]
    kept = kept[:, kept.any(axis=0)]
    objective = _Information(kept)
    found = maximise_on_simplex(
        objective,
        len(kept),
        tol=0.5 * tol,
        max_iter=max_iter,
        cost=None if costs is None else costs[usable],
        budget=0.0 if budget is None else budget,
    )
    input_prob = np.zeros(len(rows))
    input_prob[usable] = found.p
    rounding = objective.rounding(found)  # on either side, so that both ends are certain
    result = CapacityResult(
        float(max(found.value - rounding, 0.0)), input_prob, found.gap + 2.0 * rounding, found.n_iter
    )
    gap = result.gap
    if not gap <= tol:
        raise CapacityError(
            f"the gap of {tol:g} nats was not reached: the capacity lies in [{result.value!r}, {result.upper!r}] "
            f"after {result.n_iter} steps. Ask for a larger tol, or allow more max_iter.",
            result,
        )
    return result


class _Information:
    """``I(p)`` of a channel without zero columns; its gradient is ``KL(P(·|u)‖q)``."""

    def __init__(self, channel: FloatArray) -> None:
        self.channel = channel
        self.entropy = scipy.special.xlogy(channel, channel).sum(axis=1)

    def evaluate(self, p: FloatArray) -> tuple[float, FloatArray]:
        divergence = row_divergences(self.channel, p @ self.channel, self.entropy)
        return float(p @ divergence), divergence

    def factor(self, p: FloatArray) -> FloatArray:
        output = p @ self.channel
        # Rows measured from q: on directions that sum to zero nothing changes, and a nearly useless channel keeps
        # its digits.
        return np.asarray((self.channel - output) / np.sqrt(output))

    def multiplicative_step(self, p: FloatArray, gradient: FloatArray) -> FloatArray:
        raised = p * np.exp(gradient - gradient.max())
        return np.asarray(raised / raised.sum())

    def rounding(self, found: Optimum) -> float:
        """Allow for the rounding of a divergence: some ulp of the largest partial sum of its k terms."""
        ulp = float(np.finfo(float).eps)
        if found.value < 0.1:  # every divergence was summed from terms of one sign
            return 40 * ulp * (found.value + found.gap)
        size = float(np.abs(self.entropy).max()) + found.value + found.gap
        return 2 * (float(np.log2(self.channel.shape[1])) + 4) * ulp * size


def blahut_arimoto(channel: npt.ArrayLike, tol: float = 1e-9, *, max_iter: int = 1_000_000) -> CapacityResult:
    """Capacity by plain Blahut–Arimoto steps with the same certificate: the peer that `capacity` is timed against.

    Parameters
    ----------
    channel : array (inputs, outputs)
        Row ``u`` is the law ``P(·|u)``; rows of zeros are not accepted.
    tol : float
        Gap in nats at which it stops; > 0.
    max_iter : int
        Largest number of steps.

    Raises
    ------
    InputError
        If a row does not sum to one, or an entry is negative or not finite.
    CapacityError
        If the gap asked for was not reached; ``.best`` carries the best bracket.

    Examples
    --------
    >>> result = blahut_arimoto([[0.9, 0.1], [0.3, 0.7]])
    >>> result.n_iter, result.gap <= 1e-9
    (36, True)
    """
    rows = as_channel("channel", channel)
    require(tol > 0, f"tol must be positive; got {tol!r}.")
    rows = rows[:, rows.any(axis=0)]
    entropy = scipy.special.xlogy(rows, rows).sum(axis=1)
    p = np.full(len(rows), 1.0 / len(rows))
    value, top = 0.0, np.inf
    max_iter = as_whole("max_iter", max_iter, 1)
    for step in range(max_iter + 1):
        divergence = entropy - rows @ np.log(p @ rows)
        value, top = float(p @ divergence), float(divergence.max())
        if top - value <= tol:
            return CapacityResult(value, p, max(top - value, 0.0), step)
        moved = p * np.exp(divergence - top)
        moved /= moved.sum()
        if np.allclose(moved, p, rtol=_STILL, atol=0.0):  # what still changes is rounding
            max_iter = step
            break
        p = moved
    best = CapacityResult(value, p, top - value, max_iter)
    raise CapacityError(
        f"the gap of {tol:g} nats was not reached: the capacity lies in [{value!r}, {top!r}] after {max_iter} steps; "
        f"pass a larger tol or max_iter.",
        best,
    )
