"""What a newcomer types first: results that show themselves in a line, and mistakes that are told in a sentence."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import alignlib
from alignlib import InputError
from alignlib.divergences import CHI_SQUARED, REVERSE_KL
from alignlib.training.example_run import example_run

ROWS = np.random.default_rng(0).standard_normal((40, 16))
TABLE = alignlib.RewardTable.from_arrays(proxy=ROWS + 1.0, gold=ROWS**2)
FIT = alignlib.fit_frontier(TABLE, "proxy", n_boot=100)
CONSTANT = alignlib.fit_frontier(np.ones((4, 5)), n_boot=100)
LOG, BASE = example_run(60, 32, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (TABLE, "<RewardTable of 'proxy', 'gold': 40 prompts, 640 samples>"),
        (FIT, f"supported up to {FIT.supported_end:.3g} nats"),
        (CONSTANT, "no limit (InputError)"),
        (FIT.frontier, f"<EstimatedFrontier of 40 points: spent 0 to {FIT.supported_end:.3g} (kl)"),
        (FIT.at(0.1), f"gain {FIT.at(0.1).gain[0]:.3g}, 95 % interval"),
        (alignlib.Gaussian().frontier([0.5, 2.0]), "<Frontier of 2 points: spent 0.5 to 2 (kl), gain 1 to 2>"),
        (FIT.share(alignlib.BestOfN(4)), "<RuleEstimate of best-of-4: spent 0.636 nats"),
        (FIT.gold("gold"), "<GoldEstimate along n, 16 points: n 1 to 16"),
        (alignlib.ask(TABLE, "proxy", "gold", n_boot=100), "<Findings on 'proxy' counted in 'gold': 40 prompts"),
        (LOG, f"{LOG.kl.size} checkpoints of 1 run"),
        (alignlib.overlay(LOG, alignlib.fit_frontier(BASE, n_boot=100)), "<Overlay of "),
        (alignlib.KLSamples.from_sequences([-1.0, -2.0], [-1.5, -2.0]), "<KLSamples: 2 responses, log_ratio 0 to 0.5"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_result_shows_itself_in_a_line(result: object, told: str) -> None:
    assert told in repr(result)
    assert len(repr(result)) < 300


def test_rounding_of_zero_is_shown_as_zero() -> None:
    assert "gain 0 to " in repr(FIT.share())


def test_findings_as_lines_are_those_of_the_command() -> None:
    found = alignlib.ask(TABLE, "proxy", "gold", n_boot=100)
    said = alignlib.lines(found)
    assert said[0] == "40 prompts with 16 samples each."
    assert said[-1].startswith("At a KL of ")
    with pytest.raises(alignlib.InputError, match=r"lines takes what ask.*got Fit"):
        alignlib.lines(FIT)  # type: ignore[arg-type]


def test_ask_takes_arrays_as_fit_frontier_does() -> None:
    found = alignlib.ask({"proxy": ROWS + 1.0, "gold": ROWS**2}, "proxy", "gold", n_boot=100)
    assert alignlib.lines(found) == alignlib.lines(alignlib.ask(TABLE, "proxy", "gold", n_boot=100))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: FIT.share(4), "such as BestOfN\\(4\\) .* got 4"),
        (lambda: FIT.share(alignlib.BestOfN), "such as BestOfN\\(4\\) .* got the class BestOfN"),
        (lambda: alignlib.estimate_policy_kl(ROWS[0]), "KLSamples.from_sequences.* Got ndarray"),
        (lambda: alignlib.fit_frontier(ROWS[0]), "got 16 in one row.*\\(1, samples\\)"),
        (lambda: alignlib.fit_frontier([0.0, 1.0, 2.0]), "got 3 in one row"),
        (lambda: alignlib.fit_frontier(ROWS[None]), "two dimensions, .* got 3"),
    ],
)
def test_a_likely_mistake_is_a_sentence(call, sentence: str) -> None:
    with pytest.raises(alignlib.InputError, match=sentence):
        call()


def test_a_budget_is_found_under_the_name_that_the_repr_shows() -> None:
    curve = alignlib.Gaussian().frontier([0.5, 2.0])
    with pytest.raises(AttributeError, match="no attribute 'kl'; a budget is `spent`"):
        _ = curve.kl
    assert pickle.loads(pickle.dumps(curve)) == curve


def test_a_divergence_is_known_by_its_name() -> None:
    law = alignlib.FiniteLaw([0.0, 1.0, 3.0])
    for divergence in (CHI_SQUARED, REVERSE_KL):
        assert law.frontier([0.1], divergence.name) == law.frontier([0.1], divergence)
    assert law.frontier([0.1], "reverse-kl") == law.frontier([0.1], REVERSE_KL)
    assert law.max_spent("chi2") == law.max_spent(CHI_SQUARED)
    with pytest.raises(InputError, match=r"got 'backward'\. Known by name: .*'reverse_kl', 'total_variation'"):
        law.frontier([0.1], "backward")


def test_a_result_given_for_a_number_is_told_its_number() -> None:
    with pytest.raises(InputError, match=r"such as \.value"):
        alignlib.fano_floor(alignlib.capacity(np.eye(2)), 2)  # type: ignore[arg-type]


def test_ratings_that_name_raters_are_judged_by_raters() -> None:
    raters = np.arange(120) % 6
    table = alignlib.RaterTable.from_arrays(np.arange(120) % 2, (np.arange(120) * 7 // 3 + raters) % 2, rater=raters)
    assert repr(table) == "<RaterTable: 120 labels given, 2 different; 2 targets, 1 context, 6 raters>"
    found = alignlib.ask_capacity(table)
    assert found == alignlib.ask_capacity(table, by_rater=True)
    assert found.n_raters == 6
    apart = alignlib.ask_capacity(table, by_rater=False)
    assert any("Labels count as independent, though 6 raters gave them" in note for note in apart.notes)


def test_a_share_that_is_not_supported_is_not_shown_as_known() -> None:
    share = FIT.share(alignlib.BestOfN.along([2, 16]))
    assert share.supported is not None
    assert share.supported.tolist() == [True, False]
    assert repr(share).endswith(f"share {share.share[0]:.3g} (not supported at 1 of 2)>")
