"""Which checkpoint and which β: laws whose answer is known exactly, and what the command says of them."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from alignlib import lines
from alignlib._core.errors import InputError
from alignlib.answers.output.beta_choice import beta_headline, beta_lines, beta_notes
from alignlib.answers.output.pick import RunAdvice
from alignlib.cli.main import main
from alignlib.estimation import UnsupportedBudgetError, beta_at, fit_frontier, gold_turn
from alignlib.estimation.gold_turn import _tail, _with_one_more
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from alignlib.training import RunGold, choose_beta, effective_beta, gold_of_scores, pick
from alignlib.training.example_run import example_prompts, example_run
from alignlib.training.predicted_gold import predict_gold
from alignlib.training.trainer_penalties import BaseSamples, spent
from benchmarks import gold_turn_study

pytestmark = pytest.mark.xdist_group("pick")
BEND = 0.4  # gold is proxy - BEND proxy²: along the tilt of normal rewards d - BEND d², d = √(2 KL), most at d = 1.25


def base(seed: int, prompts: int = 80, samples: int = 64) -> RewardTable:
    rng = np.random.default_rng(seed)
    proxy = rng.standard_normal((prompts, samples))
    return RewardTable.from_arrays(proxy=proxy, gold=proxy - BEND * proxy**2 + 0.2 * rng.standard_normal(proxy.shape))


# ------------------------------------------------------------------ the checkpoint
def test_measured_gold_of_least_kl_within_one_standard_error_is_kept() -> None:
    run = example_prompts(np.zeros(30), 0.8, np.random.default_rng(0), n_checkpoints=8)
    rng, course = np.random.default_rng(3), np.array([0.0, 0.5, 0.8, 0.99, 1.0, 0.9, 0.6, 0.2])
    held = run.per_prompt
    assert held is not None
    own = rng.standard_normal(30)
    reward = np.concatenate([own + level + 0.1 * rng.standard_normal(30) for level in course])
    found = pick(run, replace(run, reward=course, per_prompt=replace(held, reward=reward)))
    assert found.told_by == "prompts"
    assert (found.chosen, found.best) == (3, 4)
    cells = reward.reshape(8, 30)  # the names p0, p1, … are sorted as text: errors do not mind
    apart = cells[found.best] - cells[3]
    assert found.behind_error[3] == pytest.approx(apart.std(ddof=1) / np.sqrt(30), rel=1e-12)
    assert found.behind[3] <= found.behind_error[3] < found.behind[2]
    assert found.turn is not None
    assert found.turn.said_at is not None
    assert found.step[found.turn.said_at] in (50.0, 60.0, 70.0)


def test_gold_is_predicted_where_it_is_known_exactly() -> None:
    log = replace(example_run(2, 3, np.random.default_rng(0))[0], kl=np.linspace(0.0, 2.3, 24))
    found = pick(log, fit=fit_frontier(base(3), "proxy", n_boot=200), column="gold")
    assert found.predicted is not None
    assert found.by == "predicted"
    known = np.isfinite(found.predicted.tilted)
    d = np.sqrt(2.0 * found.kl[known])
    np.testing.assert_allclose(found.predicted.tilted[known], d - BEND * d**2, atol=0.06)
    assert 5 < known.sum() < 24
    assert found.predicted.best_of_n[0] == found.predicted.tilted[0] == 0.0
    assert known[found.chosen]
    assert "of those whose gold the base samples tell" in lines_of(found)


def test_gold_is_predicted_on_the_prompts_of_the_run() -> None:
    """Half of the table's prompts, on which gold has twice the slope of the others."""
    rng, names = np.random.default_rng(5), [f"p{i}" for i in range(80)]
    proxy, slope = rng.standard_normal((80, 48)), np.repeat([2.0, 0.0], 40)[:, None]
    gold = slope * proxy + 0.1 * rng.standard_normal(proxy.shape)
    fit = fit_frontier(RewardTable.from_arrays({"reward": proxy, "gold": gold}, prompts=names), "reward", n_boot=100)
    found = pick(example_prompts(np.zeros(40), 1.0, rng, kl_max=0.5), fit=fit, column="gold")
    assert found.predicted is not None
    truth = 2.0 * np.sqrt(2.0 * found.kl[-1])
    assert found.predicted.tilted_low[-1] < truth < found.predicted.tilted_high[-1]
    assert any("Of the table's 80 prompts the log has 40" in note for note in found.notes)


