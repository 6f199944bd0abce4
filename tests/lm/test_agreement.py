"""The losses that are trained here are those of trl and TorchRL, with the same gradients, on the same batch."""

from __future__ import annotations

import tempfile
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from alignlib.lm.fleet import Batch, Fleet, Plan
from alignlib.lm.methods import Settings, find
from alignlib.lm.methods.ppo import advantages
from alignlib.lm.payment import GoldPayment
from alignlib.lm.stack import Stack
from tests.lm.tiny import SPACE, tiny_base, tiny_task

TASK, BETA, GROUP, CLIP = tiny_task(), 0.4, 8, 0.2


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def scene() -> SimpleNamespace:
    """A base, a policy somewhere else, the policy that drew a batch in between, and the batch."""
    base, now = tiny_base(0), tiny_base(0)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for part in now.parameters():
            part.add_(0.3 * torch.randn(part.shape, generator=generator))
    old = tiny_base(0)
    old.load_state_dict({name: 0.5 * (part + now.state_dict()[name]) for name, part in base.state_dict().items()})
    plan = Plan(BETA, 0, Settings(1, group=GROUP, clip=CLIP, gae_lambda=0.9))
    fleet = Fleet(find("ppo"), Stack.of(base), TASK, [plan], GoldPayment(TASK))
    batch = fleet.draw(Stack.of(old))
    return SimpleNamespace(base=base, now=now, fleet=fleet, batch=batch, log_base=fleet.log_base(batch))


