from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from alignlib.lm.experiment.fixed_points import PENALTIES, fixed_point, scaled_fixed_point
from alignlib.lm.space import ResponseSpace
from alignlib.training import effective_beta
from tests.updates import expected_update, largest, next_laws

SPACE = ResponseSpace(n_content=3, length=3)


def case(seed: int, n_prompts: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    log_base = log_softmax(rng.normal(size=(n_prompts, SPACE.size)) * 1.5, axis=1)
    return log_base, rng.normal(size=(n_prompts, SPACE.size))


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.1, 5.0), st.sampled_from(PENALTIES))
def test_the_expected_update_vanishes_at_the_fixed_point(seed: int, beta: float, penalty: str) -> None:
    log_base, reward = case(seed)
    policy = fixed_point(log_base, reward, SPACE, beta, penalty)
    assert np.allclose(np.exp(policy).sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert largest(expected_update(policy, log_base, reward, beta, penalty, SPACE)) < 1e-11


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.1, 5.0))
def test_the_sequence_log_ratio_has_the_optimum_as_its_fixed_point(seed: int, beta: float) -> None:
    log_base, reward = case(seed)
    optimum = log_softmax(log_base + reward / beta, axis=1)
    assert np.allclose(fixed_point(log_base, reward, SPACE, beta, "sequence"), optimum, rtol=0, atol=1e-11)
    assert largest(expected_update(optimum, log_base, reward, beta, "sequence", SPACE)) < 1e-13


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("group", [2, 3])
def test_a_group_s_mean_moves_the_fixed_point_to_another_penalty(penalty: str, group: int) -> None:
    """The expected update summed over every group of responses, with the group's mean as their baseline."""
    space = ResponseSpace(n_content=3, length=1)
    rng = np.random.default_rng(group)
    log_base, reward = log_softmax(rng.normal(size=(1, 4)), axis=1), rng.normal(size=(1, 4))
    beta = 0.6

    def update(log_policy: np.ndarray) -> np.ndarray:
        law, ratio = np.exp(log_policy[0]), (log_policy - log_base)[0]
        total = np.zeros(4)
        for drawn in product(range(4), repeat=group):
            chance = float(np.prod(law[list(drawn)]))
            score = reward[0] - beta * ratio if penalty == "sequence" else reward[0]
            mean = score[list(drawn)].mean()
            for one in drawn:
                slope = (np.arange(4) == one) - law  # of log π(one) in the logits
                charge = {"sequence": 0.0, "token KL": ratio[one], "token k3": 1.0 - np.exp(-ratio[one])}
                total += chance / group * (score[one] - mean - beta * charge[penalty]) * slope
        return total

    there = effective_beta(beta, "before" if penalty == "sequence" else "after", group=group)
    assert np.abs(update(fixed_point(log_base, reward, space, there, penalty))).max() < 1e-12
    if penalty != "sequence":
        assert np.abs(update(fixed_point(log_base, reward, space, beta, penalty))).max() > 1e-3


@pytest.mark.parametrize("penalty", PENALTIES[1:])
def test_a_token_penalty_pushes_away_from_the_optimum(penalty: str) -> None:
    log_base, reward = case(7)
    optimum = log_softmax(log_base + reward / 0.5, axis=1)
    assert largest(expected_update(optimum, log_base, reward, 0.5, penalty, SPACE)) > 0.01


def test_the_push_is_the_future_kl_of_a_token() -> None:
    # Reverse KL token by token, at π_λ: reach · π(a) · β · (future KL after a, less its mean).
    log_base, reward = case(3, n_prompts=1)
    beta = 0.5
    optimum = log_softmax(log_base + reward / beta, axis=1)
    ratio = optimum - log_base
    root = expected_update(optimum, log_base, reward, beta, "token KL", SPACE)[0][0, 0]
    first = np.asarray(SPACE.tokens)[:, 0]
    prob = np.exp(optimum[0])
    law, future = np.empty(4), np.empty(4)
    for token in range(4):
        here = first == token
        law[token] = prob[here].sum()
        own = np.log(law[token]) - logsumexp(log_base[0][here])
        future[token] = (prob[here] * ratio[0][here]).sum() / law[token] - own
    assert future[0] == pytest.approx(0.0, abs=1e-12)
    assert root == pytest.approx(law * beta * (future - law @ future), abs=1e-12)


def test_with_one_token_only_the_published_k3_differs() -> None:
    space = ResponseSpace(n_content=4, length=1)
    rng = np.random.default_rng(0)
    log_base, reward = log_softmax(rng.normal(size=(3, 5)), axis=1), rng.normal(size=(3, 5))
    optimum = log_softmax(log_base + reward / 0.7, axis=1)
    for penalty in PENALTIES[:2]:
        assert np.allclose(fixed_point(log_base, reward, space, 0.7, penalty), optimum, atol=1e-12)
    published = fixed_point(log_base, reward, space, 0.7, "token k3")
    assert np.abs(np.exp(published) - np.exp(optimum)).max() > 0.01
    law, base = np.exp(published), np.exp(log_base)
    value = (law * reward).sum(axis=1, keepdims=True)
    assert np.allclose(law * (reward - value), 0.7 * (law - base), atol=1e-12)


