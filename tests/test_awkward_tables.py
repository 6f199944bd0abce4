"""Reading and answering tables with ties, missing cells, many columns, prompts never right, repeated names."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alignlib._core.errors import InputError
from alignlib.answers.answer import answer
from alignlib.answers.output.frontier_sentences import headline
from alignlib.estimation import fit_frontier
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from tests import awkward
from tests.awkward import JUDGES, MODELS, VERIFIERS

SCORERS = [f"score_{name}" for name in (*MODELS, *JUDGES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The four tables as files."""
    path = tmp_path_factory.mktemp("awkward")
    for name in ("answers", "verified", "scored", "checkpoints"):
        getattr(awkward, name)().to_csv(path / f"{name}.csv", index=False)
    return path


# -- reading


@pytest.mark.parametrize("verifier", VERIFIERS[:3])
def test_each_verifier_reads_with_gold(folder, verifier):
    path = folder / "verified.csv"
    frame = pd.read_csv(path)
    missing = int(frame[verifier].isna().sum())
    assert missing > 0
    with pytest.raises(InputError, match=rf"{missing} of 1280 samples .*'{verifier}' in {missing}.*drop_missing=True"):
        RewardTable.read(path, reward=[verifier, "correct"])
    table = RewardTable.read(path, reward=[verifier, "correct"], drop_missing=True)
    assert table.dropped == missing
    kept = frame.dropna(subset=[verifier])
    assert table.prompts.tolist() == kept["prompt_id"].unique().tolist()
    for column in (verifier, "correct"):
        np.testing.assert_array_equal(table.columns[column], kept[column])


def test_the_mean_verifier_averages_those_present(folder):
    path = folder / "verified.csv"
    frame = pd.read_csv(path)
    table = RewardTable.read(path, reward=["nanmean:verifier_*", "correct"])
    np.testing.assert_allclose(table.columns["nanmean:verifier_*"], frame[VERIFIERS].mean(axis=1), rtol=1e-14)
    assert (table.n_prompts, table.dropped) == (40, 0)
    absent = int(frame[VERIFIERS].isna().sum().sum())
    assert table.notes == (
        f"'nanmean:verifier_*' averages the members present; {absent} of {1280 * 12} values are missing.",
    )
    lacking = int(frame[VERIFIERS].isna().any(axis=1).sum())
    with pytest.raises(InputError, match=rf"{lacking} of 1280 samples .*ask for 'nanmean:verifier_\*'"):
        RewardTable.read(path, reward="mean:verifier_*")


@pytest.mark.parametrize(("name", "n"), [("verified", 32), ("answers", 64)])
def test_prompts_never_or_always_right_are_counted(folder, name, n):
    table = RewardTable.read(folder / f"{name}.csv", reward="correct")
    right = pd.read_csv(folder / f"{name}.csv").groupby("prompt_id")["correct"].mean()
    assert table.n_samples.tolist() == [n] * 40
    assert table.check_varies("correct") == int(right.isin([0.0, 1.0]).sum()) >= 8


def test_many_scorers_read_with_gold(folder):
    table = RewardTable.read(folder / "scored.csv", reward=["score_*", "gold_correct"])
    assert sorted(table.columns) == sorted([*SCORERS, "gold_correct"])
    assert (table.n_prompts, set(table.n_samples.tolist()), table.dropped) == (120, {10}, 0)
    assert table.columns["gold_correct"].reshape(120, 10).sum(axis=1).tolist() == [1.0] * 120
    frame = pd.read_csv(folder / "scored.csv")
    for name, values in table.columns.items():
        np.testing.assert_array_equal(values, frame[name])


