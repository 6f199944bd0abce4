"""Logs whose rows are of several splits of the data, or of several starts of a run, in one file or in many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alignlib._core.errors import InputError
from alignlib.estimation import fit_frontier
from alignlib.training import TrainingLog, overlay, read_training_log
from alignlib.training.envelope import Floor, achieved_envelope
from alignlib.training.example_run import example_run
from alignlib.training.logs.training_log import joined_logs
from alignlib.training.picking import pick
from alignlib.training.rounded_kl import half_digit, told_by_ends, within_digits


def frame(steps: list[int], kl: float, reward: float, **more: object) -> pd.DataFrame:
    """Rows of a run whose KL and reward rise by as much at each step."""
    at = np.array(steps, dtype=np.float64)
    return pd.DataFrame({"step": steps, "kl": kl * at, "reward": reward * at + 0.1}).assign(**more)


def written(folder: Path, files: dict[str, pd.DataFrame]) -> Path:
    """Write tables into a folder, by their endings."""
    for name, rows in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("jsonl"):
            rows.to_json(path, orient="records", lines=True)
        else:
            rows.to_csv(path, index=False)
    return folder


def read(path: Path, **more: object) -> TrainingLog:
    """Read a log of KLs per sequence."""
    return read_training_log(path, kl_unit="sequence", **more)  # type: ignore[arg-type]


def up_to(log: TrainingLog) -> list[float]:
    """Return by how much each KL may be larger than logged, whether the log was read with ends or with its digits."""
    return [float(one) for one in within_digits(log).ends[1] - log.kl]


TRAIN, LATE = frame([*range(0, 50, 5)], 0.011, 0.02, split="train"), frame([5, 20, 35], 0.013, -0.01, split="val")


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
@pytest.mark.parametrize("order", ["blocks", "held out first", "by turns"])
def test_rows_of_an_evaluation_are_no_rows_of_the_run(tmp_path: Path, name: str, order: str) -> None:
    parts = [LATE, TRAIN] if order == "held out first" else [TRAIN, LATE]
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.sort_values("step", kind="stable") if order == "by turns" else rows
    path = written(tmp_path, {name: rows}) / name
    log, held_out, both = read(path), read(path, evaluation=True), read(path, splits=True)
    for found, of in ((log, TRAIN), (held_out, LATE)):
        assert found.step.tolist() == of.step.tolist()
        np.testing.assert_allclose(found.kl, of.kl)
        np.testing.assert_allclose(found.reward, of.reward)
        assert any("of several splits ('" in note for note in found.notes)
    assert not any("run back" in note or "Averaged" in note for note in log.notes)
    assert {run: (both.run == run).sum() for run in both.runs} == {"train": 10, "val": 3}


def test_splits_of_several_runs_and_of_a_trainers_keys_stay_apart(tmp_path: Path) -> None:
    rows = pd.concat([part.assign(run=run) for part in (TRAIN, LATE) for run in ("a", "b")])
    both = read(written(tmp_path, {"log.csv": rows}) / "log.csv", splits=True)
    assert {run: (both.run == run).sum() for run in both.runs} == {"a train": 10, "b train": 10, "a val": 3, "b val": 3}
    keys = {"kl": "objective/kl", "reward": "objective/scores"}
    path = written(tmp_path, {"log.jsonl": pd.concat([TRAIN, LATE]).rename(columns=keys)}) / "log.jsonl"
    assert read(path).step.tolist() == TRAIN.step.tolist()
    assert read(path, splits=True).runs == ["train", "val"]


def test_splits_none_of_which_is_training_are_said(tmp_path: Path) -> None:
    rows = pd.concat([LATE.assign(split="val"), LATE.assign(split=None, step=[40, 50, 60])])
    log = read(written(tmp_path, {"log.csv": rows}) / "log.csv")
    assert log.step.size == 6
    assert any("none called training" in note for note in log.notes)


@pytest.mark.parametrize("kl", [[0.0], [0.02], [0.0, 0.0], [0.0, 0.0412345], [0.02, 0.0412345], [0.1, 0.05, 0.02]])
def test_a_run_that_has_just_begun_has_a_place(kl: list[float]) -> None:
    """A trainer's first lines, beside a table."""
    rng = np.random.default_rng(1)
    fit = fit_frontier(rng.standard_normal((40, 8)), n_boot=100)
    log = example_run(2, 3, rng, n_checkpoints=5)[0].keep(np.arange(len(kl)))
    held = np.array(kl)
    found = overlay(replace(log, kl=held, logged_kl=held, length=None, reward=np.sqrt(held)), fit, pool=1)
    assert found.gain.shape == held.shape
    assert np.isfinite(found.gain_low).all()


