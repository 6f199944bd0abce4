"""Error laws: closed forms, brute force, and what decides whether gold turns down."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from alignlib.hacking.error_laws import (
    RESOLUTION,
    GaussianPair,
    finite_law,
    independent_pair,
    noisy_proxy,
    saturating_pair,
)
from alignlib.hacking.hacking_threshold import hacking_threshold
from alignlib.hacking.overoptimisation import rule_curve, tilting_curve
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.rules import BestOfN, BestOfPoisson

LAMS = np.array([0.1, 0.5, 1.5])


@pytest.mark.parametrize("correlation", [-0.9, -0.3, 0.0, 0.6])
def test_gaussian_pair_against_samples_tilted(correlation: float) -> None:
    """All closed forms against a fine product law: r on a grid, the error's independent part on another."""
    pair = GaussianPair(1.3, 0.8, correlation)
    points, mass = finite_law(stats.norm(), 300)
    gold = 1.3 * np.repeat(points, points.size)
    own = np.sqrt(1 - correlation**2) * np.tile(points, points.size)
    cells = ProxyPair(gold, gold + 0.8 * (correlation * gold / 1.3 + own), np.outer(mass, mass).reshape(-1))
    for name in ("ideal_gain", "gold_gain", "kl", "jeffreys", "regret", "gap"):
        np.testing.assert_allclose(getattr(pair, name)(LAMS), getattr(cells, name)(LAMS), rtol=0.02, atol=1e-12)
    few = BestOfN.along([2, 16])
    np.testing.assert_allclose(pair.rule_gold_gain(few), rule_curve(cells, few).gold_gain, rtol=0.02)


def test_gaussian_gold_is_linear_and_turns_for_no_correlation_but_an_opposed_proxy() -> None:
    assert np.ptp(np.diff(GaussianPair(1.0, 3.0).gold_gain(np.arange(6.0)))) == pytest.approx(0, abs=1e-12)
    assert GaussianPair(1.0, 3.0, -0.2).gold_gain(1.0) > 0 > GaussianPair(1.0, 3.0, -0.5).gold_gain(1.0)
    assert GaussianPair(1.0, 1.0, -1.0).rule_gold_gain([BestOfN(8)])[0] == 0.0


@pytest.mark.parametrize("error", [stats.uniform(-1, 2), stats.norm(0, 0.6), stats.laplace(0, 0.3)])
def test_independent_error_leaves_gold_along_lam_alone(error) -> None:
    """The tilt by r + e factorises: gold gains what the ideal policy does at the same λ, at more KL."""
    pair = independent_pair(stats.norm(), error, cells=80)
    np.testing.assert_allclose(pair.gold_gain(LAMS), pair.ideal_gain(LAMS), rtol=1e-10)
    assert (pair.kl(LAMS) > pair.ideal.kl(LAMS)).all()


# -- noisy proxies along N


@pytest.mark.parametrize(("error_sd", "n"), [(0.5, 4.0), (2.0, 1000.0), (0.05, 1e6)])
def test_noisy_proxy_with_normal_noise_is_the_closed_form(error_sd: float, n: float) -> None:
    curve = rule_curve(noisy_proxy(stats.norm(0, error_sd)), [BestOfN(n)])
    assert curve.gold_gain[0] == pytest.approx(GaussianPair(1.0, error_sd).rule_gold_gain([BestOfN(n)])[0], rel=2e-4)


@pytest.mark.parametrize("error", [stats.t(3), stats.pareto(2), stats.uniform(-1, 2), stats.laplace(0, 0.7)])
def test_noisy_proxy_against_plain_quadrature(error) -> None:
    """E r of best of 3 = 3 ∬ r φ(r) f(e) F̂(r + e)² de dr, the inner law by its own quadrature."""
    pair = noisy_proxy(error, sd=1.5, cells=3000)
    edges = np.linspace(-12, 12, 4001)
    gold = stats.norm.pdf(edges, scale=1.5)
    u = (np.arange(4000) + 0.5) / 4000
    noise = error.ppf(u)
    cdf_at = np.sort((1.5 * stats.norm.ppf(u)[None, ::8] + noise[::8, None]).reshape(-1))
    rank = np.searchsorted(cdf_at, edges[:, None] + noise[::8]) / cdf_at.size
    by_force = integrate.simpson(edges * gold * 3 * (rank**2).mean(axis=1), x=edges)
    assert rule_curve(pair, [BestOfN(3)]).gold_gain[0] == pytest.approx(by_force, rel=5e-3)


