"""Limits in other divergences than KL, from samples: against exact laws, closed forms and refusals."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.answers.findings import ask
from alignlib.answers.output.frontier import lines, record
from alignlib.divergences import (
    CHI_SQUARED,
    HELLINGER,
    JENSEN_SHANNON,
    KL,
    REVERSE_KL,
    TOTAL_VARIATION,
    Divergence,
    Renyi,
    as_divergence,
)
from alignlib.estimation import fit_frontier
from alignlib.estimation.divergence_curve import divergence_curve
from alignlib.estimation.prices import worth
from alignlib.laws import Exponential, FiniteLaw, Gaussian, Laplace, Law, Uniform
from alignlib.laws.continuous import ContinuousLaw
from alignlib.rules import BestOfN
from tests.test_divergences import ALL, SMOOTH


@pytest.mark.parametrize("divergence", SMOOTH)
def test_prices_give_the_dual_of_the_frontier(divergence: Divergence) -> None:
    """``ψ(λ) >= λ gain - D`` for every budget, with equality at the budget that λ is the price of."""
    law = FiniteLaw([0.0, 0.3, 1.0, 2.5], [0.4, 0.3, 0.2, 0.1])
    curve = law.frontier([0.02, 0.1, 0.2], divergence)
    lam = curve.lam * divergence.mean_slope(curve.spent)
    gap = (law.max_reward - law.reward)[None]
    psi = np.array([float(worth(gap, law.prob, value, divergence).psi[0]) for value in lam])
    bound = lam[:, None] * curve.gain - divergence.mean_of(curve.spent)
    assert (psi[:, None] >= bound - 1e-11).all()
    np.testing.assert_allclose(psi, np.diag(bound), rtol=1e-9)


@pytest.mark.parametrize("divergence", [CHI_SQUARED, Renyi(1.5), Renyi(3.0)], ids=["chi2", "renyi_1.5", "renyi_3"])
def test_every_row_of_a_table_has_its_price(divergence: Divergence) -> None:
    """Where rewards drop out the slope of the sum jumps, and Newton's steps alone go back and forth for ever."""
    rng = np.random.default_rng(0)
    rows = np.round(rng.standard_normal((400, 12)) * np.exp(rng.standard_normal((400, 1))), 2)
    gap = rows.max(axis=1, keepdims=True) - rows
    for lam in (0.05, 0.3, 1.0, 3.0, 30.0, 1e3):
        ratio = worth(gap, np.asarray(1.0 / 12.0), lam, divergence).ratio
        np.testing.assert_allclose(ratio.mean(axis=1), 1.0, rtol=1e-9)


@pytest.mark.parametrize("alpha", [3.0, 8.0, 20.0, 50.0])
@pytest.mark.filterwarnings("error")
def test_prices_are_found_at_every_order(alpha: float) -> None:
    """Where outcomes are about to be dropped the ratio jumps; ``ψ`` by halving in 40 digits."""
    table = np.random.default_rng(4).standard_normal((6, 9)).round(1)
    gap = table.max(axis=1, keepdims=True) - table
    for lam in (0.3, 7.0, 1e4):
        got = worth(gap, np.full(9, 1 / 9), lam, Renyi(alpha)).psi
        np.testing.assert_allclose(got, [_psi_in_digits(row.tolist(), lam, alpha) for row in gap], rtol=1e-9)


def _psi_in_digits(gap: list[float], lam: float, alpha: float) -> float:
    with mp.workdps(40):
        order, delta = mp.mpf(alpha), mp.mpf(alpha) - 1
        fall = [delta * mp.mpf(lam) * mp.mpf(one) for one in gap]
        low, high = mp.mpf(0), 1 + max(fall) + mp.mpf(len(gap)) ** delta
        for _ in range(300):
            middle = (low + high) / 2
            total = sum((middle - one) ** (1 / delta) for one in fall if middle > one) / len(gap)
            low, high = (middle, high) if total < 1 else (low, middle)
        kept = sum((low - one) ** (order / delta) for one in fall if low > one) / len(gap)
        return float(sum(fall) / delta / len(gap) - (low - 1) / delta + (kept - 1) / order)


@pytest.mark.parametrize("divergence", SMOOTH)
def test_how_fast_a_ratio_answers_its_price(divergence: Divergence) -> None:
    ratio = np.array([0.1, 1.0, 3.0])
    np.testing.assert_allclose(divergence.response(ratio), Divergence.response(divergence, ratio), rtol=1e-8)


