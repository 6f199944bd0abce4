"""DPO on pairs of base responses, labelled from the reward with the noise of Bradley and Terry."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignlib._core.palette import BOUND
from alignlib.lm.methods import Look, Method, register

if TYPE_CHECKING:
    from alignlib.lm.fleet import Fleet

__all__ = ["DPO"]


@register
class DPO(Method):
    """The sigmoid loss; every pair is fresh and seen once. Its minimiser over all policies is ``π_λ``.

    The first of a pair is preferred with probability σ(r - r'), so a step holds 96 bits where the others have 192
    rewards.
    """

    name: ClassVar[str] = "dpo"
    label: ClassVar[str] = "DPO"
    look: ClassVar[Look | None] = Look(BOUND, "D")
    place: ClassVar[int] = 40

    def step(self, fleet: Fleet) -> None:
        """Draw pairs from the base, label them, update."""
        import torch

        batch = fleet.draw(fleet.base)
        pairs = batch.reward.reshape(len(fleet), -1, 2)
        first = fleet.uniform(pairs.shape[1]) < torch.sigmoid(pairs[..., 0] - pairs[..., 1])
        side = torch.where(first, 1.0, -1.0)
        log_ratio = (fleet.policy.token_log_prob(batch.prompts, batch.tokens) - batch.log_prob).sum(-1)
        log_ratio = log_ratio.reshape(pairs.shape)
        margin = fleet.beta[..., 0] * side * (log_ratio[..., 0] - log_ratio[..., 1])
        fleet.update(-torch.nn.functional.logsigmoid(margin).mean(1))
