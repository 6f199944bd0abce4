"""Optima in other divergences than KL against cvxpy, a million outcomes in each, and the tabulated win-rate curve.

Against cvxpy, from 10 to 100,000 outcomes: a frontier of 50 budgets, and one budget. Both sides solve by their public
call from the rewards and masses. For a frontier cvxpy's problem is built once with the budget as a parameter (its rules
for parametrised problems hold, so that it is compiled once), by the faster of two formulations and of the installed
solvers that solve it, found on one budget beforehand; as many of the 50 problems are solved as a time limit allows, and
the rest is reckoned at their mean. A line says how far cvxpy's values lie from ours, whose primal and dual agree to
1e-12 of the range of the reward (or the call raises), and which of its attempts failed. ``--record`` rewrites
``benchmarks/recorded/divergences.json``, which the book shows; ``--sizes 1000,10000`` takes these only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
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

_SIZES = (10, 100, 1_000, 10_000, 100_000)
_BUDGETS = np.geomspace(0.01, 0.4, 50)
_LONGEST = 15.0  # seconds of cvxpy for a frontier; the rest of its budgets is reckoned
# Interior points, to 1e-8; first-order steps, to 1e-4, are tried where they fail. Neither gets more than a minute.
_SOLVERS: dict[str, dict[str, float]] = {"CLARABEL": {"time_limit": 60.0}, "SCS": {"time_limit_secs": 60.0}}
_Spent = Callable[[Any, Any, FloatArray], Any]
RECORDED = Path(__file__).parent / "recorded" / "divergences.json"
_RENYI = Renyi(1.5)
_DIVERGENCES: tuple[Divergence, ...] = (
    KL, REVERSE_KL, CHI_SQUARED, HELLINGER, JENSEN_SHANNON, _RENYI, TOTAL_VARIATION,
)  # fmt: skip
# In ratios t = φ/p, and in the masses φ themselves.
_IN_RATIOS: dict[str, _Spent] = {
    "chi2": lambda cp, t, p: cp.sum_squares(cp.multiply(np.sqrt(p), t - 1.0)),
    "reverse_kl": lambda cp, t, p: -(p @ cp.log(t)),
    "hellinger": lambda cp, t, p: 1.0 - p @ cp.sqrt(t),
    "kl": lambda cp, t, p: -(p @ cp.entr(t)),
    "jensen_shannon": lambda cp, t, p: 0.5 * (p @ (cp.kl_div(t, 0.5 * (1.0 + t)) + cp.kl_div(1.0, 0.5 * (1.0 + t)))),
    _RENYI.name: lambda cp, t, p: p @ cp.power(t, _RENYI.alpha) - 1.0,
    "total_variation": lambda cp, t, p: 0.5 * (p @ cp.abs(t - 1.0)),
}
_IN_MASSES: dict[str, _Spent] = {
    "chi2": lambda cp, q, p: cp.sum(cp.multiply(1.0 / p, cp.square(q - p))),
    "reverse_kl": lambda cp, q, p: cp.sum(cp.kl_div(p, q)),
    "hellinger": lambda cp, q, p: 1.0 - np.sqrt(p) @ cp.sqrt(q),
    "kl": lambda cp, q, p: cp.sum(cp.kl_div(q, p)),
    "jensen_shannon": lambda cp, q, p: 0.5 * cp.sum(cp.kl_div(q, 0.5 * (p + q)) + cp.kl_div(p, 0.5 * (p + q))),
    _RENYI.name: lambda cp, q, p: (p ** (1.0 - _RENYI.alpha)) @ cp.power(q, _RENYI.alpha) - 1.0,
    "total_variation": lambda cp, q, p: 0.5 * cp.norm1(q - p),
}


@dataclass
class _Peer:
    """A problem of cvxpy's, with what it needs to be solved again."""

    name: str
    divergence: Divergence
    problem: Any
    budget: Any
    solver: str
    base: float

    def gain(self, budget: float) -> float:
        """Solve for one budget."""
        moments = self.divergence == _RENYI  # the logarithm is left out of the problem
        self.budget.value = np.expm1((_RENYI.alpha - 1.0) * budget) if moments else budget
        self.problem.solve(solver=self.solver, **_SOLVERS[self.solver])
        if not self.problem.status.startswith("optimal"):
            raise ArithmeticError(self.problem.status)
        return float(self.problem.value) - self.base


def _built(reward: FloatArray, prob: FloatArray, divergence: Divergence, form: str, solver: str) -> _Peer:
    import cvxpy as cp

    budget, x = cp.Parameter(nonneg=True), cp.Variable(reward.size, nonneg=True)
    worth, mass = (reward * prob, prob) if form == "ratios" else (reward, np.ones_like(prob))
    spent = (_IN_RATIOS if form == "ratios" else _IN_MASSES)[divergence.name](cp, x, prob)
    problem = cp.Problem(cp.Maximize(worth @ x), [mass @ x == 1, spent <= budget])
    return _Peer(f"cvxpy, {solver}, in {form}", divergence, problem, budget, solver, float(prob @ reward))


