"""Counts of one statement: how often its interval held, and how wide it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from alignlib._core.checks import BoolArray, FloatArray
from benchmarks.coverage.others import OTHERS

__all__ = ["Tally"]

_ACCURACY = 3e-5  # of the truths, which are sums over fine bins


class Tally:
    """Counts of one statement at each of its points: tried, claimed, held, held where claimed; and widths."""

    def __init__(self, points: FloatArray) -> None:
        self.points = points
        # Of other rules on the same claimed tables, ours first: held, and widths.
        self.others = {name: [(0, list[float]()) for _ in points] for name in ("ours", *OTHERS)}
        self.counts = np.zeros((4, points.size), dtype=np.int64)
        self.widths: list[list[float]] = [[] for _ in points]
        self.misses = np.zeros((2, points.size), dtype=np.int64)  # the interval too high, too low

    def add(self, low: FloatArray, high: FloatArray, truth: FloatArray, claimed: BoolArray) -> None:
        """Count intervals at the first so many points."""
        k = np.arange(low.size)
        room = _ACCURACY * np.abs(truth)
        holds = (low <= truth + room) & (truth <= high + room)
        self.counts[:, k] += np.array([np.ones(low.size), claimed, holds, holds & claimed], dtype=np.int64)
        self.misses[:, k] += np.array([(low > truth + room) & claimed, (high < truth - room) & claimed], dtype=np.int64)
        for i in k[claimed]:
            self.widths[i].append(float((high[i] - low[i]) / max(abs(truth[i]), 1e-12)))

    def compare(self, found: dict[str, tuple[FloatArray, FloatArray]], truth: FloatArray, claimed: BoolArray) -> None:
        """Count whether other intervals hold, and how wide they are, where the tool's own are claimed."""
        for name, (low, high) in found.items():
            for i in np.flatnonzero(claimed):
                held, widths = self.others[name][i]
                holds = bool(low[i] <= truth[i] * (1.0 + _ACCURACY) and truth[i] * (1.0 - _ACCURACY) <= high[i])
                self.others[name][i] = (held + holds, [*widths, float((high[i] - low[i]) / max(abs(truth[i]), 1e-12))])

    def _compared(self) -> dict[str, Any]:
        """Return of every rule the tables tried, held, and the median width, at each point."""
        return {
            name: {
                "tried": [len(widths) for _, widths in at],
                "held": [held for held, _ in at],
                "width": [float(np.median(widths)) if widths else None for _, widths in at],
            }
            for name, at in self.others.items()
            if any(widths for _, widths in at)
        }

    def record(self) -> dict[str, Any]:
        """Return the counts, and the median width in units of the truth."""
        tried, claimed, held, both = self.counts.tolist()
        return {
            "at": self.points.tolist(), "tried": tried, "claimed": claimed, "held": held, "held_claimed": both,
            "too_high": self.misses[0].tolist(), "too_low": self.misses[1].tolist(),
            "width": [float(np.median(w)) if w else None for w in self.widths],
            "rules": self._compared(),
        }  # fmt: skip
