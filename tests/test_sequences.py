"""Memoryless sequences: the optimum factorises, rate functions, cumulants, Rényi form, mismatched tilts, bad input."""

from __future__ import annotations

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib.laws import FiniteLaw
from alignlib.sequences import (
    MemorylessModel,
    cumulants,
    exact_asymptotics,
    rate_function,
    renyi_cross_entropy,
    scaled_cgf,
)
from tests import oracle

PROB, REWARD = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0])

laws = (
    st.integers(2, 5)
    .flatmap(
        lambda k: st.tuples(
            st.lists(st.floats(0.01, 1), min_size=k, max_size=k),
            st.lists(st.floats(-3, 3), min_size=k, max_size=k),
        )
    )
    .filter(lambda law: np.ptp(law[1]) > 0.1)
)


def _law(law: tuple[list[float], list[float]]) -> tuple[np.ndarray, np.ndarray]:
    prob = np.array(law[0])
    return prob / prob.sum(), np.array(law[1])


@settings(max_examples=40)
@given(laws, st.floats(-3, 3), st.integers(1, 4))
def test_closed_form_y24_the_optimum_of_a_memoryless_model_is_memoryless(
    law: tuple[list[float], list[float]], lam: float, length: int
) -> None:
    """The tilt of the law of whole sequences is the product of token tilts; all its numbers are m times a token's."""
    prob, reward = _law(law)
    draws = np.array(list(itertools.product(range(prob.size), repeat=length)))
    whole = FiniteLaw(reward[draws].sum(axis=1), prob[draws].prod(axis=1))
    model = MemorylessModel(prob, reward, length)
    np.testing.assert_allclose(
        whole.log_policy(lam), model.token.log_policy(lam)[draws].sum(axis=1), rtol=0, atol=1e-11
    )
    assert model.log_partition(lam) == pytest.approx(whole.log_partition(lam), rel=1e-11, abs=1e-12)
    assert model.mean_reward(lam) == pytest.approx(whole.mean_reward(lam), rel=1e-10, abs=1e-11)
    assert model.variance(lam) == pytest.approx(whole.variance(lam), rel=1e-10)
    assert model.kl(lam) == pytest.approx(whole.kl(lam), rel=1e-9, abs=1e-16)
    np.testing.assert_allclose(model.tilted(lam).token_prob, np.exp(model.token.log_policy(lam)), rtol=1e-13)


def test_the_frontier_per_token_is_the_token_frontier() -> None:
    model = MemorylessModel(PROB, REWARD, 1000)
    points = model.token.frontier([0.1, 0.5])
    law = model.sum_law()
    for kl, reward in zip(points.spent.tolist(), points.reward.tolist(), strict=True):
        tilt = law.tilted(law.lam_at_kl(1000 * kl))
        assert tilt.base_reward / 1000 == pytest.approx(reward, rel=1e-11)


# ---------------------------------------------------------------------- large deviations


@settings(max_examples=50)
@given(laws, st.floats(0.02, 0.98), st.floats(-2, 2))
def test_rate_function_y24_is_the_supremum_and_the_divergence_of_the_tilt_with_that_mean(
    law: tuple[list[float], list[float]], where: float, lam: float
) -> None:
    prob, reward = _law(law)
    model = MemorylessModel(prob, reward, 1)
    x = float(reward.min() + where * np.ptp(reward))
    got = model.rate(x, lam)
    tilt = model.tilted(lam).token
    theta = tilt.lam_at_gain(x - tilt.base_reward)
    near = theta + np.linspace(-1, 1, 201)
    values = near * x - np.asarray(tilt.log_partition(near))
    assert got == pytest.approx(float(values.max()), rel=1e-8, abs=1e-11)
    assert (values <= got + 1e-10 * max(1, abs(got))).all()
    # the same from the base: I_λ(x) = I(x) - λx + Λ(λ)
    assert got == pytest.approx(model.rate(x) - lam * x + model.token.log_partition(lam), rel=1e-8, abs=1e-10)


