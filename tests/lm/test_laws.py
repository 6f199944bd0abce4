"""Laws by reward level and policies' exact numbers, against sums over every response and 50 digits."""

from __future__ import annotations

from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib.laws import FiniteLaw, PromptAverage, dual_gain, kl_to_optimum
from alignlib.lm.experiment.fixed_points import policy_law
from alignlib.lm.level_law import LevelLaw, collapse
from alignlib.rules import BestOfN, SoftBestOfN
from tests.oracle import kl_to_tilt

SEEDS = st.integers(0, 2**32 - 1)


def world(seed: int, n_prompts: int = 3, size: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random base laws with ties in the reward, rewards of unequal scale, and a gold that differs."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.standard_normal((n_prompts, size))
    log_base = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    scale = np.array([0.25, 1.0, 3.0])[rng.integers(3, size=(n_prompts, 1))]
    reward = scale * rng.integers(0, 7, size=(n_prompts, size))
    return log_base, reward, reward + rng.integers(-2, 3, size=reward.shape)


@settings(max_examples=25)
@given(SEEDS)
def test_what_depends_on_the_reward_alone_is_the_same_from_the_table(seed: int) -> None:
    log_base, reward, gold = world(seed)
    law = collapse(log_base, reward, gold)
    prob = np.exp(log_base)
    lam = np.array([0.0, 0.3, 2.0])
    ns = [1.0, 4.0, 37.5]
    optimum, best, soft = law.optimum(lam), law.along(BestOfN.along(ns)), law.along(SoftBestOfN.along(lam, n=4))
    base = law.average.base_reward
    for i, value in enumerate(lam):
        tilted = np.stack([FiniteLaw(r, p).log_policy(value) for r, p in zip(reward, prob, strict=True)])
        picked = [SoftBestOfN(4, value).on(FiniteLaw(r, p)).log_policy for r, p in zip(reward, prob, strict=True)]
        for curve, log_policy in ((optimum, tilted), (soft, np.stack(picked))):
            full = policy_law(log_policy, log_base, reward, gold)
            assert curve.kl[i] == pytest.approx(full.kl.mean(), rel=1e-9, abs=1e-12)
            assert base + curve.gain[i] == pytest.approx(full.reward.mean(), rel=1e-9, abs=1e-12)
            assert law.base_gold + curve.gold_gain[i] == pytest.approx(full.gold.mean(), rel=1e-9, abs=1e-12)
    for i, n in enumerate(ns):
        log_policy = np.stack([BestOfN(n).on(FiniteLaw(r, p)).log_policy for r, p in zip(reward, prob, strict=True)])
        full = policy_law(log_policy, log_base, reward, gold)
        assert best.kl[i] == pytest.approx(full.kl.mean(), rel=1e-9, abs=1e-12)
        assert base + best.gain[i] == pytest.approx(full.reward.mean(), rel=1e-9, abs=1e-12)
        assert law.base_gold + best.gold_gain[i] == pytest.approx(full.gold.mean(), rel=1e-9, abs=1e-12)


@settings(max_examples=25)
@given(SEEDS, st.floats(0.01, 3.0))
def test_closeness_identity_agrees_with_the_divergence_itself(seed: int, lam: float) -> None:
    log_base, reward, _ = world(seed)
    policy, _, _ = world(seed + 1)
    law = policy_law(policy, log_base, reward, reward)
    direct = kl_to_tilt(policy, log_base, reward, lam)
    average = collapse(log_base, reward).average
    identity = kl_to_optimum(average, lam, law.kl.mean(), law.reward.mean() - average.base_reward)
    assert identity == pytest.approx(direct.mean(), rel=1e-8, abs=1e-10)
    assert (direct >= 0).all()


@settings(max_examples=25)
@given(SEEDS, st.floats(0.02, 0.9))
def test_average_budget_is_the_optimum_and_a_budget_on_every_prompt_lies_below(seed: int, share: float) -> None:
    log_base, reward, _ = world(seed)
    average = collapse(log_base, reward).average
    budget = share * average.max_kl
    lam = average.lam_at_kl(budget)
    assert average.kl(lam) == pytest.approx(budget, rel=1e-9)
    best = average.gain_at_kl(budget)
    assert best == pytest.approx(dual_gain(average, budget), rel=1e-7)
    assert average.gain_on_every_prompt(budget) <= best * (1 + 1e-12)
    assert average.kl_at_gain(best) == pytest.approx(budget, rel=1e-7)
    assert average.frontier([budget]).gain[0] == pytest.approx(best, rel=1e-12)
    # Moving a little budget from one prompt to another gains nothing.
    own = np.array([family.kl(lam) for family in average.laws])
    move = 1e-3 * budget * np.array([1.0, -1.0, 0.0])
    if (own + move > 0).all():
        moved = [f.gain(f.lam_at_kl(k)) for f, k in zip(average.laws, own + move, strict=True)]
        assert np.mean(moved) <= best * (1 + 1e-9)


def test_the_average_at_its_ends() -> None:
    one, two = FiniteLaw([0.0, 1.0], [0.75, 0.25]), FiniteLaw([0.0, 2.0], [0.5, 0.5])
    both = PromptAverage([one, two])
    assert both.lam_at_kl([0.0, both.max_kl, 9.0]).tolist() == [0.0, np.inf, np.inf]
    assert both.gain_at_kl(9.0) == pytest.approx(0.5 * (0.75 + 1.0))
    assert both.kl_at_gain([0.0, 0.875]) == pytest.approx([0.0, both.max_kl])
    assert PromptAverage([one]).gain_at_kl(0.2) == pytest.approx(one.gain(one.lam_at_kl(0.2)), rel=1e-12)
    flat = PromptAverage([one, FiniteLaw([3.0, 3.0])])
    assert flat.lam_at_kl(0.05) == pytest.approx(one.lam_at_kl(0.1), rel=1e-9)
    with pytest.raises(ValueError, match=r"gain must lie in \[0, 0.875\]"):
        both.kl_at_gain(1.0)
    with pytest.raises(ValueError, match="at least one"):
        PromptAverage([])


def test_kl_of_policies_next_to_the_base_and_far_from_it_in_fifty_digits() -> None:
    rng = np.random.default_rng(0)
    with mpmath.workdps(50):
        for scale in (1e-9, 1e-3, 1.0, 200.0, 800.0):
            logits = scale * rng.standard_normal((1, 40))
            log_base = np.full((1, 40), -np.log(40.0))
            top = logits.max()
            log_policy = logits - top - np.log(np.exp(logits - top).sum())
            q = [mpmath.exp(mpmath.mpf(v)) for v in log_policy[0]]
            total = mpmath.fsum(q)
            # The double-precision logarithms define the law up to its normalisation.
            truth = mpmath.fsum(v / total * mpmath.log(v / total * 40) for v in q)
            got = policy_law(log_policy, log_base, logits, logits).kl[0]
            assert abs(got / truth - 1) < (1e-6 if scale < 1e-6 else 1e-12)


def test_a_policy_where_the_base_has_underflowed_keeps_its_kl() -> None:
    log_base = np.array([[-800.0, 0.0]])
    law = policy_law(np.log([[0.5, 0.5]]), log_base, np.zeros((1, 2)), np.zeros((1, 2)))
    assert law.kl[0] == pytest.approx(0.5 * (800.0 + np.log(0.5)) + 0.5 * np.log(0.5), rel=1e-12)


def test_outcomes_without_mass() -> None:
    with np.errstate(divide="ignore"):
        base, policy = np.log([[0.5, 0.5, 0.0]]), np.log([[1.0, 0.0, 0.0]])
    zeros = np.zeros((1, 3))
    assert policy_law(policy, base, zeros, zeros).kl[0] == pytest.approx(np.log(2))
    with pytest.raises(ValueError, match="KL is infinite"):
        policy_law(base, policy, zeros, zeros)


@settings(max_examples=20)
@given(SEEDS)
def test_a_constant_of_each_prompt_changes_neither_frontier_nor_tilt(seed: int) -> None:
    log_base, reward, gold = world(seed)
    moved = reward + np.random.default_rng(seed).integers(-1000, 1000, size=(len(reward), 1))
    one, other = collapse(log_base, reward, gold), collapse(log_base, moved, gold)
    lam = [0.1, 1.0, 5.0]
    for got, expected in zip(vars(other.optimum(lam)).values(), vars(one.optimum(lam)).values(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    half = 0.5 * one.average.max_kl
    assert other.average.gain_at_kl(half) == pytest.approx(one.average.gain_at_kl(half), rel=1e-9)
    best = [law.along([BestOfN(8)]).gold_gain[0] for law in (one, other)]
    assert best[1] == pytest.approx(best[0], rel=1e-9, abs=1e-12)


def test_written_and_read(tmp_path: Path) -> None:
    law = collapse(*world(3))
    law.write(tmp_path / "law.csv")
    again = LevelLaw.read(tmp_path / "law.csv")
    for name in ("prompt", "reward", "mass", "gold"):
        np.testing.assert_allclose(getattr(again, name), getattr(law, name), rtol=1e-11)
    assert [path.name for path in tmp_path.iterdir()] == ["law.csv"]


def test_unfit_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "law.csv"
    with pytest.raises(ValueError, match="no file"):
        LevelLaw.read(path)
    path.write_text("prompt,reward,mass\n0,1,1\n")
    with pytest.raises(ValueError, match="must have the columns"):
        LevelLaw.read(path)
    path.write_text("prompt,reward,mass,gold\n0,1,0.5,1\n0,2,0.4,2\n")
    with pytest.raises(ValueError, match="sum to one"):
        LevelLaw.read(path)


def test_shapes_are_checked() -> None:
    log_base, reward, gold = world(0)
    with pytest.raises(ValueError, match="one shape"):
        collapse(log_base, reward[:, 1:], gold)
    with pytest.raises(ValueError, match="one shape"):
        policy_law(log_base, log_base[:1], reward, gold)
    with pytest.raises(ValueError, match="sum"):
        collapse(log_base - 1.0, reward)
