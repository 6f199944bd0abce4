"""The estimated frontier against laws whose frontier is known."""

import numpy as np
import pytest

from alignlib.estimation import UnsupportedBudgetError, fit_frontier
from alignlib.estimation.curve import AveragedCurve
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable


def gaussian_table(prompts: int = 200, samples: int = 64, seed: int = 0) -> RewardTable:
    return RewardTable.from_arrays(np.random.default_rng(seed).standard_normal((prompts, samples)))


def test_gaussian_frontier_lies_in_its_interval() -> None:
    kl = np.array([0.05, 0.1, 0.25, 0.5])
    frontier = fit_frontier(gaussian_table()).at(kl)
    truth = np.sqrt(2 * kl)
    assert frontier.supported.all()
    assert np.all((frontier.gain_low < truth) & (truth < frontier.gain_high))
    np.testing.assert_allclose(frontier.lam, truth, rtol=0.1)


def test_plug_in_lies_below() -> None:
    plain = fit_frontier(gaussian_table(), bias_correction=False).at([0.5])
    corrected = fit_frontier(gaussian_table()).at([0.5])
    assert plain.gain[0] < corrected.gain[0]


def test_beyond_support_the_gain_is_a_floor_and_the_interval_opens() -> None:
    fit = fit_frontier(gaussian_table())
    frontier = fit.at([0.5, 3.0, 4.0])
    assert frontier.supported.tolist() == [True, False, False]
    best = fit.share([BestOfN(16), BestOfN(48)])  # of 1.83 and 2.89 nats
    assert best.spent[1] < 3.0
    assert fit.at(fit.supported_end).gain[0] < best.gain[1] == pytest.approx(frontier.gain[1], rel=0.03)
    assert best.gain[1] <= frontier.gain[1] <= frontier.gain[2] < np.sqrt(6.0)
    assert frontier.gain_high[2] > frontier.gain_high[1] > np.sqrt(6.0)


@pytest.mark.parametrize("kind", ["falling", "marks", "right or wrong", "win rate", "chi2"])
def test_the_limit_is_nowhere_below_best_of_n(kind: str) -> None:
    """Best-of-N is a policy; of a reward whose best responses crowd it has nearly all of the limit, which errs."""
    rng = np.random.default_rng(4)
    below = 0
    for prompts, n in ((5, 24), (20, 6), (30, 12)):
        rows = {
            "marks": lambda size: np.round(2.0 * rng.random(size)),
            "right or wrong": lambda size: rng.random(size) < rng.random((size[0], 1)),
        }.get(kind, lambda size: -rng.standard_exponential(size))((prompts, n)).astype(float)
        divergence = "chi2" if kind == "chi2" else "kl"
        fit = fit_frontier(rows, divergence=divergence, win_rate=kind == "win rate", n_boot=100)
        best = fit.share(BestOfN.along(np.arange(2.0, min(n, 9))))
        asked = np.linspace(0.0, 1.2, 30) * best.spent[-1]
        budgets = np.concatenate([best.spent, asked])
        found = fit.at(budgets, strict=False)
        k = best.spent.size
        assert np.all(found.gain[:k] >= best.gain * (1.0 - 1e-12))
        assert np.all((found.gain_low <= found.gain) & (found.gain <= found.gain_high))
        order = np.argsort(budgets)
        assert np.all(np.diff(found.gain[order]) >= -1e-12)
        curve = fit.curve
        assert isinstance(curve, AveragedCurve)
        own = fit.divergence.mean_of(np.minimum(best.spent, fit.supported_end))
        below += int((curve.at(own, fit.weights, 0.95).gain < best.gain)[best.spent <= fit.supported_end].sum())
        if kind == "falling" and n > 6:
            every = fit.per_prompt.at(best.spent, strict=False)  # without ties it spends the same on every prompt
            assert np.all((every.gain >= best.gain * (1.0 - 1e-12)) & (every.gain <= every.gain_high))
    assert below > 0 or kind != "falling"  # the curve alone does fall below


def test_bernoulli_saturates() -> None:
    rows = (np.random.default_rng(0).random((200, 64)) < 0.5).astype(float)
    frontier = fit_frontier(RewardTable.from_arrays(rows)).at([0.2, 1.0])
    assert frontier.lam[1] == np.inf
    assert frontier.gain[1] == pytest.approx(0.5, abs=0.02)


