"""How often `resting_penalties` holds on tables of responses from a policy whose law is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignlib._core.checks import FloatArray, IntArray
from alignlib._core.same import SameFields
from alignlib.training import RestingPenalty, resting_penalties

__all__ = ["Tables"]

_NOISE = 0.3  # standard deviation of what is added to each reward


@dataclass(frozen=True, eq=False)
class Tables(SameFields):
    """Tables of responses to be drawn in an enumerable world.

    Parameters
    ----------
    log_base, reward : array (kinds, responses)
        The base's log-probabilities, and the rewards, of every response to each kind of prompt.
    n_tables, n_prompts, n_each : int
        How many tables, prompts in each, and responses to each prompt.
    rng : Generator
        The source of randomness.
    """

    log_base: FloatArray
    reward: FloatArray
    n_tables: int
    n_prompts: int
    n_each: int
    rng: np.random.Generator

    def _drawn(self, log_prob: FloatArray, kinds: IntArray) -> IntArray:
        upto = np.cumsum(np.exp(log_prob), axis=1)
        upto /= upto[:, -1:]
        return np.array([np.searchsorted(upto[k], self.rng.random(self.n_each)) for k in kinds])

    def _truth(self, policy: FloatArray) -> tuple[float, float]:
        apart, prob = policy - self.log_base, np.exp(policy)
        mean = (prob * apart).sum(axis=1, keepdims=True)
        top = float((prob * (apart - mean) * self.reward).sum(axis=1).mean())
        spread = float((prob * (apart - mean) ** 2).sum(axis=1).mean())
        both_ways = float((mean[:, 0] - (np.exp(self.log_base) * apart).sum(axis=1)).mean())
        return top / spread, top / both_ways

    def held_by(self, policy: FloatArray) -> tuple[dict[str, float], list[RestingPenalty]]:
        """Return the part of tables whose interval holds, of each charge, and what the first of them says.

        Parameters
        ----------
        policy : array (kinds, responses)
            Log-probabilities of the policy whose responses are drawn.
        """
        apart, truth = policy - self.log_base, self._truth(policy)
        names = np.repeat(np.arange(self.n_prompts), self.n_each)
        hits: FloatArray = np.zeros(2)
        first: list[RestingPenalty] = []
        for _ in range(self.n_tables):
            kinds = self.rng.integers(len(self.reward), size=self.n_prompts)
            own, other = self._drawn(policy, kinds), self._drawn(self.log_base, kinds)
            paid = self.reward[kinds[:, None], own] + _NOISE * self.rng.standard_normal(own.shape)
            found = resting_penalties(
                paid.ravel(),
                apart[kinds[:, None], own].ravel(),
                names,
                base_log_ratio=apart[kinds[:, None], other].ravel(),
                base_prompt=names,
            )
            first = first or list(found)
            hits += [one.beta_low <= right <= one.beta_high for one, right in zip(found, truth, strict=True)]
        return dict(zip(("k1", "k3"), (hits / self.n_tables).tolist(), strict=True)), first
