"""The exact law of a long sequence's reward against direct convolution in extended precision, and how its cost grows.

``--record`` rewrites ``benchmarks/recorded/sum_law.json``, which the book draws: times differ from run to run, pages
do not.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # times are of one core; threads that wait for each other would count

import mpmath as mp
import numpy as np
import numpy.typing as npt

from alignlib.sequences import MarkovModel, MemorylessModel
from benchmarks.timing import compare, report

PROB, REWARD = [0.5, 0.3125, 0.1875], [0.0, 1.0, 2.0]
RECORDED = Path(__file__).parent / "recorded" / "sum_law.json"


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


def by_long_double(length: int) -> npt.NDArray[np.longdouble]:
    """The same in the processor's extended precision, vectorised; masses below e^-11355 vanish."""
    prob = np.array(PROB, dtype=np.longdouble)
    law = np.zeros(2 * length + 1, dtype=np.longdouble)
    law[0] = 1
    for n in range(1, 2 * length, 2):
        new = prob[0] * law[: n + 2]
        new[1:] += prob[1] * law[: n + 1]
        new[2:] += prob[2] * law[:n]
        law[: n + 2] = new
    return law


def against_peers(quick: bool) -> list[dict[str, Any]]:
    """Compare with 50 digits where that is bearable, and with long doubles at full length."""
    rows = []
    length = 100 if quick else 400
    figures = compare(lambda: MemorylessModel(PROB, REWARD, length).sum_law(), lambda: by_convolution(length), pairs=3)
    with mp.workdps(50):
        exact = np.array([float(mp.log(mass)) for mass in by_convolution(length)])
    error = float(np.abs(MemorylessModel(PROB, REWARD, length).sum_law().log_prob - exact).max())
    rows.append({"length": length, "peer": "convolution, 50 digits", **figures, "largest_error": error})
    if np.finfo(np.longdouble).maxexp > 16_000:  # elsewhere a long double is a double and reaches e^-708 only
        length = 1000 if quick else 10_000
        figures = compare(lambda: MemorylessModel(PROB, REWARD, length).sum_law(), lambda: by_long_double(length), 3, 3)
        rows.append({"length": length, "peer": "convolution, long double", **figures})
    return rows


def growth(quick: bool) -> list[dict[str, Any]]:
    """Processor seconds against length and alphabet, the least of three."""
    rng = np.random.default_rng(0)
    longest = 1000 if quick else 10_000
    rows: list[dict[str, Any]] = []
    model: MemorylessModel | MarkovModel
    for letters in (2, 3, 6, 10):
        for m in sorted({int(longest * f) for f in (0.01, 0.03, 0.1, 0.3, 1.0)}):
            model = MemorylessModel(rng.dirichlet(np.ones(letters)), np.arange(letters), m)
            rows.append({"kind": "memoryless", "length": m, "letters": letters, "seconds": _least(model)})
    for states in (3, 10, 27):
        chain = rng.dirichlet(np.ones(states), states)
        for m in (100, 300) if quick else (100, 300, 1000, 3000):
            model = MarkovModel(chain, np.arange(states) % 2, np.full(states, 1 / states), m)
            rows.append({"kind": "chain", "length": m, "letters": states, "seconds": _least(model)})
    return rows


def _least(model: MemorylessModel | MarkovModel) -> float:
    taken = []
    for _ in range(3):
        start = time.process_time()
        model.sum_law()
        taken.append(time.process_time() - start)
    return min(taken)


def main(quick: bool = False, record: bool = False) -> None:
    """Time against the peers, then report growth in length and alphabet."""
    peers, grown = against_peers(quick), growth(quick)
    for row in peers:
        report("law of the sum", **row)
    for row in grown:
        report("growth of cost", **row)
    if not quick:  # real rewards: 9,997,156 different sums
        report("largest law of the default limit", seconds=_least(MemorylessModel(PROB, [0.0, 1.0, 2**0.5], 4470)))
    if record:
        versions = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
        part = RECORDED.with_suffix(".part")
        part.write_text(json.dumps({"versions": versions, "peers": peers, "growth": grown}, indent=1) + "\n")
        os.replace(part, RECORDED)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--record" in sys.argv)
