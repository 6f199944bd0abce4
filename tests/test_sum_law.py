"""The law of a sequence's reward: types, best-of-N in log space, divergences; against enumeration and many digits."""

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
from alignlib.rules import BestOfN
from alignlib.sequences import MemorylessModel, SumLaw, compare
from alignlib.sequences.comparison import compare_in_window
from alignlib.sequences.log_best_of_n import log_cumulative, log_kl, log_ratio
from alignlib.sequences.type_sums import TooManyLevelsError, number_of_types, sums_by_type
from tests import oracle
from tests.exact_sums import log_fraction

LOG_NS = [0.0, 1e-12, 1e-3, math.log(2), 3.0, 700.0, 4900.0, 5000.0, 10_000.0]


def _steep(top_first: bool) -> np.ndarray:
    """Masses from e^-5000 to nearly one, the last one what is left."""
    logs = np.array([-5000.0, -800.0, -2.0, math.log1p(-math.exp(-2.0))])
    return logs[::-1].copy() if top_first else logs


def _best_of_n_in_2500_digits(log_mass: np.ndarray, log_n: float) -> tuple[list[mp.mpf], mp.mpf]:
    with mp.workdps(2500):
        p = [mp.exp(mp.mpf(float(x))) for x in log_mass]
        total = mp.fsum(p)
        p = [x / total for x in p]
        n = mp.exp(mp.mpf(log_n))
        f = [mp.fsum(p[: i + 1]) for i in range(len(p))]
        logs = [n * mp.log(x) if x < 1 else mp.mpf(0) for x in f]
        power = [mp.exp(x) if x > -1e9 else mp.mpf(0) for x in logs]
        q = [b - a for a, b in zip([mp.mpf(0), *power[:-1]], power, strict=True)]
        ratios = [mp.log(b / a) if b else mp.mpf("-inf") for a, b in zip(p, q, strict=True)]
        return ratios, mp.fsum(b * t for b, t in zip(q, ratios, strict=True) if b)


@pytest.mark.parametrize("log_n", LOG_NS)
@pytest.mark.parametrize("top_first", [True, False])
def test_best_of_n_of_masses_of_minus_5000_nats_against_2500_digits(log_n: float, top_first: bool) -> None:
    log_mass = _steep(top_first)
    want, kl = _best_of_n_in_2500_digits(log_mass, log_n)
    got = log_ratio(log_mass, log_n)
    for value, right in zip(got.tolist(), want, strict=True):
        if right == -math.inf:
            assert value < -9e8
        else:
            assert abs(mp.mpf(value) - right) <= 1e-11 * max(1, abs(right) / 100)
    law = log_mass - np.logaddexp.reduce(log_mass)
    assert oracle.relative(log_kl(law + got, law), kl, 1.0) <= 1e-10


@settings(max_examples=80)
@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=8), st.floats(0.0, 30.0))
def test_agrees_with_best_of_n_on_masses(masses: list[float], log_n: float) -> None:
    """`BestOfN` computes the same from masses; the two share no line of arithmetic on masses."""
    prob = np.array(masses) / sum(masses)
    reward = np.arange(prob.size)
    n = math.exp(log_n)
    got = np.log(prob) + log_ratio(np.log(prob), math.log(n))
    exact = BestOfN(n).on(FiniteLaw(reward, prob))
    want = exact.log_policy
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)
    # N = 1 + 1e-15 is not what log N says: rounding n costs a relative ε/log N of the small divergence
    slack = 1e-10 + (4e-15 / log_n if log_n else 0.0)
    base = np.log(prob)
    assert log_kl(got, base) == pytest.approx(exact.kl, rel=slack, abs=1e-300)


@settings(max_examples=20)
@given(st.lists(st.floats(-2000, 0), min_size=1, max_size=6))
def test_cumulative_masses_from_both_ends(logs: list[float]) -> None:
    law = np.array(logs) - np.logaddexp.reduce(logs)
    below, above = log_cumulative(law)
    with mp.workdps(2000):
        p = [mp.exp(mp.mpf(float(x))) for x in law]
        total = mp.fsum(p)
        for i in range(len(logs)):
            tail = mp.fsum(p[i + 1 :])
            if tail:
                assert abs(mp.mpf(float(above[i])) - mp.log(tail)) <= 2e-12
            else:
                assert above[i] == -math.inf
            head = mp.fsum(p[: i + 1])
            if tail < head:
                # log F near 0 must be relatively right: it is multiplied by N
                want = mp.log1p(-tail / total)
                assert abs(mp.mpf(float(below[i])) - want) <= 1e-11 * abs(want) + mp.mpf("1e-300")
            else:
                assert abs(mp.mpf(float(below[i])) - mp.log(head)) <= 2e-12