def lines_of(found: object) -> str:
    return lines(RunAdvice(found.log, found, None, None, ()))[-1]  # type: ignore[attr-defined,arg-type]


def test_where_any_optimisation_hurts_the_base_is_kept() -> None:
    rng = np.random.default_rng(5)
    proxy = rng.standard_normal((60, 32))
    table = RewardTable.from_arrays(proxy=proxy, gold=-proxy + 0.1 * rng.standard_normal(proxy.shape))
    log = replace(example_run(2, 3, rng)[0], kl=np.linspace(0.0, 0.5, 24))
    found = pick(log, fit=fit_frontier(table, "proxy", n_boot=100), column="gold")
    assert (found.best, found.chosen) == (0, 0)


def test_at_equal_kl_a_run_that_is_best_of_n_is_not_told_from_it() -> None:
    table = base(7)
    fit = fit_frontier(table, "proxy", n_boot=200)
    n = np.array([1.0, 2.0, 4.0, 8.0])
    kl = np.log(n) - (n - 1.0) / n
    gold = float(table.prompt_means("gold").mean()) + fit.gold("gold").gold_gain[n.astype(int) - 1]
    log = example_run(2, 3, np.random.default_rng(0), n_checkpoints=5)[0].keep(np.arange(5) < 4)
    found = pick(replace(log, kl=kl), replace(log, kl=kl, reward=gold), fit=fit, column="gold")
    assert found.against is not None
    np.testing.assert_allclose(found.against, 0.0, atol=1e-9)


def test_best_of_n_beside_a_checkpoint_is_of_its_kl_also_below_that_of_two() -> None:
    """Of any N between whole ones, not a mixture of these, which has a third of its gain at .03 nats."""
    fit = fit_frontier(base(3), "proxy", n_boot=100)
    several = np.array([1.1, 1.3, 1.7, 3.5])
    found = predict_gold(np.log(several) - 1.0 + 1.0 / several, fit, "gold").best_of_n
    truth = [fit.gold("gold", [BestOfN(1.0), BestOfN(n)]).gold_gain[-1] for n in several.tolist()]
    np.testing.assert_allclose(found, truth, rtol=0.05, atol=0.01)


