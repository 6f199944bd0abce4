"""What is returned by the estimators from samples: frozen results with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from alignlib._core.checks import BoolArray, FloatArray
from alignlib.estimation.tails import TailTest
from alignlib.laws import Frontier

__all__ = ["BestOfNEstimate", "EstimatedFrontier"]


@dataclass(frozen=True, kw_only=True)
class EstimatedFrontier(Frontier):
    """A `Frontier` from samples; arrays of shape (k,).

    ``supported_kl`` is the largest supported budget in nats. ``ess`` and ``largest_weight`` are the effective
    sample size and the share of the heaviest sample, averaged over the ``n_prompts`` prompts, at each point's λ.
    ``budget`` says whether ``spent`` is an ``"average"`` over prompts or the same on every prompt
    (``"per_prompt"``; ``1/lam`` is then the mean of 1/λ over prompts, the slope of the curve). ``tail`` is the test
    of the upper tail.
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


@dataclass(frozen=True, kw_only=True)
class BestOfNEstimate:
    """A rule that draws several responses and keeps one, against the limit at equal KL; arrays of shape (k,).

    ``n`` is the mean number of draws, ``kl`` what the rule spends in nats and ``kl_formula`` what it would
    without ties (None for soft best-of-n), ``gain`` its mean reward above ``base_reward``, ``win_rate`` its
    chance to beat one base draw. ``limit_gain`` is the most that any policy of the same average KL can gain and
    ``share`` the part of it the rule has. Where ``supported`` is False the samples do not show the limit:
    ``limit_gain`` is then an upper bound by concavity, ``share`` a lower one, and ``share_high`` is 1. The last
    four are None where nothing is known of the limit.
    """

    n: FloatArray
    kl: FloatArray
    kl_formula: FloatArray | None
    gain: FloatArray
    gain_low: FloatArray
    gain_high: FloatArray
    win_rate: FloatArray
    base_reward: float
    level: float
    limit_gain: FloatArray | None
    share: FloatArray | None
    share_low: FloatArray | None
    share_high: FloatArray | None
    supported: BoolArray | None

    @property
    def reward(self) -> FloatArray:
        """Mean reward of what the rule keeps."""
        return self.base_reward + self.gain