def gradient(model: Any, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([part.grad.flatten() for part in model.parameters()])


def ours(scene: SimpleNamespace, method: str) -> tuple[float, torch.Tensor]:
    """Our loss of the policy `now` on the batch, and its gradient in the order of the library's parameters."""
    way, stack = find(method), Stack.of(scene.now, trainable=True)
    batch: Batch = scene.batch
    advantage = way.advantage(scene.fleet, batch, batch.log_prob, scene.log_base)
    now = stack.token_log_prob(batch.prompts, batch.tokens)
    loss = way.loss(scene.fleet, batch, now, batch.log_prob, scene.log_base, advantage)
    loss.sum().backward()
    found = [stack.w[name].grad[0].flatten() for name, _ in scene.now.named_parameters()]
    return float(loss.detach()[0]), torch.cat(found)


def trl_inputs(scene: SimpleNamespace) -> dict[str, torch.Tensor]:
    batch: Batch = scene.batch
    rows = batch.prompts[0].repeat_interleave(batch.tokens.shape[2], dim=0)
    mask = batch.mask[0].flatten(0, 1).long()
    return {
        "prompt_ids": rows,
        "prompt_mask": torch.ones_like(rows),
        "completion_ids": batch.tokens[0].flatten(0, 1),
        "completion_mask": mask,
        "old_per_token_logps": batch.log_prob[0].flatten(0, 1),
        "old_logps": batch.log_prob[0].flatten(0, 1).sum(1),
        "ref_per_token_logps": scene.log_base[0].flatten(0, 1),
        "num_items_in_batch": mask.sum(),
    }


def trainer(scene: SimpleNamespace, kind: str, **options: object) -> Any:
    """trl's trainer of our model, never run: only its loss is asked for."""
    import trl
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    from alignlib.lm.torch_runtime import quiet

    words = Tokenizer(WordLevel({f"<{i}>": i for i in range(TASK.vocab_size)}, unk_token="<0>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<0>", pad_token="<0>", unk_token="<0>")
    with quiet(), tempfile.TemporaryDirectory() as folder:
        scene.base.config.auto_map = {}
        scene.base.save_pretrained(folder)
        scene.now.config.auto_map, scene.now.config.name_or_path = {}, folder
        config = getattr(trl, f"{kind}Config")(
            output_dir=folder, per_device_train_batch_size=192, num_generations=GROUP, steps_per_generation=1,
            max_completion_length=SPACE.length, beta=BETA, epsilon=CLIP, bf16=False, use_cpu=True, report_to=[],
            disable_dropout=False, activation_checkpointing=False, num_iterations=2, **options,
        )  # fmt: skip
        return getattr(trl, f"{kind}Trainer")(
            model=scene.now, reward_funcs=lambda **_: [0.0], processing_class=tokenizer, args=config,
            train_dataset=Dataset.from_dict({"prompt": ["<5> <17>"] * 192}),
        )  # fmt: skip


def test_group_advantages_are_trl_s(scene: SimpleNamespace) -> None:
    """trl: the reward less its group's mean, over the group's deviation with n - 1, plus 1e-4."""
    from trl.trainer.utils import nanstd

    batch: Batch = scene.batch
    reward = batch.reward[0].reshape(-1, GROUP)
    expected = (reward - reward.mean(dim=1, keepdim=True)) / (nanstd(reward, dim=1)[:, None] + 1e-4)
    found = find("grpo").advantage(scene.fleet, batch, batch.log_prob, scene.log_base)
    assert (found[0].reshape(-1, GROUP) - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("grpo", {"loss_type": "grpo", "scale_rewards": "group", "use_bias_correction_kl": False}),
        ("grpo_trl", {}),  # trl's defaults
        ("dr_grpo", {"loss_type": "dr_grpo", "scale_rewards": "none"}),
    ],
)
def test_grpo_is_trl_s(scene: SimpleNamespace, method: str, options: dict[str, object]) -> None:
    batch: Batch = scene.batch
    advantage = find(method).advantage(scene.fleet, batch, batch.log_prob, scene.log_base)
    theirs = trainer(scene, "GRPO", **options)
    loss = theirs._compute_loss(scene.now, trl_inputs(scene) | {"advantages": advantage.flatten()})
    value, slope = ours(scene, method)
    assert value == pytest.approx(float(loss.detach()), rel=1e-5)
    expected = gradient(scene.now, loss)
    assert (slope - expected).abs().max() < 1e-4 * expected.abs().max()


def test_rloo_is_trl_s(scene: SimpleNamespace) -> None:
    batch: Batch = scene.batch
    # As trl has it: the penalty of the sequence in the reward, then each response less the mean of the others.
    kl = ((batch.log_prob - scene.log_base) * batch.mask).sum(-1)
    reward = (batch.reward - BETA * kl)[0].reshape(-1, GROUP)
    expected = reward - (reward.sum(dim=1, keepdim=True) - reward) / (GROUP - 1)
    found = find("rloo").advantage(scene.fleet, batch, batch.log_prob, scene.log_base)
    assert (found[0].reshape(-1, GROUP) - expected).abs().max() < 1e-5
    theirs = trainer(scene, "RLOO")
    loss = theirs._compute_loss(scene.now, trl_inputs(scene) | {"advantages": found.flatten()})
    value, slope = ours(scene, "rloo")
    assert value == pytest.approx(float(loss.detach()), rel=1e-5)
    expected = gradient(scene.now, loss)
    assert (slope - expected).abs().max() < 1e-4 * expected.abs().max()


def test_ppo_is_torchrl_s(scene: SimpleNamespace) -> None:
    """Advantages by TorchRL's GAE, whitened over tokens; losses by its ClipPPOLoss."""
    from tensordict import TensorDict
    from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value.functional import generalized_advantage_estimate

    batch: Batch = scene.batch
    value = torch.randn(batch.mask.shape, generator=torch.Generator().manual_seed(1))
    charge = BETA * (batch.log_prob - scene.log_base)
    found, target = advantages(batch, charge, value, scene.fleet.gae_lambda)

    mask = batch.mask[0].flatten(0, 1)
    last = mask.sum(-1).long() - 1
    paid = (-charge[0].flatten(0, 1)).scatter_add(1, last[:, None], batch.reward[0].flatten()[:, None])
    done = (torch.arange(SPACE.length) >= last[:, None])[..., None]
    states = value[0].flatten(0, 1)[..., None]
    following = torch.cat([states[:, 1:], torch.zeros_like(states[:, :1])], dim=1)
    raw, theirs = generalized_advantage_estimate(1.0, 0.9, states, following, paid[..., None], done, done)
    at = mask.bool()
    flat = raw[..., 0][at]
    expected = (flat - flat.mean()) / (flat.std(unbiased=False) + 1e-8)
    assert (found[0].flatten(0, 1)[at] - expected).abs().max() < 1e-4
    assert (target[0].flatten(0, 1)[at] - theirs[..., 0][at]).abs().max() < 1e-4

    from alignlib.lm.methods._method import clipped

    stack = Stack.of(scene.now)
    with torch.no_grad():
        logits = stack.logits(stack.hidden(batch.prompts, batch.tokens))[0].flatten(0, 1)
        now = stack.token_log_prob(batch.prompts, batch.tokens)
    actor = ProbabilisticTensorDictSequential(
        TensorDictModule(lambda logits: logits, in_keys=["given"], out_keys=["logits"]),
        ProbabilisticTensorDictModule(
            in_keys=["logits"], out_keys=["action"], distribution_class=torch.distributions.Categorical
        ),
    )
    critic = TensorDictModule(lambda value: value, in_keys=["value"], out_keys=["state_value"])
    loss_of = ClipPPOLoss(
        actor, critic, clip_epsilon=CLIP, entropy_bonus=False, critic_coeff=0.5, loss_critic_type="l2",
        normalize_advantage=False, reduction="none",
    )  # fmt: skip
    loss_of.set_keys(sample_log_prob="log_prob")
    losses = loss_of(
        TensorDict(
            {
                "given": logits, "action": batch.tokens[0].flatten(0, 1), "log_prob": batch.log_prob[0].flatten(0, 1),
                "advantage": found[0].flatten(0, 1)[..., None], "value": states,
                "value_target": target[0].flatten(0, 1)[..., None],
            },
            batch_size=[len(logits)],
        )
    )  # fmt: skip
    surrogate = -clipped(now - batch.log_prob, found, scene.fleet.clip[..., None])[0].flatten(0, 1)
    squares = 0.5 * (value - target).square()[0].flatten(0, 1)
    assert (losses["loss_objective"].reshape(mask.shape)[at] - surrogate[at]).abs().max() < 1e-4
    assert (losses["loss_critic"].reshape(mask.shape)[at] - squares[at]).abs().max() < 1e-4


def test_dpo_is_the_sigmoid_loss_of_trl(scene: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our loss on pairs against trl's formula, and labels drawn as Bradley and Terry say."""
    fleet = Fleet(
        find("dpo"), Stack.of(scene.base), TASK, [Plan(BETA, s, Settings(1)) for s in (0, 1)], GoldPayment(TASK)
    )
    fleet.policy = Stack.of([scene.now, scene.base], trainable=True)
    seen: list[tuple[torch.Tensor, Batch]] = []
    draw = fleet.draw
    monkeypatch.setattr(fleet, "draw", lambda sampler: seen.append((torch.empty(0), draw(sampler))) or seen[-1][1])
    losses: list[torch.Tensor] = []
    monkeypatch.setattr(fleet, "update", lambda loss: losses.append(loss.detach()))
    fleet.method.step(fleet)
    batch = seen[0][1]
    with torch.no_grad():
        ratio = (fleet.policy.token_log_prob(batch.prompts, batch.tokens) - batch.log_prob).sum(-1).view(2, -1, 2)
    reward = batch.reward.view(2, -1, 2)
    again = Fleet(fleet.method, Stack.of(scene.base), TASK, fleet.plans, GoldPayment(TASK))
    again.draw(again.base)
    first = again.uniform(96) < torch.sigmoid(reward[..., 0] - reward[..., 1])
    chosen = torch.where(first, ratio[..., 0], ratio[..., 1])
    rejected = torch.where(first, ratio[..., 1], ratio[..., 0])
    expected = -torch.nn.functional.logsigmoid(BETA * (chosen - rejected)).mean(1)
    assert losses[0].numpy() == pytest.approx(expected.numpy(), rel=1e-5)
    assert losses[0][1] == pytest.approx(float(np.log(2)), rel=1e-4)  # the base itself: every margin is zero
