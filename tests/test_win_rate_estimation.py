"""Win rates from samples: the universal curve, ties, rules without bias, and a fixed opponent."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from statistics import NormalDist

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignlib._core.errors import InputError
from alignlib.answers.findings import ask
from alignlib.answers.output.any_answer import lines
from alignlib.answers.output.frontier import points
from alignlib.divergences import CHI_SQUARED, HELLINGER, KL, Divergence, Renyi, as_divergence
from alignlib.estimation import fit_frontier, tied_pairs, win_rate_curve
from alignlib.estimation.win_rate_curve import without_ties
from alignlib.laws import FiniteLaw, Uniform, largest_win_rate, win_rates
from alignlib.rules import BestOfN, prepare
from alignlib.rules.samples import SampleLevels
from alignlib.tables import RewardTable, against_opponent


def test_the_tabulated_curve_is_the_uniform_law() -> None:
    kl = np.concatenate([[0.0], np.geomspace(1e-14, 29.99, 300), [30.0, 31.0, 300.0]])
    want = 0.5 + np.asarray(Uniform().gain_at_kl(kl))
    np.testing.assert_allclose(largest_win_rate(kl), want, atol=1e-12, rtol=0)
    assert isinstance(largest_win_rate(0.5), float)
    assert largest_win_rate(math.inf) == 1.0
    with pytest.raises(InputError, match="kl must"):
        largest_win_rate(-0.1)


def test_without_ties_nothing_is_estimated() -> None:
    """Whatever the reward: the curve is exact and its interval has no width."""
    rng = np.random.default_rng(0)
    for rows in (rng.standard_normal((20, 8)), rng.standard_cauchy((20, 8))):
        fit = fit_frontier(rows, win_rate=True, n_boot=100)
        at = fit.at([0.1, 0.5, 2.0])
        np.testing.assert_allclose(at.reward, largest_win_rate([0.1, 0.5, 2.0]), atol=1e-8)
        assert at.gain_high == pytest.approx(at.gain_low)
        assert fit.supported_end == math.inf
        best = fit.share([BestOfN(4)])
        assert (best.gain[0], best.gain_low[0], best.gain_high[0]) == pytest.approx((0.3, 0.3, 0.3))


@pytest.mark.parametrize("name", ["reverse-kl", "chi2", "js", *(f"renyi:{x}" for x in (0.5, 1.5, 3, 10, 50))])
@pytest.mark.filterwarnings("error")
def test_without_ties_every_divergence_is_that_of_the_uniform_law(name: str) -> None:
    """At every size of budget, up to where hardly anything is left to gain; shares are of the same limit."""
    divergence, law = as_divergence(name), Uniform()
    most = law.max_spent(divergence)
    budgets = [1e-6, 0.1, 0.9, 5.0, 9.0] if math.isinf(most) else [1e-6 * most, 0.3 * most, 0.9 * most, 0.999 * most]
    fit = fit_frontier(np.random.default_rng(1).standard_normal((4, 6)), win_rate=True, divergence=divergence)
    beyond = [1e5, 1.7e308] if math.isinf(divergence.largest) else [divergence.largest] * 2
    at = fit.at([*budgets, *beyond])
    # Between points of the grid of λ: the curve has a kink where the first outcomes are dropped.
    np.testing.assert_allclose(at.gain, [*law.frontier(budgets, divergence).gain, 0.5, 0.5], atol=2e-5)
    assert np.isinf(at.lam[-1])
    shares = fit.share([BestOfN(2), BestOfN(4)])
    assert shares.share is not None
    limits = law.frontier(shares.spent, divergence).gain
    np.testing.assert_allclose(shares.share, np.array([1 / 6, 0.3]) / limits, rtol=1e-4)


@pytest.mark.parametrize("lam", [6.0, 1e6])
@pytest.mark.parametrize(("divergence", "alpha"), [(Renyi(1.5), 1.5), (Renyi(10.0), 10.0), (CHI_SQUARED, 2.0)])
def test_the_uniform_law_has_closed_forms_where_outcomes_are_dropped(
    divergence: Divergence, alpha: float, lam: float
) -> None:
    """``φ/p = (A - (α-1)λu)^{1/(α-1)}`` at the distance u from the top, by integrals in 30 digits."""
    times = 2 if divergence == CHI_SQUARED else 1  # f of χ² is twice that of order 2
    with mp.workdps(30):
        power, scaled = 1 / mp.mpf(alpha - 1), mp.mpf(lam) / times
        top = (alpha * scaled) ** (1 / (1 + power))
        end = top * power / scaled

        def integral(of: Callable[[mp.mpf, mp.mpf], mp.mpf]) -> mp.mpf:
            return end * mp.quad(lambda v: of((top * (1 - v)) ** power, end * v), [0, 0.5, 1])

        spent = (integral(lambda ratio, u: ratio**alpha) - 1) / (alpha * (alpha - 1))
        psi = times * (scaled * integral(lambda ratio, u: ratio * (0.5 - u)) - spent)
        kl = integral(lambda ratio, u: ratio * mp.log(ratio))
        assert float(integral(lambda ratio, u: ratio)) == pytest.approx(1.0, rel=1e-10)
    found = without_ties(np.array([lam]), divergence)
    assert [float(one[0]) for one in found] == pytest.approx([float(psi), float(kl)], rel=1e-8)


def test_the_largest_orders_have_a_price() -> None:
    """At which the top has all mass is beyond floats: ratios of 1e50 to the power of 39."""
    psi, kl = without_ties(np.array([0.01, 1.0, 100.0]), Renyi(40.0))
    assert (np.diff(psi) > 0.0).all()
    assert psi[0] == pytest.approx(0.01**2 / 24.0, rel=0.01)  # λ² Var / 2
    assert np.isfinite(kl).all()


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=7), st.integers(1, 3))
def test_best_of_n_wins_as_over_all_subsets(rewards: list[int], n: int) -> None:
    """The unbiased win rate is the mean over every choice of one base draw and n others."""
    m = len(rewards)
    total = []
    for base in range(m):
        others = [rewards[k] for k in range(m) if k != base]
        for kept in itertools.combinations(others, n):
            total.append((max(kept) > rewards[base]) + 0.5 * (max(kept) == rewards[base]))
    rows = np.sort(np.array([rewards], dtype=float))[:, ::-1]
    assert SampleLevels.of(rows).win_rate_of_best(n)[0] == pytest.approx(np.mean(total), abs=1e-12)


def test_best_of_n_wins_without_bias() -> None:
    """Over every table of 4 samples of a law with ties, weighted by its chance: exactly the law's win rate."""
    law = FiniteLaw([0.0, 1.0, 2.0], [0.5, 0.3, 0.2])
    for n in (2, 3):
        mean = 0.0
        for picked in itertools.product(range(3), repeat=4):
            rows = np.sort(law.reward[list(picked)])[::-1][None]
            chance = float(np.prod(law.prob[list(picked)]))
            mean += chance * float(BestOfN(n).evaluate(prepare(rows)).win_rate[0])
        assert mean == pytest.approx(BestOfN(n).on(law).win_rate, rel=1e-12)