@pytest.mark.lm
@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_update_is_the_gradient_of_the_sampled_loss_summed_over_all_responses(penalty: str) -> None:
    """The losses as trainers write them, differentiated by torch and weighted by the policy, token by token."""
    import torch

    rng = np.random.default_rng(5)
    log_base, reward = case(11, n_prompts=1)
    beta, outputs = 0.4, SPACE.n_outputs
    logits = [torch.tensor(rng.normal(size=(3**d, outputs)), requires_grad=True) for d in range(SPACE.length)]
    base = [torch.tensor(level[0]) for level in next_laws(log_base, SPACE)]
    policy = [level.log_softmax(-1) for level in logits]
    loss = torch.zeros((), dtype=torch.float64)
    log_policy = np.empty(SPACE.size)
    for index, tokens in enumerate(np.asarray(SPACE.tokens).tolist()):
        terms, refs, prefix = [], [], 0
        for depth, token in enumerate(tokens):
            terms.append(policy[depth][prefix, token])
            refs.append(base[depth][prefix, token])
            if token == 0:
                break
            prefix = prefix * SPACE.n_content + token - 1
        log_prob, log_ref = torch.stack(terms), torch.stack(refs)
        log_policy[index] = float(log_prob.sum().detach())
        weight = log_prob.sum().exp().detach()
        if penalty == "sequence":
            score = reward[0, index] - beta * (log_prob - log_ref).sum().detach()
            loss = loss - weight * score * log_prob.sum()
        else:
            ratio = (log_prob - log_prob.detach()).exp()  # trl's coef_1: one, with the gradient of the log-probability
            k3 = (log_ref - log_prob).exp() - (log_ref - log_prob) - 1
            k3 = k3 * ratio if penalty == "token KL" else k3
            loss = loss - weight * (ratio * reward[0, index] - beta * k3).sum()
    loss.backward()
    found = expected_update(log_policy[None], log_base, reward, beta, penalty, SPACE)
    for level, update in zip(logits, found, strict=True):
        assert np.allclose(-level.grad.numpy(), update[0], rtol=0, atol=1e-12)


def test_bad_input_is_refused() -> None:
    log_base, reward = case(0)
    with pytest.raises(ValueError, match="penalty must be one of sequence"):
        fixed_point(log_base, reward, SPACE, 1.0, "k4")
    with pytest.raises(ValueError, match="beta must be positive"):
        fixed_point(log_base, reward, SPACE, 0.0, "sequence")
    with pytest.raises(ValueError, match="must have shape"):
        fixed_point(log_base[:, :3], reward, SPACE, 1.0, "sequence")


@pytest.mark.lm
@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_grpo_as_published_stands_still_at_its_fixed_point(beta: float) -> None:
    """Its loss, summed over all responses with the policy's own mean and deviation, has no gradient there."""
    import torch

    log_base, reward = case(5)

    def slope(policy: np.ndarray) -> float:
        logits = [torch.tensor(part, requires_grad=True) for part in next_laws(policy, SPACE)]
        prefix = spent = torch.zeros(2, 1, dtype=torch.float64)
        log_prob, penalty = [], []
        for part, base in zip(logits, next_laws(log_base, SPACE), strict=True):
            law = part.log_softmax(-1)
            gap = torch.tensor(base) - law
            k3 = gap.exp() - gap - 1.0
            log_prob.append(prefix + law[..., 0])
            penalty.append(spent + k3[..., 0])
            prefix = (prefix[..., None] + law[..., 1:]).reshape(2, -1)
            spent = (spent[..., None] + k3[..., 1:]).reshape(2, -1)
        logs, k3s = torch.cat([*log_prob, prefix], 1), torch.cat([*penalty, spent], 1)
        prob, r = logs.exp().detach(), torch.tensor(reward)
        mean = (prob * r).sum(1, keepdim=True)
        advantage = (r - mean) / (prob * (r - mean) ** 2).sum(1, keepdim=True).sqrt()
        tokens = torch.tensor(np.minimum(np.asarray(SPACE.lengths) + 1.0, SPACE.length))
        (prob * (beta * k3s - advantage * logs) / tokens).sum().backward()
        return max(float(part.grad.abs().max()) for part in logits)

    end = scaled_fixed_point(log_base, reward, SPACE, beta)
    assert np.exp(end).sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert slope(end) < 1e-4 < 0.01 < slope(log_base)