def test_rate_function_to_fifty_digits_near_and_far_from_the_mean() -> None:
    family = FiniteLaw([0.0, 1.0], [0.75, 0.25])
    for x in (1e-9, 0.1, 0.25 - 1e-7, 0.25 + 1e-9, 0.4, 1 - 1e-12):
        y, p = mp.mpf(x), mp.mpf("0.25")
        want = y * mp.log(y / p) + (1 - y) * mp.log((1 - y) / (1 - p))
        # x itself is a double: its distance to the mean 1/4 is known to an ulp, the rate to twice that
        slack = 1e-13 + 4e-16 / abs(x - 0.25)
        assert oracle.relative(rate_function(family, x), want) <= slack, x


def test_rate_function_at_and_beyond_the_ends() -> None:
    model = MemorylessModel(PROB, REWARD, 10)
    np.testing.assert_allclose(model.rate([0.0, 2.0]), [math.log(2), math.log(5)], rtol=1e-14)
    assert model.rate(model.token.base_reward) == 0.0
    assert model.rate(2.1) == model.rate(-0.1) == math.inf


@pytest.mark.parametrize("lam", [0.0, 0.8, -1.0])
def test_large_deviations_y24_exact_tails_converge_with_the_correction_of_bahadur_and_rao(lam: float) -> None:
    """At m = 10,000 the exact tail, down to e^-16000, is the exact asymptotics times 1 + O(1/m)."""
    model = MemorylessModel(PROB, REWARD, 10_000)
    law = model.sum_law().tilted(lam)
    tilt = model.tilted(lam).token
    for x in (1.0, 1.5, 1.9, 1.99):
        if x <= tilt.base_reward:
            continue
        got = law.log_tail(x * 10_000)
        assert got == pytest.approx(exact_asymptotics(tilt, x, 10_000, step=1.0), abs=0.02)
        assert -got / 10_000 == pytest.approx(model.rate(x, lam), abs=1e-3)


@settings(max_examples=40)
@given(laws, st.floats(-1.5, 1.5), st.integers(1, 60))
def test_large_deviations_y24_no_tail_exceeds_its_rate(
    law: tuple[list[float], list[float]], lam: float, length: int
) -> None:
    """Under every tilt ``-log P(S >= mx) >= m I_λ(x)`` above the mean, and likewise below, at any length."""
    prob, reward = _law(law)
    reward = np.round(reward, 6)  # a tail counts sums that equal its threshold to rounding
    model = MemorylessModel(prob, reward, length)
    exact = model.sum_law().tilted(lam)
    mean = float(model.token.mean_reward(lam))
    for x in np.linspace(reward.min(), reward.max(), 7):
        tail = exact.log_tail(length * x) if x >= mean else exact.log_head(length * x)
        assert tail <= -length * model.rate(x, lam) * (1 - 1e-9) + 1e-9


def test_lower_tail_has_the_rate_of_the_mirrored_reward() -> None:
    law = MemorylessModel(PROB, REWARD, 2000).sum_law()
    mirrored = MemorylessModel(PROB, -REWARD, 2000)
    assert law.log_head(600.0) == pytest.approx(mirrored.sum_law().log_tail(-600.0), abs=1e-10)
    assert mirrored.rate(-0.3) == pytest.approx(MemorylessModel(PROB, REWARD, 1).rate(0.3), rel=1e-12)


# ---------------------------------------------------------------------- cumulants


@pytest.mark.parametrize("lam", [0.0, 1.3, -4.0, 60.0])
def test_cumulants_are_the_derivatives_of_log_partition(lam: float) -> None:
    rewards = [0.1, 1.0, 2.5]
    with mp.workdps(60):

        def log_partition(t: mp.mpf) -> mp.mpf:
            return mp.log(
                mp.fsum(mp.mpf(p) * mp.exp(t * r) for p, r in zip(PROB.tolist(), [0.1, 1.0, 2.5], strict=True))
            )

        want = [mp.diff(log_partition, mp.mpf(lam), n) for n in range(1, 9)]
    got = cumulants(rewards, PROB, 8, lam)
    assert max(oracle.relative(g, w) for g, w in zip(got, want, strict=True)) <= 1e-13


