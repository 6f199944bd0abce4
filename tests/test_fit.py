"""A table is estimated once: one averaged curve a reward, whatever is asked of it, all answers from the same fit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from alignlib.cli.main import main
from alignlib.estimation import UnsupportedBudgetError, fit_frontier, fitting, per_prompt
from alignlib.estimation.averaging import averaged_curve
from alignlib.rules import BestOfN, BestOfPoisson
from alignlib.tables import RewardTable, example_table

DATA = Path(__file__).parent / "data"


@pytest.fixture
def curves(monkeypatch) -> Counter[str]:
    """How often each averaged curve is computed, wherever: of a reward, or with every prompt on a scale of its own."""
    made: Counter[str] = Counter()

    def counted(table, column, *arguments, unit=None, **options):
        made[column if unit is None else f"{column}, each prompt on its scale"] += 1
        return averaged_curve(table, column, *arguments, unit=unit, **options)

    for module in (fitting, per_prompt):
        monkeypatch.setattr(module, "averaged_curve", counted)
    return made


@pytest.fixture(scope="module")
def table() -> RewardTable:
    return example_table(80, 32, 0.5, np.random.default_rng(0))


@pytest.fixture
def file(tmp_path, table) -> Path:
    frame = pd.DataFrame({"prompt_id": np.repeat(np.arange(80), 32), **dict(table.columns)})
    frame.to_csv(tmp_path / "rewards.csv", index=False)
    return tmp_path / "rewards.csv"


def run(*arguments: object) -> None:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.stderr


def test_a_command_computes_the_curve_of_each_reward_once(file, curves) -> None:
    run("frontier", file, "--reward", "reward")
    assert curves == {"reward": 1}
    curves.clear()
    run("frontier", file, "--reward", "reward", "--gold", "gold", "--kl", "0.1,0.2", "--n", "2,4")
    assert curves == {"reward": 1, "gold": 1}


def test_an_overlay_computes_the_curve_once(curves) -> None:
    run("overlay", DATA / "trl_grpo.json", DATA / "trl_base_table.csv", "--reward", "count")
    assert curves == {"count": 1}


def test_everything_read_off_a_fit_leaves_the_curve_alone(table, curves) -> None:
    one = fit_frontier(table, "reward", n_boot=200)
    for _ in range(2):
        one.at([0.1, 0.3])
        one.share(BestOfN(4))
        one.gold("gold")
        one.tilted_gold("gold")
        assert one.frontier.spent.size > 10
    assert curves == {"reward": 1}


def test_budgets_asked_for_together_or_alone_get_the_same_answer(table) -> None:
    one = fit_frontier(table, "reward", n_boot=200)
    both, alone = one.at([0.05, 0.2]), one.at(0.2)
    for name in ("gain", "gain_low", "gain_high", "lam", "ess"):
        np.testing.assert_allclose(getattr(both, name)[1], getattr(alone, name)[0], rtol=1e-12)
    some = both.take([1])
    assert (some.spent.tolist(), some.gain.tolist()) == ([0.2], both.gain[1:].tolist())


def test_the_share_is_the_gain_beside_the_limit_of_the_same_fit(table) -> None:
    one = fit_frontier(table, "gold", n_boot=200)
    found = one.share([BestOfN(2), BestOfPoisson(1.0)], "reward")
    np.testing.assert_allclose(found.limit_gain, one.at(found.spent).gain, rtol=1e-12)
    np.testing.assert_allclose(found.share, found.gain / found.limit_gain, rtol=1e-12)


def test_gold_along_rules_is_that_of_their_share(table) -> None:
    """The same weights of the same cells, drawn for either reward of a table: every number agrees."""
    proxy, gold = fit_frontier(table, "reward", n_boot=200), fit_frontier(table, "gold", n_boot=200)
    np.testing.assert_array_equal(proxy.cells.index, gold.cells.index)
    along, beside = proxy.gold("gold", BestOfN.along([2, 8])), gold.share(BestOfN.along([2, 8]), "reward")
    np.testing.assert_allclose(along.gold_gain, beside.gain, rtol=1e-12)
    np.testing.assert_allclose(along.spent, beside.spent, rtol=1e-12)
    rows = {name: table.columns[name].reshape(80, 32) for name in ("reward", "gold")}
    best = np.take_along_axis(rows["gold"], rows["reward"].argmax(axis=1)[:, None], axis=1)[:, 0]
    gain = best - rows["gold"].mean(axis=1)
    value = gold.weights @ gain[:, None]
    low, high = gold.cells.interval(gold.weights, gain[:, None], level=0.95)
    all_of_them = gold.share(BestOfN(32), "reward")
    assert all_of_them.gain[0] == pytest.approx(value[0, 0], rel=1e-12)
    assert (all_of_them.gain_low[0], all_of_them.gain_high[0]) == pytest.approx((low[0], high[0]), rel=1e-12)


def test_what_is_given_becomes_a_table() -> None:
    rows = np.random.default_rng(0).standard_normal((40, 16))
    expected = fit_frontier(RewardTable.from_arrays(rows), n_boot=100).at(0.1)
    for given in (rows, list(rows), {"reward": rows}):
        assert fit_frontier(given, n_boot=100).at(0.1).gain.tolist() == expected.gain.tolist()
    frame = pd.DataFrame({"prompt_id": np.repeat(np.arange(40), 16), "score": rows.reshape(-1)})
    assert fit_frontier(frame, "score", n_boot=100).at(0.1).gain.tolist() == expected.gain.tolist()
    two = fit_frontier({"proxy": rows, "gold": rows**3}, "proxy", n_boot=100)
    assert two.gold("gold").gold_gain[-1] > 0.0


def test_without_a_limit_the_fit_says_why_and_still_tells_what_is_known() -> None:
    rows = np.random.default_rng(0).standard_normal((8, 15)) * np.r_[1.0, np.full(7, 0.01)][:, None]  # one tells all
    few = fit_frontier(rows, n_boot=100)
    assert few.supported_end == 0.0
    with pytest.raises(UnsupportedBudgetError, match="support no KL budget"):
        few.at(0.1)
    found = few.share(BestOfN(4))
    assert found.gain[0] > 0.0
    assert found.share is None
    with pytest.raises(ValueError, match="at least 3 samples of every prompt"):
        fit_frontier(rows[:, :2], n_boot=100).at(0.1)


def test_the_same_budget_on_every_prompt_has_its_own_fit(table) -> None:
    one = fit_frontier(table, "reward", n_boot=200, rng=5)
    each, again = one.per_prompt, fit_frontier(table, "reward", budget="per_prompt", n_boot=200, rng=5)
    assert each.frontier.gain.tolist() == again.frontier.gain.tolist()
    assert each is one.per_prompt
    with pytest.raises(ValueError, match="equal average KL"):
        each.share(BestOfN(2))


def test_the_curve_stops_past_its_support_and_no_sooner() -> None:
    """What replicates of the bootstrap read beyond the end of the support is there, and as the whole grid has it."""
    rows = np.random.default_rng(0).standard_exponential((400, 64))
    table = RewardTable.from_arrays(rows)
    short, whole = (fit_frontier(table, bias_correction=correct, n_boot=200) for correct in (True, False))
    assert short.curve.lam.size < whole.curve.lam.size
    size = short.curve.lam.size
    plain = [fit.cells.whole[0] @ fit.curve.cell_plug_in for fit in (short, whole)]
    np.testing.assert_allclose(plain[0], plain[1][:size], rtol=1e-12)
    assert short.curve.lam[-1] > 2.0 * short.at(short.supported_end).lam[0]


@pytest.mark.parametrize("lucky", [1, 2, 4])
def test_rare_successes_on_few_prompts(lucky: int) -> None:
    """Most prompts constant, one success of 64 on the others: the curve is finite wherever it is said to be known."""
    rows = np.zeros((50, 64))
    rows[:lucky, 5] = 1.0
    fit = fit_frontier(rows)
    if lucky < 4:  # so few prompts carry no curve
        assert fit.supported_end == 0.0
        return
    found = fit.at(np.linspace(0.0, fit.supported_end, 20))
    for values in (found.gain, found.gain_low, found.gain_high):
        assert np.isfinite(values).all()
    assert (np.diff(found.gain) >= -1e-12).all()
