"""One KL budget on 2,000 outcomes: ``lam_at_kl`` against cvxpy with SCS, in time and distance from the dual."""

from __future__ import annotations

import sys
import warnings

import numpy as np

from alignlib.laws import FiniteLaw, dual_gain
from benchmarks.timing import compare, report


def main(quick: bool = False) -> None:
    """Time and compare; ``quick`` takes one pair instead of three."""
    warnings.simplefilter("ignore")
    import cvxpy as cp

    rng = np.random.default_rng(0)
    reward, prob = rng.normal(size=2000), rng.dirichlet(np.ones(2000))
    family = FiniteLaw(reward, prob)
    dual = dual_gain(family, 1.0)

    policy = cp.Variable(2000, nonneg=True)
    problem = cp.Problem(cp.Maximize(reward @ policy), [cp.sum(policy) == 1, cp.sum(cp.kl_div(policy, prob)) <= 1.0])
    solved: list[float] = []

    def peer() -> None:
        problem.solve(solver=cp.SCS)
        solved.append(float(problem.value) - family.base_reward)

    def ours() -> float:
        fresh = FiniteLaw(reward, prob)
        return float(fresh.gain(fresh.lam_at_kl(1.0)))

    figures = compare(ours, peer, pairs=1 if quick else 3, inner=50)
    report(
        "one KL budget, 2000 outcomes",
        peer="cvxpy with SCS",
        **figures,
        our_distance_from_dual=abs(ours() - dual),
        peer_distance_from_dual=abs(solved[-1] - dual),
    )


if __name__ == "__main__":
    main("--quick" in sys.argv)
