"""Sequences with memory: against enumeration, rationals and many digits; rank one is memoryless; odd chains."""

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
from alignlib.sequences import MarkovModel, MemorylessModel, TooManyLevelsError, TwistedChain, markov_sum
from alignlib.sequences.markov_sum import _by_level, _by_squaring
from alignlib.sequences.transition_matrix import ReducibleChainError, best_cycle_mean, perron, stationary
from tests import oracle
from tests.exact_sums import enumerate_chain, log_fraction, rational_chain_law

RNG = np.random.default_rng(5)
CHAIN = RNG.dirichlet(np.ones(3), 3)
FIRST = RNG.dirichlet(np.ones(3))
LATTICE = RNG.integers(0, 3, (3, 3)).astype(float)
REAL = RNG.normal(size=(3, 3))
PERIODIC = np.array([[0.0, 1.0, 0.0], [0.4, 0.0, 0.6], [0.0, 1.0, 0.0]])
REDUCIBLE = np.array([[0.5, 0.3, 0.2], [0.0, 0.7, 0.3], [0.0, 0.2, 0.8]])

CHAINS = {
    "lattice": (CHAIN, LATTICE),
    "real rewards": (CHAIN[:2, :2] / CHAIN[:2, :2].sum(axis=1, keepdims=True), REAL[:2, :2]),
    "periodic": (PERIODIC, LATTICE),
    "reducible": (REDUCIBLE, LATTICE),
}

chains = (
    st.integers(2, 4)
    .flatmap(
        lambda k: st.tuples(
            st.lists(st.lists(st.floats(0.02, 1), min_size=k, max_size=k), min_size=k, max_size=k),
            st.lists(st.lists(st.integers(-2, 2), min_size=k, max_size=k), min_size=k, max_size=k),
        )
    )
    .filter(lambda c: np.ptp(c[1]) > 0)
)


def _chain(c: tuple[list[list[float]], list[list[int]]]) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.array(c[0])
    return matrix / matrix.sum(axis=1, keepdims=True), np.array(c[1], dtype=float)


# ---------------------------------------------------------------------- finite length


@pytest.mark.parametrize("length", [1, 2, 6])
@pytest.mark.parametrize("name", list(CHAINS))
def test_against_enumeration_of_all_sequences(name: str, length: int) -> None:
    transition, reward = CHAINS[name]
    initial = FIRST[: len(transition)] / FIRST[: len(transition)].sum()
    model = MarkovModel(transition, reward, initial, length)
    rewards, masses = enumerate_chain(transition, reward, initial, length)
    levels, place = np.unique(np.round(rewards, 9), return_inverse=True)
    law = model.sum_law()
    np.testing.assert_allclose(law.reward, levels, rtol=0, atol=1e-8)
    np.testing.assert_allclose(np.exp(law.log_prob), np.bincount(place, weights=masses), rtol=1e-11)
    best = law.best_of_n(math.log(4))
    exact = BestOfN(4).on(FiniteLaw(np.round(rewards, 9), masses))
    assert best.base_reward == pytest.approx(exact.mean_reward, rel=1e-8)
    assert best.kl_to(law) == pytest.approx(exact.kl, rel=1e-10)
    # the optimum at finite length, by backward and forward products
    for lam in (-1.0, 0.3, 2.0):
        tilt = masses * np.exp(lam * rewards)
        total = tilt.sum()
        tilt /= total
        got = model.optimum(lam)
        assert got.log_partition == pytest.approx(math.log(total), rel=1e-11, abs=1e-12)
        assert got.mean_reward == pytest.approx(tilt @ rewards, rel=1e-10, abs=1e-12)
        assert got.kl == pytest.approx(tilt @ np.log(tilt / masses), rel=1e-9, abs=1e-15)
        assert law.tilted(lam).kl_to(law) == pytest.approx(got.kl, rel=1e-9)
        assert got.first.sum() == pytest.approx(1.0)
        for t in range(length):
            rows = got.steps[t].sum(axis=1)
            np.testing.assert_allclose(rows[rows > 0], 1.0, rtol=1e-12)