@pytest.mark.parametrize("divergence", ["kl", CHI_SQUARED, HELLINGER])
def test_grades_have_the_limit_of_their_levels(divergence: object) -> None:
    prob = [0.1, 0.25, 0.3, 0.25, 0.1]
    rows = np.random.default_rng(5).choice(5, p=prob, size=(120, 24)).astype(float)
    fit = fit_frontier(rows, win_rate=True, divergence=divergence, n_boot=100)  # type: ignore[arg-type]
    law = win_rates(FiniteLaw(np.arange(5.0), prob))
    budgets = [0.02, 0.1]
    got, want = fit.at(budgets), law.frontier(budgets, divergence).gain  # type: ignore[arg-type]
    assert ((got.gain_low <= want) & (want <= got.gain_high)).all()
    np.testing.assert_allclose(got.gain, want, rtol=0.01)
    assert (got.gain <= Uniform().frontier(budgets, divergence).gain).all()  # type: ignore[arg-type]


def test_intervals_of_win_rates_hold_on_laws_that_differ_from_prompt_to_prompt() -> None:
    """24 tables of prompts with grades of their own; the study is `benchmarks.coverage`, topic `budgets`."""
    rng = np.random.default_rng(2)
    kinds = rng.dirichlet([2.0, 1.0, 1.0], size=8)
    lam = np.geomspace(0.05, 60.0, 2000)
    psi = np.zeros(lam.size)
    for prob in kinds:
        law = win_rates(FiniteLaw(np.arange(3.0), prob))
        psi += np.asarray(law.reverse_kl(lam)) / len(kinds)
    truth = [float(np.min((kl + psi) / lam)) for kl in (0.05, 0.3)]
    held = np.zeros(2)
    for _ in range(24):
        rows = np.stack([rng.choice(3, p=kinds[k], size=16) for k in rng.integers(8, size=60)]).astype(float)
        at = fit_frontier(rows, win_rate=True, n_boot=100, rng=rng).at([0.05, 0.3], strict=False)
        held += (at.gain_low <= truth) & (truth <= at.gain_high)
    assert (held >= 20).all()  # of 24 at 95 %: fewer have a chance of 1 in 150


def test_tied_pairs_are_counted_without_bias() -> None:
    table = RewardTable.from_arrays([[1.0, 1.0, 1.0, 2.0], [0.0, 0.0, 3.0, 3.0]])
    assert tied_pairs(table, "reward") == pytest.approx((3 / 6 + 2 / 6) / 2)


