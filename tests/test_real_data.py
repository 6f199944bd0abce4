"""Trials on real tables of rewards, which are not part of the project."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alignlib._core.errors import InputError
from alignlib.answers.answer import answer
from alignlib.answers.output.frontier import headline
from alignlib.estimation import fit_frontier
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable

DATA = Path(__file__).parents[1].parent / "shared" / "data"
GPQA = DATA / "gpqa_llama33_70b_64x64.csv"
GPQA_128 = DATA / "gpqa_llama33_70b_64x128_correct.csv"
REWARDMATH = DATA / "rewardmath_483x10.csv"
TLDR = DATA / "tldr_pythia_kl_gold.csv"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data with the real tables is absent")


def members(path, pattern):
    return [name for name in pd.read_csv(path, nrows=0).columns if name.startswith(pattern)] if DATA.is_dir() else []


# -- reading


@pytest.mark.parametrize("verifier", members(GPQA, "verifier_"))
def test_gpqa_each_verifier_reads_with_gold(verifier):
    frame = pd.read_csv(GPQA)
    missing = int(frame[verifier].isna().sum())
    with pytest.raises(InputError, match=rf"{missing} of 4096 samples .*'{verifier}' in {missing}.*drop_missing=True"):
        RewardTable.read(GPQA, reward=[verifier, "correct"])
    table = RewardTable.read(GPQA, reward=[verifier, "correct"], drop_missing=True)
    assert table.dropped == missing
    kept = frame.dropna(subset=[verifier])
    assert table.prompts.tolist() == kept["prompt_id"].unique().tolist()
    for column in (verifier, "correct"):
        np.testing.assert_array_equal(table.columns[column], kept.sort_values("prompt_id", kind="stable")[column])


def test_gpqa_mean_verifier_averages_those_present():
    frame = pd.read_csv(GPQA)
    verifiers = members(GPQA, "verifier_")
    assert len(verifiers) == 32
    table = RewardTable.read(GPQA, reward=["nanmean:verifier_*", "correct"])
    np.testing.assert_allclose(table.columns["nanmean:verifier_*"], frame[verifiers].mean(axis=1), rtol=1e-14)
    assert (table.n_prompts, table.dropped) == (64, 0)
    absent = int(frame[verifiers].isna().sum().sum())
    assert table.notes == (
        f"'nanmean:verifier_*' averages the members present; {absent} of 131072 values are missing.",
    )
    with pytest.raises(InputError, match=r"666 of 4096 samples .*ask for 'nanmean:verifier_\*'"):
        RewardTable.read(GPQA, reward="mean:verifier_*")


@pytest.mark.parametrize("path", [GPQA, GPQA_128])
def test_gpqa_prompts_never_or_always_right_are_counted(path):
    table = RewardTable.read(path, reward="correct")
    right = pd.read_csv(path).groupby("prompt_id")["correct"].mean()
    assert table.n_samples.tolist() == [64 if path is GPQA else 128] * 64
    assert table.check_varies("correct") == int(right.isin([0.0, 1.0]).sum()) > 0


def test_rewardmath_eighteen_scorers_read_with_gold():
    table = RewardTable.read(REWARDMATH, reward=["score_*", "gold_correct"])
    assert len(table.columns) == 19
    assert (table.n_prompts, set(table.n_samples.tolist()), table.dropped) == (483, {10}, 0)
    gold = table.columns["gold_correct"].reshape(483, 10)
    assert gold.sum(axis=1).tolist() == [1.0] * 483
    frame = pd.read_csv(REWARDMATH).sort_values("prompt_id", kind="stable")
    for name, values in table.columns.items():
        np.testing.assert_array_equal(values, frame[name])


def test_rewardmath_process_rewards_read():
    table = RewardTable.read(REWARDMATH, reward="prm_*", drop_missing=True)
    assert len(table.columns) == 16


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({}, ["no column 'prompt_id' (prompt)", "'kl'", "'gold_score'", "'run'"]),
        ({"prompt": "name", "reward": "score"}, ["no column 'score' (reward)", "did you mean 'gold_score'?"]),
        ({"prompt": "run", "reward": "gold_score"}, ["1 of 46 prompts", "fewer than 2 samples", "sample more"]),
        ({"prompt": "run", "reward": "judge"}, ["'judge'", "text in 648 of 648 rows", "name a column of numbers"]),
        ({"prompt": "kl", "reward": "wins"}, ["prompts", "fewer than 2 samples"]),
        ({"prompt": "run", "reward": "wins", "sample": "wins"}, ["reward and as sample"]),
        ({"prompt": "seed", "reward": "wins", "sample": "name"}, ["27 rows", "repeat an earlier (seed, name)"]),
    ],
)
def test_a_table_of_checkpoints_is_no_table_of_samples(arguments, parts):
    with pytest.raises(InputError) as caught:
        RewardTable.read(TLDR, **arguments)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv", ".parquet", ".jsonl", ".jsonl.gz"])
def test_gpqa_is_the_same_in_every_format(tmp_path, suffix):
    frame = pd.read_csv(GPQA)
    path = tmp_path / f"gpqa{suffix}"
    if "jsonl" in suffix:
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    asked = ["nanmean:verifier_*", "correct"]
    one, other = RewardTable.read(GPQA, reward=asked), RewardTable.read(path, reward=asked)
    assert one.prompts.tolist() == other.prompts.tolist()
    assert one.notes == other.notes
    for name in asked:
        np.testing.assert_allclose(one.columns[name], other.columns[name], rtol=1e-14)


# -- the answer


def best_of_two(picking, gold):
    """Mean gold reward of the better of two different samples, ties shared, over all pairs of each prompt."""
    wins = np.sign(picking[:, :, None] - picking[:, None, :])
    pairs = 0.5 * (gold[:, :, None] * (1 + wins) + gold[:, None, :] * (1 - wins))
    m = picking.shape[1]
    off_diagonal = ~np.eye(m, dtype=bool)
    return pairs[:, off_diagonal].mean(axis=1)


def check_answer(found, base):
    """What must hold of every answer, whatever the table."""
    best, at_n = found.rules, found.limit_at_rules
    assert best.base_reward == pytest.approx(base, rel=1e-12)
    # The bound holds for the KL itself; its estimate has an error and is not clipped to it.
    assert (best.spent <= 1.02 * best.spent_formula).all()
    assert (np.diff(best.spent) > 0).all()
    assert (best.gain_low <= best.gain).all()
    assert (best.gain <= best.gain_high).all()
    assert (np.diff(found.limit.gain) >= 0).all()  # 0/1 rewards saturate
    assert (found.limit.spent <= found.limit.supported_end).all()
    assert (best.gain[at_n.supported] <= at_n.gain_high[at_n.supported]).all()
    assert "any method can gain at most" in headline(found)


@pytest.mark.parametrize("verifier", [*members(GPQA, "verifier_"), "nanmean:verifier_*"])
def test_gpqa_verifiers_against_correct(verifier):
    table = RewardTable.read(GPQA, reward=[verifier, "correct"], drop_missing=True)
    for counted in (verifier, "correct"):
        found = answer(fit_frontier(table, counted, n_boot=200), verifier, rules=BestOfN.along([2, 4, 8]))
        means = np.add.reduceat(table.columns[counted], table.offsets[:-1]) / table.n_samples
        check_answer(found, means.mean())
        two = np.empty(table.n_prompts)
        for (where, picking), (_, values) in zip(table.blocks(verifier), table.blocks(counted), strict=True):
            two[where] = best_of_two(picking, values)
        assert found.rules.gain[0] == pytest.approx((two - means).mean(), abs=1e-12)


@pytest.mark.parametrize("path", [GPQA, GPQA_128])
def test_gpqa_correct_saturates(path):
    """A 0/1 reward: the gain is the chance that one of N is right, and no KL beyond -log P(right) is of use."""
    table = RewardTable.read(path, reward="correct")
    found = answer(fit_frontier(table, "correct", n_boot=200), rules=BestOfN.along([2, 8, 64]))
    m = int(table.n_samples[0])
    right = np.add.reduceat(table.columns["correct"], table.offsets[:-1])
    for n, reward in zip((2, 8, 64), found.rules.reward, strict=True):
        none = np.array([math.comb(m - int(r), n) / math.comb(m, n) for r in right])
        assert reward == pytest.approx((1 - none).mean(), rel=1e-12)
    check_answer(found, right.mean() / m)
    assert found.rules.spent_formula[1] > 1.2 > 0.5 > found.rules.spent[1]
    assert found.constant_prompts == int(((right == 0) | (right == m)).sum())


@pytest.mark.parametrize("scorer", members(REWARDMATH, "score_"))
def test_rewardmath_scorers(scorer):
    table = RewardTable.read(REWARDMATH, reward=[scorer, "gold_correct"])
    found = answer(fit_frontier(table, scorer, n_boot=200), rules=BestOfN.along([2, 4, 8]))
    check_answer(found, table.columns[scorer].mean())
    in_gold = answer(fit_frontier(table, "gold_correct", n_boot=200), scorer, rules=BestOfN.along([2, 4, 8]))
    picking, gold = (table.columns[name].reshape(483, 10) for name in (scorer, "gold_correct"))
    assert in_gold.rules.gain[0] == pytest.approx(best_of_two(picking, gold).mean() - 0.1, abs=1e-12)
    assert repr(scorer) in headline(in_gold)
    assert "'gold_correct'" in headline(in_gold)
