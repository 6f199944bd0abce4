"""Resampling cells: weights, standard errors, and the coverage of the studentised interval on skewed means."""

import numpy as np
import pytest

from alignlib.estimation.bootstrap import Cells, narrowed, studentised_interval


def test_row_zero_is_the_sample_and_rows_sum_to_one() -> None:
    cells = Cells.of(np.full(7, 4), np.random.default_rng(0))
    weights = cells.resample(50, np.random.default_rng(1))
    np.testing.assert_allclose(weights[0], 1 / 7)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


@pytest.mark.parametrize("gap", [0.0, 0.3, 1.0, 2.0, 6.0])
def test_what_lies_between_two_estimates_is_held_as_often_as_asked_for(gap: float) -> None:
    """Normal estimates of either end, one error: of both ends, and of all between, 95 % or more, and not 97.5 %."""
    arm = 1.959964 * narrowed([np.zeros(1), np.array([gap])], [np.ones(1)] * 2, 0.95)[0]
    error = np.random.default_rng(0).standard_normal(200_000)
    held = [np.mean((error - arm <= at) & (at <= gap + error + arm)) for at in (0.0, gap / 2.0, gap)]
    assert held[0] == pytest.approx(0.95, abs=0.002)
    assert held[2] == pytest.approx(0.95, abs=0.002)
    assert held[1] >= 0.948


def test_many_prompts_are_pooled_without_losing_any() -> None:
    rng = np.random.default_rng(0)
    cells = Cells.of(np.full(2500, 4), rng)
    values = rng.standard_normal((2500, 3))
    assert len(cells.size) == 500
    assert cells.size.sum() == 2500
    weights = cells.resample(100, rng)
    np.testing.assert_allclose(weights[0] @ cells.mean(values), values.mean(axis=0), atol=1e-12)


def test_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(2).standard_exponential((40, 2))
    cells = Cells.of(np.full(40, 4), np.random.default_rng(0))
    error = cells.standard_error(cells.resample(100, np.random.default_rng(1)), values)
    np.testing.assert_allclose(error[0], values.std(axis=0, ddof=1) / np.sqrt(40), rtol=1e-12)


def test_interval_of_a_skewed_mean_covers() -> None:
    """Means of 50 exponentials to the power 1.5: percentiles cover 91 %, this interval 93 to 97 %."""
    rng = np.random.default_rng(3)
    truth, held, held_percentile = 1.3293403881791370, 0, 0
    for _ in range(600):
        values = rng.standard_exponential((50, 1)) ** 1.5
        cells = Cells.of(np.full(50, 4), rng)
        weights = cells.resample(400, rng)
        means = weights @ values
        low, high = studentised_interval(means, cells.standard_error(weights, values), 0.95, len(cells.size))
        held += bool(low[0] <= truth <= high[0])
        edges = np.quantile(means[1:], [0.025, 0.975])
        held_percentile += bool(edges[0] <= truth <= edges[1])
    assert 0.93 - 0.009 <= held / 600 <= 0.97 + 0.007  # the bound, and one standard error of the simulation
    assert held_percentile < held


def test_values_of_either_sign_and_values_without_spread() -> None:
    rng = np.random.default_rng(4)
    values = np.column_stack([rng.standard_normal(30), np.zeros(30), np.full(30, 2.0)])
    cells = Cells.of(np.full(30, 4), rng)
    weights = cells.resample(300, rng)
    low, high = studentised_interval(weights @ values, cells.standard_error(weights, values), 0.95, len(cells.size))
    assert low[0] < values[:, 0].mean() < high[0]
    assert low[1] == high[1] == 0.0
    assert low[2] == pytest.approx(2.0, abs=1e-6)
    assert high[2] == pytest.approx(2.0, abs=1e-6)


def test_pseudo_values_of_a_mean_are_its_groups() -> None:
    rng = np.random.default_rng(5)
    samples = rng.standard_normal(500)
    cells = Cells.of(np.array([500]), rng)
    assert cells.fixed_prompts
    pseudo = cells.pseudo_values(lambda kept: samples[kept].mean(axis=1)[:, None], np.array([samples.mean()]))
    groups = np.bincount(cells.index, samples) / np.bincount(cells.index)
    np.testing.assert_allclose(pseudo[:, 0], groups, atol=1e-12)
    values = np.stack([samples, 1e9 * (cells.index == 3)])
    kept = np.array([values[:, cells.index != group].sum(axis=1) for group in range(len(cells.size))])
    np.testing.assert_allclose(cells.kept_sums(values), kept, rtol=1e-12, atol=1e-12)  # no digits lost to group 3