def test_log_probabilities_that_are_the_base_s_are_no_rounded_numbers(tmp_path: Path) -> None:
    rows = pd.DataFrame({"step": [0, 0, 1, 1, 2, 2], "prompt_id": [0, 1] * 3, "reward": [0.1, 0.4, 0.2, 0.5, 0.3, 0.6]})
    path = written(tmp_path, {"r.jsonl": rows.assign(log_prob=-3.5, base_log_prob=-3.5, n_tokens=4)}) / "r.jsonl"
    log = read_training_log(path)
    (said,) = (note for note in log.notes if note.startswith("Every logged KL is 0"))
    assert "rounded" not in said
    assert not half_digit(log).any()


UP = [round(0.0613 * i, 4) for i in range(1, 9)]  # nats


@pytest.mark.parametrize(
    ("second", "later", "left", "also"),
    [
        pytest.param([*range(1, 6)], [0.5, 0.55, 0.62, 0.7, 0.72], 13, "If it went back instead", id="goes on"),
        pytest.param([*range(1, 6)], [0.24, 0.26, 0.28, 0.3, 0.32], 5, "If it went on instead", id="another penalty"),
        pytest.param([*range(2, 12, 2)], [0.5, 0.6, 0.72, 0.8, 0.9], 13, "If it went back instead", id="every other"),
        pytest.param([*range(5)], [0.4904, 0.55, 0.62, 0.7, 0.72], 12, "If it went back instead", id="from 0"),
        pytest.param([*range(1, 6)], UP[:5], 5, "", id="the same again"),
    ],
)
def test_a_counter_that_begins_anew_is_told_with_both_readings(
    tmp_path: Path, second: list[int], later: list[float], left: int, also: str
) -> None:
    first = [*range(8)] if second[0] == 0 else [*range(1, 9)]
    rows = pd.DataFrame({"step": [*first, *second], "kl": [*UP, *later]}).assign(reward=np.arange(13) / 50.0)
    log = read(written(tmp_path, {"log.csv": rows}) / "log.csv")
    said = [note for note in log.notes if "begin anew" in note]
    assert log.step.size == left
    assert sorted(log.step.tolist()) == log.step.tolist()
    assert len(said) == bool(also)
    assert all(also in note and f"({left} of 13 rows" in note for note in said)
    assert any("run back" in note for note in log.notes) == (left == 5)
    if left > 5:
        np.testing.assert_allclose(log.reward[-5:], rows.reward[-5:])


def test_all_zeros_and_one_reading_of_two_are_told(tmp_path: Path) -> None:
    rows = pd.DataFrame({"step": [*range(1, 7)] * 2, "kl": "0.000", "reward": np.arange(12) / 50.0})
    notes = read(written(tmp_path, {"log.csv": rows}) / "log.csv").notes
    assert any("If it went on instead, with a new counter, number its steps on: with 6 added" in note for note in notes)


def test_a_resume_may_be_from_the_first_of_two_counters(tmp_path: Path) -> None:
    """Eight steps, then six of a new counter, and from the checkpoint of step 4 of the first on again."""
    kl = [*UP, *(round(0.55 + 0.061 * i, 4) for i in range(6)), *(0.301 + 0.062 * np.arange(7)).round(4)]
    rows = pd.DataFrame({"step": [*range(1, 9), *range(1, 7), *range(5, 12)], "kl": kl})
    log = read(written(tmp_path, {"log.csv": rows.assign(reward=np.arange(21) / 50.0)}) / "log.csv")
    assert log.step.tolist() == [*range(1, 12)]
    assert log.kl.tolist() == [*UP[:4], *kl[-7:]]
    assert any("went back to step 5, where it was 0.306 before" in note for note in log.notes)


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
@pytest.mark.parametrize(("begin", "lacking"), [(6, 1), (6, 2), (1, 1)])
def test_first_rows_after_a_resume_that_lack_the_kl_get_none_of_before(
    tmp_path: Path, name: str, begin: int, lacking: int
) -> None:
    again = [*range(begin, begin + 6)]
    kl = [0.0, *UP, 0.55, *([np.nan] * lacking), *np.array([0.61, 0.67, 0.72, 0.78, 0.83, 0.88])[lacking:]]
    rows = pd.DataFrame({"step": [*range(1, 11), *again], "kl": kl, "reward": np.arange(16) / 20.0})
    path = written(tmp_path, {name: rows}) / name
    if name.endswith("jsonl"):
        path.write_text(path.read_text().replace('"kl":null,', ""))
    with pytest.raises(InputError, match=f"^{lacking} of {11 if begin == 6 else 16} checkpoints"):
        read(path)
    log = read(path, drop_missing=True)
    dead = set(rows.reward[begin - 1 : 10]) if begin == 6 else set()
    assert not dead & set(log.reward.tolist())
    assert log.kl.size == (11 if begin == 6 else 16) - lacking


