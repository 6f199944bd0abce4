from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignlib.laws import kl_to_optimum
from alignlib.lm.experiment import results
from alignlib.lm.experiment.comparison import BestOfNCurve, TaskComparison
from alignlib.lm.experiment.standing import over_seeds, rule_standing, seed_interval, standing, with_standing
from alignlib.lm.level_law import LevelLaw, collapse
from alignlib.rules import BestOfN


def small_law(seed: int = 0) -> LevelLaw:
    rng = np.random.default_rng(seed)
    prob = rng.dirichlet(np.full(20, 0.5), size=4)
    return collapse(np.log(prob), rng.integers(0, 5, (4, 20)) * np.arange(1.0, 5.0)[:, None])


def row(**changes: object) -> dict[str, object]:
    fixed: dict[str, object] = {
        "run": "a", "stage": "main", "task": "safety", "reward_name": "gold", "method": "grpo", "variant": "",
        "knob": 0.5, "beta": 0.5, "seed": 0, "step": 10, "completions": 80, "split": "train", "kl": 0.2,
        "reward": 0.0, "gold": 0.0, "kl_to_optimum": 0.1, "last": True,
    }  # fmt: skip
    return fixed | changes


def written(folder: Path, rows: list[dict[str, object]]) -> results.Results:
    prompts = [{"run": "a", "split": "train", "prompt": 0, "kl": 0.2, "reward": 1.0, "gold": 1.0}]
    results.write(folder, pd.DataFrame(rows), pd.DataFrame(prompts), {"runs": {"a": {}}, "planned": 4})
    return results.Results.read(folder)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = written(tmp_path, [row(), row(run="b", beta=np.nan, kl_to_optimum=np.nan, kl=1 / 3)])
    assert found.curves.kl.tolist() == pytest.approx([0.2, 1 / 3], rel=1e-9)
    assert found.curves.beta.isna().tolist() == [False, True]
    assert found.curves["last"].tolist() == [True, True]
    assert found.curves.variant.tolist() == ["", ""]
    assert found.complete == 0.25


def test_tables_that_are_not_sound_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must hold curves\.csv"):
        results.Results.read(tmp_path)
    with pytest.raises(ValueError, match="1 rows twice, the first of run"):
        written(tmp_path, [row(), row()])
    with pytest.raises(ValueError, match="numbers missing"):
        written(tmp_path, [row(kl=np.nan)])
    text = (tmp_path / "curves.csv").read_text().replace("kl_to_optimum", "other")
    (tmp_path / "curves.csv").write_text(text)
    with pytest.raises(ValueError, match="lacks kl_to_optimum"):
        results.Results.read(tmp_path)


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    written(tmp_path, [row()])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    prompts = pd.DataFrame([dict.fromkeys(results.PROMPT_COLUMNS, 0)])
    with pytest.raises(TypeError):
        results.write(tmp_path, pd.DataFrame([row()]), prompts, {"planned": {2}})
    assert json.loads((tmp_path / "settings.json").read_text())["planned"] == 4
    assert set(before) == {path.name for path in tmp_path.iterdir()}


@given(st.integers(0, 50), st.floats(0.05, 8.0))
def test_the_optimum_has_all_of_the_gain_and_wastes_nothing(seed: int, lam: float) -> None:
    average = small_law(seed).average
    found = standing(small_law(seed), [average.kl(lam)], [average.gain(lam)])
    assert found.share[0] == pytest.approx(1.0, abs=1e-8)
    assert found.wasted[0] == pytest.approx(0.0, abs=1e-7)


def test_wasted_kl_is_the_distance_to_the_nearest_optimum() -> None:
    law = small_law()
    curve = law.along([BestOfN(3)])
    wasted = standing(law, curve.kl, curve.gain).wasted[0]
    lams = np.geomspace(0.01, 20, 4000)
    distances = [kl_to_optimum(law.average, float(v), float(curve.kl[0]), float(curve.gain[0])) for v in lams[::20]]
    assert wasted == pytest.approx(min(distances), abs=2e-4)
    assert wasted <= min(distances) + 1e-9


