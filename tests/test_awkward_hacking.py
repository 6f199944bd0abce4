"""Proxies, ensembles and over-optimisation on awkward tables: ties, unlike scales, the right answer always first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alignlib.estimation import fit_frontier
from alignlib.hacking.ensemble_estimation import estimate_ensemble
from alignlib.hacking.error_split import split_error
from alignlib.hacking.proxy_table import on_one_scale
from alignlib.hacking.run_turns import turning_runs
from alignlib.hacking.scaling_fit import FORMS, fit_scaling
from alignlib.hacking.tie_breaking import tie_breaking
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from tests import awkward
from tests.awkward import JUDGES, MODELS, VERIFIERS

ALL = "mean:verifier_*"
HONEST = [name for name in MODELS if name != "hacked"]


# -- twelve verifiers


def read_verified(folder, shared=1.0) -> RewardTable:
    path = folder / "verified.csv"
    awkward.verified(shared).to_csv(path, index=False)
    return RewardTable.read(path, reward=["verifier_*", ALL, "correct"], drop_missing=True)


@pytest.fixture(scope="module")
def verified(tmp_path_factory) -> RewardTable:
    return read_verified(tmp_path_factory.mktemp("verified"))


def test_ensembles_of_all_sizes(verified: RewardTable) -> None:
    """Bigger ensembles pick better on average, each size less so than the one before."""
    lacking = awkward.verified()[VERIFIERS].isna().any(axis=1)
    assert (verified.dropped, verified.n_prompts) == (lacking.sum(), 40)
    kept = awkward.verified()[~lacking]
    for kind in ("mean", "mean_minus_std"):
        found = estimate_ensemble(verified, VERIFIERS, "correct", rule=BestOfN(8), kind=kind, n_choices=12, n_boot=200)
        assert found.size.tolist() == [1, 2, 4, 8, 12]
        assert found.choices.max() <= 12
        assert found.choices[-1] == 1
        assert (np.diff(found.gold_gain) > 0).all()
        assert (found.gold_low < found.gold_gain).all()
        assert found.gold_gain[1] - found.gold_gain[0] > found.gold_gain[-1] - found.gold_gain[-2]
    assert found.base_gold == pytest.approx(kept.groupby("prompt_id")["correct"].mean().mean(), rel=1e-12)


def test_an_ensemble_against_the_pairwise_definition(verified: RewardTable) -> None:
    gains = []
    for (_, picking), (_, gold) in zip(verified.blocks(ALL), verified.blocks("correct"), strict=True):
        wins = np.sign(picking[:, :, None] - picking[:, None, :])
        pairs = 0.5 * (gold[:, :, None] * (1 + wins) + gold[:, None, :] * (1 - wins))
        off = ~np.eye(picking.shape[1], dtype=bool)
        gains.extend(pairs[:, off].mean(axis=1) - gold.mean(axis=1))
    found = estimate_ensemble(verified, VERIFIERS, "correct", rule=BestOfN(2), sizes=[12], n_boot=100)
    assert found.gold_gain[0] == pytest.approx(np.mean(gains), abs=1e-12)


def test_members_that_share_an_error_are_told_from_those_that_do_not(verified: RewardTable, tmp_path) -> None:
    split = split_error(verified, VERIFIERS, "correct", n_boot=200)
    assert split.shared_low > 0.03
    assert 0.2 < split.shared_part < 0.5
    fewer = split_error(verified, VERIFIERS[:6], "correct", n_boot=100)
    assert fewer.shared == pytest.approx(split.shared, rel=0.2)
    apart = split_error(read_verified(tmp_path, shared=0.0), VERIFIERS, "correct", n_boot=200)
    assert apart.shared_low < 0.0 < apart.shared_high


def test_where_to_stop_among_massive_ties(verified: RewardTable) -> None:
    along_n = fit_frontier(verified, ALL, n_boot=200).gold("correct")
    along_lam = fit_frontier(verified, ALL, n_boot=200).tilted_gold("correct")
    for result in (along_n, along_lam):
        assert result.hedge.turns_down != "yes"
        assert result.hedge.low <= result.hedge.parameter <= result.hedge.high == np.inf
        assert (result.gold_low <= result.gold_gain).all()
    assert along_n.tied_prompts == 40


# -- the right answer always first, and judges that tie


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> RewardTable:
    path = tmp_path_factory.mktemp("scored") / "scored.csv"
    awkward.scored().to_csv(path, index=False)
    return RewardTable.read(path, reward=["score_*", "gold_correct"])


def tie_broken_and_averaged(table: RewardTable, scorer: str) -> tuple[float, float]:
    scores, gold = (table.column(name).reshape(120, 10) for name in (f"score_{scorer}", "gold_correct"))
    top = scores == scores.max(axis=1, keepdims=True)
    return float(gold[np.arange(120), scores.argmax(axis=1)].mean()), float(((gold * top).sum(1) / top.sum(1)).mean())


@pytest.mark.parametrize("scorer", [*MODELS, *JUDGES])
def test_best_of_ten_is_the_tie_averaged_choice(scored: RewardTable, scorer: str) -> None:
    found = fit_frontier(scored, f"score_{scorer}", n_boot=100).gold("gold_correct", BestOfN(10))
    _, averaged = tie_broken_and_averaged(scored, scorer)
    assert found.base_gold + found.gold_gain[0] == pytest.approx(averaged, abs=1e-12)


@pytest.mark.parametrize("scorer", [*MODELS, *JUDGES])
def test_tie_broken_and_averaged_side_by_side(scored: RewardTable, scorer: str) -> None:
    found = tie_breaking(scored, f"score_{scorer}", "gold_correct", n_boot=200)
    assert (found.first, found.averaged) == pytest.approx(tie_broken_and_averaged(scored, scorer), abs=1e-12)
    assert (found.flattery_low > 0.1) == (scorer in JUDGES)


def test_the_trap_of_the_first_row(scored: RewardTable) -> None:
    """Judges tie at the top on every problem: argmax takes the first row, where the right solution always stands."""
    for judge in JUDGES:
        assert tie_broken_and_averaged(scored, judge)[0] == 1.0
        assert fit_frontier(scored, f"score_{judge}", n_boot=100).gold("gold_correct", BestOfN(2)).tied_prompts == 120
    for model in MODELS:
        broken, averaged = tie_broken_and_averaged(scored, model)
        assert broken == averaged
    assert tie_broken_and_averaged(scored, "judge_blind")[1] < 0.13


@pytest.mark.parametrize(("scorer", "verdict"), [("wide", "no"), ("shifted", "no"), ("hacked", "yes")])
def test_a_scorer_that_is_hacked_from_the_start(scored: RewardTable, scorer: str, verdict: str) -> None:
    found = fit_frontier(scored, f"score_{scorer}", n_boot=200).gold("gold_correct")
    assert found.hedge.turns_down == verdict
    if verdict == "yes":
        assert found.hedge.parameter <= 2.0
        assert found.gold_high[-1] < 0.0


def test_ensembles_of_unlike_scales(scored: RewardTable) -> None:
    """The mean of scores as they are is the widest member's alone."""
    names = [f"score_{name}" for name in HONEST]
    scales = [np.std(scored.column(name)) for name in names]
    assert max(scales) > 100 * min(scales)
    together = {
        name: estimate_ensemble(table, names, "gold_correct", rule=BestOfN(10), sizes=[4], n_boot=200).gold_gain[0]
        for name, table in (("as they are", scored), ("on one scale", on_one_scale(scored, names)))
    }
    assert together["on one scale"] > together["as they are"] + 0.03


