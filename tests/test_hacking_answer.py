"""What `alignlib frontier` and `report` say of a proxy: where to stop, what is unclaimed, what an ensemble adds."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from alignlib import hacking
from alignlib.answers.hacking import hacking_answer
from alignlib.answers.output import hacking as output
from alignlib.answers.output.frontier import COLUMNS
from alignlib.answers.output.render import to_csv
from alignlib.cli.main import main
from alignlib.estimation import fit_frontier
from alignlib.hacking.error_laws import GaussianPair
from alignlib.hacking.examples import exploit_pair, sampled_table
from alignlib.hacking.hacking_threshold import hacking_threshold
from alignlib.hacking.overoptimisation import rule_curve
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable


def answered(data, proxy, gold, **options):
    return hacking_answer(*(fit_frontier(data, name, **options) for name in (proxy, gold)))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = sampled_table(exploit_pair(), 120, 32, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"prompt_id": np.repeat(np.arange(120), 32), **data.columns})
    for k in range(3):
        frame[f"m{k}"] = frame["gold"] + 2 * rng.standard_normal(len(frame))
    frame["copy"] = frame["m0"]
    frame["heavy"] = frame["gold"] + rng.standard_t(1.5, len(frame))
    frame["one"] = 1.0
    path = tmp_path_factory.mktemp("data") / "table.csv"
    frame.to_csv(path, index=False)
    return path


def run(table: Path, *options: str) -> list[str]:
    result = CliRunner().invoke(main, ["frontier", str(table), *options])
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


def refused(table: Path, *options: str) -> str:
    result = CliRunner().invoke(main, ["frontier", str(table), *options])
    assert result.exit_code == 2
    return " ".join(result.stderr.split())


def test_the_lines_say_where_to_stop_and_what_is_unclaimed(table: Path) -> None:
    lines = run(table, "--reward", "proxy", "--gold", "gold")
    start = lines.index("Optimising 'proxy' where 'gold' counts")
    assert lines[start + 1].startswith("Best-of-N: Gold turns down: stop near N = ")
    assert lines[start + 2].startswith("Tilting by λ: Gold turns down: stop near λ = ")
    assert "equal scores on 120 prompts: every choice among them counts equally" in lines[start + 3]
    assert "of 'gold' unclaimed" in lines[start + 4]


def test_the_numbers_hold_the_truth(table: Path) -> None:
    pair = exploit_pair()
    data = RewardTable.read(table, reward=["proxy", "gold"])
    answer = answered(data, "proxy", "gold", n_boot=400)
    for rule, found in ((BestOfN, answer.along_n), (None, answer.along_lam)):
        assert found is not None
        assert found.hedge.low <= hacking_threshold(pair, rule).parameter <= found.hedge.high
    assert answer.unclaimed is not None
    left = answer.unclaimed
    stop = rule_curve(pair, [BestOfN(left.n)])
    assert 2.0 <= left.n <= answer.along_n.hedge.parameter
    assert left.low < left.value < left.high
    assert left.low <= stop.limit_gain[0] - stop.gold_gain[0] <= left.high


def test_json_holds_what_the_lines_say(table: Path) -> None:
    printed = json.loads("\n".join(run(table, "--reward", "m0", "--gold", "gold", "--ensemble", "m?", "--json")))
    found = printed["hacking"]
    assert found["along_n"]["hedge"]["turns_down"] != "yes"  # the true curve rises for ever
    assert found["along_n"]["hedge"]["high"] is None
    ensemble = found["ensemble"]
    assert [one["name"] for one in ensemble["members"]] == ["m0", "m1", "m2"]
    assert [one["name"] for one in ensemble["combined"]] == ["mean", "median", "min"]
    mean = ensemble["combined"][0]
    assert mean["gold_gain"] > max(one["gold_gain"] for one in ensemble["members"])
    assert mean["verdict"] in ("ensemble", "unknown")
    best = next(one for one in ensemble["members"] if one["name"] == ensemble["best_member"])
    assert mean["difference"] == pytest.approx(mean["gold_gain"] - best["gold_gain"])
    assert 0.5 < found["split"]["own"] < 1.0  # of members scaled to a standard deviation of 1
    assert json.loads("\n".join(run(table, "--reward", "gold", "--json")))["hacking"] is None


def test_a_heavy_tailed_proxy_loses_no_answer(table: Path) -> None:
    lines = run(table, "--reward", "heavy", "--gold", "gold")
    assert any(line.startswith("Best-of-N: ") for line in lines)
    data = RewardTable.read(table, reward=["heavy", "gold"])
    answer = answered(data, "heavy", "gold", n_boot=200)
    assert answer.along_lam is None or answer.along_lam.spent[-1] < 0.5
    assert answer.along_n.gold_gain[-1] > 0.0


def test_a_rare_jackpot_loses_no_answer() -> None:
    rng = np.random.default_rng(3)
    gold = rng.random((100, 32))
    proxy = gold + 10.0 * (rng.random(gold.shape) < 1e-3)
    answer = answered(RewardTable.from_arrays(proxy=proxy, gold=gold), "proxy", "gold", n_boot=200)
    assert answer.along_lam is not None
    assert answer.along_n.gold_gain[-1] > 0.0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--reward", "proxy", "--ensemble", "m0,m1"], "--ensemble 'm0,m1' needs --gold"),
        (
            ["--reward", "proxy", "--gold", "gold", "--ensemble", "m0,copy"],
            "'copy' duplicates 'm0' on all 3840 samples",
        ),
        (
            ["--reward", "proxy", "--gold", "gold", "--ensemble", "m0"],
            "--ensemble must name at least two columns; got 'm0' alone",
        ),
        (["--reward", "proxy", "--gold", "gold", "--ensemble", "x*"], "'x*'"),
        (["--reward", "proxy", "--gold", "one"], "gold reward 'one' is constant within each of the 120 prompts"),
        (["--reward", "one", "--gold", "gold"], "reward 'one' is constant within each of the 120 prompts"),
    ],
)
def test_bad_input_is_one_sentence(table: Path, options: list[str], sentence: str) -> None:
    assert sentence in refused(table, *options)


def test_the_room_gathers_its_doors() -> None:
    for name in hacking.__all__:
        assert getattr(hacking, name).__doc__


def test_no_limit_is_compared_with_where_the_samples_support_none() -> None:
    """One prompt of eight carries everything."""
    rng = np.random.default_rng(0)
    gold = rng.standard_normal((8, 64)) * np.r_[1.0, np.full(7, 0.01)][:, None]
    data = RewardTable.from_arrays(score=gold + 0.1 * rng.standard_normal((8, 64)), gold=gold)
    answer = answered(data, "score", "gold", n_boot=200)
    assert answer.unclaimed is None
    assert "the samples support its limit at no N" in "\n".join(output.lines(answer))


def test_one_right_answer_of_ten() -> None:
    """No more is left unclaimed than there is, as far as the samples tell."""
    rng = np.random.default_rng(0)
    gold = np.zeros((200, 10))
    gold[np.arange(200), rng.integers(0, 10, 200)] = 1.0
    data = RewardTable.from_arrays(score=3 * gold + rng.standard_normal((200, 10)), right=gold)
    answer = answered(data, "score", "right", n_boot=200)
    assert answer.along_n.hedge.parameter == 10.0
    assert answer.unclaimed is not None
    assert answer.unclaimed.n < 10.0
    assert answer.unclaimed.high < 0.9


def test_a_proxy_that_costs_gold_from_the_start_says_so() -> None:
    rng = np.random.default_rng(0)
    gold = rng.standard_normal((200, 16))
    data = RewardTable.from_arrays(score=rng.standard_normal((200, 16)) - gold, gold=gold)
    lines = output.lines(answered(data, "score", "gold"))
    assert all("Gold falls, from the start as far as can be told: do not optimise" in line for line in lines[1:3])
    assert "No N > 1 is estimated to gain any 'gold'" in lines[3]


def test_the_csv_of_the_report_holds_both_curves_and_where_to_stop(table: Path) -> None:
    data = RewardTable.read(table, reward=["proxy", "gold"])
    answer = answered(data, "proxy", "gold", n_boot=200)
    rows = list(csv.DictReader(to_csv(output.points(answer), COLUMNS).splitlines()))
    along = [row for row in rows if row["what"] == "along_n"]
    assert [float(row["gain"]) for row in along] == answer.along_n.gold_gain.tolist()
    (stop,) = (row for row in rows if row["what"] == "stop_lam")
    assert answer.along_lam is not None
    assert float(stop["lam"]) == answer.along_lam.hedge.parameter


def test_what_is_unclaimed_is_told_at_the_largest_n_that_is_supported() -> None:
    rng = np.random.default_rng(0)
    gold = rng.standard_normal((150, 64))
    data = RewardTable.from_arrays(score=gold + 0.5 * rng.standard_normal((150, 64)), gold=gold)
    answer = answered(data, "score", "gold", n_boot=200)
    assert answer.along_n.hedge.parameter == 64.0
    left = answer.unclaimed
    assert left is not None
    assert 4.0 <= left.n < 64.0
    true = np.sqrt(2 * left.spent) - GaussianPair(1.0, 0.5).rule_gold_gain([BestOfN(left.n)])[0]
    # 1.7 arms, 3.3 standard errors: 57 of 60 such tables have the truth inside the interval itself
    assert left.value - 1.7 * (left.value - left.low) < true < left.value + 1.7 * (left.high - left.value)
    text = "\n".join(output.lines(answer))
    assert f"At N = {left.n:g} ({left.spent:.3g} nats), as far as the samples support" in text


def test_the_last_number_of_draws_is_no_place_to_stop() -> None:
    rng = np.random.default_rng(3)
    gold = rng.standard_normal((60, 16))
    data = RewardTable.from_arrays(proxy=gold + rng.standard_normal(gold.shape), gold=gold)
    along = fit_frontier(data, "proxy", n_boot=200, rng=0).gold("gold")
    last, between = (replace(along.hedge, turns_down="unknown", parameter=n, gold_gain=1.0) for n in (16.0, 8.0))
    assert along.parameter[along.supported].max() == 16.0
    at_the_end = output.stop_sentence(replace(along, hedge=last))
    assert "stop" not in at_the_end
    assert "as far as they reach: at N = 16" in at_the_end
    assert "best guess is to stop at N = 8" in output.stop_sentence(replace(along, hedge=between))