@pytest.mark.parametrize("divergence", ALL)
def test_samples_give_the_limit_of_their_law(divergence: Divergence) -> None:
    """Of grades with a known top, 200 prompts of 32: the truth is in every 99 % interval, and these are narrow."""
    prob = [0.15, 0.35, 0.3, 0.2]
    rows = np.random.default_rng(3).choice(4, p=prob, size=(200, 32)).astype(float)
    bounded = (0.0, 3.0) if math.isfinite(divergence.slope_at_infinity) else None
    fit = fit_frontier(rows, divergence=divergence, bounded=bounded, level=0.99, n_boot=100)
    budgets = np.array([0.01, 0.05, 0.1])
    got, law = fit.at(budgets), FiniteLaw(np.arange(4.0), prob)
    want = law.frontier(budgets, divergence).gain
    assert got.supported.all()
    assert ((got.gain_low <= want + 1e-12) & (want <= got.gain_high + 1e-12)).all()
    np.testing.assert_allclose(got.gain, want, rtol=0.03)
    presumed = 3.0 * got.unseen_top / 200  # all that prompts without a top grade could gain
    assert (got.gain_high - got.gain_low < 0.15 * want + presumed).all()
    assert got.unseen_top <= 1
    assert got.divergence == divergence
    best = fit.share([BestOfN(2)])
    if divergence == TOTAL_VARIATION:  # what a rule spends is a mean of absolute values
        assert best.share is None
        assert best.limit_gain is None
        return
    exact = BestOfN(2).on(law)
    assert best.spent[0] == pytest.approx(exact.spent(divergence), rel=0.05)
    assert best.share is not None
    limit = law.frontier([exact.spent(divergence)], divergence).gain[0]
    assert best.share[0] == pytest.approx(exact.gain / limit, abs=0.03)


def test_chi_squared_is_the_unbiased_variance_while_no_sample_is_dropped() -> None:
    """The gain is ``s √χ²``, s² the mean over prompts of the variances with n - 1: exactly, table by table."""
    rows = np.random.default_rng(0).random((20, 7))
    fit = fit_frontier(rows, divergence=CHI_SQUARED, n_boot=100)
    s = math.sqrt(float(rows.var(axis=1, ddof=1).mean()))
    np.testing.assert_allclose(fit.at([0.001, 0.01]).gain, s * np.sqrt([0.001, 0.01]), rtol=1e-6)


@pytest.mark.parametrize("divergence", [REVERSE_KL, HELLINGER, JENSEN_SHANNON, TOTAL_VARIATION, Renyi(0.5)])
def test_without_an_upper_end_there_is_no_optimum(divergence: Divergence) -> None:
    rows = np.random.default_rng(0).random((10, 8))
    with pytest.raises(InputError, match="no upper end: it charges a bounded price for mass moved into the upper tail"):
        fit_frontier(rows, divergence=divergence)
    assert fit_frontier(rows, divergence=divergence, bounded=(0.0, 1.0), n_boot=100).problem is None


@pytest.mark.parametrize("divergence", [REVERSE_KL, HELLINGER, JENSEN_SHANNON, Renyi(0.5)])
def test_a_limit_that_presumes_an_unseen_response_is_an_upper_one(divergence: Divergence) -> None:
    """Of rewards 0 and 0.2 with bounds 0 and 5 the law's own limit is far below; shares from below."""
    law, budget = FiniteLaw([0.0, 0.2], [0.8, 0.2]), 0.02
    rows = np.where(np.random.default_rng(0).random((30, 16)) < 0.2, 0.2, 0.0)
    fit = fit_frontier(rows, divergence=divergence, bounded=(0.0, 5.0), n_boot=100)
    got, own = fit.at(budget), law.frontier([budget], divergence).gain[0]
    assert fit.unseen_top == got.unseen_top == 30
    assert got.gain_low[0] == 0.0
    assert own < got.gain[0] <= got.gain_high[0]
    found, exact = fit.share(BestOfN(2)), BestOfN(2).on(law)
    assert found.supported is not None
    assert found.share_low is not None
    assert found.share_high is not None
    assert not found.supported[0]
    assert found.share_high[0] == 1.0
    with_top = FiniteLaw([0.0, 0.2, 5.0], [0.8, 0.2 - 1e-9, 1e-9]).frontier([exact.spent(divergence)], divergence)
    assert 0.5 * found.share_low[0] < exact.gain / with_top.gain[0] < 1.0
    text = "\n".join(
        lines(ask(fit.table, "reward", divergence=divergence, bounded=(0.0, 5.0), kl=[budget], n_boot=100))
    )
    assert "An upper limit: it presumes a response of the largest reward on every prompt" in text
    assert "on 30 of 30 prompts no sample is one" in text
    assert "at least" in text
    seen = fit_frontier(np.where(rows > 0.0, 5.0, np.r_[5.0, np.zeros(15)]), divergence=divergence, bounded=(0.0, 5.0))
    assert seen.unseen_top == 0
    assert seen.at(budget).gain_low[0] > 0.0


