"""What a budget is measured in: the f-divergences and Rényi's, one file each; KL is the default everywhere."""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.divergences.chi_squared import CHI_SQUARED
from alignlib.divergences.divergence import Divergence, check_budgets
from alignlib.divergences.hellinger import HELLINGER
from alignlib.divergences.jensen_shannon import JENSEN_SHANNON
from alignlib.divergences.kl import KL
from alignlib.divergences.named import as_divergence
from alignlib.divergences.renyi import Renyi
from alignlib.divergences.reverse_kl import REVERSE_KL
from alignlib.divergences.total_variation import TOTAL_VARIATION

__all__ = [
    "CHI_SQUARED",
    "HELLINGER",
    "JENSEN_SHANNON",
    "KL",
    "REVERSE_KL",
    "TOTAL_VARIATION",
    "Divergence",
    "Renyi",
    "as_divergence",
    "check_budgets",
]

guard(globals())
