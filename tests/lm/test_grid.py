from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch  # noqa: F401  # where it is not installed, this module is left out

from alignlib.lm.experiment.check import Comparison, reevaluate, retrain, seed_spread
from alignlib.lm.experiment.grid import SEEDS, compared, grid
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.run_files import finished, run_path, weights_path
from alignlib.lm.experiment.runner import execute, run_all
from alignlib.lm.experiment.table import assemble, restore
from alignlib.lm.methods import find
from alignlib.lm.space import ResponseSpace
from alignlib.lm.tasks import TASKS
from tests.lm.tiny import tiny_grid

SPACE = ResponseSpace(length=3)
PROGRAM = """
import sys
from alignlib.lm.experiment.runner import run_all
from alignlib.lm.space import ResponseSpace
from tests.lm.tiny import tiny_grid
if __name__ == "__main__":
    run_all(tiny_grid(40), sys.argv[1], sys.argv[2], processes=2, space=ResponseSpace(length=3), progress=False)
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny grid that ran through, and its results folder."""
    folder = tmp_path_factory.mktemp("grid")
    assert run_all(tiny_grid(), folder / "runs", folder / "results", processes=1, space=SPACE, progress=False) == 6
    assemble(tiny_grid(), folder / "runs", folder / "results", space=SPACE, proxies=())
    return folder / "runs", folder / "results"


def test_every_method_stands_in_the_grid_and_first_seeds_come_first() -> None:
    runs = grid()
    assert len({run.key for run in runs}) == len(runs)
    for task in TASKS:
        for method in compared():
            main = [run for run in runs if (run.stage, run.task, run.method) == ("main", task, method)]
            assert {run.seed for run in main} == set(SEEDS)
            knobs = {run.knob for run in main}
            assert len(knobs) == len(find(method).penalties)
            assert len(main) == 3 * len(knobs) >= 15
    proxies = 450  # CPU-seconds for training and tabulating them, measured
    assert sum(run.seconds for run in runs) + proxies < 2 * 2.5 * 3600
    # Interrupted, it is a smaller table: no second seed of the comparison, an ablation or a proxy before the first
    # seed of all of them.
    for stages in (("main",), ("main", "ablation", "length", "schedule", "proxy")):
        seeds = [run.seed for run in runs if run.stage in stages]
        assert seeds == sorted(seeds)


def test_one_policy_of_each_method_and_task_is_kept() -> None:
    kept = [(run.task, run.method) for run in grid() if run.kept]
    assert sorted(kept) == sorted((task, method) for task in TASKS for method in compared())


def test_every_method_gets_the_same_tuning() -> None:
    tried: dict[str, list[float]] = {}
    for run in grid():
        if run.stage == "tuning":
            tried.setdefault(run.method, []).append(run.settings.budget.learning_rate)
    assert set(tried) == set(compared())
    assert len({tuple(rates) for rates in tried.values()}) == 1


def test_nothing_is_run_twice(done: tuple[Path, Path]) -> None:
    output, results = done
    before = {path: path.stat().st_mtime_ns for path in (output / "runs").iterdir()}
    assert len(before) == 6
    assert run_all(tiny_grid(), output, results, processes=1, space=SPACE, progress=False) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (output / "runs").iterdir()}


def test_the_table_holds_every_checkpoint_once(done: tuple[Path, Path]) -> None:
    found = Results.read(done[1])
    assert found.complete == 1.0
    assert len(found.curves) == 6 * 3  # two checkpoints on the training prompts, the last on the held-out ones too
    assert found.curves["last"].sum() == 12
    assert (found.curves.kl >= 0).all()
    assert len(found.prompts) == 6 * (24 + 12)
    assert set(found.settings["versions"]) >= {"torch", "trl", "torchrl", "transformers"}
    law = found.law("safety")
    last = found.curves[found.curves["last"] & (found.curves.split == "train")]
    # KL to the optimum computed directly and by the closeness identity from KL and reward.
    identity = [
        row.kl - law.average.kl(2.0) - 2.0 * (row.reward - law.average.base_reward - law.average.gain(2.0))
        for row in last.itertuples()
    ]
    assert last.kl_to_optimum.to_numpy() == pytest.approx(identity, abs=1e-6)


def test_a_run_of_another_base_is_not_mixed_in(done: tuple[Path, Path], tmp_path: Path) -> None:
    output, results = done
    copy = tmp_path / "runs"
    copy.mkdir()
    for path in (output / "runs").iterdir():
        data = json.loads(path.read_text())
        (copy / path.name).write_text(json.dumps(data | {"trained_from": "another"}))
    with pytest.raises(ValueError, match="was trained from another base or reward; delete its file"):
        assemble(tiny_grid(), tmp_path, results, space=SPACE, proxies=())