def test_a_single_kl_that_is_corrected_is_no_resume(tmp_path: Path) -> None:
    rows = pd.DataFrame({"step": [1, 2, 3, 4, 2, 5], "kl": [0.1, 9.0, 0.3, 0.4, 0.2, 0.5], "reward": 0.25})
    rows.loc[4, "reward"] = np.nan
    log = read(written(tmp_path, {"log.jsonl": rows}) / "log.jsonl")
    assert log.kl.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize("others", [True, False])
def test_a_step_that_was_run_again_on_other_prompts_is_told_with_both_readings(tmp_path: Path, others: bool) -> None:
    """Where all other steps hold as many as one another."""
    rows = [(step, 10 * step + i) for step in range(1, 6) for i in range(4)] + [(5, 90 + i) for i in range(4)]
    rows += [(6, 60 + i) for i in range(4 if others else 3)]
    held = pd.DataFrame(rows, columns=["step", "prompt_id"]).assign(kl=0.01, reward=0.5, n_tokens=9)
    log = read(written(tmp_path, {"r.jsonl": held}) / "r.jsonl")
    said = [note for note in log.notes if note.startswith("Step 5 holds 8 responses where most others hold 4.")]
    assert len(said) == others
    assert all("if the step was run again after a resume, remove its first 4" in note for note in said)


def rewards(log: TrainingLog) -> dict[str, dict[float, float]]:
    """Return the reward at each step of each run."""
    return {
        run: dict(zip(log.step[log.run == run].tolist(), log.reward[log.run == run].round(6).tolist(), strict=True))
        for run in log.runs
    }


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("log", "log2"),
        ("rollouts", "rollouts-2"),
        ("run", "run (1)"),
        ("start9", "start10"),
        ("log", "later/log"),
        ("z", "a/log"),  # files before folders
    ],
)
def test_starts_are_in_the_order_of_their_names(tmp_path: Path, first: str, second: str, ending: str) -> None:
    """And a file with an ending that no log has is named."""
    files = {
        f"{first}.{ending}": frame([0, 10, 20, 30], 0.01, 0.02),
        f"{second}.{ending}": frame([20, 30, 40], 0.011, 1),
    }
    folder = written(tmp_path, files)
    (folder / "picture.png").write_bytes(b"")
    log = read(folder, files="starts")
    assert rewards(log)[tmp_path.stem] == pytest.approx({0.0: 0.1, 10.0: 0.3, 20.0: 20.1, 30.0: 30.1, 40.0: 40.1})
    assert any("Left out so, or as run again within a start: 2 of 4 checkpoints" in note for note in log.notes)
    assert any("Not read in the folder" in note and "'picture.png'" in note for note in log.notes)


def test_a_start_of_one_run_of_several_replaces_that_one(tmp_path: Path) -> None:
    both = pd.concat([frame([0, 10, 20], 0.01, 0.02, run=run) for run in ("a", "b")])
    log = read(written(tmp_path, {"1.csv": both, "2.csv": frame([10, 20, 30], 0.01, 1.0, run="b")}), files="starts")
    assert {run: list(held) for run, held in rewards(log).items()} == {"a": [0, 10, 20], "b": [0, 10, 20, 30]}
    assert rewards(log)["b"][10.0] == pytest.approx(10.1)
    assert rewards(log)["a"][10.0] == pytest.approx(0.3)


@pytest.mark.parametrize("runs", [("",), ("a", "b")])
def test_an_evaluation_of_a_dead_start_goes_with_it(tmp_path: Path, runs: tuple[str, ...]) -> None:
    """Between the first step of training of the later start and its first evaluation."""

    def start(begin: int, end: int, late: list[int], whose: tuple[str, ...]) -> pd.DataFrame:
        train = frame([*range(begin, end, 5)], 0.01, 0.02, split="train")
        rows = pd.concat([train, frame(late, 0.01, -0.02, split="val")])
        return pd.concat([rows.assign(**({"run": run} if run else {})) for run in whose])

    files = {"1.csv": start(0, 50, [10, 25, 40], runs), "2.csv": start(20, 70, [40, 55], runs[-1:])}
    folder = written(tmp_path, files)
    log = read(folder, splits=True, files="starts")
    last = f"{runs[-1]} val".strip()
    assert log.step[log.run == last].tolist() == [10, 40, 55]
    assert read(folder, evaluation=True, files="starts").step.tolist()[-3:] == [10, 40, 55]
    if len(runs) > 1:
        assert log.step[log.run == "a val"].tolist() == [10, 25, 40]
        assert log.step[log.run == "a train"].tolist() == [*range(0, 50, 5)]


