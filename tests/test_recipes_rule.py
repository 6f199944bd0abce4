"""The recipe for a rule: two toys, that of CONTRIBUTING.md and one that sees values, go wherever best-of-N goes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from alignlib import plotting
from alignlib._core.checks import FloatArray
from alignlib.answers.findings import ask
from alignlib.answers.output import frontier
from alignlib.answers.output.hacking import stop_sentence
from alignlib.answers.output.render import capital
from alignlib.answers.pictures import gold_picture
from alignlib.divergences import KL, REVERSE_KL, Divergence
from alignlib.estimation import fit_frontier
from alignlib.hacking.ensemble_estimation import estimate_ensemble
from alignlib.hacking.hacking_threshold import hacking_threshold
from alignlib.hacking.overoptimisation import rule_curve
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.laws import FiniteLaw, Gaussian, Levels, PromptAverage
from alignlib.rules import BestOfN, Rule, Rules, prepare
from alignlib.tables import RewardTable
from tests.recipes import recipe

ThreeAtTimes: type[Any] = recipe("A rule").ThreeAtTimes


@dataclass(frozen=True)
class SecondChance(Rule):
    """Draw two and keep the first unless it falls below ``bar``: a rule that sees values."""

    bar: float

    name = "second chance"
    parameter = "bar"
    symbol = "bar"

    @property
    def draws(self) -> float:
        return 2.0

    def log_ratio(self, levels: Levels) -> FloatArray:
        low = levels.reward < self.bar
        return np.log(levels.mass[low].sum() + np.where(low, 0.0, 1.0))

    def choose(self, rewards: FloatArray, rng: np.random.Generator) -> int:
        return int(rewards[0] < self.bar)


REWARD, PROB = np.array([0.0, 1.0, 1.0, 2.5, -1.0]), np.array([0.1, 0.2, 0.3, 0.25, 0.15])
LAW = FiniteLaw(REWARD, PROB)
TOYS = [ThreeAtTimes(0.5), SecondChance(0.5)]
RULES = pytest.mark.parametrize("rule", TOYS, ids=[toy.name for toy in TOYS])


def test_exact_policies_are_the_enumeration_of_all_draws() -> None:
    three, second = BestOfN(3).on(LAW).policy, np.zeros(5)
    for first, other in itertools.product(range(5), repeat=2):
        second[first if REWARD[first] >= 0.5 else other] += PROB[first] * PROB[other]
    np.testing.assert_allclose(TOYS[0].on(LAW).policy, (PROB + three) / 2, rtol=1e-13)
    np.testing.assert_allclose(TOYS[1].on(LAW).policy, second, rtol=1e-13)


@RULES
def test_everything_exact_follows(rule: Rule) -> None:
    found, policy = rule.on(LAW), rule.on(LAW).policy
    assert policy.sum() == pytest.approx(1.0, rel=1e-12)
    assert found.kl == pytest.approx(policy @ np.log(policy / PROB), rel=1e-12)
    assert found.spent(REVERSE_KL) == pytest.approx(PROB @ np.log(PROB / policy), rel=1e-12)
    assert found.gain == pytest.approx((policy - PROB) @ REWARD, rel=1e-12)
    wins = (np.sign(REWARD[:, None] - REWARD) + 1) / 2
    assert found.win_rate == pytest.approx(policy @ wins @ PROB, rel=1e-12)
    assert rule.on(PromptAverage([LAW, LAW])).kl == pytest.approx(found.kl, rel=1e-14)
    assert found.gain <= LAW.gain_at_kl(found.kl) + 1e-12


def test_a_rule_of_ranks_is_exact_on_laws_without_atoms_too() -> None:
    rule = ThreeAtTimes(0.5)
    assert rule.on(Gaussian()).gain == pytest.approx(BestOfN(3).on(Gaussian()).gain / 2, rel=1e-10)
    assert rule.on(Gaussian()).win_rate == pytest.approx((1 / 2 + 3 / 4) / 2, rel=1e-12)
    fine = rule.on(FiniteLaw(np.arange(20_000)))
    assert fine.kl == pytest.approx(rule.spent_formula(), rel=1e-6)
    assert fine.kl <= rule.spent_formula()
    with pytest.raises(ValueError, match=r"law must be finite for second chance"):
        SecondChance(0.5).on(Gaussian())


@RULES
def test_its_draws_have_the_exact_law(rule: Rule) -> None:
    rng = np.random.default_rng(0)
    kept = np.empty(4000)
    for i in range(kept.size):
        rewards = rng.choice(REWARD, size=rule.number_of_draws(rng), p=PROB)
        kept[i] = rewards[rule.choose(rewards, rng)]
    assert abs(kept.mean() - rule.on(LAW).mean_reward) < 4 * kept.std() / np.sqrt(kept.size)


@RULES
@pytest.mark.parametrize("divergence", [KL, REVERSE_KL], ids=["kl", "reverse kl"])
def test_estimates_agree_with_the_exact_law(rule: Rule, divergence: Divergence) -> None:
    rows = np.random.default_rng(1).choice(REWARD, p=PROB, size=(500, 64))
    exact, found = rule.on(LAW), rule.evaluate(prepare(rows), divergence)
    wanted = (exact.spent(divergence), exact.mean_reward, exact.win_rate)
    for values, want in zip((found.spent, found.mean, found.win_rate), wanted, strict=True):
        assert abs(values.mean() - want) < 4 * values.std() / np.sqrt(values.size) + 0.004 * abs(want)


@RULES
def test_gold_is_followed_and_its_peak_found(rule: Rule) -> None:
    gold = np.array([0.0, 2.0, 1.0, -1.0, 0.5])
    pair = ProxyPair(gold, REWARD, PROB)
    curve = rule_curve(pair, [rule])
    assert curve.gold_gain[0] == pytest.approx((rule.on(LAW).policy - PROB) @ [0.0, 1.4, 1.4, -1.0, 0.5], rel=1e-12)
    assert curve.gold_gain[0] <= curve.limit_gain[0]
    assert curve.path == rule.name
    if isinstance(rule, ThreeAtTimes):  # along its share gold is linear, so an end is best
        found = hacking_threshold(pair, ThreeAtTimes)
        assert not found.certified
        assert found.gold_gain == pytest.approx(max(rule_curve(pair, [ThreeAtTimes(1.0)]).gold_gain[0], 0.0), abs=1e-9)


@pytest.fixture(scope="module")
def table() -> RewardTable:
    rng = np.random.default_rng(2)
    proxy = rng.standard_normal((120, 32))
    return RewardTable.from_arrays(proxy=proxy, gold=proxy + rng.standard_normal(proxy.shape))


@RULES
def test_it_is_put_against_the_limit(table: RewardTable, rule: Rule) -> None:
    found = fit_frontier(table, "proxy", n_boot=200).share(rule)
    assert found.share is not None
    assert 0.3 < found.share[0] <= 1.0
    assert found.gain_low[0] < found.gain[0] < found.gain_high[0]
    fine = rule.on(FiniteLaw(Gaussian().quantile((np.arange(4000) + 0.5) / 4000)))
    assert found.gain_low[0] < fine.gain < found.gain_high[0]
    assert found.spent[0] == pytest.approx(fine.kl, rel=0.03)


def test_its_gold_is_predicted_along_its_parameter(table: RewardTable) -> None:
    fit = fit_frontier(table, "proxy", n_boot=200)
    for rules, said in (
        (ThreeAtTimes.along([0.0, 0.5, 1.0]), "Gold rises as far as the samples reach: at q = 1 ("),
        (SecondChance.along([-1.0, 0.0, 1.0]), "Gold turns down: stop near bar = 0 ("),  # the mean is the best bar
    ):
        found = fit.gold("gold", rules)
        assert (found.name, found.path) == (rules.name, rules[0].parameter)
        np.testing.assert_allclose(found.gold_gain, found.proxy_gain, atol=0.1)  # half of the gold is the proxy
        assert stop_sentence(found).startswith(said)
    with pytest.raises(ValueError, match=r"rules must be one rule along its growing parameter; got .*best-of-2"):
        fit.gold("gold", [*TOYS, BestOfN(2)])
    one = estimate_ensemble(table, ["proxy"], "gold", rule=ThreeAtTimes(1.0), n_boot=100)
    three = estimate_ensemble(table, ["proxy"], "gold", rule=BestOfN(3), n_boot=100)
    assert one.gold_gain[0] == pytest.approx(three.gold_gain[0], rel=1e-3)


@RULES
def test_it_is_printed_and_drawn(table: RewardTable, rule: Rule) -> None:
    found = ask(table, "proxy", rules=[rule], n_boot=200)
    said = "\n".join(frontier.lines(found))
    assert f"{capital(rule.name)}, and its share of what any method can gain" in said
    assert f"{rule.title} already gets" in said
    assert [row["rule"] for row in frontier.points(found) if row["what"] == "rule"] == [rule.title]
    assert frontier.record(found)["reward"]["rules"][0]["rule"] == rule.title
    fig, ax = plotting.new()
    gold_picture(ax, found.reward, None)
    assert rule.name in ax.get_ylabel()
    best = found.reward.rules
    plotting.points(ax, best.spent, best.gain, [one.label for one in best.rules])
    assert rule.label in [text.get_text() for text in ax.texts]
    plt.close(fig)


def test_rules_of_several_kinds_are_printed_together(table: RewardTable) -> None:
    said = frontier.lines(ask(table, "proxy", rules=[*TOYS, BestOfN(4)], n_boot=200))
    assert any(line.split()[:4] == ["three", "at", "times", "(q=0.5)"] for line in said)
    assert any(line.split()[:1] == ["best-of-4"] for line in said)


def test_rules_come_in_rows() -> None:
    row = ThreeAtTimes.along([0.0, 0.5, 1.0])
    assert [rule.label for rule in row] == ["q=0", "q=0.5", "q=1"]
    np.testing.assert_allclose(row.on(LAW).kl, [rule.on(LAW).kl for rule in row], rtol=1e-15)
    assert row.on(LAW).kl[0] == pytest.approx(0.0, abs=1e-15)
    assert np.isnan(Rules(TOYS).spent_formula()).tolist() == [False, True]