def test_best_of_many_costs_more_reverse_kl_than_floats_hold_and_limits_stay_numbers() -> None:
    """Of 1,000 samples best-of-256 leaves the lowest a mass of 1e-768; deletions that leave a level add nothing."""
    rows = np.random.default_rng(0).choice(4, size=(1, 1000), p=[0.001, 0.3, 0.4, 0.299]).astype(np.float64)
    fit = fit_frontier(rows, divergence=REVERSE_KL, bounded=(0.0, 3.0), n_boot=100)
    found = fit.at([0.02, 0.1])
    truth = FiniteLaw([0.0, 1.0, 2.0, 3.0], [0.001, 0.3, 0.4, 0.299]).frontier(np.array([0.02, 0.1]), REVERSE_KL).gain
    assert np.isfinite(found.gain).all()
    np.testing.assert_allclose(found.gain, truth, rtol=0.1)


def test_no_share_excludes_its_own_estimate() -> None:
    rng = np.random.default_rng(0)
    for divergence in (REVERSE_KL, HELLINGER, CHI_SQUARED, KL):
        for _ in range(2 if divergence in (KL, CHI_SQUARED) else 1):
            rows = rng.integers(1, 6, (12, 8)).astype(float)
            best = fit_frontier(rows, divergence=divergence, bounded=(1, 5), n_boot=100).share(BestOfN.along([2, 4]))
            assert best.share is not None
            assert best.share_low is not None
            assert best.share_high is not None
            assert ((best.share_low <= best.share) & (best.share <= best.share_high)).all()


def test_the_command_says_why_total_variation_has_no_share() -> None:
    rows = np.random.default_rng(0).integers(1, 6, (30, 8)).astype(float)
    found = ask(rows, "reward", divergence="tv", bounded=(1, 5), kl=[0.24], n_boot=100)
    text = "\n".join(lines(found))
    assert "No share of the limit: total variation is a mean of absolute values" in text
    assert record(found)["reward"]["rules"][0]["share"] is None


def test_what_other_budgets_do_not_know_is_refused() -> None:
    rows = np.random.default_rng(0).random((10, 8))
    with pytest.raises(InputError, match="budget must be 'average' for win rates and for divergences other than KL"):
        fit_frontier(rows, divergence=CHI_SQUARED, budget="per_prompt")
    fit = fit_frontier(rows, divergence=CHI_SQUARED, n_boot=100)
    with pytest.raises(InputError, match="gold is known for the reward itself and KL"):
        fit.gold("reward")
    for divergence, most in ((HELLINGER, 1.0), (JENSEN_SHANNON, math.log(2.0))):
        assert divergence.largest == pytest.approx(most, rel=1e-15)
        with pytest.raises(InputError, match=r"budgets must not exceed .*, the largest .* of any two laws; got 1.5"):
            fit_frontier(rows, divergence=divergence, bounded=(0.0, 1.0), n_boot=100).at(1.5)
    assert all(one.largest == math.inf for one in (KL, CHI_SQUARED, REVERSE_KL, Renyi(0.5), Renyi(2.0)))
    with pytest.raises(InputError, match="budgets must not be negative; got -1"):
        fit.at(-1.0)
    with pytest.raises(InputError, match=r"budgets must not exceed the largest supported budget, .* of 'chi2'"):
        fit.at(50.0)


@pytest.mark.parametrize(
    ("name", "divergence"),
    [("js", JENSEN_SHANNON), ("TV", TOTAL_VARIATION), ("reverse-kl", REVERSE_KL), ("renyi:2", Renyi(2.0)), ("kl", KL)],
)
def test_divergences_have_short_names(name: str, divergence: Divergence) -> None:
    assert as_divergence(name) == divergence


@pytest.mark.parametrize(
    "name", ["renyi", "renyi:0", "renyi:-1", "renyi:1", "renyi:nan", "renyi:inf", "renyi:two", "renyi:1e300"]
)
def test_an_order_out_of_its_range_is_a_sentence(name: str) -> None:
    with pytest.raises(InputError, match=r"must name the order of Rényi's, from 0.01 to 100 and not 1"):
        as_divergence(name)


