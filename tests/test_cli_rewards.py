"""The commands for a reader's own rewards."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from alignlib.answers import findings
from alignlib.answers.answer import answer
from alignlib.answers.findings import Findings
from alignlib.answers.output import frontier
from alignlib.answers.output.render import to_csv
from alignlib.cli.main import main
from alignlib.estimation import fit_frontier
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from tests import awkward


def run(*arguments):
    return CliRunner().invoke(main, ["frontier", *map(str, arguments)])


def sampled(tmp_path, n_prompts=60, n=32):
    """A table of a Gaussian reward and a noisy proxy of it."""
    rng = np.random.default_rng(0)
    gold = rng.normal(size=(n_prompts, n)) + rng.normal(size=(n_prompts, 1))
    frame = pd.DataFrame(
        {
            "prompt_id": np.repeat([f"q{i}" for i in range(n_prompts)], n),
            "gold": gold.reshape(-1),
            "proxy": (gold + 0.5 * rng.normal(size=gold.shape)).reshape(-1),
            "flat": 1.0,
            "heavy": np.exp(2.0 * rng.normal(size=gold.shape)).reshape(-1),
        }
    )
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    return path


def test_the_answer_says_what_its_budget_bounds_and_leads_with_what_was_asked(tmp_path):
    table = sampled(tmp_path)
    average = run(table, "--reward", "gold").stdout.splitlines()[-1]
    assert re.match(r"At a KL of \S+ nats on average over prompts any method can gain at most", average)
    asked = run(table, "--reward", "gold", "--kl", "0.1", "--budget", "per-prompt").stdout.splitlines()[-1]
    first, second = asked.split(". At a KL of ")
    assert first.startswith("At a KL of 0.1 nats on every prompt any method can gain at most")
    assert second == average.removeprefix("At a KL of ")


@pytest.mark.parametrize(("kl", "at"), [("0.05", "0.05"), ("0.2,0.05", "0.2"), ("0.05,90,0.1", "0.1")])
def test_the_last_sentence_answers_at_the_largest_supported_kl_asked_for(tmp_path, kl: str, at: str) -> None:
    table = sampled(tmp_path)
    said = run(table, "--reward", "gold", "--kl", kl).stdout.splitlines()
    (row,) = (line.split() for line in said if line.split()[:1] == [at])
    best = next(line.split() for line in said if line.split()[:1] == ["2"])
    asked = said[-1]
    assert asked.startswith(
        f"At a KL of {at} nats on average over prompts any method can gain at most {float(row[1]):.3g} "
    )
    assert re.search(r"; best-of-\d+ already gets \S+ % of the limit at its own \S+ nats \(", asked)
    only = run(table, "--reward", "gold", "--kl", kl, "--n", "2").stdout.splitlines()[-1]
    assert f"the limit at its own {float(best[1]):.3g} nats" in only


def test_the_last_sentence_where_no_kl_asked_for_is_supported(tmp_path) -> None:
    said = run(sampled(tmp_path), "--reward", "gold", "--kl", "90").stdout.splitlines()[-1]
    assert re.match(r"The samples support the limit of 'gold' up to \S+ nats only; best-of-\d+ already gets", said)


def test_one_prompt_is_one_prompt_and_has_one_kind_of_budget(tmp_path):
    table = sampled(tmp_path, n_prompts=1, n=1000)
    said = run(table, "--reward", "gold", "--kl", "0.1", "--budget", "per-prompt").stdout
    assert said.startswith("1 prompt with 1000 samples.\n")
    assert "on average over prompts any" not in said
    assert "on every prompt" not in said


def test_lines_end_with_the_answer(tmp_path):
    result = run(sampled(tmp_path), "--reward", "gold", "--kl", "0.1,0.2", "--n", "2,4")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "60 prompts with 32 samples each."
    assert [line.split()[0] for line in lines if line.startswith("     ") and "KL" not in line] == [
        "0.1",
        "0.2",
        "2",
        "4",
    ]
    assert "any method can gain at most" in lines[-1]
    assert "of 'gold'" in lines[-1]
    assert "best-of-4 already gets 91.9 % of the limit at its own 0.636 nats" in lines[-1]
    assert result.stderr == ""


def test_json_has_the_numbers_of_the_library(tmp_path):
    path = sampled(tmp_path)
    result = run(path, "--reward", "proxy", "--gold", "gold", "--kl", "0.1", "--n", "2,32", "--seed", 3, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    table = RewardTable.read(path, reward=["proxy", "gold"])
    for name, gold in (("reward", None), ("gold", "gold")):
        answered = answer(fit_frontier(table, gold or "proxy", rng=3), "proxy", kl=[0.1], rules=BestOfN.along([2, 32]))
        got = found[name]
        assert got["headline"] == frontier.headline(answered)
        assert got["largest_supported"] == answered.limit.supported_end
        assert [row["gain"] for row in got["limit"]] == answered.limit.gain.tolist()
        assert [row["share_low"] for row in got["rules"]] == answered.rules.share_low.tolist()
        assert [row["supported"] for row in got["rules"]] == [True, False]
    assert found["reward"]["measured_in"] == "proxy"
    assert (found["gold"]["picked_by"], found["gold"]["measured_in"]) == ("proxy", "gold")
    assert found["table"]["n_prompts"] == 60


def test_json_schema_is_the_same_with_and_without_gold(tmp_path):
    path = sampled(tmp_path)
    alone = json.loads(run(path, "--reward", "proxy", "--json").stdout)
    both = json.loads(run(path, "--reward", "proxy", "--gold", "gold", "--json").stdout)

    def shape(value):
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        return [shape(value[0])] if isinstance(value, list) and value else None

    assert alone["gold"] is None
    assert shape(alone["reward"]) == shape(both["reward"]) == shape(both["gold"])
    names = [
        "$schema",
        "schema",
        "alignlib",
        "path",
        "seed",
        "table",
        "reward",
        "gold",
        "hacking",
        "gold_from_correlation",
    ]
    assert list(alone) == list(both) == names


def test_the_limit_of_a_gaussian_reward_is_in_its_interval(tmp_path):
    found = json.loads(run(sampled(tmp_path, 400, 64), "--reward", "gold", "--kl", "0.1,0.2", "--json").stdout)
    for row in found["reward"]["limit"]:
        assert row["gain_low"] < np.sqrt(2 * row["spent"]) < row["gain_high"]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    path = sampled(tmp_path)
    one, two, other = (run(path, "--reward", "gold", "--json", "--seed", seed).stdout for seed in (1, 1, 2))
    assert one == two != other


def test_saturated_rewards_give_null_not_infinity(tmp_path):
    rng = np.random.default_rng(0)
    right = (rng.random((40, 64)) < 0.5).astype(int)
    path = tmp_path / "t.parquet"
    pd.DataFrame({"prompt_id": np.repeat(np.arange(40), 64), "reward": right.reshape(-1)}).to_parquet(path)
    result = run(path, "--reward", "reward", "--json", "--n", "2,64")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert found["reward"]["rules"][1]["reward"] == pytest.approx(1.0)


def test_csv_has_every_point(tmp_path):
    table = RewardTable.read(sampled(tmp_path), reward=["proxy", "gold"])
    answers = [
        answer(fit_frontier(table, name), "proxy", kl=[0.1, 0.2], rules=BestOfN.along([2, 32]))
        for name in ("proxy", "gold")
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(frontier.points(Findings(table, *answers, None)), frontier.COLUMNS))))
    assert [(row["what"], row["picked_by"], row["measured_in"]) for row in rows] == [
        *[("limit", "proxy", "proxy")] * 2,
        *[("rule", "proxy", "proxy")] * 2,
        *[("limit", "proxy", "gold")] * 2,
        *[("rule", "proxy", "gold")] * 2,
    ]
    assert [float(row["gain"]) for row in rows[:2]] == answers[0].limit.gain.tolist()
    assert float(rows[6]["share"]) == answers[1].rules.share[0]


def test_wide_and_list_of_columns(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 16)), columns=[f"s{i}" for i in range(16)]).assign(prompt_id=range(50))
    path = tmp_path / "w.csv"
    frame.to_csv(path, index=False)
    by_pattern = run(path, "--wide", "--reward", "s*", "--json")
    assert by_pattern.exit_code == 0, by_pattern.stderr
    by_list = run(path, "--wide", "--reward", ",".join(f"s{i}" for i in range(16)), "--json")
    one, two = json.loads(by_pattern.stdout)["reward"], json.loads(by_list.stdout)["reward"]
    assert one["limit"] == two["limit"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--reward", "glod"], ["no column 'glod'", "did you mean 'gold'?"]),
        (["--reward", "gold", "--gold", "gold"], ["--reward and --gold are both 'gold'", "leave out --gold"]),
        (["--reward", "g*"], ["--reward 'g*' may mean several rewards", "'mean:g*'", "--wide"]),
        (["--reward", "gold", "--gold", "p*"], ["--gold 'p*' may mean several rewards"]),
        (["--reward", "prompt_id"], ["as reward and as prompt"]),
        (["--reward", "gold", "--prompt", "gold"], ["as reward and as prompt"]),
        (["--reward", "flat"], ["'flat' is constant within each of the 60 prompts", "nothing to gain"]),
        (["--reward", "gold", "--gold", "flat"], ["'flat' is constant within each of the 60 prompts"]),
        (["--reward", "gold", "--bounded", "1,0"], ["--bounded must be", "low < high; got [1.0, 0.0]"]),
        (["--reward", "gold", "--bounded", "0,1"], ["--bounded must hold every sample", "leave them out"]),
        (["--reward", "gold", "--kl", "-1"], ["--kl must not be negative; got -1"]),
        (["--reward", "gold", "--kl", "a,1"], ["--kl", "numbers separated by commas", "'a,1'"]),
        (["--reward", "gold", "--kl", "nan"], ["--kl must be finite"]),
        (["--reward", "gold", "--n", "64"], ["--n must not exceed 32", "got 64", "Draw more samples or lower --n"]),
        (["--reward", "gold", "--n", "0.5"], ["--n must lie in [1, ∞)", "0.5"]),
        (["--reward", "gold", "--n", ""], ["--n", "numbers separated by commas"]),
        (["--reward", "gold", "--sample", "q"], ["no column 'q' (--sample)"]),
        (["--reward", "gold", "--wide"], ["repeat a prompt", "--wide"]),
        (["--reward", "gold", "--seed", "-1"], ["--seed"]),
        ([], ["--reward"]),
    ],
)
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_bad_input_is_a_sentence_on_stderr(tmp_path, arguments, parts, as_json):
    path = sampled(tmp_path)
    before = path.read_bytes()
    result = run(path, *arguments, *as_json)
    assert result.exit_code == 2
    assert result.stdout == ""
    for part in parts:
        assert part in result.stderr
    assert "Traceback" not in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
    assert path.read_bytes() == before


@pytest.fixture
def gold_without_support(monkeypatch):
    def fit(table, column, **options):
        found = fit_frontier(table, column, **options)
        return replace(found, supported_end=0.0) if column == "gold" else found

    monkeypatch.setattr(findings, "fit_frontier", fit)


@pytest.mark.usefixtures("gold_without_support")
def test_gold_without_a_limit_still_tells_what_best_of_n_gains(tmp_path):
    path = sampled(tmp_path)
    result = run(path, "--reward", "proxy", "--gold", "gold", "--n", "2,4")
    assert result.exit_code == 0, result.stderr
    assert "support no KL budget: 32 samples of a prompt" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith(
        "The samples support no limit of 'gold' (base model: -0.178); best-of-4 picked by 'proxy' gains "
    )
    found = json.loads(run(path, "--reward", "proxy", "--gold", "gold", "--json").stdout)["gold"]
    assert (found["limit"], found["largest_supported"], found["budget"]) == ([], 0.0, None)
    assert found["rules"][0]["gain"] > 0


@pytest.mark.usefixtures("gold_without_support")
@pytest.mark.parametrize("arguments", [["--reward", "gold"], ["--reward", "proxy", "--gold", "gold", "--kl", "0.1"]])
def test_best_of_n_is_told_where_no_limit_is_known(tmp_path, arguments):
    result = run(sampled(tmp_path), *arguments)
    assert result.exit_code == 0, result.stderr
    assert "support no KL budget: 32 samples of a prompt" in result.stdout
    assert "best-of-32" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize("kl", ["1", "8,9"])
def test_budgets_beyond_the_support_do_not_withhold_best_of_n(tmp_path, kl):
    result = run(sampled(tmp_path), "--reward", "gold", "--kl", kl, "--n", "2,4")
    assert result.exit_code == 0, result.stderr
    assert "No budget asked for is supported: the samples support it up to 0." in result.stdout
    assert f"Left out, for more than that: {kl.replace(',', ', ')} nat" in result.stdout
    assert " 1 nats" not in result.stdout
    assert "The samples support the limit of 'gold' up to 0." in result.stdout or "already gets" in result.stdout
    found = json.loads(run(sampled(tmp_path), "--reward", "gold", "--kl", kl, "--json").stdout)["reward"]
    assert found["limit"] == []
    assert found["unsupported"] == [float(value) for value in kl.split(",")]
    assert found["rules"][0]["gain"] > 0


def test_known_bounds_have_no_end_of_support(tmp_path):
    result = run(sampled(tmp_path), "--reward", "gold", "--bounded=-9,9", "--kl", "0.1,3")
    assert result.exit_code == 0, result.stderr
    assert "KL is in nats on average over prompts; the rewards are bounded." in result.stdout
    found = json.loads(run(sampled(tmp_path), "--reward", "gold", "--bounded=-9,9", "--kl", "0.1,3", "--json").stdout)
    assert [one["spent"] for one in found["reward"]["limit"]] == [0.1, 3.0]
    assert found["reward"]["largest_supported"] is None


def test_a_budget_on_every_prompt_buys_less(tmp_path):
    path = sampled(tmp_path, 400, 64)
    options = ("--reward", "gold", "--kl", "0.05,0.1", "--n", "2", "--json")
    average = json.loads(run(path, *options).stdout)["reward"]
    each = json.loads(run(path, *options, "--budget", "per-prompt").stdout)["reward"]
    assert (average["budget"], each["budget"]) == ("average", "per_prompt")
    assert each["rules"] == average["rules"]
    for one, other in zip(each["limit"], average["limit"], strict=True):
        assert one["gain"] < other["gain_high"]
        assert one["gain_low"] < np.sqrt(2 * one["spent"]) < one["gain_high"]


def test_only_one_draw_has_no_share(tmp_path):
    result = run(sampled(tmp_path), "--reward", "proxy", "--gold", "gold", "--n", "1", "--kl", "0.1")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "best-of" not in lines[-1]
    assert len([line for line in lines if re.match(r" +1 +0 +0  \[0, 0\] ", line)]) == 2  # a draw is the base, exactly
    assert len([line for line in lines if re.search(r"\(base model: -?\d+\.\d{3,6}\)", line)]) == 2


def test_missing_values_need_a_word(tmp_path):
    path = sampled(tmp_path)
    path.write_text(path.read_text() + "q0,,1.0,1.0,1.0\n")
    result = run(path, "--reward", "gold")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "1 of 1921 samples" in result.stderr
    assert "--drop-missing" in result.stderr
    result = run(path, "--reward", "gold", "--drop-missing")
    assert result.exit_code == 0, result.stderr
    assert "Dropped: 1 of 1921 samples" in result.stdout


def test_prompts_with_few_samples_are_left_out_where_that_is_asked_for(tmp_path):
    path = sampled(tmp_path)
    whole = run(path, "--reward", "gold", "--json").stdout
    path.write_text(path.read_text() + "few,0,1.0,1.0,1.0\nfew,1,2.0,1.0,1.0\n")
    assert "leave them out where the table is read (--min-samples 3)" in run(path, "--reward", "gold").stdout
    result = run(path, "--reward", "gold", "--min-samples", "3")
    assert result.exit_code == 0, result.stderr
    assert "1 of 61 prompts left out, which has fewer than 3 samples, the first 'few' with 2" in result.stdout
    found, before = (
        json.loads(text) for text in (run(path, "--reward", "gold", "--min-samples", "3", "--json").stdout, whole)
    )
    assert len(found["table"].pop("notes")) == len(before["table"].pop("notes")) + 1
    assert found == before
    none = run(path, "--reward", "gold", "--min-samples", "1000")
    assert (none.exit_code, none.stdout) == (2, "")
    assert "--min-samples must leave a prompt: none of 61 has 1000 samples, the most is 32." in none.stderr


def test_too_few_samples(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("prompt_id,reward\n1,0\n2,0\n2,1\n2,1\n")
    result = run(path, "--reward", "reward")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "1 of 2 prompts" in result.stderr
    assert "fewer than 2 samples, the first 1 with 1" in result.stderr


def test_a_broken_file_is_a_sentence(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 not really")
    result = run(path, "--reward", "reward")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not a whole Parquet file" in result.stderr


def test_the_mean_of_verifiers_with_missing_cells_against_correct(tmp_path):
    frame = awkward.verified()
    frame.to_csv(tmp_path / "verified.csv", index=False)
    result = run(tmp_path / "verified.csv", "--reward", "nanmean:verifier_*", "--gold", "correct")
    assert result.exit_code == 0, result.stderr
    assert "40 prompts with 32 samples each." in result.stdout
    absent = int(frame[awkward.VERIFIERS].isna().sum().sum())
    assert f"{absent} of {1280 * 12} values are missing" in result.stdout
    constant = int((frame.groupby("prompt_id")["correct"].nunique() == 1).sum())
    assert f"On {constant} of 40 prompts 'correct' is the same for every sample" in result.stdout
    assert "picked by 'nanmean:verifier_*' gets" in result.stdout.splitlines()[-1]


def test_budgets_that_are_supported_are_answered_and_the_others_named(tmp_path):
    table = tmp_path / "normal.csv"
    rows = np.random.default_rng(0).standard_normal(50 * 16)
    pd.DataFrame({"prompt_id": np.repeat(np.arange(50), 16), "gold": rows}).to_csv(table, index=False)
    options = ("--reward", "gold", "--kl", "0.1,8,9")
    lines = run(table, *options).stdout.splitlines()
    assert "Left out, for more than that: 8, 9 nats." in lines
    found = json.loads(run(table, *options, "--json").stdout)["reward"]
    assert ([row["spent"] for row in found["limit"]], found["unsupported"]) == ([0.1], [8.0, 9.0])


def test_a_large_offset_leaves_the_gain_visible(tmp_path):
    path = tmp_path / "far.csv"
    rows = 1e9 + np.random.default_rng(0).standard_normal((50, 16)).round(3)
    pd.DataFrame({"prompt_id": np.repeat(np.arange(50), 16), "reward": rows.reshape(-1)}).to_csv(path, index=False)
    result = run(path, "--reward", "reward", "--kl", "0.1,0.2")
    first, second = (
        line.split()[4] for line in result.stdout.splitlines() if line.startswith(("     0.1 ", "     0.2 "))
    )
    assert 0.1 < float(second) - float(first) < 0.3
    assert re.search(r"base model's (1000000000\.0|999999999\.9)", result.stdout.splitlines()[-1])


def test_a_shell_user_is_told_the_option_alone(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("prompt_id,reward\n0,1\n0,\n0,2\n0,3\n")
    assert "pass --drop-missing to go on" in run(path, "--reward", "reward").stderr


REFUSED = [
    (["--n", "2,64"], "--n must not exceed 32"),
    (["--n", "1_0"], "'--n': give numbers separated by commas"),
    (["--level", "nan"], "'--level': a level must be finite; got nan"),
    (["--kl", "-1"], "--kl must not be negative"),
    (["--bounded", "1,0"], "--bounded must be the least and the largest reward"),
    (["--bounded", "0,1"], "--bounded must hold every sample: 'gold'"),
    (["--bounded", "-9,9", "--budget", "per-prompt"], "--bounded must be left out for --budget per-prompt: it gives"),
    (["--ensemble", "proxy"], "--ensemble must name at least two columns"),
]


@pytest.mark.parametrize("command", ["frontier", "report"])
@pytest.mark.parametrize(("arguments", "said"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_a_bad_argument_is_refused_before_anything_is_estimated(tmp_path, monkeypatch, command, arguments, said):
    def worked(*_, **__):
        raise AssertionError("something was estimated")

    monkeypatch.setattr(findings, "fit_frontier", worked)
    where = ["-o", str(tmp_path / "r")] if command == "report" else []
    asked = [command, str(sampled(tmp_path)), "--reward", "proxy", "--gold", "gold", *arguments, *where]
    result = CliRunner().invoke(main, asked)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {said}")


@pytest.mark.parametrize("typed", ["abc", "nan", "-5", "0", "inf", "1e", "9" * 500])
def test_a_limit_of_memory_that_is_no_number_is_a_sentence_however_small_the_table(tmp_path, monkeypatch, typed):
    monkeypatch.setenv("ALIGNLIB_MAX_BYTES", typed)
    result = run(sampled(tmp_path, 2, 4), "--reward", "gold")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ALIGNLIB_MAX_BYTES must be a number of bytes, such as 8e9; got ")