def test_noisy_proxy_against_simulation_of_a_heavy_tail() -> None:
    rng = np.random.default_rng(0)
    gold, noise = rng.standard_normal((20_000, 50)), rng.standard_t(3, (20_000, 50))
    kept = gold[np.arange(20_000), (gold + noise).argmax(axis=1)]
    exact = rule_curve(noisy_proxy(stats.t(3)), [BestOfN(50)]).gold_gain[0]
    assert abs(kept.mean() - exact) < 4 * kept.std() / np.sqrt(kept.size)


@pytest.mark.parametrize("error", [stats.t(3), stats.t(5), stats.pareto(2), stats.pareto(4)])
@pytest.mark.parametrize("rule", [BestOfN, BestOfPoisson])
def test_heavier_error_than_gold_turns_gold_down_to_nothing(error, rule) -> None:
    pair = noisy_proxy(error)
    found = hacking_threshold(pair, rule, RESOLUTION)
    assert found.turns_down
    assert found.certified
    gold = rule_curve(pair, rule.along([1e5, 1e7, 1e9])).gold_gain
    # E[r | r̂ = v] ≈ (tail index + 1)/v far out, and v grows like N^{1/index}
    assert (np.diff(gold) < 0).all()
    assert 0 < gold[-1] < 0.1 * found.gold_gain


@pytest.mark.parametrize("error", [stats.norm(0, 2.0), stats.uniform(-2, 4)])
def test_lighter_or_equal_error_never_turns_gold_down(error) -> None:
    found = hacking_threshold(noisy_proxy(error), BestOfN, RESOLUTION)
    assert not found.turns_down
    assert found.certified


def test_exponential_error_stops_gold_at_the_end_of_its_tilt() -> None:
    """Where a Laplace error explains any high proxy, gold stays tilted by the error's rate: σ²/scale, and no more."""
    curve = rule_curve(noisy_proxy(stats.laplace(0, 0.7)), BestOfN.along([1e2, 1e4, 1e6, 1e8])).gold_gain
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == pytest.approx(1 / 0.7, rel=1e-5)


@pytest.mark.parametrize("rule", [None, BestOfN, BestOfPoisson])
def test_a_saturating_proxy_stops_but_never_turns(rule) -> None:
    for transform in (np.tanh, lambda r: np.minimum(r, 1.0), lambda r: (r > 0.5).astype(float)):
        pair = saturating_pair(stats.norm(), transform, cells=60)
        found = hacking_threshold(pair, rule)
        assert not found.turns_down
        assert found.certified
    top = stats.norm.expect(lambda r: r, lb=0.5, conditional=True)
    assert found.gold_gain == pytest.approx(top, rel=0.05)


def test_a_rare_exploit_turns_gold_down_along_every_path() -> None:
    gold, mass = finite_law(stats.norm(), 60)
    pair = ProxyPair(np.append(gold, -3.0), np.append(gold, 8.0), np.append(mass * (1 - 1e-4), 1e-4))
    for rule in (None, BestOfN, BestOfPoisson):
        found = hacking_threshold(pair, rule)
        assert found.turns_down
        assert found.gold_gain > 0.5
        assert found.end_gain < 0
        assert tilting_curve(pair, [20.0]).gold_gain[0] < -2.5


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="sd must be positive; got 0"):
        GaussianPair(0.0, 1.0)
    with pytest.raises(ValueError, match="error_sd must not be negative; got -1"):
        GaussianPair(1.0, -1.0)
    with pytest.raises(ValueError, match=r"correlation must lie in \[-1, 1\]; got 2"):
        GaussianPair(1.0, 1.0, 2.0)
    with pytest.raises(ValueError, match="cells must be at least 4; got 2"):
        finite_law(stats.norm(), 2)
    with pytest.raises(ValueError, match=r"tail must lie in \(0, 0.1\]; got 0.5"):
        noisy_proxy(stats.norm(), tail=0.5)
    with pytest.raises(ValueError, match="sd must be positive; got -1"):
        noisy_proxy(stats.norm(), sd=-1.0)
