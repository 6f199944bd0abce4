"""Proxies, ensembles and over-optimisation on real tables, which are not part of the project."""

from __future__ import annotations

from pathlib import Path

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

DATA = Path(__file__).parents[1].parent / "shared" / "data"
GPQA = DATA / "gpqa_llama33_70b_64x64.csv"
REWARDMATH = DATA / "rewardmath_483x10.csv"
TLDR = DATA / "tldr_pythia_kl_gold.csv"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data with the real tables is absent")

REWARD_MODELS = [
    "ArmoRM",
    "Eurus-RM",
    "beaver",
    "grm_gemma",
    "grm_llama3",
    "internlm2_20b",
    "internlm2",
    "oasst-rm",
    "skywork_llama3",
]
JUDGES = [
    "chatgpt",
    "gpt4",
    "gpt4o",
    "llama3_70B",
    "llama3_8B",
    "opus",
    "prometheus_7B",
    "prometheus_8x7B",
    "sonnet-3-5",
]


# -- 32 verifiers of GPQA


@pytest.fixture(scope="module")
def verified() -> RewardTable:
    return RewardTable.read(GPQA, reward=["verifier_*", "correct"], drop_missing=True)


@pytest.fixture(scope="module")
def verifiers(verified: RewardTable) -> list[str]:
    return [name for name in verified.columns if name.startswith("verifier_")]


def test_gpqa_ensembles_of_all_sizes(verified: RewardTable, verifiers: list[str]) -> None:
    """Bigger ensembles pick better on average, but by less than what 64 prompts can tell from nothing."""
    assert (len(verifiers), verified.dropped, verified.n_prompts) == (32, 666, 64)
    for kind in ("mean", "mean_minus_std"):
        found = estimate_ensemble(verified, verifiers, "correct", rule=BestOfN(8), kind=kind, n_choices=12, n_boot=300)
        assert found.size.tolist() == [1, 2, 4, 8, 16, 32]
        assert found.choices.tolist() == [32, 12, 12, 12, 12, 1]
        assert (np.diff(found.gold_gain) > 0).all()
        assert 0.0 < found.gold_gain[0] < 0.01 < found.gold_gain[-1] < 0.04
        assert (found.gold_low < 0.0).all()
        assert 0.3 < found.worse_than_one[0] < 0.8
    assert found.base_gold == pytest.approx(0.456, abs=1e-3)


def test_gpqa_ensemble_against_the_pairwise_definition(verified: RewardTable, verifiers: list[str]) -> None:
    table = verified.with_mean("all", verifiers)
    gains = []
    for (_, picking), (_, gold) in zip(table.blocks("all"), table.blocks("correct"), strict=True):
        wins = np.sign(picking[:, :, None] - picking[:, None, :])
        pairs = 0.5 * (gold[:, :, None] * (1 + wins) + gold[:, None, :] * (1 - wins))
        off = ~np.eye(picking.shape[1], dtype=bool)
        gains.extend(pairs[:, off].mean(axis=1) - gold.mean(axis=1))
    found = estimate_ensemble(table, verifiers, "correct", rule=BestOfN(2), sizes=[32], n_boot=100)
    assert found.gold_gain[0] == pytest.approx(np.mean(gains), abs=1e-12)


def test_gpqa_members_share_more_than_half_of_their_error(verified: RewardTable, verifiers: list[str]) -> None:
    split = split_error(verified, verifiers, "correct", n_boot=300)
    assert split.shared_low > 0.03
    assert 0.5 < split.shared_part < 0.65
    assert split.worth_having == 8.0
    fewer = split_error(verified, verifiers[:8], "correct", n_boot=100)
    assert fewer.shared == pytest.approx(split.shared, rel=0.1)


def test_gpqa_where_to_stop_is_undecided_and_said_so(verified: RewardTable, verifiers: list[str]) -> None:
    table = verified.with_mean("all", verifiers)
    along_n = fit_frontier(table, "all", n_boot=300).gold("correct")
    along_lam = fit_frontier(table, "all", n_boot=300).tilted_gold("correct")
    for result in (along_n, along_lam):
        assert result.hedge.turns_down == "undecided"
        assert result.hedge.high == np.inf
        assert (result.gold_low <= result.gold_gain).all()
    assert along_n.tied_prompts == 64


# -- RewardMATH: ties, and the right answer always at index 0


@pytest.fixture(scope="module")
def scored() -> RewardTable:
    return RewardTable.read(REWARDMATH, reward=["score_*", "gold_correct"])


def tie_broken_and_averaged(table: RewardTable, scorer: str) -> tuple[float, float]:
    scores, gold = (table.column(name).reshape(483, 10) for name in (f"score_{scorer}", "gold_correct"))
    top = scores == scores.max(axis=1, keepdims=True)
    return float(gold[np.arange(483), scores.argmax(axis=1)].mean()), float(((gold * top).sum(1) / top.sum(1)).mean())


