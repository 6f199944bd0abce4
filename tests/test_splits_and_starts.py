"""Logs whose rows are of several splits of the data, or of several starts of a run, in one file or in many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alignlib.estimation import fit_frontier
from alignlib.training import TrainingLog, overlay, read_training_log
from alignlib.training.example_run import example_run
from alignlib.training.rounded_kl import half_digit


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
