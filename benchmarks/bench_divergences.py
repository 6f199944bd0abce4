"""Optima in other divergences than KL against cvxpy, a million outcomes in each, and the tabulated win-rate curve."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.divergences import (
    CHI_SQUARED,
    HELLINGER,
    JENSEN_SHANNON,
    KL,
    REVERSE_KL,
    TOTAL_VARIATION,
    Divergence,
    Renyi,
)
from alignlib.laws import FiniteLaw, Uniform, largest_win_rate
from alignlib.laws.optima import optima
from benchmarks.timing import compare, report

_BUDGET = 0.2
_SPENT: dict[str, Callable[[Any, Any, FloatArray], Any]] = {
    "chi2": lambda cp, policy, prob: cp.sum(cp.multiply(1.0 / prob, cp.square(policy - prob))),
    "reverse_kl": lambda cp, policy, prob: cp.sum(cp.kl_div(prob, policy)),
    "hellinger": lambda cp, policy, prob: 1.0 - cp.sum(cp.multiply(np.sqrt(prob), cp.sqrt(policy))),
}


def against_cvxpy(divergence: Divergence, quick: bool) -> None:
    """One budget on 2,000 outcomes, by cvxpy's own choice of solver (Clarabel)."""
    import cvxpy as cp

    rng = np.random.default_rng(0)
    size = 300 if quick else 2000
    reward, prob = rng.normal(size=size), rng.dirichlet(np.ones(size))
    prob = np.maximum(prob, 1e-5) / np.maximum(prob, 1e-5).sum()
    policy = cp.Variable(size, nonneg=True)
    spent = _SPENT[divergence.name](cp, policy, prob)
    problem = cp.Problem(cp.Maximize(reward @ policy), [cp.sum(policy) == 1, spent <= _BUDGET])
    solved: list[float] = []

    def peer() -> None:
        problem.solve()
        solved.append(float(problem.value - prob @ reward))

    def ours() -> float:
        return float(FiniteLaw(reward, prob).frontier([_BUDGET], divergence).gain[0])

    figures = compare(ours, peer, pairs=1 if quick else 3, inner=20)
    # Certified: primal and dual agree to 1e-12 of the range, or `optima` raises.
    report(
        f"{divergence.name}, {size} outcomes", peer="cvxpy", **figures, peer_distance=abs(solved[-1] - ours()),
    )  # fmt: skip


def a_million(divergence: Divergence, quick: bool) -> None:
    """CPU seconds of one budget on a million outcomes, certified."""
    rng = np.random.default_rng(0)
    size = 100_000 if quick else 1_000_000
    reward, prob = rng.normal(size=size), rng.dirichlet(np.ones(size))
    best = np.inf
    for _ in range(1 if quick else 3):
        start = time.process_time()
        optima(reward, prob, np.array([0.1]), divergence)
        best = min(best, time.process_time() - start)
    report(f"{divergence.name}, a million outcomes", outcomes=size, cpu_seconds=best)


def tabulated(quick: bool) -> None:
    """The largest win rate at many budgets, by the table and by a root for each."""
    budgets = np.random.default_rng(0).uniform(0.0, 5.0, 1000 if quick else 10_000)
    law = Uniform()
    figures = compare(lambda: largest_win_rate(budgets), lambda: law.gain_at_kl(budgets), pairs=3, inner=20)
    off = float(np.abs(np.asarray(largest_win_rate(budgets)) - 0.5 - np.asarray(law.gain_at_kl(budgets))).max())
    report(
        "universal win-rate curve", budgets=budgets.size, peer="a root for each budget", **figures, largest_error=off
    )


def main(quick: bool = False) -> None:
    """Time and compare; ``quick`` takes smaller problems once."""
    warnings.simplefilter("ignore")
    for divergence in (CHI_SQUARED, REVERSE_KL, HELLINGER):
        against_cvxpy(divergence, quick)
    for divergence in (KL, REVERSE_KL, CHI_SQUARED, HELLINGER, JENSEN_SHANNON, Renyi(1.5), TOTAL_VARIATION):
        a_million(divergence, quick)
    tabulated(quick)


if __name__ == "__main__":
    main("--quick" in sys.argv)
