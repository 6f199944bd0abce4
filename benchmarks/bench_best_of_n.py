"""Best-of-N for 20 values of N from a million samples, against the ``np.sort`` that any estimate needs."""

from __future__ import annotations

import sys

import numpy as np

from alignlib.rules import best_of_n_mean
from benchmarks.timing import compare, report


def main(quick: bool = False) -> None:
    """Time and compare; ``quick`` takes a tenth of the samples. ``times_faster`` below 1 means slower than the sort."""
    count = 100_000 if quick else 1_000_000
    rewards = np.random.default_rng(0).standard_normal(count)
    n = 2 ** np.arange(16 if quick else 20)
    figures = compare(lambda: best_of_n_mean(rewards, n), lambda: np.sort(rewards), pairs=9)
    ordered = np.sort(rewards)[::-1].astype(np.longdouble)
    worst = 0.0
    for value, got in zip(n.tolist(), best_of_n_mean(rewards, n), strict=True):
        k = np.arange(1, count - value + 1, dtype=np.longdouble)
        ratios = np.concatenate([[np.longdouble(value) / count], (count - value + 1 - k) / (count - k)])
        exact = float(ordered[: count - value + 1] @ np.cumprod(ratios))
        worst = max(worst, abs(float(got) - exact) / max(1.0, abs(exact)))
    report("best-of-N, 1e6 samples, 20 N", samples=count, peer="np.sort", **figures, largest_error=worst)


if __name__ == "__main__":
    main("--quick" in sys.argv)
