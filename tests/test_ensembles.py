"""Ensembles of proxies: the convexity theorem and its monotonicity, the 1/K regime, draws that get worse, samples."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from alignlib import ask, lines
from alignlib._core.errors import InputError
from alignlib.answers.output.hacking import comparison_sentences, split_sentence
from alignlib.hacking.ensemble_estimation import estimate_ensemble
from alignlib.hacking.ensembles import KINDS, combine, ensemble_price, members_worth_having, small_error_regret
from alignlib.hacking.error_split import split_error
from alignlib.hacking.member_comparison import compare_members
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.hacking.proxy_table import on_one_scale
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from tests.test_proxy_gap import VALUES


@st.composite
def ensembles(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size, members = draw(st.integers(2, 6)), draw(st.integers(2, 5))
    gold = draw(hnp.arrays(np.float64, size, elements=VALUES))
    errors = draw(hnp.arrays(np.float64, (members, size), elements=VALUES))
    prob = draw(hnp.arrays(np.float64, size, elements=st.floats(0.01, 1)))
    return gold, gold + errors, prob / prob.sum()


@settings(max_examples=60)
@given(ensembles(), st.floats(1e-3, 10), st.floats(0, 1))
def test_convexity_theorem_the_divergence_is_convex_in_the_error(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray], lam: float, t: float
) -> None:
    gold, members, prob = drawn
    ends = [ProxyPair(gold, row, prob).divergence(lam) for row in members[:2]]
    between = ProxyPair(gold, t * members[0] + (1 - t) * members[1], prob).divergence(lam)
    assert between <= (t * ends[0] + (1 - t) * ends[1]) * (1 + 1e-9) + 1e-12


@settings(max_examples=40)
@given(ensembles(), st.floats(1e-3, 10))
def test_the_mean_ensemble_is_never_worse_than_its_members_on_average(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray], lam: float
) -> None:
    price = ensemble_price(drawn[0], drawn[1], lam, drawn[2])
    assert price.divergence <= price.members_divergence * (1 + 1e-9) + 1e-12


@settings(max_examples=30)
@given(ensembles(), st.floats(1e-3, 10))
def test_monotonicity_in_k_of_the_expected_divergence(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray], lam: float
) -> None:
    """Members drawn without replacement are exchangeable: the average over all choices of K cannot rise with K."""
    gold, members, prob = drawn
    means = [
        np.mean(
            [
                ProxyPair(gold, members[list(chosen)].mean(axis=0), prob).divergence(lam)
                for chosen in itertools.combinations(range(len(members)), k)
            ]
        )
        for k in range(1, len(members) + 1)
    ]
    assert (np.diff(means) <= 1e-9 * np.array(means[:-1]) + 1e-12).all()


def test_the_regret_of_a_single_draw_can_get_worse_with_heavy_tails() -> None:
    """The regret is not convex: for heavy-tailed errors many draws do worse than their members on average."""
    worse, worse_in_divergence = {}, {}
    for name in ("heavy", "light"):
        rng = np.random.default_rng(0)
        prices = []
        for _ in range(150):
            gold = rng.standard_normal(30)
            errors = rng.standard_t(1.5, (4, 30)) if name == "heavy" else 0.3 * rng.standard_normal((4, 30))
            prices.append(ensemble_price(gold, gold + errors, 2.0))
        worse[name] = np.mean([p.regret > p.members_regret for p in prices])
        worse_in_divergence[name] = np.mean([p.divergence > p.members_divergence for p in prices])
    assert worse["heavy"] > 0.05
    assert worse["light"] == 0.0
    assert max(worse_in_divergence.values()) == 0.0


def test_small_errors_cost_one_over_k_down_to_the_floor() -> None:
    rng = np.random.default_rng(1)
    gold, lam, size = rng.standard_normal(200), 1.0, 1e-2
    star = np.exp(ProxyPair(gold, gold).ideal.log_policy(lam))
    shared = size * rng.standard_normal(200)
    sizes, regrets = [1, 4, 16], []
    for k in sizes:
        draws = [shared + size * rng.standard_normal((k, 200)).mean(axis=0) for _ in range(60)]
        regrets.append(np.mean([ProxyPair(gold, gold + e).regret(lam) for e in draws]))
    own = size**2 * (1 - (star**2).sum())
    shared_variance = star @ shared**2 - (star @ shared) ** 2
    predicted = small_error_regret(lam, shared_variance, own, sizes)
    np.testing.assert_allclose(regrets, predicted, rtol=0.06)
    assert regrets[2] > small_error_regret(lam, shared_variance, 0.0, 1)[0] * 0.97


def test_members_worth_having_is_where_the_excess_falls_below_the_floor() -> None:
    k = members_worth_having(0.02, 0.3, 0.1)
    floor = small_error_regret(1.0, 0.02, 0.0, 1)[0]
    assert (
        small_error_regret(1.0, 0.02, 0.3, k)[0]
        <= 1.1 * floor * (1 + 1e-12)
        < small_error_regret(1.0, 0.02, 0.3, k - 1)[0]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_one_member_is_that_member_and_shifts_with_it(kind: str) -> None:
    rows = np.random.default_rng(0).standard_normal((5, 7))
    np.testing.assert_allclose(combine(rows[:1], kind), rows[0])
    np.testing.assert_allclose(combine(rows + 3.0, kind), combine(rows, kind) + 3.0)
    assert (combine(rows, "min") <= combine(rows, kind) + 1e-12).all() or kind == "mean_minus_std"
    np.testing.assert_allclose(combine(rows, "mean_minus_std", 0.0), rows.mean(axis=0))


def test_conservative_kinds_help_where_errors_are_heavy_tailed_upwards() -> None:
    """Best-of-N picked by mean is drawn by one member's outlier; by median or min it is not."""
    rng = np.random.default_rng(2)
    gold = rng.standard_normal((300, 32))
    scores = gold + rng.pareto(1.2, (8, 300, 32))
    table = replace(
        RewardTable.from_arrays(gold),
        columns={"gold": gold.reshape(-1)} | {f"s{k}": s.reshape(-1) for k, s in enumerate(scores)},
    )
    members = [f"s{k}" for k in range(8)]
    gains = {
        kind: estimate_ensemble(table, members, "gold", rule=BestOfN(16), sizes=[8], kind=kind, n_boot=100).gold_gain[0]
        for kind in KINDS
    }
    assert gains["median"] > gains["mean"] + 0.3
    assert gains["min"] > gains["mean"] + 0.3