def test_several_logs_of_means_are_no_start(tmp_path: Path) -> None:
    folder = written(tmp_path, {f"{one}/rank{rank}.csv": frame([0, 10], 0.1, 1.0) for one in "ab" for rank in (0, 1)})
    with pytest.raises(
        InputError, match=r"a start of the run .*'rank0.csv' and 'rank1.csv'.*of means a start is one log"
    ):
        read(folder, files="starts")


def test_folders_within_that_of_a_run_are_named(tmp_path: Path) -> None:
    held = pd.DataFrame({"step": [1, 1, 2, 2], "prompt_id": [0, 1] * 2, "kl": 0.1, "reward": 0.5, "n_tokens": 9})
    folder = written(tmp_path, {"rollouts.jsonl": held, "resume1/rollouts.jsonl": held.assign(step=[2, 2, 3, 3])})
    (tmp_path / "pictures").mkdir()
    log = read(folder)
    assert any(note.startswith("Not read: tables in 'resume1' within the folder.") for note in log.notes)
    assert read(folder, files="starts").step.tolist() == [1, 2, 3]


def test_a_start_whose_counter_begins_anew_is_a_third_reason(tmp_path: Path) -> None:
    folder = written(tmp_path, {"s1.csv": frame([0, 10], 0.1, 1.0), "s2.csv": frame([0, 10], 0.1, 2.0)})
    notes = read(folder, files="starts").notes
    assert any(
        "Nothing is left of 's1.csv'" in note and "though the run went on, number them on" in note for note in notes
    )


def test_a_column_of_runs_tells_those_of_a_trainers_keys_apart(tmp_path: Path) -> None:
    keys = {"kl": "objective/kl", "reward": "objective/scores"}
    rows = pd.concat([frame([0, 10, 20], 0.01, 0.02, run=run) for run in ("a", "b")]).rename(columns=keys)
    log = read(written(tmp_path, {"log.csv": rows}) / "log.csv")
    assert {run: (log.run == run).sum() for run in log.runs} == {"a": 3, "b": 3}


@pytest.mark.parametrize("kind", ["rows", "metrics", "metric by metric"])
def test_a_log_that_begins_with_its_last_step_is_turned_around_though_it_was_resumed(tmp_path: Path, kind: str) -> None:
    rows = pd.concat([frame([*range(1, 8)], 0.01, 0.02), frame([*range(5, 11)], 0.011, 0.03)])
    if kind != "rows":
        rows = rows.melt("step", var_name="metric", ignore_index=False).assign(run_id="a")
        rows = rows if kind == "metric by metric" else rows.sort_values("metric", kind="stable")
    if kind == "metrics":
        rows = pd.concat([rows[rows.metric == "kl"], rows[rows.metric == "reward"]])
        rows = rows.iloc[np.argsort(np.tile(np.arange(13), 2), kind="stable")]
    log = read(written(tmp_path, {"m.csv": rows[::-1]}) / "m.csv", kl="kl", reward="reward")
    assert log.step.tolist() == [*range(1, 11)]
    np.testing.assert_allclose(log.reward, [*(0.02 * np.arange(1, 5) + 0.1), *(0.03 * np.arange(5, 11) + 0.1)])


def test_each_start_is_known_up_to_half_of_its_own_last_decimal(tmp_path: Path) -> None:
    """A 0.0 is up to 0.05 nats, though an earlier start of the run printed four decimals."""
    fine, few = [f"{i},{0.0005 * i:.4f},{i}" for i in range(4)], [f"{i},0.0,{i}" for i in range(3, 9)]
    for name, rows in (("1.csv", fine), ("2.csv", few)):
        (tmp_path / name).write_text("\n".join(["step,kl,reward", *rows]))
    log = read(tmp_path, files="starts")
    assert up_to(log) == pytest.approx([5e-5] * 3 + [0.05] * 6)
    assert log.ends[1].tolist()[3:] == [0.05] * 6  # so all that reads it knows, `pick` too
    assert "up to half of its own last one, 5e-05 to 0.05 nats" in log.notes[-1]
    assert up_to(joined_logs([log, log], ["a", "b"], "both")) == up_to(log) * 2
    assert up_to(log.pooled(3)) == pytest.approx([5e-5, 0.05, 0.05])
    found = pick(log, log)
    assert found.kl_high is not None
    assert found.kl_high[found.chosen] == pytest.approx(0.05)
    alone = read(tmp_path / "2.csv")  # which may be the base, or rounded
    assert alone.kl_high is None
    assert pick(alone, alone).kl_high == pytest.approx(0.05)
    (tmp_path / "2.csv").write_text("\n".join(["step,kl,reward", *few, "9,1.5,9"]))
    log = read(tmp_path, files="starts")  # of which the few decimals are little
    assert log.kl_high is None
    points = told_by_ends(log, within_digits(log))
    assert points.ends[1].tolist()[3:] == [0.05] * 6 + [1.5]
    assert "at step 3 it is 0 to 0.05 nats per sequence if they were rounded" in points.notes[-1]


