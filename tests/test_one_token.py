"""The nearest tilt to best-of-N and rewards at a chosen distance from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from alignlib.sequences import MemorylessModel, largest_distance, nearest_tilt, reward_at_distance

laws = st.lists(st.floats(0.02, 1), min_size=3, max_size=6)


@settings(max_examples=30)
@given(laws, st.floats(1.5, 200), st.integers(0, 1000))
def test_nearest_tilt_against_a_search_over_all_tilts(masses: list[float], n: float, seed: int) -> None:
    prob = np.array(masses) / sum(masses)
    reward = np.sort(np.random.default_rng(seed).normal(size=prob.size))
    family = FiniteLaw(reward, prob)
    best = BestOfN(n).on(FiniteLaw(reward, prob))
    policy, log_policy = best.policy, best.log_policy
    found = optimize.minimize_scalar(
        lambda v: float(policy @ (log_policy - family.log_policy(v))), bounds=(0, 200), method="bounded"
    )
    got = nearest_tilt(MemorylessModel(prob, reward, 1).sum_law(), math.log(n))
    # the distance is what best-of-N spends beyond the cheapest policy of equal reward
    spent = best.kl - family.kl(got.lam)
    assert got.distance == pytest.approx(spent, rel=1e-6, abs=1e-10)
    assert got.distance <= found.fun + 1e-10
    if got.lam < 150:
        assert got.distance == pytest.approx(found.fun, rel=1e-4, abs=1e-8)


@settings(max_examples=30)
@given(laws, st.floats(1.5, 50), st.floats(0.001, 0.95))
def test_the_chosen_distance_is_attained_and_the_order_kept(masses: list[float], n: float, share: float) -> None:
    prob = np.array(masses) / sum(masses)
    wanted = share * largest_distance(prob, n)
    if wanted < 1e-9:
        return
    reward = reward_at_distance(prob, n, wanted)
    assert (np.diff(reward) > 0).all()
    law = MemorylessModel(prob, reward, 1).sum_law()
    assert nearest_tilt(law, math.log(n)).distance == pytest.approx(wanted, rel=1e-8)


def test_distance_zero_is_the_coinciding_reward() -> None:
    prob = [0.5, 0.3, 0.2]
    reward = reward_at_distance(prob, 4, 0.0)
    tilt = nearest_tilt(MemorylessModel(prob, reward, 1).sum_law(), math.log(4))
    np.testing.assert_allclose(
        np.exp(FiniteLaw(reward, prob).log_policy(tilt.lam)), BestOfN(4).on(FiniteLaw(reward, prob)).policy, rtol=1e-12
    )
    assert tilt.distance < 1e-25


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: reward_at_distance([0.5, 0.5], 4, 0.01), "prob must have three responses or more"),
        (lambda: reward_at_distance([0.5, 0.3, 0.2], 1.0, 0.01), "n must exceed 1"),
        (lambda: reward_at_distance([0.5, 0.3, 0.2], 4, 5.0), r"distance must lie in \[0, "),
        (lambda: nearest_tilt(MemorylessModel([0.5, 0.5], [0, 1], 1).sum_law(), 0.0), "log_n must be positive"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]