# -- from samples


def noisy(shared: float, own: float, members: int = 6, prompts: int = 150, n: int = 32, seed: int = 0) -> RewardTable:
    rng = np.random.default_rng(seed)
    gold, common = rng.standard_normal((2, prompts, n))
    scores = 2.0 * gold + shared * common + own * rng.standard_normal((members, prompts, n))
    columns = {"gold": gold.reshape(-1)} | {f"s{k}": s.reshape(-1) for k, s in enumerate(scores)}
    return replace(RewardTable.from_arrays(gold), columns=columns)


@pytest.mark.parametrize(("shared", "own"), [(0.5, 1.5), (1.0, 0.3), (0.2, 0.2)])
def test_split_of_the_error_finds_both_parts_and_the_slope(shared: float, own: float) -> None:
    split = split_error(noisy(shared, own), [f"s{k}" for k in range(6)], "gold", n_boot=300)
    assert split.shared_low <= shared**2 <= split.shared_high
    assert split.own_low <= own**2 <= split.own_high
    assert split.slope == pytest.approx(2.0, abs=0.05)
    assert split.shared_part == pytest.approx(shared**2 / (shared**2 + own**2), rel=0.1)


def test_ensembles_of_samples_gain_with_size_down_to_the_shared_floor() -> None:
    table, members = noisy(1.0, 3.0), [f"s{k}" for k in range(6)]
    result = estimate_ensemble(table, members, "gold", rule=BestOfN(8), sizes=[1, 2, 6], n_choices=10, n_boot=200)
    assert (np.diff(result.gold_gain) > 0).all()
    assert (result.worst <= result.gold_gain + 1e-12).all()
    assert (result.gold_gain <= result.best + 1e-12).all()
    assert result.choices[[0, 2]].tolist() == [6, 1]
    # The exact values: correlation of gold with the mean score times E max of 8.
    expected = [2.0 / np.sqrt(4 + 1 + 9 / k) * 1.4236 for k in (1, 2, 6)]
    assert (np.abs(result.gold_gain - expected) < 1.7 * (result.gold_high - result.gold_low) / 2).all()


def test_one_member_is_best_of_n_by_it() -> None:
    from alignlib.estimation import fit_frontier

    table = noisy(0.5, 1.0, members=1)
    one = estimate_ensemble(table, ["s0"], "gold", rule=BestOfN(4), n_boot=100)
    assert one.gold_gain[0] == pytest.approx(
        fit_frontier(table, "s0", n_boot=100).gold("gold", BestOfN(4)).gold_gain[0]
    )


