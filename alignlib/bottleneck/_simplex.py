"""Maximise a smooth concave function over the probability simplex, to a certified gap.

Capacity and rate–distortion are both ``max f(p)`` over laws ``p``, with ``∇²f = -F Fᵀ`` for a factor ``F`` that costs
no more than the gradient. Multiplicative (Blahut–Arimoto) steps converge like 1/iteration when inputs leave the support
slowly; a primal–dual interior-point step (Mehrotra's predictor and corrector) is indifferent to that, and ten or so
reach rounding. Concavity gives the certificate at every ``p``:

    max f - f(p) ≤ max_x ∇f(p)·(x - p) = max_u ∇f(p)_u - ∇f(p)·p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy

from alignlib._core.checks import FloatArray
from alignlib._core.same import SameFields

__all__ = ["Objective", "Optimum", "maximise_on_simplex"]

_WARM_STEPS = 4  # multiplicative steps before the first Newton step
_NEWTON_STEPS = 80
_SHY = 0.995  # share of the way to the boundary that a step may go
_PATIENCE = 10  # Newton steps without progress that end the search; far from a solution a few are normal
_OTHER_STARTS = (0.1, 0.9, 0.02)  # parts of the budget that are spent where a search begins again, which got stuck
_PATIENCE_WITH_COST = 40  # repeated rows of unequal cost leave slowly, and no other step follows


class Objective(Protocol):
    """A concave ``f`` on the simplex."""

    def evaluate(self, p: FloatArray) -> tuple[float, FloatArray]:
        """Return ``f(p)`` and its gradient, up to a common constant added to all of its entries.

        Parameters
        ----------
        p : array (n,)
            A law.

        Returns
        -------
        value : float
            ``f(p)``.
        gradient : array (n,)
            Up to a constant.
        """

    def factor(self, p: FloatArray) -> FloatArray:
        """Return ``F`` with ``-∇²f = F Fᵀ`` on directions that sum to zero, shape (n, k).

        Parameters
        ----------
        p : array (n,)
            A law.

        Returns
        -------
        array (n, k)
            The factor F.
        """

    def multiplicative_step(self, p: FloatArray, gradient: FloatArray) -> FloatArray:
        """Return a law of at least the same value, by one Blahut–Arimoto step.

        Parameters
        ----------
        p : array (n,)
            A law.
        gradient : array (n,)
            That of f at p.

        Returns
        -------
        array (n,)
            The next law.
        """


@dataclass(frozen=True, eq=False)
class Optimum(SameFields):
    """The best law found; the maximum of ``f`` lies in ``[value, value + gap]``, in exact arithmetic.

    ``price`` is the multiplier of the budget, 0 where there is none.

    Parameters
    ----------
    p : array (n,)
        The law.
    value : float
        ``f(p)``.
    gap : float
        How far the maximum may lie above, in the unit of f.
    n_iter : int
        Steps taken.
    price : float
        What a unit of budget is worth, in the unit of f.
    """

    p: FloatArray
    value: float
    gap: float
    n_iter: int
    price: float = 0.0


def maximise_on_simplex(
    objective: Objective,
    size: int,
    *,
    tol: float,
    max_iter: int,
    relative: float = 1e-13,
    cost: FloatArray | None = None,
    budget: float = 0.0,
) -> Optimum:
    """Maximise ``f`` over laws ``p`` of ``size`` outcomes with ``cost·p ≤ budget``, until rounding stops the gain.

    Newton steps aim at a gap of ``relative`` times the value, which they reach at the price of one or two more than
    ``tol`` asks for; where even ``tol`` was missed, ``max_iter`` multiplicative steps follow, or, with a cost, searches
    from other starts. The caller compares ``gap`` with ``tol``. The budget must exceed the smallest cost.

    Parameters
    ----------
    objective : Objective
        A concave f.
    size : int
        Number of outcomes.
    tol : float
        Gap that the caller asks for, in the unit of f.
    max_iter : int
        Most steps of either kind.
    relative : float
        Gap aimed at, as a part of the value.
    cost : array (size,), optional
        What an outcome costs.
    budget : float
        What a law may cost on average.

    Returns
    -------
    Optimum
        The law, its value, and the gap that is certified.
    """
    unit = 1.0
    if cost is not None:  # costs in units of what may be spent above the cheapest outcome
        unit = budget - float(cost.min())
        cost = (cost - cost.min()) / unit
    search = _Search(objective, size, cost)
    steps = _newton(search, relative)
    if cost is None and search.best.gap > tol:
        steps += search.multiplicative_steps(tol, max_iter)
    for share in _OTHER_STARTS:
        if search.best.gap <= tol or cost is None:
            break
        again = _Search(objective, size, cost, share)
        steps += _newton(again, relative)
        search = min(search, again, key=lambda one: one.best.gap)
    best = search.best
    return Optimum(best.p, best.value, best.gap, steps + _WARM_STEPS, best.price / unit)


def _newton(search: _Search, relative: float) -> int:
    """Take Newton steps until the gap is a part of the value, or nothing is gained; return how many."""
    steps = since = 0
    patience = _PATIENCE if search.cost is None else _PATIENCE_WITH_COST
    while search.best.gap > relative * abs(search.best.value) and steps < _NEWTON_STEPS and since < patience:
        before = search.best.gap
        if not search.newton_step():
            break
        steps += 1
        since = 0 if search.best.gap < 0.9 * before else since + 1
    return steps


class _Search:
    """The iterate: ``x`` holds the law and, with a cost, the unspent budget; ``z`` the multipliers of ``x ≥ 0``.

    ``y`` are the multipliers of ``A x = 1``, whose rows say that the law sums to one and that spending and slack sum to
    the budget.
    """

    def __init__(self, objective: Objective, size: int, cost: FloatArray | None, share: float = 0.5) -> None:
        self.objective, self.size, self.cost = objective, size, cost
        p = np.full(size, 1.0 / size)
        for _ in range(_WARM_STEPS):
            p = objective.multiplicative_step(p, objective.evaluate(p)[1])
        p = np.maximum(p, 1e-2 / size)
        p /= p.sum()
        self.best = Optimum(p, -np.inf, np.inf, 0)
        if cost is None:
            self.x, self.constraints, self.y = p, np.ones((1, size)), np.zeros(1)
        else:
            p = self._within(p, share)
            self.x = np.append(p, 1.0 - cost @ p)
            self.constraints = np.stack([np.append(np.ones(size), 0.0), np.append(cost, 1.0)])
            self.y = np.zeros(2)
        self._evaluate()
        excess = float(self.gradient.max() - self.gradient[:size] @ self.p)
        if cost is not None:
            self.y[1] = excess + 1e-3 * abs(self.value)
        reduced = self.gradient - self.y @ self.constraints
        self.y[0] = reduced[:size].max() + 0.1 * excess + 1e-12 * (abs(self.value) + 1e-300)
        self.z = self.y @ self.constraints - self.gradient

    @property
    def p(self) -> FloatArray:
        return np.asarray(self.x[: self.size])

    def _within(self, p: FloatArray, share: float) -> FloatArray:
        """Mix ``p`` with the cheapest outcomes until it spends no more than a share of the budget."""
        spent = 0.0 if self.cost is None else float(self.cost @ p)
        if spent <= share:
            return p
        cheap = self.cost == 0
        return np.asarray(share / spent * p + (1 - share / spent) * cheap / np.count_nonzero(cheap))

    def _evaluate(self) -> None:
        self.value, gradient = self.objective.evaluate(self.p)
        self.gradient = gradient if self.cost is None else np.append(gradient, 0.0)
        price = 0.0 if self.cost is None else float(self.y[1])
        reduced = gradient if self.cost is None else gradient - price * self.cost
        gap = float(reduced.max() - gradient @ self.p) + price
        if gap < self.best.gap:
            self.best = Optimum(self.p.copy(), self.value, max(gap, 0.0), 0, price)

    def newton_step(self) -> bool:
        """Take one predictor–corrector step; return whether it could be computed."""
        x, z = self.x, self.z
        factor = self.objective.factor(self.p)
        # Half the work of F Fᵀ, and by the library that factorises it: two thread pools would fight for the cores.
        matrix = np.asarray(scipy.linalg.blas.dsyrk(1.0, factor.T, trans=1, lower=1))
        matrix[np.diag_indices(self.size)] += (z / x)[: self.size]
        try:
            system = _Kkt(self, matrix)
            mean = float(x @ z) / x.size
            dx, dz, _ = system.direction(-x * z)
            after = float((x + _longest(x, dx) * dx) @ (z + _longest(z, dz) * dz)) / x.size
            target = min(1.0, (after / mean) ** 3) * mean
            dx, dz, dy = system.direction(target - x * z - dx * dz)
        except scipy.linalg.LinAlgError:  # singular to rounding: nothing more can be gained this way
            return False
        if not (np.isfinite(dx).all() and np.isfinite(dz).all()):
            return False
        length = min(1.0, _SHY * min(_longest(x, dx), _longest(z, dz)))
        self.x = x + length * dx
        self.x[: self.size] /= self.p.sum()
        self.x[: self.size] = self._within(self.p, 1.0)
        self.z = z + length * dz
        self.y = self.y + length * dy
        self._evaluate()
        return True

    def multiplicative_steps(self, tol: float, limit: int) -> int:
        """Run plain steps from the best law, none of whose entries is zero, until the gap is ``tol``."""
        self.x = self.best.p
        for step in range(limit):
            if self.best.gap <= tol:
                return step
            self.x = self.objective.multiplicative_step(self.x, self.gradient)
            self._evaluate()
        return limit


class _Kkt:
    """The linear system of one Newton step, factorised once and solved for predictor and corrector."""

    def __init__(self, search: _Search, matrix: FloatArray) -> None:
        self.search = search
        self.factor = scipy.linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=True)
        self.solved = np.stack([self._solve(row) for row in search.constraints])
        self.schur = search.constraints @ self.solved.T

    def _solve(self, right: FloatArray) -> FloatArray:
        size = self.search.size
        # As `cho_solve` does, which takes longer to get there than small systems take to solve.
        solved, _ = scipy.linalg.lapack.dpotrs(self.factor[0], right[:size], lower=1)
        with np.errstate(divide="ignore", invalid="ignore"):  # a step that is not finite ends the search
            return np.concatenate([solved, right[size:] * (self.search.x / self.search.z)[size:]])

    def direction(self, wanted: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (dx, dz, dy) that make ``z dx + x dz = wanted`` and keep both residuals at zero to first order."""
        it = self.search
        free = self._solve(it.gradient - it.y @ it.constraints + it.z + wanted / it.x)
        dy = np.linalg.solve(self.schur, it.constraints @ (free + it.x) - 1.0)
        dx = free - dy @ self.solved
        return dx, (wanted - it.z * dx) / it.x, dy


def _longest(x: FloatArray, dx: FloatArray) -> float:
    """Return the largest step in [0, 1] that keeps ``x + step·dx`` non-negative."""
    falling = dx < 0
    return min(1.0, float((-x[falling] / dx[falling]).min(initial=np.inf)))