@pytest.mark.parametrize(("decimals", "ending"), [(1, "csv"), (1, "jsonl"), (2, "jsonl")])
def test_a_part_of_a_log_that_has_fewer_decimals_is_known_up_to_half_of_its_own_last(
    tmp_path: Path, decimals: int, ending: str
) -> None:
    """Of six decimals, and then of few: a run's KL does not fall to 0, nor to round numbers, by itself."""
    kl = 10.0 ** (1 - decimals) * np.linspace(0.0, 0.3, 24) ** 2
    kl = np.append(kl[:12].round(6), kl[12:].round(decimals))
    rows = pd.DataFrame({"step": np.arange(24), "kl": kl, "reward": np.arange(24.0)})
    log = read(written(tmp_path, {f"a.{ending}": rows}) / f"a.{ending}")
    half = 0.05 if decimals == 1 or not kl[12:].any() else 0.005
    np.testing.assert_allclose(up_to(log), [5e-7] * 12 + [half] * 12)
    assert any("as at step 12, have fewer decimals than others" in note for note in log.notes)
    rows = pd.DataFrame({"step": np.arange(24), "kl": np.maximum(np.arange(24) - 4, 0) / 300.0, "reward": 1.0})
    exact = read(written(tmp_path, {f"b.{ending}": rows}) / f"b.{ending}")
    assert not half_digit(exact).any()  # 0.01 and 0.02 among others, and zeros before


def test_several_splits_of_training_beside_another_are_said_to_be_one_run(tmp_path: Path) -> None:
    parts = [TRAIN, TRAIN.assign(step=TRAIN.step + 2, split="train_hard"), LATE]
    log = read(written(tmp_path, {"a.csv": pd.concat(parts)}) / "a.csv")
    assert any("those of training are taken for one run" in note for note in log.notes)


@pytest.mark.parametrize("before", [60, 75, 90])
@pytest.mark.parametrize("named", ["keys", "split", "newest first", "block", "metrics"])
def test_evaluations_are_counted_on_as_training_is(tmp_path: Path, named: str, before: int) -> None:
    """A counter that began anew after some steps, in whatever way evaluations are told apart, and read."""
    rows: list[dict[str, object]] = []
    path = tmp_path / ("a.csv" if named != "keys" else "a.jsonl")
    for at in range(5, 205, 5):
        for late in (False, True) if at % 25 == 0 else (False,):
            kl, reward = (
                "eval_" * (late and named in ("keys", "metrics")) + f"objective/{one}" for one in ("kl", "scores")
            )
            rows.append({"step": (at - 1) % before + 1, kl: 0.011 * at, reward: 0.01 * at})
            rows[-1] |= {"split": "eval" if late else "train"} if named not in ("keys", "metrics") else {}
    table = pd.DataFrame(rows[::-1] if named == "newest first" else rows)
    if named == "block":
        table = table.sort_values("split", kind="stable")
    if named == "metrics":
        table = table.melt("step", var_name="key", ignore_index=False).dropna().sort_index(kind="stable")
        table = table.assign(run_id="a", timestamp=table.index)
    table.to_json(path, orient="records", lines=True) if named == "keys" else table.to_csv(path, index=False)
    log = read_training_log(path, splits=True)
    np.testing.assert_allclose(log.kl, 0.011 * log.step)
    late = log.step[log.run != "train"].tolist()
    assert late == list(range(25, int(log.step.max()) + 1, 25))
    assert late == read_training_log(path, evaluation=True).step.tolist()
    if named == "block" and before == 60:  # of the last counter no evaluation
        table[(table.split != "eval") | (table.step != 20)].to_csv(path, index=False)
        notes = read_training_log(path, splits=True).notes
        assert any(note.startswith("Of 'eval': The steps stand apart from those of training") for note in notes)
        with pytest.raises(InputError, match="which rows are of which counter is not known, so they are left out"):
            read_training_log(path, evaluation=True)


