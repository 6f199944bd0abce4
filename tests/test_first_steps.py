"""What a newcomer types first: results that show themselves in a line, and mistakes that are told in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

import alignlib
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
        (FIT.frontier, f"<EstimatedFrontier of 40 points: kl 0 to {FIT.supported_end:.3g}"),
        (FIT.at(0.1), f"gain {FIT.at(0.1).gain[0]:.3g}, 95 % interval"),
        (alignlib.Gaussian().frontier([0.5, 2.0]), "<Frontier of 2 points: kl 0.5 to 2, gain 1 to 2>"),
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
