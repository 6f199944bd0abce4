"""Over-optimisation curves and the hacking threshold on finite laws: brute force, certificates, properties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib._core.checks import FloatArray
from alignlib.hacking.hacking_threshold import hacking_threshold
from alignlib.hacking.overoptimisation import OverOptimisation, directions, rule_curve, tilting_curve
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import BestOfN, BestOfPoisson, Rule, SoftBestOfN
from tests.test_proxy_gap import VALUES, pairs

GOLD = np.array([0.0, 2.0, 1.0, -1.0, 0.5])
PROXY = np.array([0.0, 1.0, 1.0, 2.0, -1.0])
PROB = np.array([0.3, 0.1, 0.25, 0.15, 0.2])
PAIR = ProxyPair(GOLD, PROXY, PROB)
PATHS = [None, BestOfN, BestOfPoisson]  # None is the tilt
HUMP = ProxyPair([0.0, 1.0, 2.0, 0.5, -1.0], [0.0, 1.0, 2.0, 3.0, 4.0], [0.4, 0.3, 0.2, 0.07, 0.03])


def along(pair: ProxyPair, rule: type[BestOfN] | type[BestOfPoisson] | None, values: object) -> OverOptimisation:
    return tilting_curve(pair, values) if rule is None else rule_curve(pair, rule.along(values))


def gold_along(pair: ProxyPair, rule: type[BestOfN] | type[BestOfPoisson] | None, values: FloatArray) -> FloatArray:
    """The gold gain of `along`, without its limit and KL, which take three times as long."""
    if rule is None:
        return np.asarray(pair.gold_gain(values))
    return np.array([pair.gold_of_levels(one.log_ratio(pair.levels)) for one in rule.along(values)])


def best_of_n_by_enumeration(n: int) -> float:
    total = 0.0
    for draws in itertools.product(range(5), repeat=n):
        chosen = np.array(draws)
        best = chosen[PROXY[chosen] == PROXY[chosen].max()]
        total += np.prod(PROB[chosen]) * GOLD[best].mean()
    return total - PROB @ GOLD


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_best_of_n_in_gold_is_the_enumeration_of_all_draws(n: int) -> None:
    curve = rule_curve(PAIR, [BestOfN(n)])
    assert curve.gold_gain[0] == pytest.approx(best_of_n_by_enumeration(n), abs=1e-12)


def test_best_of_poisson_is_the_mixture_of_best_of_n() -> None:
    weights = [math.exp(-2.0) * 2.0**k / math.factorial(k) for k in range(60)]
    mixture = np.array(weights) @ rule_curve(PAIR, BestOfN.along(1.0 + np.arange(60))).gold_gain
    assert rule_curve(PAIR, [BestOfPoisson(2.0)]).gold_gain[0] == pytest.approx(mixture, abs=1e-12)


def test_soft_best_of_n_runs_from_the_base_to_best_of_n_and_tends_to_the_tilt() -> None:
    curve = rule_curve(PAIR, SoftBestOfN.along([0.0, 60.0], n=3))
    np.testing.assert_allclose(curve.gold_gain, [0.0, rule_curve(PAIR, [BestOfN(3)]).gold_gain[0]], atol=1e-9)
    many = rule_curve(PAIR, [SoftBestOfN(1e6, 1.3)]).gold_gain
    np.testing.assert_allclose(many, tilting_curve(PAIR, [1.3]).gold_gain, atol=1e-5)


@settings(max_examples=40)
@given(pairs(), st.floats(1e-3, 8), st.floats(1, 200))
def test_no_optimiser_of_a_proxy_beats_the_limit_at_its_kl(pair: ProxyPair, lam: float, n: float) -> None:
    rules = (BestOfN(n), BestOfPoisson(n - 1), SoftBestOfN(n, lam))
    for curve in (tilting_curve(pair, [lam]), *(rule_curve(pair, [rule]) for rule in rules)):
        assert (curve.gold_gain <= curve.limit_gain + 1e-6).all()


# -- the threshold


@pytest.mark.parametrize("rule", PATHS)
def test_threshold_against_a_fine_grid(rule: type[BestOfN] | None) -> None:
    found = hacking_threshold(HUMP, rule)
    grid = np.linspace(0.2, 5.0, 2001) if rule is None else np.linspace(1.0, 40.0, 2001)
    gold = along(HUMP, rule, grid).gold_gain
    np.testing.assert_array_equal(gold_along(HUMP, rule, grid[::100]), gold[::100])
    assert found.parameter == pytest.approx(grid[gold.argmax()], abs=2 * (grid[1] - grid[0]))
    assert found.gold_gain >= gold.max() - 1e-15
    assert found.low < found.parameter < found.high
    assert found.slope_low > 0 > found.slope_high
    assert found.high / found.low - 1 < 1e-6
    assert found.certified
    assert found.turns_down
    assert found.end_gain == pytest.approx(-1.0 - HUMP.ideal.base_reward)


@pytest.mark.parametrize("rule", PATHS)
def test_slopes_are_derivatives(rule: type[BestOfN] | None) -> None:
    found = hacking_threshold(HUMP, rule)
    h = 1e-5
    around = along(HUMP, rule, [found.low - h, found.low + h, found.low]).gold_gain
    assert (around[1] - around[0]) / (2 * h) == pytest.approx(found.slope_low, abs=1e-8)


@pytest.mark.parametrize("rule", PATHS)
def test_a_proxy_that_ranks_as_gold_does_is_never_hacked(rule: type[BestOfN] | None) -> None:
    gold = np.array([0.0, 0.3, 1.0, 4.0])
    saturating = hacking_threshold(ProxyPair(gold, np.tanh(gold)), rule)
    assert saturating.parameter == np.inf
    assert not saturating.turns_down
    assert saturating.certified
    assert saturating.gold_gain == pytest.approx(4.0 - gold.mean())
    assert saturating.spent == pytest.approx(math.log(4))


@pytest.mark.parametrize(("rule", "start"), [(None, 0.0), (BestOfN, 1.0), (BestOfPoisson, 0.0)])
def test_a_proxy_opposed_to_gold_is_hacked_from_the_start(rule: type[BestOfN] | None, start: float) -> None:
    found = hacking_threshold(ProxyPair([0.0, 1.0, 2.0], [2.0, 1.0, 0.0]), rule)
    assert (found.parameter, found.gold_gain, found.spent) == (start, 0.0, 0.0)
    assert found.turns_down
    assert found.certified


@settings(max_examples=60)
@given(pairs(), st.sampled_from(PATHS))
def test_no_point_of_the_path_has_more_gold_than_the_threshold(pair: ProxyPair, rule: type[BestOfN] | None) -> None:
    if np.ptp(pair.proxy) == 0 or np.ptp(pair.gold) == 0 or np.diff(pair.levels.reward).min() < 1e-3:
        return
    found = hacking_threshold(pair, rule)
    grid = np.geomspace(1e-3, 1e3, 300)
    gold = gold_along(pair, rule, 1 + grid if rule is BestOfN else grid)
    assert gold.max() <= found.gold_gain + 1e-7


@settings(max_examples=60)
@given(st.lists(VALUES, min_size=3, max_size=7), st.integers(0, 6), st.sampled_from(PATHS))
def test_gold_that_turns_once_along_the_proxy_turns_at_most_once_along_the_path(
    values: list[float], peak: int, rule: type[BestOfN] | None
) -> None:
    """Variation diminishing: sort the values up to the peak, and down after it."""
    peak = min(peak, len(values) - 1)
    gold = np.concatenate([np.sort(values[:peak]), -np.sort(-np.array(values[peak:]))])
    if peak and gold[peak - 1] > gold[peak]:
        gold[peak] = gold[peak - 1] + 1.0
    pair = ProxyPair(gold, np.arange(len(values)) * 0.7)
    assert len(directions(pair, 1e-13)) <= 2
    curve = gold_along(pair, rule, np.geomspace(1, 300, 200))
    steps = np.diff(curve)
    signs = np.sign(steps[np.abs(steps) > 1e-12])
    assert np.count_nonzero(np.diff(signs)) <= 1


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="rules must hold at least one rule"):
        rule_curve(PAIR, [])
    with pytest.raises(ValueError, match=r"proxy must take at least two values to optimise; all outcomes .* have 1"):
        hacking_threshold(ProxyPair([0.0, 1.0], [1.0, 1.0]))
    with pytest.raises(ValueError, match="gold must take at least two values"):
        hacking_threshold(ProxyPair([1.0, 1.0], [0.0, 1.0]))


@pytest.mark.parametrize("rule", PATHS)
def test_gold_that_is_unrelated_to_the_proxy_neither_peaks_nor_falls(rule: type[BestOfN] | None) -> None:
    found = hacking_threshold(ProxyPair([0.0, 1.0, 0.1, 0.9], [0.0, 0.0, 1.0, 1.0]), rule)
    assert not found.turns_down
    assert (found.gold_gain, found.end_gain) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("make", "late"), [(lambda lam: SoftBestOfN(16, lam), 100.0), (lambda mu: BestOfPoisson(mu), 5000.0)]
)
def test_any_rule_has_a_threshold_and_only_some_a_proof(make: Callable[[float], Rule], late: float) -> None:
    found = hacking_threshold(HUMP, make)
    grid = np.linspace(0.05, 40.0, 801)
    gold = rule_curve(HUMP, [make(v) for v in grid]).gold_gain
    assert found.gold_gain >= gold.max() - 1e-12
    assert found.parameter == pytest.approx(grid[gold.argmax()], abs=2 * (grid[1] - grid[0]))
    assert found.turns_down
    assert found.certified == (found.path == "best-of-Poisson")
    assert found.end_gain == pytest.approx(rule_curve(HUMP, [make(late)]).gold_gain[0], abs=1e-9)