def test_a_beta_at_a_kl_that_some_draws_of_prompts_cannot_spend_has_an_interval() -> None:
    """Easy prompts: all of their few samples right on so many that .1 nats are hardly there to be spent."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        right = rng.random((60, 32)) < np.where(np.arange(60) < 26, 1.0, rng.beta(3.0, 1.0, 60))[:, None]
        fit = fit_frontier(right.astype(float), n_boot=100)
        for kl in (0.05, 0.1, 0.13):
            beta, low, high = beta_at(fit, kl) if kl <= fit.supported_end else (0.0, 0.0, 0.0)
            assert 0.0 <= low <= beta <= high < np.inf


def test_scores_of_steps_between_and_of_prompts_that_come_and_go() -> None:
    log = replace(example_run(2, 3, np.random.default_rng(0))[0], kl=np.arange(24.0))
    cells = {"step": [[5, 30], [5, 30], [5, 5]], "gold": [[0.0, 1.0], [2.0, 4.0], [9.0, 9.0]]}
    found = gold_of_scores(log, RewardTable.from_arrays(cells), "step", "gold")
    assert found.kl.tolist() == [0.5, 3.0]
    assert found.gold.tolist() == [1.0, 2.5]
    assert "1 of 3 prompts were not scored at every checkpoint" in found.notes[0]
    with pytest.raises(InputError, match="the log goes from step 0 to 230"):
        gold_of_scores(log, RewardTable.from_arrays({**cells, "step": [[5, 999]] * 3}), "step", "gold")
    two = replace(log, run=np.array(["a", "b"] * 12, dtype=object))
    with pytest.raises(InputError, match="holds 2 runs, 'a', 'b'"):
        pick(two, fit=fit_frontier(base(1, 10, 8), "proxy", n_boot=100), column="gold")


# ------------------------------------------------------------------ β
def test_beta_is_the_slope_of_the_exact_limit() -> None:
    law = FiniteLaw([0.0, 1.0, 3.0], [0.5, 0.3, 0.2])
    rows = np.random.default_rng(2).choice(law.reward, p=law.prob, size=(120, 64))
    beta, low, high = beta_at(fit_frontier(rows, n_boot=200), 0.4)
    truth = 1.0 / float(law.lam_at_kl(0.4))
    assert low < truth < high
    assert beta == pytest.approx(truth, rel=0.03)
    with pytest.raises(UnsupportedBudgetError, match="kl must not exceed"):
        beta_at(fit_frontier(rows[:20, :8], n_boot=100), 9.0)


def test_what_to_set_amounts_to_the_beta_again() -> None:
    rng = np.random.default_rng(3)
    spread = np.exp(0.25 * rng.standard_normal((100, 1)))
    found = choose_beta(fit_frontier(spread * rng.standard_normal((100, 64)), n_boot=100), 0.4, length=50.0, group=4)
    assert found.to_set("sequence") == found.beta
    assert found.to_set("length-normalised") == 0.75 * found.beta
    assert found.per_token is not None
    assert found.per_token / 50.0 == pytest.approx(found.beta)
    assert effective_beta(found.group_centred, "after", group=4) == pytest.approx(found.beta)
    right = choose_beta(fit_frontier((rng.random((150, 64)) < 0.3) * 1.0, n_boot=100), 0.2, group=8)
    success = float(FiniteLaw([0.0, 1.0], [0.7, 0.3]).gain_at_kl(0.2)) + 0.3
    assert right.group_scaled is not None
    again = effective_beta(right.group_scaled, "after", group=8, success=success)
    assert again == pytest.approx(right.beta, rel=0.03)


def test_without_a_group_every_normalisation_is_that_of_a_large_one() -> None:
    """None of those that take a group off is unknown beside others that are not."""
    found = choose_beta(fit_frontier(np.random.default_rng(3).standard_normal((40, 32)), n_boot=100), 0.2, length=9.0)
    assert found.group_centred == found.length_normalised == found.beta
    lines = {line.split()[1]: line for line in beta_lines(found)[1:]}
    assert not any("unknown" in line for line in lines.values())
    for name in ("group-centred", "group-scaled", "length-normalised"):
        assert "G of a large group" in lines[name]
        assert "(G-1)/G" not in lines[name]
    assert beta_headline(found, "group-centred").endswith(f"set {found.beta:.3g} where the penalty is group-centred.")


@pytest.mark.parametrize("group", [2, None])
def test_prompts_alike_but_for_a_constant_have_the_beta_of_all(group: int | None) -> None:
    """Small groups divide by less than the deviation, on every prompt alike."""
    rng = np.random.default_rng(8)
    one = rng.standard_normal(200)
    table = np.array([rng.permutation(one) + rng.normal() for _ in range(10)])
    found = choose_beta(fit_frontier(table, n_boot=100), 0.4, group=group)
    np.testing.assert_allclose([found.scale_low, found.scale_high], found.scale)


def test_scaled_by_deviations_that_differ_the_wished_kl_is_spent() -> None:
    """In large groups normal rewards have the KL 1/2c² on every prompt, whatever its deviation."""
    rng = np.random.default_rng(5)
    spread = np.exp(0.4 * rng.standard_normal((200, 1)))
    found = choose_beta(fit_frontier(spread * rng.standard_normal((200, 256)), n_boot=100), 0.3)
    assert found.group_scaled == pytest.approx(1.0 / np.sqrt(0.6), rel=0.06)
    # The mean over prompts of the β that it amounts to is another.
    assert np.mean(found.group_scaled * spread) < 0.95 * found.beta


def log_mean_exp(score: np.ndarray) -> np.ndarray:
    return scipy.special.logsumexp(score, axis=1, keepdims=True) - np.log(score.shape[1])


def trained(push, size: tuple[int, int], pace: float) -> np.ndarray:
    """Follow the expected update of free policies from the base, as log-ratios: no formula of a policy at rest."""
    ratio = np.zeros(size)
    for _ in range(3000):
        prob = np.exp(ratio) / size[1]
        moved = push(ratio, prob)
        moved -= (prob * moved).sum(axis=1, keepdims=True)
        ratio = ratio + pace * moved
        ratio -= log_mean_exp(ratio)
        if np.abs(prob * moved).max() < 1e-12:
            break
    return ratio


def test_what_is_set_spends_the_kl_of_the_optimum_with_the_lengths_that_there_are() -> None:
    """The samples are the base itself; trainers are followed to rest by their own updates."""
    rng, size = np.random.default_rng(7), (25, 24)
    reward, tokens = rng.standard_normal(size), np.round(40.0 * np.exp(0.4 * rng.standard_normal(size)))
    fit = fit_frontier(RewardTable.from_arrays(reward=reward, tokens=tokens), "reward", n_boot=100)
    found = choose_beta(fit, 0.15, tokens="tokens", group=4)
    optimum = reward / found.beta - log_mean_exp(reward / found.beta)
    wished = (np.exp(optimum) * optimum).mean()
    assert found.length == pytest.approx((np.exp(optimum) * tokens).mean(), rel=1e-9)

    def in_reward(c: float):
        return lambda ratio, prob: reward - c * ratio / tokens

    def in_loss(c: float):
        # A group's mean holds the response itself: what is left of its reward is three quarters on average.
        return lambda ratio, prob: (0.75 * (reward - (prob * reward).sum(axis=1, keepdims=True)) - c * ratio) / tokens

    assert found.per_token is not None
    assert found.naive is not None
    for push, c, plain, naive, pace in (
        (in_reward, found.per_token, found.beta * found.length, found.naive[0], 0.2),
        (in_loss, found.length_normalised, found.beta, found.naive[1], 8.0),
    ):
        reached, without = (trained(push(one), size, pace) for one in (c, plain))
        assert (np.exp(reached) * reached).mean() == pytest.approx(wished, rel=1e-3)
        assert (np.exp(without) * without).mean() / wished == pytest.approx(naive / 0.15, rel=1e-3)
        assert abs(naive / 0.15 - 1.0) > 0.02


def test_how_much_few_samples_understate_the_kl_of_long_responses_is_said() -> None:
    """The coefficient of few samples spends more on many; halves of the few show a part of it."""
    rng = np.random.default_rng(3)

    def fitted(prompts: int, samples: int):
        reward, tokens = rng.standard_normal((2, prompts, samples))
        table = RewardTable.from_arrays(reward=reward, tokens=np.ceil(100.0 * np.exp(0.5 * tokens)))
        return fit_frontier(table, "reward", n_boot=100)

    found = choose_beta(fitted(100, 32), 0.3, tokens="tokens")
    law = fitted(10, 4000).table
    many = BaseSamples(law.column("reward"), np.asarray(law.n_samples), law.column("tokens"))
    assert found.per_token is not None
    assert found.understated is not None
    assert 0.05 < found.understated < spent(many, found.per_token, "per-token") / 0.3 - 1.0
    assert any(f"it seems to spend {100 * found.understated:.0f} % less" in note for note in beta_notes(found))


def test_in_a_small_group_the_wished_kl_is_spent_too() -> None:
    """Groups of three are enumerated."""
    reward = np.repeat(np.array([[0.0, 0.5, 1.0, 3.0], [0.0, 1.0, 2.0, 2.5]]), 8, axis=1)
    fit = fit_frontier(np.tile(reward, (15, 1)), n_boot=100)
    found = choose_beta(fit, 0.2, group=3)
    values, place = zip(*(np.unique(row, return_inverse=True) for row in reward), strict=True)

    def advantage(ratio: np.ndarray, prob: np.ndarray) -> np.ndarray:
        given = np.zeros(reward.shape)
        for x in range(2):
            mass = np.bincount(place[x], prob[x])
            a, b, c = np.meshgrid(values[x], values[x], values[x], indexing="ij")
            group = np.stack([a, b, c])
            deviation = group.std(axis=0, ddof=1)
            own = np.where(deviation > 0.0, (a - group.mean(axis=0)) / np.where(deviation > 0.0, deviation, 1.0), 0.0)
            given[x] = (own * mass[:, None] * mass).sum(axis=(1, 2))[place[x]]
        return given

    assert found.group_scaled is not None
    rest = trained(lambda ratio, prob: advantage(ratio, prob) - found.group_scaled * ratio, reward.shape, 0.3)
    assert (np.exp(rest) * rest).mean() == pytest.approx(0.2, rel=0.05)


# ------------------------------------------------------------------ has gold fallen?
def test_a_fall_is_found_after_it_and_none_where_there_is_none() -> None:
    rng = np.random.default_rng(4)
    rising = np.sqrt(np.arange(20.0)) / 4.0
    falling = np.where(np.arange(20) <= 10, rising, rising[10] - 0.12 * (np.arange(20) - 10))
    alarms, found = 0, []
    for _ in range(60):
        noise = 0.4 * rng.standard_normal((20, 40)) + rng.standard_normal(40)
        alarms += gold_turn(rising[:, None] + noise, error=0.1).said_at is not None
        found.append(gold_turn(falling[:, None] + noise, error=0.1).said_at)
    assert alarms <= 6
    assert all(at is not None and at > 10 for at in found)
    # What later looks will say does not change what earlier ones said.
    values = falling[:, None] + noise
    at = found[-1]
    assert at is not None
    assert gold_turn(values[: at + 1], error=0.1).said_at == at
    assert gold_turn(values[:at], error=0.1).said_at is None


@pytest.mark.parametrize("prompts", [20, 60])
def test_few_prompts_that_rise_far_are_no_fall(prompts: int) -> None:
    """Exponential steps, level on average: Student's law alone takes too many samples for a fall."""
    rng = np.random.default_rng(prompts)
    moved = rng.exponential(1.0, (600, prompts)) - 1.0
    alarms = [gold_turn(np.stack([0.0 * one, one]), error=0.05, looks=1).said_at is not None for one in moved]
    student = scipy.stats.ttest_1samp(moved, 0.0, axis=1, alternative="less").pvalue <= 0.05
    assert np.mean(student) > 0.055
    assert np.mean(alarms) <= 0.05 + 3.0 * np.sqrt(0.05 * 0.95 / 600)


