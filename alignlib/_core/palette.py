"""Colours of every figure: Okabe and Ito's, darkened where text is written in them."""

from __future__ import annotations

__all__ = ["BASE", "BEST_OF_N", "BOUND", "CYCLE", "FOURTH", "LIMIT", "THIRD"]

LIMIT = "#0072B2"
BEST_OF_N = "#bf4c00"
THIRD = "#007a5a"
FOURTH = "#a3478a"
BASE = "#222222"
BOUND = "#6b6b6b"
CYCLE = (LIMIT, BEST_OF_N, THIRD, FOURTH, "#8a6d00", BASE)
