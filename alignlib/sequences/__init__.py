"""Long sequences: memoryless and Markov models, the exact law of the reward, best-of-N with e^{mδ} draws."""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.sequences.comparison import BestOfNAgainstOptimum, compare
from alignlib.sequences.large_deviations import (
    cumulants,
    exact_asymptotics,
    rate_function,
    renyi_cross_entropy,
    scaled_cgf,
)
from alignlib.sequences.lattice_sums import power_by_recursion, power_by_squaring
from alignlib.sequences.markov import MarkovModel
from alignlib.sequences.markov_optimum import OptimumAtLength
from alignlib.sequences.memoryless import MemorylessModel, total_correlation
from alignlib.sequences.one_token import NearestTilt, largest_distance, nearest_tilt, reward_at_distance
from alignlib.sequences.sum_law import SumLaw
from alignlib.sequences.text_chain import (
    letter_chain,
    letter_states,
    python_reference_text,
    read_text,
    transition_reward,
)
from alignlib.sequences.transition_matrix import ReducibleChainError
from alignlib.sequences.twisted_chain import TwistedChain
from alignlib.sequences.type_sums import TooManyLevelsError, number_of_types

__all__ = [
    "BestOfNAgainstOptimum",
    "MarkovModel",
    "MemorylessModel",
    "NearestTilt",
    "OptimumAtLength",
    "ReducibleChainError",
    "SumLaw",
    "TooManyLevelsError",
    "TwistedChain",
    "compare",
    "cumulants",
    "exact_asymptotics",
    "largest_distance",
    "letter_chain",
    "letter_states",
    "nearest_tilt",
    "number_of_types",
    "power_by_recursion",
    "power_by_squaring",
    "python_reference_text",
    "rate_function",
    "read_text",
    "renyi_cross_entropy",
    "reward_at_distance",
    "scaled_cgf",
    "total_correlation",
    "transition_reward",
]

guard(globals())
