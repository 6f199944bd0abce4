"""Frontier and best-of-N on real tables: massive ties, prompts never right, ten samples a prompt."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alignlib.estimation import UnsupportedBudgetError, fit_frontier
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN, best_of_n_mean
from alignlib.tables import RewardTable

DATA = Path(__file__).parents[1].parent / "shared" / "data"
GPQA = DATA / "gpqa_llama33_70b_64x64.csv"
GPQA_128 = DATA / "gpqa_llama33_70b_64x128_correct.csv"
REWARDMATH = DATA / "rewardmath_483x10.csv"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data with the real tables is absent")


def test_ties_decide_what_best_of_eight_is_worth() -> None:
    """0/1 rewards, N = 8: 61 % of the limit by the formula's KL, 98 % by the KL that is spent."""
    table = RewardTable.read(GPQA_128, reward="correct")
    result = fit_frontier(table).share(BestOfN(8))
    assert result.spent_formula is not None
    assert result.share is not None
    assert result.spent_formula[0] == pytest.approx(1.2044, abs=1e-4)
    assert 0.3 < result.spent[0] < 0.5
    assert 0.95 < result.share[0] < 1.0
    by_formula = fit_frontier(table).at([0.1, *result.spent_formula])
    ceiling = by_formula.gain_high[1]
    assert result.gain[0] / ceiling < 0.7


def test_kl_of_ties_agrees_with_the_empirical_laws() -> None:
    """The jackknife moves the plug-in KL of each prompt's own atoms up, and by little."""
    frame = pd.read_csv(GPQA)
    rows = frame.pivot(index="prompt_id", columns="sample_id", values="correct").to_numpy(float)
    plug_in = np.mean([BestOfN(4).on(FiniteLaw(row)).kl for row in rows])
    result = fit_frontier(RewardTable.from_arrays(rows)).share(BestOfN(4))
    assert plug_in < result.spent[0] < 1.1 * plug_in
    unbiased = np.mean([best_of_n_mean(row, 4) for row in rows]) - rows.mean()
    assert result.gain[0] == pytest.approx(unbiased, rel=1e-12)


def test_plug_in_frontier_is_the_exact_one_of_the_empirical_laws() -> None:
    """At the λ of the curve, KL and gain averaged over the prompts' empirical laws lie on it."""
    frame = pd.read_csv(GPQA)
    rows = frame.pivot(index="prompt_id", columns="sample_id", values="correct").to_numpy(float)
    plain = fit_frontier(RewardTable.from_arrays(rows), bias_correction=False).at([0.05, 0.2, 0.4])
    for kl, gain, lam in zip(plain.spent, plain.gain, plain.lam, strict=True):
        families = [FiniteLaw(row) for row in rows]
        assert np.mean([family.kl(lam) for family in families]) == pytest.approx(kl, rel=1e-3)
        exact = np.mean([family.gain(lam) for family in families])
        assert gain == pytest.approx(exact + (kl - np.mean([f.kl(lam) for f in families])) / lam, rel=1e-6)


def test_half_the_samples_give_the_same_curve() -> None:
    whole = fit_frontier(RewardTable.read(GPQA_128, reward="correct")).at([0.1, 0.2])
    frame = pd.read_csv(GPQA_128)
    rows = frame.pivot(index="prompt_id", columns="sample_id", values="correct").to_numpy(float)
    for half in (rows[:, :64], rows[:, 64:]):
        part = fit_frontier(RewardTable.from_arrays(half)).at([0.1, 0.2])
        assert ((whole.gain_low < part.gain) & (part.gain < whole.gain_high)).all()


@pytest.mark.parametrize("verifier", [*(f"verifier_{i:02d}" for i in range(0, 32, 5)), "nanmean:verifier_*"])
def test_every_verifier_has_a_frontier_and_a_best_of_n(verifier: str) -> None:
    table = RewardTable.read(GPQA, reward=[verifier, "correct"], drop_missing=True)
    frontier = fit_frontier(table, verifier).frontier
    assert frontier.supported_end > 0.05
    assert (np.diff(frontier.gain) >= 0).all()
    gold = fit_frontier(table, "correct").share(BestOfN(4), verifier)
    own = fit_frontier(table, verifier).share(BestOfN(4))
    assert gold.share is not None
    assert own.share is not None
    assert gold.share[0] < own.share[0] <= 1.0


def test_rewardmath_scorers() -> None:
    """Ten samples a prompt, one of them good: little is supported, nothing is mistaken for a heavy tail."""
    names = [name for name in pd.read_csv(REWARDMATH, nrows=0).columns if name.startswith("score_")]
    assert len(names) == 18
    table = RewardTable.read(REWARDMATH, reward=names)
    for name in names:
        try:
            frontier = fit_frontier(table, name).frontier
        except UnsupportedBudgetError:
            continue
        assert not frontier.tail.heavy
        assert 0.0 < frontier.supported_end < np.log(10)
        assert ((frontier.gain_low <= frontier.gain) & (frontier.gain <= frontier.gain_high)).all()