def test_the_plug_in_lies_below_and_the_estimate_between() -> None:
    """The plug-in is a minimum over prices, so its mean is too low; the jackknife raises it."""
    from alignlib.estimation.bootstrap import Cells
    from alignlib.estimation.tails import tail_shape
    from alignlib.tables import RewardTable

    table = RewardTable.from_arrays(np.random.default_rng(0).random((30, 10)))
    cells = Cells.of(table.n_samples, np.random.default_rng(0))
    for divergence in (CHI_SQUARED, Renyi(1.5)):
        curve = divergence_curve(table, "reward", cells, tail_shape(table, "reward"), divergence)
        assert (curve.cell_curve >= curve.cell_plug_in).all()


# ------------------------------------------------------------------ laws without atoms
def test_gaussian_gains_root_chi_squared_less_what_is_dropped() -> None:
    got = Gaussian(1.0, 2.0).frontier([1e-4, 0.01, 1.0], CHI_SQUARED)
    assert got.gain[:2] == pytest.approx([2.0 * 0.01, 2.0 * 0.1], rel=1e-7)
    assert got.gain[2] < 2.0


def test_exponential_in_chi_squared_has_its_closed_form() -> None:
    """Rewards above q only, ``φ/p = (r - q) e^q``: ``χ² = 2e^q - 1`` and the gain ``q + 1``, from χ² = 1 on."""
    for budget in (1.5, 4.0, 30.0):
        q = math.log((budget + 1.0) / 2.0)
        assert Exponential().frontier([budget], CHI_SQUARED).gain[0] == pytest.approx(q + 1.0, rel=1e-9)
    assert Exponential(2.0).frontier([0.5], CHI_SQUARED).gain[0] == pytest.approx(0.5 * math.sqrt(0.5), rel=1e-9)


@pytest.mark.parametrize("divergence", [CHI_SQUARED, Renyi(1.05), Renyi(3.0), Renyi(20.0)])
def test_uniform_where_outcomes_are_dropped_is_what_its_nodes_give(divergence: Divergence) -> None:
    law, budgets = Uniform(-1.0, 2.0), np.array([0.0, 0.01, 0.1, 0.5, 2.0, 9.0])
    gain, lam = law._optima(budgets, divergence)
    by_nodes = ContinuousLaw._optima(law, budgets, divergence)
    np.testing.assert_allclose(gain, by_nodes[0], rtol=1e-10)
    np.testing.assert_allclose(lam, by_nodes[1], rtol=1e-4)


@pytest.mark.parametrize("law", [Gaussian(), Exponential()])
@pytest.mark.parametrize(("divergence", "budget"), [(Renyi(2.0), 600.0), (Renyi(40.0), 20.0), (CHI_SQUARED, 1e100)])
def test_budgets_beyond_the_ranks_of_nodes_are_refused(law: Law, divergence: Divergence, budget: float) -> None:
    with pytest.raises(InputError, match="budget must not exceed"):
        law.frontier([budget], divergence)


def test_uniform_has_closed_forms() -> None:
    law = Uniform()
    moved = np.array([0.1, 0.6])
    np.testing.assert_allclose(law.frontier(moved, TOTAL_VARIATION).gain, moved - moved**2 / 2, rtol=1e-12)
    for n in (2.0, 3.0, 8.0):  # best-of-N is the optimum of order N/(N-1)
        divergence = Renyi(n / (n - 1.0))
        spent = BestOfN(n).spent_formula(divergence)
        assert law.frontier([spent], divergence).gain[0] == pytest.approx(n / (n + 1.0) - 0.5, rel=1e-9)
    far = law.frontier([4.0, 5.0, 8.0, 20.0, 50.0], REVERSE_KL)  # p/φ = λ gap but for e^{-λ}: E log is log λ - 1
    np.testing.assert_allclose(far.lam, np.exp([5.0, 6.0, 9.0, 21.0, 51.0]), rtol=1e-6)
    np.testing.assert_allclose(far.gain, 0.5 - 1.0 / far.lam, atol=1e-12)
    assert law.max_spent(HELLINGER) == pytest.approx(1.0)
    assert law.max_spent(REVERSE_KL) == math.inf


@pytest.mark.parametrize("divergence", [REVERSE_KL, HELLINGER, JENSEN_SHANNON, Renyi(0.5), Renyi(1.5), Renyi(3.0)])
def test_a_law_without_atoms_is_the_limit_of_many_outcomes(divergence: Divergence) -> None:
    fine: FloatArray = (np.arange(4000) + 0.5) / 4000
    budgets = [0.2]
    for law in (Uniform(-1.0, 3.0), *([Gaussian(), Laplace()] if math.isinf(divergence.slope_at_infinity) else [])):
        want = FiniteLaw(law.quantile(fine)).frontier(budgets, divergence).gain
        np.testing.assert_allclose(law.frontier(budgets, divergence).gain, want, rtol=3e-3)
