"""Every table, picture and claim of the chapters on training, on a toy table of runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from _pages import chapter, prompts_met, proxy_training, shortfall, size, training_costs
from alignlib.lm.experiment import results
from alignlib.lm.experiment.grid import FEW, LONG, TRIALS, trials
from alignlib.lm.experiment.standings import Standings
from alignlib.lm.level_law import LevelLaw, collapse
from alignlib.lm.methods import METHODS, find
from alignlib.lm.tasks import TASKS

P = 16
SETTINGS = (
    [("main", name, steps, 0, 2) for name in ("rloo", "ppo", "grpo", "dr_grpo") for steps in (100, LONG, 1200)]
    + [("few", name, LONG, FEW, 2) for name in ("rloo", "ppo", "grpo")]
    + [("pool", "rloo", LONG, 240, 2), ("depth", "rloo", LONG, 0, 4), ("control", "cross_entropy", 1200, 240, 2)]
)
LOST = {"rloo": 0.01, "ppo": 0.02, "grpo": 0.3, "dr_grpo": 0.15, "cross_entropy": 0.0}


def law_of(seed: int) -> tuple[LevelLaw, LevelLaw]:
    rng = np.random.default_rng(seed)
    prob = rng.dirichlet(np.full(40, 0.5), size=P)
    gold = rng.integers(0, 5, (P, 40)) * rng.choice([1.0, 2.0, 4.0], size=(P, 1))
    proxy = gold + 3.0 * rng.integers(-2, 3, gold.shape)
    return collapse(np.log(prob), gold), collapse(np.log(prob), proxy, gold)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> results.Results:
    """Two seeds of each setting: optima with less reward, RLOO and PPO little less, GRPO much less."""
    folder = tmp_path_factory.mktemp("table")
    rows, per_prompt = [], {f"{split}_{name}": [] for split in ("test", "train") for name in ("kl", "reward")}
    runs = []
    for number, task in enumerate(TASKS):
        laws = {"test": law_of(number)[0], "train": law_of(number + 10)[0]}
        laws |= {"pool1": law_of(number + 20)[0]}
        deep = law_of(number + 30)[0]
        for split, law in laws.items():
            law.write(results.law_path(folder, task, "gold", split))
        deep.write(results.law_path(folder, task, "gold", "test", 4))
        proxy = law_of(number)[1]
        proxy.write(results.law_path(folder, task, "300x1", "test"))
        points = [
            (penalty, beta, x, family.kl(1 / beta), family.mean_reward(1 / beta) - lost * family.gain(1 / beta))
            for penalty, lost in (("sequence", 0.0), ("GRPO", 0.3), ("token k3", 0.2), ("token KL", 0.1))
            for beta in (2.0, 0.5)
            for x, family in enumerate(laws["test"].laws)
        ]
        columns = ["penalty", "beta", "prompt", "kl", "reward"]
        pd.DataFrame(points, columns=columns).to_csv(results.fixed_points_path(folder, task), index=False)
        for stage, method, steps, n_prompts, layers in SETTINGS:
            for knob in find(method).knobs:
                for seed in (0, 1):
                    runs.append(f"{task}{stage}{method}{steps}{knob}{seed}")
                    for split in ("test", "train"):
                        pooled = split == "train" and stage in ("few", "pool") and seed > 0
                        law = deep if layers == 4 else laws["pool1" if pooled else split]
                        lost = LOST[method] + 0.01 * seed + (0.2 if n_prompts == FEW and split == "test" else 0.0)
                        kl = np.array([family.kl(1 / knob) for family in law.laws])
                        gain = (1.0 - lost) * np.array([family.gain(1 / knob) for family in law.laws])
                        base = np.array([family.base_reward for family in law.laws])
                        per_prompt[f"{split}_kl"].append(kl)
                        per_prompt[f"{split}_reward"].append(base + gain)
                        rows.append({
                            "run": runs[-1], "stage": stage, "task": task, "method": method, "knob": knob,
                            "steps": steps, "seed": seed, "n_prompts": n_prompts, "layers": layers,
                            "reward_name": "gold", "split": split, "kl": kl.mean(), "reward": (base + gain).mean(),
                            "gold": (base + gain).mean(), "length": 3.0, "completions": steps * 192, "seconds": 1.0,
                            "to_optimum": lost * float(law.average.gain(1 / knob)) / knob,
                        })  # fmt: skip
        for knob in (1.0, 0.25):
            kl, gain = float(proxy.average.kl(1 / knob)), 0.9 * float(proxy.average.gain(1 / knob))
            rows.append(rows[-1] | {
                "run": f"{task}proxy{knob}", "stage": "proxy", "method": "rloo", "knob": knob, "steps": 300,
                "n_prompts": 0, "reward_name": "300x1", "split": "test", "kl": kl,
                "reward": float(proxy.average.base_reward) + gain, "gold": proxy.base_gold + 0.1, "to_optimum": np.nan,
            })  # fmt: skip
    tried = [
        {"task": task, "method": name, "knob": 1.0, "steps": 300, "seed": 100, "kl": 1.0, "reward": 1.0}
        | {key: getattr(one, key) for key in ("learning_rate", "schedule", "group", "epochs", "clip", "gae_lambda")}
        | {"objective": 0.0, "taken": number == 3}
        for task in TASKS
        for name in METHODS
        if find(name).compared
        for number, one in enumerate(trials(METHODS[name]))
    ]
    pd.DataFrame(tried).to_csv(folder / "tuning.csv", index=False)
    arrays = {name: np.array(values, dtype=np.float32) for name, values in per_prompt.items()}
    settings = {
        "planned": 2 * len(rows),
        "n_responses": 40,
        "base_length": dict.fromkeys(TASKS, 2.0),
        "devices": ["cpu"],
    }
    results.write(folder, pd.DataFrame(rows), arrays | {"run": np.array(runs)}, settings)
    return results.Results.read(folder)


@pytest.fixture(scope="module")
def both(table: results.Results) -> dict[str, dict[str, Standings]]:
    return {split: {task: Standings(table, task, split, 40) for task in TASKS} for split in ("test", "train")}


def test_a_task_is_compared_with_best_of_n(table: results.Results, both: dict[str, dict[str, Standings]]) -> None:
    test, train = (both[split]["safety"] for split in ("test", "train"))
    above, below, total = chapter.sides(test, "rloo", 1200)
    assert (below, total) == (0, 3)
    assert above >= 2
    assert chapter.sides(test, "grpo", 1200) == (0, 3, 3)
    assert chapter.sides(test, "dpo", 1200) == (0, 0, 0)
    shown = chapter.numbers(test, 1200)
    assert shown.index.tolist() == ["RLOO", "PPO", "GRPO", "Dr. GRPO"]
    assert shown.loc["GRPO", "points"].startswith("-")
    holds = {claim.key: claim.holds for claim in chapter.claims_of(table, "safety", test, train)}
    assert holds["below-the-limit-test"]
    assert holds["closeness"]
    assert holds["tuned-alike"]
    assert holds["grpo-below-long"]
    assert not holds["ppo-below-long"]
    assert holds["grpo-under-limit-long"]
    assert not holds["ppo-under-limit-long"]
    chapter.glue(table, "safety", test, train)
    assert chapter._whole_lengths(test) == "all of them for RLOO, PPO, GRPO and Dr. GRPO only"
    assert chapter._late(test, LONG).startswith("After 1,200 steps it holds here for GRPO (below")
    assert chapter._late(test, 1200) == ""  # the whole page is about them
    verdict = chapter._verdict(test, 1200)
    assert verdict.startswith("holds here for GRPO (below at all 3 penalties) and does not hold here for PPO (above at")


def test_every_picture_can_be_drawn(table: results.Results, both: dict[str, dict[str, Standings]]) -> None:
    tests = both["test"]
    points = {task: shortfall.fixed_points(table, task) for task in TASKS}
    chapter.difference_figure(tests["summarisation"])
    shortfall.parts_figure(shortfall.parts(tests, points))
    shortfall.fixed_point_figure(tests, points)
    sizes = size.size(tests)
    assert set(sizes.study) == {"prompts", "steps", "layers"}
    assert sizes[sizes.study == "layers"].value.tolist() == [2, 4, 2, 4]
    assert size.seeds(sizes) == "2 seeds"
    deep = (sizes.study == "layers") & (sizes.value == 4)
    assert size.seeds(sizes.assign(seeds=sizes.seeds.where(~deep, 1))) == "2 seeds, 1 for 4 layers"
    size.size_figure(sizes)
    proxy_training.figure(table, proxy_training.gold_curves(table, 16))
    plt.close("all")


def test_the_waste_is_taken_apart(table: results.Results, both: dict[str, dict[str, Standings]]) -> None:
    tests = both["test"]
    points = {task: shortfall.fixed_points(table, task) for task in TASKS}
    whole = shortfall.parts(tests, points)
    found = whole.set_index(["task", "method", "kind"])
    for task, test in tests.items():
        for method in ("rloo", "ppo", "grpo"):
            for kind, n in (("fresh", 0), ("few", FEW)):
                row, of = found.loc[task, method, kind], test.compare(method, find(method).middle, LONG, n_prompts=n)
                assert of is not None
                assert row.total == pytest.approx(of.wasted.mean, abs=1e-3)
                assert row.objective + row.allocation + row.optimisation + row.generalisation == row.total
                assert (row.generalisation > 0.01) == (kind == "few")
        # All that GRPO wastes on fresh prompts is its objective's: the toy was made so, but for the seeds' hundredth.
        grpo = found.loc[task, "grpo", "fresh"]
        assert grpo.objective == pytest.approx(grpo.total, rel=0.15)
        assert found.loc[task, "rloo", "fresh"].objective == 0.0
        # Best-of-N stands beside a method at that method's KL.
        assert found.loc[task, "grpo", "best"].kl == pytest.approx(grpo.kl)
        assert found.loc[task, "grpo", "best"].total == pytest.approx(grpo.best, abs=1e-3)
    holds = {one.key: one.holds for one in shortfall.claims_of(table, whole, tests, both["train"], points)}
    for key in ("parts-add-up", "sequence", "token-penalties", "few-unseen"):
        assert holds[key], key
    shortfall.glue(table, whole, tests, size.size(tests), points)
    shown = shortfall.parts_table(whole)
    assert shown.shape == (7, (whole.kind == "fresh").sum())
    few = found.loc["safety", "rloo", "few"].generalisation
    assert shown.loc[f"{FEW} prompts add", ("safety", "RLOO")] == f"{few:.3f}"
    shown = size.few_prompts(tests, both["train"])
    assert shown.loc[f"RLOO: {FEW}, seen", "safety"].startswith("+")
    assert shown.loc[f"RLOO: {FEW}, unseen", "safety"].startswith("-")


def test_runs_of_a_pool_are_judged_on_its_own_prompts(both: dict[str, dict[str, Standings]]) -> None:
    train = both["train"]["safety"]
    found = train.compare("rloo", 1.0, LONG, n_prompts=FEW)
    assert found is not None
    # The toy's policies are optima with less reward on their own prompts: on other ones the shares would differ.
    assert found.share.mean == pytest.approx(1.0 - LOST["rloo"] - 0.005, abs=1e-3)


def test_few_prompts_stand_beside_fresh_ones_at_their_own_kl(both: dict[str, dict[str, Standings]]) -> None:
    test = both["test"]["safety"]
    found = test.per_prompt(test.rows("rloo", find("rloo").middle, LONG))
    own, there = shortfall.split_waste(test.curves, found), float(found.kl.mean())
    at = shortfall._fresh_at(test, "rloo", there)
    assert at.total[0] == pytest.approx(own.total.mean(), rel=1e-9)
    assert shortfall._fresh_at(test, "rloo", 0.5 * there).total[0] < at.total[0]


def test_the_draws_of_a_run_are_repeated(table: results.Results) -> None:
    task = prompts_met.of_task("safety")
    drawn = prompts_met._drawn("safety", 16, 40, 3)
    assert drawn.shape == (40 * 192 // 16, task.prompt_length)
    assert np.array_equal(drawn[: 32 * 12], task.fresh(32 * 12, np.random.default_rng([3, 1])))
    group = prompts_met.group_of(table, "safety", "rloo")
    there = {tuple(row) for row in prompts_met._drawn("safety", group, 40, 3).tolist()}
    (n,) = prompts_met.met(table, "safety", "rloo", 40, [3])
    assert n == sum(tuple(row) in there for row in task.prompts.tolist())


def test_a_twin_pays_the_same_for_every_response() -> None:
    task = prompts_met.of_task("safety")
    learnt, asked = task.pool(72, 1), task.test[:48]
    twin = prompts_met.same_reward(task, asked, learnt)
    gold, known = (task.gold(some)[:, ::7] for some in (asked, learnt))
    assert 0 < twin.sum() < len(twin)
    assert twin.tolist() == [bool((known == row).all(axis=1).any()) for row in gold]


def test_a_peak_at_the_largest_kl_is_none(table: results.Results) -> None:
    curve = proxy_training.gold_curves(table, 16)[0]
    rising = curve.policies.assign(gold_gain=curve.policies.kl)
    assert not replace(curve, policies=rising).turned
    assert replace(curve, policies=rising.assign(gold_gain=-rising.kl)).turned
    assert not replace(curve, policies=rising.iloc[:0]).turned
    known = [replace(curve, policies=some) for some in (rising, rising.assign(gold_gain=-rising.kl))]
    assert "gold falls in the end for 1 of 2 reward models" in proxy_training._turns(known)
    assert "in the table yet" in proxy_training._turns([])
    share = known[0].trained_peak[1] / float(table.law(curve.task).average.gain_at_kl(known[0].trained_peak[0]))
    assert f"{share:.0%} with 300 pairs" in proxy_training._what_helps(table, known[:1])


def test_draws_are_compared_without_training(both: dict[str, dict[str, Standings]]) -> None:
    shown = training_costs.equal_draws_table(both["test"]["safety"])
    assert shown.index.tolist() == ["2", "4", "8", "16"]
    assert shown.shape == (4, 3)


def test_tokens_of_training_are_those_of_responses_that_grow(both: dict[str, dict[str, Standings]]) -> None:
    test = both["test"]["safety"]
    # The base says two tokens and every policy of the toy three: halfway in the first 100 steps, then three.
    assert training_costs.tokens_of_training(test, "ppo", LONG) == pytest.approx(192 * (100 * 2.5 + (LONG - 100) * 3.0))
    said = training_costs.costs_in_tokens(test, ("ppo", "dpo"), LONG)
    assert said.startswith("PPO 336 thousand tokens (3.0 a response in the end), which pays from ")
    assert "DPO" not in said


def test_every_setting_has_three_differences_with_intervals(both: dict[str, dict[str, Standings]]) -> None:
    test, train = (both[split]["safety"] for split in ("test", "train"))
    rows = chapter.every_setting(test, train, LONG).splitlines()[2:]
    assert len(rows) == 4 * 3  # methods that the toy has, at three penalties each
    cells = [cell.strip() for cell in rows[-1].strip("|").split("|")]
    found = test.compare("dr_grpo", 0.5, LONG)
    assert found is not None
    assert cells[:2] == ["Dr. GRPO", "0.5"]
    assert cells[4] == chapter.interval(found.over_gain, 1.0, 3)
    assert cells[5] == chapter.interval(found.over_wasted, 1.0, 3)


def test_policies_on_a_proxy_are_judged_in_gold(table: results.Results) -> None:
    curves = proxy_training.gold_curves(table, 16)
    assert [(curve.task, curve.name) for curve in curves] == [(task, "300x1") for task in TASKS]
    curve = curves[0]
    assert curve.policies.gold_gain.tolist() == pytest.approx([0.1, 0.1], abs=1e-6)
    together = proxy_training.ensembles(table)
    assert together.empty  # no table of networks
    holds = {claim.key: claim.holds for claim in proxy_training.claims_of(table, curves, together)}
    assert holds["below-the-proxy-limit"]
    shown = proxy_training.numbers(table, curves, 200, 3, 0)
    assert shown.loc["300 × 1", (curve.task, "seen")] == f"{curve.trained_peak[0]:.1f}"
    assert f"+0.10 at {curve.policies.kl.max():.1f}" in proxy_training.every_proxy(table, curves, 200, 3, 0)
    proxy_training.glue(table, curves, together, 200, 3, 0)
    found = proxy_training.predicted_peaks(curve.law, 4000, 3, np.random.default_rng(0))
    assert found.mean() == pytest.approx(curve.peak[0], rel=0.25)
    few = proxy_training.predicted_peaks(curve.law, 8, 12, np.random.default_rng(0))
    assert few.mean() < found.mean()  # rare responses are missing: too early


def test_missing_tables_are_named(table: results.Results, tmp_path: Path) -> None:
    empty = replace(table, folder=tmp_path)
    with pytest.raises(ValueError, match=r"must hold fixed_points_safety\.csv"):
        shortfall.fixed_points(empty, "safety")
    with pytest.raises(ValueError, match="must hold laws of proxies for 'summarisation'"):
        proxy_training.gold_curves(empty, 16)


def test_what_is_written_is_read_and_what_is_not_sound_is_refused(table: results.Results, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must hold runs\.csv"):
        results.Results.read(tmp_path)
    assert table.complete == pytest.approx(table.runs.run.nunique() / table.settings["planned"])
    for name in ("prompts.npz", "settings.json", "tuning.csv"):
        (tmp_path / name).write_bytes((table.folder / name).read_bytes())
    rows = table.runs
    for bad, message in (
        (pd.concat([rows, rows.iloc[:1]]), "1 rows twice, the first of run"),
        (rows.assign(kl=np.nan), "numbers missing"),
        (rows.drop(columns="to_optimum"), "lacks to_optimum"),
    ):
        bad.to_csv(tmp_path / "runs.csv", index=False)
        with pytest.raises(ValueError, match=message):
            results.Results.read(tmp_path)
    with pytest.raises(ValueError, match="rows must be of one split; got test, train"):
        table.per_prompt(rows)
    assert table.tuning.taken("safety", "rloo").learning_rate == trials(METHODS["rloo"])[3].learning_rate
    assert len(table.tuning.trials) == TRIALS * 2 * sum(find(name).compared for name in METHODS)