@given(st.lists(st.floats(-9.0, 9.0), min_size=2, max_size=12, unique=True))
def test_one_more_prompt_is_counted_as_if_it_were_there(moved: list[float]) -> None:
    fall = np.array(moved)
    around = fall - fall.mean()
    far = float(np.abs(around).max())
    if far < 1e-3:
        return
    sums = (np.array([fall.mean()]), np.array([(around**2).sum()]), np.array([(around**3).sum()]))
    t, skew = _with_one_more(*sums, far, np.array([fall.size]))
    more = np.append(fall, fall.mean() - far)
    assert t[0] == pytest.approx(scipy.stats.ttest_1samp(more, 0.0).statistic, rel=1e-6, abs=1e-9)
    assert skew[0] == pytest.approx(((more - more.mean()) ** 3).mean() / more.std(ddof=1) ** 3, rel=1e-6, abs=1e-9)


def test_so_few_prompts_that_no_fall_can_be_shown_are_named() -> None:
    fallen = np.concatenate([np.arange(12.0), 12.0 - 5.0 * np.arange(1.0, 19.0)])[:, None]
    course = fallen + 0.5 * np.random.default_rng(0).standard_normal((30, 30))
    ten, many = gold_turn(course[:, :10]), gold_turn(course)
    assert (ten.said_at, ten.blind_from, many.said_at, many.blind_from) == (None, 4, 12, None)
    log = example_run(2, 3, np.random.default_rng(1), n_checkpoints=30)[0]
    said = lines_of(pick(log, RunGold("gold", log.step, log.kl, course[:, :10].mean(axis=1), course[:, :10], ())))
    assert "from step 40 on 10 prompts cannot show a fall, however large" in said


