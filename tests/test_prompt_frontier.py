"""One budget on every prompt: the jackknife of a minimum, against deletion and known laws."""

import numpy as np
import pytest
from scipy import optimize

from alignlib.estimation import fit_frontier
from alignlib.estimation.per_prompt import prompt_gains
from alignlib.laws import Gaussian, Uniform
from alignlib.tables import RewardTable


def gain(rewards: np.ndarray, budget: float) -> float:
    """``min_λ (Δ + Λ̂(λ))/λ`` by brute force."""
    centred = rewards - rewards.mean()

    def dual(log_lam: float) -> float:
        lam = np.exp(log_lam)
        return float((budget + np.logaddexp.reduce(lam * centred) - np.log(len(centred))) / lam)

    return float(optimize.minimize_scalar(dual, bounds=(-6.0, 6.0), method="bounded", options={"xatol": 1e-10}).fun)


@pytest.mark.parametrize("budget", [0.02, 0.3, 1.0])
def test_newton_step_is_deletion(budget: float) -> None:
    """One step in log λ leaves out terms of third order in the deleted weight, summed over 40 samples."""
    rows = np.random.default_rng(0).standard_normal((4, 40))
    found = prompt_gains(rows, np.array([budget]), np.arange(4), 4)
    for i, row in enumerate(rows):
        whole = gain(row, budget)
        left = np.mean([gain(np.delete(row, j), budget) for j in range(40)])
        assert found.plug_in[i, 0] == pytest.approx(whole, rel=1e-6)
        correction = 39 * (whole - left)
        assert found.first_order[i, 0] - whole == pytest.approx(correction, rel=0.05)


@pytest.mark.parametrize("law", [Gaussian(), Uniform()])
def test_bias_falls_order_by_order(law: Gaussian | Uniform) -> None:
    rows = law.sample(np.random.default_rng(1), (20_000, 32))
    found = prompt_gains(rows, np.array([0.25]), np.arange(20_000), 20_000)
    truth = law.gain_at_kl(0.25)
    error = [abs(part.mean() - truth) for part in (found.plug_in, found.first_order, found.second_order)]
    assert error[0] > 8 * max(error[1], error[2])


def test_atoms_reach_their_maximum_and_constant_prompts_gain_nothing() -> None:
    rows = np.array([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [2.0] * 8])
    found = prompt_gains(rows, np.array([0.0, 1.5]), np.arange(2), 2)
    np.testing.assert_allclose(found.plug_in, [[0.0, 1 - 3 / 8], [0.0, 0.0]], atol=1e-15)
    np.testing.assert_allclose(found.first_order, [[0.0, 1 - 3 / 8], [0.0, 0.0]], atol=1e-15)


def test_prompts_of_unequal_scale_gain_less_than_with_an_average_budget() -> None:
    rng = np.random.default_rng(3)
    scale = rng.choice([0.5, 2.0], size=(200, 1))
    table = RewardTable.from_arrays(scale * rng.standard_normal((200, 64)))
    kl = np.array([0.1, 0.4])
    each = fit_frontier(table, budget="per_prompt").at(kl)
    mean = fit_frontier(table).at(kl)
    assert (each.gain < mean.gain).all()
    truth = scale.mean() * np.sqrt(2 * kl)
    np.testing.assert_allclose(each.gain, truth, rtol=0.03)
    np.testing.assert_allclose(each.lam, np.sqrt(2 * kl) / np.mean(scale), rtol=0.05)
