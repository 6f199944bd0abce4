"""pass@k, pass^k, majority votes and their intervals: against enumeration, exact fractions and laws not tuned on."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from click.testing import CliRunner

from alignlib._core.errors import InputError
from alignlib._core.root import rising_root
from alignlib.cli.main import main
from alignlib.estimation import bounded_mean_interval
from alignlib.laws import Bernoulli, PromptAverage
from alignlib.pass_at_k import (
    all_of_k_estimate,
    estimate_pass_at_k,
    kl_of_success,
    majority_estimate,
    majority_of_law,
    pass_at_k,
    pass_at_k_estimate,
    pass_frontier,
)
from alignlib.pass_at_k.votes import _simulated
from alignlib.rules import best_of_n_mean
from alignlib.tables import AnswerTable


# ------------------------------------------------------------------ counts
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 3), (40, 20), (300, 1), (300, 150), (300, 300)])
def test_estimates_are_exact_fractions(n: int, k: int) -> None:
    c = np.arange(n + 1)
    whole = math.comb(n, k)
    some = [float(1 - Fraction(math.comb(n - x, k), whole)) for x in c.tolist()]
    every = [float(Fraction(math.comb(x, k), whole)) for x in c.tolist()]
    np.testing.assert_allclose(pass_at_k_estimate(n, c, k), some, rtol=1e-12)
    np.testing.assert_allclose(all_of_k_estimate(n, c, k), every, rtol=1e-12)


def test_pass_at_k_is_best_of_k_on_zeros_and_ones() -> None:
    rewards = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    for k in range(1, 8):
        assert pass_at_k_estimate(7, 2, k) == pytest.approx(best_of_n_mean(rewards, k), rel=1e-13)


def test_random_tables_against_the_published_loop() -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(5, 60, 200)
    c = rng.binomial(n, rng.random(200))
    for k in (1, 2, 5):
        loop = [
            1.0 if a - b < k else 1.0 - np.prod(1.0 - k / np.arange(a - b + 1, a + 1))
            for a, b in zip(n, c, strict=True)
        ]
        np.testing.assert_allclose(pass_at_k_estimate(n, c, k), loop, atol=1e-13)


# ------------------------------------------------------------------ votes
def by_hand(counts: np.ndarray, right: np.ndarray, k: int, abstaining: int) -> np.ndarray:
    """Shared, lost and won ties over all subsets."""
    votes = [a for a, count in enumerate(counts) for _ in range(count)] + [-1] * abstaining
    total, size = np.zeros(3), 0
    for subset in itertools.combinations(votes, k):
        size += 1
        tally = np.bincount([vote for vote in subset if vote >= 0], minlength=len(counts))
        if not tally.any():
            continue
        top = tally == tally.max()
        ours = (top & right).sum()
        total += [ours / top.sum(), ours == top.sum(), ours > 0]
    return total / size


def test_votes_against_every_subset() -> None:
    rng = np.random.default_rng(1)
    seen = 0
    while seen < 40:
        counts, none = rng.integers(0, 4, rng.integers(1, 6)), int(rng.integers(0, 3))
        n = int(counts.sum()) + none
        if not counts.any() or n > 10:
            continue
        right, k = rng.random(counts.size) < 0.4, int(rng.integers(1, n + 1))
        found = majority_estimate(counts, right, k, abstaining=none)
        np.testing.assert_allclose(
            [found.value, found.ties_lost, found.ties_won], by_hand(counts, right, k, none), atol=1e-13
        )
        seen += 1


def test_votes_of_a_law_against_every_sequence_and_the_binomial() -> None:
    prob, right = np.array([0.5, 0.3, 0.1]), np.array([False, True, True])
    total = 0.0
    for words in itertools.product(range(4), repeat=5):
        tally = np.bincount(words, minlength=4)[:3]
        top = (tally == tally.max()) & (tally > 0)
        if top.any():
            total += float(np.append(prob, 0.1)[list(words)].prod() * (top & right).sum() / top.sum())
    assert majority_of_law(prob, right, 5).value == pytest.approx(total, rel=1e-12)
    two = majority_of_law([0.55, 0.45], np.array([True, False]), 101).value
    assert two == pytest.approx(scipy.stats.binom.sf(50, 101, 0.55), rel=1e-10)


def test_large_votes_stay_exact_and_very_large_ones_say_their_error() -> None:
    n = np.array([90, 70, 40])
    right = np.array([True, False, False])
    exact = majority_estimate(n, right, 50)
    drawn = _simulated(n, right, 0, 50, np.random.default_rng(0))
    assert exact.error == 0.0 < drawn.error
    assert drawn.value == pytest.approx(exact.value, abs=5 * drawn.error)
    assert drawn.ties_lost == pytest.approx(exact.ties_lost, abs=0.02)
    huge = majority_estimate(np.append(3000, np.ones(300)), np.arange(301) == 0, 2000)
    assert huge.error > 0.0
    assert huge.value == 1.0


def test_one_vote_is_one_response() -> None:
    found = majority_estimate([3, 2, 4], np.array([True, False, True]), 1, abstaining=1)
    assert found.value == pytest.approx(0.7, rel=1e-13)


# ------------------------------------------------------------------ intervals
@pytest.mark.parametrize(("n", "c"), [(1, 0), (1, 1), (2, 1), (7, 7), (40, 1), (40, 39), (400, 400), (1000, 300)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_interval_of_zeros_and_ones_is_clopper_and_pearsons(n: int, c: int, level: float) -> None:
    tail = (1.0 - level) / 2.0
    low = scipy.stats.beta.ppf(tail, c, n - c + 1) if c else 0.0
    high = scipy.stats.beta.ppf(1.0 - tail, c + 1, n - c) if c < n else 1.0
    np.testing.assert_allclose(bounded_mean_interval([1.0] * c + [0.0] * (n - c), level), (low, high), atol=1e-8)


def test_interval_of_other_values_against_random_weights() -> None:
    values = np.random.default_rng(0).beta(0.5, 0.5, 7)
    weights = np.random.default_rng(1).dirichlet(np.ones(8), 200_000)
    low = np.quantile(weights @ np.append(values, 0.0), 0.025)
    high = np.quantile(weights @ np.append(values, 1.0), 0.975)
    np.testing.assert_allclose(bounded_mean_interval(values), (low, high), atol=3e-3)
    shifted = bounded_mean_interval(2.0 * values - 1.0, low=-1.0)
    np.testing.assert_allclose(shifted, 2.0 * np.array(bounded_mean_interval(values)) - 1.0, atol=1e-9)


def test_interval_of_many_values_is_rounded_outward() -> None:
    values = np.random.default_rng(0).integers(0, 64, 2500) / 64 + 1e-5
    low, high = bounded_mean_interval(values)
    error = 1.96 * values.std() / 50.0
    assert values.mean() - error - 1e-3 < low < values.mean() - 0.9 * error
    assert values.mean() + 0.9 * error < high < values.mean() + error + 1e-3


LAWS = {  # of the rate of success over prompts: (draw, prompts, responses, k)
    "near 0": (lambda rng, m: rng.beta(0.05, 5.0, m), 20, 8, 4),
    "near 1": (lambda rng, m: rng.beta(6.0, 0.1, m), 12, 8, 2),
    "three prompts": (lambda rng, m: rng.random(m), 3, 16, 4),
    "never or always": (lambda rng, m: (rng.random(m) < 0.9).astype(float), 10, 4, 2),
}


@pytest.mark.parametrize("name", LAWS)
def test_intervals_hold_as_often_as_they_say(name: str) -> None:
    """Laws that had no part in the choice of the interval, and many more tables in the benchmark."""
    draw, prompts, n, k = LAWS[name]
    rng = np.random.default_rng(7)
    rates = draw(rng, 200_000)
    truth = float(np.mean(pass_at_k(rates, k)))
    held = 0
    for _ in range(60):
        right = rng.binomial(n, draw(rng, prompts))
        low, high = bounded_mean_interval(np.asarray(pass_at_k_estimate(n, right, k)))
        assert high > low
        held += low <= truth <= high
    assert held >= 52  # of 57 expected; below with probability under 2 % at exactly 95 %


# ------------------------------------------------------------------ frontier
def test_pass_frontier_is_certified_and_the_tilt_for_one_try() -> None:
    q = np.append(np.random.default_rng(0).beta(0.3, 1.0, 40), [1e-9, 1.0 - 1e-9])
    budgets = [0.0, 1e-8, 0.01, 0.3, 1.0, 2.0]
    for k in (1, 2, 8, 64):
        found = pass_frontier(q, k, budgets)
        assert np.abs(found.dual - found.gain).max() < 1e-12
        np.testing.assert_allclose(kl_of_success(found.success, q).mean(axis=1), budgets, rtol=1e-9, atol=1e-15)
    law = PromptAverage([Bernoulli(float(s)) for s in q])
    np.testing.assert_allclose(pass_frontier(q, 1, budgets).gain, law.gain_at_kl(budgets), rtol=1e-9)


def test_pass_frontier_where_prompts_are_never_or_always_right() -> None:
    found = pass_frontier([0.0, 1.0, 0.5], 2, [0.1, math.log(2.0) / 3.0, 9.0])
    assert found.success[:, :2].tolist() == [[0.0, 1.0]] * 3
    np.testing.assert_allclose(found.reward[1:], 2.0 / 3.0, rtol=1e-12)
    assert found.base_reward == pytest.approx(1.75 / 3.0)
    assert pass_frontier([0.0, 1.0], 3, [0.5]).gain.tolist() == [0.0]


def test_rising_root_takes_infinite_ends() -> None:
    root = rising_root(lambda x: -math.inf if x == 0.0 else math.log(x) + 3.0, 0.0, 1.0)
    assert root == pytest.approx(math.exp(-3.0), rel=1e-12)
    assert rising_root(lambda x: x, 0.0, 1.0) == 0.0


# ------------------------------------------------------------------ tables
def test_a_table_is_averaged_over_prompts_that_have_k_and_says_so() -> None:
    table = AnswerTable.from_arrays([[1, 0, 0, 0], [1, 1]], answer=[list("ABBC"), list("AA")])
    found = estimate_pass_at_k(table, [1, 4])
    assert found.prompts.tolist() == [2, 1]
    np.testing.assert_allclose(found.some.value, [0.625, 1.0])
    assert found.majority is not None
    np.testing.assert_allclose(found.majority.value, [0.625, 0.0])
    assert len(found.notes) == 1
    assert found.notes[0].startswith("k = 4: 1 prompt of 2 with fewer than 4 responses are not in this row; compare it")


def test_all_right_tables_have_intervals_of_some_width() -> None:
    found = estimate_pass_at_k(AnswerTable.from_arrays(np.ones((5, 4)), answer=np.ones((5, 4)), score=np.zeros((5, 4))))
    for one in (found.some, found.every, found.majority, found.picked):
        assert one is not None
        assert (one.value == 1.0).all()
        assert (one.low < 0.6).all()


def test_a_score_without_information_picks_like_chance_and_a_perfect_one_passes() -> None:
    correct = np.random.default_rng(0).random((6, 8)) < 0.4
    blind = estimate_pass_at_k(AnswerTable.from_arrays(correct, score=np.zeros((6, 8))), [1, 4, 8])
    sighted = estimate_pass_at_k(AnswerTable.from_arrays(correct, score=correct.astype(float)), [1, 4, 8])
    assert blind.picked is not None
    assert sighted.picked is not None
    np.testing.assert_allclose(blind.picked.value, correct.mean(), rtol=1e-12)
    np.testing.assert_allclose(sighted.picked.value, sighted.some.value, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"correct": [[1, 0.5]]}, "must be 1 or 0"),
        ({"correct": [[1, 0]], "answer": [["A", "A"]]}, "right in some responses and wrong in others"),
        ({"correct": [[1, 0]], "answer": [["A"]]}, "answer"),
    ],
)
def test_tables_that_make_no_sense_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        AnswerTable.from_arrays(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pass_at_k_estimate(4, 2, 5), "k must not exceed n"),
        (lambda: pass_at_k_estimate(4, 5, 2), "correct must not exceed n"),
        (lambda: pass_at_k_estimate(4.5, 1, 2), "whole numbers"),
        (lambda: pass_at_k(1.5, 2), r"success must lie in \[0, 1\]"),
        (lambda: majority_estimate([1, 2], [True, False], 4), "k must not exceed the responses"),
        (lambda: majority_estimate([1, 2], [1, 0], 2), "True or False"),
        (lambda: majority_of_law([0.7, 0.7], [True, False], 3), "must not sum to more than 1"),
        (lambda: pass_frontier([0.5], 2, [-1.0]), "kl must not be negative"),
        (lambda: bounded_mean_interval([0.5, 1.5]), "values must lie in"),
        (lambda: bounded_mean_interval([0.5], 1.0), "level must lie between"),
    ],
)
def test_arguments_out_of_range_are_refused(call: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()  # type: ignore[operator]


# ------------------------------------------------------------------ the command
ROWS = "prompt_id,answer,correct,score\n" + "".join(
    f"p{i // 4},{a},{int(a == 'A')},{0.1 * i}\n" for i, a in enumerate("AABCABBBCCCC")
)


def passk(folder: Path, content: str, *options: str) -> tuple[int, str]:
    (folder / "t.csv").write_text(content)
    done = CliRunner().invoke(main, ["passk", str(folder / "t.csv"), *options])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (("", ""), ["--k", "5"], "--k must not exceed the responses to a prompt, at most 4 here; got 5."),
        (("", ""), ["--k", "0"], "--k must hold whole numbers from 1 on; got 0."),
        (("", ""), ["--correct", "score"], "must be 1 or 0 for each response"),
        (("", ""), ["--answer", "correct"], "'correct' is asked for twice, as (--correct) and as (--answer)"),
        (("", ""), ["--blank-abstains"], "Only answers abstain: pass --answer"),
        (("", ""), ["--answer", "answer", "--abstains", "Z"], "no response of"),
        (("", ""), ["--score", "absent"], "no column 'absent'"),
        (
            ("p0,A,1", "p0,,1"),
            ["--answer", "answer"],
            "have no 'answer'; row 2 (the header is row 1). Fill them in, pass",
        ),
        (("p0,A,1", "p0,A,0"), ["--answer", "answer"], "the first 'A' to prompt 'p0' (1 of 2 right)"),
        (("p0,A,1", "p0,A,x"), [], "'x'"),
        (("", ""), ["-o", "picture.gif"], "--output must end in .png, .svg or .pdf; got picture.gif."),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, change: tuple[str, str], options: list[str], said: str) -> None:
    code, output = passk(tmp_path, ROWS.replace(*change, 1) if change[0] else ROWS, *options)
    assert (code, output.count("\n")) == (2, 1)
    assert said in output


def test_the_command_in_all_its_forms(tmp_path: Path) -> None:
    asked = ("--answer", "answer", "--score", "score", "--k", "1,4")
    code, text = passk(tmp_path, ROWS, *asked, "-o", str(tmp_path / "p.png"))
    assert code == 0
    assert (tmp_path / "p.png").stat().st_size > 10_000
    assert "3 prompts with 4 responses each; 1 never right in them, 0 always." in text
    document = json.loads(passk(tmp_path, ROWS, *asked, "--json")[1])
    assert [row["pass_at_k"] for row in document["rows"]] == pytest.approx([0.25, 2 / 3])
    assert document["rows"][1]["best_of_k"] == 0.0  # the last of each prompt scores highest
    assert document["rows"][1]["maj_at_k"] == pytest.approx(1.0 / 3.0)
    lines = passk(tmp_path, ROWS, *asked, "--csv")[1].splitlines()
    assert lines[0].startswith("k,prompts,pass_at_k,pass_at_k_low")
    assert len(lines) == 3


def test_nought_has_no_sign(tmp_path: Path) -> None:
    """At k = 1 all that choose are the same, and their difference is nought up to rounding, of either sign."""
    rng = np.random.default_rng(6)
    rows = [
        f"p{prompt},{(answer := rng.choice(list('ABC')))},{int(answer == 'A')},{rng.normal():.3f}"
        for prompt in range(7)
        for _ in range(int(rng.integers(3, 8)))
    ]
    table = "\n".join(["prompt_id,answer,correct,score", *rows])
    code, text = passk(tmp_path, table, "--answer", "answer", "--score", "score", "--k", "1")
    assert code == 0
    assert "  0.0000 [0.000, 0.000]" in text  # on every prompt there can be
    assert "-0.0000" not in text


def test_responses_without_an_answer_abstain_where_that_is_said(tmp_path: Path) -> None:
    blank = ROWS.replace("p1,B", "p1,").replace("p2,C", "p2,none given")
    options = ("--answer", "answer", "--blank-abstains", "--abstains", "none given", "--k", "4", "--json")
    document = json.loads(passk(tmp_path, blank, *options)[1])
    assert "7 of 12 responses give no answer and cast no vote." in document["notes"]
    assert document["rows"][0]["maj_at_k"] == pytest.approx(2.0 / 3.0)


def test_answers_that_differ_in_capitals_are_pointed_out_and_two_forms_refused(tmp_path: Path) -> None:
    table = "prompt_id,answer,correct\np,A,1\np,a,0\nq,A,1\nq,B,0\n"
    assert "'A' and 'a' in column 'answer' differ in capitals" in passk(tmp_path, table, "--answer", "answer")[1]
    code, said = passk(tmp_path, table, "--json", "--csv")
    assert code == 2
    assert "--json and --csv are two forms of one answer" in said


def test_the_interval_of_a_bounded_mean_scales_with_values_near_the_least_double() -> None:
    values = np.array([0.2, 0.5, 0.9, 0.4])
    low = bounded_mean_interval(values)[0]
    for small in (1e-50, 1e-150, 1e-300):
        assert bounded_mean_interval(small * values)[0] == pytest.approx(small * low, rel=1e-9)


@pytest.mark.parametrize("kl", [1e-60, 5e-324])
def test_a_budget_below_rounding_gains_nothing_and_ends(kl: float) -> None:
    assert pass_frontier([0.02, 0.6], 1, [kl]).gain[0] == pytest.approx(0.0, abs=1e-15)