@pytest.mark.parametrize("before", [10, 17, 25])
@pytest.mark.parametrize(
    "kind", ["ranks", "no KL", "no reward", "sparse", "no training", "from 0", "two, newest first"]
)
def test_evaluations_are_counted_on_whatever_training_logs(tmp_path: Path, kind: str, before: int) -> None:
    """By all rows that show the counter: of several ranks, without KL or reward, or those of another split."""
    rows, every = list[dict[str, object]](), 7 if kind != "two, newest first" else 15
    for at in range(1, 41):
        step, values = (at - 1) % before + 1, {"kl": 0.004 * at, "reward": 0.01 * at}
        late = {"step": step, "split": "hard" if kind == "no training" else "eval"} | values
        training = {"step": step, "split": "easy" if kind == "no training" else "train", "loss": 0.1}
        if kind == "from 0" and step == 1 and at > 1:
            rows.append({**training, "step": 0, "kl": 0.004 * (at - 1), "reward": 0.01 * (at - 1)})
        if kind not in ("no KL", "no reward", "sparse") or (kind == "sparse" and at % 3 == 0):
            training |= values
        elif kind == "no KL":
            training |= {"reward": 0.01 * at}
        for rank in (0, 1) if kind == "ranks" else (0,):
            rows += [{**one, "rank": rank} for one in ([training, late] if at % every == 0 else [training])]
    pd.DataFrame(rows[::-1] if "newest" in kind else rows).to_csv(tmp_path / "a.csv", index=False)
    found = list[TrainingLog]()
    if kind not in ("no KL", "no reward", "sparse"):  # where rows of training are refused
        found.append(read(tmp_path / "a.csv", splits=True))
    if kind != "no training":
        found.append(read(tmp_path / "a.csv", evaluation=True))
    for log in found:
        log = log.keep(np.isin(log.run, ["eval", "hard", "a"]))
        assert log.step.tolist() == list(range(every, 41, every))
        np.testing.assert_allclose(log.kl, 0.004 * log.step)


@pytest.mark.parametrize(("of", "behind"), [(10, 0), (12, 2)])
def test_an_evaluation_that_took_long_is_of_the_counter_before(tmp_path: Path, of: int, behind: int) -> None:
    """Written just before or behind the first rows of the new counter, which has not come to its step."""
    rows = [{"step": at - 12 * (at > 12), "kl": 0.01 * at, "reward": 1.0 * at, "split": "train"} for at in range(1, 25)]
    for at, place in ((24, 24), (18, 18), (of, 12 + behind), (6, 6)):
        rows.insert(place, {**rows[at - 1], "split": "eval"})
    log = read(written(tmp_path, {"a.csv": pd.DataFrame(rows)}) / "a.csv", evaluation=True)
    assert log.step.tolist() == [6, of, 18, 24]


def test_an_evaluation_in_the_row_that_step_0_stands_for_again_stays(tmp_path: Path) -> None:
    rows = [
        {"step": at - 12 * (at > 12), "objective/kl": 0.01 * at, "objective/scores": 1.0 * at} for at in range(1, 25)
    ]
    for at in range(2, 25, 2):
        rows[at - 1] |= {"eval_objective/kl": 0.011 * at, "eval_objective/scores": 2.0 * at}
    rows.insert(12, {"step": 0, "objective/kl": 0.12, "objective/scores": 12.0})
    path = written(tmp_path, {"a.jsonl": pd.DataFrame(rows)}) / "a.jsonl"
    log = read_training_log(path, evaluation=True)
    assert log.step.tolist() == list(range(2, 25, 2))
    assert log.reward.tolist() == (2.0 * log.step).tolist()


def test_decimals_are_those_of_the_rows_that_are_read(tmp_path: Path) -> None:
    """Neither of evaluations nor of what a resume replaced; and a 0 among full precision is one."""
    fine, few = [f"{i},{0.0123 * i:.6f},{i}" for i in range(8)], [f"{i},{0.03 * i:.1f},{i}" for i in range(8)]
    (tmp_path / "a.csv").write_text(
        "\n".join(["step,kl,reward,split", *(f"{one},train" for one in few), *(f"{one},eval" for one in fine)])
    )
    (tmp_path / "b.csv").write_text("\n".join(["step,kl,reward", *fine[:6], *few]))
    assert up_to(read(tmp_path / "a.csv")) == pytest.approx([0.05] * 8)
    assert up_to(read(tmp_path / "b.csv")) == pytest.approx([0.05] * 8)
    kl = [
        *(np.sqrt(np.arange(1.0, 9.0)) / 20.0).tolist(),
        0.0,
        0.0,
        0.0,
        *(np.sqrt(np.arange(1.0, 6.0)) / 30.0).tolist(),
    ]
    rows = pd.DataFrame({"step": np.arange(16), "kl": kl, "reward": 1.0 * np.arange(16)})
    assert not any(up_to(read(written(tmp_path, {"c.csv": rows}) / "c.csv")))