# ---------------------------------------------------------------------- laws of sums


def _enumerated(prob: list[float], reward: list[float], length: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.array(list(itertools.product(range(len(prob)), repeat=length)))
    return np.array(reward)[draws].sum(axis=1), np.array(prob)[draws].prod(axis=1)


MODELS = {
    "binary": ([0.7, 0.3], [0.0, 1.0]),
    "ternary lattice": ([0.5, 0.3, 0.2], [0.0, 1.0, 2.0]),
    "decimal lattice": ([0.4, 0.35, 0.25], [0.1, 0.3, -0.2]),
    "real-valued": ([0.2, 0.5, 0.3], [math.e, math.pi, 1.0]),
    "four letters": ([0.1, 0.2, 0.3, 0.4], [3.0, 0.0, 1.0, 7.0]),
    "equal rewards": ([0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 1.0, 2**0.5]),
    "nearly degenerate": ([1 - 1e-9, 1e-9], [0.0, 1.0]),
    "equal to rounding": ([0.2, 0.3, 0.5], [0.0, 1e-20, 1.0]),
    "a letter without mass": ([0.5, 0.0, 0.5], [0.0, 9.0, 1.0]),
}


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("name", list(MODELS))
def test_memoryless_against_enumeration_of_all_sequences(name: str, length: int) -> None:
    prob, reward = MODELS[name]
    model = MemorylessModel(prob, reward, length)
    law = model.sum_law()
    rewards, masses = _enumerated(prob, reward, length)
    levels, place = np.unique(np.round(rewards[masses > 0], 9), return_inverse=True)
    want = np.bincount(place, weights=masses[masses > 0])
    np.testing.assert_allclose(law.reward, levels, rtol=0, atol=1e-8)
    np.testing.assert_allclose(np.exp(law.log_prob), want, rtol=1e-12)
    rounded = np.round(rewards, 9)
    # best-of-N and the tilt as laws of sequences, not only of sums
    for n in (2.0, 7.5):
        best = law.best_of_n(math.log(n))
        exact = BestOfN(n).on(FiniteLaw(rounded, masses))
        policy = exact.policy
        assert best.base_reward == pytest.approx(policy @ rewards, rel=1e-8)
        assert best.kl_to(law) == pytest.approx(exact.kl, rel=1e-10, abs=1e-15)
        lam = 0.7
        tilt = masses * np.exp(lam * rewards)
        tilt /= tilt.sum()
        held = policy > 0
        assert best.kl_to(law.tilted(lam)) == pytest.approx(
            policy[held] @ np.log(policy[held] / tilt[held]), rel=1e-8, abs=1e-13
        )


def test_types_against_rationals_of_sixty_digits() -> None:
    """Real rewards at length 60: each type's mass against the multinomial in rationals."""
    prob, length = [Fraction(1, 2), Fraction(5, 16), Fraction(3, 16)], 60
    reward = np.array([0.0, 1.0, 2**0.5])
    sums, logs = sums_by_type(reward, np.array([float(p) for p in prob]), length)
    want: dict[float, Fraction] = {}
    for a in range(length + 1):
        for b in range(length + 1 - a):
            c = length - a - b
            ways = math.factorial(length) // (math.factorial(a) * math.factorial(b) * math.factorial(c))
            want[b + c * 2**0.5] = ways * prob[0] ** a * prob[1] ** b * prob[2] ** c
    ordered = sorted(want)
    np.testing.assert_allclose(sums, ordered, rtol=0, atol=1e-12)
    errors = [abs(got - log_fraction(want[s])) for got, s in zip(logs.tolist(), ordered, strict=True)]
    assert max(errors) <= 1e-12


def test_types_agree_with_the_lattice_recursion() -> None:
    model = MemorylessModel([0.5, 0.3, 0.2], [0.0, 1.0, 2.0], 2000)
    _, logs = sums_by_type(np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.3, 0.2]), 2000)
    np.testing.assert_allclose(logs, model.sum_law().log_prob, rtol=0, atol=2e-11)


