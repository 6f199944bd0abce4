from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from alignlib.lm.methods import METHODS, Budget, find
from alignlib.lm.methods.dpo import preference_pairs
from alignlib.lm.policy_law import draw
from alignlib.lm.prefix_tree import exact_log_prob
from alignlib.lm.rollout import response_mask, sample, sequence_log_prob
from tests.lm.tiny import PROMPTS, SPACE, tiny_base, tiny_reward, tiny_task

BETA = 0.3
TASK, REWARD = tiny_task(), tiny_reward()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base() -> object:
    return tiny_base()


def objective(model: object, base: object, beta: float = BETA) -> float:
    log_policy, log_base = (exact_log_prob(m, PROMPTS, SPACE) for m in (model, base))
    return float((np.exp(log_policy) * (REWARD - beta * (log_policy - log_base))).sum(axis=1).mean())


def best_objective(base: object) -> float:
    return float(BETA * logsumexp(exact_log_prob(base, PROMPTS, SPACE) + REWARD / BETA, axis=1).mean())


# How much of the way from the base's objective to the optimum's each method must go in so few steps. Rejection sampling
# maximises another objective and DPO learns from 12 noisy labels a step.
WAY = {
    "group_kl": 0.9,
    "grpo": 0.6,
    "ppo": 0.9,
    "dpo": 0.3,
    "rejection": 0.4,
    "cross_entropy": 0.9,
    "exact_gradient": 0.9,
}
CHANGES = {"dpo": {"group": 32, "learning_rate": 1e-2}}


@pytest.mark.parametrize("method", METHODS)
def test_each_method_raises_the_objective(method: str, base: object) -> None:
    budget = Budget(
        **({"steps": 80, "group": 8, "learning_rate": 5e-3, "checkpoints": (40,)} | CHANGES.get(method, {}))
    )
    before = {name: value.clone() for name, value in base.state_dict().items()}
    changes = {"scale_rewards": "none"} if method == "grpo" else {}
    settings = find(method).settings(budget, **changes)
    found = list(find(method).train(base, TASK, REWARD, BETA, 0, settings=settings))
    assert [c.step for c in found] == ([80] if method == "rejection" else [40, 80])
    assert found[-1].completions == 80 * find(method).responses_per_step(settings, TASK)
    start, best = objective(base, base), best_objective(base)
    reached = objective(found[-1].model, base)
    assert reached <= best + 1e-9
    assert (reached - start) / (best - start) > WAY[method]
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides_everything(method: str, base: object) -> None:
    def weights(seed: int) -> torch.Tensor:
        settings = find(method).settings(Budget(3, 4, 1e-2))
        *_, last = find(method).train(base, TASK, REWARD, BETA, seed, settings=settings)
        return torch.cat([value.flatten() for value in last.model.state_dict().values()])

    first = weights(1)
    torch.rand(3)  # what happened before must not matter
    assert torch.equal(first, weights(1))
    if method != "exact_gradient":  # three prompts, all in every step: nothing is random
        assert not torch.equal(first, weights(2))


def test_a_checkpoint_is_not_changed_by_later_steps(base: object) -> None:
    settings = find("group_kl").settings(Budget(20, 4, 1e-2, checkpoints=(1,)))
    steps = find("group_kl").train(base, TASK, REWARD, BETA, 0, settings=settings)
    first = next(steps)
    before = objective(first.model, base)
    list(steps)
    assert objective(first.model, base) == before


def test_samples_follow_the_model(base: object) -> None:
    prompts = torch.as_tensor(PROMPTS)
    tokens = sample(base, prompts, 4000, SPACE.length, torch.Generator().manual_seed(0))
    index = SPACE.index_of(tokens.numpy()).reshape(len(PROMPTS), -1)
    prob = np.exp(exact_log_prob(base, PROMPTS, SPACE))
    for row in range(len(PROMPTS)):
        seen = np.bincount(index[row], minlength=SPACE.size) / 4000
        assert np.abs(seen - prob[row]).sum() < 0.16  # expected total deviation: about sqrt(2·85/(π·4000)) = .12


def test_log_prob_of_a_response_is_that_of_the_tree(base: object) -> None:
    exact = exact_log_prob(base, PROMPTS, SPACE)
    tokens = torch.from_numpy(np.asarray(SPACE.tokens).astype(np.int64))
    for row, prompt in enumerate(PROMPTS):
        with torch.no_grad():
            found = sequence_log_prob(base, torch.as_tensor(prompt).expand(SPACE.size, -1), tokens)
        assert np.allclose(found.numpy(), exact[row], rtol=0, atol=2e-6)


def test_the_mask_counts_the_end_once() -> None:
    tokens = torch.tensor([[0, 0, 0], [2, 0, 0], [1, 2, 3]])
    assert response_mask(tokens).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_pairs_are_labelled_as_said() -> None:
    rng = np.random.default_rng(0)
    log_base = np.log(np.full((1, 2), 0.5))
    reward = np.array([[0.0, 1.0]])
    chosen, rejected = preference_pairs(log_base, reward, 40_000, "bradley-terry", rng)
    differ = chosen != rejected
    assert (chosen[differ] == 1).mean() == pytest.approx(1 / (1 + np.exp(-1)), abs=0.01)
    chosen, rejected = preference_pairs(log_base, reward, 1000, "argmax", rng)
    assert (chosen >= rejected).all()
    assert abs(draw(np.array([[0.25, 0.75]]), 40_000, rng).mean() - 0.75) < 0.01


def test_rounds_of_rejection_sampling_raise_the_reward_further(base: object) -> None:
    settings = find("rejection").settings(Budget(120, 8, 5e-3), k=4, rounds=3)
    found = list(find("rejection").train(base, TASK, REWARD, BETA, 0, settings=settings))
    rewards = [(np.exp(exact_log_prob(c.model, PROMPTS, SPACE)) * REWARD).sum(axis=1).mean() for c in found]
    assert [c.step for c in found] == [40, 80, 120]
    assert rewards[0] < rewards[1] < rewards[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"group": 1}, "group must be at least 2"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"schedule": "cosine"}, "schedule must be one of constant, linear; got 'cosine'"),
        ({"checkpoints": (3, 2)}, r"checkpoints must be increasing steps from 1 to 5"),
    ],
)
def test_a_bad_budget_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**({"steps": 5} | change))


def test_bad_input_is_refused(base: object) -> None:
    settings = find("group_kl").settings(Budget(2))
    train = find("group_kl").train
    with pytest.raises(ValueError, match=r"reward must have one row per prompt, \(3, 85\); got \(3, 84\)"):
        next(train(base, TASK, REWARD[:, 1:], BETA, 0, settings=settings))
    with pytest.raises(ValueError, match="beta must be positive"):
        next(train(base, TASK, REWARD, 0.0, 0, settings=settings))
    with pytest.raises(ValueError, match="Unknown method 'sft'"):
        find("sft")
    with pytest.raises(ValueError, match="k must divide the group"):
        find("rejection").settings(Budget(2, 8), k=3)
    with pytest.raises(ValueError, match="label must be one of"):
        find("dpo").settings(Budget(2), label="coin")
    with pytest.raises(ValueError, match="scale_rewards must be one of"):
        find("grpo").settings(Budget(2), scale_rewards="batch")
    with pytest.raises(ValueError, match="penalty must be token or sequence"):
        find("ppo").settings(Budget(2), penalty="none")