@pytest.mark.parametrize(("coarse", "half"), [("0.0", 0.05), ("0.00", 0.005), ("0.10", 0.005)])
def test_each_run_of_a_table_is_known_up_to_half_of_its_own_last_decimal(
    tmp_path: Path, coarse: str, half: float
) -> None:
    rows = [f"{i},{coarse},{i},a" for i in range(6)] + [f"{i},{0.0123 * i:.4f},{i},b" for i in range(6)]
    (tmp_path / "a.csv").write_text("\n".join(["step,kl,reward,run", *rows]))
    log = read(tmp_path / "a.csv")
    np.testing.assert_allclose(up_to(log), [half] * 6 + [5e-5] * 6)
    assert any(note.startswith("Every KL of 'a' is 0") for note in log.notes) == (coarse == "0.0")


@pytest.mark.parametrize("first", ["0.0000", "0.0"])
def test_few_zeros_that_begin_a_run_keep_the_decimals_that_their_text_shows(tmp_path: Path, first: str) -> None:
    (tmp_path / "1.csv").write_text(f"step,kl,reward\n0,{first},0\n1,{first},1\n")
    (tmp_path / "2.csv").write_text("\n".join(["step,kl,reward", *(f"{i},0.{i // 4},{i}" for i in range(2, 9))]))
    log = read(tmp_path, files="starts")
    assert (within_digits(log).ends[1] - log.kl).tolist() == pytest.approx(
        [5e-5 if first == "0.0000" else 0.05] * 2 + [0.05] * 7
    )


def test_logs_of_unlike_units_keep_half_of_the_last_decimal_of_each(tmp_path: Path) -> None:
    """Per sequence and per token, the same in nats per sequence."""
    for name, cells in (("a", ["0.0"] * 6), ("b", [f"0.00{i}" for i in range(6)])):
        rows = [f"{i},{one},{i}" for i, one in enumerate(cells)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["step,kl,reward", *rows]))
    logs = [read(tmp_path / "a.csv"), read_training_log(tmp_path / "b.csv", kl_unit="token", length=100.0)]
    assert half_digit(joined_logs(logs, ["a", "b"], "both")).tolist() == pytest.approx([0.05] * 12)


def test_a_log_with_ends_beside_one_of_few_decimals_leaves_that_its_own(tmp_path: Path) -> None:
    for name, kl in (("1", "0.00 0.00 0.01 0.01 0.02"), ("2", "0.0 0.0 0.0 0.0 0.0")):
        rows = [f"{i + 5 * int(name)},{one},{i}" for i, one in enumerate(kl.split())]
        (tmp_path / f"{name}.csv").write_text("\n".join(["step,kl,reward", *rows]))
    ends = [0.005, 0.005, 0.015, 0.015, 0.025, *[0.05] * 5]
    logs = [read(tmp_path / f"{name}.csv") for name in "12"]
    assert logs[0].kl_low is not None
    assert within_digits(joined_logs(logs, ["a", "b"], "both")).ends[1].tolist() == pytest.approx(ends)
    starts = read(tmp_path, files="starts")
    assert within_digits(starts).ends[1].tolist() == pytest.approx(ends)
    assert any(note.startswith("Every KL of '2.csv' is 0") for note in starts.notes)


def test_ends_by_lengths_hold_half_of_the_last_decimal_of_each_start(tmp_path: Path) -> None:
    for name, kl in (("1", "0.000000 0.000120 0.000231 0.000342"), ("2", "0.000 0.000 0.000 0.001")):
        rows = [f"{i + 4 * int(name)},{one},{i},100,80,120" for i, one in enumerate(kl.split())]
        (tmp_path / f"{name}.csv").write_text("\n".join(["step,kl,reward,length,a,b", *rows]))
    more = {"kl_unit": "token", "length": "length", "lengths": (80.0, 120.0), "estimator": "k3"}
    log = read_training_log(tmp_path, files="starts", **more)  # type: ignore[arg-type]
    assert log.ends[1][4:].tolist() == pytest.approx([0.06] * 3 + [0.18])
    assert not half_digit(log).any()


def test_few_checkpoints_with_few_decimals_have_no_ends_without_a_note(tmp_path: Path) -> None:
    """Three are too few to say so when they are read; and waste is counted from none below 0."""
    (tmp_path / "a.csv").write_text("step,kl,reward,length\n1,0.004,1,100\n2,0.008,1.5,100\n3,0.012,1.8,100\n")
    log = read_training_log(tmp_path / "a.csv", kl_unit="token", length="length")
    points = told_by_ends(log, within_digits(log))
    assert points.ends[0].tolist() == pytest.approx([0.35, 0.8, 1.2])
    assert len(points.notes) == len(log.notes) + 1
    assert Floor(points, achieved_envelope(points.ends[1], points.reward)).wasted.min() == 0.0