def test_a_million_types() -> None:
    """The largest law of the default limit, of ten times as many, is in the benchmarks."""
    length = 1412
    assert 0.99e6 < number_of_types(length, 3) <= 1_000_000
    law = MemorylessModel([0.5, 0.3, 0.2], [0.0, 1.0, 2**0.5], length).sum_law()
    assert law.excess.size == number_of_types(length, 3)
    assert law.base_reward == pytest.approx(length * (0.3 + 0.2 * 2**0.5), rel=1e-12)
    assert law.log_prob[0] == pytest.approx(length * math.log(0.5), abs=1e-9)
    assert law.log_prob[-1] == pytest.approx(length * math.log(0.2), abs=1e-9)


FIGURES = ("base_reward", "gain", "optimal_gain", "kl_to_base", "kl_to_optimum")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("length", [1, 2, 5, 40, 300, 1500])
def test_best_of_n_from_the_sums_it_can_pick_agrees_with_all_sums(length: int, share: float) -> None:
    """Real rewards, for which the model visits these sums only: at 1500 tokens some 1 in 500 of all types."""
    model = MemorylessModel([0.5, 0.3, 0.2], [0.0, 1.0, 2**0.5], length)
    delta = share * model.token.max_kl
    got, want = model.best_of_n(delta), compare(model.sum_law(), delta, model.token.lam_at_kl(delta))
    for name in FIGURES:
        assert getattr(got, name) == pytest.approx(getattr(want, name), rel=1e-11, abs=1e-13), name


@pytest.mark.parametrize(("share", "rest"), [(0.05, 10**6), (0.5, 10**5)])
def test_best_of_n_from_the_sums_it_can_pick_at_ten_thousand_tokens(share: float, rest: int) -> None:
    """A lattice, whose law the recursion gives, visited as if it were none: 50 million types, of which few are."""
    prob, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0])
    model = MemorylessModel(prob, reward, 10_000)
    delta = share * model.token.max_kl
    got = compare_in_window(reward, prob, 10_000, delta, model.token.lam_at_kl(delta), max_types=rest)
    want = model.best_of_n(delta)
    for name in FIGURES:
        assert getattr(got, name) == pytest.approx(getattr(want, name), rel=1e-10), name


@settings(max_examples=60)
@given(
    st.integers(1, 25),
    st.lists(st.floats(0.01, 1), min_size=2, max_size=4),
    st.floats(0.01, 0.95),
    st.floats(-1e3, 1e3),
)
def test_the_sums_that_best_of_n_can_pick_for_any_law(
    length: int, masses: list[float], share: float, offset: float
) -> None:
    prob = np.array(masses) / sum(masses)
    reward = offset + np.array([0.0, 1.0, 2**0.5, math.pi])[: prob.size]
    model = MemorylessModel(prob, reward, length)
    delta = share * model.token.max_kl
    lam = model.token.lam_at_kl(delta)
    got = compare_in_window(reward, prob, length, delta, lam, max_types=10**6)
    want = compare(model.sum_law(), delta, lam)
    for name in FIGURES:
        assert getattr(got, name) == pytest.approx(getattr(want, name), rel=1e-9, abs=1e-10), name


def test_best_of_n_of_a_law_too_large_to_form() -> None:
    """50 million types: best-of-N is exact all the same, and follows the law of ½ log m."""
    prob, reward = [0.5, 0.3, 0.2], [0.0, 1.0, 2**0.5]
    with pytest.raises(TooManyLevelsError, match="50,015,001"):
        MemorylessModel(prob, reward, 10_000).sum_law()
    short, long = (MemorylessModel(prob, reward, m).best_of_n(0.5) for m in (2500, 10_000))
    assert long.kl_to_optimum - short.kl_to_optimum == pytest.approx(0.5 * math.log(4), abs=0.01)
    assert long.kl_to_optimum == pytest.approx(
        long.kl_to_base - long.log_n + long.lam * (long.optimal_gain - long.gain), abs=1e-8
    )
    with pytest.raises(TooManyLevelsError, match=r"Best-of-N of 10,000 tokens.*max_levels allows 1,000\."):
        MemorylessModel(prob, reward, 10_000).best_of_n(0.5, max_levels=1000)