def test_against_an_opponent_every_pair_counts() -> None:
    base = RewardTable.from_arrays({"score": [[0.0, 1.0, 2.0], [5.0, 5.0]]}, prompts=["a", "b"])
    other = RewardTable.from_arrays({"score": [[5.0], [1.0, 1.5], [9.0]]}, prompts=["b", "a", "z"])
    won = against_opponent(base, "score", other)
    assert won.column("win rate").tolist() == [0.0, 0.25, 1.0, 0.5, 0.5]
    assert "1 prompt of the opponent is not in the table." in won.notes
    assert not any("the table's own" in note for note in won.notes)
    same = RewardTable.from_arrays({"score": [[5.0, 5.0], [2.0, 1.0, 0.0]]}, prompts=["b", "a"])
    own = against_opponent(base, "score", same)
    assert any("the table's own" in note for note in own.notes)
    with pytest.raises(InputError, match=r"none to 1 of 2, the first is 'b'"):
        against_opponent(base, "score", RewardTable.from_arrays({"score": [[1.0]]}, prompts=["a"]))


def test_best_of_n_beats_an_opponent_as_often_as_every_choice_says() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(0, 4, (2, 6)).astype(float), rng.integers(0, 4, (2, 3)).astype(float)
    found = ask(
        RewardTable.from_arrays(ours),
        "reward",
        rules=[BestOfN(3)],
        opponent=RewardTable.from_arrays(theirs),
        n_boot=100,
    ).reward
    want = np.mean(
        [
            np.mean(
                [(max(kept) > z) + 0.5 * (max(kept) == z) for kept in itertools.combinations(row, 3) for z in other]
            )
            for row, other in zip(ours, theirs, strict=True)
        ]
    )
    assert found.rules.reward[0] == pytest.approx(want, rel=1e-12)


def test_the_interval_of_a_rules_win_rate_covers_the_base_models_share_of_it_too() -> None:
    """Prompts differ in how strong the opponent is: the win rate varies with them more than the rise over the base."""
    rng, held, wider = np.random.default_rng(4), 0, 0
    strength = np.array([-1.0, 0.0, 1.0])
    normal, fine = NormalDist(), (np.arange(4000) + 0.5) / 4000
    best = np.array([normal.inv_cdf(u) for u in np.sqrt(fine)])  # best-of-2 at even ranks
    truth = np.mean([[normal.cdf(z - s) for z in best[::10]] for s in strength])
    for _ in range(40):
        theirs = strength[rng.integers(3, size=40)][:, None] + rng.standard_normal((40, 40))
        table = RewardTable.from_arrays(rng.standard_normal((40, 6)))
        wins = against_opponent(table, "reward", RewardTable.from_arrays(theirs), "wins")
        found = fit_frontier(wins, "wins", n_boot=100, rng=rng).share([BestOfN(2)])
        assert found.reward_low is not None
        assert found.reward_high is not None
        held += bool(found.reward_low[0] <= truth <= found.reward_high[0])
        wider += bool(found.reward_high[0] - found.reward_low[0] > found.gain_high[0] - found.gain_low[0])
    assert held >= 34
    assert wider == 40


def test_the_answer_says_what_is_counted() -> None:
    rows = np.random.default_rng(0).choice(4, size=(30, 12)).astype(float)
    table = RewardTable.from_arrays(rows)
    text = "\n".join(lines(ask(table, "reward", win_rate=True, kl=[0.1], n_boot=100)))
    assert "The largest win rate over the base model of any method, by 'reward'" in text
    assert "no method wins more than" in text
    assert "% tie; a tie counts as half a win" in text
    drawn = [
        row for row in points(ask(table, "reward", win_rate=True, n_boot=100, curves=True)) if row["what"] == "curve"
    ]
    assert drawn
    assert all(row["reward_low"] == 0.5 + row["gain_low"] for row in drawn)  # the band that the picture has
    text = "\n".join(lines(ask(table, "reward", divergence="renyi:2", kl=[0.1], n_boot=100)))
    assert text.count("of prompt and response together") == 3
    assert "average over prompts" not in text
    opponent = RewardTable.from_arrays(rows[:, :3])
    text = "\n".join(lines(ask(table, "reward", opponent=opponent, kl=[0.1], n_boot=100)))
    assert "The base model wins" in text
    assert "over 3 responses to each prompt" in text
    assert "Of the rules win (95 % intervals): best-of-2 " in text
    with pytest.raises(InputError, match=r"divergence must not be 'total_variation' .* where win rates count"):
        ask(table, "reward", win_rate=True, divergence="tv")
    with pytest.raises(InputError, match="gold must be left out for win rates"):
        ask(table, "reward", "reward", win_rate=True)


@pytest.mark.parametrize("divergence", [KL, CHI_SQUARED, Renyi(1.5)], ids=lambda one: one.name)
def test_prices_solved_side_by_side_are_those_solved_alone(divergence: Divergence) -> None:
    mass = np.random.default_rng(6).dirichlet([0.7] * 5, size=40)
    win = 1.0 - np.cumsum(mass, axis=1) + 0.5 * mass
    lam = np.geomspace(0.03, 300.0, 25)
    psi, kl, _ = win_rate_curve._abreast(win, mass, lam, divergence, None)
    for j, value in enumerate(lam.tolist()):
        alone, kl_alone, _ = win_rate_curve._psi(win, mass, np.full(len(win), value), divergence)
        np.testing.assert_allclose(psi[:, j], alone, rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(kl[:, j], kl_alone, rtol=1e-9, atol=1e-15)
