"""Best-of-N: against enumeration of all draws, 50-digit arithmetic, and its theorems as properties."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib.laws import FiniteLaw
from alignlib.rules import best_of_n
from tests import oracle

NS = [1.0, 1.5, 2.0, 3.0, 16.0, 1000.5, 1e6, 1e12]


def _laws() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(11)
    masses = rng.dirichlet(np.ones(9))
    tiny = np.array([1e-300, 1e-12, 0.0, 0.3, 1.0])
    tiny[-1] = 1 - tiny[:-1].sum()
    return {
        "random": (rng.normal(size=9), masses),
        "offset 1e6": (1e6 + rng.normal(size=9), masses),
        "ties": (np.array([0, 1, 1, 2, 0, 2, 2, 3, 3.0]), masses),
        "tiny on top": (np.array([5.0, 4.0, 9.0, 1.0, 0.0]), tiny),
        "tiny at the bottom": (np.array([-5.0, -4.0, -9.0, -1.0, 0.0]), tiny),
        "single": (np.array([2.0]), np.array([1.0])),
    }


@pytest.mark.parametrize("n", NS)
@pytest.mark.parametrize("name", list(_laws()))
def test_against_fifty_digits(name: str, n: float) -> None:
    reward, prob = _laws()[name]
    policy, kl, mean = oracle.transformed(reward, prob, lambda f: f ** mp.mpf(n))
    got = best_of_n.log_policy(reward, prob, n)
    for value, want in zip(got, policy, strict=True):
        if want > 0:
            # log π is what is computed; where |log π| is huge one rounding of it is all that can be asked.
            assert abs(mp.mpf(float(value)) - mp.log(want)) <= 1e-10 * max(1, 1e-4 * abs(mp.log(want)))
        else:
            assert value == -math.inf
    with mp.workdps(60):
        base = mp.fsum(mp.mpf(float(x)) * m for x, m in zip(reward, oracle.normalised(prob), strict=True))
    assert oracle.relative(best_of_n.kl(reward, prob, n), kl, 1.0) <= 1e-10
    assert oracle.relative(best_of_n.expected_reward(reward, prob, n), mean, float(np.abs(reward).max())) <= 1e-10
    assert oracle.relative(best_of_n.gain(reward, prob, n), mean - base, float(np.ptp(reward[prob > 0]))) <= 1e-10


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_against_enumeration_of_all_draws(n: int) -> None:
    reward = np.array([0.0, 1.0, 1.0, 2.5, -1.0])
    prob = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    law = np.zeros(5)
    for draws in itertools.product(range(5), repeat=n):
        best = reward[list(draws)].max()
        winners = [i for i in draws if reward[i] == best]
        for i in winners:
            law[i] += np.prod(prob[list(draws)]) / len(winners)
    np.testing.assert_allclose(best_of_n.policy(reward, prob, n), law, rtol=1e-13)
    assert best_of_n.expected_reward(reward, prob, n) == pytest.approx(law @ reward, rel=1e-13)
    assert best_of_n.kl(reward, prob, n) == pytest.approx(law @ np.log(law / prob), rel=1e-12, abs=1e-16)
    wins = (law[:, None] * prob[None, :] * (np.sign(reward[:, None] - reward[None, :]) + 1) / 2).sum()
    assert best_of_n.win_rate(reward, prob, n) == pytest.approx(wins, rel=1e-13)


def test_the_naive_difference_of_powers_fails_where_ours_does_not() -> None:
    """F_i^N - F_{i-1}^N subtracts equal numbers for a top mass of 1e-20; the stable form keeps every digit."""
    reward, prob, n = np.array([0.0, 1.0]), np.array([1.0 - 1e-20, 1e-20]), 1000.0
    naive = 1.0**n - prob[0] ** n
    assert naive == 0.0
    assert best_of_n.policy(reward, prob, n)[1] == pytest.approx(1e-17, rel=1e-12)


laws = st.integers(2, 8).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(-3, 3), min_size=k, max_size=k),
        st.lists(st.floats(1e-3, 1), min_size=k, max_size=k),
    )
)


@settings(deadline=None, max_examples=80)
@given(laws, st.floats(1, 1e4))
def test_kl_never_exceeds_the_formula_b24(law: tuple[list[int], list[float]], n: float) -> None:
    prob = np.array(law[1]) / sum(law[1])
    exact = best_of_n.kl(law[0], prob, n)
    assert 0 <= exact <= best_of_n.kl_upper_bound(n) * (1 + 1e-12)
    assert exact <= FiniteLaw(law[0], prob).max_kl * (1 + 1e-12) + 1e-15


@settings(deadline=None, max_examples=80)
@given(laws, st.floats(1, 1e4))
def test_no_best_of_n_beats_the_limit(law: tuple[list[int], list[float]], n: float) -> None:
    prob = np.array(law[1]) / sum(law[1])
    family = FiniteLaw(law[0], prob)
    limit = family.gain(family.lam_at_kl(best_of_n.kl(law[0], prob, n)))
    assert best_of_n.gain(law[0], prob, n) <= limit * (1 + 1e-9) + 1e-12


@settings(deadline=None, max_examples=60)
@given(st.floats(0.01, 0.99), st.floats(1.01, 1e3))
def test_two_outcomes_always_coincide_with_a_tilt(p: float, n: float) -> None:
    """With two outcomes every law between base and top is a tilt, so best-of-N lies on the frontier."""
    family = FiniteLaw([0.0, 1.0], [1 - p, p])
    policy = best_of_n.log_policy([0.0, 1.0], [1 - p, p], n)
    lam = policy[1] - policy[0] + math.log((1 - p) / p)
    np.testing.assert_allclose(family.log_policy(lam), policy, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(1e-3, 1), min_size=2, max_size=7), st.floats(1.01, 200))
def test_coincident_reward_makes_best_of_n_the_optimum_b26(masses: list[float], n: float) -> None:
    prob = np.array(masses) / sum(masses)
    reward = best_of_n.coincident_reward(prob, n)
    tilted = FiniteLaw(reward, prob).log_policy(1.0)
    np.testing.assert_allclose(np.exp(tilted), best_of_n.policy(reward, prob, n), rtol=1e-8, atol=1e-14)


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 200), st.floats(1, 300))
def test_win_rate_of_many_equal_outcomes_tends_to_n_over_n_plus_1(k: int, n: float) -> None:
    rate = best_of_n.win_rate(np.arange(k), None, n)
    assert rate <= n / (n + 1) + 1e-12
    # Ties of one outcome with itself cost at most the chance of meeting it.
    assert n / (n + 1) - rate <= n / k


def test_formula_is_reached_as_the_atoms_vanish() -> None:
    exact = best_of_n.kl(np.arange(200_000), None, [2, 16, 128])
    np.testing.assert_allclose(exact, best_of_n.kl_upper_bound([2, 16, 128]), rtol=1e-5)


def test_best_of_n_is_the_optimum_for_log_f_gui24() -> None:
    """Continuous case: the tilt of log F with λ = N - 1 has density N F^{N-1}; a fine grid shows it."""
    f = (np.arange(50_000) + 0.5) / 50_000
    tilt = np.exp(FiniteLaw(np.log(f)).log_policy(7.0))
    np.testing.assert_allclose(tilt[1000:], best_of_n.policy(f, None, 8.0)[1000:], rtol=2e-3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=7), st.data())
def test_unbiased_estimate_is_the_mean_over_all_subsets(rewards: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(rewards)))
    subsets = [max(s) for s in itertools.combinations(rewards, n)]
    assert best_of_n.estimate(rewards, n) == pytest.approx(sum(subsets) / len(subsets), rel=1e-13, abs=1e-13)


def test_unbiased_weights_against_rationals() -> None:
    m, n = 300, 37
    exact = [Fraction(math.comb(i - 1, n - 1), math.comb(m, n)) for i in range(n, m + 1)]
    basis = np.eye(m)
    for i in (n, n + 5, m - 3, m):
        assert best_of_n.estimate(np.cumsum(basis[i - 1]), n) == pytest.approx(float(sum(exact[i - n :])), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: best_of_n.kl([0.0, 1.0], None, 0.5), r"n must lie in \[1, ∞\); got 0.5"),
        (lambda: best_of_n.kl([0.0, 1.0], [0.5, 0.6], 2), "prob must sum to one"),
        (lambda: best_of_n.kl([0.0, 1.0], [1.0], 2), "prob must have the shape"),
        (lambda: best_of_n.kl([0.0, math.nan], None, 2), "reward must be finite"),
        (lambda: best_of_n.estimate([1.0, 2.0], 3), "n must not exceed the number of rewards, 2; got 3"),
        (lambda: best_of_n.estimate([1.0, 2.0], 1.5), "n must be whole"),
        (lambda: best_of_n.coincident_reward([0.0, 1.0], 2), "prob must be positive"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]
