"""RLOO: REINFORCE with the other responses' mean as baseline and the sequence log-ratio in the reward."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignlib._core.palette import THIRD
from alignlib.lm.methods import Look, OnPolicy, register
from alignlib.lm.methods._method import clipped

if TYPE_CHECKING:
    from torch import Tensor

    from alignlib.lm.fleet import Batch, Fleet

__all__ = ["RLOO"]


@register
class RLOO(OnPolicy):
    """As trl has it: the ratio of the sequence, clipped.

    The score ``r - β log(π(y)/p(y))`` is constant over responses exactly where ``π = π_λ``: there every advantage, and
    so every update, is zero, not only its mean.
    """

    name: ClassVar[str] = "rloo"
    label: ClassVar[str] = "RLOO"
    look: ClassVar[Look | None] = Look(THIRD, "s")
    place: ClassVar[int] = 10

    def advantage(self, fleet: Fleet, batch: Batch, old: Tensor, base: Tensor) -> Tensor:
        """A response's score less the mean of the others' to the same prompt."""
        score = batch.reward - fleet.beta * (old - base).sum(-1)
        return fleet.in_groups(score, _less_others)

    def loss(self, fleet: Fleet, batch: Batch, now: Tensor, old: Tensor, base: Tensor, advantage: Tensor) -> Tensor:
        """The clipped surrogate of the sequence's ratio."""
        log_ratio = (now - old).sum(-1)
        return -clipped(log_ratio, advantage, fleet.clip).mean((1, 2))


def _less_others(score: Tensor) -> Tensor:
    n = score.shape[-1]
    return (score - score.mean(-1, keepdim=True)) * (n / (n - 1))
