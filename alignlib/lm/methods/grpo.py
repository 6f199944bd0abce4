"""GRPO, three times: as it was published, as trl has it now, and Dr. GRPO, which divides by nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignlib._core.palette import BASE, BOUND, FOURTH
from alignlib.lm.methods import Look, OnPolicy, register
from alignlib.lm.methods._method import clipped

if TYPE_CHECKING:
    from torch import Tensor

    from alignlib.lm.fleet import Batch, Fleet

__all__ = ["GRPO", "DrGRPO", "TrlGRPO"]

_LEAST_DEVIATION = 1e-4


@register
class GRPO(OnPolicy):
    """As published (DeepSeekMath): rewards standardised in each group, k3 in the loss, the mean over each response."""

    name: ClassVar[str] = "grpo"
    label: ClassVar[str] = "GRPO"
    look: ClassVar[Look | None] = Look(FOURTH, "^")
    place: ClassVar[int] = 30
    # Division by the group's standard deviation takes the reward's scale away: the same KLs need other penalties.
    knobs: ClassVar[tuple[float, ...]] = (1.1, 0.8, 0.6)
    scales: ClassVar[bool] = True
    corrects: ClassVar[bool] = False
    """Whether the penalty's gradient is that of the token's own KL to the base; else it is k3's at the drawn token."""

    def advantage(self, fleet: Fleet, batch: Batch, old: Tensor, base: Tensor) -> Tensor:
        """A response's reward less its group's mean, over the group's standard deviation if it is scaled."""
        return fleet.in_groups(batch.reward, _standardised if self.scales else _centred)

    def loss(self, fleet: Fleet, batch: Batch, now: Tensor, old: Tensor, base: Tensor, advantage: Tensor) -> Tensor:
        """The clipped surrogate of each token's ratio less β times its k3."""
        gap = base - now
        k3 = gap.exp() - gap - 1.0
        if self.corrects:
            k3 = k3 * (now - old).exp()
        surrogate = clipped(now - old, advantage[..., None], fleet.clip[..., None])
        return self.mean(-(surrogate - fleet.beta[..., None] * k3) * batch.mask, batch.mask)

    def mean(self, losses: Tensor, mask: Tensor) -> Tensor:
        """Average over the tokens of each response, then over responses.

        Parameters
        ----------
        losses : tensor (R, P, G, T)
            Of each token, 0 where none was chosen.
        mask : tensor (R, P, G, T)
            Where a token was chosen.

        Returns
        -------
        tensor (R,)
            The loss of each run.
        """
        return (losses.sum(-1) / mask.sum(-1)).mean((1, 2))


@register
class TrlGRPO(GRPO):
    """trl's defaults: the average is over the batch's tokens (``dapo``), k3's gradient is corrected by the ratio."""

    name: ClassVar[str] = "grpo_trl"
    label: ClassVar[str] = "GRPO (trl)"
    look: ClassVar[Look | None] = Look(BASE, "<")
    place: ClassVar[int] = 31
    corrects: ClassVar[bool] = True

    def mean(self, losses: Tensor, mask: Tensor) -> Tensor:
        """Average over all tokens of the batch."""
        return losses.sum((1, 2, 3)) / mask.sum((1, 2, 3))


@register
class DrGRPO(TrlGRPO):
    """Dr. GRPO: no division by the deviation, nor by lengths but by the largest one; the penalty as in trl."""

    name: ClassVar[str] = "dr_grpo"
    label: ClassVar[str] = "Dr. GRPO"
    look: ClassVar[Look | None] = Look(BOUND, ">")
    place: ClassVar[int] = 32
    knobs: ClassVar[tuple[float, ...]] = (2.0, 1.0, 0.5)
    scales: ClassVar[bool] = False

    def mean(self, losses: Tensor, mask: Tensor) -> Tensor:
        """Divide the sum by the number of responses times the largest length."""
        return losses.sum((1, 2, 3)) / mask[0].numel()


def _centred(reward: Tensor) -> Tensor:
    return reward - reward.mean(-1, keepdim=True)


def _standardised(reward: Tensor) -> Tensor:
    return _centred(reward) / (reward.std(-1, keepdim=True) + _LEAST_DEVIATION)
