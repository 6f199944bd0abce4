from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from alignlib.lm.experiment.allocation import policies_split, rule_split, split_waste
from alignlib.lm.experiment.standing import rule_standing, standing
from alignlib.lm.policy_law import kl_to_optimum_directly, policy_law
from alignlib.rules import BestOfN
from tests.lm.test_results import row, small_law, written


def random_policies(seed: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A base and a policy over 20 responses to 4 prompts, and their reward."""
    rng = np.random.default_rng(seed)
    log_base = np.log(rng.dirichlet(np.full(20, 0.5), size=4))
    reward = rng.integers(0, 5, (4, 20)) * np.arange(1.0, 5.0)[:, None]
    log_policy = log_base + reward / np.arange(1.0, 5.0)[:, None] + spread * rng.standard_normal((4, 20))
    return log_policy - np.logaddexp.reduce(log_policy, axis=1, keepdims=True), log_base, reward


@given(st.integers(0, 30), st.floats(0.0, 1.0))
@settings(max_examples=30)
def test_theorem_waste_is_the_distance_to_the_optima(seed: int, spread: float) -> None:
    """Within prompts: the distance to each prompt's nearest optimum; in all: to the nearest with one λ for all."""
    from alignlib.lm.level_law import collapse

    log_policy, log_base, reward = random_policies(seed, spread)
    law, policy = collapse(log_base, reward), policy_law(log_policy, log_base, reward, reward)
    base = (np.exp(log_base) * reward).sum(axis=1)
    split = split_waste(law, policy.kl[None], (policy.reward - base)[None])

    def distance(lam: float) -> np.ndarray:
        return kl_to_optimum_directly(log_policy, log_base, reward, float(lam))

    def nearest(of: object) -> float:
        return float(optimize.minimize_scalar(of, bounds=(0.0, 40.0), method="bounded", options={"xatol": 1e-10}).fun)

    alone = [nearest(lambda v, x=x: distance(v)[x]) for x in range(4)]
    assert split.within[0] == pytest.approx(np.mean(alone), abs=1e-7)
    assert split.within[0] + split.allocation[0] == pytest.approx(nearest(lambda v: distance(v).mean()), abs=1e-7)
    assert split.allocation[0] >= -1e-9
    total = standing(law, [policy.kl.mean()], [policy.reward.mean() - base.mean()]).wasted
    assert (split.within + split.allocation)[0] == pytest.approx(total[0], abs=1e-8)


def test_the_optimum_wastes_nothing_and_best_of_n_what_is_said_of_it() -> None:
    law = small_law()
    kl = np.array([[family.kl(1.3) for family in law.laws]])
    gain = np.array([[family.gain(1.3) for family in law.laws]])
    split = split_waste(law, kl, gain)
    assert split.within[0] == pytest.approx(0.0, abs=1e-9)
    assert split.allocation[0] == pytest.approx(0.0, abs=1e-9)
    rules = BestOfN.along([2, 8])
    found = rule_split(law, rules)
    assert found.within + found.allocation == pytest.approx(rule_standing(law, rules).wasted.to_numpy())


def test_policies_of_the_table_are_split(tmp_path: object) -> None:
    from pathlib import Path

    import pandas as pd

    from alignlib.lm.experiment import results

    law, folder = small_law(), Path(str(tmp_path))
    kl = [float(family.kl(1.0)) for family in law.laws]
    reward = [float(family.base_reward + family.gain(1.0)) for family in law.laws]
    written(folder, [row(run="a", kl=float(np.mean(kl)), reward=float(np.mean(reward)))])
    prompts = [
        {"run": "a", "split": split, "prompt": x, "kl": kl[x], "reward": reward[x], "gold": 0.0}
        for split in ("held_out", "train")
        for x in range(4)
    ]
    results.write(folder, pd.DataFrame([row(run="a")]), pd.DataFrame(prompts), {"runs": {"a": {}}, "planned": 1})
    law.write(results.law_path(folder, "safety", "gold", "train"))
    table = policies_split(results.Results.read(folder), "safety")
    assert table.within.tolist() == pytest.approx([0.0], abs=1e-7)
    assert table.allocation.tolist() == pytest.approx([0.0], abs=1e-7)


def test_impossible_policies_are_refused() -> None:
    law = small_law()
    with pytest.raises(ValueError, match=r"must have shape \(policies, 4 prompts\); got \(1, 3\)"):
        split_waste(law, np.zeros((1, 3)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"gain must not exceed .* on prompt 0, its largest"):
        split_waste(law, np.ones((1, 4)), np.full((1, 4), 100.0))
    with pytest.raises(ValueError, match="gain must not exceed the limit at its KL; a policy lacks"):
        split_waste(law, np.zeros((1, 4)), np.full((1, 4), 0.01))