def _fastest(
    reward: FloatArray, prob: FloatArray, divergence: Divergence
) -> tuple[tuple[str, str] | None, float, list[str]]:
    """Return form and solver of the attempt that is soonest solved again for another budget, and what failed.

    Between them, the least CPU seconds of any attempt to build and solve one problem.
    """
    best, least, alone, failed = None, np.inf, np.inf, []
    for solver in _SOLVERS:
        for form in ("ratios", "masses"):
            start = time.process_time()
            try:
                peer = _built(reward, prob, divergence, form, solver)
                peer.gain(0.2)
                first = time.process_time()
                peer.gain(0.1)
            except Exception as error:  # whatever a solver raises is its answer here
                failed.append(f"{solver}, in {form}: {type(error).__name__}")
                continue
            again = time.process_time() - first
            alone = min(alone, first - start)
            if again < least:
                best, least = (form, solver), again
        if best is not None:
            break
    return best, alone, failed


def _least_seconds(call: Callable[[], object], limit: float = 1.0) -> float:
    """CPU seconds of a call, the least of as many repeats as fit (3 to 50)."""
    best, spent = np.inf, 0.0
    for repeat in range(50):
        start = time.process_time()
        call()
        took = time.process_time() - start
        best, spent = min(best, took), spent + took
        if repeat >= 2 and spent > limit:
            break
    return float(best)


def against_cvxpy(size: int, divergence: Divergence, quick: bool, longest: float = _LONGEST) -> dict[str, Any]:
    """Report one budget and a frontier of 50 on so many outcomes, and return the figures."""
    rng = np.random.default_rng(0)
    reward, prob = rng.normal(size=size), rng.dirichlet(np.ones(size))
    prob = np.maximum(prob, 0.01 / size) / np.maximum(prob, 0.01 / size).sum()

    def ours(budgets: FloatArray) -> FloatArray:
        return FiniteLaw(reward, prob).frontier(budgets, divergence).gain

    row: dict[str, Any] = {"divergence": divergence.name, "outcomes": size}
    chosen, one, failed = _fastest(reward, prob, divergence)
    row["seconds"], row["seconds_of_one"] = (
        _least_seconds(partial(ours, asked)) for asked in (_BUDGETS, np.array([0.2]))
    )
    if chosen is not None:
        peer = _built(reward, prob, divergence, *chosen)
        asked = _BUDGETS[::25] if quick else np.random.default_rng(1).permutation(_BUDGETS)
        gains, start = [], time.process_time()
        for budget in asked:
            try:
                gains.append(peer.gain(float(budget)))
            except Exception as error:
                failed.append(f"{budget:.3g}: {type(error).__name__}")
                gains.append(np.nan)
            if time.process_time() - start > longest:
                break
        spent = (time.process_time() - start) * _BUDGETS.size / len(gains)
        off = np.abs(np.array(gains) - ours(asked[: len(gains)]))
        row |= {
            "peer": peer.name,
            "times_faster": spent / row["seconds"],
            "times_faster_of_one": one / row["seconds_of_one"],
            "peer_solved": len(gains),
            "peer_distance": float(np.nanmax(off)),
        }
    row["failed"] = failed
    report("divergence against cvxpy", **row)
    return row


def a_million(divergence: Divergence, quick: bool) -> dict[str, Any]:
    """Return the CPU seconds of one budget on a million outcomes, certified."""
    rng = np.random.default_rng(0)
    size = 100_000 if quick else 1_000_000
    reward, prob = rng.normal(size=size), rng.dirichlet(np.ones(size))
    best = np.inf
    for _ in range(1 if quick else 3):
        start = time.process_time()
        optima(reward, prob, np.array([0.1]), divergence)
        best = min(best, time.process_time() - start)
    row = {"divergence": divergence.name, "outcomes": size, "seconds": best}
    report("one budget on a million outcomes", **row)
    return row


def tabulated(quick: bool) -> dict[str, Any]:
    """Return figures of the largest win rate at many budgets, by the table and by a root for each."""
    budgets = np.random.default_rng(0).uniform(0.0, 5.0, 1000 if quick else 10_000)
    law = Uniform()
    figures = compare(lambda: largest_win_rate(budgets), lambda: law.gain_at_kl(budgets), pairs=3, inner=20)
    off = float(np.abs(np.asarray(largest_win_rate(budgets)) - 0.5 - np.asarray(law.gain_at_kl(budgets))).max())
    row = {"budgets": budgets.size, "peer": "a root for each budget", **figures, "largest_error": off}
    report("universal win-rate curve", **row)
    return row


def main(quick: bool = False, sizes: Sequence[int] = (), longest: float = _LONGEST, record: bool = False) -> None:
    """Time and compare; ``quick`` takes smaller problems once."""
    warnings.simplefilter("ignore")
    at = sizes or (_SIZES[:3] if quick else _SIZES)
    against = [against_cvxpy(size, divergence, quick, longest) for size in at for divergence in _DIVERGENCES]
    many = [a_million(divergence, quick) for divergence in _DIVERGENCES]
    curve = tabulated(quick)
    if record:
        import cvxpy

        versions = {"python": platform.python_version(), "numpy": np.__version__, "cvxpy": cvxpy.__version__}
        found = {"versions": {**versions, "machine": platform.machine()}, "longest": longest}
        part = RECORDED.with_suffix(".part")
        found |= {"budgets": _BUDGETS.size, "against": against, "million": many, "curve": curve}
        part.write_text(json.dumps(found, indent=1) + "\n")
        os.replace(part, RECORDED)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--longest", type=float, default=_LONGEST, help="CPU seconds of cvxpy for a frontier")
    parser.add_argument("--sizes", type=lambda text: [int(part) for part in text.split(",")], default=[])
    given = parser.parse_args()
    main(given.quick, given.sizes, given.longest, given.record)
