"""Pairs of timings in turn, A B A B …: on a machine whose speed drifts, only their ratio means anything.

What is counted is the time of the processor, of all threads of this process: others on the machine wait elsewhere.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

__all__ = ["compare", "report", "seconds"]


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(ours: Callable[[], object], peer: Callable[[], object], pairs: int = 5, inner: int = 1) -> dict[str, float]:
    """Time peer and ours in turn; return how many times faster ours is (median, least, most) and its seconds.

    ``inner`` calls of ours are timed as one where a single call is too short for the clock.
    """
    ours()
    ratios, times = [], []
    for _ in range(pairs):
        slow = seconds(peer)
        fast = seconds(lambda: [ours() for _ in range(inner)]) / inner
        ratios.append(slow / fast)
        times.append(fast)
    return {
        "times_faster": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "seconds": statistics.median(times),
    }


def report(name: str, **figures: object) -> None:
    """Print one line of JSON."""
    print(json.dumps({"benchmark": name, **figures}), flush=True)
