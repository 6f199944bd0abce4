"""Every method trains, alone or in a fleet, and only its seed decides how."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from alignlib.lm.fleet import Finished, Fleet, Optimiser, Plan
from alignlib.lm.methods import METHODS, Settings, find
from alignlib.lm.payment import GoldPayment
from alignlib.lm.stack import Stack
from tests.lm.by_prompt import exact_log_prob
from tests.lm.tiny import SPACE, tiny_base, tiny_task

TASK = tiny_task()
BETA = 0.3
REWARD = TASK.gold()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base() -> object:
    return tiny_base()


def trained(base: object, method: str, *plans: Plan) -> list[Finished]:
    fleet = Fleet(find(method), Stack.of(base), TASK, plans, GoldPayment(TASK))
    return sorted(fleet.train(), key=lambda done: done.number)


def objective(base: object, done: Finished) -> float:
    """Mean reward less BETA times the KL on the training prompts."""
    model = tiny_base()
    model.load_state_dict(done.policy)
    log_policy, log_base = (exact_log_prob(one, TASK.prompts, SPACE) for one in (model, base))
    return float((np.exp(log_policy) * (REWARD - BETA * (log_policy - log_base))).sum(axis=1).mean())


def vector(done: Finished) -> torch.Tensor:
    return torch.cat([part.flatten() for part in done.policy.values()])


# How much of the way from the base's objective to the optimum's each method must go in so few steps. Those that imitate
# best-of-N, and GRPO, maximise another objective; DPO learns from noisy labels.
WAY = {"rloo": 0.6, "ppo": 0.6, "grpo": 0.3, "grpo_trl": 0.3, "dr_grpo": 0.5, "dpo": 0.1, "distillation": 0.3}
WAY |= {"rejection": 0.3, "cross_entropy": 0.6, "exact_gradient": 0.6}


@pytest.mark.parametrize("method", METHODS)
def test_each_method_raises_the_objective(method: str, base: object) -> None:
    knob = BETA if find(method).knob == "beta" else 4.0
    before = {name: value.clone() for name, value in base.state_dict().items()}
    plan = Plan(knob, 0, Settings(60, 1e-2), len(TASK.prompts))
    (done,) = trained(base, method, plan)
    start = float((np.exp(exact_log_prob(base, TASK.prompts, SPACE)) * REWARD).sum(axis=1).mean())
    best = float(BETA * logsumexp(exact_log_prob(base, TASK.prompts, SPACE) + REWARD / BETA, axis=1).mean())
    reached = objective(base, done)
    assert reached <= best + 1e-9
    assert (reached - start) / (best - start) > WAY[method]
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides_everything(method: str, base: object) -> None:
    knob, pool = find(method).middle, 10 if method in ("cross_entropy", "exact_gradient") else None
    first, second, other = (
        vector(trained(base, method, Plan(knob, seed, Settings(3, 1e-2), pool))[0]) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("method", ["rloo", "ppo", "grpo", "dpo"])
def test_a_run_learns_the_same_in_whatever_fleet_it_travels(method: str, base: object) -> None:
    """Other runs with other lengths, groups, epochs and prompts change it by rounding only."""
    plans = [
        Plan(0.5, 0, Settings(2, 1e-3, group=4, epochs=2), 6),
        Plan(0.7, 1, Settings(6, 1e-3, group=8), None),
        Plan(1.0, 2, Settings(4, 5e-3, "constant", group=16, epochs=3, clip=0.1, gae_lambda=0.9), None),
    ]
    together = trained(base, method, *plans)
    assert [done.number for done in together] == [0, 1, 2]
    for done, plan in zip(together, plans, strict=True):
        (alone,) = trained(base, method, plan)
        assert (vector(done) - vector(alone)).abs().max() < 1e-3
        assert (vector(done) - vector(Finished(0, Stack.of(base).state(0)))).abs().max() > 1e-3


def test_the_optimiser_is_adam_with_clipping_for_each_run(base: object) -> None:
    stack = Stack.of(base, 2, trainable=True)
    alone = [torch.nn.Parameter(stack.flat[row].clone()) for row in range(2)]
    theirs = [
        torch.optim.AdamW([one], lr=rate, weight_decay=0.0) for one, rate in zip(alone, (1e-2, 1e-3), strict=True)
    ]
    ours = Optimiser(stack)
    generator = torch.Generator().manual_seed(0)
    for step in range(4):
        slope = torch.randn(stack.flat.shape, generator=generator) * (100.0 if step == 2 else 1e-3)
        active = torch.tensor([1.0, float(step != 1)])
        flat = torch.cat([part.flatten(1) for part in stack.w.values()], dim=1)
        ours.step((flat * slope).sum(1), torch.tensor([1e-2, 1e-3]), active)
        for row, (one, optimiser) in enumerate(zip(alone, theirs, strict=True)):
            if active[row]:
                one.grad = slope[row].clone()
                torch.nn.utils.clip_grad_norm_([one], 1.0)
                optimiser.step()
    for row, one in enumerate(alone):
        assert (stack.flat[row] - one).abs().max() < 1e-6


def test_training_never_sees_a_test_prompt(base: object) -> None:
    fleet = Fleet(find("rloo"), Stack.of(base), TASK, [Plan(1.0, 0, Settings(40))], GoldPayment(TASK))
    seen = []
    for _ in range(40):
        seen.append(fleet.prompts()[0][0].numpy())
        fleet.count += 1
    drawn = np.concatenate(seen)
    assert not TASK.is_reserved(drawn).any()
    assert len(np.unique(drawn, axis=0)) == 36 - 12  # all the others
    few = Fleet(find("rloo"), Stack.of(base), TASK, [Plan(1.0, 0, Settings(1, group=32), 6)], GoldPayment(TASK))
    assert sorted(few.prompts()[0][0, ::1].tolist()) == sorted(TASK.prompts.tolist())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"group": 1}, "group must be at least 2"),
        ({"group": 7}, "divide the 192 responses"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"schedule": "cosine"}, "schedule must be one of constant, linear; got 'cosine'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"clip": 1.0}, "clip must lie between 0 and 1"),
        ({"gae_lambda": 1.5}, "gae_lambda must lie in"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**({"steps": 5} | change))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown method 'sft'"):
        find("sft")