def test_moods_that_move_all_prompts_are_pointed_out() -> None:
    rng, log = np.random.default_rng(6), example_run(2, 3, np.random.default_rng(0))[0]
    own = rng.standard_normal(60) + 0.3 * rng.standard_normal((24, 60))
    mood = rng.standard_normal((24, 1))
    for size, said in ((0.0, False), (0.3, True)):
        gold = own + size * mood
        found = pick(log, RunGold("judge", log.step, log.kl, gold.mean(axis=1), gold, ()))
        assert any("judge or policy have moods" in note for note in found.notes) == said
        assert found.told_by == ("checkpoints" if said else "prompts")
    few = pick(log, RunGold("judge", log.step[:6], log.kl[:6], own[:6].mean(axis=1), own[:6], ()))
    assert any("6 checkpoints are too few to show whether judge or policy have moods" in note for note in few.notes)
    assert "if no mood of judge or policy moves all prompts together" in lines_of(few)


def test_gold_or_reward_of_another_scale_than_the_tables_is_said() -> None:
    rng = np.random.default_rng(4)
    log = example_run(2, 3, np.random.default_rng(0))[0]
    level = rng.standard_normal((60, 16))
    table = RewardTable.from_arrays({"reward": level, "gold": 0.7 * level + 0.5 * rng.standard_normal((60, 16))})
    fit = fit_frontier(table, "reward", n_boot=100)
    for times, plus, said in ((1.0, 0.0, False), (10.0, 5.0, True)):
        gold = RunGold("gold", log.step, log.kl, plus + times * 0.5 * log.reward, None, ())
        notes = pick(log, gold, fit=fit, column="gold").notes
        assert any("of 'gold', and the base samples average" in note for note in notes) == said
        assert not any("of 'reward', and the base samples" in note for note in notes)
    for start, times, said in (
        (0.0, 30.0, "further apart than"),
        (0.3, -1.0, "further apart than"),
        (1.5, 30.0, "has that"),
    ):
        later = replace(log, kl=log.kl + start, logged_kl=log.kl + start)  # the table's gold averages 0, as the run's
        other = RunGold("gold", log.step, later.kl, times * (1.0 + log.reward), None, ())
        assert any(said in note for note in pick(later, other, fit=fit, column="gold").notes), start


