"""Chains: against every path written out, rationals, high precision, and the memory they may not have."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib import best_of_n, markov_sum
from alignlib.chain_structure import ReducibleChainError, best_cycle_mean
from alignlib.perron import perron, stationary
from alignlib.sequences import MarkovModel
from alignlib.text_chain import letter_chain, letter_states, python_reference_text, read_text, transition_reward
from alignlib.tilting import TiltedFamily
from alignlib.type_sums import TooManyLevelsError
from tests.exact_sums import enumerate_chain, log_fraction, rational_chain_law

TEXT = "the quick brown fox jumps over the lazy dog and then it sleeps all the day long in the warm sun"


@st.composite
def chains(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Irreducible chains of two or three states (a cycle through all is always open), some entries zero."""
    k = draw(st.integers(2, 3))
    weights = np.array(draw(st.lists(st.integers(0, 9), min_size=k * k, max_size=k * k)), dtype=float).reshape(k, k)
    weights[np.arange(k), (np.arange(k) + 1) % k] += 1
    values = draw(st.sampled_from([[0.0, 1.0, 2.0], [-1.0, 0.5, math.sqrt(2)], [0.0, 0.1, 0.3]]))
    picks = draw(st.lists(st.integers(0, 2), min_size=k * k, max_size=k * k))
    reward = np.array([values[i] for i in picks]).reshape(k, k)
    reward[0, 1], reward[1, (2 % k)] = values[0], values[2]
    return weights / weights.sum(axis=1, keepdims=True), reward, np.eye(k)[draw(st.integers(0, k - 1))]


@settings(deadline=None, max_examples=40)
@given(chains(), st.integers(1, 5), st.floats(-2, 2), st.floats(1, 30))
def test_every_path_written_out(
    chain: tuple[np.ndarray, np.ndarray, np.ndarray], length: int, lam: float, n: float
) -> None:
    transition, reward, initial = chain
    sums, masses = enumerate_chain(transition, reward, initial, length)
    sums = np.round(sums, 9)
    model = MarkovModel(transition, reward, initial, length)
    law = model.sum_law()
    levels, where = np.unique(sums, return_inverse=True)
    np.testing.assert_allclose(law.reward, levels, rtol=0, atol=1e-8)
    np.testing.assert_allclose(np.exp(law.log_prob), np.bincount(where, weights=masses), rtol=1e-12)
    whole, optimum = TiltedFamily(sums, masses), model.optimum(lam)
    assert optimum.log_partition == pytest.approx(float(whole.log_partition(lam)), rel=1e-7, abs=1e-7)
    assert optimum.mean_reward == pytest.approx(float(whole.mean_reward(lam)), rel=1e-7, abs=1e-7)
    assert optimum.kl == pytest.approx(law.tilted(lam).kl(law), rel=1e-9, abs=1e-14)
    assert law.best_of_n(math.log(n)).kl(law) == pytest.approx(best_of_n.kl(sums, masses, n), rel=1e-9, abs=1e-13)


@settings(deadline=None, max_examples=25)
@given(chains(), st.integers(1, 25))
def test_all_recursions_against_rationals(chain: tuple[np.ndarray, np.ndarray, np.ndarray], length: int) -> None:
    """Level by level, level and state, and by squaring: one law, exact in rationals."""
    transition, _, initial = chain
    rows = [[Fraction(float(v)) for v in row] for row in transition]
    k = initial.size
    offsets = np.array([[(3 * a + b) % 3 for b in range(k)] for a in range(k)])
    levels = 2 * length + 1
    want = rational_chain_law(rows, offsets.tolist(), [Fraction(float(v)) for v in initial], length)
    expected = np.array([log_fraction(want[n]) if want.get(n) else -np.inf for n in range(levels)])
    for method in (markov_sum._by_level, markov_sum._by_level_and_state, markov_sum._by_squaring):
        got = method(transition, offsets, initial, length, levels)
        assert got is not None, method
        np.testing.assert_allclose(got[:levels], expected, rtol=0, atol=1e-11, err_msg=str(method))


def test_the_two_roads_agree_at_length() -> None:
    """Squaring against the recursion at m = 2000, down to masses of e^-2000."""
    transition, initial = np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([1.0, 0.0])
    offsets, m = np.array([[0, 1], [0, 1]]), 2000
    one = markov_sum._by_squaring(transition, offsets, initial, m, m + 1)
    two = markov_sum._by_level_and_state(transition, offsets, initial, m, m + 1)
    assert two.min() < -1000
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=25)
@given(chains(), st.floats(-4, 4))
def test_perron_and_stationary_law_in_high_precision(
    chain: tuple[np.ndarray, np.ndarray, np.ndarray], lam: float
) -> None:
    transition, reward, _ = chain
    with np.errstate(divide="ignore"):
        value, vector = perron(np.log(transition) + lam * reward)
    law = stationary(transition)
    np.testing.assert_allclose(law @ transition, law, rtol=1e-13)
    with mp.workdps(40):
        matrix = mp.matrix(transition.shape[0])
        for a, b in itertools.product(range(transition.shape[0]), repeat=2):
            matrix[a, b] = mp.mpf(float(transition[a, b])) * mp.exp(mp.mpf(lam) * mp.mpf(float(reward[a, b])))
        roots = mp.eig(matrix, left=False, right=False)
        assert value == pytest.approx(float(mp.log(max(mp.re(r) for r in roots))), abs=1e-11)
        h = mp.matrix([mp.exp(float(v)) for v in vector])
        rest = matrix * h - mp.exp(value) * h
        assert max(abs(rest[i] / h[i]) for i in range(len(h))) < 1e-10 * mp.exp(value)


