"""Runs on a part of the table's prompts: their limit is that of these prompts, not of all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alignlib._core.errors import InputError
from alignlib.answers.output.comparison import lines as compared
from alignlib.answers.output.overlay import lines, points
from alignlib.answers.output.run_headlines import headlines
from alignlib.estimation import fit_frontier
from alignlib.tables import RewardTable
from alignlib.training import compare_runs, overlay
from alignlib.training.logs.per_prompt import PerPrompt
from alignlib.training.logs.training_log import TrainingLog, joined_logs

SIZE, CHECKPOINTS = 40, 10
RATES = np.repeat([0.95, 0.5], SIZE)  # of success: easy prompts, and hard ones


def optimum(first: int, lam: float, rng: np.random.Generator, order: np.ndarray | None = None) -> TrainingLog:
    """The optimum at each of some λ on some prompts, 40 exact responses each: it has all of what can be gained."""
    rows: list[tuple[int, str, float, float]] = []
    prompts = np.arange(first, first + SIZE)
    for at, tilt in enumerate(np.linspace(0.0, lam, CHECKPOINTS)):
        chosen = prompts if order is None else order[at]
        for x in chosen.tolist():
            p = RATES[x]
            q = p * np.exp(tilt) / (p * np.exp(tilt) + 1.0 - p)
            kl = q * np.log(q / p) + (1.0 - q) * np.log((1.0 - q) / (1.0 - p))
            rows.append((at, f"p{x}", float(kl), float(q + 0.02 * rng.standard_normal())))
    place, names, kl, reward = (np.array(part, dtype=kind) for part, kind in zip(
        zip(*rows, strict=True), (int, object, float, float), strict=True))  # fmt: skip
    count = np.bincount(place).astype(float)
    mean = [np.bincount(place, part) / count for part in (kl, reward)]
    return TrainingLog(
        "run", "kl", "sequence", "reward", 10.0 * np.arange(CHECKPOINTS), mean[0], mean[0], mean[1], None,
        np.full(CHECKPOINTS, "run", dtype=object), (), PerPrompt(place, names, kl, reward, np.full(place.size, 40.0)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def table() -> RewardTable:
    rows = (np.random.default_rng(0).random((2 * SIZE, 48)) < RATES[:, None]).astype(float)
    return RewardTable.from_arrays(reward=rows, prompts=[f"p{x}" for x in range(2 * SIZE)])


def test_runs_on_easy_and_on_hard_prompts_both_have_all_of_their_own_limit(table: RewardTable) -> None:
    rng = np.random.default_rng(1)
    logs = {"easy": optimum(0, 3.0, rng), "hard": optimum(SIZE, 1.2, rng)}
    fit = fit_frontier(table, n_boot=200)
    found = compare_runs(logs, fit)
    assert found.share is not None
    assert found.share_low is not None
    assert found.limit is not None
    assert not found.placed.above.any()
    assert (found.share_low[:, -1] <= 1.0).all()
    assert (found.share[:, -1] > 0.8).all()  # by the limit of all prompts the easy ones would have less than half
    assert found.limit[0, -1] < 0.6 * found.limit[1, -1]
    text = " ".join(compared(found))
    assert "its own, and so is its limit" in text
    assert "nan" not in text
    assert "shares are of the limit on a run's own prompts" in text
    assert "would take prompts out of it" not in text
    both = joined_logs(list(logs.values()), list(logs), "both")
    placed = overlay(both, fit)
    assert list(placed.own or ()) == ["easy", "hard"]
    assert not placed.above.any()
    assert (placed.share_high[placed.supported] >= 0.95).all()
    for name, log in logs.items():  # side by side as each by itself
        alone = overlay(replace(log, run=np.full(log.kl.size, name, dtype=object)), fit)
        np.testing.assert_array_equal(placed.share[placed.log.run == name], alone.share)
        assert any("the limit is that of these" in note for note in alone.notes)
    assert {row.get("run") for row in points(placed) if row["what"] == "limit"} == {"easy", "hard"}
    assert all("nan" not in said for said in [*lines(placed), *headlines(placed)])


def test_prompts_that_change_their_kind_along_a_run_are_doubted(table: RewardTable) -> None:
    """Batches drawn at random are not; easy prompts first and hard ones last are."""
    rng = np.random.default_rng(2)
    fit = fit_frontier(table, n_boot=200)
    mixed = [rng.choice(2 * SIZE, 16, replace=False) for _ in range(CHECKPOINTS)]
    sorted_ones = [np.arange(8 * at, 8 * at + 8) for at in range(CHECKPOINTS)]
    for order, doubted in ((mixed, False), (sorted_ones, True)):
        found = overlay(optimum(0, 0.8, rng, np.array(order)), fit, check=False)
        assert any("on prompts of different kinds" in note for note in found.notes) == doubted
        assert found.doubted or not doubted
        assert np.isnan(found.share).all() == doubted
        if doubted:  # the optimum of each checkpoint's prompts is not called impossible, nor given a share
            assert not found.above.any()
            assert "its checkpoints are on different prompts" in headlines(found)[0]
            assert all("nan" not in said for said in [*lines(found), *headlines(found)])


def test_prompts_without_a_limit_are_refused(table: RewardTable) -> None:
    log = optimum(0, 1.0, np.random.default_rng(3))
    values = table.column("reward").copy()
    values[: table.offsets[SIZE]] = 1.0  # the base solves the run's prompts always
    flat = RewardTable.from_arrays(reward=values.reshape(2 * SIZE, -1), prompts=table.prompts.tolist())
    with pytest.raises(InputError, match="'run' is on 40 prompts of the table's 80, and their base samples show no"):
        overlay(log, fit_frontier(flat, n_boot=100), check=False)


def answered(rates: np.ndarray, lam: float, responses: int, rng: np.random.Generator) -> TrainingLog:
    """The optimum on all of some prompts, by so many answers to each, right or wrong."""
    log = optimum(0, lam, rng, np.tile(np.arange(rates.size), (CHECKPOINTS, 1)))
    held = log.per_prompt
    assert held is not None
    tilt = np.linspace(0.0, lam, CHECKPOINTS)[held.checkpoint]
    p = np.tile(rates, CHECKPOINTS)
    q = p * np.exp(tilt) / (p * np.exp(tilt) + 1.0 - p)
    kl = q * np.log(q / p) + (1.0 - q) * np.log((1.0 - q) / (1.0 - p))
    own = replace(held, kl=kl, reward=rng.binomial(responses, q) / responses, count=np.full(q.size, float(responses)))
    mean = [part.reshape(CHECKPOINTS, -1).mean(axis=1) for part in (own.kl, own.reward)]
    return replace(log, kl=mean[0], logged_kl=mean[0], reward=mean[1], per_prompt=own)


@pytest.mark.parametrize(
    ("rates", "samples", "lam"),
    [
        pytest.param([0.5, 0.3], 64, 1.5, id="two prompts: half of such runs were accused"),
        pytest.param([0.97] * 40, 8, 3.0, id="nearly all answers right"),
        pytest.param([0.06] * 12, 16, 2.0, id="nearly all wrong"),
    ],
)
def test_right_and_wrong_answers_accuse_no_honest_run(rates: list[float], samples: int, lam: float) -> None:
    rng, rate = np.random.default_rng(4), np.array(rates)
    found_out = 0
    for _ in range(4):
        rows = (rng.random((rate.size, samples)) < rate[:, None]).astype(float)
        table = RewardTable.from_arrays(reward=rows, prompts=[f"p{x}" for x in range(rate.size)])
        fit, log = fit_frontier(table, n_boot=100), answered(rate, lam, 16, rng)
        for one in (log, replace(log, per_prompt=None)):
            found = overlay(one, fit)
            assert not found.above.any()
            assert (found.share_high[found.supported] <= 1.0).all()
            assert (found.share_low[found.supported] <= 1.0).all()
        if rate.size == 2:
            wrong = overlay(replace(log, kl=log.kl / 64.0, per_prompt=None), fit, check=False)
            found_out += bool(wrong.above.any())
            assert np.isnan(wrong.share[wrong.above]).all()
    assert rate.size > 2 or found_out >= 2  # a wrong unit is found out all the same, be the prompts ever so few