def test_a_policy_above_the_frontier_is_refused() -> None:
    law = small_law()
    with pytest.raises(ValueError, match="gain must not exceed the limit at its KL; 1 of 1 do"):
        standing(law, [0.1], [float(law.average.gain_at_kl(0.1)) + 0.01])


def test_best_of_n_stands_below_the_average_budget_and_near_it() -> None:
    table = rule_standing(small_law(), BestOfN.along([2, 4, 16]))
    assert (table.share <= 1.0).all()
    assert (table.share > 0.5).all()
    assert (table.wasted >= 0.0).all()


def test_seeds_are_averaged_with_an_interval_and_one_seed_has_none(tmp_path: Path) -> None:
    law = small_law()
    base = float(law.average.base_reward)
    rows = [row(run=f"s{seed}", seed=seed, reward=base + 0.1 + 0.01 * seed) for seed in range(3)]
    rows.append(row(run="lone", method="ppo", reward=base + 0.1))
    found = written(tmp_path, rows)
    law.write(results.law_path(tmp_path, "safety", "gold", "train"))
    table = over_seeds(with_standing(found, "safety")).set_index("method")
    assert table.n_seeds.to_dict() == {"grpo": 3, "ppo": 1}
    assert table.gain["grpo"] == pytest.approx(0.11)
    assert table.gain_high["grpo"] - table.gain["grpo"] == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-5)
    assert np.isinf(table.gain_high["ppo"])
    assert seed_interval([0.5]) == (0.5, -np.inf, np.inf)


def test_best_of_n_is_asked_at_any_kl() -> None:
    law = small_law()
    curve = BestOfNCurve(law)
    exact = law.along(BestOfN.along([1.0, 1.7, 3.3, 20.0, 300.0]))
    assert curve.gain(exact.kl) == pytest.approx(exact.gain, abs=2e-4 * exact.gain.max())
    with pytest.raises(ValueError, match="kl must lie in"):
        curve.gain(-0.1)


def test_best_of_n_is_held_at_its_end_where_it_saturates() -> None:
    """Two likely outcomes: from N of a few hundred on, the KL moves by rounding only."""
    law = collapse(np.log(np.array([[0.3, 0.7], [0.45, 0.55]])), np.array([[0.0, 1.0], [0.0, 2.0]]))
    curve = BestOfNCurve(law)
    assert np.diff(curve.kl).min() < 1e-15
    assert curve.gain([curve.kl[-1], 5.0]) == pytest.approx(law.average.max_reward - law.average.base_reward, rel=1e-9)


def test_verdicts_use_what_all_seeds_have(tmp_path: Path) -> None:
    law = small_law()
    base = float(law.average.base_reward)
    curve = BestOfNCurve(law)
    rows = []
    for seed in range(3):
        for knob in (0.5, 1.0, 2.0)[: 3 if seed < 2 else 1]:  # the third seed is not finished
            kl = 0.3 / knob
            rows.append(
                row(run=f"{seed}{knob}", seed=seed, knob=knob, kl=kl, reward=base + curve.gain(kl) + 0.01 * (seed - 2))
            )
    rows.append(row(run="x", method="ppo", kl=0.3, reward=base + float(curve.gain(0.3)) - 0.1))
    found = written(tmp_path, rows)
    law.write(results.law_path(tmp_path, "safety", "gold", "train"))
    task = TaskComparison(found, "safety")
    assert task.methods() == ["grpo", "ppo"]
    verdict = task.verdict("grpo")
    assert (verdict.n_seeds, len(verdict.at_knobs)) == (2, 3)
    mean, low, high = verdict.share_over_best_of_n
    assert low < mean < 0 < high  # two seeds do not settle it
    assert (verdict.n_below, verdict.n_above, verdict.below_everywhere) == (0, 0, False)
    assert task.verdict("ppo").below_everywhere
    assert task.points("grpo").n_seeds.tolist() == [2, 2, 3]
    with pytest.raises(ValueError, match="method must occur in the table; 'dpo'"):
        task.verdict("dpo")
