"""What is returned by the estimators from samples: frozen results with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from alignlib._checks import BoolArray, FloatArray
from alignlib.frontier import Frontier
from alignlib.tails import TailTest

__all__ = ["EstimatedFrontier"]


@dataclass(frozen=True, kw_only=True)
class EstimatedFrontier(Frontier):
    """A `Frontier` from samples; arrays of shape (k,).

    ``supported_kl`` is the largest supported budget in nats. ``ess`` and ``largest_weight`` are the effective
    sample size and the share of the heaviest sample, averaged over the ``n_prompts`` prompts, at each point's λ.
    ``budget`` says whether ``kl`` is an ``"average"`` over prompts or the same on every prompt
    (``"per_prompt"``); ``tail`` is the test of the upper tail.
    """

    gain_low: FloatArray
    gain_high: FloatArray
    supported: BoolArray
    level: float
    supported_kl: float
    ess: FloatArray
    largest_weight: FloatArray
    budget: str
    n_prompts: int
    tail: TailTest
