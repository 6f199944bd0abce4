"""Methods that learn from their own responses: draw, pay, weigh, update once or more."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from alignlib.lm.methods._method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from alignlib.lm.fleet import Batch, Fleet

__all__ = ["OnPolicy", "clipped"]


class OnPolicy(Method):
    """A method of the family of policy gradients: a subclass says how responses are weighed and what the loss is."""

    searched: ClassVar[tuple[str, ...]] = ("learning_rate", "schedule", "group", "epochs", "clip")

    @abstractmethod
    def advantage(self, fleet: Fleet, batch: Batch, old: Tensor, base: Tensor) -> Tensor:
        """Return how much each response is to be made likelier, (R, P, G); no gradients flow through it.

        Parameters
        ----------
        fleet, batch
            The runs, and what they drew.
        old, base : tensor (R, P, G, T)
            Log-probabilities of the tokens under the policy that drew them and under the base, in nats.
        """

    @abstractmethod
    def loss(self, fleet: Fleet, batch: Batch, now: Tensor, old: Tensor, base: Tensor, advantage: Tensor) -> Tensor:
        """Return the loss of each run, (R,); ``now`` has the log-probabilities with gradients."""

    def step(self, fleet: Fleet) -> None:
        """Draw, weigh, update."""
        batch = fleet.draw(fleet.policy)
        base = fleet.log_base(batch)
        advantage = self.advantage(fleet, batch, batch.log_prob, base)
        for epoch in range(fleet.most_epochs):
            now = fleet.policy.token_log_prob(batch.prompts, batch.tokens)
            fleet.update(self.loss(fleet, batch, now, batch.log_prob, base, advantage), epoch)


def clipped(log_ratio: Tensor, advantage: Tensor, clip: Tensor) -> Tensor:
    """Return PPO's clipped surrogate ``min(ratio · A, clamp(ratio, 1 ± clip) · A)``."""
    import torch

    ratio = log_ratio.exp()
    kept = torch.minimum(torch.maximum(ratio, 1.0 - clip), 1.0 + clip)
    return torch.minimum(ratio * advantage, kept * advantage)
