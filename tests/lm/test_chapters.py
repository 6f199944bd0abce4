from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from _pages import chapter, proxy_training, shortfall, training_gap
from alignlib.lm.experiment import results
from alignlib.lm.experiment.comparison import BestOfNCurve, TaskComparison
from alignlib.lm.level_law import collapse
from alignlib.lm.tasks import TASKS
from tests.lm.test_results import row

STAGES = (("main", ""), ("short", ""), ("ablation", "no scaling"), ("tuning", "rate 0.001"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> results.Results:
    """Two seeds of GRPO a little above best-of-N and of PPO below it, variants, and one policy on a weak proxy."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    rows, prompts = [], []
    for task in ("summarisation", "safety"):
        prob = rng.dirichlet(np.full(40, 0.5), size=4)
        gold = rng.integers(0, 5, (4, 40)) * np.arange(1.0, 5.0)[:, None]
        weak = gold + 2.0 * rng.integers(-2, 3, gold.shape)
        for split in ("train", "held_out"):
            collapse(np.log(prob), gold).write(results.law_path(folder, task, "gold", split))
            collapse(np.log(prob), weak, gold).write(results.law_path(folder, task, "weak", split))
        law, proxy = collapse(np.log(prob), gold), collapse(np.log(prob), weak, gold)
        curve, base = BestOfNCurve(law), float(law.average.base_reward)
        fixed = [
            (penalty, b, float(law.average.kl(1 / b)), base + float(law.average.gain(1 / b)) * factor)
            for penalty, factor in (("sequence", 1.0), ("token reverse KL", 0.95), ("token k3", 0.9))
            for b in (2.0, 1.0)
        ]
        pd.DataFrame(fixed, columns=["penalty", "beta", "kl", "reward"]).to_csv(
            results.fixed_points_path(folder, task), index=False
        )
        for split in ("train", "held_out"):
            for seed in (0, 1):
                for knob in (0.5, 1.0):
                    kl = 0.3 / knob + 0.01 * seed
                    for method, over in (("grpo", 0.004), ("ppo", -0.1)):
                        gain = float(curve.gain(kl)) + over
                        short_of = gain - float(law.average.gain(1 / knob))
                        optimum = kl - float(law.average.kl(1 / knob)) - short_of / knob
                        for stage, variant in STAGES:
                            rows.append(row(
                                run=f"{task}{method}{stage}{seed}{knob}", task=task, method=method, stage=stage,
                                variant=variant, seed=seed, knob=knob, beta=knob, split=split, kl=kl,
                                reward=base + gain, gold=base + gain, kl_to_optimum=optimum,
                            ))  # fmt: skip
                            # Prompt by prompt another policy: an optimum that wastes a twentieth of a nat on each.
                            prompts += [
                                {
                                    "run": rows[-1]["run"], "split": split, "prompt": x, "kl": family.kl(1.0) + 0.05,
                                    "reward": family.base_reward + family.gain(1.0), "gold": 0.0,
                                }
                                for x, family in enumerate(law.laws)
                            ]  # fmt: skip
        gain = float(proxy.average.gain_at_kl(0.5)) * 0.9
        rows.append(row(
            run=f"{task}proxy", task=task, stage="proxy", method="group_kl", reward_name="weak", kl=0.5,
            reward=float(proxy.average.base_reward) + gain, gold=proxy.base_gold + 0.1,
        ))  # fmt: skip
    # The first in the file is a control with another group: the text is about the methods compared.
    runs = {r["run"]: {"settings": {"budget": {"group": 8}}, "method": r["method"], "task": r["task"]} for r in rows}
    runs["a control"] = {"settings": {"budget": {"group": 16, "steps": 9}}, "method": "cross_entropy", "task": "safety"}
    settings = {
        "runs": runs, "planned": 100, "n_responses": 40, "tried_rates": [1e-3],
        "learning_rates": {"grpo": 1e-3, "ppo": 3e-3},
    }  # fmt: skip
    results.write(folder, pd.DataFrame(rows), pd.DataFrame(prompts), settings)
    return results.Results.read(folder)


def compared(table: results.Results) -> dict[str, TaskComparison]:
    return {task: TaskComparison(table, task) for task in TASKS}


def test_a_task_is_compared_with_best_of_n(table: results.Results) -> None:
    task = TaskComparison(table, "safety")
    verdicts = task.verdicts("main")
    assert [v.method for v in verdicts] == ["grpo", "ppo"]
    assert chapter.listing(verdicts) == "GRPO above at all 2, PPO below at all 2"
    holds = {claim.key: claim.holds for claim in chapter.claims_of(table, task, verdicts, task.verdicts("short"))}
    assert holds["below-the-limit"]
    assert holds["closeness"]
    assert not holds["headline-long"]  # PPO is below, GRPO is not
    rates = task.best_rates()
    assert rates == {"grpo": 0.001, "ppo": 0.001}
    chapter.glue(table, "safety", "train", verdicts, task.verdicts("short"), task, 16)
    assert chapter.budget_facts(table, "safety", 4) == {
        "batch": 32, "control_responses": 9 * 16 * 4, "ppo_updates": 1, "rejection_rounds": "1",
    }  # fmt: skip
    assert [claim.holds for claim in chapter.tuning_claims(table, rates)] == [False]  # PPO was given another


def test_every_picture_can_be_drawn(table: results.Results) -> None:
    task = TaskComparison(table, "summarisation")
    chapter.gain_figure(task, "main", 16)
    chapter.wasted_figure(task, 16)
    chapter.over_figure(task)
    points = {name: training_gap.fixed_points(table, name) for name in ("summarisation", "safety")}
    training_gap.fixed_point_figure(table, points, 16)
    proxy_training.figure(table, "safety", proxy_training.gold_curves(table, "safety", 16))
    shortfall.split_figure(shortfall.splits(table, 16))
    shortfall.effort_figure(shortfall.effort(compared(table)))
    plt.close("all")


def test_methods_are_listed_with_both_measures_and_the_distance_to_their_optimum(table: results.Results) -> None:
    task = TaskComparison(table, "safety")
    found = chapter.numbers(task.verdicts("main"), task.verdicts("short"))
    assert found.index.tolist() == [(name, when) for name in ("GRPO", "PPO") for when in ("short", "long")]
    assert set(found.loc["GRPO", "KL to its optimum (nats)"]) == {"–"}
    rows = task.last[(task.last.method == "ppo") & (task.last.stage == "main")]
    mean = rows.groupby("seed").kl_to_optimum.mean().mean()
    assert found.loc[("PPO", "long"), "KL to its optimum (nats)"].startswith(f"{mean:.3f} ± ")
    assert found.loc[("PPO", "long"), "share (%)"].startswith(f"{100 * rows['share'].mean():.1f} ± ")


def test_waste_is_split_and_followed_along_training(table: results.Results) -> None:
    parts = shortfall.splits(table, 16)
    trained = parts[parts.method != "best-of-N"]
    assert set(trained.method) == {"GRPO", "PPO", "GRPO, no scaling"}
    assert trained.within.to_numpy() == pytest.approx(0.05, abs=1e-7)
    assert trained.allocation.to_numpy() == pytest.approx(0.0, abs=1e-7)
    assert (trained.seeds == 2).all()
    holds = {claim.key: claim.holds for claim in shortfall.claims_of(table, parts)}
    assert set(holds) == {"best-of-n-allocation", "scaling-allocates"}
    found = shortfall.effort(compared(table))
    assert set(found["steps"].task) == {"summarisation", "safety"}
    assert set(found["steps"].step) == {10}
    assert set(found["rates"].rate) == {0.001}


def test_variants_are_compared_at_equal_kl(table: results.Results) -> None:
    found = training_gap.variants(compared(table))
    assert set(found.variant) == {"no scaling"}
    assert found.difference.to_numpy() == pytest.approx(0.0, abs=1e-12)
    assert found.wasted.to_numpy() == pytest.approx(0.0, abs=1e-12)
    assert (found.outside == 0).all()
    points = {name: training_gap.fixed_points(table, name) for name in ("summarisation", "safety")}
    holds = {claim.key: claim.holds for claim in training_gap.claims_of(table, points, found)}
    assert holds == {"sequence": True, "token-penalties": True, "published-k3-is-worse": True, "scaling": False}


def test_policies_on_a_proxy_are_judged_in_gold(table: results.Results) -> None:
    curves = proxy_training.gold_curves(table, "safety", 16)
    assert list(curves) == ["weak"]
    policies = curves["weak"].policies
    assert policies["share"].tolist() == pytest.approx([0.9], rel=1e-9)
    assert policies.gold_gain.tolist() == pytest.approx([0.1], abs=1e-9)
    assert all(claim.holds for claim in proxy_training.claims_of(curves) if claim.must_hold)


def test_missing_tables_are_named(table: results.Results, tmp_path: Path) -> None:
    empty = results.Results(tmp_path, table.curves, table.prompts, table.settings)
    with pytest.raises(ValueError, match=r"must hold fixed_points_safety\.csv"):
        training_gap.fixed_points(empty, "safety")
    with pytest.raises(ValueError, match="must hold laws of proxies for 'safety'"):
        proxy_training.gold_curves(empty, "safety", 16)
