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

from alignlib.laws import Exponential, FiniteLaw, Gaussian, Laplace, Uniform
from alignlib.rules import BestOfN, best_of_n_mean, coincident_reward
from alignlib.rules.best_of_n import gain_of_largest
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
    best = BestOfN(n).on(FiniteLaw(reward, prob))
    got = best.log_policy
    for value, want in zip(got, policy, strict=True):
        if want > 0:
            # log π is what is computed; where |log π| is huge one rounding of it is all that can be asked.
            assert abs(mp.mpf(float(value)) - mp.log(want)) <= 1e-10 * max(1, 1e-4 * abs(mp.log(want)))
        else:
            assert value == -math.inf
    with mp.workdps(60):
        base = mp.fsum(mp.mpf(float(x)) * m for x, m in zip(reward, oracle.normalised(prob), strict=True))
    assert oracle.relative(best.kl, kl, 1.0) <= 1e-10
    assert oracle.relative(best.mean_reward, mean, float(np.abs(reward).max())) <= 1e-10
    assert oracle.relative(best.gain, mean - base, float(np.ptp(reward[prob > 0]))) <= 1e-10


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
    best = BestOfN(n).on(FiniteLaw(reward, prob))
    np.testing.assert_allclose(best.policy, law, rtol=1e-13)
    assert best.mean_reward == pytest.approx(law @ reward, rel=1e-13)
    assert best.kl == pytest.approx(law @ np.log(law / prob), rel=1e-12, abs=1e-16)
    wins = (law[:, None] * prob[None, :] * (np.sign(reward[:, None] - reward[None, :]) + 1) / 2).sum()
    assert best.win_rate == pytest.approx(wins, rel=1e-13)


def test_the_naive_difference_of_powers_fails_where_ours_does_not() -> None:
    """F_i^N - F_{i-1}^N subtracts equal numbers for a top mass of 1e-20; the stable form keeps every digit."""
    reward, prob, n = np.array([0.0, 1.0]), np.array([1.0 - 1e-20, 1e-20]), 1000.0
    naive = 1.0**n - prob[0] ** n
    assert naive == 0.0
    assert BestOfN(n).on(FiniteLaw(reward, prob)).policy[1] == pytest.approx(1e-17, rel=1e-12)


laws = st.integers(2, 8).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(-3, 3), min_size=k, max_size=k),
        st.lists(st.floats(1e-3, 1), min_size=k, max_size=k),
    )
)


@settings(max_examples=80)
@given(laws, st.floats(1, 1e4))
def test_kl_never_exceeds_the_formula_b24(law: tuple[list[int], list[float]], n: float) -> None:
    prob = np.array(law[1]) / sum(law[1])
    family = FiniteLaw(law[0], prob)
    exact = BestOfN(n).on(family).kl
    assert 0 <= exact <= BestOfN(n).spent_formula() * (1 + 1e-12)
    assert exact <= family.max_kl * (1 + 1e-12) + 1e-15


@settings(max_examples=80)
@given(laws, st.floats(1, 1e4))
def test_no_best_of_n_beats_the_limit(law: tuple[list[int], list[float]], n: float) -> None:
    prob = np.array(law[1]) / sum(law[1])
    family = FiniteLaw(law[0], prob)
    best = BestOfN(n).on(family)
    limit = family.gain(family.lam_at_kl(best.kl))
    assert best.gain <= limit * (1 + 1e-9) + 1e-12


@settings(max_examples=60)
@given(st.floats(0.01, 0.99), st.floats(1.01, 1e3))
def test_two_outcomes_always_coincide_with_a_tilt(p: float, n: float) -> None:
    """With two outcomes every law between base and top is a tilt, so best-of-N lies on the frontier."""
    family = FiniteLaw([0.0, 1.0], [1 - p, p])
    policy = BestOfN(n).on(family).log_policy
    lam = policy[1] - policy[0] + math.log((1 - p) / p)
    np.testing.assert_allclose(family.log_policy(lam), policy, rtol=1e-12, atol=1e-12)


