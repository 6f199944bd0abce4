"""Of how many prompts a step is, and what so few do by chance."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from alignlib._core.errors import InputError
from alignlib.estimation import fit_frontier
from alignlib.tables import RewardTable
from alignlib.training import overlay
from alignlib.training.example_run import example_run
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.rounded_kl import half_digit
from alignlib.training.step_prompts import StepPrompts

pytestmark = pytest.mark.xdist_group("overlay")


def means_of(kl: np.ndarray, reward: np.ndarray) -> TrainingLog:
    """Return a run of which no more is known than mean KL and reward."""
    log = example_run(2, 3, np.random.default_rng(0), n_checkpoints=max(kl.size, 5))[0].keep(np.arange(kl.size))
    return replace(
        log, step=np.arange(kl.size, dtype=float), kl=kl, logged_kl=kl, reward=reward, length=None,
        kl_unit="sequence", notes=(),
    )  # fmt: skip


@pytest.mark.parametrize("prompts", [1, 4, 16])
def test_a_log_that_scatters_little_is_of_several_prompts(prompts: int) -> None:
    """The means of honest runs lie within what is said for them, and that is less where steps are of more prompts."""
    rng = np.random.default_rng(1)
    level = rng.standard_normal(2000)
    means = level[:100]
    every, found, outside = np.ones(24, dtype=bool), [], 0
    for _ in range(25):
        course = level[rng.integers(0, 2000, (24, prompts))].mean(axis=1) - means.mean()
        low, high = StepPrompts.plain(means, course).reach(every, 0.01)
        outside += not -low <= course.mean() <= high
        found.append(high)
    assert outside <= 2
    assert np.median(found) < 0.3 + 5.0 / np.sqrt(24 * prompts)  # the table's mean has an error of 0.1


def test_prompts_of_few_steps_lie_as_far_apart_as_counted() -> None:
    """Against all sums of three of five prompts, for a log too short to tell of how many prompts it is."""
    means = np.array([0.0, 0.1, 0.2, 0.3, 4.0])
    sums = np.array([means[list(one)].sum() for one in np.ndindex(5, 5, 5)]) / 3.0
    many = np.tile(means, 2_000)  # whose mean has hardly an error of its own
    low, high = StepPrompts.plain(many, np.zeros(3)).reach(np.ones(3, dtype=bool), 0.05)
    assert low == pytest.approx(means.mean() - np.quantile(sums, 0.05), abs=0.04)
    assert high == pytest.approx(np.quantile(sums, 0.95) - means.mean(), abs=0.04)
    known = replace(StepPrompts.plain(means, np.zeros(3)), prompts=math.inf)
    assert known.reach(np.ones(3, dtype=bool), 0.05).tolist() == [0.0, 0.0]
    assert (known.further(0, 3), known.further(2, 3)) == (1.0, 0.0)


def test_scatter_and_level_are_looked_at_together() -> None:
    """By themselves neither a level half a deviation off nor little scatter is rare; both at once are."""
    means = np.random.default_rng(4).standard_normal(200)
    course = np.full(12, 0.6) + 0.25 * np.cos(np.arange(12) * 2.0)
    assert not StepPrompts.plain(means, course).explain(1e-3)
    assert StepPrompts.plain(means, np.full(12, 0.02) + 0.25 * np.cos(np.arange(12) * 2.0)).explain(1e-3)


def test_the_chance_to_lie_beyond_all_prompts_of_the_table_is_that_of_ranks() -> None:
    rng = np.random.default_rng(2)
    table, run = rng.standard_normal((40_000, 5)), rng.standard_normal((40_000, 4))
    beyond = (run > table.max(axis=1)[:, None]).sum(axis=1)
    prompts = StepPrompts.plain(np.arange(5.0), np.zeros(4))
    for over in (1, 2, 3):
        assert prompts.further(over, 4) == pytest.approx((beyond >= over).mean(), abs=0.008)


def test_a_run_on_common_prompts_only_is_not_accused_for_lack_of_a_rare_kind() -> None:
    """Seven prompts in a hundred have 6 less; ten steps of one prompt each hold none of them in half of all runs."""
    rng = np.random.default_rng(3)
    table = np.where(np.arange(80) % 16 == 0, -5.0, 1.0)[:, None] + 0.3 * rng.standard_normal((80, 8))
    kl = np.linspace(0.0, 0.2, 10)
    reward = 1.0 + 0.3 * np.sqrt(2.0 * kl) + 0.07 * rng.standard_normal(10)
    found = overlay(means_of(kl, reward), fit_frontier(RewardTable.from_arrays(table), n_boot=100), pool=1)
    assert not found.doubted, found.notes
    assert not any("seldom" in note or "not the unit" in note or "in a hundred" in note for note in found.notes)
    assert any("too much to tell which" in note for note in found.notes)


def test_a_few_fixed_prompts_of_which_a_step_is_one_are_not_accused_for_lack_of_another() -> None:
    """Ten steps of one of four prompts hold none of the worst in one run of eighteen."""
    rng = np.random.default_rng(6)
    means = np.array([-4.0, 1.0, 1.0, 1.0])
    kl = np.linspace(0.0, 0.3, 10)
    reward = 1.0 + 0.3 * np.sqrt(2.0 * kl) + 0.1 * rng.standard_normal(10)
    fit = fit_frontier(RewardTable.from_arrays(means[:, None] + 0.4 * rng.standard_normal((4, 64))), n_boot=100)
    assert not overlay(means_of(kl, reward), fit, pool=1).above.any()
    assert overlay(means_of(kl, reward + 6.0), fit, pool=1, check=False).above.any()


def test_a_kl_printed_as_zero_is_no_base_where_the_others_are_rounded_too() -> None:
    whole = means_of(np.array([0.0, 1.0, 1.0, 2.0, 3.0]), np.array([0.7, 1.2, 1.3, 1.9, 2.4]))
    assert half_digit(whole).tolist() == [0.5] * 5
    assert half_digit(replace(whole, logged_kl=np.array([0.0, 0.13, 0.2, 0.25, 0.5]))).tolist() == [0.005] * 5
    assert not half_digit(replace(whole, logged_kl=np.array([0.0, 0.1, 0.2, 1.0 / 3.0, 0.5]))).any()
    assert half_digit(replace(whole, logged_kl=np.zeros(5))).tolist() == [0.05] * 5  # "0.0", and no more is known
    table = RewardTable.from_arrays(np.random.default_rng(0).standard_normal((100, 32)))
    found = overlay(whole, fit_frontier(table, n_boot=100), pool=1)
    assert not any("not the unit" in note or "in a hundred" in note for note in found.notes), found.notes


@pytest.mark.parametrize("most", [0.7, 70_000.0, 1e100])
def test_bounds_hold_rewards_of_half_precision_and_those_that_it_cannot_hold(most: float) -> None:
    rewards = most * np.random.default_rng(0).random((30, 8))
    rewards[:, 0] = np.float16(0.7) if most == 0.7 else most
    assert fit_frontier(rewards, n_boot=100, bounded=(0.0, most)).bounded == (0.0, rewards.max())
    with pytest.raises(InputError, match="bounded must hold every sample"):
        fit_frontier(rewards, n_boot=100, bounded=(0.0, 0.9 * most))