def test_finite_optimum_of_a_long_chain_agrees_with_its_law() -> None:
    model = MarkovModel(CHAIN, LATTICE, FIRST, 1500)
    law = model.sum_law()
    for lam in (-0.7, 0.9):
        tilt = law.tilted(lam)
        assert model.log_partition(lam) == pytest.approx(law.log_partition(lam), rel=1e-12)
        assert model.mean_reward(lam) == pytest.approx(tilt.base_reward, rel=1e-11)
        assert model.kl(lam) == pytest.approx(tilt.kl_to(law), rel=1e-10)


def test_law_of_the_sum_against_rationals() -> None:
    """Length 120 with tiny transition masses: every level to 1e-11, down to e^-1500."""
    exact = [[Fraction(1, 2), Fraction(1, 2)], [Fraction(2**30 - 1, 2**30), Fraction(1, 2**30)]]
    offsets = [[0, 1], [0, 3]]
    want = rational_chain_law(exact, offsets, [Fraction(1), Fraction(0)], 120)
    transition = np.array([[float(p) for p in row] for row in exact])
    law = MarkovModel(transition, np.array(offsets, dtype=float), [1.0, 0.0], 120).sum_law()
    assert law.reward.tolist() == [float(n) for n in sorted(want)]
    errors = [abs(got - log_fraction(want[n])) for got, n in zip(law.log_prob.tolist(), sorted(want), strict=True)]
    assert max(errors) <= 1e-11
    assert law.log_prob.min() < -1500