def test_offset_and_scale_are_carried_through() -> None:
    rows = np.random.default_rng(5).standard_normal((50, 32))
    kl = [0.1, 0.3]
    one = fit_frontier(RewardTable.from_arrays(rows)).at(kl)
    two = fit_frontier(RewardTable.from_arrays(1e6 + 1e-3 * rows)).at(kl)
    np.testing.assert_allclose(two.gain, 1e-3 * one.gain, rtol=1e-6)  # 1e6 + 1e-3 r keeps seven digits of r


def test_nothing_supported_is_an_error() -> None:
    with pytest.raises(UnsupportedBudgetError, match="largest supported") as caught:
        fit_frontier(gaussian_table()).at([5.0])
    assert 0.5 < caught.value.largest_supported < 5.0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((3, 8)), "constant"),
        ([[1.0, 2.0], [0.0, 1.0, 2.0]], "at least 3 samples"),
    ],
)
def test_bad_tables(rows: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_frontier(RewardTable.from_arrays(rows)).at(0.1)


def test_two_tied_best_samples_do_not_bring_the_limit_down() -> None:
    """On such prompts the second-order jackknife grows ever more slowly, and the minimum over λ used to run away."""
    rows = np.tile(np.r_[1.0, 1.0, np.zeros(14)], (40, 1))
    rows[:20, 2:4] = 0.5
    found = fit_frontier(rows, n_boot=100).at([0.1, 0.3], strict=False)
    plain = fit_frontier(rows, bias_correction=False, n_boot=100).at([0.1, 0.3])
    assert (found.gain >= plain.gain - 1e-12).all()
    assert np.isfinite(found.lam).all()


def test_known_bounds_give_a_limit_without_an_end() -> None:
    """0/1 rewards with rates of .02 to .5: the interval holds at every budget, where the samples alone support few."""
    rng, kl = np.random.default_rng(0), np.array([0.05, 0.3, 1.0, 2.0, 4.0, 30.0])
    rates = np.geomspace(0.02, 0.5, 12)
    lam = np.geomspace(1e-2, 600.0, 4000)
    curve = np.mean([np.log1p(q * np.expm1(lam)) - lam * q for q in rates], axis=0)
    truth = np.minimum(np.min((kl[:, None] + curve) / lam, axis=1), 1.0 - rates.mean())
    held = 0
    for _ in range(20):
        rows = (rng.random((100, 32)) < rng.choice(rates, size=(100, 1))).astype(float)
        fit = fit_frontier(rows, bounded=(0.0, 1.0), n_boot=200)
        found = fit.at(kl)
        assert found.supported.all()
        assert fit.supported_end == np.inf
        assert (np.diff(found.gain_high) >= -1e-9).all()
        assert (found.gain_high <= 1.0).all()
        assert (found.gain <= 1.0 - found.base_reward + 1e-12).all()  # past the last λ too: no line goes on
        held += bool(((found.gain_low <= truth) & (truth <= found.gain_high)).all())
    assert held >= 18


def test_bounds_that_the_samples_break_are_refused() -> None:
    for bounded, message in (
        ((0.0, 1.0), "must hold every sample"),
        ((1.0, 0.0), "low < high"),
        ((0.0,), "low < high"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_frontier(gaussian_table(), bounded=bounded)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="average budget"):
        fit_frontier(gaussian_table(), bounded=(-9.0, 9.0), budget="per_prompt")


def test_one_prompt_resamples_its_samples() -> None:
    """Intervals of one prompt: the spread over independent tables, against the width claimed."""
    gains, widths = [], []
    for seed in range(60):
        frontier = fit_frontier(gaussian_table(1, 1000, seed), n_boot=200).at([0.1])
        gains.append(frontier.gain[0])
        widths.append(frontier.gain_high[0] - frontier.gain_low[0])
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(gains), rel=0.3)


def test_never_right_and_always_right_prompts() -> None:
    """A 0/1 reward: prompts without variation gain nothing, cost nothing and break nothing."""
    rng = np.random.default_rng(4)
    success = np.repeat([0.0, 0.3, 0.7, 1.0], 20)
    rows = (rng.random((80, 64)) < success[:, None]).astype(float)
    frontier = fit_frontier(RewardTable.from_arrays(rows)).at([0.0, 0.05, 0.2])
    lam = frontier.lam[1:, None]
    p = success[None, :]
    truth = np.mean(p * np.exp(lam) / (1 - p + p * np.exp(lam)) - p, axis=1)  # at the estimated λ
    assert frontier.gain[0] == 0.0
    np.testing.assert_allclose(frontier.gain[1:], truth, rtol=0.1)


def test_same_seed_same_numbers() -> None:
    one, two = (fit_frontier(gaussian_table(), rng=7).at([0.3]) for _ in range(2))
    assert one.gain_low[0] == two.gain_low[0]
