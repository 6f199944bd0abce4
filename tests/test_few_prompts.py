"""Intervals of tables that hardly tell how prompts differ: few prompts, alike prompts, copies of one."""

from __future__ import annotations

import numpy as np
import pytest

from alignlib.estimation import UnsupportedBudgetError, fit_frontier
from alignlib.estimation.bootstrap import Cells, studentised_interval
from alignlib.rules import BestOfN

KL = np.array([0.05, 0.2])


def test_two_prompts_have_the_interval_of_student() -> None:
    values = np.array([[1.0], [3.0]])
    cells = Cells.of(np.array([4, 4]), np.random.default_rng(0))
    low, high = cells.interval(cells.resample(200, np.random.default_rng(0)), values, level=0.95)
    assert high[0] == pytest.approx(
        2.0 * (1.0 + 3.0 * 12.7062 * 0.5), rel=1e-4
    )  # thrice the plain arm: the log explodes
    assert low[0] == pytest.approx(2.0 * np.exp(-12.7062 * 0.5), rel=1e-4)


def test_three_prompts_of_unlike_scale_have_an_end_a_reader_can_use() -> None:
    z = np.random.default_rng(0).standard_normal((3, 64))
    found = fit_frontier(z * np.array([[1.0], [1.5], [2.5]]), n_boot=200).at(KL)
    assert (found.gain_high < 20.0 * found.gain).all()
    assert (found.gain_high > 2.0 * found.gain).all()
    # One of three prompts tells nothing of others as loud: the limit is refused, best-of-N has a wide interval.
    one = fit_frontier(z * np.array([[1.0], [3.0], [10.0]]), n_boot=200)
    assert one.supported_end == 0.0
    with pytest.raises(UnsupportedBudgetError, match="from more prompts"):
        one.at(KL)
    rules = one.share([BestOfN(4)])
    assert 0.0 < 3.0 * rules.gain_low[0] < rules.gain[0] < rules.gain_high[0] / 2.0


@pytest.mark.parametrize("prompts", [2, 5, 20])
def test_copies_of_one_prompt_are_not_known_without_error(prompts: int) -> None:
    rows = np.tile(np.random.default_rng(1).standard_normal(40), (prompts, 1))
    fit = fit_frontier(rows, n_boot=200)
    found = fit.at(KL)
    assert ((found.gain_high - found.gain_low) > 0.02 * found.gain).all()
    rules = fit.share([BestOfN(2), BestOfN(4)])
    assert ((rules.gain_high - rules.gain_low) > 0.05 * rules.gain).all()


def test_no_interval_is_narrower_than_the_samples_of_its_prompts_leave() -> None:
    rng = np.random.default_rng(2)
    fits = [fit_frontier(rng.standard_normal((6, 48)), n_boot=100) for _ in range(60)]
    gains = np.array([fit.at(KL).gain for fit in fits])
    narrowest = np.array([fit.at(KL).gain_high - fit.at(KL).gain_low for fit in fits]).min(axis=0)
    assert (narrowest > 2.8 * gains.std(axis=0)).all()  # 2 times 1.96, less what a standard deviation of 60 may be off


def test_away_from_zero_an_arm_is_at_most_three_plain_ones() -> None:
    rng = np.random.default_rng(3)
    values = np.exp(3.0 * rng.standard_normal((9, 1)))
    cells = Cells.of(np.full(9, 4), rng)
    weights = cells.resample(400, rng)
    mean, error = weights @ values, cells.standard_error(weights, values)
    _, high = studentised_interval(mean, error, 0.95, 9)
    t = np.abs(np.log(mean[1:] / mean[0]) * mean[1:] / np.maximum(error[1:], 1e-300))
    assert high[0] <= mean[0, 0] + 3.0 * np.quantile(t, 0.999) * error[0, 0]


def test_fewer_than_ten_prompts_are_said_to_assume_that_others_are_like_them() -> None:
    z = np.random.default_rng(1).standard_normal((12, 64))
    for prompts, few in ((1, False), (5, True), (9, True), (10, False)):
        found = fit_frontier(z[:prompts], n_boot=100).sensitivity()
        assert found is not None
        assert found.few_prompts is few


def test_no_interval_reaches_beyond_what_known_bounds_leave() -> None:
    """A jackpot on one prompt of few makes intervals of many times the largest gain there can be."""
    rows = np.random.default_rng(2).random((12, 16))
    rows[3, 5] = 10.0
    wide, fit = fit_frontier(rows, n_boot=100), fit_frontier(rows, bounded=(0.0, 10.0), n_boot=100)
    rules = [BestOfN(2), BestOfN(16)]
    most = 10.0 - fit.base_interval[0]
    assert wide.share(rules).gain_high[1] > 10.0
    best, limit = fit.share(rules), fit.at([0.1, 1.0, 2.0])
    assert best.gain_high.max() == pytest.approx(most)
    assert limit.gain_high.max() <= most * (1.0 + 1e-12)
    assert best.share_low is not None
    assert best.share_low.min() >= 0.0