@settings(max_examples=60)
@given(st.lists(st.floats(1e-3, 1), min_size=2, max_size=7), st.floats(1.01, 200))
def test_coincident_reward_makes_best_of_n_the_optimum_b26(masses: list[float], n: float) -> None:
    prob = np.array(masses) / sum(masses)
    family = FiniteLaw(coincident_reward(prob, n), prob)
    tilted = family.log_policy(1.0)
    np.testing.assert_allclose(np.exp(tilted), BestOfN(n).on(family).policy, rtol=1e-8, atol=1e-14)


@settings(max_examples=60)
@given(st.integers(3, 200), st.floats(1, 300))
def test_win_rate_of_many_equal_outcomes_tends_to_n_over_n_plus_1(k: int, n: float) -> None:
    rate = BestOfN(n).on(FiniteLaw(np.arange(k))).win_rate
    assert rate <= n / (n + 1) + 1e-12
    # Ties of one outcome with itself cost at most the chance of meeting it.
    assert n / (n + 1) - rate <= n / k


def test_formula_is_reached_as_the_atoms_vanish() -> None:
    rules = BestOfN.along([2, 16, 128])
    exact = rules.on(FiniteLaw(np.arange(200_000))).kl
    np.testing.assert_allclose(exact, rules.spent_formula(), rtol=1e-5)


def test_best_of_n_is_the_optimum_for_log_f_gui24() -> None:
    """Continuous case: the tilt of log F with λ = N - 1 has density N F^{N-1}; a fine grid shows it."""
    f = (np.arange(50_000) + 0.5) / 50_000
    tilt = np.exp(FiniteLaw(np.log(f)).log_policy(7.0))
    np.testing.assert_allclose(tilt[1000:], BestOfN(8.0).on(FiniteLaw(f)).policy[1000:], rtol=2e-3)


def test_gains_on_analytic_laws_against_known_expectations() -> None:
    assert BestOfN(2).on(Gaussian()).gain == pytest.approx(1 / math.sqrt(math.pi), rel=1e-11)
    assert BestOfN(3).on(Gaussian()).gain == pytest.approx(1.5 / math.sqrt(math.pi), rel=1e-11)
    assert BestOfN(4).on(Uniform()).gain == pytest.approx(0.3, rel=1e-14)
    assert BestOfN(5).on(Exponential()).gain == pytest.approx(1 / 2 + 1 / 3 + 1 / 4 + 1 / 5, rel=1e-12)
    assert BestOfN(2).on(Laplace()).gain == pytest.approx(0.75, rel=1e-10)
    # Closed forms against the general integral, which the other families use.
    general = gain_of_largest.dispatch(object)
    for law in (Uniform(-1, 2), Exponential(3.0)):
        for n in (1.0, 2.5, 64.0):
            assert general(law, n) == pytest.approx(gain_of_largest(law, n), rel=1e-9, abs=1e-11)


@settings(max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=7), st.data())
def test_unbiased_estimate_is_the_mean_over_all_subsets(rewards: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(rewards)))
    subsets = [max(s) for s in itertools.combinations(rewards, n)]
    assert best_of_n_mean(rewards, n) == pytest.approx(sum(subsets) / len(subsets), rel=1e-13, abs=1e-13)


def test_unbiased_weights_against_rationals() -> None:
    m, n = 300, 37
    exact = [Fraction(math.comb(i - 1, n - 1), math.comb(m, n)) for i in range(n, m + 1)]
    basis = np.eye(m)
    for i in (n, n + 5, m - 3, m):
        assert best_of_n_mean(np.cumsum(basis[i - 1]), n) == pytest.approx(float(sum(exact[i - n :])), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: BestOfN(0.5), r"n must lie in \[1, ∞\); got 0.5"),
        (lambda: BestOfN(1.5).number_of_draws(np.random.default_rng(0)), "n must be whole"),
        (lambda: BestOfN.along([2.0, math.nan]), "n must be finite"),
        (lambda: best_of_n_mean([1.0, 2.0], 3), "n must not exceed the number of rewards, 2; got 3"),
        (lambda: best_of_n_mean([1.0, 2.0], 1.5), "n must be whole"),
        (lambda: coincident_reward([0.0, 1.0], 2), "prob must be positive"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]