@pytest.mark.parametrize("scorer", [*REWARD_MODELS, *JUDGES])
def test_rewardmath_best_of_ten_is_the_tie_averaged_choice(scored: RewardTable, scorer: str) -> None:
    found = fit_frontier(scored, f"score_{scorer}", n_boot=100).gold("gold_correct", BestOfN(10))
    _, averaged = tie_broken_and_averaged(scored, scorer)
    assert found.base_gold + found.gold_gain[0] == pytest.approx(averaged, abs=1e-12)


@pytest.mark.parametrize("scorer", [*REWARD_MODELS, *JUDGES])
def test_rewardmath_tie_broken_and_averaged_side_by_side(scored: RewardTable, scorer: str) -> None:
    found = tie_breaking(scored, f"score_{scorer}", "gold_correct", n_boot=200)
    assert (found.first, found.averaged) == pytest.approx(tie_broken_and_averaged(scored, scorer), abs=1e-12)
    assert (found.flattery_low > 0.1) == (scorer in JUDGES)


def test_rewardmath_index_zero_trap(scored: RewardTable) -> None:
    """Judges tie at the top on every problem: argmax takes index 0, where the right solution always stands."""
    for judge in JUDGES:
        broken, averaged = tie_broken_and_averaged(scored, judge)
        assert broken > averaged + 0.15
        assert fit_frontier(scored, f"score_{judge}", n_boot=100).gold("gold_correct", BestOfN(2)).tied_prompts == 483
    for model in REWARD_MODELS:
        broken, averaged = tie_broken_and_averaged(scored, model)
        assert abs(broken - averaged) < 0.01
    assert tie_broken_and_averaged(scored, "prometheus_8x7B")[0] > 0.75
    assert tie_broken_and_averaged(scored, "prometheus_8x7B")[1] < 0.13


@pytest.mark.parametrize(("scorer", "verdict"), [("internlm2", "no"), ("gpt4o", "no"), ("grm_gemma", "yes")])
def test_rewardmath_some_scorers_are_hacked_from_the_start(scored: RewardTable, scorer: str, verdict: str) -> None:
    found = fit_frontier(scored, f"score_{scorer}", n_boot=300).gold("gold_correct")
    assert found.hedge.turns_down == verdict
    if verdict == "yes":
        assert found.hedge.parameter <= 2.0
        assert found.gold_high[-1] < 0.0


def test_rewardmath_ensembles_of_reward_models(scored: RewardTable) -> None:
    scales = {name: np.std(scored.column(f"score_{name}")) for name in REWARD_MODELS}
    assert max(scales.values()) > 100 * min(scales.values())  # scores of unlike scale: the mean would be one member's
    even = on_one_scale(scored, [f"score_{name}" for name in REWARD_MODELS])
    together = {
        name: estimate_ensemble(
            table, [f"score_{m}" for m in REWARD_MODELS], "gold_correct", rule=BestOfN(10), sizes=[9], n_boot=200
        ).gold_gain[0]
        for name, table in (("as they are", scored), ("on one scale", even))
    }
    assert together["on one scale"] > together["as they are"] + 0.03
    order = [f"score_{name}" for name in ("internlm2", "internlm2_20b")]
    found = estimate_ensemble(scored, order, "gold_correct", rule=BestOfN(10), n_boot=200)
    assert found.gold_gain[1] > found.gold_gain[0]


# -- checkpoints of TL;DR


@pytest.fixture(scope="module")
def checkpoints() -> pd.DataFrame:
    frame = pd.read_csv(TLDR)
    assert (len(frame), frame["run"].nunique(), int(frame["name"].duplicated().sum())) == (648, 46, 27)
    return frame


def test_tldr_turning_points(checkpoints: pd.DataFrame) -> None:
    """34 of 46 runs have an inner maximum, and so would noise; a seventh of the testable ones are shown to turn."""
    found = turning_runs(checkpoints["kl"], checkpoints["gold_score"], checkpoints["run"].tolist())
    assert (len(found.points), found.inside, found.testable, found.shown) == (46, 34, 41, 6)
    assert found.by_chance == pytest.approx(35.44, abs=0.01)
    assert np.median([point.kl for point in found.points if point.shown]) == pytest.approx(23.57, abs=0.01)
    assert all(point.drop > 0 for point in found.points if point.inside)


def test_tldr_forms_and_what_they_leave(checkpoints: pd.DataFrame) -> None:
    """G22's forms turn down where the √KL law cannot; but two thirds of the variance is not a function of KL."""
    fits = {
        form: fit_scaling(
            checkpoints["kl"], checkpoints["gold_score"], checkpoints["run"].tolist(), form=form, n_boot=400
        )
        for form in FORMS
    }
    assert fits["rl"].left_out_sd < fits["best_of_n"].left_out_sd < fits["sqrt"].left_out_sd
    assert fits["rl"].r_squared == pytest.approx(0.323, abs=2e-3)
    assert fits["sqrt"].r_squared < 0.01
    assert fits["rl"].beta_low > 0
    assert 10 < fits["rl"].peak_kl_low < fits["rl"].peak_kl < fits["rl"].peak_kl_high < 30
    assert all(fit.run_correlation > 0.4 for fit in fits.values())
    assert fits["rl"].residual_sd > 0.7
    assert fits["sqrt"].alpha_low < 0 < fits["sqrt"].alpha_high
