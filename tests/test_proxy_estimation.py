"""Over-optimisation curves from samples: jackknife by force, exact laws, coverage, and where to stop."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from alignlib._core.errors import InputError
from alignlib.estimation import GoldEstimate, fit_frontier
from alignlib.estimation.bootstrap import Cells
from alignlib.estimation.hedge import hedge
from alignlib.estimation.tilted_mean import jackknife_tilted_means
from alignlib.hacking.error_laws import GaussianPair
from alignlib.hacking.examples import exploit_pair, sampled_table, scored_answers
from alignlib.hacking.hacking_threshold import hacking_threshold
from alignlib.hacking.overoptimisation import rule_curve
from alignlib.hacking.proxy_gap import ProxyPair
from alignlib.hacking.proxy_table import check_members
from alignlib.hacking.tie_breaking import tie_breaking
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable


def table_of(proxy: np.ndarray, gold: np.ndarray) -> RewardTable:
    columns = {"reward": proxy.reshape(-1), "gold": gold.reshape(-1)}
    return replace(RewardTable.from_arrays(proxy), columns=columns)


def drawn(pair: ProxyPair, prompts: int, n: int, seed: int) -> RewardTable:
    table = sampled_table(pair, prompts, n, np.random.default_rng(seed))
    return replace(table, columns={"reward": table.columns["proxy"], "gold": table.columns["gold"]})


def normal(prompts: int, n: int, seed: int, noise: float = 0.7) -> RewardTable:
    rng = np.random.default_rng(seed)
    gold = rng.standard_normal((prompts, n))
    return table_of(gold + noise * rng.standard_normal((prompts, n)), gold)


def close(result: GoldEstimate, exact: np.ndarray) -> np.ndarray:
    """Within 1.7 half-widths, 3.3 standard errors: one run of one seed fails by chance once in a thousand."""
    return np.abs(result.gold_gain - exact) <= 1.7 * (result.gold_high - result.gold_low) / 2


# -- the jackknife


def ratio(proxy: np.ndarray, gold: np.ndarray, lam: float) -> float:
    weight = np.exp(lam * (proxy - proxy.max()))
    return float(weight @ gold / weight.sum())


@pytest.mark.parametrize("lam", [0.0, 0.3, 2.0, 30.0])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_jackknife_of_a_tilted_mean_is_delete_one_and_two_by_force(lam: float, offset: float) -> None:
    rng = np.random.default_rng(4)
    proxy, gold = -np.sort(-rng.standard_normal(9)), 3 * rng.standard_normal(9)
    n, every = 9, np.arange(9)
    whole = ratio(proxy, gold, lam)
    one = np.mean([ratio(proxy[every != i], gold[every != i], lam) for i in every])
    two = np.mean(
        [
            ratio(proxy[(every != i) & (every != j)], gold[(every != i) & (every != j)], lam)
            for i, j in itertools.combinations(every, 2)
        ]
    )
    got = jackknife_tilted_means(proxy[None] + offset, gold[None, None] + offset, lam)
    accuracy = 1e-11 if lam < 100.0 else 1e-7  # weights that underflow are done by differences
    second = 0.5 * (n**2 * whole - 2 * (n - 1) ** 2 * one + (n - 2) ** 2 * two)
    for found, expected in (
        (got.plug_in, whole),
        (got.first_order, n * whole - (n - 1) * one),
        (got.second_order, second),
    ):
        assert found.item() - offset == pytest.approx(expected, abs=accuracy + 1e-10 * abs(offset))


def test_jackknife_of_constant_gold_is_the_constant() -> None:
    got = jackknife_tilted_means(np.array([[2.0, 1.0, 0.0]]), np.full((1, 1, 3), 5.0), 1.0)
    assert got.second_order.tolist() == [[[5.0]]]


# -- the curve along λ


@pytest.mark.parametrize("seed", [0, 1])
def test_curve_along_lam_matches_the_exact_law(seed: int) -> None:
    pair = exploit_pair()
    result = fit_frontier(drawn(pair, 400, 128, seed), "reward", n_boot=300, rng=seed).tilted_gold("gold")
    known = result.supported
    assert known.sum() > 10
    assert close(result, pair.gold_gain(result.parameter))[known].all()
    np.testing.assert_allclose(result.spent[known], pair.kl(result.parameter)[known], rtol=0.06)
    np.testing.assert_allclose(result.proxy_gain[known], pair.proxy_gain(result.parameter)[known], rtol=0.06)
    assert result.base_gold == pytest.approx(pair.ideal.base_reward, abs=0.03)


def test_the_threshold_is_found_with_an_interval_that_holds_it() -> None:
    pair = exploit_pair()
    fit = fit_frontier(drawn(pair, 300, 64, 5), "reward", n_boot=300)
    for rule, estimate in ((None, fit.tilted_gold), (BestOfN, fit.gold)):
        true = hacking_threshold(pair, rule)
        found = estimate("gold").hedge
        assert found.turns_down == "yes"
        assert found.low <= true.parameter <= found.high < np.inf
        assert found.gold_low <= true.gold_gain <= found.gold_high


def test_a_turn_is_told_by_far_places_where_the_last_steps_are_noise() -> None:
    """60 curves: they hold the turn (fewer than 52 of 60 have probability 1 % at 95 %) and end long before the path."""
    n = np.arange(1.0, 31.0)
    course, noise = -np.square(np.log(n / 5.0)), 0.03 * n
    held, ends = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        gold = course + noise * np.cumsum(rng.standard_normal((40, n.size)), axis=1)
        cells = Cells.of(np.full(40, 64), rng)
        weights, every = cells.resample(100, rng), np.ones(n.size, dtype=bool)
        found = hedge(n, np.log(n), gold, [gold], every, cells, weights, 0.95)
        held += found.low <= 5.0 <= found.high
        ends.append(found.high)
        steps_high = cells.interval(weights, np.diff(gold, axis=1), level=0.95)[1]
        assert (steps_high[-5:] > 0.0).any()  # neighbours at the end do not tell
    assert held >= 52
    assert np.median(ends) < 15.0


def test_gold_of_a_gaussian_proxy_is_seen_to_rise_to_the_end() -> None:
    result = fit_frontier(normal(300, 64, 3), "reward", n_boot=300).tilted_gold("gold")
    assert (result.hedge.turns_down, result.hedge.high) == ("no", np.inf)
    known = result.supported
    assert close(result, result.parameter)[known].all()
    assert known.all()  # the default grid ends with the support


@pytest.mark.parametrize("which", ["gauss", "exploit"])
def test_intervals_cover_where_supported(which: str) -> None:
    """60 tables: with a true coverage of 95 % fewer than 52 hits have probability 1 %, so 50 is failure."""
    lam = np.array([0.3, 0.6])
    pair = exploit_pair()
    true = lam if which == "gauss" else pair.gold_gain(lam)
    hits = np.zeros(2)
    for seed in range(60):
        table = normal(100, 48, seed) if which == "gauss" else drawn(pair, 100, 48, seed)
        result = fit_frontier(table, "reward", n_boot=200, rng=seed).tilted_gold("gold", lam)
        assert result.supported.all()
        hits += (result.gold_low <= true) & (true <= result.gold_high)
    assert (hits >= 51).all()


def test_plug_in_would_not_cover() -> None:
    """The must-fail control: without the jackknife the same interval around the plug-in misses."""
    table = normal(400, 16, 7)
    proxy, gold = (table.columns[name].reshape(400, 16) for name in ("reward", "gold"))
    weight = np.exp(0.4 * proxy)
    gains = (weight * gold).sum(axis=1) / weight.sum(axis=1) - gold.mean(axis=1)
    assert gains.mean() + 2.5 * gains.std() / 20 < 0.4
    result = fit_frontier(table, "reward", n_boot=200).tilted_gold("gold", [0.4])
    assert abs(result.gold_gain[0] - 0.4) < abs(gains.mean() - 0.4) / 2


# -- along N


def test_best_of_n_gold_is_that_of_the_general_estimator() -> None:
    table = drawn(exploit_pair(), 40, 32, 1)
    ours = fit_frontier(table, "reward", n_boot=200).gold("gold", [BestOfN(v) for v in [1, 2, 8, 32]])
    theirs = fit_frontier(table, "gold", n_boot=200).share([BestOfN(v) for v in [1, 2, 8, 32]], "reward")
    np.testing.assert_allclose(ours.gold_gain, theirs.gain, atol=1e-12)
    np.testing.assert_allclose(ours.spent, theirs.spent, atol=1e-12)
    assert ours.tied_prompts == 40


def test_best_of_n_gold_is_unbiased_with_ties() -> None:
    pair = exploit_pair()
    result = fit_frontier(drawn(pair, 3000, 16, 2), "reward", n_boot=200).gold("gold", BestOfN.along([2, 5, 16]))
    exact = rule_curve(pair, BestOfN.along([2, 5, 16])).gold_gain
    assert close(result, exact).all()


def test_best_of_n_gold_of_a_gaussian_proxy() -> None:
    result = fit_frontier(normal(400, 64, 0), "reward", n_boot=200).gold("gold", [BestOfN(4), BestOfN(16)])
    exact = GaussianPair(1.0, 0.7).rule_gold_gain(BestOfN.along([4, 16]))
    assert close(result, exact).all()


def test_one_prompt_resamples_its_samples() -> None:
    pair = exploit_pair()
    table = drawn(pair, 1, 20_000, 3)
    result = fit_frontier(table, "reward", n_boot=300).tilted_gold("gold", [0.3, 0.6])
    assert close(result, pair.gold_gain([0.3, 0.6])).all()
    assert (result.gold_high - result.gold_low < 0.1).all()
    along_n = fit_frontier(table, "reward", n_boot=300).gold("gold", [BestOfN(2), BestOfN(8)])
    assert close(along_n, rule_curve(pair, BestOfN.along([2, 8])).gold_gain).all()


# -- bad input, one sentence each


def test_a_heavy_tailed_proxy_loses_no_answer() -> None:
    rng = np.random.default_rng(0)
    gold = rng.standard_normal((200, 64))
    fit = fit_frontier(table_of(gold + rng.standard_t(2, (200, 64)), gold), "reward", n_boot=200)
    assert fit.gold("gold").hedge.gold_gain > 0


def test_bad_columns_are_one_sentence() -> None:
    table = normal(10, 8, 0)
    gold = table.columns["gold"]
    cases = {
        "reward and gold are both 'reward'": ("reward", "reward", {}),
        "reward 'flat' is constant within each of the 10 prompts": ("flat", "gold", {"flat": np.zeros(80)}),
        "gold 'one' is 1 on all 80 samples, so nothing can be gained or lost": ("reward", "one", {"one": np.ones(80)}),
        "gold 'by' has a single value within each of the 10 prompts": (
            "reward",
            "by",
            {"by": np.repeat(np.arange(10.0), 8)},
        ),
        "reward 'same' equals gold 'gold' on all 80 samples": ("same", "gold", {"same": gold.copy()}),
    }
    for message, (reward, counted, columns) in cases.items():
        wider = replace(table, columns={**table.columns, **columns})
        fit = fit_frontier(wider, reward)
        for estimate in (fit.tilted_gold, fit.gold):
            with pytest.raises(InputError, match=message):
                estimate(counted)


def test_gold_missing_on_some_rows_is_said_when_reading(tmp_path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("prompt_id,reward,gold\n0,1,2\n0,2,\n0,3,1\n1,1,0\n1,2,1\n1,0,1\n")
    with pytest.raises(InputError, match=r"1 of 6 samples .*'gold' in 1.*drop_missing=True"):
        RewardTable.read(path, reward=["reward", "gold"])
    assert RewardTable.read(path, reward=["reward", "gold"], drop_missing=True).dropped == 1


def test_ensemble_columns_that_repeat_are_named() -> None:
    table = normal(10, 8, 0)
    table = replace(table, columns={**table.columns, "again": table.columns["reward"].copy()})
    with pytest.raises(InputError, match="ensemble column 'again' duplicates 'reward' on all 80 samples"):
        check_members(table, ["reward", "again"])
    with pytest.raises(InputError, match="ensemble column 'reward' is named twice"):
        check_members(table, ["reward", "reward"])
    with pytest.raises(InputError, match="members of the ensemble include gold 'gold'"):
        check_members(table, ["reward", "gold"], "gold")
    with pytest.raises(ValueError, match="members must name at least one reward"):
        check_members(table, [])


def test_bad_arguments_are_named() -> None:
    table = normal(10, 8, 0)
    with pytest.raises(ValueError, match="n must not exceed 8, what the fewest samples of a prompt allow; got 9"):
        fit_frontier(table, "reward").gold("gold", [BestOfN(2), BestOfN(9)])
    with pytest.raises(ValueError, match="rules must be one rule along its growing parameter"):
        fit_frontier(table, "reward").gold("gold", [BestOfN(4), BestOfN(2)])
    with pytest.raises(ValueError, match=r"lam must lie in \(0, ∞\); got 0"):
        fit_frontier(table, "reward").tilted_gold("gold", [0.0])
    with pytest.raises(ValueError, match=r"lam must not exceed .* what the samples support"):
        fit_frontier(table, "reward").tilted_gold("gold", [50.0])


def test_tie_breaking_by_the_definition() -> None:
    rng = np.random.default_rng(0)
    sizes = [3, 5, 4, 6]
    rows = [rng.integers(0, 3, n).astype(float) for n in sizes]
    golds = [rng.standard_normal(n) for n in sizes]
    table = RewardTable.from_arrays(judge=rows)
    table = replace(table, columns={**table.columns, "gold": np.concatenate(golds)})
    found = tie_breaking(table, "judge", "gold", n_boot=200)
    averaged = [g[r == r.max()].mean() for r, g in zip(rows, golds, strict=True)]
    first = [g[r.argmax()] for r, g in zip(rows, golds, strict=True)]
    assert found.averaged == pytest.approx(np.mean(averaged), abs=1e-14)
    assert found.first == pytest.approx(np.mean(first), abs=1e-14)
    assert found.flattery == pytest.approx(found.first - found.averaged, abs=1e-14)
    assert found.tied_prompts == sum((r == r.max()).sum() > 1 for r in rows)
    assert found.base == pytest.approx(np.mean([g.mean() for g in golds]))


def test_the_order_of_the_table_flatters_judges_that_tie_and_no_model() -> None:
    table = scored_answers(200, 10, 2, 2, np.random.default_rng(0))
    models, judges = (
        [tie_breaking(table, f"{kind}_{k}", "right", n_boot=200) for k in range(2)] for kind in ("model", "judge")
    )
    assert all(found.flattery == 0.0 for found in models)
    assert all(found.flattery_low > 0.1 for found in judges)
    shuffled = (
        np.random.default_rng(1).permuted(np.tile(np.arange(10), (200, 1)), axis=1) + 10 * np.arange(200)[:, None]
    )
    mixed = replace(table, columns={name: v[shuffled.reshape(-1)] for name, v in table.columns.items()})
    for k in range(2):
        found = tie_breaking(mixed, f"judge_{k}", "right", n_boot=200)
        assert found.flattery_low < 0.0 < found.flattery_high
        assert found.averaged == pytest.approx(judges[k].averaged, abs=1e-12)
    with pytest.raises(ValueError, match="n_models and n_judges must not be negative nor both 0; got 0, 0"):
        scored_answers(2, 2, 0, 0, np.random.default_rng(0))