def test_tokens_of_no_mass_change_nothing() -> None:
    """Under a tilt too."""
    with_one = MemorylessModel([0.5, 0.0, 0.5], [0.0, 1.0, 2.0], 10)
    without = MemorylessModel([0.5, 0.5], [0.0, 2.0], 10)
    for lam in (0.0, 0.5):
        assert with_one.scaled_cgf(1.0, lam) == pytest.approx(without.scaled_cgf(1.0, lam), rel=1e-15)
        np.testing.assert_allclose(with_one.cumulants(3, lam), without.cumulants(3, lam), rtol=1e-14)
        assert with_one.rate(1.3, lam) == pytest.approx(without.rate(1.3, lam), rel=1e-13)


def test_cumulants_of_order_thirty_of_a_fair_coin() -> None:
    """±1/2 with equal masses: κ_{2n} = 2^{2n-1}... of log cosh, B_{2n}(2^{2n}-1)/(2n)."""
    got = cumulants([-0.5, 0.5], [0.5, 0.5], 30)
    for n in range(1, 16):
        want = mp.bernoulli(2 * n) * (mp.mpf(2) ** (2 * n) - 1) / (2 * n)
        assert oracle.relative(got[2 * n - 1], want) <= 1e-15
        assert got[2 * n - 2] == 0.0


def test_cumulants_of_the_exact_law_are_length_times_a_tokens() -> None:
    model = MemorylessModel(PROB, REWARD, 40)
    law = model.sum_law().tilted(0.5)
    per_sum = cumulants(law.reward, np.exp(law.log_prob), 5)
    np.testing.assert_allclose(per_sum / 40, model.cumulants(5, 0.5), rtol=1e-9)


@settings(max_examples=50)
@given(laws, st.floats(-2, 2), st.floats(-3, 3).filter(lambda s: abs(s) > 1e-3))
def test_scaled_cumulants_y24_are_a_renyi_cross_entropy(
    law: tuple[list[float], list[float]], lam: float, s: float
) -> None:
    """(1/m) log E_{π_λ} e^{sS} = -s H_{1+s}(π_λ‖q) with ρ = log q (Y24)."""
    prob, score = _law(law)
    target = np.exp(score) / np.exp(score).sum()
    model = MemorylessModel.towards(prob, target, 25)
    policy = np.exp(model.token.log_policy(lam))
    exact = model.sum_law().tilted(lam).log_partition(s) / 25
    assert model.scaled_cgf(s, lam) == pytest.approx(exact, rel=1e-10, abs=1e-11)
    assert -s * renyi_cross_entropy(policy, target, 1 + s) == pytest.approx(exact, rel=1e-9, abs=1e-10)


def test_renyi_cross_entropy_is_the_cross_entropy_at_order_one_and_smooth_there() -> None:
    phi, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    at_one = renyi_cross_entropy(phi, q, 1.0)
    assert at_one == pytest.approx(float(-phi @ np.log(q)), rel=1e-15)
    near = renyi_cross_entropy(phi, q, [1 - 1e-12, 1 + 1e-12])
    np.testing.assert_allclose(near, at_one, rtol=1e-11)
    orders = np.array([-1.0, 0.5, 2.0, 5.0])
    want = np.log([(phi * q ** (t - 1)).sum() for t in orders]) / (1 - orders)
    np.testing.assert_allclose(renyi_cross_entropy(phi, q, orders), want, rtol=1e-12)


def test_mismatched_tilts_go_from_the_base_through_the_target() -> None:
    p, q = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    model = MemorylessModel.towards(p, q, 10)
    for lam in (0.0, 0.5, 1.0, 3.0):
        want = p * q**lam
        np.testing.assert_allclose(np.exp(model.token.log_policy(lam)), want / want.sum(), rtol=1e-13)
    # towards the law itself: π_1 ∝ p², not p
    np.testing.assert_allclose(
        np.exp(MemorylessModel.towards(p, p, 1).token.log_policy(1.0)), p**2 / (p**2).sum(), rtol=1e-13
    )


# ---------------------------------------------------------------------- best-of-e^{mδ}


