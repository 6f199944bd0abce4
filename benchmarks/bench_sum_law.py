"""The exact law of a long sequence's reward against direct convolution in extended precision, and its growth."""

from __future__ import annotations

import sys

import mpmath as mp
import numpy as np

from alignlib.sequences import MarkovModel, MemorylessModel
from benchmarks.timing import compare, report, seconds

PROB, REWARD = [0.5, 0.3125, 0.1875], [0.0, 1.0, 2.0]


def by_convolution(length: int) -> list[mp.mpf]:
    """Convolve the token law ``length`` times in 50 digits, whose exponents reach every tail."""
    with mp.workdps(50):
        prob = [mp.mpf(p) for p in PROB]
        law = [mp.mpf(1)]
        for _ in range(length):
            new = [mp.mpf(0)] * (len(law) + 2)
            for shift, mass in enumerate(prob):
                for i, held in enumerate(law):
                    new[i + shift] += mass * held
            law = new
        return law


def main(quick: bool = False) -> None:
    """Time against the peer where it is bearable (its cost grows as m²), then report growth in m and alphabet."""
    length = 100 if quick else 400
    figures = compare(lambda: MemorylessModel(PROB, REWARD, length).sum_law(), lambda: by_convolution(length), pairs=3)
    with mp.workdps(50):
        exact = np.array([float(mp.log(mass)) for mass in by_convolution(length)])
    error = float(np.abs(MemorylessModel(PROB, REWARD, length).sum_law().log_prob - exact).max())
    report("law of the sum", length=length, peer="convolution, 50 digits", **figures, largest_error=error)
    rng = np.random.default_rng(0)
    longest = 1000 if quick else 10_000
    for letters in (2, 3, 6, 10):
        for m in (longest // 100, longest // 10, longest):
            model = MemorylessModel(rng.dirichlet(np.ones(letters)), np.arange(letters), m)
            report("memoryless, lattice", length=m, letters=letters, seconds=seconds(model.sum_law))
    for states in (2, 3, 10, 27):
        chain = rng.dirichlet(np.ones(states), states)
        for m in (100, 300) if quick else (100, 300, 1000):
            model = MarkovModel(chain, np.arange(states) % 2, np.full(states, 1 / states), m)
            report("chain, reward 0 or 1", length=m, states=states, seconds=seconds(model.sum_law))


if __name__ == "__main__":
    main("--quick" in sys.argv)