def test_process_rewards_read(folder):
    table = RewardTable.read(folder / "scored.csv", reward="prm_*", drop_missing=True)
    assert (len(table.columns), table.dropped > 0) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({}, ["no column 'prompt_id' (prompt)", "'kl'", "'gold_score'", "'run'"]),
        ({"prompt": "name", "reward": "score"}, ["no column 'score' (reward)", "did you mean 'gold_score'?"]),
        ({"prompt": "run", "reward": "judge"}, ["'judge'", "text in 120 of 120 rows", "name a column of numbers"]),
        ({"prompt": "name", "reward": "wins"}, ["110 of 115 prompts", "fewer than 2 samples", "sample more"]),
        ({"prompt": "run", "reward": "wins", "sample": "wins"}, ["reward and as sample"]),
        ({"prompt": "seed", "reward": "wins", "sample": "name"}, ["5 rows", "repeat an earlier ('seed', 'name')"]),
    ],
)
def test_a_table_of_checkpoints_is_no_table_of_samples(folder, arguments, parts):
    with pytest.raises(InputError) as caught:
        RewardTable.read(folder / "checkpoints.csv", **arguments)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv", ".parquet", ".jsonl", ".jsonl.gz"])
def test_a_table_is_the_same_in_every_format(folder, tmp_path, suffix):
    given = folder / "verified.csv"
    frame = pd.read_csv(given)
    path = tmp_path / f"verified{suffix}"
    if "jsonl" in suffix:
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    asked = ["nanmean:verifier_*", "correct"]
    one, other = RewardTable.read(given, reward=asked), RewardTable.read(path, reward=asked)
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
    assert (np.diff(best.spent) > -0.02 * best.spent[1:]).all()  # so may it fall where it has saturated
    assert (best.gain_low <= best.gain).all()
    assert (best.gain <= best.gain_high).all()
    assert (np.diff(found.limit.gain) >= 0).all()  # 0/1 rewards saturate
    assert (found.limit.spent <= found.limit.supported_end).all()
    assert (best.gain[at_n.supported] <= at_n.gain_high[at_n.supported]).all()
    assert "any method can gain at most" in headline(found)


@pytest.mark.parametrize("verifier", [*VERIFIERS[:2], "nanmean:verifier_*"])
def test_verifiers_against_correct(folder, verifier):
    table = RewardTable.read(folder / "verified.csv", reward=[verifier, "correct"], drop_missing=True)
    for counted in (verifier, "correct"):
        found = answer(fit_frontier(table, counted, n_boot=200), verifier, rules=BestOfN.along([2, 4, 8]))
        means = np.add.reduceat(table.columns[counted], table.offsets[:-1]) / table.n_samples
        check_answer(found, means.mean())
        two = np.empty(table.n_prompts)
        for (where, picking), (_, values) in zip(table.blocks(verifier), table.blocks(counted), strict=True):
            two[where] = best_of_two(picking, values)
        assert found.rules.gain[0] == pytest.approx((two - means).mean(), abs=1e-12)


@pytest.mark.parametrize("name", ["verified", "answers"])
def test_a_reward_of_zero_or_one_saturates(folder, name):
    """The gain is the chance that one of N is right, and no KL beyond -log P(right) is of use."""
    table = RewardTable.read(folder / f"{name}.csv", reward="correct")
    m = int(table.n_samples[0])
    found = answer(fit_frontier(table, "correct", n_boot=200), rules=BestOfN.along([2, 8, m]))
    right = np.add.reduceat(table.columns["correct"], table.offsets[:-1])
    for n, reward in zip((2, 8, m), found.rules.reward, strict=True):
        none = np.array([math.comb(m - int(r), n) / math.comb(m, n) for r in right])
        assert reward == pytest.approx((1 - none).mean(), rel=1e-12)
    check_answer(found, right.mean() / m)
    assert found.rules.spent_formula[1] > 1.2 > 0.5 > found.rules.spent[1]
    assert found.constant_prompts == int(((right == 0) | (right == m)).sum())


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_of_ten_solutions(folder, scorer):
    table = RewardTable.read(folder / "scored.csv", reward=[scorer, "gold_correct"])
    found = answer(fit_frontier(table, scorer, n_boot=200), rules=BestOfN.along([2, 4, 8]))
    check_answer(found, table.columns[scorer].mean())
    in_gold = answer(fit_frontier(table, "gold_correct", n_boot=200), scorer, rules=BestOfN.along([2, 4, 8]))
    picking, gold = (table.columns[name].reshape(120, 10) for name in (scorer, "gold_correct"))
    assert in_gold.rules.gain[0] == pytest.approx(best_of_two(picking, gold).mean() - 0.1, abs=1e-12)
    assert repr(scorer) in headline(in_gold)
    assert "'gold_correct'" in headline(in_gold)