@pytest.mark.parametrize(
    ("kl", "said"),
    [
        ([0.0] * 6, "logs a KL of 0 at every checkpoint"),
        ([0.0, 5.0, 9.0, 14.0, 22.0, 31.0], "KL is above 0 and within"),
    ],
)
def test_no_gold_is_predicted_at_a_kl_that_was_not_measured_or_is_not_supported(kl: list[float], said: str) -> None:
    log = example_run(2, 3, np.random.default_rng(0))[0].keep(np.arange(6))
    run = replace(log, kl=np.array(kl), logged_kl=np.array(kl))
    with pytest.raises(InputError, match=said):
        pick(run, fit=fit_frontier(base(3), "proxy", n_boot=100), column="gold")


def test_steps_of_one_prompt_some_of_a_rare_kind_are_of_the_tables_prompts() -> None:
    """One prompt in twenty has 3 more; the log's second differences hardly show it."""
    rng = np.random.default_rng(5)
    table = 3.0 * (np.arange(100) % 20 == 0)[:, None] + 0.1 * rng.standard_normal((100, 8))
    fit = fit_frontier(
        RewardTable.from_arrays({"reward": table, "gold": table + 0.01 * rng.random(table.shape)}), "reward", n_boot=100
    )
    log = example_run(2, 3, np.random.default_rng(0))[0].keep(np.arange(24))
    kl = np.linspace(0.0, 0.1, 24)
    reward = 0.025 * rng.standard_normal(24) + 3.0 * np.isin(np.arange(24), [1, 9])
    for plus, said in ((0.0, False), (2.0, True)):
        run = replace(log, kl=kl, logged_kl=kl, reward=reward + plus)
        notes = pick(run, fit=fit, column="gold").notes
        assert any("of 'reward', and the base samples average" in note for note in notes) == said, notes
        notes = pick(run, replace(run, reward=run.reward), fit=fit, column="gold").notes
        assert any("of 'gold', and the base samples average" in note for note in notes) == said, notes


def test_the_error_spent_never_exceeds_what_was_stated() -> None:
    values = np.random.default_rng(0).standard_normal((150, 3))
    found = gold_turn(values, error=0.03)
    assert 0.025 < found.spent.sum() <= 0.03
    assert gold_turn(values, error=0.03, looks=149).spent.sum() == pytest.approx(0.03)
    with pytest.raises(InputError, match="looks must be at least"):
        gold_turn(values, looks=10)
    same = gold_turn(np.ones((9, 5)))
    assert same.said_at is None
    assert gold_turn(np.arange(5.0)).looks == 0


@pytest.mark.parametrize("width", [6, 8])
def test_tails_are_those_of_all_orders(width: int) -> None:
    orders = np.array(list(itertools.permutations(range(width))))
    down = orders[:, :, None] > orders[:, None, :]
    later, half = np.triu(np.ones((width, width), dtype=bool), 1), width // 2
    for halves, counts in ((False, down[:, later].sum(axis=1)), (True, down[:, :half, half:].sum(axis=(1, 2)))):
        tail = _tail(width, halves)
        np.testing.assert_allclose(tail, [(counts >= n).mean() for n in range(tail.size)], rtol=1e-12)


