"""Logs of means only: the KL is known between ends, and nothing is said of it that these do not bear out."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from alignlib._core.errors import InputError
from alignlib.answers.output.overlay import lines, points, record
from alignlib.answers.output.run_headlines import headlines
from alignlib.cli.main import main
from alignlib.estimation import fit_frontier
from alignlib.tables import RewardTable
from alignlib.training import TrainingLog, compare_runs, overlay, pick, read_training_log
from alignlib.training.envelope import Floor, achieved_envelope
from alignlib.training.example_run import example_run
from alignlib.training.rounded_kl import half_digit


def opened(log: TrainingLog, low: float, high: float, product: float = 1.0) -> TrainingLog:
    """The log as one of means: its KL is ``product`` times what it was, known between multiples of what it was."""
    with np.errstate(invalid="ignore"):  # 0 times infinity
        most = np.where(log.kl == 0.0, 0.0, log.kl * high)
    return replace(log, kl=log.kl * product, kl_low=log.kl * low, kl_high=most, remedy="say what bounds it")


@pytest.fixture(scope="module")
def world():
    log, table = example_run(60, 32, np.random.default_rng(0))
    log = replace(log, kl=np.maximum(log.kl, 0.0), per_prompt=None)
    return log, fit_frontier(table, n_boot=200)


@pytest.mark.parametrize("product", [0.3, 1.0, 8.0])  # 8: as 13.4 nats where 1.75 is right
def test_intervals_hold_the_truth_whatever_the_product(world, product: float) -> None:
    log, fit = world
    told, open_ = overlay(log, fit, check=False), overlay(opened(log, 0.7, 1.5, product), fit, check=False)
    last = int(np.flatnonzero(np.isfinite(told.share) & (told.log.kl * 1.5 < fit.supported_end))[-1])
    assert np.isnan(open_.share).all()
    assert np.isnan(open_.limit).all()
    assert np.isnan(open_.wasted).all()
    assert open_.share_low[last] <= told.share[last] <= open_.share_high[last]
    assert open_.wasted_low[last] <= told.wasted[last] <= open_.wasted_high[last]
    assert open_.limit_low[last] <= told.limit[last] <= open_.limit_high[last]
    assert open_.needed[last] == pytest.approx(told.needed[last])
    assert open_.share_high[last] - open_.share_low[last] > told.share_high[last] - told.share_low[last]
    (said,) = headlines(open_)
    assert all("nan" not in line for line in [*lines(open_), said])
    low, high = (end[-1] for end in open_.log.ends)
    assert f"for {low:.2g} to {high:.2g} nats per sequence, for its log tells only ends of the KL" in said
    assert record(open_)["points"][-1]["kl"] is None
    assert record(open_)["points"][-1]["kl_low"] == pytest.approx(low)
    assert points(open_)[0]["kl"] is None


def test_without_an_upper_end_share_and_waste_are_refused_and_the_rest_is_said(world) -> None:
    log, fit = world
    found = overlay(opened(log, 0.01, np.inf), fit, check=False)
    assert not np.isfinite(found.share).any()
    assert not (found.share_low > 0.0).any()
    assert not np.isfinite(found.wasted).any()
    assert not found.above.any()
    (said,) = headlines(found)
    assert "what share of the limit that is cannot be told" in said
    assert "Best-of-N with N = 8 gains as much for 1.20 nats" in said
    assert "say what bounds it." in said
    point = record(found)["points"][-1]
    assert point["kl"] is point["kl_high"] is point["share"] is point["wasted"] is None
    assert record(found)["points"][3]["needed"] > 0.0
    assert ">= " in "".join(lines(found))
    with pytest.raises(
        InputError, match=r"means bound its KL per sequence at most: it is at least .* nats at its furthest"
    ):
        compare_runs({"a": opened(log, 0.01, np.inf), "b": log})


def test_runs_are_compared_where_all_have_surely_been() -> None:
    """What each run has at a true KL lies in the interval, though its products of means are out by 30 %."""
    rng = np.random.default_rng(1)
    a, b = (example_run(60, 32, rng, share=part)[0] for part in (0.6, 0.9))
    a, b = (replace(one, per_prompt=None, kl=np.maximum(one.kl, 0.0)) for one in (a, b))
    told = compare_runs({"a": a, "b": b})
    found = compare_runs({"a": opened(a, 0.95, 1.4, 1.3), "b": b}, at=told.kl[:3])
    assert (found.kl <= 0.95 * a.kl.max()).all()
    truth = 0.3 * np.sqrt(2.0 * found.kl)
    assert (found.difference_low[1] <= truth).all()
    assert (truth <= found.difference_high[1]).all()
    exact = compare_runs({"a": opened(a, 0.999, 1.001, 1.3), "b": b}, at=found.kl)  # no ends hold a KL between
    assert (exact.difference_low[1] <= truth).all()
    assert (truth <= exact.difference_high[1]).all()
    wider = found.difference_high - found.difference_low
    same = compare_runs({"a": a, "b": b}, at=found.kl)
    assert (wider[1] > (same.difference_high - same.difference_low)[1]).all()


def test_a_floor_is_that_of_the_largest_kls(world) -> None:
    log, _ = world
    far = opened(log, 0.5, 2.0)
    floor = Floor(far, achieved_envelope(far.ends[1], far.reward))
    assert floor.envelope.kl[-1] <= 2.0 * log.kl.max()
    assert (floor.wasted <= Floor(log, achieved_envelope(log.kl, log.reward)).wasted + 1e-9).all()


def test_a_checkpoint_is_picked_by_gold_but_nothing_at_equal_kl(world) -> None:
    log, fit = world
    course = 2.0 * np.sqrt(log.kl) - 1.5 * log.kl
    gold = replace(opened(log, 0.5, 2.0, 8.0), reward=course)
    found = pick(opened(log, 0.5, 2.0, 8.0), gold)
    assert found.step[found.best] == log.step[np.argmax(course)]
    assert found.kl_high is not None
    assert any("nothing is compared at equal KL" in note for note in found.notes)
    with pytest.raises(InputError, match="no gold can be predicted at an unknown KL"):
        pick(opened(log, 0.5, 2.0), fit=fit, column="reward")


def test_the_commands_say_it_everywhere(tmp_path: Path) -> None:
    """An older log of trl, with mean lengths only: lines, JSON, CSV and picture; and what --lengths makes of it."""
    log, table = example_run(20, 16, np.random.default_rng(2))
    rows = [
        {"step": float(s), "kl": max(float(k), 0.0) / 500.0, "reward": float(r), "completion_length": 500.0}
        for s, k, r in zip(log.step, log.kl, log.reward, strict=True)
    ]
    run, base = tmp_path / "trainer_state.json", tmp_path / "base.csv"
    run.write_text(json.dumps({"log_history": rows}))
    prompt = np.repeat(table.prompts, table.n_samples)
    cells = [f"{p},{r}\n" for p, r in zip(prompt.tolist(), table.column("reward").tolist(), strict=True)]
    base.write_text("prompt_id,reward\n" + "".join(cells))

    def said(command: str, *more: str) -> str:
        result = CliRunner().invoke(main, [command, str(run), *more])
        assert result.exit_code in (0, 2), result.output
        return result.output

    with_table = (str(base), "--reward", "reward", "--no-check")
    plain = said("overlay", *with_table, "-o", str(tmp_path / "run.png"))
    assert "what share of the limit that is cannot be told" in plain
    assert "(--lengths)" in plain
    assert (tmp_path / "run.png").stat().st_size > 10_000
    answer = json.loads(said("overlay", *with_table, "--json", "--lengths", "1,1024"))
    point = answer["points"][-1]
    assert point["kl"] is None
    assert point["kl_low"] < 1.2 < point["kl_high"]
    assert point["share"] is None
    row = list(csv.DictReader(io.StringIO(said("overlay", *with_table, "--csv", "--lengths", "450,550"))))[
        len(rows) // 2 - 1
    ]
    assert row["kl"] == ""
    assert 0.0 < float(row["kl_low"]) < float(row["kl_high"])
    assert "The least and largest tokens of a response (--lengths) bound the KL" in said("overlay")
    assert "-o draws rewards along KL, which this log" in said("overlay", "-o", str(tmp_path / "x.png"))
    assert "concave envelope" in said("overlay", "--lengths", "1,1024")
    kept = said("pick", "--run-gold", "reward", "--json")
    assert json.loads(kept)["pick"]["kl"] is None
    assert "--lengths must hold the mean length" in said("overlay", "--lengths", "1,20")


@pytest.mark.parametrize(
    ("kl", "ends"),
    [
        ([0.0, 0.0, 1.0, 1.0, 1.0], ([0.0, 0.0, 0.5, 0.5, 0.5], [0.5, 0.5, 1.5, 1.5, 1.5])),
        ([0.0, 0.0, 0.1, 0.1, 0.1], ([0.0, 0.0, 0.05, 0.05, 0.05], [0.05, 0.05, 0.15, 0.15, 0.15])),
        ([0.0, 1.0, 3.0, 8.0, 12.0], None),
        ([0.0, 0.1, 0.25, 0.3, 1.0 / 3.0], None),
    ],
)
def test_kls_per_sequence_that_are_rounded_coarsely_are_known_between_ends(tmp_path, kl, ends) -> None:
    rows = [{"step": step, "kl": one, "reward": 0.1 * step} for step, one in enumerate(kl)]
    (tmp_path / "run.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    log = read_training_log(tmp_path / "run.jsonl", kl_unit="sequence")
    if ends is None:
        assert log.kl_low is None
        return
    np.testing.assert_allclose((log.kl_low, log.kl_high), ends)
    assert any("they are taken for rounded" in note for note in log.notes)
    found = overlay(log, fit_frontier(np.random.default_rng(0).standard_normal((60, 16)), n_boot=100), pool=1)
    assert found.needed[1] > 0.0  # a gain at a KL printed as 0 is not free


@pytest.mark.parametrize("decimals", [1, 2])
def test_a_kl_that_is_printed_as_0_is_no_base_where_the_run_has_gained(decimals: int) -> None:
    """The optimum of a normal reward, its KL of up to .6 or .06 nats printed with as few decimals as that."""
    rng = np.random.default_rng(5)
    fit = fit_frontier(RewardTable.from_arrays(rng.standard_normal((200, 64))), n_boot=100)
    kl = 0.6 * 10.0 ** (1 - decimals) * np.linspace(0.0, 1.0, 20) ** 2
    reward = np.sqrt(2.0 * kl) + 0.01 * rng.standard_normal(20)
    printed = kl.round(decimals)
    log = replace(example_run(2, 3, rng, n_checkpoints=20)[0], kl_unit="sequence", length=None)
    found = overlay(replace(log, kl=printed, logged_kl=printed, reward=reward), fit, pool=1, check=False)
    assert not found.above.any()
    assert not found.doubted
    assert ((found.wasted_low <= 0.0) & (found.wasted_high >= 0.0)).mean() > 0.9
    zero = (printed == 0.0) & (found.gain > 0.01) & (kl > 0.0)
    assert zero.any()
    assert (found.needed[zero] > 0.0).all()
    assert np.isnan(found.wasted[zero]).all()
    assert found.log.ends[1][zero].tolist() == pytest.approx([0.5 * 10.0**-decimals] * int(zero.sum()))
    assert (found.wasted_high[zero] >= 0.3 * kl[zero]).all()  # not [0, 0]
    row = lines(found)[4 + int(np.argmax(zero))]
    assert "[0, 0.0" in row
    assert "between" in row
    kept = replace(log, kl=kl, logged_kl=kl, reward=reward)  # of many decimals
    assert overlay(kept, fit, pool=1, check=False).log.kl_low is None


@pytest.mark.parametrize("unit", ["sequence", "token"])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    "kl", [[0.0, 1.6e-4, 2.3e-4, 3.1e-4, 4.4e-4], [0.0, 1.2345e-5, 2.5e-5, 3e-5], [0.0, 0.0, 0.0, 2e-4, 0.3]]
)
def test_small_kls_are_not_taken_for_rounded(tmp_path: Path, kl: list[float], ending: str, unit: str) -> None:
    """What would be rounded to 0 was not rounded to so few decimals."""
    path, frame = tmp_path / f"run.{ending}", pd.DataFrame({"kl": kl, "reward": np.arange(len(kl)) / 10.0})
    if ending == "jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    else:
        (frame.to_csv if ending == "csv" else frame.to_parquet)(path, index=False)
    log = read_training_log(path, kl_unit=unit, length=200.0 if unit == "token" else None)
    assert log.kl_low is None
    assert half_digit(log).max() <= 5e-5 * (200.0 if unit == "token" else 1.0)
    assert not any(f"than {few}" in note for note in log.notes for few in ("0 d", "1 d", "2 d", "3 d"))


@pytest.mark.parametrize(
    ("cells", "half"), [("0.10 0.20 0.30 0.40", 0.005), ("0.1 0.2 0.3 0.9", 0.05), ("1.0 2.0 3.0 9.0", 0.5)]
)
def test_decimals_are_those_of_the_text_where_it_is_known(tmp_path: Path, cells: str, half: float) -> None:
    """Of several starts, too: the one with more decimals tells."""
    texts = [
        "step,kl,reward\n" + "".join(f"{i + 4 * j},{kl},0.{i}\n" for i, kl in enumerate(cells.split())) for j in (0, 1)
    ]
    for i, text in enumerate(texts):
        (tmp_path / f"run{i}.csv").write_text(text)
    for path, more in ((tmp_path / "run0.csv", {}), (tmp_path, {"files": "starts"})):
        np.testing.assert_allclose(half_digit(read_training_log(path, kl_unit="sequence", **more)), half)


def test_a_log_of_few_decimals_says_so_also_per_sequence(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,kl,reward\n0,0.0,0.1\n1,0.0,0.2\n2,0.3,0.4\n3,0.9,0.5\n", encoding="utf-8")
    notes = read_training_log(path, kl_unit="sequence").notes
    assert any("each is known up to 0.05 nats per sequence" in note for note in notes)
