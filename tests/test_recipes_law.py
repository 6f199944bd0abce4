"""The recipes for a law and for a divergence in CONTRIBUTING.md: each one file, and everything else takes it."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from alignlib import plotting
from alignlib.answers.findings import ask
from alignlib.answers.output.frontier import lines
from alignlib.divergences import KL, Divergence
from alignlib.estimation import fit_frontier
from alignlib.laws import Exponential, FiniteLaw, PromptAverage, dual_gain, kl_to_optimum
from alignlib.rules import BestOfN, BestOfPoisson
from tests.recipes import recipe

Gamma: type[Any] = recipe("A law").Gamma
ChiSquared: type[Divergence] = recipe("A divergence").ChiSquared


def test_a_law_has_a_frontier_and_its_certificates() -> None:
    """Three methods and a mean suffice: the solver, the inverse and the dual agree, and shape 1 is the exponential."""
    law, budgets = Gamma(2.5), np.array([1e-8, 0.1, 1.0, 20.0])
    limit = law.frontier(budgets)
    np.testing.assert_allclose(law.kl(limit.lam), budgets, rtol=1e-8)
    np.testing.assert_allclose(limit.gain, dual_gain(law, budgets), rtol=1e-9)
    np.testing.assert_allclose(law.kl_at_gain(limit.gain), budgets, rtol=1e-7)
    np.testing.assert_allclose(law.lam_at_gain(limit.gain), limit.lam, rtol=1e-9)
    np.testing.assert_allclose(Gamma().gain_at_kl(budgets), Exponential().gain_at_kl(budgets), rtol=1e-8)
    assert kl_to_optimum(law, 0.5, law.kl(0.5), law.gain(0.5)) == pytest.approx(0.0, abs=1e-12)
    assert PromptAverage([law, Exponential()]).gain_at_kl(0.3) > 0.0
    # Any divergence, by its quantiles: a standard deviation per root of χ² as long as nothing is dropped.
    assert law.frontier([0.01], ChiSquared()).gain[0] == pytest.approx(0.1 * math.sqrt(law.variance(0.0)), rel=1e-9)


def test_rules_and_draws_take_the_law() -> None:
    law = Gamma(2.0)
    best = BestOfN(2).on(law)
    # The larger of two gammas of shape 2 exceeds the mean by E|X - Y|/2 = 3/4.
    assert best.gain == pytest.approx(0.75, rel=1e-9)
    assert best.kl == pytest.approx(math.log(2) - 0.5, rel=1e-9)
    assert best.gain < law.gain_at_kl(best.kl)
    assert BestOfPoisson(3.0).on(law).gain < law.gain_at_kl(BestOfPoisson(3.0).on(law).kl)
    draws = law.sample(0, 100_000)
    assert draws.mean() == pytest.approx(2.0, abs=5 * math.sqrt(2.0 / draws.size))


def test_the_law_is_drawn() -> None:
    fig, ax = plotting.new()
    plotting.frontier(ax, Gamma().frontier())
    assert ax.get_xlabel() == KL.label
    assert ax.lines[0].get_xdata()[-1] == 8.0
    plt.close(fig)


@pytest.mark.parametrize("seed", range(5))
def test_a_divergence_has_a_frontier(seed: int) -> None:
    """Theory: the gain is ``σ √χ²`` exactly as long as no outcome is dropped, and never more."""
    rng = np.random.default_rng(seed)
    law = FiniteLaw(rng.normal(size=6), rng.dirichlet(np.ones(6)))
    sd = math.sqrt(law.variance(0.0))
    until = (sd / (law.base_reward - law.min_reward)) ** 2
    limit = law.frontier(until * np.array([1e-10, 0.1, 0.5, 0.999, 2.0, 10.0]), ChiSquared())
    np.testing.assert_allclose(limit.gain[:4], sd * np.sqrt(limit.spent[:4]), rtol=1e-9)
    assert (limit.gain[4:] < sd * np.sqrt(limit.spent[4:])).all()
    assert limit.divergence == ChiSquared()


def test_rules_spend_it_and_it_is_drawn() -> None:
    """Best-of-2 is χ²-optimal for win rates: without ties it spends ``(N-1)²/(2N-1)``."""
    divergence = ChiSquared()
    n = 3.0
    assert BestOfN(n).spent_formula(divergence) == pytest.approx((n - 1) ** 2 / (2 * n - 1), rel=1e-9)
    law = FiniteLaw(np.arange(200.0))
    best = BestOfN(2).on(law)
    limit = law.frontier([best.spent(divergence)], divergence)
    assert best.gain == pytest.approx(float(limit.gain[0]), rel=1e-9)
    fig, ax = plotting.new()
    plotting.frontier(ax, law.frontier(divergence=divergence))
    assert ax.get_xlabel() == "χ² to the base model"
    plt.close(fig)


def test_the_law_is_estimated_and_printed() -> None:
    """From samples of it; and a table of it is answered like any other."""
    law, budgets = Gamma(2.0), [0.05, 0.2]
    rows = law.sample(1, 120 * 32).reshape(120, 32)
    found = fit_frontier(rows, n_boot=200).at(budgets)
    truth = law.gain_at_kl(budgets)
    assert ((found.gain_low <= truth) & (truth <= found.gain_high)).all()
    said = lines(ask({"gamma": rows}, "gamma", kl=budgets, n_boot=200))
    assert any(f"{found.gain[1]:.4g}" in line and line.split()[0] == "0.2" for line in said), said


def test_the_divergence_is_estimated_and_printed() -> None:
    """As the built-in χ² is, under its own name."""
    rows = np.random.default_rng(3).standard_normal((60, 32))
    options: dict[str, Any] = {"n_boot": 200, "rng": 0}
    found = fit_frontier(rows, divergence=ChiSquared(), **options).at([0.05, 0.2])
    known = fit_frontier(rows, divergence="chi2", **options).at([0.05, 0.2])
    for name in ("gain", "gain_low", "gain_high"):
        np.testing.assert_allclose(getattr(found, name), getattr(known, name), rtol=1e-7)
    said = lines(ask({"r": rows}, "r", kl=[0.05], divergence=ChiSquared(), n_boot=200))
    assert any(f"{found.gain[0]:.4g}" in line and line.split()[0] == "0.05" for line in said), said
    assert any("χ²" in line for line in said), said
