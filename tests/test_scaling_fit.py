"""The functional forms of over-optimisation: recovered exactly, with intervals, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alignlib.hacking.run_turns import TurningPoint, turning_runs
from alignlib.hacking.scaling_fit import fit_scaling

KL = np.linspace(0.3, 60, 50)
D = np.sqrt(KL)


@pytest.mark.parametrize("intercept", [None, 0.5])
def test_each_form_recovers_itself(intercept: float | None) -> None:
    curves = {
        "best_of_n": 0.5 + D * (1.2 - 0.1 * D),
        "rl": 0.5 + D * (1.2 - 0.4 * np.log(D)),
        "sqrt": 0.5 + 1.2 * D,
    }
    peaks = {"best_of_n": 36.0, "rl": np.exp(2 * (1.2 / 0.4 - 1)), "sqrt": np.inf}
    for form, gold in curves.items():
        fit = fit_scaling(KL, gold, form=form, intercept=intercept)
        assert fit.alpha == pytest.approx(1.2)
        assert fit.intercept == pytest.approx(0.5)
        assert fit.peak_kl == pytest.approx(peaks[form], rel=1e-6)
        assert fit.residual_sd < 1e-9
        assert fit.r_squared == pytest.approx(1.0)
        np.testing.assert_allclose(fit.predict(KL), gold)
        assert fit.predict(0.0) == pytest.approx(0.5)


def test_the_peak_is_where_the_form_is_largest() -> None:
    for form, gold in (("best_of_n", D * (1 - 0.1 * D)), ("rl", D * (1 - 0.4 * np.log(D)))):
        fit = fit_scaling(KL, gold, form=form, intercept=0.0)
        around = fit.predict(fit.peak_kl * np.array([0.99, 1.0, 1.01]))
        assert around.argmax() == 1


def test_intervals_over_runs_cover_when_runs_differ_and_points_do_not() -> None:
    """25 runs with a level of their own: an interval that took points for independent would be far too short."""
    hits, by_point, between = 0, 0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        run = np.repeat(np.arange(25), 10)
        kl = rng.uniform(0.5, 40, 250)
        own = 0.4 * rng.standard_normal(25)
        d = np.sqrt(kl)
        gold = d * (1 + own[run] - 0.1 * d) + 0.1 * rng.standard_normal(250)
        fit = fit_scaling(kl, gold, run.tolist(), form="best_of_n", intercept=0.0)
        hits += fit.alpha_low <= 1.0 <= fit.alpha_high
        alone = fit_scaling(kl, gold, form="best_of_n", intercept=0.0)
        by_point += alone.alpha_low <= 1.0 <= alone.alpha_high
        between.append(fit.run_correlation)
        assert fit.left_out_sd > fit.residual_sd * 0.99
    assert hits >= 33  # 95 % nominal; below 33 of 40 has probability 1e-3 at 93 %
    assert by_point < hits
    assert np.mean(between) > 0.5


def test_a_form_that_never_falls_has_no_peak() -> None:
    fit = fit_scaling(KL, D * (0.1 + 0.05 * D), form="best_of_n", intercept=0.0)
    assert fit.beta < 0
    assert fit.peak_kl == fit.peak_kl_low == np.inf


def turning_point(kl: list[float], gold: list[float]) -> TurningPoint:
    return turning_runs(kl, gold, ["one"] * len(kl)).points[0]


def test_turning_points() -> None:
    inside = turning_point([9.0, 1.0, 4.0], [0.5, 0.2, 0.9])
    assert (inside.kl, inside.inside, inside.n_points) == (4.0, True, 3)
    assert inside.drop == pytest.approx(0.4)
    rising = turning_point([1.0, 2.0], [0.1, 0.2])
    assert (rising.inside, rising.drop) == (False, 0.0)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="kl and gold must have one value per checkpoint; got 2 and 3"):
        fit_scaling([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="form must be one of 'best_of_n', 'rl', 'sqrt'; got 'ppo'"):
        fit_scaling(KL, D, form="ppo")
    with pytest.raises(ValueError, match=r"kl must lie in \(0, ∞\); got 0"):
        fit_scaling(np.append(KL, 0.0), np.append(D, 0.0))
    with pytest.raises(ValueError, match="needs more than 3 checkpoints of at least 3 runs; got 50 of 2"):
        fit_scaling(KL, D, [0] * 25 + [1] * 25)
    with pytest.raises(ValueError, match="run must name the run of each of the 50 checkpoints; got 2"):
        fit_scaling(KL, D, [0, 1])


def test_inner_maxima_of_noise_are_counted_and_turns_of_noise_are_rarely_shown() -> None:
    """A run of k points of noise peaks inside with probability (k-2)/k; both slopes are significant in under 2.5 %."""
    rng = np.random.default_rng(0)
    kl = rng.uniform(0.1, 60.0, 3000)
    run = np.repeat(np.arange(300), 10).tolist()
    found = turning_runs(kl, rng.standard_normal(3000), run)
    assert found.by_chance == pytest.approx(240.0)
    assert abs(found.inside - 240) < 4 * np.sqrt(300 * 0.8 * 0.2)
    assert found.testable == 300
    assert found.shown <= 12


def test_true_turns_are_shown_and_a_rise_is_not() -> None:
    rng = np.random.default_rng(1)
    kl = np.tile(np.linspace(0.5, 30, 10), 40)
    d, run = np.sqrt(kl), np.repeat(np.arange(40), 10).tolist()
    noise = 0.1 * rng.standard_normal(400)
    assert turning_runs(kl, d * (2 - 0.3 * d) + noise, run).shown >= 36
    assert turning_runs(kl, d + noise, run).shown == 0
    # gold that levels off bends a parabola down, but does not turn
    assert turning_runs(kl, 1 - np.exp(-1.5 * d) + noise / 4, run).shown <= 3
    short = turning_runs(kl[:5], d[:5], [0] * 5)
    assert (short.testable, short.shown) == (0, 0)
    with pytest.raises(ValueError, match="kl must not be negative; got -1"):
        turning_point([-1.0], [0.0])
    with pytest.raises(ValueError, match="run must name the run of each of the 2 checkpoints; got 1"):
        turning_runs([1.0, 2.0], [0.0, 1.0], [0])


def test_intervals_over_runs_cover() -> None:
    """100 tables: with a true coverage of 93 % (percentiles of 20 runs) fewer than 85 hits have probability 0.3 %."""
    hits = np.zeros(2)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        kl = rng.uniform(0.2, 30.0, 200)
        d, run = np.sqrt(kl), np.repeat(np.arange(20), 10)
        gold = d * (2.0 - 0.3 * d) + 0.3 * rng.standard_normal(20)[run] + 0.2 * rng.standard_normal(200)
        fit = fit_scaling(kl, gold, run.tolist(), form="best_of_n")
        hits += [fit.beta_low <= 0.3 <= fit.beta_high, fit.peak_kl_low <= 100 / 9 <= fit.peak_kl_high]
    assert (hits >= 85).all()


@pytest.mark.parametrize("n_runs", [3, 8])
def test_few_runs_are_covered_too(n_runs: int) -> None:
    """Runs whose coefficients differ: t-quantiles of few runs, where percentiles of resampled runs hold 74 to 86 %."""
    hits = np.zeros(3)
    kl = np.linspace(0.5, 30.0, 12)
    d = np.sqrt(kl)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        alpha, beta = 2.0 + 0.2 * rng.standard_normal((n_runs, 1)), 0.25 + 0.03 * rng.standard_normal((n_runs, 1))
        gold = 1.0 + d * (alpha - beta * d) + 0.05 * rng.standard_normal((n_runs, 12))
        fit = fit_scaling(np.tile(kl, n_runs), gold.ravel(), np.repeat(np.arange(n_runs), 12), form="best_of_n")
        hits += [
            fit.alpha_low <= 2.0 <= fit.alpha_high,
            fit.beta_low <= 0.25 <= fit.beta_high,
            fit.peak_kl_low <= 16.0 <= fit.peak_kl_high,
        ]
        assert fit.freedom == pytest.approx(n_runs - 1.0)  # runs of the same checkpoints
    assert (hits / 150.0 >= 0.93 - 2.0 * 0.021).all()


def test_the_interval_is_the_t_interval_of_runs_fitted_alone() -> None:
    rng, n_runs = np.random.default_rng(2), 5
    gold = D * (2.0 + rng.standard_normal((n_runs, 1)) - 0.3 * D) + 0.1 * rng.standard_normal((n_runs, D.size))
    fit = fit_scaling(np.tile(KL, n_runs), gold.ravel(), np.repeat(np.arange(n_runs), D.size), form="best_of_n")
    alone = [fit_scaling(KL, row, form="best_of_n").alpha for row in gold]
    half = stats.t(n_runs - 1).ppf(0.975) * np.std(alone, ddof=1) / np.sqrt(n_runs)
    assert (fit.alpha_low, fit.alpha_high) == pytest.approx((np.mean(alone) - half, np.mean(alone) + half), rel=1e-9)


def test_a_peak_that_runs_do_not_show_may_lie_at_infinity() -> None:
    rng = np.random.default_rng(3)
    gold = D * (1.0 - 0.02 * rng.standard_normal((4, 1)) * D) + 0.1 * rng.standard_normal((4, D.size))
    fit = fit_scaling(np.tile(KL, 4), gold.ravel(), np.repeat(np.arange(4), D.size), form="best_of_n")
    assert fit.peak_kl_high == np.inf
    assert 0.0 < fit.peak_kl_low < np.inf
