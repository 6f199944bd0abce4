"""Channel capacity: ``capacity`` against plain Blahut–Arimoto to the same certified gap, and against ``dit``."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from functools import partial

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.bottleneck import blahut_arimoto, capacity
from benchmarks.timing import compare, report

GAP = 1e-9


def main(quick: bool = False) -> None:
    """Time and compare; ``quick`` takes the small channel once."""
    for size in (64,) if quick else (64, 256):
        channel = np.random.default_rng(0).dirichlet(np.full(size, 0.3), size=size)
        found, plain = capacity(channel, GAP), blahut_arimoto(channel, GAP)
        figures = compare(
            partial(capacity, channel, GAP),
            partial(blahut_arimoto, channel, GAP),
            pairs=1 if quick else 3,
            inner=20,
        )
        report(
            f"capacity of a Dirichlet(0.3) channel, {size} by {size}",
            peer="plain Blahut–Arimoto to a gap of 1e-9",
            **figures,
            our_gap=found.gap,
            peer_gap=plain.gap,
            our_steps=found.n_iter,
            peer_steps=plain.n_iter,
        )
        if importlib.util.find_spec("dit") is not None:
            against_dit(channel, size, quick)


def against_dit(channel: FloatArray, size: int, quick: bool) -> None:
    """Time ``dit.algorithms.channel_capacity``, which gives no certificate; how short it stops is measured by ours."""
    warnings.simplefilter("ignore")
    from dit.algorithms import channel_capacity

    solved: list[float] = []

    def peer() -> None:
        solved.append(float(channel_capacity(channel)[0]) * np.log(2))

    figures = compare(lambda: capacity(channel, GAP), peer, pairs=1 if quick else 3, inner=20)
    report(
        f"capacity of a Dirichlet(0.3) channel, {size} by {size}",
        peer="dit channel_capacity",
        **figures,
        peer_stops_short_by=capacity(channel, GAP).value - solved[-1],
    )


if __name__ == "__main__":
    main("--quick" in sys.argv)
