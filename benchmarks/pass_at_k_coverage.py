"""How often the intervals of pass@k, pass^k and votes hold: ``python -m benchmarks.pass_at_k_coverage [--quick]``.

Laws that had no part in the choice of the interval: rates of success near 0 and near 1, few prompts, prompts that are
never or always right. One line of JSON a law and k: the share of tables whose interval holds, below, above, and its
mean width.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation import bounded_mean_interval
from alignlib.pass_at_k import all_of_k, all_of_k_estimate, pass_at_k, pass_at_k_estimate
from benchmarks.timing import report

Rates = Callable[[np.random.Generator, int], FloatArray]
LAWS: dict[str, Rates] = {
    "even": lambda rng, m: rng.random(m),
    "beta(.3, 1)": lambda rng, m: rng.beta(0.3, 1.0, m),
    "near 0": lambda rng, m: rng.beta(0.05, 5.0, m),
    "near 1": lambda rng, m: rng.beta(6.0, 0.1, m),
    "never or always": lambda rng, m: (rng.random(m) < 0.9).astype(float),
    "alike": lambda rng, m: np.full(m, 0.3),
    "rare": lambda rng, m: np.where(rng.random(m) < 0.03, 0.5, 0.0),
}
SHAPES = ((2, 8), (5, 8), (20, 16), (60, 16), (3, 16), (10, 16), (200, 32))
KS = (4, 1, 8)


def main(quick: bool = False) -> None:
    """Count over fresh tables; ``quick`` takes 100 of each instead of 1,000, of four shapes at one k."""
    tables, shapes, ks = (100, SHAPES[:4], KS[:1]) if quick else (1000, SHAPES, KS)
    rng = np.random.default_rng(20)
    for name, rates in LAWS.items():
        many = rates(rng, 1_000_000)
        for prompts, n in shapes:
            for k in ks:
                ways = {"pass@k": (pass_at_k_estimate, pass_at_k), "pass^k": (all_of_k_estimate, all_of_k)}
                for what, (estimate, exact) in ways.items():
                    truth = float(np.mean(np.asarray(exact(many, k))))
                    ends = np.array(
                        [
                            bounded_mean_interval(np.asarray(estimate(n, rng.binomial(n, rates(rng, prompts)), k)))
                            for _ in range(tables)
                        ]
                    )
                    report(
                        f"{what}, {name}",
                        k=k,
                        prompts=prompts,
                        responses=n,
                        truth=truth,
                        holds=float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean()),
                        below=float((ends[:, 1] < truth).mean()),
                        above=float((ends[:, 0] > truth).mean()),
                        width=float((ends[:, 1] - ends[:, 0]).mean()),
                        least_width=float((ends[:, 1] - ends[:, 0]).min()),
                    )


if __name__ == "__main__":
    main("--quick" in sys.argv)
