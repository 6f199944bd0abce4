"""How often gold turns between rising and falling as the proxy grows, and so along a path of policies."""

from __future__ import annotations

import numpy as np

from alignlib.hacking.proxy_gap import ProxyPair

__all__ = ["directions", "possible_turns"]


def directions(pair: ProxyPair, resolution: float) -> list[int]:
    """Return the directions that ``E[r | r̂]`` takes one after the other as the proxy grows, 1 for up and -1 for down.

    Reversals of less than ``resolution`` times the range of gold count as rounding.

    >>> directions(ProxyPair([0.0, 1.0, 0.0], [0.0, 1.0, 1.5]), 1e-13)
    [1, -1]
    """
    gold = pair.gold_by_level
    least = resolution * float(np.ptp(pair.gold) + np.abs(pair.gold).max() * 1e-3)
    taken: list[int] = []
    extreme = float(gold[0])
    for value in gold[1:].tolist():
        if taken and taken[-1] * (value - extreme) > 0:
            extreme = value  # on in the same direction
        elif abs(value - extreme) > least:
            taken.append(1 if value > extreme else -1)
            extreme = value
    return taken


def possible_turns(pair: ProxyPair, resolution: float, first_sign: float | None) -> int:
    """Return how often gold can turn from the start of a path on.

    Along a rule whose derivative in its parameter is a sum of exponentials on the whole line, its sign far to the left
    is that of the first step of ``E[r | r̂]``: where ``first_sign``, the sign at the start, differs, one of the zeros
    lies before the start. Along λ (``first_sign`` is None) the count is a bound only where it is at most once.
    """
    taken = directions(pair, resolution)
    before = first_sign is not None and len(taken) > 1 and first_sign * taken[0] < 0
    return max(len(taken) - 1, 0) - int(before)