@settings(deadline=None, max_examples=20)
@given(chains(), st.floats(0.05, 2.0))
def test_limits_per_token_obey_the_identities(chain: tuple[np.ndarray, np.ndarray, np.ndarray], lam: float) -> None:
    transition, reward, initial = chain
    try:
        token = MarkovModel(transition, reward, initial, 10).token
        if token.variance(0.0) < 1e-6:
            return
    except ValueError:
        return
    assert lam * token.gain(lam) == pytest.approx(token.kl(lam) + token.reverse_kl(lam), rel=1e-9)
    slope = (token.log_partition(lam + 1e-5) - token.log_partition(lam - 1e-5)) / 2e-5
    assert token.mean_reward(lam) == pytest.approx(slope, abs=1e-8)
    kappa = token.cumulants(3, lam)
    bend = (token.mean_reward(lam + 1e-4) - token.mean_reward(lam - 1e-4)) / 2e-4
    assert kappa[1] == pytest.approx(bend, rel=1e-4, abs=1e-6)


def test_the_optimum_tends_to_the_twisted_chain() -> None:
    transition, reward = [[0.9, 0.1], [0.4, 0.6]], [0.0, 1.0]
    steps = MarkovModel(transition, reward, [1.0, 0.0], 400).optimum(0.8).steps
    twisted = MarkovModel(transition, reward, [1.0, 0.0], 400).tilted(0.8).transition
    np.testing.assert_allclose(steps[200], twisted, rtol=0, atol=1e-13)
    assert np.abs(steps[-1] - twisted).max() > 1e-3  # near the end it differs
    models = [MarkovModel(transition, reward, [1.0, 0.0], m) for m in (100, 1000)]
    gaps = [abs(model.kl(0.8) / model.length - model.token.kl(0.8)) for model in models]
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.05)


def test_periodic_chains_have_their_limits() -> None:
    """Period 2: the law lives on one class of sums at each length; rates and best-of-N are defined."""
    model = MarkovModel([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], 400)
    assert model.period == 2
    # two transitions form one fair coin
    assert model.token.log_partition(0.7) == pytest.approx(0.5 * math.log((1 + math.exp(0.7)) / 2), abs=1e-13)
    assert model.token.max_reward == 0.5
    assert model.best_of_n(0.1).kl_to_optimum / 400 < 0.01
    assert best_cycle_mean(model.reward, model.transition > 0)[0] == 0.5


def test_a_reducible_chain_says_which_classes_and_keeps_what_is_defined() -> None:
    model = MarkovModel([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]], [0.0, 1.0, 2.0], [1.0, 0.0, 0.0], 6)
    with pytest.raises(ReducibleChainError, match=r"\[0\]; \[1\]; \[2\].*sum_law") as got:
        model.frontier()
    assert got.value.classes == [[0], [1], [2]]
    sums, masses = enumerate_chain(model.transition, model.reward, model.initial, 6)
    assert model.sum_law().mean == pytest.approx(float(masses @ sums), rel=1e-13)
    # states that are never reached do not make it reducible
    assert MarkovModel([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]], [0.0, 1.0, 2.0], [1, 0, 0], 6).period == 1


def test_a_chain_of_real_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    transition, law, kept = letter_chain(letter_states(read_text(path)))
    np.testing.assert_allclose(law @ transition, law, atol=1e-15)
    for kind in ("alternation", "words", "doubles"):
        model = MarkovModel(transition, transition_reward(kind, kept), law, 20)
        assert model.sum_law().mean == pytest.approx(20 * model.token.base_reward, rel=1e-10)
    words = transition_reward("words", kept)
    rate = MarkovModel(transition, words, law, 5).token.base_reward
    assert rate == pytest.approx(TEXT.count(" ") / len(TEXT), rel=1e-12)  # closed to a circle: as many ends as spaces
    assert len(python_reference_text()) > 100_000


def test_text_that_will_not_do_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bytes.bin"
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValueError, match="text must be a file in UTF-8"):
        read_text(path)
    with pytest.raises(ValueError, match="text must hold two different letters"):
        letter_chain(letter_states("..."))
    with pytest.raises(ValueError, match="reward must be one of"):
        transition_reward("rhymes", np.arange(27))


HALVES = [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[0.5, 0.4], [0.5, 0.5]], [0, 1], [1, 0], 3), "transition must have rows that sum to one; row 0 sums to 0.9"),
        (([[1.5, -0.5], [0.5, 0.5]], [0, 1], [1, 0], 3), "transition must not be negative; row 0"),
        (([[0.5, 0.5]], [0, 1], [1, 0], 3), "transition must be a square matrix"),
        ((HALVES, [0, 1, 2], [1, 0], 3), "reward must have shape"),
        ((HALVES, [0, math.nan], [1, 0], 3), "reward"),
        ((HALVES, [1, 1], [1, 0], 3), "reward must take two values"),
        ((HALVES, [0, 1], [1, 1], 3), "initial must be a law"),
        ((HALVES, [0, 1], [1], 3), "initial must have shape"),
        ((HALVES, [0, 1], [1, 0], 0), "length must be a whole number"),
    ],
)
def test_bad_chains_are_named(arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MarkovModel(*arguments)  # type: ignore[arg-type]


def test_budgets_out_of_reach_and_laws_too_large() -> None:
    model = MarkovModel(HALVES, [0, 1], [1, 0], 10)
    with pytest.raises(ValueError, match=r"delta must lie in \(0, 0.693147\)"):
        model.best_of_n(0.7)
    with pytest.raises(ValueError, match="lam must stay within"):
        model.optimum(1e4)
    reward = [[0.0, 1.0], [math.sqrt(2), math.pi]]
    with pytest.raises(TooManyLevelsError, match="max_levels allows 2,000,000"):
        MarkovModel(HALVES, reward, [1, 0], 2000).sum_law()
