"""Of how many prompts a step is, and what so few do by chance."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from alignlib.estimation import fit_frontier
from alignlib.tables import RewardTable
from alignlib.training import overlay
from alignlib.training.example_run import example_run
from alignlib.training.logs.training_log import TrainingLog
from alignlib.training.run_base import half_digit
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
def test_the_scatter_near_the_base_tells_of_how_many_prompts_a_step_is_at_least(prompts: int) -> None:
    """Never of more than there are but by chance, and of not many fewer."""
    rng = np.random.default_rng(1)
    level = rng.standard_normal(400)
    table = fit_frontier(RewardTable.from_arrays(level[:100, None] + 0.3 * rng.standard_normal((100, 16))), n_boot=100)
    found = []
    for _ in range(12):
        reward = level[rng.integers(0, 400, (24, prompts))].mean(axis=1)
        found.append(StepPrompts.of(means_of(np.linspace(0.0, 0.2, 24), reward), table, known=False).least)
    assert max(found) <= 2 * prompts
    assert np.mean(np.array(found) >= prompts / 8) > 0.8


def test_prompts_of_few_steps_lie_as_far_apart_as_counted() -> None:
    """Against all sums of three of five prompts."""
    means = np.array([0.0, 0.1, 0.2, 0.3, 4.0])
    sums = np.array([sum(one) for one in np.ndindex(5, 5, 5) for one in [[means[i] for i in one]]]) / 3.0
    low, high = StepPrompts(means, 1.0, 1.0).reach(3, 0.05)
    assert low == pytest.approx(means.mean() - np.quantile(sums, 0.05), abs=0.04)
    assert high == pytest.approx(np.quantile(sums, 0.95) - means.mean(), abs=0.04)
    assert StepPrompts(means, 1.0, math.inf).reach(3, 0.05).tolist() == [0.0, 0.0]


def test_the_chance_to_lie_beyond_all_prompts_of_the_table_is_that_of_ranks() -> None:
    rng = np.random.default_rng(2)
    table, run = rng.standard_normal((40_000, 5)), rng.standard_normal((40_000, 4))
    beyond = (run > table.max(axis=1)[:, None]).sum(axis=1)
    prompts = StepPrompts(np.arange(5.0), 1.0, 1.0)
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


def test_a_kl_printed_as_zero_is_no_base_where_the_others_are_rounded_too() -> None:
    whole = means_of(np.array([0.0, 1.0, 1.0, 2.0, 3.0]), np.array([0.7, 1.2, 1.3, 1.9, 2.4]))
    assert half_digit(whole).tolist() == [0.5] * 5
    assert half_digit(replace(whole, logged_kl=np.array([0.0, 0.13, 0.2, 0.25, 0.5]))).tolist() == [0.005] * 5
    assert not half_digit(replace(whole, logged_kl=np.array([0.0, 0.1, 0.2, 1.0 / 3.0, 0.5]))).any()
    assert not half_digit(replace(whole, logged_kl=np.zeros(5))).any()
    table = RewardTable.from_arrays(np.random.default_rng(0).standard_normal((100, 32)))
    found = overlay(whole, fit_frontier(table, n_boot=100), pool=1)
    assert not any("not the unit" in note or "in a hundred" in note for note in found.notes), found.notes
