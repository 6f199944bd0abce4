"""pass@k of 20,000 prompts with 200 responses each: counts together against the published product, prompt by prompt."""

from __future__ import annotations

import sys

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.pass_at_k import pass_at_k_estimate
from benchmarks.timing import compare, report


def main(quick: bool = False) -> None:
    """Time and compare; ``quick`` takes one pair and fewer prompts."""
    rng = np.random.default_rng(0)
    prompts, n, k = (2_000 if quick else 20_000), 200, 16
    right = rng.binomial(n, rng.beta(0.3, 1.0, prompts))

    def peer() -> list[float]:
        return [
            1.0 if n - c < k else 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1))) for c in right.tolist()
        ]

    def ours() -> FloatArray:
        return np.asarray(pass_at_k_estimate(n, right, k))

    figures = compare(ours, peer, pairs=1 if quick else 5, inner=20)
    few = np.asarray(pass_at_k_estimate(10**6, np.arange(1, 4), 1))
    loop = np.array([1.0 - float(np.prod(1.0 - 1.0 / np.arange(10**6 - c + 1, 10**6 + 1))) for c in (1, 2, 3)])
    exact = np.arange(1, 4) / 10**6
    report(
        f"pass@{k} of {prompts} prompts with {n} responses",
        peer="the product formula, prompt by prompt",
        **figures,
        largest_difference=float(np.abs(ours() - np.array(peer())).max()),
        our_relative_error_where_few_are_right=float(np.abs(few / exact - 1.0).max()),
        peer_relative_error_where_few_are_right=float(np.abs(loop / exact - 1.0).max()),
    )


if __name__ == "__main__":
    main("--quick" in sys.argv)
