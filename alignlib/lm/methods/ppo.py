"""PPO with TorchRL's clipped loss and generalised advantage estimation; the KL penalty is part of the reward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignlib._core.checks import FloatArray, require
from alignlib._core.palette import CYCLE
from alignlib.lm.methods import Checkpoint, Look, Method, Settings, register
from alignlib.lm.methods._training import Optimiser, check_reward, frozen_copy, trainable_copy
from alignlib.lm.tasks import Task

if TYPE_CHECKING:
    from tensordict import TensorDict
    from torch import Tensor
    from torchrl.objectives import ClipPPOLoss

    from alignlib.lm.base_model import EnumerableLM
    from alignlib.lm.rollout import PrefixValue, ResponseLogits

__all__ = ["PPO", "train"]


@dataclass(frozen=True)
class PPO(Settings):
    """Settings; the critic is a network of its own, begun from the base model's body.

    Parameters
    ----------
    budget : Budget
        Steps, responses per prompt, learning rate (of policy and critic).
    penalty : str
        ``"token"``: each token's log-ratio is charged when it is chosen; ``"sequence"``: the sum of them at the end.
        Both have the same return, hence the same fixed point.
    epochs, minibatches : int
        Passes over each batch, and updates per pass.
    gae_lambda : float
        Weight of longer returns in the advantage, in [0, 1]; 1 is unbiased. There is no discount.
    clip : float
        Ratios are clipped to 1 ± clip.
    """

    penalty: str = "token"
    epochs: int = 2
    minibatches: int = 1
    gae_lambda: float = 0.95
    clip: float = 0.2
    critic_weight: float = 0.5

    def __post_init__(self) -> None:
        require(self.penalty in ("token", "sequence"), f"penalty must be token or sequence; got {self.penalty!r}.")
        require(self.epochs >= 1 and self.minibatches >= 1, "epochs and minibatches must be at least 1.")
        require(0 <= self.gae_lambda <= 1, f"gae_lambda must lie in [0, 1]; got {self.gae_lambda}.")


def train(
    base: EnumerableLM, task: Task, reward: FloatArray, beta: float, seed: int, *, settings: PPO
) -> Iterator[Checkpoint]:
    """Train with TorchRL's ``ClipPPOLoss`` and GAE; arguments as in `Train`."""
    import torch

    from alignlib.lm.rollout import PrefixValue, ResponseLogits, sample

    budget, length = settings.budget, task.space.length
    table = torch.from_numpy(check_reward(reward, task, beta))
    prompts = torch.as_tensor(task.prompts, dtype=torch.long)
    repeated = prompts.repeat_interleave(budget.group, dim=0)
    row = torch.arange(len(prompts)).repeat_interleave(budget.group)
    model, reference = trainable_copy(base), frozen_copy(base)
    policy = ResponseLogits(model, prompts.shape[1])
    value = PrefixValue(trainable_copy(base), prompts.shape[1])
    loss_of = _loss(policy, value, settings)
    optimiser = Optimiser(loss_of.parameters(), budget, budget.steps * settings.epochs * settings.minibatches)
    generator = torch.Generator().manual_seed(seed)
    for step in range(1, budget.steps + 1):
        tokens = sample(model, prompts, budget.group, length, generator)
        index = torch.from_numpy(task.space.index_of(tokens.numpy()))
        batch = _advantages(
            model, reference, value, repeated, tokens, table[row, index].float(), beta=beta, settings=settings
        )
        for _ in range(settings.epochs):
            for part in torch.randperm(len(tokens), generator=generator).chunk(settings.minibatches):
                optimiser.step(_masked(loss_of, batch[part]))
        if step in budget.handed_out:
            yield Checkpoint(step, step * len(tokens), frozen_copy(model))


def _loss(policy: ResponseLogits, value: PrefixValue, settings: PPO) -> ClipPPOLoss:
    """Return TorchRL's loss of actor and critic, one value for each token."""
    import torch
    from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
    from torchrl.objectives import ClipPPOLoss

    actor = ProbabilisticTensorDictSequential(
        TensorDictModule(policy, in_keys=["inputs"], out_keys=["logits"]),
        ProbabilisticTensorDictModule(
            in_keys=["logits"], out_keys=["action"], distribution_class=torch.distributions.Categorical
        ),
    )
    loss = ClipPPOLoss(
        actor,
        TensorDictModule(value, in_keys=["inputs"], out_keys=["state_value"]),
        clip_epsilon=settings.clip,
        entropy_bonus=False,
        critic_coeff=settings.critic_weight,
        loss_critic_type="l2",
        normalize_advantage=False,
        reduction="none",
    )
    loss.set_keys(sample_log_prob="log_prob")
    return loss


def _advantages(
    model: EnumerableLM,
    reference: EnumerableLM,
    value: PrefixValue,
    prompts: Tensor,
    tokens: Tensor,
    reward: Tensor,
    *,
    beta: float,
    settings: PPO,
) -> TensorDict:
    """Return the batch with advantages (whitened over its tokens) and value targets."""
    import torch
    from tensordict import TensorDict
    from torchrl.objectives.value.functional import generalized_advantage_estimate

    from alignlib.lm.rollout import response_mask, token_log_prob

    mask = response_mask(tokens)
    inputs = torch.cat([prompts, tokens[:, :-1]], dim=1)
    with torch.no_grad():
        log_prob = token_log_prob(model, prompts, tokens)
        charge = beta * (log_prob - token_log_prob(reference, prompts, tokens))
        last = mask.sum(dim=1).long() - 1
        if settings.penalty == "sequence":
            charge = torch.zeros_like(charge).scatter(1, last[:, None], charge.sum(dim=1, keepdim=True))
        paid = (-charge).scatter_add(1, last[:, None], reward[:, None])
        done = (torch.arange(tokens.shape[1]) >= last[:, None])[..., None]
        states = value(inputs)
        following = torch.cat([states[:, 1:], torch.zeros_like(states[:, :1])], dim=1)
        advantage, target = generalized_advantage_estimate(
            1.0, settings.gae_lambda, states, following, paid[..., None], done, done
        )
        weight = mask[..., None]
        mean = (advantage * weight).sum() / weight.sum()
        spread = ((advantage - mean).square() * weight).sum() / weight.sum()
        advantage = (advantage - mean) / (spread.sqrt() + 1e-8)
    return TensorDict(
        {
            "inputs": inputs,
            "action": tokens,
            "log_prob": log_prob,
            "advantage": advantage,
            "value_target": target,
            "mask": mask,
        },
        batch_size=[len(tokens)],
    )


def _masked(loss_of: ClipPPOLoss, batch: TensorDict) -> Tensor:
    """Return policy and critic loss averaged over the tokens that were chosen, not over padding."""
    losses = loss_of(batch)
    mask = batch["mask"]
    total = sum(losses[key].reshape(mask.shape) for key in ("loss_objective", "loss_critic"))
    return (total * mask).sum() / mask.sum()


register(
    Method(
        name="ppo",
        label="PPO",
        train=train,
        settings=PPO,
        look=Look(CYCLE[4], "v"),
        learning_rate=1e-3,
        seconds_per_step=0.2,
        place=30,
    )
)