MEANS = {name: draw for name, draw in gold_turn_study.BY_MEANS.items() if name != "noise that half persists"}


@pytest.mark.parametrize("name", MEANS)
def test_means_that_never_fall_seldom_alarm_whatever_their_noise(name: str) -> None:
    """A t-like test had 7 to 68 % here in five of these."""
    rng, runs = np.random.default_rng(3), 100
    alarms = np.mean([gold_turn(MEANS[name](rng, 30, 0)).said_at is not None for _ in range(runs)])
    assert alarms <= 0.05 + 2.0 * np.sqrt(0.05 * 0.95 / runs)


def test_means_that_fall_or_collapse_are_told_and_noise_that_goes_on_is_named() -> None:
    rng, look = np.random.default_rng(2), np.arange(40)
    fall = [gold_turn(np.minimum(look, 24 - 2 * look) + rng.standard_normal(40)).said_at for _ in range(20)]
    assert all(at is not None and 8 < at <= 18 for at in fall)
    collapse = [gold_turn(np.where(look < 12, 0.0, -9.0) + rng.standard_normal(40)).said_at for _ in range(20)]
    assert all(at is not None and 12 < at <= 24 for at in collapse)
    walks = [np.convolve(rng.standard_normal(400), 0.8 ** np.arange(30), "valid")[:60] for _ in range(10)]
    assert any(gold_turn(walk).apart > 1 for walk in walks)
    log = example_run(2, 3, rng, n_checkpoints=60)[0]
    found = pick(log, RunGold("gold", log.step, log.kl, walks[0], None, ()))
    assert found.turn is not None
    said = lines(RunAdvice(log, replace(found, turn=replace(found.turn, apart=3)), None, None, ()))
    assert "a fall is told only if checkpoints 3 apart show it too" in " ".join(said)


def test_the_study_counts_what_is_not_counted_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gold_turn_study, "BY_PROMPT", {"normal noise": gold_turn_study.BY_PROMPT["normal noise"]})
    alike = {"normal noise": lambda rng, k, m: np.arange(k)[::-1, None] + rng.standard_normal((k, max(m, 2)))}
    for part in ("power", "beside_prediction"):
        monkeypatch.setattr(gold_turn_study, part, lambda runs: iter(()))
    monkeypatch.setattr(gold_turn_study, "BY_MEANS", {"normal noise": lambda rng, k, m: np.arange(k) * 1.0})
    typed = ["--runs", "2", "--out", str(tmp_path / "study.jsonl")]
    gold_turn_study.main(typed)
    rows = [json.loads(line) for line in (tmp_path / "study.jsonl").read_text().splitlines()]
    assert len(rows) == 7
    assert all(row["false_alarms"] <= 0.5 for row in rows)
    monkeypatch.setattr(gold_turn_study, "BY_PROMPT", alike)  # which would always alarm
    gold_turn_study.main(typed)
    assert [json.loads(line) for line in (tmp_path / "study.jsonl").read_text().splitlines()] == rows


