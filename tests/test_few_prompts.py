"""Tables that hardly tell how prompts differ: few prompts, of which all is said, alike prompts, copies of one."""

from __future__ import annotations

import numpy as np
import pytest

from alignlib.answers.findings import ask
from alignlib.answers.output.frontier import lines
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


def test_of_few_prompts_all_is_said_of_these_very_prompts() -> None:
    """Prompts of unlike scale: the intervals hold limit and best-of-4 of these three, and are no wider than that."""
    scale, rng = np.array([[1.0], [3.0], [10.0]]), np.random.default_rng(0)
    small = KL / 4.0  # three prompts, the loudest of which has nearly all
    limit, best = np.sqrt(2.0 * small * np.square(scale).mean()), 1.0293753730 * scale.mean()
    held, of_best, gains, widths = [], [], [], []
    for _ in range(40):
        fit = fit_frontier(scale * rng.standard_normal((3, 100)), n_boot=200)
        found, rules = fit.at(small), fit.share([BestOfN(4)])
        assert all(one.fixed_prompts for one in (fit, found, rules))
        held.append((found.gain_low < limit) & (limit < found.gain_high))
        of_best.append(rules.gain_low[0] < best < rules.gain_high[0])
        gains.append(found.gain)
        widths.append(found.gain_high - found.gain_low)
    assert np.mean(held) > 0.85
    assert np.mean(of_best) > 0.85
    np.testing.assert_allclose(np.mean(widths, axis=0), 3.92 * np.std(gains, axis=0), rtol=0.35)


def test_few_prompts_of_few_samples_are_resampled() -> None:
    z = np.random.default_rng(0).standard_normal((3, 12))
    fit = fit_frontier(z * np.array([[1.0], [1.5], [2.5]]), n_boot=200)
    assert not fit.fixed_prompts
    found = fit.at(KL[0])
    assert (found.gain_high < 20.0 * found.gain).all()
    assert (found.gain_high > 2.0 * found.gain).all()
    # One of three prompts tells nothing of others as loud: the limit is refused, best-of-N has a wide interval.
    one = fit_frontier(z * np.array([[1.0], [3.0], [10.0]]), n_boot=200)
    assert one.supported_end == 0.0
    with pytest.raises(UnsupportedBudgetError, match="from more prompts"):
        one.at(KL)
    rules = one.share([BestOfN(4)])
    assert 0.0 < 3.0 * rules.gain_low[0] < rules.gain[0] < rules.gain_high[0] / 2.0


def test_how_fixed_prompts_differ_is_no_error_of_their_mean() -> None:
    rng = np.random.default_rng(4)
    n_samples = np.array([40, 55, 16])
    values = [
        rng.standard_normal(n) * scale + shift
        for n, scale, shift in zip(n_samples, (1.0, 2.0, 4.0), (0, 50, 9), strict=True)
    ]
    cells = Cells.of_samples(n_samples, rng)
    parts = [
        own.pseudo_values(lambda kept, x=x: values[x][kept].mean(axis=1)[:, None], np.array([values[x].mean()]))
        for x, (_, own) in enumerate(cells.of_each)
    ]
    assert [where.stop - where.start for where, _ in cells.of_each] == n_samples.tolist()
    pseudo = cells.joined(parts)
    mean = np.mean([one.mean() for one in values])
    assert (cells.whole @ pseudo)[0, 0] == pytest.approx(mean)
    groups = len(parts[0])
    stratified = np.sqrt(sum(part.var(ddof=1) / groups for part in parts)) / 3.0
    assert cells.standard_error(cells.whole, pseudo)[0, 0] == pytest.approx(stratified)


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
    fits = [fit_frontier(rng.standard_normal((20, 15)), n_boot=100) for _ in range(60)]
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


def test_few_prompts_that_are_resampled_are_said_to_assume_that_others_are_like_them() -> None:
    z = np.random.default_rng(1).standard_normal((24, 64))
    for prompts, samples, few in ((1, 64, False), (5, 64, False), (5, 15, True), (19, 15, True), (20, 15, False)):
        found = fit_frontier(z[:prompts, :samples], n_boot=100).sensitivity()
        assert found is not None
        assert found.few_prompts is few


def test_few_samples_of_a_prompt_are_said_to_assume_that_what_is_rare_is_the_prompts_own() -> None:
    z = np.random.default_rng(1).standard_normal((40, 32))
    for samples, said in ((8, True), (32, False)):
        text = "\n".join(lines(ask(z[:, :samples], "reward", n_boot=100)))
        assert (f"{samples} samples of a prompt cannot tell that from luck" in text) is said


def test_no_interval_reaches_beyond_what_known_bounds_leave() -> None:
    """A jackpot on one prompt of few makes intervals of many times the largest gain there can be."""
    rows = np.random.default_rng(2).random((12, 12))
    rows[3, 5] = 10.0
    wide, fit = fit_frontier(rows, n_boot=100), fit_frontier(rows, bounded=(0.0, 10.0), n_boot=100)
    rules = [BestOfN(2), BestOfN(12)]
    most = 10.0 - fit.base_interval[0]
    assert wide.share(rules).gain_high[1] > 10.0
    best, limit = fit.share(rules), fit.at([0.1, 1.0, 2.0])
    assert best.gain_high.max() == pytest.approx(most)
    assert limit.gain_high.max() <= most * (1.0 + 1e-12)
    assert best.share_low is not None
    assert best.share_low.min() >= 0.0


def test_the_best_of_several_is_never_worse_than_one() -> None:
    """One reward that differs, of one prompt: an interval for the gain went below 0."""
    rows = np.zeros((20, 16))
    rows[3, 5] = 1.0
    fit = fit_frontier({"a": rows, "b": -rows}, reward="a")
    assert (fit.share([BestOfN(2), BestOfN(16)]).gain_low == 0.0).all()
    assert fit.share([BestOfN(16)], picked_by="b").gain_low[0] < 0.0