def test_bad_input_is_named() -> None:
    table = noisy(0.1, 0.1, members=2, prompts=3, n=5)
    with pytest.raises(InputError, match="ensemble column 's0' is named twice"):
        estimate_ensemble(table, ["s0", "s0"], "gold", rule=BestOfN(2))
    with pytest.raises(ValueError, match=r"sizes must lie in 1..2, the number of members; got \[3\]"):
        estimate_ensemble(table, ["s0", "s1"], "gold", rule=BestOfN(2), sizes=[3])
    with pytest.raises(ValueError, match="n must not exceed 5"):
        estimate_ensemble(table, ["s0", "s1"], "gold", rule=BestOfN(6))
    with pytest.raises(ValueError, match="kind must be one of 'mean', 'median', 'min', 'mean_minus_std'; got 'max'"):
        combine([[1.0]], "max")
    with pytest.raises(ValueError, match=r"members must have shape \(K, 2\)"):
        ensemble_price([0.0, 1.0], [[0.0, 1.0, 2.0]], 1.0)
    with pytest.raises(ValueError, match="members must name at least two columns"):
        split_error(table, ["s0"], "gold")


def test_members_on_one_scale_pick_alone_as_before() -> None:
    table = noisy(0.3, 0.5, members=3, prompts=20, n=8)
    wide = replace(table, columns={**table.columns, "s1": 1e3 + 500.0 * table.columns["s1"]})
    members = ["s0", "s1", "s2"]
    even = on_one_scale(wide, members)
    for name in members:
        alone = [estimate_ensemble(t, [name], "gold", rule=BestOfN(4), n_boot=100).gold_gain[0] for t in (wide, even)]
        assert alone[0] == pytest.approx(alone[1], abs=1e-12)
        rows = even.columns[name].reshape(20, 8)
        assert rows.mean() == pytest.approx(0.0, abs=1e-12)
        assert rows.var(axis=1).mean() == pytest.approx(1.0)
    dominated = estimate_ensemble(wide, members, "gold", rule=BestOfN(4), sizes=[3], n_boot=100).gold_gain[0]
    one = estimate_ensemble(wide, ["s1"], "gold", rule=BestOfN(4), n_boot=100).gold_gain[0]
    assert dominated == pytest.approx(one, abs=0.02)
    assert estimate_ensemble(even, members, "gold", rule=BestOfN(4), sizes=[3], n_boot=100).gold_gain[0] > one + 0.02


def test_a_member_on_another_scale_and_a_constant_member_are_named() -> None:
    table = noisy(0.1, 0.1, members=2, prompts=3, n=5)
    table = replace(table, columns={**table.columns, "copy": 2 * table.columns["s0"] + 7, "flat": np.ones(15)})
    with pytest.raises(InputError, match="'copy' duplicates 's0' on another scale, on all 15 samples"):
        on_one_scale(table, ["s0", "s1", "copy"])
    with pytest.raises(InputError, match="'flat' is constant within each of the 3 prompts, so it picks nothing"):
        estimate_ensemble(table, ["s0", "flat"], "gold", rule=BestOfN(2))


def three_members(sd: tuple[float, float, float], seed: int = 0, prompts: int = 80, n: int = 12) -> RewardTable:
    rng = np.random.default_rng(seed)
    gold = rng.standard_normal((prompts, n))
    noise = rng.standard_normal((3, prompts, n)) * np.array(sd)[:, None, None]
    return RewardTable.from_arrays({"gold": gold} | {f"s{k}": gold + e for k, e in enumerate(noise)})


MEMBERS = ["s0", "s1", "s2"]


def test_one_good_member_beats_the_ensemble_and_the_sentences_say_so() -> None:
    found = compare_members(three_members((0.1, 3.0, 3.0)), MEMBERS, "gold", rule=BestOfN(8), n_boot=300)
    assert (found.members[found.best], set(found.verdict), found.alike) == ("s0", {"member"}, False)
    said = " ".join(comparison_sentences(found))
    assert "No way to combine them helps: pick by 's0'." in said
    split = split_error(three_members((0.1, 3.0, 3.0)), MEMBERS, "gold", n_boot=100)
    assert "still helps" not in split_sentence(split, alike=found.alike)
    assert "such members" not in split_sentence(split, alike=found.alike)


