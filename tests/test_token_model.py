"""The enumerable token model: a law over responses, its samples, and the chain rule of its divergence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from alignlib.training.policy_kl.token_model import (
    TokenModel,
    next_token_kl,
    perturbed_model,
    random_model,
    sequence_kl,
)


def probabilities(model: TokenModel) -> np.ndarray:
    return np.exp(model.token_log_prob(model.sequences()).sum(axis=1))


@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_the_sequences_are_all_and_their_masses_sum_to_one(n_tokens: int, length: int, seed: int) -> None:
    model = random_model(n_tokens, length, 2.0, np.random.default_rng(seed))
    found = model.sequences()
    assert len(found) == sum((n_tokens - 1) ** k for k in range(length + 1))
    assert len(np.unique(found, axis=0)) == len(found)
    assert probabilities(model).sum() == pytest.approx(1.0, abs=1e-12)


@given(st.integers(2, 5), st.integers(1, 4), st.floats(0.0, 4.0), st.integers(0, 2**32 - 1))
def test_chain_rule_of_the_divergence(n_tokens: int, length: int, size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = random_model(n_tokens, length, 1.0, rng)
    policy = perturbed_model(base, size, rng)
    truth = rel_entr(probabilities(policy), probabilities(base)).sum()
    assert sequence_kl(policy, base) == pytest.approx(truth, rel=1e-9, abs=1e-13)


def test_next_token_divergence_keeps_its_digits_when_tiny() -> None:
    base = random_model(6, 2, 1.0, np.random.default_rng(0))
    noise = np.random.default_rng(1).standard_normal((6, 6))
    tiny = next_token_kl(perturbed_model(base, 0.0, np.random.default_rng(2)), base)
    assert tiny.max() < 1e-30
    prob = np.exp(base.log_next)
    variance = (prob * noise**2).sum(1) - (prob * noise).sum(1) ** 2
    step = 1e-9
    moved = base.log_next + step * noise
    moved -= np.log(np.exp(moved).sum(1, keepdims=True))
    np.testing.assert_allclose(next_token_kl(TokenModel(moved, 2), base), 0.5 * step**2 * variance, rtol=1e-5)


def test_samples_have_the_law() -> None:
    model = random_model(3, 3, 1.0, np.random.default_rng(0))
    drawn = model.sample(200_000, np.random.default_rng(1))
    for sequence, mass in zip(model.sequences(), probabilities(model), strict=True):
        seen = (drawn == sequence).all(axis=1).mean()
        assert seen == pytest.approx(mass, abs=5 * np.sqrt(mass / 200_000) + 1e-5)


def test_truncation_keeps_the_fewest_likeliest_tokens() -> None:
    model = TokenModel(np.log([[0.5, 0.3, 0.2], [0.2, 0.7, 0.1], [1 / 3, 1 / 3, 1 / 3]]), 2)
    kept = np.exp(model.truncated(0.6).log_next)
    np.testing.assert_allclose(kept, [[0.625, 0.375, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    np.testing.assert_array_equal(model.truncated(1.0).log_next > -np.inf, True)
    np.testing.assert_allclose(np.exp(model.tempered(0.5).log_next[0]), np.array([25, 9, 4]) / 38)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: TokenModel(np.log([[0.5, 0.4], [0.5, 0.5]]), 1), "each row of log_next"),
        (lambda: TokenModel(np.zeros((2, 3)), 1), "square table"),
        (lambda: TokenModel(np.log([[0.5, 0.5], [0.5, 0.5]]), 0), "length must be at least 1"),
        (lambda: random_model(3, 2, 1.0, np.random.default_rng(0)).tempered(0.0), "temperature must be positive"),
        (lambda: random_model(3, 2, 1.0, np.random.default_rng(0)).truncated(0.0), "top_p must lie in (0, 1]"),
    ],
)
def test_bad_input_is_a_sentence(make, sentence) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert sentence in str(caught.value)