def test_a_table_gives_back_the_runs_it_was_made_of(done: tuple[Path, Path], tmp_path: Path) -> None:
    """A grid that grew later trains only what the table lacks, and its table says of the rest what it said before."""
    output, results = done
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    lone = tmp_path / "runs" / run_path(output, tiny_grid()[0]).name
    lone.parent.mkdir()
    lone.write_text("what is there already is left alone")
    assert restore(tiny_grid(), tmp_path, copy) == 5
    assert lone.read_text() == "what is there already is left alone"
    shutil.copyfile(run_path(output, tiny_grid()[0]), lone)
    assemble(tiny_grid(), tmp_path, copy, space=SPACE, proxies=())
    for name in ("curves.csv", "prompts.csv", "settings.json"):
        assert (copy / name).read_bytes() == (results / name).read_bytes()
    assert restore(tiny_grid(7), tmp_path, copy) == 0  # other runs: nothing of theirs is in the table


def test_an_empty_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must hold finished runs; .* holds none of the 6"):
        assemble(tiny_grid(), tmp_path, tmp_path, space=SPACE)


def test_killed_at_any_moment_it_goes_on_without_loss(done: tuple[Path, Path], tmp_path: Path) -> None:
    """Really killed, several times; the workers end with their parent, and no run is done twice or half."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    output, results = tmp_path / "runs", done[1]
    files = output / "runs"
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    seen: dict[str, int] = {}
    for kill_at in (1, 3):
        process = subprocess.Popen([sys.executable, str(script), str(output), str(results)], env=environment)
        deadline = time.monotonic() + 120
        while len(list(files.glob("*.json"))) < kill_at and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        time.sleep(1.5)  # the workers notice within half a second
        finished_now = {path.name: path.stat().st_mtime_ns for path in files.glob("*.json")}
        assert len(finished_now) >= kill_at
        assert finished_now.items() >= seen.items()
        seen = finished_now
    time.sleep(1.0)
    assert {path.name for path in files.glob("*.json")} == set(seen)  # nobody is left at work
    (files / ".half-written").write_text("{")
    assert run_all(tiny_grid(40), output, results, processes=1, space=SPACE, progress=False) == 6 - len(seen)
    after = {path.name: path.stat().st_mtime_ns for path in files.iterdir()}
    assert set(after) == {f"{run.key}.json" for run in tiny_grid(40)}
    assert after.items() >= seen.items()
    again = execute(tiny_grid(40)[0], tmp_path / "again", results, SPACE)
    assert again["rows"] == finished(output, tiny_grid(40)[0])["rows"]  # type: ignore[index]


def test_two_grids_in_one_folder_are_refused(done: tuple[Path, Path], tmp_path: Path) -> None:
    import fcntl

    with (done[0] / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="output must not be in use"):
            run_all(tiny_grid(), done[0], done[1], processes=1, space=SPACE, progress=False)


def test_a_run_that_fails_does_not_stop_the_others(done: tuple[Path, Path], tmp_path: Path) -> None:
    from dataclasses import replace

    good = tiny_grid()[0]
    bad = replace(good, reward_name="nobody's")
    with pytest.raises(RuntimeError, match=r"1 of 2 runs failed, the others are kept: .*reward_name must be gold"):
        run_all([bad, good], tmp_path, done[1], processes=1, space=SPACE, progress=False)
    assert finished(tmp_path, good) is not None
    assert not run_path(tmp_path, bad).exists()


def test_committed_policies_and_new_training_are_compared(done: tuple[Path, Path]) -> None:
    output, results = done
    runs = tiny_grid()
    found = Results.read(results)
    assert all(c.agrees for c in retrain(found, runs[0], output, space=SPACE))
    assert weights_path(output, runs[0]).is_file()
    comparisons = reevaluate(found, runs, output, space=SPACE)
    assert len(comparisons) == 8
    assert all(c.agrees for c in comparisons)
    # The checks can fail: for another policy, and for a run whose outcome is another.
    (results / "checkpoints" / f"{runs[0].key}.safetensors").write_bytes(weights_path(output, runs[0]).read_bytes())
    worse = found.curves.copy()
    worse["kl"] += 0.001
    shifted = Results(found.folder, worse, found.prompts, found.settings)
    assert not all(c.agrees for c in reevaluate(shifted, runs, output, space=SPACE))
    _, spread, freedom = seed_spread(found, runs[0], "kl")
    assert freedom == 2
    worse["kl"] += 100 * spread
    assert not all(c.agrees for c in retrain(shifted, runs[0], output, space=SPACE))
    assert not Comparison("x", float("nan"), 0.0, 1.0).agrees
