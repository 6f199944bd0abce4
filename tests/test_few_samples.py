"""What small and odd tables give: two samples, one prompt, no prompt column, prompts that do not vary, wished KLs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from alignlib import InputError, ask
from alignlib.answers.output.frontier import lines as frontier_lines
from alignlib.answers.output.frontier import record as to_record
from alignlib.cli.main import main
from alignlib.estimation import Cells, first_terms, fit_frontier, most_of_constant_prompts, samples_wanted
from alignlib.estimation.first_terms import _k_statistics
from alignlib.estimation.fit_checks import as_table
from alignlib.laws import Bernoulli, Exponential, FiniteLaw, Gaussian, Law, Uniform
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def written(path: Path, rows: np.ndarray, gold: np.ndarray | None = None) -> str:
    columns = {"prompt_id": np.repeat(np.arange(len(rows)), rows.shape[1]), "r": rows.ravel()}
    pd.DataFrame(columns if gold is None else columns | {"g": gold.ravel()}).to_csv(path, index=False)
    return str(path)


# -- first terms


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=5), st.integers(4, 6))
def test_k_statistics_are_unbiased(values: list[int], n: int) -> None:
    """Mean over all samples with replacement from a few values: exactly the cumulants."""
    law = np.array(values[:3], dtype=float)
    draws = np.array(np.meshgrid(*[law] * n)).reshape(n, -1).T
    found = _k_statistics(draws, exponent=0, order=4).mean(axis=0)
    e = law - law.mean()
    m2, m3, m4 = (np.mean(e**k) for k in (2, 3, 4))
    assert found == pytest.approx([m2, m3, m4 - 3.0 * m2**2], abs=1e-9 * (1.0 + np.abs(e).max() ** 4))


@pytest.mark.parametrize("law", [Gaussian(), Exponential(), Uniform(), Bernoulli(0.3), FiniteLaw([0.0, 1.0, 5.0])])
def test_the_series_is_that_of_the_frontier(law: Law) -> None:
    """gain = σ[x + γx²/6 + (κ/24 - γ²/18)x³ + …]: against the exact frontier, with cumulants by differences of Λ."""
    kl = 1e-4
    variance = float(law.variance(0.0))
    step = 1e-3 / math.sqrt(variance)
    variances = np.asarray(law.variance(np.array([0.0, step, 2.0 * step])))
    third = float(-1.5 * variances[0] + 2.0 * variances[1] - 0.5 * variances[2]) / step
    x = math.sqrt(2.0 * kl)
    two_terms = math.sqrt(variance) * x + third / variance * x**2 / 6.0
    # what is left is of third order
    assert law.gain_at_kl(kl) == pytest.approx(two_terms, rel=2.0 * x**2)


@pytest.mark.parametrize(
    ("name", "n"), [("gaussian", 3), ("gaussian", 4), ("exponential", 4), ("coin", 5), ("scales", 4), ("marks", 3)]
)
def test_coverage_of_the_first_terms(name: str, n: int) -> None:
    marks = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    laws: dict[str, Law] = {
        "gaussian": Gaussian(),
        "exponential": Exponential(),
        "coin": Bernoulli(0.2),
        "marks": FiniteLaw(marks, [0.1, 0.2, 0.4, 0.2, 0.1]),
    }
    held = []
    once = fit_frontier(np.arange(8.0).reshape(2, 4), n_boot=100)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        shape = (150, n)
        if name == "scales":
            rows = rng.choice([0.5, 2.0], size=(150, 1)) * rng.standard_normal(shape)
            truth = math.sqrt(0.5 * (0.25 + 4.0) * 2.0 * 0.02)  # one λ: gain λK₂, KL λ²K₂/2
        else:
            draw = {
                "gaussian": rng.standard_normal,
                "exponential": rng.standard_exponential,
                "coin": lambda size, rng=rng: (rng.random(size) < 0.2).astype(float),
                "marks": lambda size, rng=rng: rng.choice(marks, size=size, p=[0.1, 0.2, 0.4, 0.2, 0.1]),
            }[name]
            rows, truth = draw(shape), float(laws[name].gain_at_kl(0.02))
        table = as_table(rows, once.reward)
        cells = Cells.of(table.n_samples, rng)
        # As `fit_frontier(rows)`, without the curve of the limit, of which the first terms know nothing.
        found = first_terms(replace(once, table=table, cells=cells, weights=cells.resample(150, rng)))
        assert found is not None
        at = found.at(0.02)
        if at.trusted[0]:
            held.append(at.gain_low[0] <= truth <= at.gain_high[0])
    assert len(held) >= 60
    assert np.mean(held) >= 0.93 - 2.0 * math.sqrt(0.93 * 0.07 / len(held))


def test_two_samples_tell_the_first_term_only() -> None:
    rows = np.random.default_rng(0).standard_normal((400, 2))
    found = first_terms(fit_frontier(rows, n_boot=200))
    assert found is not None
    assert (found.terms, found.trusted_end, found.curvature) == (1, 0.0, None)
    assert found.slope_low < math.sqrt(2.0) < found.slope_high
    assert first_terms(fit_frontier(rows[:1], n_boot=100)) is None
    with pytest.raises(InputError, match="kl must not be negative"):
        found.at(-0.1)


@pytest.mark.parametrize(("scale", "shift"), [(0.1, 0.0), (7.0, -100.0), (1e101, 0.0), (1e-101, 0.0)])
def test_first_terms_follow_scale_and_shift(scale: float, shift: float) -> None:
    rows = np.random.default_rng(1).exponential(size=(30, 4)).round(2)
    one, other = (first_terms(fit_frontier(table, n_boot=100)) for table in (rows, scale * rows + shift))
    assert one is not None
    assert other is not None
    assert other.slope == pytest.approx(scale * one.slope, rel=1e-6)
    assert other.trusted_end == pytest.approx(one.trusted_end, rel=1e-2, abs=1e-3)
    assert other.curvature == pytest.approx(scale * one.curvature, rel=1e-6)
    for name in ("gain", "gain_low", "gain_high"):
        assert getattr(other.at(0.2), name)[0] == pytest.approx(scale * getattr(one.at(0.2), name)[0], rel=1e-6), name


# -- every table is answered


def test_two_samples_of_a_prompt_are_answered(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((80, 2))
    path = written(tmp_path / "two.csv", rows, rows + rng.standard_normal((80, 2)))
    said = run("frontier", path, "--reward", "r", "--gold", "g", "--n", "1,2")
    assert "Its first term, which two samples of a prompt give without bias" in said
    found = json.loads(run("frontier", path, "--reward", "r", "--gold", "g", "--n", "1,2", "--json"))
    best = found["reward"]["rules"][1]
    assert best["gain"] == pytest.approx(float((rows.max(axis=1) - rows.mean(axis=1)).mean()))
    assert best["win_rate"] == pytest.approx(2.0 / 3.0)
    assert found["reward"]["first_terms"]["slope_low"] < math.sqrt(2.0) < found["reward"]["first_terms"]["slope_high"]
    assert found["reward"]["why_no_limit"]
    assert found["gold"]["rules"][1]["gain"] == found["hacking"]["along_n"]["gold_gain"][1]


def test_pass_at_k_of_small_groups(tmp_path: Path) -> None:
    rows = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=float)
    path = written(tmp_path / "g.csv", rows)
    rules = json.loads(run("frontier", path, "--reward", "r", "--n", "1,2,4", "--json"))["reward"]["rules"]
    for rule, k in zip(rules, (1, 2, 4), strict=True):
        right = rows.sum(axis=1).astype(int)
        passed = [1.0 - math.comb(4 - c, k) / math.comb(4, k) for c in right]
        assert rule["reward"] == pytest.approx(float(np.mean(passed)))


def test_all_samples_of_a_single_prompt(tmp_path: Path) -> None:
    rows = np.array([[1.0] * 3 + [0.0] * 13])
    path = written(tmp_path / "one.csv", rows)
    said = run("frontier", path, "--reward", "r", "--n", "2,4,16")
    assert "N above a quarter of the samples of a prompt" in said
    rules = json.loads(run("frontier", path, "--reward", "r", "--n", "2,4,16", "--json"))["reward"]["rules"]
    assert rules[0]["gain"] == pytest.approx(0.1625)
    assert rules[2]["gain"] == pytest.approx(0.8125)
    assert all(rule["gain_low"] < rule["gain"] < rule["gain_high"] for rule in rules)


@pytest.mark.parametrize(("prompts", "samples", "these"), [(5, 32, True), (5, 12, False), (21, 32, False)])
def test_of_few_prompts_every_output_says_that_it_is_of_these(prompts: int, samples: int, these: bool) -> None:
    rows = np.random.default_rng(prompts).standard_normal((prompts, samples))
    found = ask(rows, "reward", n_boot=100)
    text, record = "\n".join(frontier_lines(found)), to_record(found)
    assert record["reward"]["fixed_prompts"] is these
    assert (f"are those of these {prompts} prompts" in text) is these
    assert (f"on average over these {prompts} prompts" in record["reward"]["headline"]) is these
    assert ("other prompts are like" in text) is (prompts == 5 and not these)
    beyond = ask(rows, "reward", n_boot=100, divergence="chi2", kl=[0.02])
    assert (f"on average over these {prompts} prompts" in "\n".join(frontier_lines(beyond))) is these


def test_the_interval_of_a_single_prompt_covers_pass_at_k() -> None:
    held, rate = np.zeros(3), 0.15
    ns = np.array([1, 4, 16])
    true = 1.0 - (1.0 - rate) ** ns - rate
    count = 0
    for seed in range(60):
        rows = (np.random.default_rng(seed).random((1, 24)) < rate).astype(float)
        if np.ptp(rows) == 0.0:
            continue
        count += 1
        found = fit_frontier(rows, n_boot=100).share(BestOfN.along(ns))
        held += (found.gain_low - 1e-12 <= true) & (true <= found.gain_high + 1e-12)
    assert (held / count >= 0.93 - 2.0 * 0.033).all()


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_the_limit_of_one_prompt_of_few_rewards_of_0_and_1_is_covered(rate: float) -> None:
    """Where the limit hardly moves with the rate, groups of samples left out show no error (69 % held at .2)."""
    n, budgets = 16, np.array([0.1, 0.2, 0.5])
    chance, held = 0.0, np.zeros(3)
    for right in range(1, n):
        fit = fit_frontier(np.array([[1.0] * right + [0.0] * (n - right)]), n_boot=100)
        found = fit.at(budgets, strict=False)
        if found.supported.all():
            weight = math.comb(n, right) * rate**right * (1.0 - rate) ** (n - right)
            truth = Bernoulli(rate).gain_at_kl(budgets)
            chance, held = chance + weight, held + weight * ((found.gain_low <= truth) & (truth <= found.gain_high))
    assert chance > 0.9
    assert (held / chance > 0.92).all()


def test_shares_of_one_prompt_of_few_samples_are_covered() -> None:
    truth = 1.0 / math.sqrt(math.pi) / math.sqrt(2.0 * (math.log(2.0) - 0.5))  # of normal rewards
    held = []
    for seed in range(30):
        fit = fit_frontier(np.random.default_rng(seed).standard_normal((1, 16)), n_boot=100)
        found = fit.share(BestOfN(2.0))
        if found.supported is not None and found.supported[0]:
            assert found.share_low is not None
            assert found.share_high is not None
            held.append(found.share_low[0] <= truth <= found.share_high[0])
    assert len(held) > 20
    assert np.mean(held) > 0.93


@pytest.mark.parametrize(
    ("rows", "bounded"),
    [([[1.0, 0.0, 0.0, 0.0], [0.0] * 4, [1.0, 1.0, 0.0, 0.0]], None), ([[1.0] * 3 + [0.0] * 13], (0.0, 1.0))],
)
def test_no_lower_end_falls_as_the_budget_doubles(rows: list[list[float]], bounded: tuple[float, float] | None) -> None:
    fit = fit_frontier(np.array(rows), n_boot=200, bounded=bounded)
    budgets = 0.2 * 2.0 ** np.arange(-6.0, 1.0 if bounded is None else 5.0)
    low = fit.at(budgets).gain_low
    assert (np.diff(low) >= 0.0).all()
    assert fit.at(budgets[-1]).gain_low[0] == low[-1]


def test_no_share_is_known_to_be_all_of_the_limit() -> None:
    found = fit_frontier(np.array([[1.0, 1.0] + [0.0] * 6] * 100), n_boot=100).share(BestOfN(2.0))
    assert found.share is not None
    assert found.share_low is not None
    assert found.share_low[0] < found.share[0] == 1.0


def test_two_samples_of_one_prompt_show_no_upper_end(tmp_path: Path) -> None:
    said = run("frontier", written(tmp_path / "two.csv", np.array([[1.0, 0.3]])), "--reward", "r", "--n", "2")
    assert "0.35  at least 0.00" in said
    assert "(95 % interval at least 0.00" in said
    fit = fit_frontier(RewardTable.from_arrays(r=np.array([[1.0, 0.3]]), gold=np.array([[2.0, 1.0]])), "r", n_boot=100)
    beside = fit.share(BestOfN(2.0), picked_by="gold")
    assert (beside.gain_low[0], beside.gain_high[0]) == (-math.inf, math.inf)
    with pytest.raises(InputError, match="gold of a prompt by itself needs at least 3 samples"):
        fit.gold("gold", [BestOfN(2.0)])


@pytest.mark.parametrize(("samples", "few"), [(5, True), (99, True), (100, False)])
def test_one_prompt_of_few_samples_is_said_not_to_tell_its_tail(samples: int, few: bool) -> None:
    found = ask(np.random.default_rng(samples).standard_normal((1, samples)), "reward", n_boot=100)
    assert (found.counted.rules.gain_low >= 0.0).all()  # best of several is never worse than one
    assert found.counted.assumed is not None
    assert found.counted.assumed.few_samples is few
    assert to_record(found)["reward"]["assumed"]["few_samples"] is few
    assert ("samples of one prompt do not tell" in "\n".join(frontier_lines(found))) is few
    assert fit_frontier(np.array([[1.0, 0.0, 0.0] * 4]), n_boot=100).sensitivity().few_samples is False  # type: ignore[union-attr]


def test_a_pool_without_a_prompt_column(tmp_path: Path) -> None:
    values = np.random.default_rng(3).standard_normal(40)
    pd.DataFrame({"r": values}).to_csv(tmp_path / "pool.csv", index=False)
    said = run("frontier", str(tmp_path / "pool.csv"), "--reward", "r", "--pool", "--n", "2,4")
    assert said.startswith("1 prompt with 40 samples.")
    table = RewardTable.read(tmp_path / "pool.csv", None, "r")
    assert table.column("r").tolist() == pytest.approx(values.tolist())


def test_ask_takes_a_data_frame_with_gold() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"prompt_id": np.repeat(np.arange(20), 8), "r": rng.standard_normal(160)})
    frame["g"] = frame["r"] + rng.standard_normal(160)
    found = ask(frame, "r", "g", n_boot=100)
    assert (found.counted.measured_in, found.table.n_prompts) == ("g", 20)


# -- prompts that do not vary, wished KLs


def test_prompts_that_do_not_vary_are_bounded(tmp_path: Path) -> None:
    """More than such prompts can add: of a coin rarer than n samples show, at the same KL on each."""
    rows = np.array([[0.0] * 10, [0.0, 1.0] * 5, [1.0] * 10])
    table = RewardTable.from_arrays(rows)
    chance = 1.0 - 0.05 ** (1.0 / 10.0)
    most = most_of_constant_prompts(table, "reward", 0.2)
    assert most == pytest.approx(Bernoulli(chance).gain_at_kl(0.2) / 3.0)
    for rarer in (1e-6, 0.01, chance):
        assert Bernoulli(rarer).gain_at_kl(0.2) / 3.0 <= most * (1.0 + 1e-12)
    # Of few samples not the largest chance that they leave open gains most: against all chances below it.
    for n, kl in ((2, 0.1), (2, 0.5), (3, 1.0), (8, 2.0), (64, 0.2)):
        alike = RewardTable.from_arrays([[0.0] * n, [0.0] * (n - 1) + [1.0]])
        chances = np.linspace(1e-4, 1.0, 400) * (1.0 - 0.05 ** (1.0 / n))
        right = max(float(Bernoulli(chance).gain_at_kl(kl)) for chance in chances) / 2.0
        most_here = most_of_constant_prompts(alike, "reward", kl)
        assert right * (1.0 - 1e-12) <= most_here <= right * (1.0 + 1e-4)
    assert most_of_constant_prompts(table, "reward", 0.2, highest=2.0) == pytest.approx((2.0 + 1.0) * most)
    said = run("frontier", written(tmp_path / "c.csv", np.tile(rows, (8, 1))), "--reward", "r", "--kl", "0.1")
    assert "On 16 of 24 prompts 'r' is the same for every sample. The limit counts no gain there" in said
    all_right = RewardTable.from_arrays(np.array([[0.0, 1.0], [1.0, 1.0]]))
    assert most_of_constant_prompts(all_right, "reward", 0.2) == 0.0


def test_a_wished_kl_says_how_many_samples_it_takes(tmp_path: Path) -> None:
    rows = np.random.default_rng(5).standard_normal((60, 16))
    said = run("frontier", written(tmp_path / "t.csv", rows), "--reward", "r", "--kl", "0.1,1")
    assert "For 1 nat about" in said
    fit = fit_frontier(rows, n_boot=100)
    wanted = samples_wanted(fit, 1.0)
    assert wanted.samples == pytest.approx(16.0 ** (1.0 / fit.supported_end), rel=0.1)
    # Such a table does support it: the support grows at least like log n.
    more = fit_frontier(np.random.default_rng(6).standard_normal((60, int(wanted.samples))), n_boot=100)
    assert more.supported_end > 1.0
    assert samples_wanted(fit_frontier(rows[:, :2], n_boot=100), 1.0).samples == pytest.approx(math.exp(4.0), rel=0.1)
    assert samples_wanted(fit_frontier(rows[:3], n_boot=100), 1.0).prompts == 8


@pytest.mark.parametrize("few", [3, 4, 5])
def test_few_samples_of_a_prompt_do_not_ask_for_too_many(few: int) -> None:
    """What 64 samples of a prompt support is said to take 64, to a factor of three; ``few^(kl/end)`` says thousands."""
    rng = np.random.default_rng(8)
    fit = fit_frontier(rng.standard_normal((400, few)), n_boot=100)
    end = fit_frontier(rng.standard_normal((400, 64)), n_boot=100).supported_end
    assert 64.0 / 3.0 < samples_wanted(fit, end).samples < 3.0 * 64.0
    assert math.isinf(samples_wanted(fit, 400.0).samples)


def test_a_report_on_two_samples_of_a_prompt_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignbook.report.write_page", lambda text, page, root: page.write_text(text, encoding="utf-8"))
    path = written(tmp_path / "two.csv", np.random.default_rng(7).standard_normal((40, 2)))
    said = run("report", path, "--reward", "r", "-o", str(tmp_path / "report"))
    assert "failed" not in said
    assert (tmp_path / "report" / "report.html").exists()


def test_what_the_share_of_a_rule_would_take_is_said_and_suffices() -> None:
    rows = np.random.default_rng(8).standard_normal((60, 16))
    found = ask({"reward": rows}, "reward", rules=BestOfN.along([2, 4, 8, 16]), n_boot=100)
    first, last = found.reward.wanted_by_rules
    assert last.rule == "best-of-16"
    assert last.samples > first.samples >= float(first.rule.rpartition("-")[2])
    assert f"For the share of {first.rule} (" in "\n".join(frontier_lines(found))
    more = fit_frontier(np.random.default_rng(9).standard_normal((60, int(first.samples))), n_boot=100)
    n = float(first.rule.rpartition("-")[2])
    assert bool(more.share(BestOfN.along([n])).supported[0]) or more.supported_end > 0.8 * first.kl  # "about"
    pairs = ask({"reward": rows[:, :2]}, "reward", n_boot=100).reward.wanted_by_rules
    assert [one.samples for one in pairs] == [4.0]