def test_two_letters_of_a_million_tokens_by_types() -> None:
    law = SumLaw(10**6, 0.0, *sums_by_type(np.array([0.0, 1.0]), np.array([0.75, 0.25]), 10**6))
    assert law.base_reward == pytest.approx(250_000, rel=1e-10)
    assert law.variance(0.0) == pytest.approx(187_500, rel=1e-7)


def test_more_types_than_allowed_says_how_many_and_what_to_do() -> None:
    model = MemorylessModel([0.2] * 5, [0.0, 1.0, math.pi, math.e, 2**0.5], 200)
    with pytest.raises(
        TooManyLevelsError, match=r"70,\d{3},\d{3} levels \(about 4,\d{3} MiB\).*Round the rewards.*raise max_levels"
    ) as caught:
        model.sum_law()
    assert caught.value.needed == number_of_types(200, 5)
    assert caught.value.allowed == 10_000_000


def test_more_levels_than_any_memory_is_said_in_powers_of_ten() -> None:
    """The count itself has hundreds of digits; nobody is told to raise a limit to it."""
    model = MemorylessModel(np.full(300, 1 / 300), np.sqrt(np.arange(300.0)), 10_000)
    for call in (model.sum_law, lambda: model.best_of_n(0.1)):
        with pytest.raises(
            TooManyLevelsError, match=r"about 1e\d{3} levels.*merge rewards, or shorten the sequence\.$"
        ):
            call()


def test_letters_in_any_order_and_reward_with_any_offset() -> None:
    base = MemorylessModel([0.5, 0.3, 0.2], [0.0, 1.0, 2.0], 500).best_of_n(0.2)
    moved = MemorylessModel([0.2, 0.5, 0.3], [1e6 + 2.0, 1e6, 1e6 + 1.0], 500).best_of_n(0.2)
    for name in ("gain", "optimal_gain", "kl_to_base", "kl_to_optimum", "lam"):
        assert getattr(moved, name) == pytest.approx(getattr(base, name), rel=1e-9), name


@settings(max_examples=40)
@given(st.integers(1, 60), st.lists(st.floats(0.01, 1), min_size=2, max_size=4), st.floats(0.05, 0.9))
def test_no_best_of_n_beats_the_optimum_and_the_identity_of_closeness(
    length: int, masses: list[float], share: float
) -> None:
    """KL(π_N‖π_λ) = KL(π_N‖p) - D - λ(gain difference) (Y24), and both gains are ordered at the larger budget."""
    prob = np.array(masses) / sum(masses)
    model = MemorylessModel(prob, np.arange(prob.size), length)
    got = model.best_of_n(share * model.token.max_kl)
    assert got.gain <= got.optimal_gain * (1 + 1e-10)
    assert 0 <= got.kl_to_base <= got.log_n * (1 + 1e-12)
    identity = got.kl_to_base - got.log_n + got.lam * (got.optimal_gain - got.gain)
    assert got.kl_to_optimum == pytest.approx(identity, rel=1e-8, abs=1e-9 * max(1.0, got.log_n * got.lam))


def test_tails_count_a_threshold_that_is_a_sum() -> None:
    law = MemorylessModel([0.5, 0.5], [0.1, 0.3], 3).sum_law()
    assert math.exp(law.log_tail(0.9)) == pytest.approx(0.125)
    assert math.exp(law.log_tail(0.7)) == pytest.approx(0.5)
    assert law.log_tail(0.91) == -math.inf
    assert law.log_tail(-5.0) == 0.0
    assert math.exp(law.log_head(0.5)) == pytest.approx(0.5)
    assert law.log_head(0.29) == -math.inf


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda law: SumLaw(1, 0.0, np.array([0.0, 1.0]), np.array([0.0])), "one length"),
        (lambda law: SumLaw(1, 0.0, np.array([1.0, 0.0]), np.log([0.5, 0.5])), "excess must increase"),
        (lambda law: SumLaw(1, 0.0, np.array([0.0, 1.0]), np.log([0.5, 0.6])), "sum to one"),
        (lambda law: law.best_of_n(-1.0), r"log_n must lie in \[0, ∞\); got -1"),
        (lambda law: law.kl_to(SumLaw(1, 0.0, np.array([0.0]), np.array([0.0]))), "same sums"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    law = MemorylessModel([0.5, 0.5], [0.0, 1.0], 3).sum_law()
    with pytest.raises(ValueError, match=words):
        call(law)  # type: ignore[operator]