# -- checkpoints


@pytest.fixture(scope="module")
def checkpoints() -> pd.DataFrame:
    return awkward.checkpoints()


def test_turning_points(checkpoints: pd.DataFrame) -> None:
    """Every second run turns down; the inner maximum of the others would be noise."""
    found = turning_runs(checkpoints["kl"], checkpoints["gold_score"], checkpoints["run"].tolist())
    assert (len(found.points), found.testable) == (12, 12)
    assert [point.shown for point in found.points] == [False, True] * 6
    assert found.by_chance == pytest.approx(12 * 8 / 10)
    peaks = np.array([point.kl for point in found.points if point.shown])
    assert np.abs(np.log(peaks) - 2 * (1.2 / 0.55 - 1.0)).max() < np.log(40 / 0.2) / 9  # within a step of the true one
    assert all(point.drop > 0 for point in found.points if point.inside)


def test_forms_and_what_they_leave(checkpoints: pd.DataFrame) -> None:
    """G22's forms turn down where the √KL law cannot; what lies between the runs is not a function of KL."""
    runs = checkpoints["run"].tolist()
    fits = {form: fit_scaling(checkpoints["kl"], checkpoints["gold_score"], runs, form=form) for form in FORMS}
    assert max(fits["rl"].left_out_sd, fits["best_of_n"].left_out_sd) < fits["sqrt"].left_out_sd
    assert fits["rl"].beta_low > 0
    assert fits["rl"].peak_kl_low < fits["rl"].peak_kl < fits["rl"].peak_kl_high < np.inf
    assert np.isinf(fits["sqrt"].peak_kl)
    assert all(fit.run_correlation > 0.4 for fit in fits.values())
