"""The grid as data, its runs trained, killed and resumed, the table of them, and the check of that table."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch  # where it is not installed, this module is left out
from click.testing import CliRunner

from alignlib.lm.__main__ import _chosen, main
from alignlib.lm.base_model import save_model
from alignlib.lm.experiment import check
from alignlib.lm.experiment.grid import LENGTHS, PROXIES, SEEDS, TRIALS, Run, compared, grid, trials, tuning_runs
from alignlib.lm.experiment.laboratory import decode_weights
from alignlib.lm.experiment.processor_time import ProcessorTime
from alignlib.lm.experiment.results import Results, law_path, members_path
from alignlib.lm.experiment.run_store import RunStore
from alignlib.lm.experiment.runner import Place, execute, fleets, laboratory, run_all
from alignlib.lm.experiment.table import assemble, write_laws, write_members
from alignlib.lm.experiment.tuning import Tuning, write_tuning
from alignlib.lm.methods import METHODS, Settings, find
from alignlib.lm.tasks import TASKS
from alignlib.lm.torch_runtime import quiet
from tests.lm.tiny import tiny_base, tiny_grid, tiny_task

PROGRAM = """
import sys
from pathlib import Path
from alignlib.lm.experiment.runner import Place, run_all
from tests.lm.tiny import tiny_grid, tiny_task
if __name__ == "__main__":
    place = Place(Path(sys.argv[1]), Path(sys.argv[2]), task=tiny_task())
    run_all(tiny_grid(150), place, processes=2, fleet=2, progress=False)
"""


def tuned(task: str, method: str) -> Settings:
    return Settings(1, 3e-3)


def tiny_place(folder: Path) -> Place:
    """A place with the tiny base."""
    with quiet():
        save_model(tiny_base(), folder / "results" / "base_safety")
    return Place(folder / "results", folder / "runs", task=tiny_task())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A tiny grid that ran through, with its laws and its table."""
    place = tiny_place(tmp_path_factory.mktemp("grid"))
    assert run_all(tiny_grid(), place, processes=1, fleet=5, progress=False) == 12
    write_laws(laboratory("safety", place), place.results, proxies=())
    (place.results / "tuning.csv").write_text("task,method,taken\n")
    assemble(tiny_grid(), place)
    return place


def test_every_method_stands_in_the_grid() -> None:
    runs = grid(tuned)
    assert len({run.key for run in runs}) == len(runs)
    for task in TASKS:
        for method in compared():
            main = [run for run in runs if (run.stage, run.task, run.method) == ("main", task, method)]
            assert {run.seed for run in main} == set(SEEDS)
            at = {n: {run.knob for run in main if run.settings.steps == n} for n in LENGTHS}
            assert at[600] == set(find(method).knobs)
            # What the verdicts are read on, and the rest, for a grid of half a night.
            studied = method in ("ppo", "grpo", "rloo")
            assert at[300] == at[1200] == (set(find(method).knobs) if studied else set())
            assert at[100] == (set(find(method).knobs) if studied else {find(method).middle})
            assert len(main) == len(SEEDS) * sum(map(len, at.values()))
            # With the study of sizes every method has all lengths at all penalties.
            more = [run for run in runs if (run.stage, run.task, run.method) == ("lengths", task, method)]
            assert len(main) + len(more) == len(LENGTHS) * len(find(method).knobs) * len(SEEDS)
            assert all(run.n_prompts is None for run in main + more)
    assert [(run.task, run.method) for run in runs if run.kept] == list(check.CHECKED.items())


def test_every_method_is_tuned_alike_with_a_seed_of_its_own() -> None:
    runs = tuning_runs()
    assert not {run.seed for run in runs} & set(SEEDS)
    for name in compared():
        assert len({run.key for run in runs if run.method == name}) == TRIALS * len(TASKS)
        drawn = trials(METHODS[name])
        assert len(drawn) == TRIALS >= 12
        default = Settings(1)
        for setting in ("learning_rate", "schedule", "group", "epochs", "clip", "gae_lambda"):
            values = {getattr(one, setting) for one in drawn}
            assert (len(values) > 1) == (setting in find(name).searched)
            assert setting in find(name).searched or values == {getattr(default, setting)}


def test_fleets_keep_the_order_and_hold_what_can_travel_together() -> None:
    runs = grid(tuned)
    for device in ("cpu", "cuda"):
        parts = fleets(runs, 12, device)
        assert sorted(run.key for part in parts for run in part) == sorted(run.key for run in runs)
        assert max(map(len, parts)) == 12
        firsts = [runs.index(part[0]) for part in parts]
        assert firsts == sorted(firsts)
        for part in parts:
            assert len({(run.task, run.method, run.layers, run.reward_name) for run in part}) == 1
            assert find(part[0].method).knob == "beta" or len({run.knob for run in part}) == 1


