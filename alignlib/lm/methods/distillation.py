"""Best-of-N put into the weights: by imitation of the base's best-of-N, or round by round of the policy's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignlib._core.palette import BEST_OF_N, LIMIT
from alignlib.lm.methods import Look, Method, register

if TYPE_CHECKING:
    from torch import Tensor

    from alignlib.lm.fleet import Batch, Fleet

__all__ = ["Distillation", "Rejection"]


def _imitate_best(fleet: Fleet, batch: Batch) -> None:
    """Raise the likelihood of the best response of each group; ties go to the first, which is any of them."""
    import torch

    n = int(fleet.plans[0].knob)
    best = batch.reward.reshape(len(fleet), -1, n).argmax(-1)
    index = best + n * torch.arange(best.shape[1], device=best.device)
    prompts, tokens = batch.pick(index)
    fleet.update(-fleet.policy.token_log_prob(prompts, tokens).sum((2, 3)).mean(1))


@register
class Distillation(Method):
    """Fit the policy to best-of-N of the base by maximum likelihood: the aim of vBoN and BOND, without their losses."""

    name: ClassVar[str] = "distillation"
    label: ClassVar[str] = "best-of-N distilled"
    look: ClassVar[Look | None] = Look(LIMIT, "P")
    place: ClassVar[int] = 50
    knob: ClassVar[str] = "n"
    knobs: ClassVar[tuple[float, ...]] = (2.0, 4.0, 8.0)
    searched: ClassVar[tuple[str, ...]] = ("learning_rate", "schedule")

    def step(self, fleet: Fleet) -> None:
        """Draw from the base, keep the best of each N."""
        _imitate_best(fleet, fleet.draw(fleet.base))


@register
class Rejection(Method):
    """Two rounds: keep the best of k from the base, then, at half time, of k from the policy learnt so far.

    With perfect fits that is best-of-k².
    """

    name: ClassVar[str] = "rejection"
    label: ClassVar[str] = "rejection sampling"
    look: ClassVar[Look | None] = Look(BEST_OF_N, "o")
    place: ClassVar[int] = 51
    knob: ClassVar[str] = "n"
    knobs: ClassVar[tuple[float, ...]] = (2.0, 3.0, 4.0)
    searched: ClassVar[tuple[str, ...]] = ("learning_rate", "schedule")

    def start(self, fleet: Fleet) -> None:
        """The first to respond is the base."""
        fleet.extra["sampler"] = fleet.base.copies(len(fleet))

    def step(self, fleet: Fleet) -> None:
        """Draw from who responds in this round, keep the best of each k."""
        rows = [row for row, plan in enumerate(fleet.plans) if fleet.count == plan.settings.steps // 2]
        sampler: Tensor = fleet.extra["sampler"].flat
        for row in rows:
            sampler[row] = fleet.policy.flat[row].detach()
        _imitate_best(fleet, fleet.draw(fleet.extra["sampler"]))