# ------------------------------------------------------------------ the command
def asked(*arguments: object) -> str:
    done = CliRunner().invoke(main, ["pick", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, rng = tmp_path_factory.mktemp("pick"), np.random.default_rng(0)
    table = base(9, 40, 32)
    rows = [
        f"{i},{proxy},{gold}"
        for i, (proxies, golds) in enumerate(
            zip(table.column("proxy").reshape(40, 32), table.column("gold").reshape(40, 32), strict=True)
        )
        for proxy, gold in zip(proxies, golds, strict=True)
    ]
    (place / "base.csv").write_text("\n".join(["prompt_id,score,gold", *rows]))
    steps = np.arange(0, 200, 10)
    kl, gold = 0.1 * steps / 10, np.minimum(steps, 200 - 1.4 * steps) / 100
    run = [f"{s},{k},{np.sqrt(2 * k)},{g if s % 20 == 0 else ''}" for s, k, g in zip(steps, kl, gold, strict=True)]
    (place / "run.csv").write_text("\n".join(["step,kl,reward,eval_gold", *run]))
    scores = [f"{s},{i},{g + 0.1 * rng.standard_normal()}" for s, g in zip(steps, gold, strict=True) for i in range(30)]
    (place / "judged.csv").write_text("\n".join(["step,prompt_id,judge", *scores]))
    return place


def test_the_command_keeps_a_checkpoint_and_says_that_gold_has_fallen(folder: Path) -> None:
    run = (folder / "run.csv", "--kl-unit", "sequence")
    by_log = asked(*run, "--run-gold", "eval_gold")
    assert "Keep the checkpoint of step 80, 0.8 nats" in by_log
    by_scores = asked(*run, "--scores", folder / "judged.csv", "--gold", "judge", "--error", "0.01")
    assert "Keep the checkpoint of step 8" in by_scores
    assert "Gold has fallen by step 1" in by_scores
    assert "chance of a false alarm at any of the looks: 1.0 %" in by_scores


def test_the_command_tells_a_beta_in_each_normalisation(folder: Path) -> None:
    arguments = (folder / "run.csv", "--kl-unit", "sequence", "--table", folder / "base.csv", "--reward", "score")
    found = asked(*arguments, "--kl", "0.5", "--group", 8, "--normalisation", "per-token", "--run-length", 100)
    document = json.loads(asked(*arguments, "--kl", "0.5", "--group", 8, "--run-length", 100, "--json"))
    beta, to_set = document["beta"], document["beta"]["to_set"]
    assert beta["beta_low"] < 1.0 < beta["beta_high"]
    assert f"set {to_set['per_token']:.3g} where the penalty is per-token" in found
    assert document["pick"] is None
    picture = folder / "pick.svg"
    both = asked(*arguments, "--gold", "gold", "--run-gold", "eval_gold", "-o", picture, "--json")
    assert json.loads(both)["pick"]["by"] == "measured"
    done = CliRunner().invoke(main, ["pick", *map(str, arguments), "--gold", "gold", "--csv"])
    drawn = pd.read_csv(io.StringIO(done.stdout))
    curves = drawn[drawn["what"] != "checkpoint"]  # the picture draws gold itself: the gains above the base's
    assert set(curves["what"]) == {"tilted", "best_of_n"}
    assert curves["base_gold"].notna().all()
    gains = curves["tilted"].fillna(curves["best_of_n"])
    assert np.allclose(curves["drawn"], curves["base_gold"] + gains)  # where the picture has it
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ((), "Nothing to pick by"),
        (("--table", "base.csv", "--gold", "gold"), "(--reward)"),
        (("--kl", "1"), "need --table"),
        (("--table", "base.csv", "--reward", "score", "--gold", "score"), "a reward is no proxy of itself"),
        (("--run-gold", "nothing"), "(--run-gold)"),
        (("--run-gold", "eval_gold", "--scores", "judged.csv"), "two golds"),
        (("--gold", "gold"), "--run-gold"),
        (("--scores", "judged.csv", "--gold", "nothing"), "'nothing' (--run-step or --gold)"),
        (("--table", "base.csv", "--reward", "score", "--kl", "50"), "--kl must not exceed"),
        (("--table", "base.csv", "--reward", "score"), "Nothing to pick by"),
        (
            ("--table", "base.csv", "--reward", "score", "--kl", "0.3", "--tokens", "no"),
            "(--reward, --gold or --tokens)",
        ),
        (
            ("--table", "base.csv", "--reward", "score", "--kl", "0.3", "--tokens", "score"),
            "name the column of lengths",
        ),
        (("--table", "base.csv", "--reward", "score", "--kl", "0.3", "--tokens", "gold"), "--tokens must be 1 or more"),
        (("--run-gold", "eval_gold", "--tokens", "n"), "need --table"),
        (("--normalisation", "token-mean"), "'per-token'"),  # verl's word for a loss that takes β, not β × length
        (("--run-gold", "eval_gold", "--looks", "3"), "--looks must be at least"),
    ],
)
def test_what_cannot_be_picked_is_one_sentence(folder: Path, typed: tuple[str, ...], said: str) -> None:
    words = [str(folder / word) if word.endswith(".csv") else word for word in typed]
    done = CliRunner().invoke(main, ["pick", str(folder / "run.csv"), "--kl-unit", "sequence", *words])
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
