"""Draws shared out among prompts: exactly optimal, by enumeration; from samples judged on others than chose."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib import InputError
from alignlib.estimation import draws_per_prompt, shown_numbers
from alignlib.laws import FiniteLaw, Gaussian
from alignlib.rules import BestOfN, allocate_draws, subset_means
from alignlib.tables import RewardTable


def best_by_enumeration(value: np.ndarray, total: int) -> float:
    prompts, most = value.shape
    return max(
        sum(value[x, n - 1] for x, n in enumerate(ns)) / prompts
        for ns in itertools.product(range(1, most + 1), repeat=prompts)
        if sum(ns) <= total
    )


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**32 - 1), st.data())
def test_falling_returns_are_shared_out_exactly(prompts: int, most: int, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    kept = BestOfN.along(np.arange(1, most + 1))
    laws = [FiniteLaw(rng.integers(0, 4, 5) * 1.0, rng.dirichlet(np.ones(5))) for _ in range(prompts)]
    value = np.array([kept.on(law).mean_reward for law in laws])
    total = data.draw(st.integers(prompts, prompts * most))
    found = allocate_draws(value, total)
    assert found.draws == found.n.sum() <= total
    assert found.mean_reward == pytest.approx(best_by_enumeration(value, total), rel=1e-12, abs=1e-12)
    assert found.bound == pytest.approx(found.mean_reward, rel=1e-9, abs=1e-12)
    assert found.mean_reward == pytest.approx(value[np.arange(prompts), found.n - 1].mean(), rel=1e-12)


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(2, 5), st.integers(0, 2**32 - 1), st.data())
def test_other_returns_are_bounded_and_exact_at_the_corners(
    prompts: int, most: int, seed: int, data: st.DataObject
) -> None:
    value = np.random.default_rng(seed).normal(size=(prompts, most))
    total = data.draw(st.integers(prompts, prompts * most))
    found = allocate_draws(value, total)
    best = best_by_enumeration(value, total)
    assert found.draws <= total
    assert found.mean_reward <= best + 1e-12
    assert best <= found.bound + 1e-12
    assert best_by_enumeration(value, found.draws) == pytest.approx(found.mean_reward, rel=1e-12, abs=1e-12)


@settings(max_examples=40)
@given(st.lists(st.integers(-5, 5), min_size=3, max_size=12))
def test_best_of_n_and_its_unbiased_estimate_have_falling_returns(rewards: list[int]) -> None:
    rows = -np.sort(-np.array([rewards], dtype=float))
    for values in (
        subset_means(rows, np.arange(1, len(rewards) + 1))[0],
        BestOfN.along(np.arange(1, 20)).on(FiniteLaw(rewards)).mean_reward,
    ):
        assert (np.diff(values, 2) <= 1e-12).all()


def test_prompts_of_one_scale_share_alike_and_of_two_do_not() -> None:
    v = BestOfN.along(np.arange(1, 17)).on(Gaussian()).gain
    assert allocate_draws(np.array([v, v]), 12).n.tolist() == [6, 6]
    wide = allocate_draws(np.array([4.0 * v, v]), 12)
    assert wide.n[0] > wide.n[1]
    assert wide.price == pytest.approx(max(4 * (v[wide.n[0]] - v[wide.n[0] - 1]), v[wide.n[1]] - v[wide.n[1] - 1]))
    done = allocate_draws(np.array([[0.0, 1.0, 1.0], [2.0, 2.0, 2.0]]), 6)
    assert (done.n.tolist(), done.draws, done.price) == ([2, 1], 3, 0.0)


# ------------------------------------------------------------------ from samples
def scaled(rng: np.random.Generator, spread: float, prompts: int = 120, n: int = 32) -> tuple[RewardTable, np.ndarray]:
    scale = np.exp(spread * rng.standard_normal((prompts, 1)))
    return RewardTable.from_arrays(scale * rng.standard_normal((prompts, n))), scale[:, 0]


def test_the_gain_of_chosen_numbers_is_held_by_its_interval() -> None:
    """Truth: what the numbers chosen on half of these very samples have on the law itself."""
    v = BestOfN.along(np.arange(1, 17)).on(Gaussian()).gain
    held = 0
    for seed in range(20):
        table, scale = scaled(np.random.default_rng(seed), 0.7)
        found = draws_per_prompt(table, "reward", n=4, n_boot=200)
        order = np.random.default_rng(0).permutation(32)
        rows = table.column("reward").reshape(120, 32)[:, order]
        truth = 0.0
        for part in (rows[:, :16], rows[:, 16:]):
            chosen = allocate_draws(subset_means(-np.sort(-part, axis=1), np.arange(1, 17)), 480).n
            truth += float((scale * (v[chosen - 1] - v[3])).mean()) / 2
        held += found.gain_low <= truth <= found.gain_high
        assert found.each.sum() == 480
    assert held >= 17


def test_where_prompts_do_not_differ_nothing_is_saved() -> None:
    table, _ = scaled(np.random.default_rng(1), 0.0)
    found = draws_per_prompt(table, "reward", n=4, n_boot=200)
    assert found.gain_low <= 0.0
    assert found.saved < 0.1
    wide = draws_per_prompt(scaled(np.random.default_rng(1), 0.9, 400)[0], "reward", n=4, n_boot=200)
    assert wide.gain_low > 0.0
    assert 0.1 < wide.saved_low <= wide.saved <= wide.saved_high < 1.0


def test_gold_counts_where_a_proxy_picks() -> None:
    rng = np.random.default_rng(3)
    scale = np.exp(0.8 * rng.standard_normal((400, 1)))
    gold = scale * rng.standard_normal((400, 32))
    table = RewardTable.from_arrays(proxy=gold + scale * rng.standard_normal((400, 32)), gold=gold)
    found = draws_per_prompt(table, "proxy", "gold", n=4, n_boot=200)
    assert found.gain > 0.0
    assert found.each.sum() <= 1600
    assert "of 400 prompts" in shown_numbers(found)


def test_an_order_of_the_samples_does_not_matter_to_the_verdict() -> None:
    table, _ = scaled(np.random.default_rng(2), 0.0)
    rows = -np.sort(-table.column("reward").reshape(120, 32), axis=1)  # as a file of the best first has them
    assert draws_per_prompt(RewardTable.from_arrays(rows), "reward", n=4, n_boot=200).saved < 0.15


def test_bad_input_is_named() -> None:
    table, _ = scaled(np.random.default_rng(0), 0.5, 5, 8)
    for call, said in (
        (lambda: allocate_draws([1.0, 2.0], 2), "mean_kept must have a row for each prompt"),
        (lambda: allocate_draws([[1.0, np.nan]], 2), "mean_kept must be finite"),
        (lambda: allocate_draws([[1.0, 2.0]], 3), r"total must lie in \[1, 2\]; got 3"),
        (lambda: allocate_draws([[1.0], [2.0]], 1), r"total must lie in \[2, 2\]; got 1"),
        (lambda: draws_per_prompt(table, "reward", n=5), "n must not exceed 4, half of the fewest samples"),
        (lambda: draws_per_prompt(table, "reward", n=1), r"n must lie in \[2"),
        (lambda: draws_per_prompt(scaled(np.random.default_rng(0), 0, 1, 8)[0], "reward"), "two prompts or more"),
        (lambda: draws_per_prompt(scaled(np.random.default_rng(0), 0, 3, 3)[0], "reward"), "four samples of every"),
    ):
        with pytest.raises(InputError, match=said):
            call()
