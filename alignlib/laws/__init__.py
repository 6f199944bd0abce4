"""Reward laws that can be tilted, and the frontier of each: the largest reward at each budget."""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.laws.bernoulli import Bernoulli
from alignlib.laws.certificates import dual_gain, kl_to_optimum
from alignlib.laws.continuous import ContinuousLaw
from alignlib.laws.exponential import Exponential
from alignlib.laws.finite import FiniteLaw
from alignlib.laws.frontier import Frontier
from alignlib.laws.gaussian import Gaussian
from alignlib.laws.heavy_tailed import HeavyTailed
from alignlib.laws.laplace import Laplace
from alignlib.laws.law import Law
from alignlib.laws.levels import Levels
from alignlib.laws.prompt_average import PromptAverage
from alignlib.laws.uniform import Uniform
from alignlib.laws.win_rates import largest_win_rate, win_rates

__all__ = [
    "Bernoulli",
    "ContinuousLaw",
    "Exponential",
    "FiniteLaw",
    "Frontier",
    "Gaussian",
    "HeavyTailed",
    "Laplace",
    "Law",
    "Levels",
    "PromptAverage",
    "Uniform",
    "dual_gain",
    "kl_to_optimum",
    "largest_win_rate",
    "win_rates",
]

guard(globals())