@pytest.mark.parametrize(("row", "lacking"), [("4,,9", "KL"), ("4,0.7,", "reward")])
def test_a_row_of_a_step_that_lacks_a_value_is_not_mixed_with_the_one_before(
    tmp_path: Path, row: str, lacking: str
) -> None:
    """KL and reward of one policy: of a run that was resumed at the step that it had logged last."""
    rows = [f"{i},{0.1 * i},{i}" for i in range(5)] + [row, "5,0.5,5", "6,0.6,6"]
    (tmp_path / "a.csv").write_text("\n".join(["step,kl,reward", *rows]))
    log = read(tmp_path / "a.csv")
    assert (log.kl[4], log.reward[4], log.step.size) == (0.4, 4.0, 7)
    assert any(f"The later row of step 4 lacks the {lacking}, and is left out" in note for note in log.notes)
    assert not any("the later one was taken" in note for note in log.notes)


@pytest.mark.parametrize("order", ["training first", "evaluations first"])
@pytest.mark.parametrize("late", [[25, 50, 75, 100] * 2, [20, 80] * 2])
def test_a_counter_that_begins_anew_does_so_in_splits_that_stand_one_after_the_other(
    tmp_path: Path, order: str, late: list[int]
) -> None:
    """The evaluations are counted on by the last step of training, not by their own."""
    train = frame([*range(5, 205, 5)], 0.01, 0.02, split="train")
    at = [step + (100 if i >= len(late) // 2 else 0) for i, step in enumerate(late)]
    parts = [train.assign(step=[*range(5, 105, 5)] * 2), frame(at, 0.011, 0.01, split="val").assign(step=late)]
    rows = pd.concat(parts if order == "training first" else parts[::-1], ignore_index=True)
    log = read(written(tmp_path, {"a.csv": rows}) / "a.csv", splits=True)
    val = next(run for run in log.runs if "val" in run)
    assert log.step[log.run == val].tolist() == at
    assert log.step[log.run != val].tolist() == train.step.tolist()


@pytest.mark.parametrize(("first", "said"), [(0.0, False), (2.0, True)])
def test_a_new_counter_after_a_resume_from_an_early_checkpoint_is_a_reading(
    tmp_path: Path, first: float, said: bool
) -> None:
    rows = [f"{i},{0.1 * i},{i}" for i in range(20)] + [f"{i},{0.1 * (i + first)},{i + first}" for i in range(9)]
    (tmp_path / "a.csv").write_text("\n".join(["step,kl,reward", *rows]))
    notes = [note for note in read(tmp_path / "a.csv").notes if "nearer to the KL at step 2, 0.2" in note]
    assert len(notes) == said
    assert all(note.endswith("with 2 added 11 of 29 rows until then count, 9 as it is.") for note in notes)


def test_a_console_line_that_is_torn_before_its_kl_is_told_by_its_step(tmp_path: Path) -> None:
    line = "step:{} - critic/score/mean:0.{} - actor/reward_kl_penalty:0.00{} - response_length/mean:100.0\n"
    lines = [line.format(i, i, i) for i in range(1, 10)]
    (tmp_path / "a.log").write_text("".join([*lines[:5], lines[5][:15] + "\n", *lines[6:]]))
    notes = read_training_log(tmp_path / "a.log", estimator="k1").notes
    assert any(note.startswith("Step 6 is missing among the steps of the log, which are 1 apart") for note in notes)
    (tmp_path / "a.log").write_text("".join(lines))
    assert not any("missing" in note for note in read_training_log(tmp_path / "a.log", estimator="k1").notes)


def test_what_is_read_is_said_where_a_column_and_keys_tell_evaluations_apart(tmp_path: Path) -> None:
    rows = pd.concat([TRAIN, LATE]).assign(eval_kl=0.1, eval_reward=0.2)
    notes = read(written(tmp_path, {"a.csv": rows}) / "a.csv").notes
    assert any("by keys such as 'eval_kl' at once" in note and "'kl' and 'reward' are read" in note for note in notes)


@pytest.mark.parametrize(("cell", "half"), [("0.00", 0.005), ("0.20", 0.005), ("0.0", 5e-7), ("0.000000", 5e-7)])
def test_a_stretch_of_one_value_is_known_by_the_zeros_that_its_text_ends_with(
    tmp_path: Path, cell: str, half: float
) -> None:
    cells = [*[cell] * 6, *(f"{0.0501 + 0.0123 * i:.6f}" for i in range(6))]
    (tmp_path / "a.csv").write_text("\n".join(["step,kl,reward", *(f"{i},{kl},{i}" for i, kl in enumerate(cells))]))
    np.testing.assert_allclose(half_digit(read(tmp_path / "a.csv")), [half] * 6 + [5e-7] * 6)
