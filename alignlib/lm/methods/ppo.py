"""PPO: a critic, advantages by GAE, the KL charged token by token in the reward, clipped ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignlib._core.palette import CYCLE
from alignlib.lm.methods import Look, Method, register
from alignlib.lm.methods._method import clipped

if TYPE_CHECKING:
    from torch import Tensor

    from alignlib.lm.fleet import Batch, Fleet

__all__ = ["PPO", "advantages"]

_CRITIC_WEIGHT = 0.5


@register
class PPO(Method):
    """PPO as in trl's and TorchRL's implementations: a critic that starts as the base with a head of zeros."""

    name: ClassVar[str] = "ppo"
    label: ClassVar[str] = "PPO"
    look: ClassVar[Look | None] = Look(CYCLE[4], "v")
    place: ClassVar[int] = 20
    searched: ClassVar[tuple[str, ...]] = ("learning_rate", "schedule", "group", "epochs", "clip", "gae_lambda")
    cost: ClassVar[float] = 3.0

    def start(self, fleet: Fleet) -> None:
        """Make the critics."""
        import torch

        from alignlib.lm.stack import Stack

        body = {name: part for name, part in fleet.base.w.items() if not name.startswith("lm_head")}
        width = fleet.base.w["transformer.ln_f.weight"].shape[1]
        body |= {
            "score.weight": torch.zeros(1, 1, width, device=fleet.device),
            "score.bias": torch.zeros(1, 1, device=fleet.device),
        }
        critic = Stack(body, fleet.base.n_heads, "score").copies(len(fleet), trainable=True)
        fleet.extra["critic"] = critic
        fleet.optimiser.add(critic)

    def step(self, fleet: Fleet) -> None:
        """Draw, charge, estimate advantages, update policy and critic together."""
        batch = fleet.draw(fleet.policy)
        old, value = batch.log_prob, _values(fleet, batch)
        charge = fleet.beta[..., None] * (old - fleet.log_base(batch))
        advantage, target = advantages(batch, charge, value.detach(), fleet.gae_lambda)
        for epoch in range(fleet.most_epochs):
            now = fleet.policy.token_log_prob(batch.prompts, batch.tokens)
            if epoch > 0:
                value = _values(fleet, batch)
            surrogate = clipped(now - old, advantage, fleet.clip[..., None])
            losses = -surrogate + _CRITIC_WEIGHT * (value - target).square()
            fleet.update((losses * batch.mask).sum((1, 2, 3)) / batch.mask.sum((1, 2, 3)), epoch)


def _values(fleet: Fleet, batch: Batch) -> Tensor:
    """The critic's value before each token, (R, P, G, T)."""
    critic = fleet.extra["critic"]
    return critic.logits(critic.hidden(batch.prompts, batch.tokens, batch.mask))[..., 0]


def advantages(batch: Batch, charge: Tensor, value: Tensor, gae_lambda: Tensor) -> tuple[Tensor, Tensor]:
    """Return advantages, standardised over each run's tokens, and the critic's targets.

    Parameters
    ----------
    batch : Batch
        Responses, with the reward that the last token is paid.
    charge : tensor (R, P, G, T)
        What each token is charged.
    value : tensor (R, P, G, T)
        The critic's value before it.
    gae_lambda : tensor (R, 1, 1)
        Weight of longer returns; there is no discount.

    Returns
    -------
    advantages : tensor (R, P, G, T)
        0 where no token was chosen.
    targets : tensor (R, P, G, T)
        What the critic should have said.
    """
    import torch

    mask = batch.mask
    last = mask.sum(-1, keepdim=True).long() - 1
    paid = (-charge * mask).scatter_add(-1, last, batch.reward[..., None])
    following, ahead = torch.zeros_like(value[..., 0]), torch.zeros_like(value[..., 0])
    found: list[Tensor] = []
    for place in reversed(range(value.shape[-1])):
        # Past the end nothing follows: value and advantage of what comes after count as zero.
        step = paid[..., place] + following - value[..., place]
        ahead = (step + gae_lambda * ahead) * mask[..., place]
        following = value[..., place] * mask[..., place]
        found.insert(0, ahead)
    raw = torch.stack(found, dim=-1)
    total = mask.sum((1, 2, 3), keepdim=True)
    mean = (raw * mask).sum((1, 2, 3), keepdim=True) / total
    spread = ((raw - mean).square() * mask).sum((1, 2, 3), keepdim=True) / total
    return (raw - mean) / (spread.sqrt() + 1e-8), raw + value
