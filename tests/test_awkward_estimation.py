"""Frontier and best-of-N on awkward tables: massive ties, prompts never right, ten samples a prompt."""

from pathlib import Path

import numpy as np
import pytest

from alignlib.estimation import UnsupportedBudgetError, fit_frontier
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, best_of_n_mean
from alignlib.tables import RewardTable
from tests import awkward
from tests.awkward import JUDGES, MODELS, VERIFIERS


def right(n_samples: int = 64) -> np.ndarray:
    """Answers right or wrong, a row a prompt."""
    return awkward.answers()["correct"].to_numpy(float).reshape(40, 64)[:, :n_samples]


def test_ties_decide_what_best_of_eight_is_worth() -> None:
    """0/1 rewards, N = 8: half of the limit by the formula's KL, nearly all of it by the KL that is spent."""
    fit = fit_frontier(RewardTable.from_arrays(right()))
    result = fit.share(BestOfN(8))
    assert result.spent_formula is not None
    assert result.share is not None
    assert result.spent_formula[0] == pytest.approx(1.2044, abs=1e-4)
    assert 0.2 < result.spent[0] < 0.5
    assert 0.95 < result.share[0] < 1.0
    ceiling = fit.at([0.1, *result.spent_formula]).gain_high[1]
    assert result.gain[0] / ceiling < 0.7


def test_kl_of_ties_agrees_with_the_empirical_laws() -> None:
    """The jackknife moves the plug-in KL of each prompt's own atoms up, and by little."""
    rows = right()
    plug_in = np.mean([BestOfN(4).on(FiniteLaw(row)).kl for row in rows])
    result = fit_frontier(RewardTable.from_arrays(rows)).share(BestOfN(4))
    assert plug_in < result.spent[0] < 1.1 * plug_in
    unbiased = np.mean([best_of_n_mean(row, 4) for row in rows]) - rows.mean()
    assert result.gain[0] == pytest.approx(unbiased, rel=1e-12)


def test_plug_in_frontier_is_the_exact_one_of_the_empirical_laws() -> None:
    """At the λ of the curve, KL and gain averaged over the prompts' empirical laws lie on it."""
    rows = right()
    plain = fit_frontier(RewardTable.from_arrays(rows), bias_correction=False).at([0.05, 0.2, 0.4])
    for kl, gain, lam in zip(plain.spent, plain.gain, plain.lam, strict=True):
        families = [FiniteLaw(row) for row in rows]
        assert np.mean([family.kl(lam) for family in families]) == pytest.approx(kl, rel=1e-3)
        exact = np.mean([family.gain(lam) for family in families])
        assert gain == pytest.approx(exact + (kl - np.mean([f.kl(lam) for f in families])) / lam, rel=1e-6)


def test_half_the_samples_give_the_same_curve() -> None:
    rows = right()
    whole = fit_frontier(RewardTable.from_arrays(rows)).at([0.1, 0.2])
    for half in (rows[:, :32], rows[:, 32:]):
        part = fit_frontier(RewardTable.from_arrays(half)).at([0.1, 0.2])
        assert ((whole.gain_low < part.gain) & (part.gain < whole.gain_high)).all()


@pytest.mark.parametrize("verifier", [VERIFIERS[0], VERIFIERS[-1], "nanmean:verifier_*"])
def test_every_verifier_has_a_frontier_and_a_best_of_n(tmp_path: Path, verifier: str) -> None:
    awkward.verified().to_csv(tmp_path / "verified.csv", index=False)
    table = RewardTable.read(tmp_path / "verified.csv", reward=[verifier, "correct"], drop_missing=True)
    frontier = fit_frontier(table, verifier).frontier
    assert frontier.supported_end > 0.05
    assert (np.diff(frontier.gain) >= 0).all()
    gold = fit_frontier(table, "correct").share(BestOfN(4), verifier)
    own = fit_frontier(table, verifier).share(BestOfN(4))
    assert gold.share is not None
    assert own.share is not None
    assert gold.share[0] < own.share[0] <= 1.0


def test_scorers_of_ten_solutions(tmp_path: Path) -> None:
    """Ten samples a prompt, one of them good: little is supported."""
    names = [f"score_{name}" for name in (*MODELS, *JUDGES)]
    awkward.scored().to_csv(tmp_path / "scored.csv", index=False)
    table = RewardTable.read(tmp_path / "scored.csv", reward=names)
    supported = 0
    for name in names:
        try:
            frontier = fit_frontier(table, name).frontier
        except UnsupportedBudgetError:
            continue
        supported += 1
        assert 0.0 < frontier.supported_end <= np.log(10)
        assert ((frontier.gain_low <= frontier.gain) & (frontier.gain <= frontier.gain_high)).all()
    assert supported >= 3


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-3], ids=["equal", "but for rounding", "nearly"])
def test_one_prompt_that_differs_from_all_others_leaves_intervals_finite(noise: float) -> None:
    """A third of the replicates lack it: they show no spread, and so were taken for infinitely sure."""
    rows = np.zeros((40, 16))
    rows[:, :2] = 1.0
    rows[0, 2] = 1.0
    table = RewardTable.from_arrays(rows + noise * np.random.default_rng(0).standard_normal(rows.shape))
    fit = fit_frontier(table, n_boot=200)
    limit, best = fit.at(np.array([0.02, 0.2])), fit.share([BestOfN(4.0)])
    for found in (limit, best):
        assert (found.gain_low > 0.8 * found.gain).all()
        assert (found.gain_high < 1.25 * found.gain).all()