@pytest.mark.parametrize("offsets", [np.tile([0, 1, 2], (3, 1)), LATTICE.astype(int)])
def test_recursion_with_shared_and_separate_exponents_and_squaring_agree(
    offsets: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second reward has several best cycles: at the extreme sums the states drift apart."""
    case = (CHAIN, offsets, FIRST, 400, 801)
    laws = [_by_level(*case), _by_squaring(*case)]
    monkeypatch.setattr(markov_sum, "_TINY", math.inf)  # every level state by state
    laws.append(_by_level(*case))
    for law in laws[1:]:
        held = np.isfinite(law)
        assert (held == np.isfinite(laws[0])).all()
        assert np.abs(law[held] - laws[0][held]).max() <= 5e-11


def test_states_that_drift_apart_within_a_level_are_not_lost() -> None:
    """From state 0, mass (1/2)^t against one: a shared exponent would lose it, and what becomes of it."""
    transition = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    reward = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    length = 1150
    law = MarkovModel(transition, reward, [1.0, 0.0, 0.0], length).sum_law()
    # S = n > 0 needs the move to state 2 at step m - n + 1: (1/2)^(m-n)/4
    want = (length - np.arange(1, length + 1)) * math.log(0.5) - math.log(4)
    np.testing.assert_allclose(law.log_prob[1:], want, rtol=0, atol=1e-11)
    assert law.log_prob[1] < -790


@pytest.mark.parametrize("length", [3, 6, 40])
def test_transitions_too_rare_for_the_product_of_two_are_not_lost(length: int) -> None:
    """1e-200 three times in a row underflows at once, beside a state of mass one at the same sum."""
    rare = Fraction(1e-200)
    exact = [[1 - rare, rare, 0, 0], [1 - rare, 0, rare, 0], [1 - rare, 0, 0, rare], [Fraction(0), 0, 0, 1]]
    offsets = [[0, 0, 0, 0]] * 3 + [[0, 0, 0, 1]]
    first = [Fraction(1), Fraction(0), Fraction(0), Fraction(0)]
    want = rational_chain_law([[Fraction(p) for p in row] for row in exact], offsets, first, length)
    transition = np.array([[float(p) for p in row] for row in exact])
    law = MarkovModel(transition, np.array(offsets, dtype=float), [1.0, 0.0, 0.0, 0.0], length).sum_law()
    assert law.reward.tolist() == sorted(want)
    for got, n in zip(law.log_prob.tolist(), sorted(want), strict=True):
        assert got == pytest.approx(log_fraction(want[n]), rel=1e-13, abs=1e-14)


@pytest.mark.parametrize("length", [1, 7, 500, 2000, 10_000])
def test_memoryless_is_the_markov_chain_of_rank_one(length: int) -> None:
    prob, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0])
    alone = MemorylessModel(prob, reward, length)
    chain = MarkovModel(np.tile(prob, (3, 1)), reward, prob, length)
    np.testing.assert_allclose(chain.sum_law().log_prob, alone.sum_law().log_prob, rtol=1e-12, atol=1e-12)
    lams = np.array([-3.0, -1e-7, 1e-9, 0.4, 2.0, 30.0])
    for name in ("log_partition", "gain", "mean_reward", "kl", "reverse_kl", "variance"):
        got, want = getattr(chain.token, name)(lams), getattr(alone.token, name)(lams)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-26, err_msg=name)
    np.testing.assert_allclose(chain.token.max_kl, alone.token.max_kl, rtol=1e-12)
    np.testing.assert_allclose(chain.cumulants(6, 0.5), alone.cumulants(6, 0.5), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(chain.rate([0.1, 0.7, 1.5], 0.5), alone.rate([0.1, 0.7, 1.5], 0.5), rtol=1e-12)
    np.testing.assert_allclose(chain.scaled_cgf(0.3, 0.5), alone.scaled_cgf(0.3, 0.5), rtol=1e-12)
    np.testing.assert_allclose(chain.token.frontier([0.2]).reward, alone.token.frontier([0.2]).reward, rtol=1e-12)
    one, other = chain.best_of_n(0.2), alone.best_of_n(0.2)
    for name in ("gain", "optimal_gain", "kl_to_base", "kl_to_optimum", "lam"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12), name


# ---------------------------------------------------------------------- limits per token


@settings(max_examples=40)
@given(chains, st.floats(-4, 4).filter(lambda v: v == 0 or abs(v) > 1e-9))
def test_perron_root_to_fifty_digits_and_the_twisted_chain(
    c: tuple[list[list[float]], list[list[int]]], lam: float
) -> None:
    transition, reward = _chain(c)
    family = TwistedChain(transition, reward)
    k = len(transition)
    with mp.workdps(50):
        weight = mp.matrix(k, k)
        for a, b in itertools.product(range(k), repeat=2):
            weight[a, b] = mp.mpf(float(transition[a, b])) * mp.exp(mp.mpf(lam) * mp.mpf(float(reward[a, b])))
        values = mp.eig(weight, left=False, right=False)
        root = max(mp.re(v) for v in values)
        assert abs(mp.mpf(family.log_partition(lam)) - mp.log(root)) <= 1e-14 * (1 + abs(lam) * 4)
    chain = family.chain(lam)
    np.testing.assert_allclose(chain.sum(axis=1), 1.0, rtol=1e-14)
    law = stationary(chain)
    np.testing.assert_allclose(law @ chain, law, rtol=1e-13)
    # three ways to one divergence: rows of the twisted chain, Legendre, Jeffreys
    rows = float((law[:, None] * chain * np.log(chain / transition)).sum())
    assert family.kl(lam) == pytest.approx(rows, rel=1e-7, abs=1e-14)
    assert family.kl(lam) == pytest.approx(
        lam * family.mean_reward(lam) - family.log_partition(lam), rel=1e-7, abs=1e-13
    )
    assert family.kl(lam) + family.reverse_kl(lam) == pytest.approx(lam * family.gain(lam), rel=1e-9, abs=1e-25)
    assert family.mean_reward(lam) == pytest.approx(float((law[:, None] * chain * reward).sum()), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("lam", [1e-12, 1e-8, 1e-4, 1e-2])
def test_small_tilts_keep_their_digits(lam: float) -> None:
    """D ≈ λ²Λ''(0)/2 + λ³Λ'''(0)/3: a difference of rounded logarithms has no digit left at 1e-8."""
    family = TwistedChain(CHAIN, LATTICE)
    k1, k2, k3, k4, k5 = family.cumulants(5)
    want = lam**2 * (k2 / 2 + lam * (k3 / 3 + lam * (k4 / 8 + lam * k5 / 30)))
    assert family.kl(lam) == pytest.approx(want, rel=1e-11 + lam**4)
    assert family.gain(lam) == pytest.approx(
        lam * (k2 + lam * (k3 / 2 + lam * (k4 / 6 + lam * k5 / 24))), rel=1e-11 + lam**4
    )
    assert family.base_reward == pytest.approx(k1, rel=1e-15)


@pytest.mark.parametrize("lam", [0.0, 0.8, -2.0])
@pytest.mark.parametrize("transition", [CHAIN, PERIODIC])
def test_cumulants_are_the_derivatives_of_the_perron_root(transition: np.ndarray, lam: float) -> None:
    with mp.workdps(50):

        def log_root(t: mp.mpf) -> mp.mpf:
            weight = mp.matrix(3, 3)
            for a, b in itertools.product(range(3), repeat=2):
                weight[a, b] = mp.mpf(float(transition[a, b])) * mp.exp(t * mp.mpf(float(LATTICE[a, b])))
            return mp.log(max(mp.re(v) for v in mp.eig(weight, left=False, right=False)))

        want = [mp.diff(log_root, mp.mpf(lam), n) for n in range(1, 6)]
    got = TwistedChain(transition, LATTICE).cumulants(5, lam)
    assert max(oracle.relative(g, w, 1e5) for g, w in zip(got, want, strict=True)) <= 1e-10


def test_finite_chains_tend_to_the_limits() -> None:
    family = MarkovModel(CHAIN, LATTICE, FIRST, 1).token
    for lam in (-1.0, 0.5, 2.0):
        gaps = []
        for m in (100, 300, 900):
            model = MarkovModel(CHAIN, LATTICE, FIRST, m)
            gaps.append(model.log_partition(lam) - m * family.log_partition(lam))
        # the difference is a constant, reached exponentially fast
        assert abs(gaps[1] - gaps[0]) < 1e-3
        assert abs(gaps[2] - gaps[1]) < 1e-8


@settings(max_examples=40)
@given(chains)
def test_ends_of_the_range_are_the_best_cycles(c: tuple[list[list[float]], list[list[int]]]) -> None:
    transition, reward = _chain(c)
    k = len(transition)
    means = [
        np.mean([reward[a, b] for a, b in zip(cycle, (*cycle[1:], cycle[0]), strict=True)])
        for n in range(1, k + 1)
        for cycle in itertools.permutations(range(k), n)
    ]
    family = TwistedChain(transition, reward)
    assert family.max_reward == pytest.approx(max(means), abs=1e-12)
    assert family.min_reward == pytest.approx(min(means), abs=1e-12)
    assert best_cycle_mean(reward, transition > 0)[0] == pytest.approx(max(means), abs=1e-12)
    if family.max_kl > 0.05 and family.variance(0.0) > 1e-6:
        # the gap between best and second-best cycle is at least 1/12 here: e^{-λ/12}
        assert family.kl(150.0) == pytest.approx(family.max_kl, rel=1e-3)
        assert family.kl(math.inf) == family.max_kl
        lam = family.lam_at_kl(0.4 * family.max_kl)
        assert family.kl(lam) == pytest.approx(0.4 * family.max_kl, rel=1e-11)


def test_perron_vectors_of_wildly_different_size() -> None:
    """Every component of the vector to relative accuracy, over 500 nats."""
    log_weight = np.array([[0.0, -250.0, -np.inf], [-250.0, 0.0, -250.0], [-np.inf, -250.0, 1.0]])
    value, vector = perron(log_weight)
    with mp.workdps(300):
        weight = mp.matrix(3, 3)
        for a, b in itertools.product(range(3), repeat=2):
            weight[a, b] = mp.exp(mp.mpf(float(log_weight[a, b]))) if log_weight[a, b] > -1e9 else 0
        h = mp.matrix([1, 1, 1])
        for _ in range(2000):
            h = weight * h
            h = h / mp.norm(h)
        want = [mp.log(x / h[2]) for x in h]
    assert value == pytest.approx(1.0, abs=1e-13)
    np.testing.assert_allclose(vector - vector[2], [float(x) for x in want], rtol=1e-12)


def test_best_of_exponentially_many_approaches_the_optimum_with_memory() -> None:
    got = [MarkovModel(CHAIN, LATTICE, FIRST, m).best_of_n(0.2) for m in (50, 200, 800)]
    for values in (
        [r.reward_gap for r in got],
        [r.kl_to_optimum / r.length for r in got],
        [0.2 - r.kl_to_base / r.length for r in got],
    ):
        assert all(a > b > 0 for a, b in itertools.pairwise(values)), values
    limit = MarkovModel(CHAIN, LATTICE, FIRST, 1).token.frontier([0.2]).reward[0]
    assert (got[-1].base_reward + got[-1].gain) / 800 == pytest.approx(limit, abs=0.01)


# ---------------------------------------------------------------------- odd chains and bad input


def test_a_periodic_chain_is_named_and_its_limits_hold() -> None:
    model = MarkovModel(PERIODIC, LATTICE, [1.0, 0.0, 0.0], 400)
    assert model.period == 2
    assert MarkovModel(CHAIN, LATTICE, FIRST, 1).period == 1
    for lam in (-0.5, 1.0):
        difference = model.log_partition(lam) - 400 * model.token.log_partition(lam)
        longer = MarkovModel(PERIODIC, LATTICE, [1.0, 0.0, 0.0], 402)
        assert longer.log_partition(lam) - 402 * model.token.log_partition(lam) == pytest.approx(difference, abs=1e-10)


def test_a_reducible_chain_is_named_with_its_classes_and_works_at_finite_length() -> None:
    model = MarkovModel(REDUCIBLE, LATTICE, [1.0, 0.0, 0.0], 50)
    with pytest.raises(ReducibleChainError, match=r"2 communicating classes: \[0\]; \[1, 2\].*sum_law") as caught:
        _ = model.token
    assert caught.value.classes == [[0], [1, 2]]
    with pytest.raises(ReducibleChainError):
        _ = model.period
    assert model.best_of_n(0.05).kl_to_base > 0


def test_states_that_are_never_reached_do_not_make_a_chain_reducible() -> None:
    model = MarkovModel(REDUCIBLE, LATTICE, [0.0, 0.5, 0.5], 50)
    assert model.classes == [[1, 2]]
    inside = TwistedChain(REDUCIBLE[1:, 1:], LATTICE[1:, 1:])
    assert model.token.log_partition(0.5) == pytest.approx(inside.log_partition(0.5), rel=1e-14)


def test_a_reward_that_only_telescopes_has_no_budget_per_token() -> None:
    """ρ(a,b) = v(b) - v(a): every cycle earns nothing, so there is nothing to buy per token."""
    v = np.array([0.0, 1.0, 3.0])
    family = TwistedChain(CHAIN, v[None, :] - v[:, None])
    assert family.max_reward == pytest.approx(0.0, abs=1e-15)
    assert family.max_kl == pytest.approx(0.0, abs=1e-12)
    assert family.log_partition(2.0) == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[0.5, 0.6], [0.5, 0.5]], [0, 1], [1, 0], 3), "rows that sum to one; row 0 sums to 1.1"),
        (([[0.5, 0.5], [1.5, -0.5]], [0, 1], [1, 0], 3), "transition must not be negative; row 1 holds -0.5"),
        (([[0.5, 0.5]], [0, 1], [1, 0], 3), r"transition must be a square matrix; got shape \(1, 2\)"),
        (([[0.5, 0.5], [0.5, 0.5]], [0, 1, 2], [1, 0], 3), r"reward must have shape \(2,\) or \(2, 2\)"),
        (([[0.5, 0.5], [0.5, 0.5]], [1, 1], [1, 0], 3), "reward must take two values or more"),
        (([[0.5, 0.5], [0.5, 0.5]], [0, 1], [1, 1], 3), "initial must be a law"),
        (([[0.5, 0.5], [0.5, 0.5]], [0, 1], [1], 3), r"initial must have shape \(2,\)"),
        (([[0.5, 0.5], [0.5, 0.5]], [0, 1], [1, 0], 0), "length must be a whole number of tokens, at least 1; got 0"),
        (([[0.5, math.nan], [0.5, 0.5]], [0, 1], [1, 0], 3), "transition must be finite"),
    ],
)
def test_bad_models_are_named(arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MarkovModel(*arguments)  # type: ignore[arg-type]


def test_bad_calls_are_named() -> None:
    model = MarkovModel(CHAIN, REAL, FIRST, 100)
    with pytest.raises(TooManyLevelsError, match=r"9 distinct rewards needs about 1e16 levels.*Round the rewards"):
        model.sum_law()
    with pytest.raises(ValueError, match=r"delta must lie in \(0, "):
        MarkovModel(CHAIN, LATTICE, FIRST, 20).best_of_n(5.0)
    with pytest.raises(ValueError, match=r"lam must stay within ±300 for this reward; got 1000"):
        MarkovModel(CHAIN, LATTICE, FIRST, 20).optimum(1000.0)