def test_nothing_is_run_twice_and_a_cut_line_is_no_run(done: Place, tmp_path: Path) -> None:
    store = RunStore(done.output)
    before = store.path.read_text()
    assert run_all(tiny_grid(), done, processes=1, progress=False) == 0
    assert store.path.read_text() == before
    lines = before.splitlines()
    cut = RunStore(tmp_path)
    cut.path.write_text("\n".join(lines[:3]) + "\n" + lines[3][:50])
    assert len(cut.read()) == 3
    cut.append(json.loads(lines[4]))
    assert len(cut.read()) == 4


def test_the_table_holds_every_run_on_both_splits(done: Place) -> None:
    found = Results.read(done.results)
    assert found.complete == 1.0
    assert len(found.runs) == 12 * 2
    assert (found.runs.kl > 0).all()
    rows = found.select("safety", "test", method="rloo", steps=4)
    per_prompt = found.per_prompt(rows)
    assert per_prompt.kl.shape == (3, 8)
    assert per_prompt.kl.mean(axis=1) == pytest.approx(rows.kl.to_numpy(), rel=1e-5)
    # KL to the optimum computed directly and by the closeness identity from KL and reward.
    law = found.law("safety").average
    gain = rows.reward.to_numpy() - law.base_reward
    identity = rows.kl.to_numpy() - law.kl(1.0) - (gain - law.gain(1.0))
    assert rows.to_optimum.to_numpy() == pytest.approx(identity, abs=1e-5)


def test_a_table_goes_on_from_an_earlier_one(done: Place, tmp_path: Path) -> None:
    whole = Results.read(done.results)
    shutil.copytree(done.results, tmp_path / "results")
    ready, runs = RunStore(done.output).read(), tiny_grid()
    later = RunStore(tmp_path / "runs")
    for run in runs[3:12:4]:
        later.append(ready[run.key])
    place = Place(tmp_path / "results", tmp_path / "runs", task=done.task)
    assert len(assemble(runs, place).runs) == 3 * 2
    assemble(runs, place, whole)
    for name in ("runs.csv", "prompts.npz", "settings.json"):
        assert (place.results / name).read_bytes() == (done.results / name).read_bytes()
    assert len(assemble(runs[:6], place, whole).runs) == 6 * 2  # of runs that nobody wants any more, nothing
    another = replace(whole, settings=whole.settings | {"base_sha256": {"safety": "0" * 64}})
    with pytest.raises(ValueError, match=f"must be of the same base; that of safety is {'0' * 16} there"):
        assemble(runs, place, another)


def test_what_a_table_lacks_is_the_rest_of_the_grid() -> None:
    there = Results.read("notebooks/lm_results")
    wanted = [run.key for run in grid(there.tuning.taken)]
    lacking = [run.key for run in _chosen(there.folder, (), lacking=True)]
    assert sorted(wanted) == sorted([*there.known, *lacking])


