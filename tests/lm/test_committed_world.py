"""The committed laws by reward level belong to the committed bases and to the gold rules as they are now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alignlib.lm.level_law import LevelLaw, collapse
from alignlib.lm.tasks import TASKS

FOLDER = Path(__file__).resolve().parents[2] / "notebooks" / "lm_results"


@pytest.fixture(scope="module", params=TASKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("split", ["train", "test", "pool5"])
def test_levels_are_those_of_the_gold_rule(name: str, split: str) -> None:
    task = TASKS[name].task()
    prompts = task.of_split(split)
    law, gold = LevelLaw.read(FOLDER / f"law_{name}_gold_{split}.csv"), task.gold(prompts)
    assert len(law.rows) == len(prompts)
    for row, at in enumerate(law.rows):
        assert law.reward[at].tolist() == np.unique(gold[row]).tolist()
        assert law.gold[at].tolist() == law.reward[at].tolist()


def test_there_is_room_to_improve_and_prompts_are_unlike(name: str) -> None:
    average = LevelLaw.read(FOLDER / f"law_{name}_gold_test.csv").average
    assert average.base_reward < 0.1 * average.max_reward
    assert average.max_kl > 3.0
    budgets = np.array([0.25, 0.5, 1.0])
    lost = 1 - average.gain_on_every_prompt(budgets) / average.gain_at_kl(budgets)
    assert lost.max() > 0.05


def test_proxies_share_the_base(name: str) -> None:
    gold = LevelLaw.read(FOLDER / f"law_{name}_gold_test.csv")
    proxy = LevelLaw.read(FOLDER / f"law_{name}_5000x1_test.csv")
    # The two laws may come from different processors, which round single precision differently.
    assert proxy.base_gold == pytest.approx(gold.base_gold, abs=1e-6)
    means = [proxy.mass[at] @ proxy.reward[at] for at in proxy.rows]
    assert np.abs(means).max() <= 1e-6
    for at in proxy.rows[:20]:
        steps = (proxy.reward[at] - proxy.reward[at][0]) * 16
        assert np.abs(steps - np.round(steps)).max() < 1e-6


@pytest.mark.lm
def test_the_committed_base_gives_the_committed_law(name: str) -> None:
    import torch

    from alignlib.lm.base_model import load_base
    from alignlib.lm.torch_runtime import one_thread
    from tests.lm.by_prompt import exact_log_prob

    task = TASKS[name].task()
    model = load_base(FOLDER / f"base_{name}")
    assert sum(weight.numel() for weight in model.parameters()) < 120_000
    assert next(model.parameters()).dtype == torch.float32
    with one_thread(0):
        log_prob = exact_log_prob(model, task.prompts, task.space)
    law, committed = collapse(log_prob, task.gold()), LevelLaw.read(FOLDER / f"law_{name}_gold_train.csv")
    # Another processor rounds single precision differently: 1e-6 in total variation is the promise.
    for at in committed.rows:
        assert np.abs(law.mass[at] - committed.mass[at]).sum() / 2 < 1e-6
    assert law.average.gain_at_kl(1.0) == pytest.approx(committed.average.gain_at_kl(1.0), rel=1e-5)
