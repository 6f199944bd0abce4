"""What a budget is measured in: the f-divergences, one file each; KL is the default everywhere."""

from __future__ import annotations

from alignlib.divergences.divergence import Divergence, as_divergence
from alignlib.divergences.kl import KL
from alignlib.divergences.reverse_kl import REVERSE_KL

__all__ = ["KL", "REVERSE_KL", "Divergence", "as_divergence"]
