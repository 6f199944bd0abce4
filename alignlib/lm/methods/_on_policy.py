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
        """Return how much each response is to be made likelier; no gradients flow through it.

        Parameters
        ----------
        fleet : Fleet
            The runs.
        batch : Batch
            What they drew.
        old, base : tensor (R, P, G, T)
            Log-probabilities of tokens under the policy that drew them and under the base, in nats.

        Returns
        -------
        tensor (R, P, G)
            In the unit of the reward.
        """

    @abstractmethod
    def loss(self, fleet: Fleet, batch: Batch, now: Tensor, old: Tensor, base: Tensor, advantage: Tensor) -> Tensor:
        """Return the loss of each run.

        Parameters
        ----------
        fleet : Fleet
            The runs.
        batch : Batch
            What they drew.
        now : tensor (R, P, G, T)
            Log-probabilities of tokens under the policies, with gradients.
        old, base : tensor (R, P, G, T)
            The same under the policy that drew them and under the base.
        advantage : tensor (R, P, G)
            As `advantage` gives it.

        Returns
        -------
        tensor (R,)
            To be made smaller.
        """

    def step(self, fleet: Fleet) -> None:
        """Draw, weigh, update."""
        batch = fleet.draw(fleet.policy)
        base = fleet.log_base(batch)
        advantage = self.advantage(fleet, batch, batch.log_prob, base)
        for epoch in range(fleet.most_epochs):
            now = fleet.policy.token_log_prob(batch.prompts, batch.tokens)
            fleet.update(self.loss(fleet, batch, now, batch.log_prob, base, advantage), epoch)


def clipped(log_ratio: Tensor, advantage: Tensor, clip: Tensor) -> Tensor:
    """Return PPO's clipped surrogate ``min(ratio · A, clamp(ratio, 1 ± clip) · A)``.

    Parameters
    ----------
    log_ratio : Tensor
        Logarithm of policy over the policy that drew, of tokens or of responses.
    advantage : Tensor
        Of the same shape, in the unit of the reward.
    clip : Tensor
        The width ε of each run; it broadcasts.

    Returns
    -------
    Tensor
        Of the same shape.
    """
    import torch

    ratio = log_ratio.exp()
    kept = torch.minimum(torch.maximum(ratio, 1.0 - clip), 1.0 + clip)
    return torch.minimum(ratio * advantage, kept * advantage)