@pytest.mark.parametrize(
    ("prob", "reward", "delta"),
    [
        ([0.7, 0.3], [0.0, 1.0], 0.2),
        ([0.5, 0.3, 0.2], [0.0, 1.0, 2.0], 0.3),
        ([0.5, 0.3, 0.2], [0.0, 1.0, 2**0.5], 0.3),
        ([1 - 1e-6, 1e-6], [0.0, 1.0], 0.5),
    ],
)
def test_asymptotic_equality_of_rewards_and_closeness_in_kl_y24(
    prob: list[float], reward: list[float], delta: float
) -> None:
    """Per token all differences fall, and the divergence to the optimum grows no faster than log m."""
    lengths = (100, 400, 1600)
    got = [MemorylessModel(prob, reward, m).best_of_n(delta) for m in lengths]
    gaps = [r.reward_gap for r in got]
    per_token = [r.kl_to_optimum / r.length for r in got]
    left = [delta - r.kl_to_base / r.length for r in got]
    for values in (gaps, per_token, left):
        assert all(a > b > 0 for a, b in itertools.pairwise(values)), values
    for r in got:
        assert r.kl_to_optimum < 2 + math.log(r.length)


@settings(max_examples=40)
@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=4), st.integers(1, 400), st.floats(0.05, 0.9))
def test_closeness_in_kl_y24_is_at_most_half_a_logarithm_and_a_step_of_the_lattice(
    masses: list[float], length: int, share: float
) -> None:
    prob = np.array(masses) / sum(masses)
    model = MemorylessModel(prob, np.arange(prob.size), length)
    got = model.best_of_n(share * model.token.max_kl)
    spread = 2 * math.pi * length * got.lam**2 * float(model.token.variance(got.lam))
    assert 0 <= got.kl_to_optimum <= 0.5 * math.log1p(spread) + got.lam
    assert got.reward_gap >= -1e-12


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MemorylessModel([0.5, 0.5], [1.0, 1.0], 3), "token_reward must take two values or more"),
        (lambda: MemorylessModel([1.0, 0.0], [1.0, 2.0], 3), "token_reward must take two values or more"),
        (
            lambda: MemorylessModel([0.5, 0.5], [0.0, 1.0], 0),
            "length must be a whole number.*at least 1; got 0",
        ),
        (lambda: MemorylessModel([0.5, 0.5], [0.0, 1.0], 2.5), "length must be a whole number"),
        (lambda: MemorylessModel([0.5, 0.5], [0.0, 1.0], True), "length must be a whole number"),
        (lambda: MemorylessModel([0.5, 0.6], [0.0, 1.0], 3), "sum to one"),
        (lambda: MemorylessModel([0.5, 0.5], [0.0, 1.0], 3).best_of_n(0.7), r"delta must lie in \(0, 0.693147\)"),
        (lambda: MemorylessModel([0.5, 0.5], [0.0, 1.0], 3).best_of_n(0.0), r"delta must lie in"),
        (lambda: MemorylessModel([0.5, 0.5], [0.0, 1.0], 3).best_of_n(math.nan), "delta must be finite"),
        (lambda: MemorylessModel.towards([0.5, 0.5], [1.0, 0.0], 3), "target must be positive wherever"),
        (lambda: MemorylessModel.towards([0.5, 0.5], [0.5, 0.6], 3), "target must be a law"),
        (lambda: MemorylessModel.towards([0.5, 0.5], [1.0], 3), "target must have the shape"),
        (lambda: renyi_cross_entropy([0.5, 0.5], [1.0, 0.0], 2.0), "target must be positive"),
        (lambda: cumulants([0.0, 1.0], [0.5, 0.5], 0), "order must lie in"),
        (lambda: FiniteLaw([0.0, 1.0]).lam_at_gain(2.0), r"gain must lie in \[-0.5, 0.5\]; got 2"),
        (lambda: exact_asymptotics(FiniteLaw([0.0, 1.0]), 0.2, 10), r"mean must lie in \(0.5, 1\)"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


def test_no_tilt_no_growth() -> None:
    assert scaled_cgf(FiniteLaw(REWARD, PROB), 0.0) == 0.0
