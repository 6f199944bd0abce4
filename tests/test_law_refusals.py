"""What laws and divergences refuse, each in one sentence that names the argument, and what they say of themselves."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from alignlib import InputError
from alignlib._core.checks import FloatArray
from alignlib.divergences import KL, REVERSE_KL, Divergence
from alignlib.laws import Bernoulli, Exponential, FiniteLaw, Gaussian, HeavyTailed, Laplace, Law, PromptAverage, Uniform
from alignlib.rules import BestOfN
from alignlib.sequences import MemorylessModel, SumLaw, TwistedChain

COIN = FiniteLaw([0.0, 1.0])
TOKENS = MemorylessModel([0.5, 0.3, 0.2], [0.0, 1.0, 2.5], 6)
WITH_QUANTILES: list[Law] = [
    COIN,
    Bernoulli(0.3),
    Gaussian(),
    Uniform(),
    Exponential(),
    Laplace(),
    HeavyTailed(stats.t(3)),
    TOKENS.sum_law(),
]
kinds = pytest.mark.parametrize("law", WITH_QUANTILES, ids=lambda law: type(law).__name__)


@kinds
@pytest.mark.parametrize("mass", [-0.1, 1.5, math.nan, [0.2, 7.0], "half"])
def test_a_quantile_is_of_a_mass(law: Law, mass: Any) -> None:
    with pytest.raises(InputError, match="u must"):
        law.quantile(mass)
    with pytest.raises(InputError, match="u must"):
        law.quantile(mass, upper=True)


@kinds
def test_one_mass_gives_one_number_and_the_ends_are_quiet(law: Law) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (law.quantile(0.0), law.quantile(1.0)) == (law.min_reward, law.max_reward)
        assert (law.quantile(1.0, upper=True), law.quantile(0.0, upper=True)) == (law.min_reward, law.max_reward)
    assert isinstance(law.quantile(0.4), float)
    assert law.quantile([0.4]).tolist() == [law.quantile(0.4)]


@pytest.mark.parametrize(
    "law", [*WITH_QUANTILES, PromptAverage([COIN, Gaussian()]), TOKENS], ids=lambda law: type(law).__name__
)
def test_shapes_of_draws(law: Law) -> None:
    assert isinstance(law.sample(1, ()), float)
    assert law.sample(1, 3).tolist() == law.sample(1, (3,)).tolist()
    assert law.sample(1, (2, 0)).shape == (2, 0)
    for size in (-1, (2, -3), 1.5, "2"):
        with pytest.raises(InputError, match="size must"):
            law.sample(1, size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Gaussian(mean=math.nan), "mean must be finite"),
        (lambda: Gaussian(sd=math.inf), "sd must be finite"),
        (lambda: Gaussian(sd="a"), "sd must hold numbers; got 'a'"),
        (lambda: Gaussian(sd=[1.0]), r"sd must be one number, not several; got \[1.0\]"),
        (lambda: Gaussian(mean=None), "mean must hold numbers; got None"),
        (lambda: Uniform(-math.inf, 0.0), "low must be finite"),
        (lambda: Uniform("a", "b"), "low must hold numbers"),
        (lambda: Exponential(math.inf), "rate must be finite"),
        (lambda: Laplace(1.0, math.nan), "base_reward must be finite"),
        (lambda: Bernoulli("x"), "success must hold numbers"),
        (lambda: FiniteLaw(None), "reward must hold numbers; got None"),
        (lambda: PromptAverage([1, 2]), "laws must hold laws, such as .*; got 1 at 0"),
        (lambda: PromptAverage([COIN, None]), "laws must hold laws, .*; got None at 1"),
        (lambda: PromptAverage(Gaussian()), "laws must be a sequence of laws"),
        (lambda: PromptAverage(3), "laws must be a sequence of laws; got 3"),
        (lambda: HeavyTailed(stats.norm()), "dist must have a heavy upper tail; norm falls exponentially"),
        (lambda: HeavyTailed(stats.gamma(2.0)), "gamma falls exponentially"),
        (lambda: HeavyTailed(stats.uniform()), "uniform ends at 1"),
        (lambda: HeavyTailed(stats.beta(2.0, 3.0)), "beta ends at 1"),
        (lambda: HeavyTailed(3), "dist must be a frozen continuous distribution of scipy"),
        (lambda: HeavyTailed(stats.t), "dist must be a frozen continuous distribution of scipy"),
        (lambda: HeavyTailed(stats.poisson(2.0)), "dist must be a frozen continuous distribution of scipy"),
        (lambda: SumLaw(2, 0.0, [0.0, "a"], [0.0, 0.0]), "excess must hold numbers"),
        (lambda: SumLaw(2, math.nan, [0.0, 1.0], np.log([0.5, 0.5])), "lowest must be finite"),
        (lambda: SumLaw(2, 0.0, [1.0, 2.0], np.log([0.5, 0.5])), "excess must increase from 0"),
        (lambda: TwistedChain(np.eye(2), np.zeros((2, 2))), "classes"),
        (lambda: TwistedChain([[0.5, 0.5], [0.5, 0.5]], np.zeros((2, 2))), "reward must take two values"),
        (lambda: TwistedChain([[0.5, 0.5], [0.5, 0.6]], np.eye(2)), "transition must have rows that sum to one"),
        (lambda: TwistedChain([[0.5, 0.5], [0.5, 0.5]], [1.0, 0.0]), "reward must have the shape of transition"),
        (lambda: TwistedChain([1.0], [1.0]), "transition must be a square matrix"),
        (lambda: COIN.frontier([0.1], "x"), "divergence must be a Divergence or the name of one; got 'x'"),
        (lambda: COIN.max_spent("x"), "divergence must be a Divergence or the name of one"),
        (lambda: BestOfN(2).on(COIN).spent("x"), "divergence must be a Divergence or the name of one"),
        (lambda: BestOfN(2).on(Gaussian()).spent(type(KL)), "divergence must be a Divergence or the name of one"),
        (
            lambda: BestOfN(2).on(PromptAverage([COIN])).spent(None),
            "divergence must be a Divergence or the name of one",
        ),
        (lambda: Gaussian().frontier([0.1], None), "divergence must be a Divergence or the name of one"),
        (lambda: KL.between([0.5, 0.5], [5.0, 5.0]), "prob must sum to one; it sums to 10"),
        (lambda: REVERSE_KL.between([0.5, 0.4], [0.5, 0.5]), r"policy must sum to one; it sums to 0\.9"),
        (lambda: KL.of_log_ratio([0.0], [0.5, 0.5]), r"log_ratio must have the shape of prob, \(2,\); got \(1,\)"),
    ],
)
def test_refusals(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


class TotalVariation(Divergence):
    """Convex, but neither strictly nor differentiable."""

    name = "folded"
    label = "folded"
    slope_at_zero = -0.5
    slope_at_infinity = 0.5

    def f(self, ratio: FloatArray) -> FloatArray:
        return np.abs(ratio - 1.0) / 2.0

    def slope(self, ratio: FloatArray) -> FloatArray:
        return np.sign(ratio - 1.0) / 2.0

    def ratio_at(self, price: FloatArray) -> FloatArray:
        return np.where(price < -0.5, 0.0, np.where(price < 0.5, 1.0, np.inf))


@pytest.mark.parametrize("seed", range(8))
def test_a_frontier_needs_a_strictly_convex_divergence(seed: int) -> None:
    rng = np.random.default_rng(seed)
    law = FiniteLaw(rng.normal(size=5), rng.dirichlet(np.ones(5)))
    with pytest.raises(InputError, match="divergence must be strictly convex and differentiable"):
        law.frontier(rng.uniform(0.0, 0.4, 3), TotalVariation())
    assert TotalVariation().between([0.5, 0.5], [0.25, 0.75]) == pytest.approx(0.25)


def test_lists_serve_where_arrays_do() -> None:
    assert SumLaw(2, 0, [0, 1], list(np.log([0.5, 0.5]))).base_reward == 0.5
    chain = TwistedChain([[0.5, 0.5], [0.5, 0.5]], [[0, 1], [0, 1]])
    assert chain.gain_at_kl(0.1) == pytest.approx(COIN.gain_at_kl(0.1), rel=1e-10)


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (FiniteLaw(np.arange(5000.0)), "<FiniteLaw of 5000 outcomes, rewards 0 to 4999, mean 2499.5>"),
        (PromptAverage([COIN] * 300), "<PromptAverage of 300 laws, mean 0.5>"),
        (TOKENS, "<MemorylessModel of 6 tokens, 3 letters, mean 4.8>"),
        (TOKENS.sum_law(), "<SumLaw of 6 tokens, 25 sums, mean 4.8>"),
        (Bernoulli(0.25), "Bernoulli(0.25)"),
    ],
)
def test_laws_say_briefly_what_they_are(law: Law, words: str) -> None:
    assert repr(law) == words


def test_finite_laws_are_equal_by_content() -> None:
    law = FiniteLaw([1.0, -0.0, 2.0], [0.5, 0.25, 0.25])
    same = FiniteLaw(np.array([1, 0, 2]), [0.5, 0.25, 0.25])
    assert law == same
    assert hash(law) == hash(same)
    assert law != FiniteLaw([1.0, 0.0, 2.0])
    assert law != FiniteLaw([1.0, 0.0, 3.0], [0.5, 0.25, 0.25])
    assert law != 3
    total = TOKENS.sum_law()
    assert total == MemorylessModel([0.5, 0.3, 0.2], [0.0, 1.0, 2.5], 6).sum_law() != total.tilted(0.1)
    assert len({total, TOKENS.sum_law()}) == 1


@pytest.mark.parametrize("kind", [KL, REVERSE_KL], ids=lambda d: d.name)
def test_copies_of_divergences_and_laws_are_equal(kind: Divergence) -> None:
    for copied in (copy.deepcopy(kind), pickle.loads(pickle.dumps(kind))):
        assert copied == kind
        assert COIN.frontier([0.1], copied).gain.tolist() == COIN.frontier([0.1], kind).gain.tolist()
    for law in (COIN, TOKENS.sum_law()):
        assert copy.deepcopy(law) == pickle.loads(pickle.dumps(law)) == law


def test_a_sum_keeps_its_digits_near_the_base() -> None:
    """The law of twenty coins by logarithms of masses against twenty times a coin."""
    total = MemorylessModel([0.75, 0.25], [0.0, 1.0], 20).sum_law()
    coin = Bernoulli(0.25)
    for budget in (1e-300, 1e-100, 1e-30, 1e-12, 1e-6, 1e-3):
        assert total.gain_at_kl(20 * budget) / coin.gain_at_kl(budget) == pytest.approx(20.0, rel=1e-10)
    for lam in (1e-200, -1e-20, 1e-9, 0.049, 0.051, -0.3):
        for name in ("gain", "reverse_kl", "kl"):
            ratio = getattr(total, name)(lam) / getattr(coin, name)(lam) if abs(lam) > 1e-150 else 20.0
            assert ratio == pytest.approx(20.0, rel=1e-10), (lam, name)


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_long_sequences_answer_for_every_gain(offset: float) -> None:
    model = MemorylessModel([0.5, 0.3, 0.2], [offset, offset + 1.0, offset + 4.0], 7)
    chain = TwistedChain([[0.9, 0.1], [0.5, 0.5]], np.array([[0.0, 1.0], [0.25, 1.5]]) + offset)
    for law in (model, model.sum_law(), chain):
        curve = law.frontier()
        # The end and a third of what lies before, another one for each offset: a root takes dozens of evaluations.
        some = np.unique([0, *range(offset > 0, 100, 3), 99, curve.gain.size - 1])
        spent = law.kl_at_gain(curve.gain[some])
        assert spent[-1] == law.max_kl
        np.testing.assert_allclose(spent[:-1], curve.spent[some[:-1]], rtol=1e-6)
        assert law.lam_at_gain(law.max_gain) == math.inf
        assert law.lam_at_gain(law.min_reward - law.base_reward) == -math.inf


def test_rules_see_the_law_of_a_sum() -> None:
    """Two coins: the best of two sequences by enumeration, and by the law of their sum."""
    total = MemorylessModel([0.5, 0.5], [3.0, 4.0], 2).sum_law()
    assert total.levels is not None
    assert total.levels.reward.tolist() == [6.0, 7.0, 8.0]
    best = BestOfN(2).on(total)
    plain = BestOfN(2).on(FiniteLaw([6.0, 7.0, 7.0, 8.0]))
    assert best.gain == pytest.approx(plain.gain, rel=1e-14)
    assert best.kl == pytest.approx(plain.kl, rel=1e-14)
    assert best.win_rate == pytest.approx(plain.win_rate, rel=1e-14)
    np.testing.assert_allclose(best.policy, [1 / 16, 8 / 16, 7 / 16], rtol=1e-14)
    assert best.kl == pytest.approx(total.best_of_n(math.log(2)).kl_to(total), rel=1e-12)
    with pytest.raises(InputError, match="law must be finite"):
        BestOfN(2).on(TwistedChain([[0.5, 0.5], [0.5, 0.5]], [[0, 1], [0, 1]]))


def test_sequences_do_not_follow_their_callers_arrays() -> None:
    excess, logs = np.array([0.0, 1.0]), np.log([0.5, 0.5])
    matrix, reward = np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    token, value = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    laws: list[Law] = [SumLaw(1, 0.0, excess, logs), TwistedChain(matrix, reward), MemorylessModel(token, value, 3)]
    before = [law.log_partition(0.7) for law in laws]
    for array in (excess, reward, value):
        array *= 3.0
    matrix[:] = 0.5
    assert [law.log_partition(0.7) for law in laws] == before
    assert laws[2].token_reward.tolist() == [0.0, 1.0]  # type: ignore[attr-defined]