def test_equal_members_gain_by_their_mean() -> None:
    found = compare_members(three_members((2.0, 2.0, 2.0)), MEMBERS, "gold", rule=BestOfN(8), n_boot=300)
    assert found.verdict[0] == "ensemble"
    assert found.alike
    assert found.difference_low[0] > 0.0
    said = comparison_sentences(found)[0]
    assert "The mean of all gains more than every member" in said
    assert f"for all {len(found.members)} members at once" in said


def test_the_comparison_is_the_rule_applied_to_each_score() -> None:
    table = three_members((0.5, 1.0, 2.0), prompts=30, n=6)
    found = compare_members(table, MEMBERS, "gold", rule=BestOfN(3), kinds=["mean"], n_boot=100)
    for i, name in enumerate(MEMBERS):
        alone = estimate_ensemble(table, [name], "gold", rule=BestOfN(3), n_boot=100)
        assert found.gold_gain[i] == pytest.approx(alone.gold_gain[0])
    everyone = estimate_ensemble(table, MEMBERS, "gold", rule=BestOfN(3), sizes=[3], n_boot=100)
    assert found.gold_gain[3] == pytest.approx(everyone.gold_gain[0])
    assert found.spent == pytest.approx(np.full(4, np.log(3.0) - 2.0 / 3.0))  # no ties
    assert found.difference[0] == pytest.approx(found.gold_gain[3] - found.gold_gain[:3].max())
    with pytest.raises(InputError, match="at least two columns"):
        compare_members(table, ["s0"], "gold", rule=BestOfN(3))
    with pytest.raises(InputError, match="at least 2 prompts"):
        compare_members(three_members((1.0, 1.0, 1.0), prompts=1), MEMBERS, "gold", rule=BestOfN(3))


def test_verdicts_are_seldom_wrong_where_nothing_differs() -> None:
    """Mean and members of one quality: one shared error and hardly any of their own, so no verdict is due."""
    wrong = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        gold, shared = rng.standard_normal((2, 60, 8))
        own = 1e-3 * rng.standard_normal((3, 60, 8))
        table = RewardTable.from_arrays({"gold": gold} | {f"s{k}": gold + shared + e for k, e in enumerate(own)})
        found = compare_members(table, MEMBERS, "gold", rule=BestOfN(4), n_boot=100, kinds=["mean"], rng=seed)
        wrong += found.verdict[0] != "unknown"
    assert wrong <= 6  # 5 % nominal; more than 6 of 40 has probability 0.3 %


def compared(gold: np.ndarray, scores: list[np.ndarray], kinds: tuple[str, ...] = ("mean", "min")) -> list[str]:
    table = RewardTable.from_arrays({"gold": gold} | {f"s{k}": score for k, score in enumerate(scores)})
    members = [f"s{k}" for k in range(len(scores))]
    found = compare_members(table, members, "gold", rule=BestOfN(4), kinds=kinds, n_boot=300)
    for verdict, low, high in zip(found.verdict, found.difference_low, found.difference_high, strict=True):
        assert (verdict == "ensemble") <= (low > 0.0)
        assert (verdict == "member") == (high < 0.0)
    return comparison_sentences(found)


def test_what_the_numbers_do_not_support_is_not_recommended() -> None:
    rng = np.random.default_rng(5)
    gold = rng.standard_normal((60, 8))
    noise = rng.standard_normal((3, 60, 8))
    against = compared(gold, [-gold + 0.4 * noise[0], -gold + 0.6 * noise[1]])
    assert against[-1] == "Neither a member nor any way to combine them gains gold: do not optimise by these scores."
    assert not any("pick by" in sentence for sentence in against)
    blind = compared(gold, list(np.random.default_rng(7).standard_normal((2, 60, 8))))
    assert blind[-1] == "Of none of them, alone or combined, do the samples show that it gains any gold."
    for seed in range(12):  # a difference that is called one excludes 0, near the border too
        part = np.random.default_rng(seed).standard_normal((4, 40, 8))
        compared(part[0], [part[0] + part[1], part[0] + part[2], part[0] + part[3]])


def test_an_ensemble_on_one_prompt_withholds_nothing_else() -> None:
    rng = np.random.default_rng(6)
    gold = rng.standard_normal((1, 60))
    table = {"gold": gold, "a": gold + rng.standard_normal((1, 60)), "b": gold + rng.standard_normal((1, 60))}
    found = ask(table, "a", "gold", ["a", "b"], n_boot=100)
    assert found.hacking is not None
    assert found.hacking.ensemble is None
    assert "compared over prompts; here is one" in "\n".join(lines(found))