def test_only_laws_that_are_not_there_are_written(done: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = laboratory("safety", done)
    asked: list[str] = []
    gold = lab.law("gold", "test")
    monkeypatch.setattr(lab, "law", lambda name, split: [asked.append(name), gold][1])
    law_path(tmp_path, "safety", "gold", "test").write_text("there")
    law_path(tmp_path, "safety", "5000x4", "test").write_text("there")
    write_laws(lab, tmp_path, lacking=True)
    assert sorted(asked) == sorted(set(PROXIES) - {"5000x4"})
    assert law_path(tmp_path, "safety", "5000x4", "test").read_text() == "there"
    assert len([*tmp_path.iterdir()]) == 1 + len(PROXIES)


def test_every_proxy_has_policies_at_every_penalty() -> None:
    runs = [run for run in grid(tuned) if run.reward_name != "gold"]
    assert {run.stage for run in runs} == {"proxy", "members"}
    for task in TASKS:
        for name in PROXIES:
            there = [run for run in runs if (run.task, run.reward_name) == (task, name)]
            assert len({run.knob for run in there}) == 6
            assert len({run.stage for run in there}) == 1


def test_networks_are_compared_with_means_of_the_first_of_them(
    done: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = laboratory("safety", done)
    score = torch.from_numpy(np.random.default_rng(0).normal(size=(8, len(lab.task.test), lab.task.space.size)))
    monkeypatch.setattr(lab, "score", lambda n_pairs, member, prompts: score[member, : len(prompts)])
    write_members(lab, tmp_path)
    found = pd.read_csv(members_path(tmp_path, "safety")).set_index(["networks", "first"])
    assert list(dict.fromkeys(found.index)) == [*((1, k) for k in range(8)), (2, 0), (4, 0), (8, 0)]
    for (networks, first), rows in found.groupby(level=[0, 1]):
        law = lab.score_law(score[first : first + networks].mean(0))
        assert rows.gold_gain.iloc[-1] == pytest.approx(law.optimum(rows.lam.iloc[-1]).gold_gain[0], rel=1e-5)
        assert rows.kl.iloc[0] == 0.0


def test_a_run_is_the_same_alone_and_in_a_fleet_and_evaluated_as_its_weights_say(done: Place) -> None:
    run = replace(tiny_grid()[0], stage="main")
    kept = Run(**{**run.__dict__, "settings": Settings(4, 3e-3)})
    (alone,) = execute([kept], done)
    recorded = RunStore(done.output).read()[kept.key]
    for split in ("test", "train"):
        for name in ("kl", "reward"):
            assert alone["prompts"][split][name] == pytest.approx(recorded["prompts"][split][name], abs=2e-3)
    assert recorded["weights"] is None


def test_a_run_of_another_base_is_not_mixed_in(done: Place, tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for data in RunStore(done.output).read().values():
        store.append(data | {"trained_from": "another"})
    with pytest.raises(ValueError, match="was trained from another base or reward; delete its line"):
        assemble(tiny_grid(), Place(done.results, tmp_path, task=done.task))


def test_a_run_that_diverged_is_said_to_be_one(done: Place, tmp_path: Path) -> None:
    wild = replace(tiny_grid()[0], settings=Settings(3, 1e30, "constant"))
    (data,) = execute([wild], done)
    assert data["prompts"] == {}
    store = RunStore(tmp_path / "runs")
    store.append(data)
    for other in RunStore(done.output).read().values():
        store.append(other)
    folder = tmp_path / "results"
    place = Place(folder, tmp_path / "runs", task=done.task)
    with quiet():
        save_model(tiny_base(), folder / "base_safety")
    (folder / "tuning.csv").write_text("task,method,taken\n")
    found = assemble((wild, *tiny_grid()), place)
    assert found.settings["diverged"] == [wild.key]
    assert wild.key not in set(found.runs.run)


def test_a_killed_grid_goes_on(tmp_path: Path) -> None:
    place = tiny_place(tmp_path)
    arguments = [sys.executable, "-c", PROGRAM, str(place.results), str(place.output)]
    store = RunStore(place.output)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while len(store.read()) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = store.read()
    assert 2 <= len(before) < 12
    assert run_all(tiny_grid(150), place, processes=1, progress=False) == 12 - len(before)
    after = store.read()
    assert len(after) == 12
    assert all(after[key] == data for key, data in before.items())


def test_tuning_takes_the_best_by_reward_less_kl(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    worth = {}
    for number, run in enumerate(tuning_runs()):
        kl, reward = 0.5, float((number * 7) % 16)
        law = {"kl": [kl, kl], "reward": [reward, reward]}
        diverged = number % 16 == 5
        worth[run.task, run.method, run.settings] = -np.inf if diverged else reward - kl
        store.append({"run": run.description, "prompts": {} if diverged else {"validation": law}})
    with pytest.raises(ValueError, match="must hold a trial of every method; it lacks"):
        write_tuning(tmp_path / "nothing", tmp_path)
    write_tuning(tmp_path, tmp_path)
    tuning = Tuning.read(tmp_path)
    assert len(tuning.trials) == TRIALS * len(TASKS) * len(compared())
    for task in TASKS:
        for method in compared():
            mine = {s: value for (t, m, s), value in worth.items() if (t, m) == (task, method)}
            assert tuning.taken(task, method) == max(mine, key=lambda s: mine[s])
    with pytest.raises(ValueError, match="'exact_gradient' on safety is not"):
        tuning.taken("safety", "exact_gradient")


def test_status_is_told_before_anything_was_done(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["status", "--results", str(tmp_path), "--output", str(tmp_path)])
    assert done.exit_code == 0
    assert done.output.startswith(f"tuning       0 of  {len(tuning_runs())} runs")


def test_the_time_of_a_run_is_that_of_its_steps_and_its_law(tmp_path: Path) -> None:
    values = {
        "step rloo": 0.1, "step ppo": 0.2, "score": 0.01, "law": 0.5, "levels": 0.0, "fixed points": 0.0,
        "reward models": 3.0, "pretraining": 0.0, "prompts judged": 10.0,
        "prompts validation": 4.0, "prompts test": 8.0,
    }  # fmt: skip
    rows = [
        ("safety", *name.split(" ", 1), value) for name, value in values.items() if name.startswith(("step", "pro"))
    ]
    rows += [("safety", name, "", value) for name, value in values.items() if not name.startswith(("step", "prompts"))]
    table = pd.DataFrame(rows, columns=["task", "what", "name", "seconds"])
    times = ProcessorTime(table.assign(error=np.where(table.what == "prompts", 0.0, 0.1 * table.seconds)))
    settings = {"rloo": Settings(1, epochs=4), "ppo": Settings(1, epochs=1)}

    def tuned(task: str, method: str) -> Settings:
        return settings[method]

    run = Run("main", "safety", "rloo", 1.0, Settings(100, epochs=4), 0)

    def seconds(run: Run) -> float:
        return times.of_work(times.of_run(run, tuned)).seconds

    assert seconds(run) == pytest.approx(100 * 0.1 + 10 * 0.5)
    assert seconds(replace(run, layers=8)) == pytest.approx(4 * (100 * 0.1 + 10 * 0.5))
    trial = replace(run, stage="tuning", settings=Settings(100, epochs=1))
    assert seconds(trial) == pytest.approx(100 * 0.1 * 2 / 5 + 4 * 0.5)
    assert seconds(replace(run, reward_name="300x8")) == pytest.approx(100 * (0.1 + 8 * 0.01) + 10 * 0.5)
    # Steps err with steps, laws with laws: each kind's error times how often it comes, and kinds independently.
    both = times.of_work(times.of_all((run, trial), tuned))
    assert both.seconds == pytest.approx(seconds(run) + seconds(trial))
    assert both.error == pytest.approx(np.hypot(0.01 * (100 + 40), 0.05 * (10 + 4)))
    once = times.of_work(times.once("safety", (run,)))
    assert once.seconds == pytest.approx(3.0 + 10 * 0.5 * (4 * 8 + 1))
    with pytest.raises(ValueError, match="must hold step dpo of safety"):
        times.of_work(times.of_run(replace(run, method="dpo"), lambda task, method: Settings(1)))
    with pytest.raises(ValueError, match=r"must hold processor_time\.csv"):
        ProcessorTime.read(tmp_path)


def test_status_says_what_the_whole_takes_on_a_processor(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["status", "--results", "notebooks/lm_results", "--output", str(tmp_path)])
    assert done.exit_code == 0
    last = done.output.splitlines()[-1]
    assert re.fullmatch(r"in all [\d,]+( ± [\d,]+)? CPU-seconds, [\d.]+ hours on two cores", last)


def test_the_check_evaluates_committed_policies_and_trains_anew(
    done: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load, save

    found = Results.read(done.results)
    run = tiny_grid()[0]
    folder = done.results / "checkpoints"
    with pytest.raises(ValueError, match="must hold policies; it holds none"):
        check.reevaluate(found, done, tiny_grid())
    folder.mkdir()
    monkeypatch.setattr(Run, "kept", property(lambda self: True))
    (data,) = execute([run], done)
    weights = load(decode_weights(data["weights"]))
    (folder / f"{run.key}.safetensors").write_bytes(save(weights))
    row = found.runs[(found.runs.run == run.key) & (found.runs.split == "train")].index[0]
    for name in ("kl", "reward"):
        found.runs.loc[row, name] = np.mean(data["prompts"]["train"][name])
    found.runs.loc[row, "to_optimum"] = data["to_optimum"]["train"]
    comparisons = check.reevaluate(found, done, tiny_grid())
    assert len(comparisons) == 3
    assert all(one.agrees for one in comparisons)
    weights["lm_head.weight"] *= 1.01
    (folder / f"{run.key}.safetensors").write_bytes(save(weights))
    assert not all(one.agrees for one in check.reevaluate(found, done, tiny_grid()))
    mean, spread, freedom = check.seed_spread(found, run, "kl")
    rows = found.select("safety", "train", method=run.method, steps=run.settings.steps)
    assert (mean, freedom) == (pytest.approx(rows.kl.mean()), 2)
    assert spread == pytest.approx(rows.kl.std())
    (folder / f"{run.key}.safetensors").unlink()
    folder.rmdir()


def test_a_number_that_is_missing_does_not_agree() -> None:
    assert not check.Comparison("x", float("nan"), 1.0, 1.0).agrees
    assert str(check.Comparison("x", 1.0, 1.1, 0.05)).startswith("DIFFERS: x: 1.000000, table 1.100000")
