"""Right or wrong answers: pass@k, pass^k, majority vote, and the KL that pass@k costs.

Exact on a law: `pass_at_k`, `all_of_k` (pass^k), `majority_of_law`; the largest pass@k within a KL budget is
`pass_frontier`, with `kl_of_success` what a rate of success costs. Unbiased from the responses of one prompt:
`pass_at_k_estimate`, `all_of_k_estimate`, `majority_estimate`, which gives a `Majority`. `estimate_pass_at_k` does all
that for an `AnswerTable`, with intervals over prompts (`PassEstimate`, of `Measured`; `check_k` looks at the numbers
asked for).
"""

from __future__ import annotations

from alignlib._core.doors import guard
from alignlib.pass_at_k.estimate import Measured, PassEstimate, check_k, estimate_pass_at_k
from alignlib.pass_at_k.formulas import all_of_k, all_of_k_estimate, pass_at_k, pass_at_k_estimate
from alignlib.pass_at_k.frontier import PassFrontier, kl_of_success, pass_frontier
from alignlib.pass_at_k.votes import Majority, majority_estimate, majority_of_law

__all__ = [
    "Majority",
    "Measured",
    "PassEstimate",
    "PassFrontier",
    "all_of_k",
    "all_of_k_estimate",
    "check_k",
    "estimate_pass_at_k",
    "kl_of_success",
    "majority_estimate",
    "majority_of_law",
    "pass_at_k",
    "pass_at_k_estimate",
    "pass_frontier",
]

guard(globals())
